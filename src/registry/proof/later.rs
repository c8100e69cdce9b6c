//! The later check: files that were given unverified are held against the witness again, in the background.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::{MISNAMED, Mark, Proofs, Released, Waiting};
use crate::error::Result;
use crate::ports::Store;
use crate::registry::cached::blocking;
use crate::registry::entry::Meta;
use crate::registry::member::Judgement;
use crate::registry::stock::Address;
use crate::registry::walk::Registry;
use crate::spec::path::{self, ModulePath};
use crate::spec::question::Question;
use crate::spec::version::Version;

/// A kept file that waits to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    pub shelf: String,
    pub module: ModulePath,
    pub question: Question,
}

/// Has a file checked by a registry that its upstream stands in, see [`Registry::prove_kept`]; `false` if there is
/// none, or the file is not kept any more.
pub type Later = Arc<dyn Fn(Unproven) -> BoxFuture<'static, Result<bool>> + Send + Sync>;

/// So often somebody looks.
const EVERY: Duration = Duration::from_secs(60);

/// So many files are looked at before the list is read again, and so many of them at a time.
const BATCH: usize = 500;
const AT_A_TIME: usize = 8;

/// Looks after the files that wait, for as long as it runs.
pub async fn keep(proofs: Arc<Proofs>, store: Arc<dyn Store>, later: Later) {
    let rebuilding = proofs.clone();
    if let Err(error) = blocking(move || rebuilding.remember(&*store)).await {
        tracing::error!(%error, "which files are unverified is not known until the next start");
    }
    loop {
        proofs.look(&later).await;
        tokio::time::sleep(EVERY).await;
    }
}

impl Proofs {
    /// Finds the files that an earlier process left unverified. Blocking; it looks at every entry.
    pub fn remember(&self, store: &dyn Store) -> Result<()> {
        let now = self.clock.now();
        store.scan("upstream/", &mut |key, json| {
            if let Some(Meta { sum: Some(Mark::Unverified { why, since }), .. }) = Meta::parse(json)
                && let Some(Unproven { shelf, module, question }) = Unproven::of(key)
            {
                let waiting = Waiting {
                    upstream: crate::registry::shelf::name_in(&shelf).to_owned(),
                    module: module.to_string(),
                    version: question.version().map(ToString::to_string).unwrap_or_default(),
                    file: question.name().to_owned(),
                    why,
                    since,
                    next: now,
                };
                self.waiting.enter_first(key, waiting);
            }
            true
        })
    }

    /// Has all files checked whose turn it is.
    pub async fn look(&self, later: &Later) {
        let now = self.clock.now();
        loop {
            let due = self.waiting.due(now, BATCH);
            if due.is_empty() {
                return;
            }
            stream::iter(due).for_each_concurrent(AT_A_TIME, |key| self.look_at(key, later)).await;
        }
    }

    async fn look_at(&self, key: String, later: &Later) {
        let found = match Unproven::of(&key) {
            Some(unproven) => later(unproven).await,
            None => Ok(false),
        };
        match found {
            Ok(false) => self.waiting.leave(&key),
            Ok(true) => {}
            // One that was refused is in the log already.
            Err(error) if error.is_conclusive() => {}
            Err(error) => tracing::warn!(key, %error, "a file is unverified still"),
        }
        self.waiting.postpone(&key, self.clock.now());
    }
}

impl Registry {
    /// Holds a kept file against the witness again, without counting it as wanted; `false` where it is not kept, or none
    /// of the members is of this shelf.
    pub async fn prove_kept(&self, unproven: &Unproven) -> Result<bool> {
        let Unproven { shelf, module, question } = unproven;
        let (Some(prover), Some(member)) = (&self.prover, self.members.iter().find(|member| member.shelf() == shelf))
        else {
            return Ok(false);
        };
        let Some(released) = Released::kept(&member.source, module, question).await? else { return Ok(false) };
        if released.version.is_pseudo() && member.judgement == Judgement::Own {
            match member.source.kept_judgement(module, &released.version).await? {
                Some(true) => {}
                Some(false) => {
                    prover.proofs.marked(&released, Mark::Exempt { why: MISNAMED.to_owned() }).await;
                    return Ok(true);
                }
                // Whoever wants the file next has the name looked at; nobody outside is to learn a wrong one.
                None => return Ok(true),
            }
        }
        prover.testified(&released).await.map(|_| true)
    }
}

impl Unproven {
    /// `None` for what is no file of a version.
    fn of(key: &str) -> Option<Unproven> {
        let address = Address::parse(key)?;
        let module = ModulePath::parse(&path::unescape(address.module)?).ok()?;
        let version = Version::parse(&path::unescape(address.version()?)?)?;
        let question = match address.file.rsplit_once('.')?.1 {
            "mod" => Question::GoMod(version),
            "zip" => Question::Zip(version),
            _ => return None,
        };
        Some(Unproven { shelf: address.shelf.to_owned(), module, question })
    }
}
