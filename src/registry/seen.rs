//! How the first sight of a version is found out: what is written down, its module's list, what is kept of it, and
//! what its upstream says of the time since when it has had it.

use chrono::{DateTime, Utc};

use super::Question;
use super::member::{Judgement, Member};
use super::ruled::{Gate, read_list};
use crate::access::rules::{Seen, sights};
use crate::error::{Kind, Result};
use crate::spec::query::Query;
use crate::spec::version::Version;

impl Gate<'_> {
    /// When a version was first seen. One that nobody saw is asked for: what is not there has no age. Then its module's
    /// list is looked at, since the versions of a first list are told apart from those that are asked for by name.
    pub(super) async fn seen(&self, version: &Version) -> Result<Seen> {
        let book = self.sights();
        if let Some(seen) = book.find(self.module()).await?.seen(version) {
            return Ok(seen);
        }
        let at = match self.registry().unruled(self.module(), &info(version), self.reach()).await {
            Ok(answer) => self.said_since(&answer.upstream, version).await?,
            Err(error) if error.kind() == Kind::Wrong => return Err(error),
            // What is kept of it may be served all the same.
            Err(error) => match self.holder().await? {
                Some(member) => match self.kept_since(member, version).await? {
                    None => return Err(error),
                    kept => kept,
                },
                None => return Err(error),
            },
        };
        if !version.is_pseudo() {
            self.look_at_list().await?;
            if let Some(seen) = book.find(self.module()).await?.seen(version) {
                return Ok(seen);
            }
        }
        self.note(version, at.unwrap_or(self.now())).await
    }

    /// The same for a version that is young by what was seen here: its upstream may have had it for longer.
    pub(super) async fn seen_outside(&self, version: &Version, seen: Seen) -> Seen {
        if self.has_said(version) {
            return seen;
        }
        let earlier = async {
            let answer = self.registry().unruled(self.module(), &info(version), self.reach()).await?;
            let said = self.said_since(&answer.upstream, version).await?;
            self.note_said(version);
            match said {
                Some(at) if at < seen.at() => self.note(version, at).await,
                _ => Ok(seen),
            }
        };
        earlier.await.unwrap_or_else(|error| {
            // It only stays as young as it is.
            tracing::debug!(module = %self.module(), %version, %error, "nobody says how old it is");
            seen
        })
    }

    /// Whether a version of a list is young, by what is written down.
    pub(super) async fn is_young_at_sight(&self, version: &Version) -> Result<bool> {
        let Some(cooldown) = self.relevant().waits(version, self.now()) else { return Ok(false) };
        let seen = self.sights().find(self.module()).await?.seen(version);
        Ok(seen.is_some_and(|seen| cooldown.young(seen, self.now()).is_some()))
    }

    /// The same, and the upstream is asked.
    pub(super) async fn is_young(&self, version: &Version) -> Result<bool> {
        let Some(cooldown) = self.relevant().waits(version, self.now()) else { return Ok(false) };
        let Some(seen) = self.sights().find(self.module()).await?.seen(version) else { return Ok(false) };
        let seen = self.seen_outside(version, seen).await;
        Ok(cooldown.young(seen, self.now()).is_some())
    }

    /// When the list that an upstream answered with was first seen as it is.
    pub(super) async fn listed_at(&self, upstream: &str) -> Result<DateTime<Utc>> {
        let since = match self.member(upstream) {
            Some(member) => self.since(member, &Question::List).await?,
            None => None,
        };
        Ok(since.map_or(self.now(), |since| since.min(self.now())))
    }

    async fn look_at_list(&self) -> Result<()> {
        let answer = match self.registry().unruled(self.module(), &Question::List, self.reach()).await {
            Ok(answer) => answer,
            // What it says of the version itself is asked next.
            Err(error) => {
                tracing::debug!(module = %self.module(), %error, "no list says how old a version is");
                return Ok(());
            }
        };
        let (versions, answer) = read_list(answer).await?;
        let at = self.listed_at(&answer.upstream).await?;
        self.sights().note_list(self.module(), versions, at).await.map(drop)
    }

    async fn note(&self, version: &Version, at: DateTime<Utc>) -> Result<Seen> {
        let at = at.min(self.now());
        let sights = self.sights().note(self.module(), version, at).await?;
        Ok(sights.seen(version).unwrap_or(Seen::At(at)))
    }

    /// The member that the module is bound to.
    async fn holder(&self) -> Result<Option<&Member>> {
        let registry = self.registry();
        let binding = registry.book.find(self.module()).await?;
        let at = binding.and_then(|binding| registry.holds(self.module(), &binding, self.now()));
        Ok(at.map(|at| &registry.members[at]))
    }

    fn member(&self, upstream: &str) -> Option<&Member> {
        self.registry().members.iter().find(|member| member.name() == upstream)
    }

    async fn said_since(&self, upstream: &str, version: &Version) -> Result<Option<DateTime<Utc>>> {
        match self.member(upstream) {
            Some(member) => self.kept_since(member, version).await,
            None => Ok(None),
        }
    }

    /// The earliest that is known of what is kept of a version.
    async fn kept_since(&self, member: &Member, version: &Version) -> Result<Option<DateTime<Utc>>> {
        let mut earliest: Option<DateTime<Utc>> = None;
        for question in [info(version), Question::GoMod(version.clone()), Question::Zip(version.clone())] {
            if let Some(at) = self.since(member, &question).await? {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            }
        }
        Ok(earliest)
    }

    /// Since when an answer is kept as it is, or its upstream says to have had it. A commit's time says nothing: its
    /// author sets it.
    async fn since(&self, member: &Member, question: &Question) -> Result<Option<DateTime<Utc>>> {
        let Some((fetched_at, header)) = member.source.since(self.module(), question).await? else { return Ok(None) };
        let said = header.filter(|_| member.judgement == Judgement::Believed);
        let said = said.and_then(|header| sights::modified(&header, self.now()));
        Ok(Some(said.map_or(fetched_at, |said| said.min(fetched_at))))
    }
}

fn info(version: &Version) -> Question {
    Question::Info(Query::Version(version.clone()))
}
