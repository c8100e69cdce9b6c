//! A repository in memory, for tests: commits with parents, times and files, and refs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::module::Module;
use super::place::Place;
use super::revision::Snapshot;
use crate::error::{Error, Result};
use crate::ports::{Contents, FileMode, Found, Repo, TreeFile, Via};
use crate::spec::info::{Commit, Info, ObjectId, Signature};
use crate::spec::location::{Location, LocationKind};
use crate::spec::path::{ModulePath, has_prefix};
use crate::spec::query::Query;
use crate::spec::refs::Refs;
use crate::spec::resolution::Resolution;

#[derive(Default)]
pub struct Memory {
    commits: BTreeMap<ObjectId, Node>,
    blobs: BTreeMap<ObjectId, Bytes>,
    refs: Vec<(String, ObjectId)>,
    /// Refs that came since, for whoever wants them no older than that.
    newer: Vec<(Duration, String, ObjectId)>,
    signatures: BTreeMap<ObjectId, Signature>,
    time: i64,
}

struct Node {
    commit: Commit,
    parents: Vec<ObjectId>,
    files: BTreeMap<String, ObjectId>,
}

/// The id of the commit with this name.
pub fn id(name: &str) -> ObjectId {
    let digest = Sha256::digest(name);
    let mut id = [0; 20];
    id.copy_from_slice(&digest[..20]);
    ObjectId(id)
}

impl Memory {
    /// The first commit at 2020-01-01T00:00:00Z, each further one a minute later.
    pub fn new() -> Memory {
        Memory { time: 1_577_836_800, ..Memory::default() }
    }

    /// A commit with all files of its first parent, changed by `files`; an empty text removes one.
    pub fn commit(mut self, name: &str, parents: &[&str], files: &[(&str, &str)]) -> Memory {
        let parents: Vec<ObjectId> = parents.iter().map(|parent| id(parent)).collect();
        let mut tree = parents.first().map(|first| self.commits[first].files.clone()).unwrap_or_default();
        for (path, text) in files {
            let blob = id(&format!("blob {text}"));
            self.blobs.insert(blob, Bytes::copy_from_slice(text.as_bytes()));
            match *text {
                "" => tree.remove(*path),
                _ => tree.insert((*path).to_owned(), blob),
            };
        }
        let time = DateTime::from_timestamp(self.time, 0).expect("in range");
        self.time += 60;
        let commit = Commit { id: id(name), time };
        self.commits.insert(commit.id, Node { commit, parents, files: tree });
        self.refs.retain(|(name, _)| name != "HEAD" && name != "refs/heads/main");
        self.refs.extend([("HEAD".to_owned(), commit.id), ("refs/heads/main".to_owned(), commit.id)]);
        self
    }

    /// Says who made a commit when: RFC 3339 with zones. The committer's moment is the commit's time.
    pub fn signed(mut self, name: &str, author: &str, committer: &str) -> Memory {
        let parse = |text: &str| DateTime::parse_from_rfc3339(text).expect(text);
        let signature = Signature { author: parse(author), committer: parse(committer) };
        let node = self.commits.get_mut(&id(name)).expect(name);
        node.commit.time = signature.committer.to_utc();
        self.signatures.insert(id(name), signature);
        self
    }

    pub fn tag(mut self, tag: &str, name: &str) -> Memory {
        self.refs.push((format!("refs/tags/{tag}"), id(name)));
        self
    }

    /// A tag that came since: there for whoever wants refs no older than that.
    pub fn tag_since(mut self, age: Duration, tag: &str, name: &str) -> Memory {
        self.newer.push((age, format!("refs/tags/{tag}"), id(name)));
        self
    }

    pub fn branch(mut self, branch: &str, name: &str) -> Memory {
        self.refs.push((format!("refs/heads/{branch}"), id(name)));
        self
    }

    /// Asks a question as if the repository were `example.com/m`.
    pub fn ask<T>(&self, path: &str, question: impl FnOnce(&Module<'_>) -> Result<T>) -> Result<T> {
        let root = path.split('/').take(2).collect::<Vec<_>>().join("/");
        let location = Location {
            root,
            kind: LocationKind::Git,
            url: self.url().to_owned(),
            subdir: String::new(),
            is_guess: false,
        };
        let place = Place::new(&ModulePath::parse(path)?, &location)?;
        let refs = self.refs(Duration::MAX)?;
        question(&Module { place: &place, snapshot: Snapshot { repo: self, refs } })
    }

    pub fn resolve(&self, path: &str, query: &str) -> Result<Resolution> {
        self.ask(path, |module| module.resolve(&Query::parse(query)))
    }

    pub fn right(&self, path: &str, query: &str) -> Result<Info> {
        Ok(self.resolve(path, query)?.right)
    }

    /// The version that a query resolves to, or the error's first line.
    pub fn version(&self, path: &str, query: &str) -> String {
        match self.right(path, query) {
            Ok(info) => info.version,
            Err(error) => error.what().to_owned(),
        }
    }

    fn reachable(&self, from: impl IntoIterator<Item = ObjectId>) -> BTreeSet<ObjectId> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<ObjectId> = from.into_iter().collect();
        while let Some(next) = open.pop() {
            if let Some(node) = self.commits.get(&next)
                && seen.insert(next)
            {
                open.extend(&node.parents);
            }
        }
        seen
    }
}

impl Repo for Memory {
    fn url(&self) -> &str {
        "https://git.example.com/m"
    }

    fn refs(&self, max_age: Duration) -> Result<Arc<Refs>> {
        let newer = self.newer.iter().filter(|(age, ..)| max_age <= *age);
        let newer = newer.map(|(_, name, id)| (name.clone(), *id));
        Ok(Arc::new(Refs::new(self.refs.iter().cloned().chain(newer))))
    }

    fn hear(&self) -> Result<(Option<Arc<Refs>>, Arc<Refs>)> {
        Ok((None, self.refs(Duration::ZERO)?))
    }

    fn heard_at(&self) -> Option<DateTime<Utc>> {
        None
    }

    fn via(&self) -> Option<Via> {
        None
    }

    fn commit(&self, id: ObjectId) -> Result<Option<Commit>> {
        Ok(self.commits.get(&id).map(|node| node.commit))
    }

    fn find(&self, digits: &str) -> Result<Found> {
        let tips = self.refs.iter().filter(|(name, _)| name != "HEAD").map(|(_, id)| *id);
        let mut matches = self.reachable(tips).into_iter().filter(|id| id.to_string().starts_with(digits));
        match (matches.next(), matches.next()) {
            (None, _) => Ok(Found::None),
            (Some(id), None) => Ok(Found::One(self.commits[&id].commit)),
            _ => Ok(Found::Ambiguous),
        }
    }

    fn ancestors(&self, of: ObjectId, candidates: &[ObjectId]) -> Result<Vec<bool>> {
        let reached = self.reachable([of]);
        Ok(candidates.iter().map(|candidate| reached.contains(candidate)).collect())
    }

    fn distances(&self, of: ObjectId, candidates: &[ObjectId]) -> Result<Vec<Option<u32>>> {
        let mut distances = BTreeMap::new();
        let mut level: BTreeSet<ObjectId> = BTreeSet::from([of]);
        for distance in 0.. {
            level.retain(|id| !distances.contains_key(id));
            if level.is_empty() {
                break;
            }
            distances.extend(level.iter().map(|id| (*id, distance)));
            level = level.iter().flat_map(|id| self.commits[id].parents.clone()).collect();
        }
        Ok(candidates.iter().map(|candidate| distances.get(candidate).copied()).collect())
    }

    fn signature(&self, commit: ObjectId) -> Result<Option<Signature>> {
        let plain = |node: &Node| Signature { author: node.commit.time.into(), committer: node.commit.time.into() };
        let signed = self.signatures.get(&commit).copied();
        Ok(signed.or_else(|| self.commits.get(&commit).map(plain)))
    }

    fn dated(&self, time: DateTime<Utc>) -> Result<Vec<ObjectId>> {
        let tips = self.refs.iter().filter(|(name, _)| name != "HEAD").map(|(_, id)| *id);
        Ok(self.reachable(tips).into_iter().filter(|id| self.commits[id].commit.time == time).collect())
    }

    fn read_file(&self, commit: ObjectId, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let bytes = self.commits[&commit].files.get(path).map(|blob| self.blobs[blob].clone());
        match bytes {
            Some(bytes) if bytes.len() as u64 > limit => Err(Error::bad_gateway(format!("{path} is too large"))),
            bytes => Ok(bytes),
        }
    }

    fn files(&self, commit: ObjectId, folder: &str) -> Result<Vec<TreeFile>> {
        let below = |path: &&String| folder.is_empty() || has_prefix(path, folder);
        let files = self.commits[&commit].files.iter().filter(|(path, _)| below(path));
        Ok(files
            .map(|(path, blob)| TreeFile {
                path: path[folder.len()..].trim_start_matches('/').to_owned(),
                mode: FileMode::Regular,
                id: *blob,
                size: self.blobs[blob].len() as u64,
            })
            .collect())
    }

    fn content(&self, _commit: ObjectId, _folder: &str, file: &TreeFile) -> Result<Contents> {
        Ok(Contents::Plain(self.blobs[&file.id].clone()))
    }
}
