//! Tags that were moved or taken away after a version was served: found out even if nobody asks for the version.
//! Rules: docs/ledger.md.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};

use super::Question;
use super::borrow;
use super::cached::{Cached, Reach, blocking};
use super::member::Judgement;
use super::walk::Registry;
use crate::access::Ledger;
use crate::error::{Error, Result};
use crate::ports::Validators;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::verdict::Drift;
use crate::spec::version::Version;

/// So many rows are looked at together, and so many modules at a time.
const BATCH: usize = 500;
const AT_A_TIME: usize = 4;

impl Registry {
    /// Where a version's tag is now, if it is not where it was when the version was first served. What is found is
    /// written down; where `reach` says so, or no upstream of this registry has it from git, that is all that is told.
    pub async fn drift(&self, module: &ModulePath, version: &Version, reach: Reach) -> Result<Option<Drift>> {
        let Some(ledger) = self.ledger.clone().filter(|_| !version.is_pseudo()) else { return Ok(None) };
        let (reading, of) = (ledger.clone(), (module.clone(), version.clone()));
        let Some(row) = blocking(move || reading.row(&of.0, &of.1)).await? else { return Ok(None) };
        let Some((held, was)) = row.tagged() else { return Ok(None) };
        let is_asked = |shelf: &str| reach == Reach::Upstream && shelf == held.shelf;
        let asked = self.members.iter().find(|member| member.judgement == Judgement::Own && is_asked(member.shelf()));
        let Some(member) = asked.filter(|member| member.may_serve(module)) else { return Ok(row.drift) };
        let now = member.source.tagged_commit(module, version, was).await?;
        let of = (module.clone(), version.clone());
        blocking(move || ledger.note_commit(&of.0, &of.1, now.as_deref())).await
    }

    /// The same, out of what is written down where nobody can be asked.
    pub(super) async fn told_drift(
        &self,
        module: &ModulePath,
        version: &Version,
        reach: Reach,
    ) -> Result<Option<Drift>> {
        match self.drift(module, version, reach).await {
            Err(_) => self.drift(module, version, Reach::Cache).await,
            drift => drift,
        }
    }

    /// Looks at the tags of all versions that were ever served, and counts those that are not where they were.
    pub async fn check_drift(&self) -> Result<u64> {
        let Some(ledger) = &self.ledger else { return Ok(0) };
        let mut after = None;
        loop {
            let (reading, from) = (ledger.clone(), after.clone());
            let rows = blocking(move || reading.tagged(from.as_deref(), BATCH)).await?;
            let Some((last, ..)) = rows.last() else { break };
            after = Some(last.clone());
            let mut modules: BTreeMap<ModulePath, Vec<Version>> = BTreeMap::new();
            for (_, module, version) in rows {
                modules.entry(module).or_default().push(version);
            }
            let looks = modules.into_iter().map(|(module, versions)| self.look_at(module, versions));
            stream::iter(looks).buffer_unordered(AT_A_TIME).collect::<()>().await;
        }
        recount(ledger).await
    }

    async fn look_at(&self, module: ModulePath, versions: Vec<Version>) {
        for version in versions {
            // Who did not answer for one version is not waited for with all the others.
            if let Err(error) = self.drift(&module, &version, Reach::Upstream).await {
                tracing::debug!(%module, %version, %error, "where its tag is could not be found out");
                return;
            }
        }
    }

    /// Counts what is written down of tags that are not where they were, without asking anybody.
    pub async fn count_drift(&self) -> Result<u64> {
        match &self.ledger {
            Some(ledger) => recount(ledger).await,
            None => Ok(0),
        }
    }
}

async fn recount(ledger: &std::sync::Arc<Ledger>) -> Result<u64> {
    let ledger = ledger.clone();
    blocking(move || ledger.recount_drift()).await
}

impl Cached {
    /// The commit that a version's tag names now, after it was that of `was`; `None` where there is no such version
    /// any more.
    async fn tagged_commit(&self, module: &ModulePath, version: &Version, was: &str) -> Result<Option<String>> {
        let query = Query::Version(version.clone());
        let question = Question::Info(query.clone());
        let validators = Validators { revision: Some(was.to_owned()), ..Validators::default() };
        let found = match self.inner.unchanged(module, &question, &validators).await {
            Ok(same) if same.what => return Ok(Some(was.to_owned())),
            Ok(_) => self.inner.source.info(module, &query).await,
            Err(error) => Err(error),
        };
        match found {
            // A mirror that is not what its source is moves no tag.
            Ok(told) if told.is_doubtful() => {
                Err(borrow::out_of_reach(told.via.as_ref()).about(question.subject(module)))
            }
            Ok(told) => {
                let commit = told.what.right.origin.map(|origin| origin.hash).filter(|hash| !hash.is_empty());
                commit.map(Some).ok_or_else(|| Error::bad_gateway("no commit is named").about(question.subject(module)))
            }
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
