mod alternate;
mod fetching;
mod files;
mod history;
mod history_file;
mod history_pack;
mod origin;
mod packed;
mod pair;
mod pair_ways;
mod push;
mod push_refusals;
mod refusals;
mod revisions;
mod server;
mod ssh;
mod two;
mod usage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;

use self::origin::Origin;
use self::server::{Serving, WebServer};
use super::{Options, Repositories};
use crate::net::{Client, InsteadOf, Limits, Settings, Trust};
use crate::ports::{Clock, Found, Repo};
use crate::spec::info::ObjectId;

const MINUTE: Duration = Duration::from_secs(60);

/// A clock that is set by hand.
pub struct HandClock(Mutex<DateTime<Utc>>);

impl HandClock {
    pub fn advance(&self, by: Duration) {
        *self.0.lock().expect("no panic") += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("no panic")
    }
}

/// A repository, its server, and a store of our own that fetches from it.
pub struct World {
    pub origin: Origin,
    pub web: WebServer,
    pub clock: Arc<HandClock>,
    pub store: tempfile::TempDir,
    client: Client,
    runtime: Runtime,
    repositories: Repositories,
}

impl World {
    pub fn new(serving: Serving) -> World {
        World::with(serving, Options::default(), &[])
    }

    /// A world with limits of its own and prefixes of addresses that are replaced.
    pub fn with(serving: Serving, options: Options, instead_of: &[(&str, &str)]) -> World {
        let origin = Origin::new();
        let web = WebServer::start(origin.path(), serving);
        let clock = Arc::new(HandClock(Mutex::new(DateTime::from_timestamp(1_700_000_000, 0).expect("a moment"))));
        let store = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let instead_of = instead_of
            .iter()
            .map(|(prefix, to)| InsteadOf {
                prefix: (*prefix).to_owned(),
                replacement: to.replace("{web}", &web.url("")),
            })
            .collect();
        let client = Client::new(Settings { instead_of, ..settings() }).expect("a client");
        let repositories = repositories(&store, &clock, &client, &runtime, options);
        World { origin, web, clock, store, client, runtime, repositories }
    }

    /// As after a start of the program: nothing in memory.
    pub fn restart(&mut self) {
        self.repositories = repositories(&self.store, &self.clock, &self.client, &self.runtime, Options::default());
    }

    pub fn open(&self) -> Box<dyn Repo + Send> {
        self.open_at(&self.web.url("/repo.git"))
    }

    pub fn open_at(&self, url: &str) -> Box<dyn Repo + Send> {
        self.repositories.open(url, Trust::Named).expect("an address")
    }

    /// The folder in which the repository is kept.
    pub fn folder(&self) -> std::path::PathBuf {
        let mut folders = std::fs::read_dir(self.store.path()).expect("a folder");
        folders.next().expect("a repository").expect("an entry").path()
    }

    pub fn packs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder().join("objects/pack")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

fn repositories(
    store: &tempfile::TempDir,
    clock: &Arc<HandClock>,
    client: &Client,
    runtime: &Runtime,
    options: Options,
) -> Repositories {
    let clock: Arc<dyn Clock> = Arc::<HandClock>::clone(clock);
    Repositories::new(store.path().to_owned(), client.clone(), clock, runtime.handle().clone(), options)
}

/// One place at a host: a question that waits for another one of its own would wait until the time is over.
fn settings() -> Settings {
    let limits = Limits { per_host: 1, total: Duration::from_secs(20), ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

fn id(digits: &str) -> ObjectId {
    ObjectId::parse(digits).expect("forty digits")
}

fn one(found: Found) -> String {
    match found {
        Found::One(commit) => commit.id.to_string(),
        other => format!("{other:?}"),
    }
}
