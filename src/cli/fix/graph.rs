//! Who requires what: the go.mod files of all dependencies, read as the go command reads them without pruning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;

use super::documents::{Directives, Pinned, Stead};
use super::judge::{AT_ONCE, Finding, Judge};
use crate::spec::gomod::GoMod;
use crate::spec::version::Version;

/// What the dependencies of one module or workspace require.
#[derive(Debug, Default)]
pub struct Graph {
    /// A version required by a dependency, and one that requires it.
    pub askers: BTreeMap<Pinned, String>,
    /// Whether every go.mod could be read.
    pub complete: bool,
}

/// The modules whose own go.mod files are put right in the same run, by their folder.
pub type Own<'a> = BTreeMap<PathBuf, &'a Directives>;

struct Walk<'a> {
    judge: &'a Judge<'a>,
    /// Whose `replace` and `exclude` count.
    main: &'a Directives,
    folder: &'a Path,
    own: &'a Own<'a>,
    wrong: &'a BTreeMap<Pinned, Finding>,
    mains: BTreeSet<String>,
    graph: Graph,
    seen: BTreeSet<Pinned>,
}

/// Walks from the requirements of `roots`, which for a module is the module itself.
pub async fn walk(judge: &Judge<'_>, main: &Directives, folder: &Path, roots: &[&Directives], own: &Own<'_>) -> Graph {
    let wrong = judge.findings();
    let mains = roots.iter().filter_map(|root| root.module.clone()).collect();
    let graph = Graph { complete: true, ..Graph::default() };
    let mut walk = Walk { judge, main, folder, own, wrong: &wrong, mains, graph, seen: BTreeSet::new() };
    let mut next = Vec::new();
    for root in roots {
        walk.require_corrected(root, &mut next);
    }
    while !next.is_empty() {
        next = walk.step(next).await;
    }
    walk.graph
}

impl Walk<'_> {
    /// Requirements of a file that is put right: they ask for right versions.
    fn require_corrected(&mut self, file: &Directives, next: &mut Vec<Pinned>) {
        for line in &file.require {
            let mut pinned = Pinned::new(&line.path, line.version.as_str());
            if let Some(Finding::Wrong { right, .. }) = self.wrong.get(&pinned) {
                pinned.version.clone_from(right);
            }
            self.visit(pinned, next);
        }
    }

    fn visit(&mut self, pinned: Pinned, next: &mut Vec<Pinned>) {
        let is_main = self.mains.contains(&pinned.module);
        if !is_main && !self.main.excludes(&pinned) && self.seen.insert(pinned.clone()) {
            next.push(pinned);
        }
    }

    async fn step(&mut self, frontier: Vec<Pinned>) -> Vec<Pinned> {
        let mut next = Vec::new();
        let mut remote = Vec::new();
        for pinned in frontier {
            match self.main.replaced(&pinned) {
                Some(Stead::Folder(folder)) => self.local(&pinned, &folder, &mut next),
                Some(Stead::Module(stead)) => remote.push((pinned, stead)),
                None => remote.push((pinned.clone(), pinned)),
            }
        }
        let judge = self.judge;
        let asked = remote.into_iter().map(|(pinned, stead)| async move {
            let required = judge.requirements(&stead).await;
            (pinned, required)
        });
        let answers: Vec<_> = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for (pinned, required) in answers {
            match required {
                Some(required) => self.required(&pinned, required, &mut next),
                None => self.graph.complete = false,
            }
        }
        next
    }

    fn local(&mut self, pinned: &Pinned, folder: &str, next: &mut Vec<Pinned>) {
        let folder = self.folder.join(folder);
        if let Some(file) = folder.canonicalize().ok().and_then(|folder| self.own.get(&folder).copied()) {
            return self.require_corrected(file, next);
        }
        let read = std::fs::read(folder.join("go.mod")).ok();
        match read.and_then(|data| GoMod::parse_lax(&data).ok()) {
            Some(file) => {
                let required = file.require.iter().map(|line| Pinned::new(&line.path, line.version.as_str())).collect();
                self.required(pinned, required, next);
            }
            None => self.graph.complete = false,
        }
    }

    fn required(&mut self, asker: &Pinned, required: Vec<Pinned>, next: &mut Vec<Pinned>) {
        for pinned in required {
            let is_main = self.mains.contains(&pinned.module);
            if !is_main && Version::parse(&pinned.version).is_some_and(|version| version.is_pseudo()) {
                // The least of them, so that the answer does not depend on who was quicker.
                let known = self.graph.askers.entry(pinned.clone()).or_insert_with(|| asker.to_string());
                if asker.to_string() < *known {
                    *known = asker.to_string();
                }
            }
            self.visit(pinned, next);
        }
    }
}
