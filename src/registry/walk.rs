//! A registry: an ordered list of upstreams behind one address, walked as the go command walks GOPROXY.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quick_cache::sync::Cache;

use super::cached::{Cached, Reach};
use super::entry::{Entry, Freshness};
use super::tally::Tally;
use crate::error::{Error, Kind, Result};
use crate::ports::{Blob, Sumdb};
use crate::spec::path::{self, ModulePath};
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;
use crate::vet::mode::{Mode, Policy, Ruled, Wanted};

/// What happens when a member fails; an absence always goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Go's comma.
    #[default]
    Stop,
    /// Go's bar.
    GoOn,
}

/// Who says whether a pseudo-version is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The member knows the history: names are checked before a file is given.
    Own,
    /// The member is believed: another proxy, a folder.
    Believed,
}

/// One upstream of a registry.
pub struct Member {
    /// Shared by all registries that have this upstream.
    pub source: Arc<Cached>,
    pub on_failure: OnFailure,
    pub judgement: Judgement,
    /// What it may serve, as GOPRIVATE patterns; `None` is everything.
    pub modules: Option<String>,
    /// What it must never be asked for, as GOPRIVATE patterns.
    pub not_modules: Option<String>,
}

/// Ordered members behind one address.
pub struct Registry {
    name: String,
    policy: Policy,
    pub(super) members: Vec<Member>,
    /// Which member answered for a version, so that `.info`, `.mod` and `.zip` come from the same one.
    bound: Cache<String, usize>,
    /// Who is asked whether the checksum database knows a version.
    pub(super) database: Option<ChecksumDatabase>,
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
#[derive(Debug)]
pub struct Answer {
    pub body: AnswerBody,
    pub life: Life,
    pub freshness: Freshness,
    /// Since the upstream was asked.
    pub age: Duration,
    /// The member that answered.
    pub upstream: String,
}

#[derive(Debug)]
pub enum AnswerBody {
    /// Made for this request.
    Text(Bytes),
    /// As it is kept.
    Blob(Blob),
}

const BOUND: usize = 10_000;

impl Member {
    pub(super) fn may_serve(&self, module: &ModulePath) -> bool {
        let matches = |patterns: &String| path::matches_patterns(patterns, module.as_str());
        self.modules.as_ref().is_none_or(matches) && !self.not_modules.as_ref().is_some_and(matches)
    }
}

impl Registry {
    pub fn new(name: impl Into<String>, policy: impl Into<Policy>, members: Vec<Member>) -> Registry {
        let (name, policy, bound) = (name.into(), policy.into(), Cache::new(BOUND));
        Registry { name, policy, members, bound, database: None, served_wrong: AtomicU64::new(0) }
    }

    /// The same registry with a checksum database as a witness for what its proxies say.
    pub fn with_database(self, database: ChecksumDatabase) -> Registry {
        Registry { database: Some(database), ..self }
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

    /// Asks the members in order until one is not absent.
    pub async fn answer(&self, module: &ModulePath, question: &Question, reach: Reach) -> Result<Answer> {
        let mut tally = Tally::new(question.subject(module), reach);
        for at in self.order(module, question.version()) {
            let member = &self.members[at];
            match self.ask(member, module, question, reach).await {
                Ok((answer, version)) => {
                    // What is answered without asking says nothing of who would answer.
                    if let Some(version) = version.filter(|_| reach == Reach::Upstream) {
                        self.bound.insert(binding(module, &version), at);
                    }
                    return Ok(answer);
                }
                Err(error) => tally.note(member, error)?,
            }
        }
        Err(tally.end())
    }

    /// What a query stands for and what is wrong with it, whatever the mode would say.
    pub async fn resolve(&self, module: &ModulePath, query: &Query) -> Result<Resolution> {
        let question = Question::Info(query.clone());
        let mut tally = Tally::new(question.subject(module), Reach::Upstream);
        for at in self.order(module, question.version()) {
            let member = &self.members[at];
            match member.source.ask(module, &question, Reach::Upstream).await {
                Ok(entry) => return entry.into_resolution(),
                Err(error) => tally.note(member, error)?,
            }
        }
        Err(tally.end())
    }

    /// Whether a checksum database may be asked for a version: not for a wrong name, unless the mode
    /// lets wrong names pass as they are.
    pub async fn vouch(&self, module: &ModulePath, version: &Version, reach: Reach) -> Result<()> {
        let believed = |m: &&Member| m.judgement == Judgement::Believed;
        let barred = self.members.iter().any(|m| believed(&m))
            && !self.members.iter().filter(believed).any(|m| m.may_serve(module));
        if barred {
            let error = Error::forbidden("private module: no checksum database is asked for it").about(module);
            return Err(error.remedy("name it in GONOSUMDB or GOPRIVATE"));
        }
        let judges = self.members.iter().any(|m| m.judgement == Judgement::Own && m.may_serve(module));
        if self.policy.mode == Mode::Legacy || !version.is_pseudo() || !judges {
            return Ok(());
        }
        let mut tally = Tally::new(format!("{module}@{version}"), reach);
        for at in self.order(module, Some(version)) {
            let member = &self.members[at];
            let bound = self.bound.get(&binding(module, version)) == Some(at);
            if bound && member.judgement == Judgement::Believed {
                return Ok(());
            }
            let question = Question::Info(Query::Version(version.clone()));
            match member.source.ask(module, &question, reach).await {
                Ok(entry) => {
                    let ruled = Policy::from(Mode::Strict).rule(module, entry.into_resolution()?, Wanted::Info);
                    return ruled.map(drop).map_err(into_absence);
                }
                Err(error) => tally.note(member, error)?,
            }
        }
        match tally.end() {
            // Nobody here knows the module: that is for the database to say.
            error if error.is_absence() => Ok(()),
            error => Err(error),
        }
    }

    /// The members that may be asked; first the one that answered for this version before.
    pub(super) fn order(&self, module: &ModulePath, version: Option<&Version>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.members.len()).filter(|at| self.members[*at].may_serve(module)).collect();
        if let Some(first) = version.and_then(|version| self.bound.get(&binding(module, version))) {
            order.sort_by_key(|at| *at != first);
        }
        order
    }

    /// A member's answer, and the version that it is about.
    async fn ask(
        &self,
        member: &Member,
        module: &ModulePath,
        question: &Question,
        reach: Reach,
    ) -> Result<(Answer, Option<Version>)> {
        let source = &member.source;
        match question {
            Question::Info(query) => {
                let entry = source.ask(module, question, reach).await?;
                self.info(source, module, query, entry)
            }
            Question::GoMod(version) | Question::Zip(version) => {
                let mut life = Life::Forever;
                if version.is_pseudo() && member.judgement == Judgement::Own {
                    life = self.judge(source, module, question, version, reach).await?;
                }
                let entry = source.ask(module, question, reach).await?;
                Ok((Answer::kept(source, entry, life), Some(version.clone())))
            }
            Question::List | Question::Latest => {
                let entry = source.ask(module, question, reach).await?;
                Ok((Answer::kept(source, entry, Life::Short), None))
            }
        }
    }

    fn info(
        &self,
        source: &Cached,
        module: &ModulePath,
        query: &Query,
        entry: Entry,
    ) -> Result<(Answer, Option<Version>)> {
        let (freshness, age) = (entry.freshness, entry.age);
        let resolution = entry.into_resolution()?;
        let valid = resolution.is_valid();
        self.note_wrong(module, &resolution, Wanted::Info);
        let info = match self.policy.rule(module, resolution, Wanted::Info)? {
            Ruled::AsAsked(info) | Ruled::Rewritten(info) => info,
        };
        let life = match query {
            Query::Version(asked) if valid && info.version == asked.as_str() => Life::Forever,
            Query::Version(_) => Life::Never,
            Query::Latest | Query::Prefix(_) | Query::Revision(_) => Life::Short,
        };
        let body = AnswerBody::Text(info.to_json().into());
        let answer = Answer { body, life, freshness, age, upstream: source.name().to_owned() };
        Ok((answer, Version::parse(&info.version)))
    }

    /// Looks at the name before a file is given or even made.
    async fn judge(
        &self,
        source: &Cached,
        module: &ModulePath,
        question: &Question,
        version: &Version,
        reach: Reach,
    ) -> Result<Life> {
        let wanted = if matches!(question, Question::Zip(_)) { Wanted::Zip } else { Wanted::GoMod };
        let info = Question::Info(Query::Version(version.clone()));
        let resolution = source.ask(module, &info, reach).await?.into_resolution()?;
        let life = if resolution.is_valid() { Life::Forever } else { Life::Never };
        self.note_wrong(module, &resolution, wanted);
        self.policy.rule(module, resolution, wanted)?;
        Ok(life)
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
    fn kept(source: &Cached, entry: Entry, life: Life) -> Answer {
        Answer {
            body: AnswerBody::Blob(entry.blob),
            life,
            freshness: entry.freshness,
            age: entry.age,
            upstream: source.name().to_owned(),
        }
    }
}

fn binding(module: &ModulePath, version: &Version) -> String {
    format!("{module}@{version}")
}

/// The same words for a checksum database, which has no record of a wrong name.
fn into_absence(error: Error) -> Error {
    if error.kind() != Kind::Wrong {
        return error;
    }
    let mut absence = Error::not_found(error.what());
    for line in error.remedies() {
        absence = absence.remedy(line);
    }
    if let Some(right) = error.right_version() {
        absence = absence.right(right);
    }
    match error.subject() {
        Some(subject) => absence.about(subject),
        None => absence,
    }
}
