//! All repositories below one folder: opened by their addresses, fetched once for all jobs.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::address::Address;
use super::remote::Remote;
use super::repo::GitRepo;
use super::route::{Alternate, Route};
use super::shared::{Shared, lock};
use super::ssh::SshOptions;
use super::transport::{Refusals, Transport};
use super::usage::{self, Removal, RepositoryUsage};
use crate::error::Result;
use crate::net::{Client, Trust};
use crate::ports::{Clock, MayRead, Repo};

/// Limits and ways of the git room.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest pack that is taken in, in bytes.
    pub pack_limit: u64,
    /// Of how many repositories refs and history stay in memory while nobody uses them.
    pub in_memory: usize,
    pub ssh: SshOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options { pack_limit: 8 << 30, in_memory: 64, ssh: SshOptions::default() }
    }
}

/// What a mirror is to a repository that is opened.
#[derive(Clone)]
pub enum Mirrored {
    /// The repository's own mirror: read while the repository is out of reach.
    Alternate { name: String, url: String, client: Client, may_read: Arc<MayRead> },
    /// The configuration puts a mirror in the repository's place.
    Always { may_read: Arc<MayRead> },
}

pub struct Repositories {
    root: PathBuf,
    client: Client,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    options: Options,
    /// Shared by all views: a second one of the same folder would not know of its locks.
    in_memory: Arc<Mutex<InMemory>>,
}

/// What stays between jobs, by the names of folders.
#[derive(Default)]
struct InMemory {
    /// All uses so far, by which the last use of each is told.
    uses: u64,
    all: HashMap<String, (u64, Arc<Shared>)>,
}

impl Repositories {
    /// Repositories lie in folders of `root`, named by their addresses' SHA-256. The runtime must be one of
    /// several threads: jobs wait for it on threads of their own.
    pub fn new(root: PathBuf, client: Client, clock: Arc<dyn Clock>, runtime: Handle, options: Options) -> Self {
        Repositories { root, client, clock, runtime, options, in_memory: Arc::default() }
    }

    /// The same repositories, reached with another view of the client.
    pub fn with(&self, client: Client) -> Repositories {
        Repositories {
            root: self.root.clone(),
            client,
            clock: Arc::clone(&self.clock),
            runtime: self.runtime.clone(),
            options: self.options.clone(),
            in_memory: Arc::clone(&self.in_memory),
        }
    }

    /// Opens a repository for one job, without asking anybody anything.
    pub fn open(&self, url: &str, trust: Trust) -> Result<Box<dyn Repo + Send>> {
        self.open_by(url, trust, None)
    }

    /// The same of a repository that has a mirror, or is one.
    pub fn open_by(&self, url: &str, trust: Trust, mirrored: Option<&Mirrored>) -> Result<Box<dyn Repo + Send>> {
        let shared = self.shared(url);
        let remote = Remote::new(self.reach(&self.client, url, trust, Refusals::Doubted)?, Arc::clone(&shared.greeted));
        let alternate = match mirrored {
            Some(Mirrored::Alternate { name, url, client, may_read }) => {
                // The configuration names it.
                let transport = self.reach(client, url, Trust::Named, Refusals::Believed)?;
                let remote = Remote::new(transport, shared.mirror_greeted(url));
                Some(Alternate { name: name.clone(), remote, may_read: Arc::clone(may_read) })
            }
            _ => None,
        };
        let gate = match mirrored {
            Some(Mirrored::Always { may_read }) => Some(Arc::clone(may_read)),
            _ => None,
        };
        Ok(Box::new(GitRepo {
            url: without_password(url),
            route: Route::new(remote, gate, alternate, Arc::clone(&shared), Arc::clone(&self.clock)),
            heard_via: Default::default(),
            heard_at: Default::default(),
            shared,
            clock: Arc::clone(&self.clock),
            pack_limit: self.options.pack_limit,
            opened: Default::default(),
            listed: Default::default(),
        }))
    }

    pub(super) fn transport(&self, address: Address, client: &Client, trust: Trust, refusals: Refusals) -> Transport {
        let (client, runtime, ssh) = (client.clone(), self.runtime.clone(), self.options.ssh.clone());
        Transport { address, client, runtime, trust, refusals, ssh }
    }

    /// A folder for something else than one repository's objects, counted and removed as repositories are. What it has
    /// in memory goes when the last lease ends. `url` is what people are told that it is of.
    pub(super) fn lease(&self, purpose: &str, url: &str) -> Lease<'_> {
        let name = hex::encode(Sha256::digest(format!("{purpose} {url}")));
        let shared = self.share(name.clone(), url);
        Lease { repositories: self, name, shared: Some(shared) }
    }

    /// The largest pack that is taken in, in bytes.
    pub(super) fn pack_limit(&self) -> u64 {
        self.options.pack_limit
    }

    /// What the repositories take on disk, in the order of their names. Blocking.
    pub fn usage(&self) -> Result<Vec<RepositoryUsage>> {
        usage::usage(&self.root)
    }

    /// Takes a repository off the disk, unless a job has it open: whoever asks for it again fetches it again. Blocking.
    pub fn remove(&self, name: &str) -> Result<Removal> {
        let gone = {
            // No job can open it meanwhile.
            let mut guard = lock(&self.in_memory);
            if guard.all.get(name).is_some_and(|(_, shared)| Arc::strong_count(shared) > 1) {
                return Ok(Removal::InUse);
            }
            guard.all.remove(name);
            usage::set_aside(&self.root, name)?
        };
        match gone {
            true => usage::discard(&self.root).map(|()| Removal::Removed),
            false => Ok(Removal::Absent),
        }
    }

    fn reach(&self, client: &Client, url: &str, trust: Trust, refusals: Refusals) -> Result<Transport> {
        let instead = client.instead_of(url);
        let address = Address::parse(url, instead.as_ref().map(|instead| instead.expose()))?;
        // What the configuration puts in its place is taken at its word; the client does so by itself.
        let trust = if instead.is_some() && matches!(address, Address::Ssh(_)) { Trust::Named } else { trust };
        Ok(self.transport(address, client, trust, refusals))
    }

    fn shared(&self, url: &str) -> Arc<Shared> {
        self.share(hex::encode(Sha256::digest(url)), url)
    }

    fn share(&self, name: String, url: &str) -> Arc<Shared> {
        let mut guard = lock(&self.in_memory);
        let InMemory { uses, all } = &mut *guard;
        *uses += 1;
        let path = self.root.join(&name);
        let (last, shared) = all.entry(name).or_insert_with(|| (0, Arc::new(Shared::new(path, without_password(url)))));
        *last = *uses;
        let shared = Arc::clone(shared);
        // What a job uses must stay: a second one of the same repository would not know of its locks.
        while all.len() > self.options.in_memory.max(1) {
            let idle = all.iter().filter(|(_, (_, shared))| Arc::strong_count(shared) == 1);
            let Some(oldest) = idle.min_by_key(|(_, (last, _))| *last).map(|(name, _)| name.clone()) else { break };
            all.remove(&oldest);
        }
        shared
    }
}

/// A folder in use.
pub(super) struct Lease<'a> {
    repositories: &'a Repositories,
    name: String,
    /// `Some` until it ends.
    shared: Option<Arc<Shared>>,
}

impl Deref for Lease<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        self.shared.as_ref().expect("taken when it ends only")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.used(self.repositories.clock.now());
        let mut guard = lock(&self.repositories.in_memory);
        self.shared = None;
        if guard.all.get(&self.name).is_some_and(|(_, shared)| Arc::strong_count(shared) == 1) {
            guard.all.remove(&self.name);
        }
    }
}

/// Secrets are the outgoing client's business; they must not get into an `Origin`.
fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Fails only for addresses without a host, which have no password.
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}
