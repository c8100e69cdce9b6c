//! Which versions are wrong, and which are right: each asked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures_util::StreamExt as _;
use indicatif::ProgressBar;

use super::documents::Pinned;
use crate::registry::{AnswerBody, Question, Reach, Registry};
use crate::spec::gomod::{GoMod, fits};
use crate::spec::path::ModulePath;
use crate::spec::verdict::{Standing, Verdict};
use crate::spec::version::Version;

/// Questions under way at once.
pub const AT_ONCE: usize = 8;

/// The largest go.mod of a dependency.
const GO_MOD_LIMIT: u64 = 16 << 20;

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Right,
    Wrong { right: String, reasons: Vec<String> },
    Unverified { why: String },
}

/// Asks a registry and remembers.
pub struct Judge<'a> {
    registry: &'a Registry,
    findings: Mutex<BTreeMap<Pinned, Finding>>,
    progress: ProgressBar,
}

impl<'a> Judge<'a> {
    pub fn new(registry: &'a Registry, progress: ProgressBar) -> Judge<'a> {
        Judge { registry, findings: Mutex::new(BTreeMap::new()), progress }
    }

    /// What was found out of every version asked about.
    pub fn findings(&self) -> BTreeMap<Pinned, Finding> {
        self.known().clone()
    }

    pub async fn judge_all(&self, all: BTreeSet<Pinned>) {
        self.progress.inc_length(all.len() as u64);
        let judged = all.into_iter().map(|pinned| async move {
            self.judge(&pinned).await;
            self.progress.inc(1);
        });
        futures_util::stream::iter(judged).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    pub async fn judge(&self, pinned: &Pinned) -> Finding {
        if let Some(finding) = self.known().get(pinned) {
            return finding.clone();
        }
        let finding = self.ask(pinned).await;
        self.known().insert(pinned.clone(), finding.clone());
        finding
    }

    /// What a version's go.mod requires; of a wrong version that is not served, what the right one's does. `None` if
    /// nobody can say.
    pub async fn requirements(&self, pinned: &Pinned) -> Option<Vec<Pinned>> {
        if let Some(found) = self.go_mod(pinned).await {
            return Some(found);
        }
        Version::parse(&pinned.version).filter(Version::is_pseudo)?;
        match self.judge(pinned).await {
            Finding::Wrong { right, .. } => self.go_mod(&Pinned::new(&pinned.module, &right)).await,
            Finding::Right | Finding::Unverified { .. } => None,
        }
    }

    async fn go_mod(&self, pinned: &Pinned) -> Option<Vec<Pinned>> {
        let module = ModulePath::parse(&pinned.module).ok()?;
        let question = Question::GoMod(Version::parse(&pinned.version)?);
        let data = match self.registry.answer(&module, &question, Reach::Upstream).await.ok()?.body {
            AnswerBody::Text(text) => text,
            AnswerBody::Blob(blob) => {
                tokio::task::spawn_blocking(move || blob.read_all(GO_MOD_LIMIT)).await.ok()?.ok()?
            }
        };
        let file = GoMod::parse_lax(&data).ok()?;
        Some(file.require.iter().map(|line| Pinned::new(&line.path, line.version.as_str())).collect())
    }

    async fn ask(&self, pinned: &Pinned) -> Finding {
        let module = match ModulePath::parse(&pinned.module) {
            Ok(module) => module,
            Err(error) => return Finding::Unverified { why: error.chain() },
        };
        let Some(version) = Version::parse(&pinned.version) else {
            return Finding::Unverified { why: format!("{:?} is no version", pinned.version) };
        };
        match self.registry.verdict(&module, &version).await {
            Ok(verdict) => finding(&verdict),
            Err(error) => Finding::Unverified { why: error.chain() },
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Pinned, Finding>> {
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn finding(verdict: &Verdict) -> Finding {
    match (verdict.standing, verdict.right().and_then(Version::parse)) {
        (Standing::Canonical | Standing::Valid, _) => Finding::Right,
        (Standing::Wrong, Some(right)) if fits(&verdict.module, &right) => Finding::Wrong {
            right: right.to_string(),
            reasons: verdict.faults.iter().map(ToString::to_string).collect(),
        },
        (Standing::Wrong, Some(right)) => {
            Finding::Unverified { why: format!("it is wrong, and the right version {right} needs another module path") }
        }
        (Standing::Wrong, None) => Finding::Unverified { why: "it is wrong, and no right version is known".to_owned() },
        (Standing::Unverifiable, _) => {
            Finding::Unverified { why: verdict.why.clone().unwrap_or_else(|| "nobody could be asked".to_owned()) }
        }
    }
}
