use super::server::Exchange;
use super::*;
use crate::git::{MirrorPair, Party};
use crate::ports::{Pair as _, RefPair, RefRelation, Relate, Relation, RemoteRef, Side};

/// A source and a mirror of it, each on a server of its own, and what compares them.
pub struct Two {
    pub source: Origin,
    pub mirror: Origin,
    pub webs: [WebServer; 2],
    pub store: tempfile::TempDir,
    pub repositories: Arc<Repositories>,
    pub client: Client,
    _runtime: Runtime,
}

impl Two {
    pub fn new(serving: Serving) -> Two {
        Two::with(serving, Options::default(), &[])
    }

    /// With limits of its own and prefixes of addresses that are replaced; `{source}` is the source's server.
    pub fn with(serving: Serving, options: Options, instead_of: &[(&str, &str)]) -> Two {
        let (source, mirror) = (Origin::new(), Origin::new());
        let webs = [WebServer::start(source.path(), serving), WebServer::start(mirror.path(), serving)];
        for origin in [&source, &mirror] {
            origin.allow_filters();
        }
        let store = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let instead_of = instead_of
            .iter()
            .map(|(prefix, to)| InsteadOf {
                prefix: (*prefix).to_owned(),
                replacement: to.replace("{source}", &webs[0].url("")),
            })
            .collect();
        let client = Client::new(Settings { instead_of, ..settings() }).expect("a client");
        let repositories = of(&store, &client, &runtime, options);
        Two { source, mirror, webs, store, repositories, client, _runtime: runtime }
    }

    pub fn pair(&self) -> MirrorPair {
        self.pair_of(&self.webs[0].url("/repo.git"), &self.webs[1].url("/repo.git"))
    }

    pub fn pair_of(&self, source: &str, mirror: &str) -> MirrorPair {
        let party = |url: &str| Party { url: url.to_owned(), client: self.client.clone() };
        self.pair_between(party(source), party(mirror)).expect("addresses")
    }

    pub fn pair_between(&self, source: Party, mirror: Party) -> crate::error::Result<MirrorPair> {
        let prefixes = vec!["refs/heads/".to_owned(), "refs/tags/".to_owned()];
        MirrorPair::new(Arc::clone(&self.repositories), source, mirror, prefixes)
    }

    /// Makes the mirror what the source is.
    pub fn copy(&self) {
        let from = self.source.repository();
        let refs = "+refs/*:refs/*";
        self.mirror.git(&["fetch", "-q", "--prune", from.to_str().expect("a path"), refs]);
    }

    /// Asks for the refs of both sides and what lies between them.
    pub fn relate(&self, awaited: &[&str]) -> crate::error::Result<(Vec<String>, Relation)> {
        related(&self.pair(), awaited)
    }

    /// `behind ahead`, then for each differing ref its name and the same.
    pub fn shown(&self) -> String {
        shown(self.relate(&[]).expect("related"))
    }

    pub fn log(&self) -> Vec<Exchange> {
        self.webs.iter().flat_map(WebServer::log).collect()
    }

    /// Files below the store, without those that say whose folder it is.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.store.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push(path.file_name().expect("a name").to_string_lossy().into_owned()),
                }
            }
        }
        found.sort();
        found
    }
}

fn of(store: &tempfile::TempDir, client: &Client, runtime: &Runtime, options: Options) -> Arc<Repositories> {
    let clock: Arc<dyn Clock> = Arc::new(HandClock(Mutex::new(DateTime::UNIX_EPOCH)));
    let (root, runtime) = (store.path().to_owned(), runtime.handle().clone());
    Arc::new(Repositories::new(root, client.clone(), clock, runtime, options))
}

pub fn differing(source: &[RemoteRef], mirror: &[RemoteRef]) -> Vec<RefPair> {
    let of = |refs: &[RemoteRef], name: &str| refs.iter().find(|one| one.name == name).map(|one| one.id);
    let mut names: Vec<&String> = source.iter().chain(mirror).map(|one| &one.name).collect();
    names.sort_unstable();
    names.dedup();
    let pairs = names.into_iter().map(|name| {
        let (source, mirror) = (of(source, name), of(mirror, name));
        RefPair { name: name.clone(), source, mirror }
    });
    pairs.filter(|pair| pair.source != pair.mirror).collect()
}

/// Asks for the refs of both sides and what lies between them.
pub fn related(pair: &MirrorPair, awaited: &[&str]) -> crate::error::Result<(Vec<String>, Relation)> {
    let (source, mirror) = (pair.refs(Side::Source)?, pair.refs(Side::Mirror)?);
    let differing = differing(&source, &mirror);
    let awaited: Vec<ObjectId> = awaited.iter().map(|digits| id(digits)).collect();
    let names = differing.iter().map(|pair| pair.name.clone()).collect();
    let question = Relate { source: &source, mirror: &mirror, differing: &differing, awaited: &awaited };
    pair.relate(&question).map(|relation| (names, relation))
}

/// `behind ahead`, then for each differing ref its name and the same.
pub fn shown((names, relation): (Vec<String>, Relation)) -> String {
    let mut text = format!("{} {}", relation.behind, relation.ahead);
    for (name, RefRelation { behind, ahead, is_forward }) in names.iter().zip(relation.refs) {
        let forward = if is_forward { " forward" } else { "" };
        text.push_str(&format!("\n{name} {behind} {ahead}{forward}"));
    }
    text
}

/// Adds a commit of one file, made in that second.
pub fn commit(origin: &Origin, branch: &str, seconds: u32) -> String {
    origin.commit(branch, seconds, &[("a", &seconds.to_string())])
}
