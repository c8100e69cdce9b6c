//! A registry: an ordered list of upstreams behind one address, walked as the go command walks GOPROXY.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::binding::{Binding, Book};
use super::cached::{Cached, Reach};
use super::entry::{Entry, Freshness};
use super::member::{Judgement, Member};
use super::order::Order;
use super::proof::{Proof, Prover};
use super::ruled::Gates;
use crate::access::Ledger;
use crate::error::{Error, Result, Said};
use crate::ports::{Blob, Sumdb, Via};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;
use crate::vet::mode::{Mode, Policy, Wanted};

/// Ordered members behind one address.
pub struct Registry {
    name: String,
    pub(super) policy: Policy,
    pub(super) members: Vec<Member>,
    pub(super) book: Arc<Book>,
    /// Who is asked whether the checksum database knows a version.
    pub(super) database: Option<ChecksumDatabase>,
    /// Who holds the files of versions against it before they are given.
    pub(super) prover: Option<Prover>,
    /// What may pass.
    pub(super) gates: Option<Gates>,
    /// What was served under this name first.
    pub(super) ledger: Option<Arc<Ledger>>,
    /// Wrong names that were served as asked.
    served_wrong: AtomicU64,
}

/// A checksum database as the proxies of a registry hand it through.
pub struct ChecksumDatabase {
    pub name: String,
    pub records: Arc<dyn Sumdb>,
    /// What it must never be asked for, as GOPRIVATE patterns.
    pub not_modules: String,
}

/// A module and the upstream that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub module: String,
    pub upstream: String,
    pub since: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// `false` where it has lapsed: all are asked, and who answers is bound.
    pub stands: bool,
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It never changes.
    Forever,
    /// It goes stale.
    Short,
    /// It stands in for something wrong and must not be kept by anybody.
    Never,
}

/// What a client gets.
#[derive(Debug, Clone)]
pub struct Answer {
    pub body: AnswerBody,
    pub life: Life,
    pub freshness: Freshness,
    /// Since the upstream was asked.
    pub age: Duration,
    /// The member that answered.
    pub upstream: String,
    /// The version that was meant, where another name was asked for: a query, or a wrong version.
    pub right: Option<String>,
    /// What is known of the file of a version; `None` where nobody is to be asked.
    pub proof: Option<Proof>,
    /// The rule that lets it pass, where one is about it.
    pub rule: Option<Arc<str>>,
    /// The mirror that the upstream read it from.
    pub via: Option<Via>,
}

#[derive(Debug, Clone)]
pub enum AnswerBody {
    /// Made for this request.
    Text(Bytes),
    /// As it is kept.
    Blob(Blob),
}

impl Registry {
    /// `book` holds the bindings made under this name.
    pub fn new(name: impl Into<String>, policy: impl Into<Policy>, members: Vec<Member>, book: Arc<Book>) -> Registry {
        let (name, policy) = (name.into(), policy.into());
        let served_wrong = AtomicU64::new(0);
        let (database, prover, gates, ledger) = (None, None, None, None);
        Registry { name, policy, members, book, database, prover, gates, ledger, served_wrong }
    }

    /// The same registry with a checksum database as a witness for what its proxies say.
    pub fn with_database(self, database: ChecksumDatabase) -> Registry {
        Registry { database: Some(database), ..self }
    }

    /// The same registry with somebody who holds the files of versions against a witness before they are given.
    pub fn with_prover(self, prover: Prover) -> Registry {
        Registry { prover: Some(prover), ..self }
    }

    /// The same registry, which lets pass what the rules let pass.
    pub fn with_rules(self, gates: Gates) -> Registry {
        Registry { gates: Some(gates), ..self }
    }

    /// The same registry, which serves nothing but the first content of a version.
    pub fn with_ledger(self, ledger: Arc<Ledger>) -> Registry {
        Registry { ledger: Some(ledger), ..self }
    }

    /// What was served first.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger.as_ref()
    }

    /// How many answers gave a wrong name as it was asked for, since the start.
    pub fn served_wrong(&self) -> u64 {
        self.served_wrong.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn mode(&self) -> Mode {
        self.policy.mode
    }

    /// Asks the members until one is not absent, whatever the rules say.
    pub(super) async fn unruled(&self, module: &ModulePath, question: &Question, reach: Reach) -> Result<Answer> {
        loop {
            let mut order = Order::begin(self, module, question, reach).await?;
            let (at, answer, names_version) = loop {
                let Some(at) = order.next() else { return Err(order.end()) };
                match self.ask(&self.members[at], module, question, reach).await {
                    Ok((answer, names_version)) => break (at, answer, names_version),
                    Err(error) => order.note(at, error)?,
                }
            };
            if !names_version || order.bind(at).await? {
                return Ok(answer);
            }
        }
    }

    /// What a query stands for and what is wrong with it, whatever the mode and the rules would say.
    pub(super) async fn resolve_unruled(&self, module: &ModulePath, query: &Query) -> Result<Resolution> {
        let question = Question::Info(query.clone());
        loop {
            let mut order = Order::begin(self, module, &question, Reach::Upstream).await?;
            let (at, entry) = loop {
                let Some(at) = order.next() else { return Err(order.end()) };
                match self.members[at].source.ask(module, &question, Reach::Upstream).await {
                    Ok(entry) => break (at, entry),
                    Err(error) => order.note(at, error)?,
                }
            };
            if order.bind(at).await? {
                return entry.into_resolution();
            }
        }
    }

    /// The modules that are bound to an upstream, also where the binding has lapsed.
    #[cfg(test)]
    pub async fn bindings(&self) -> Result<Vec<Bound>> {
        self.bindings_after(None, usize::MAX).await
    }

    /// So many of them at most, in the order of their escaped paths, from the one behind `after`.
    pub async fn bindings_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<Bound>> {
        let bound = |(module, binding): (ModulePath, Binding)| self.bound(&module, &binding);
        Ok(self.book.some(after, limit).await?.into_iter().filter_map(bound).collect())
    }

    /// The upstream that a module is bound to.
    pub async fn binding(&self, module: &ModulePath) -> Result<Option<Bound>> {
        Ok(self.book.find(module).await?.and_then(|binding| self.bound(module, &binding)))
    }

    fn bound(&self, module: &ModulePath, binding: &Binding) -> Option<Bound> {
        let upstream = binding.upstream_name()?.to_owned();
        let stands = self.holds(module, binding, self.book.now()).is_some();
        Some(Bound { module: module.to_string(), upstream, since: binding.since, until: binding.until, stands })
    }

    /// Takes a module's binding away, so that all are asked anew; `false` if there was none.
    pub async fn unbind(&self, module: &ModulePath) -> Result<bool> {
        self.book.unbind(module).await
    }

    /// A member's answer, and whether it names a version.
    pub(super) async fn ask(
        &self,
        member: &Member,
        module: &ModulePath,
        question: &Question,
        reach: Reach,
    ) -> Result<(Answer, bool)> {
        let source = &member.source;
        match question {
            Question::Info(query) => {
                let entry = source.ask(module, question, reach).await?;
                Ok((self.info(source, module, query, entry)?, true))
            }
            Question::GoMod(version) | Question::Zip(version) => {
                let (mut life, mut right) = (Life::Forever, None);
                if version.is_pseudo() && member.judgement == Judgement::Own {
                    (life, right) = self.judge(source, module, question, version, reach).await?;
                }
                self.refused_lately(module, question)?;
                let entry = source.ask(module, question, reach).await?;
                let proof = self.prove(member, module, question, &entry, life).await?;
                let answer = self.first(member, module, question, entry, proof, life).await?;
                Ok((Answer { right, ..answer }, true))
            }
            Question::List | Question::Latest => {
                let entry = source.ask(module, question, reach).await?;
                // A list without versions says only that the path is somebody's.
                let names_version = entry.blob.size() > 0;
                Ok((Answer::kept(source, entry, Life::Short), names_version))
            }
        }
    }

    fn info(&self, source: &Cached, module: &ModulePath, query: &Query, entry: Entry) -> Result<Answer> {
        let (freshness, age) = (entry.freshness, entry.age);
        let resolution = entry.resolution()?;
        let valid = resolution.is_valid();
        let right = Some(&resolution.right.version).filter(|right| *right != query.as_str()).cloned();
        self.note_wrong(module, resolution, Wanted::Info);
        let life = match query {
            Query::Version(asked) if valid && resolution.right.version == asked.as_str() => Life::Forever,
            Query::Version(_) => Life::Never,
            Query::Latest | Query::Prefix(_) | Query::Revision(_) => Life::Short,
        };
        let body = match &entry.info {
            // Every mode says of it what it is.
            Some(info) if valid => AnswerBody::Blob(info.clone()),
            _ => {
                let ruled = self.policy.rule(module, resolution.clone(), Wanted::Info);
                let ruled = ruled.map_err(|error| said(error, source, freshness, age))?;
                AnswerBody::Text(ruled.info().to_json().into())
            }
        };
        let via = entry.via;
        let upstream = source.name().to_owned();
        Ok(Answer { body, life, freshness, age, upstream, right, proof: None, rule: None, via }.of_mirror())
    }

    /// Looks at the name before a file is given or even made; of a wrong one it says the right one.
    async fn judge(
        &self,
        source: &Cached,
        module: &ModulePath,
        question: &Question,
        version: &Version,
        reach: Reach,
    ) -> Result<(Life, Option<String>)> {
        let wanted = if matches!(question, Question::Zip(_)) { Wanted::Zip } else { Wanted::GoMod };
        let info = Question::Info(Query::Version(version.clone()));
        let entry = source.ask(module, &info, reach).await?;
        let (freshness, age) = (entry.freshness, entry.age);
        let resolution = entry.resolution()?;
        // Every mode gives it.
        if resolution.is_valid() {
            return Ok((Life::Forever, None));
        }
        let right = Some(resolution.right.version.clone());
        self.note_wrong(module, resolution, wanted);
        let ruled = self.policy.rule(module, resolution.clone(), wanted);
        ruled.map_err(|error| said(error, source, freshness, age))?;
        Ok((Life::Never, right))
    }

    /// Counts and logs a wrong name that goes out as it was asked for.
    fn note_wrong(&self, module: &ModulePath, resolution: &Resolution, wanted: Wanted) {
        if self.policy.mode != Mode::Legacy || resolution.is_valid() {
            return;
        }
        self.served_wrong.fetch_add(1, Ordering::Relaxed);
        let Resolution { asked, right, .. } = resolution;
        tracing::warn!(subject = %format!("{module}@{asked}"), right = right.version, ?wanted, "wrong version served");
    }
}

impl Answer {
    pub(super) fn kept(source: &Cached, entry: Entry, life: Life) -> Answer {
        Answer {
            body: AnswerBody::Blob(entry.blob),
            life,
            freshness: entry.freshness,
            age: entry.age,
            upstream: source.name().to_owned(),
            right: None,
            proof: None,
            rule: None,
            via: entry.via,
        }
        .of_mirror()
    }

    /// What the source of a mirror would have said may be found out yet.
    fn of_mirror(self) -> Answer {
        let life = match self.life {
            Life::Forever if self.via.as_ref().is_some_and(Via::is_doubtful) => Life::Short,
            life => life,
        };
        Answer { life, ..self }
    }

    pub(super) fn proven(self, proof: Option<Proof>) -> Answer {
        let life = match (proof, self.life) {
            // It may be found to be another one yet.
            (Some(Proof::Unverified), Life::Forever) => Life::Short,
            (_, life) => life,
        };
        Answer { life, proof, ..self }
    }
}

/// A refusal that rests on what is known of an upstream.
pub(super) fn said(error: Error, source: &Cached, freshness: Freshness, age: Duration) -> Error {
    error.said(Said { upstream: source.name().to_owned(), cache: freshness.as_str(), age })
}
