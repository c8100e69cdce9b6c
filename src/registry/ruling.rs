//! What the rules say of a version, told: every rule that was looked at, and what a client gets.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ruled::Gate;
use super::walk::Registry;
use super::{Question, Reach};
use crate::access::rules::{COOLDOWN, Count, Looked, RulesView, Seen, Verdict, Whole};
use crate::error::Result;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::version::Version;

/// A judgement and its reasons.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ruling {
    pub registry: String,
    pub module: String,
    /// What a query stands for; missing for a module as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The time that it is judged for.
    pub at: DateTime<Utc>,
    pub verdict: Word,
    /// The rule that decides, where one is about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// When a version that is too young passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes_from: Option<DateTime<Utc>>,
    /// When it was first seen, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<DateTime<Utc>>,
    /// It stood in the module's first list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_first_list: bool,
    /// Not from outside, so that no cooldown is about it.
    pub private: bool,
    /// In the order in which they are asked.
    pub looked: Vec<Looked>,
    /// What a client is told that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    Allowed,
    Denied,
    Young,
    /// Of a module: some versions pass.
    Depends,
}

impl Ruling {
    /// What anyone may be told: not the names of rules about other modules.
    pub fn without_others(mut self) -> Ruling {
        self.looked.retain(|looked| looked.matches);
        self
    }
}

impl Registry {
    /// What the rules say of the version that a question is about, and of the module for its list. Nothing is counted;
    /// when a version was first seen may have to be found out, as for a request. `at` is another time than now.
    pub async fn ruling(
        &self,
        module: &ModulePath,
        question: &Question,
        at: Option<DateTime<Utc>>,
        reach: Reach,
    ) -> Result<Ruling> {
        let (now, gate) = (at.unwrap_or(self.book.now()), self.gate(module, reach));
        let mut version = question.version().cloned();
        let is_denied = gate.as_ref().is_some_and(|gate| matches!(gate.relevant().whole(now), Whole::Denied(_)));
        if let (None, false, Some(query)) = (&version, is_denied, query(question)) {
            version = Version::parse(&self.resolve_unruled(module, &query).await?.right.version);
        }
        let (verdict, seen) = match (&gate, &version) {
            (Some(gate), Some(version)) => gate.ruled(version, now).await?,
            _ => (Verdict::Allowed(None), None),
        };
        let whole = gate.as_ref().filter(|_| version.is_none()).map(|gate| gate.relevant().whole(now));
        let verdict = match &whole {
            Some(Whole::Denied(denial)) => Verdict::Denied(denial.clone()),
            _ => verdict,
        };
        let asked = version.as_ref().map(Version::as_str).unwrap_or_default();
        let error = match &verdict {
            Verdict::Allowed(_) => None,
            Verdict::Denied(denial) => Some(denial.error(self.to_be_named(), module, asked, None)),
            Verdict::Young(young) => Some(young.error(self.to_be_named(), module, asked, None, now)),
        };
        let (word, rule, passes_from) = match verdict {
            Verdict::Allowed(_) if whole == Some(Whole::Depends) => (Word::Depends, None, None),
            Verdict::Allowed(rule) => (Word::Allowed, rule.map(|rule| rule.to_string()), None),
            Verdict::Denied(denial) => (Word::Denied, Some(denial.rule.to_string()), None),
            Verdict::Young(young) => (Word::Young, Some(COOLDOWN.to_owned()), Some(young.until)),
        };
        let private = self.gates.as_ref().is_some_and(|gates| gates.is_private(module));
        let looked = self.gates.as_ref().map(|gates| {
            let (_, rules) = gates.rulebook().rules();
            rules.looked(self.name(), module, private, version.as_ref(), seen, now)
        });
        Ok(Ruling {
            registry: self.name().to_owned(),
            module: module.to_string(),
            version: version.map(|version| version.to_string()),
            at: now,
            verdict: word,
            rule,
            passes_from,
            first_seen: seen.map(Seen::at),
            in_first_list: matches!(seen, Some(Seen::InFirstList(_))),
            private,
            looked: looked.unwrap_or_default(),
            error: error.map(|error| error.to_string()),
        })
    }

    /// The rule that denies a version by its name.
    pub fn denied_by(&self, module: &ModulePath, version: &Version) -> Option<String> {
        let gate = self.gate_to_tell(module)?;
        let denial = gate.relevant().judge(version, gate.now()).denial?;
        Some(denial.rule.to_string())
    }

    /// All rules, whatever registry they are about.
    pub fn rules(&self) -> Option<RulesView> {
        let rulebook = self.gates.as_ref()?.rulebook();
        Some(rulebook.rules().1.view(rulebook.counts(), self.book.now()))
    }

    /// How often rules said no in this registry, since the start.
    pub fn denials(&self) -> Vec<Count> {
        let counts = self.gates.as_ref().map(|gates| gates.rulebook().counts()).unwrap_or_default();
        counts.into_iter().filter(|count| count.registry == self.name()).collect()
    }
}

impl Gate<'_> {
    /// As `judge` at another time, without counting; and when the version was first seen, where that matters.
    async fn ruled(&self, version: &Version, at: DateTime<Utc>) -> Result<(Verdict, Option<Seen>)> {
        let judged = self.relevant().judge(version, at);
        if let Some(denial) = judged.denial {
            return Ok((Verdict::Denied(denial), None));
        }
        let allowed = Verdict::Allowed(judged.allowed_by);
        let Some(cooldown) = self.relevant().waits(version, at) else { return Ok((allowed, None)) };
        let mut seen = self.seen(version).await?;
        if cooldown.young(seen, at).is_some() {
            seen = self.seen_outside(version, seen).await;
        }
        match cooldown.young(seen, at) {
            Some(young) if !cooldown.dry_run => Ok((Verdict::Young(young), Some(seen))),
            _ => Ok((allowed, Some(seen))),
        }
    }
}

/// What has to be resolved before it can be judged.
fn query(question: &Question) -> Option<Query> {
    match question {
        Question::Latest => Some(Query::Latest),
        Question::Info(query @ (Query::Latest | Query::Prefix(_) | Query::Revision(_))) => Some(query.clone()),
        _ => None,
    }
}
