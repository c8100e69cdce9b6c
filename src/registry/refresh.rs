//! Asking an upstream anew what it said of a module, at once and whatever is fresh: of git for all modules of the
//! repository. Must not know who wants it. Rules: docs/api.md, "Renewing at once".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::cached::{Cached, Inner, blocking};
use super::entry::{Freshness, Kept, Meta};
use super::flight::Flights;
use super::order::Order;
use super::stock::Address;
use super::walk::Registry;
use super::{Question, Reach};
use crate::error::{Error, Result};
use crate::ports::{Examiner, Heard};
use crate::spec::info::{Info, ObjectId};
use crate::spec::path::{self, ModulePath};
use crate::spec::refs::Refs;
use crate::spec::version::Version;

/// So many answers are asked for at a time.
const AT_A_TIME: usize = 8;
/// The largest list or `.info` that is told apart from the one before it, in bytes.
const LARGEST: u64 = 16 << 20;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    pub registry: String,
    pub module: String,
    pub upstream: String,
    #[serde(flatten)]
    pub renewal: Renewal,
}

/// What an upstream says now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// Of a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<RefChanges>,
    /// All modules of which a list or the latest version is kept, by path.
    pub modules: Vec<ModuleChanges>,
    /// How many answers were asked for anew: lists, latest versions, branches, hashes.
    pub renewed: usize,
    /// How many of them could not be had; those that were kept still are.
    pub failed: usize,
}

/// How the heads and tags of a repository differ from those known before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefChanges {
    /// How many there are now.
    pub count: usize,
    pub added: usize,
    pub moved: usize,
    pub removed: usize,
}

/// How the versions of a module differ from those known before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleChanges {
    pub module: String,
    /// How many its list has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<usize>,
    /// The same before; missing where no list was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions_before: Option<usize>,
    /// What the list has that the kept one had not.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_before: Option<String>,
}

impl Registry {
    /// Asks the upstream that a request for the module's list would ask, at once.
    pub async fn refresh(&self, module: &ModulePath) -> Result<Refreshed> {
        if let Some(gate) = self.gate(module, Reach::Upstream) {
            gate.before(&Question::List).await?;
        }
        let mut order = Order::begin(self, module, &Question::List, Reach::Upstream).await?;
        loop {
            let Some(at) = order.next() else { return Err(order.end()) };
            let source = &self.members[at].source;
            match source.refresh(module).await {
                Ok(renewal) => {
                    let (registry, upstream) = (self.name().to_owned(), source.name().to_owned());
                    let renewal = Renewal::clone(&renewal);
                    return Ok(Refreshed { registry, module: module.to_string(), upstream, renewal });
                }
                Err(error) => order.note(at, error)?,
            }
        }
    }
}

impl Cached {
    /// Who asks while this goes on for the module waits for one that begins afterwards, together with all others.
    async fn refresh(&self, module: &ModulePath) -> Result<Arc<Renewal>> {
        let (inner, examiner, renewals) = (self.inner.clone(), self.examiner.clone(), self.renewals.clone());
        let (round, at) = (Round { inner, examiner, renewals }, module.clone());
        let work = move || -> BoxFuture<'static, Result<Arc<Renewal>>> {
            Box::pin(async move { round.run(&at).await.map(Arc::new) })
        };
        self.refreshes.join(module.as_str(), work).await
    }
}

/// One renewal of all that is known of a module and its repository.
struct Round {
    inner: Arc<Inner>,
    examiner: Option<Arc<dyn Examiner>>,
    renewals: Flights<(Arc<Kept>, Freshness)>,
}

/// A kept answer that may have changed.
#[derive(Clone)]
struct Row {
    key: String,
    module: ModulePath,
    question: Question,
}

/// What is kept of a module's list, and of its latest version.
#[derive(Default)]
struct Known {
    list: Option<BTreeSet<String>>,
    latest: Option<String>,
}

impl Round {
    async fn run(self, module: &ModulePath) -> Result<Renewal> {
        let heard = match &self.examiner {
            Some(examiner) => examiner.hear(module).await?,
            None => None,
        };
        let root = heard.as_ref().map_or(module.as_str(), |heard| heard.root.as_str()).to_owned();
        let is_whole = heard.is_some();
        self.forget_refusals(&root, is_whole);
        let inner = self.inner.clone();
        let mut rows = blocking(move || inner.changeable(&root, is_whole)).await?;
        let before = self.known(&rows).await?;
        let is_own = |row: &Row| row.module == *module && row.question == Question::List;
        if !rows.iter().any(is_own) {
            let (question, module) = (Question::List, module.clone());
            rows.push(Row { key: self.inner.key(&module, &question), module, question });
        }
        let own = self.renew_all(&rows, is_own).await;
        // A repository may be named by its root, where there need be no module.
        let is_root = heard.as_ref().is_some_and(|heard| heard.root == module.as_str());
        match own.error {
            Some(error) if !(is_root && error.is_absence()) => return Err(error),
            _ => {}
        }
        let modules = changes(&before, &self.known(&rows).await?);
        let refs = heard.as_ref().map(RefChanges::of);
        let renewal = Renewal { refs, modules, renewed: own.renewed, failed: own.failed };
        renewal.log(self.inner.shelf.name(), module);
        Ok(renewal)
    }

    /// That somebody had nothing a moment ago says nothing of now.
    fn forget_refusals(&self, root: &str, is_whole: bool) {
        let prefix = self.inner.prefix(root);
        self.inner.refusals.retain(|key, _| !is_below(key, &prefix, is_whole));
    }

    async fn renew_all(&self, rows: &[Row], is_own: impl Fn(&Row) -> bool) -> Renewing {
        // Collected, since each borrows this round and no row.
        let renewing: Vec<_> = rows.iter().map(|row| self.renew(row.clone(), is_own(row))).collect();
        let done: Vec<(bool, Option<Error>)> = stream::iter(renewing).buffer_unordered(AT_A_TIME).collect().await;
        let is_failure = |error: &Option<Error>| error.as_ref().is_some_and(|error| !error.is_absence());
        let failed = done.iter().filter(|(_, error)| is_failure(error)).count();
        let renewed = done.len() - failed;
        let error = done.into_iter().find_map(|(is_own, error)| error.filter(|_| is_own));
        Renewing { renewed, failed, error }
    }

    /// Asks for one answer anew, and says why it could not be had, if so.
    async fn renew(&self, row: Row, is_own: bool) -> (bool, Option<Error>) {
        let Row { key, module, question } = row;
        let work = || self.inner.clone().renewed_anyway(key.clone(), module.clone(), question.clone());
        // One that began before the refs were heard may be about to write down what they were.
        let mut renewed = self.renewals.join_next(&key, work).await;
        // Somebody was faster, whom what had just been written down was fresh enough for: nobody was asked.
        while matches!(renewed, Ok((_, Freshness::Fresh))) {
            renewed = self.renewals.join_next(&key, work).await;
        }
        let error = match renewed {
            // A mirror took the upstream's place, or it failed while something is kept.
            Ok((_, Freshness::Stale)) => self.inner.refusal(&key, self.inner.clock.now()),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        (is_own, error)
    }

    /// What is kept of lists and latest versions, by module.
    async fn known(&self, rows: &[Row]) -> Result<BTreeMap<String, Known>> {
        let rows = rows.to_vec();
        let inner = self.inner.clone();
        blocking(move || {
            let mut known: BTreeMap<String, Known> = BTreeMap::new();
            for Row { key, module, question } in rows {
                if !matches!(question, Question::List | Question::Latest) {
                    continue;
                }
                let Some(kept) = inner.read(&key)? else { continue };
                let bytes = kept.blob.read_all(LARGEST)?;
                let text = String::from_utf8_lossy(&bytes);
                let module = known.entry(module.to_string()).or_default();
                match question {
                    Question::List => module.list = Some(text.lines().map(str::to_owned).collect()),
                    _ => module.latest = serde_json::from_str::<Info>(&text).ok().map(|info| info.version),
                }
            }
            Ok(known)
        })
        .await
    }
}

/// How it went.
struct Renewing {
    renewed: usize,
    failed: usize,
    /// Why the list of the module itself could not be had.
    error: Option<Error>,
}

impl Inner {
    fn prefix(&self, path: &str) -> String {
        format!("upstream/{}/{}", self.shelf.as_str(), path::escape(path))
    }

    /// The answers that may change of the module at a path, or of all modules there and below. Blocking.
    fn changeable(&self, root: &str, is_whole: bool) -> Result<Vec<Row>> {
        let (prefix, mut rows) = (self.prefix(root), Vec::new());
        self.store.scan(&prefix, &mut |key, meta| {
            if is_below(key, &prefix, is_whole) && Meta::parse(meta).is_some_and(|meta| !meta.lasting) {
                rows.extend(Row::of(key));
            }
            true
        })?;
        Ok(rows)
    }
}

impl Row {
    fn of(key: &str) -> Option<Row> {
        let address = Address::parse(key)?;
        let module = ModulePath::unescape(address.module).ok()?;
        let question = Question::at_address(address.file)?;
        Some(Row { key: key.to_owned(), module, question })
    }
}

/// Whether a key is of the module that a prefix is of, or of one below it.
fn is_below(key: &str, prefix: &str, is_whole: bool) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("/@") || (is_whole && rest.starts_with('/')))
}

fn changes(before: &BTreeMap<String, Known>, after: &BTreeMap<String, Known>) -> Vec<ModuleChanges> {
    let nothing = Known::default();
    let modules: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changes = |module: &String| {
        let (was, is) = (before.get(module).unwrap_or(&nothing), after.get(module).unwrap_or(&nothing));
        was.changes(is, module)
    };
    modules.into_iter().map(changes).collect()
}

impl Known {
    /// How this differs from what is known of the module afterwards.
    fn changes(&self, after: &Known, module: &str) -> ModuleChanges {
        let none = BTreeSet::new();
        let (added, removed) = match (&self.list, after.list.as_ref().unwrap_or(&none)) {
            (Some(was), is) => (sorted(is.difference(was)), sorted(was.difference(is))),
            (None, _) => (Vec::new(), Vec::new()),
        };
        ModuleChanges {
            module: module.to_owned(),
            versions: after.list.as_ref().map(BTreeSet::len),
            versions_before: self.list.as_ref().map(BTreeSet::len),
            added,
            removed,
            latest: after.latest.clone(),
            latest_before: self.latest.clone(),
        }
    }
}

/// As a list of the protocol has them.
fn sorted<'a>(versions: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut versions: Vec<String> = versions.cloned().collect();
    versions.sort_by_cached_key(|version| Version::parse(version));
    versions
}

impl RefChanges {
    fn of(heard: &Heard) -> RefChanges {
        let none = Refs::default();
        let (before, after) = (heard.before.as_deref().unwrap_or(&none), &*heard.after);
        RefChanges {
            count: named(after).count(),
            added: named(after).filter(|(name, _)| before.get(name).is_none()).count(),
            moved: named(after).filter(|(name, id)| before.get(name).is_some_and(|was| was != *id)).count(),
            removed: named(before).filter(|(name, _)| after.get(name).is_none()).count(),
        }
    }
}

/// Heads and tags; `HEAD` only says which of them is meant.
fn named(refs: &Refs) -> impl Iterator<Item = (&str, ObjectId)> {
    refs.iter().filter(|(name, _)| *name != "HEAD")
}

impl Renewal {
    fn log(&self, upstream: &str, module: &ModulePath) {
        let added: usize = self.modules.iter().map(|module| module.added.len()).sum();
        let Renewal { modules, renewed, failed, .. } = self;
        tracing::info!(upstream, %module, modules = modules.len(), added, renewed, failed, "asked anew");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(versions: &[&str]) -> Vec<String> {
        versions.iter().map(|version| (*version).to_owned()).collect()
    }

    fn known(list: &[&str], latest: Option<&str>) -> Known {
        Known { list: Some(texts(list).into_iter().collect()), latest: latest.map(str::to_owned) }
    }

    #[test]
    fn what_lists_gained_and_lost_is_told_in_the_order_of_versions() {
        let before = BTreeMap::from([
            ("example.com/a".to_owned(), known(&["v1.9.0", "v1.10.0"], Some("v1.10.0"))),
            ("example.com/gone".to_owned(), known(&["v1.0.0"], None)),
        ]);
        let after = BTreeMap::from([
            ("example.com/a".to_owned(), known(&["v1.9.0", "v1.11.0", "v1.2.0"], Some("v1.11.0"))),
            ("example.com/new".to_owned(), known(&["v2.0.0"], None)),
        ]);
        let expected = [
            ModuleChanges {
                module: "example.com/a".to_owned(),
                versions: Some(3),
                versions_before: Some(2),
                added: texts(&["v1.2.0", "v1.11.0"]),
                removed: texts(&["v1.10.0"]),
                latest: Some("v1.11.0".to_owned()),
                latest_before: Some("v1.10.0".to_owned()),
            },
            ModuleChanges {
                module: "example.com/gone".to_owned(),
                versions_before: Some(1),
                removed: texts(&["v1.0.0"]),
                ..ModuleChanges::default()
            },
            // No list was kept, so nobody knows what of it is new.
            ModuleChanges { module: "example.com/new".to_owned(), versions: Some(1), ..ModuleChanges::default() },
        ];
        assert_eq!(changes(&before, &after), expected);
    }

    #[test]
    fn heads_and_tags_are_counted_and_what_head_means_is_not() {
        let refs = |pairs: &[(&str, u8)]| {
            Arc::new(Refs::new(pairs.iter().map(|(name, id)| ((*name).to_owned(), ObjectId([*id; 20])))))
        };
        let before = refs(&[("HEAD", 1), ("refs/heads/main", 1), ("refs/heads/old", 2), ("refs/tags/v1.0.0", 3)]);
        let after = refs(&[("HEAD", 4), ("refs/heads/main", 4), ("refs/tags/v1.0.0", 3), ("refs/tags/v1.1.0", 4)]);
        let heard = Heard { root: "example.com/m".to_owned(), before: Some(before), after };
        assert_eq!(RefChanges::of(&heard), RefChanges { count: 3, added: 1, moved: 1, removed: 1 });
        let first = Heard { before: None, ..heard };
        assert_eq!(RefChanges::of(&first), RefChanges { count: 3, added: 3, moved: 0, removed: 0 });
    }
}
