//! By which way a version comes in: the requirement graph of a module, read go.mod by go.mod.
//! Rules: go.dev/ref/mod#graph-pruning is not applied: every way counts, also those that a build leaves out.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::judge::{AT_A_TIME, Judge, Key};
use crate::spec::gomod::{GoMod, Replacement, Target};
use crate::spec::path::ModulePath;

/// Graphs of more versions than this are left at that.
const LARGEST: usize = 50_000;

/// The ways from a main module to what it depends on.
pub struct Graph<'a> {
    judge: &'a Judge,
    main: &'a GoMod,
    /// Who asked first for each version; `None`: the main module.
    parents: HashMap<Key, Option<Key>>,
}

impl<'a> Graph<'a> {
    /// Reads the graph until all of `wanted` were met; the shortest way to each is found.
    pub async fn search(judge: &'a Judge, main: &'a GoMod, wanted: &HashSet<Key>) -> Graph<'a> {
        let mut graph = Graph { judge, main, parents: HashMap::new() };
        // What the main module marks `// indirect` is there because somebody else asks for it: that one is looked for.
        let direct = main.require.iter().filter(|require| !require.indirect);
        graph.follow(direct.map(|require| (require.path.clone(), require.version.clone())).collect(), wanted).await;
        let indirect = main.require.iter().filter(|require| require.indirect);
        let indirect: Vec<Key> = indirect.map(|require| (require.path.clone(), require.version.clone())).collect();
        let (last, first): (Vec<Key>, Vec<Key>) = indirect.into_iter().partition(|key| wanted.contains(key));
        graph.follow(first, wanted).await;
        graph.follow(last, wanted).await;
        graph
    }

    /// `main -> path@version -> …`, ending with the version itself; empty if no way was found.
    pub fn way(&self, to: &Key) -> Vec<String> {
        let mut way = Vec::new();
        let mut next = self.parents.get_key_value(to);
        while let Some((key, parent)) = next {
            way.push(format!("{}@{}", key.0, key.1));
            next = parent.as_ref().and_then(|parent| self.parents.get_key_value(parent));
        }
        if !way.is_empty() {
            way.push(self.main.module.clone().unwrap_or_else(|| "the main module".to_owned()));
            way.reverse();
        }
        way
    }

    /// Whether a dependency asks for it, not only the main module.
    pub fn is_asked_for(&self, key: &Key) -> bool {
        self.parents.get(key).is_some_and(Option::is_some)
    }

    async fn follow(&mut self, from: Vec<Key>, wanted: &HashSet<Key>) {
        let mut level: Vec<Key> = Vec::new();
        for key in from {
            if !self.parents.contains_key(&key) {
                self.parents.insert(key.clone(), None);
                level.push(key);
            }
        }
        while !level.is_empty() && self.parents.len() < LARGEST && !self.has_all(wanted) {
            let graph = &*self;
            let read = stream::iter(&level).map(|key| async move { (key, graph.requirements(key).await) });
            // In the order of the files, so that of several shortest ways always the same one is shown.
            let read: Vec<(&Key, Vec<Key>)> = read.buffered(AT_A_TIME).collect().await;
            let mut next = Vec::new();
            for (parent, key) in
                read.into_iter().flat_map(|(parent, keys)| keys.into_iter().map(move |key| (parent, key)))
            {
                if !self.parents.contains_key(&key) {
                    self.parents.insert(key.clone(), Some(parent.clone()));
                    next.push(key);
                }
            }
            level = next;
        }
    }

    fn has_all(&self, wanted: &HashSet<Key>) -> bool {
        wanted.iter().all(|key| self.parents.contains_key(key))
    }

    /// What a version asks for; nothing if its go.mod is not to be had.
    async fn requirements(&self, key: &Key) -> Vec<Key> {
        let Some(bytes) = self.go_mod(key).await else { return Vec::new() };
        let requires = GoMod::parse_lax(&bytes).unwrap_or_default().require;
        requires.into_iter().map(|require| (require.path, require.version)).collect()
    }

    async fn go_mod(&self, (module, version): &Key) -> Option<Bytes> {
        let applies = |replace: &&Replacement| {
            replace.path == *module && replace.version.as_ref().is_none_or(|replaced| replaced == version)
        };
        let (module, version) = match self.main.replace.iter().find(applies).map(|replace| &replace.by) {
            Some(Target::Folder(_)) => return None,
            Some(Target::Module { path, version, .. }) => (path, version),
            None => (module, version),
        };
        let read = self.judge.go_mod(&ModulePath::parse(module).ok()?, version).await;
        read.inspect_err(|error| tracing::debug!(module, %version, %error, "left out of the graph")).ok()
    }
}
