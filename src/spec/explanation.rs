//! A verdict with all that is needed to tell it: the version taken apart, rule by rule, the history, the commands.
//! Pure: what `modvet explain` prints and `/api/v1/verdicts/` answers.

use serde::{Deserialize, Serialize};

use super::examination::History;
use super::pseudo::PseudoVersion;
use super::reason::{Reason, Rule, base_in_words};
use super::verdict::{Evidence, Standing, Verdict};

/// A verdict, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The faults in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// For one's own go.mod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<String>,
    /// For a version that a dependency asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<String>,
    /// `None` for a version that is no pseudo-version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// A pseudo-version taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The version that it says it comes after, or why there is none.
    pub base: String,
    /// Fourteen digits.
    pub time: String,
    pub revision: String,
}

/// Whether a rule is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// With what shows it.
    Kept(String),
    Broken(Vec<Reason>),
    /// It could not be looked at.
    Open,
}

impl Explanation {
    pub fn new(verdict: Verdict, history: Option<History>) -> Explanation {
        let canonical = verdict.canonical.as_ref().map(|info| info.version.as_str());
        Explanation {
            reasons: verdict.faults.iter().map(|fault| fault.reason(&verdict.version, canonical)).collect(),
            require: verdict.require_command(),
            replace: verdict.replace_command(),
            parts: Parts::of(&verdict.version),
            history,
            verdict,
        }
    }

    /// The rules that hold for this version, each with how it stands.
    pub fn checks(&self) -> Vec<(Rule, Check)> {
        let all = Rule::ALL.into_iter();
        all.filter_map(|rule| self.check(rule).map(|check| (rule, check))).collect()
    }

    fn check(&self, rule: Rule) -> Option<Check> {
        let broken: Vec<Reason> = self.reasons.iter().filter(|reason| reason.rule == rule).cloned().collect();
        if !broken.is_empty() {
            return Some(Check::Broken(broken));
        }
        // What lacks +incompatible, or cannot have it, has a major version that is right or wrong with it.
        if rule == Rule::Major && self.reasons.iter().any(|reason| reason.rule == Rule::Incompatible) {
            return None;
        }
        let of_pseudo = matches!(rule, Rule::Revision | Rule::Time | Rule::Base);
        let accepted = self.accepted();
        if (of_pseudo && self.parts.is_none()) || (rule == Rule::Accepted && accepted.is_none()) {
            return None;
        }
        Some(self.shown(rule, accepted).map_or(Check::Open, Check::Kept))
    }

    /// What shows that a rule is kept.
    fn shown(&self, rule: Rule, accepted: Option<String>) -> Option<String> {
        let version = &self.verdict.version;
        let from_git = self.verdict.evidence.iter().any(|evidence| matches!(evidence, Evidence::Git { .. }));
        let stands = matches!(self.verdict.standing, Standing::Canonical | Standing::Valid);
        // Who accepts a version has looked at all of it; the history says which rules are kept else.
        let seen = from_git && self.history.is_some();
        let history = self.history.as_ref();
        match rule {
            Rule::Accepted => accepted,
            Rule::Revision if seen => history.map(|history| format!("commit {}", history.commit)),
            Rule::Time if seen => history.map(|history| format!("committed {}", history.time.format("%FT%TZ"))),
            Rule::Base if seen => Some(base_in_words(version)),
            Rule::Major if seen || stands => Some(version.split('.').next().unwrap_or_default().to_owned()),
            Rule::Incompatible if seen || stands => Some(match version.ends_with("+incompatible") {
                true => "it is there".to_owned(),
                false => "it is not there".to_owned(),
            }),
            Rule::GoMod if seen => Some(self.verdict.module.clone()),
            _ if stands => Some(accepted.unwrap_or_else(|| "accepted".to_owned())),
            _ => None,
        }
    }

    /// Who accepted the version without being the history.
    fn accepted(&self) -> Option<String> {
        if self.verdict.standing == Standing::Unverifiable || self.verdict.standing == Standing::Wrong {
            return None;
        }
        self.verdict.evidence.iter().rev().find_map(|evidence| match evidence {
            Evidence::ChecksumDatabase { name, accepted: true } => Some(format!("recorded by {name}")),
            Evidence::Upstream { name } => Some(format!("answered by upstream {name}")),
            _ => None,
        })
    }
}

impl Parts {
    fn of(version: &str) -> Option<Parts> {
        let pseudo = PseudoVersion::parse(version)?;
        Some(Parts {
            base: base_in_words(version),
            time: pseudo.timestamp().to_owned(),
            revision: pseudo.revision().to_owned(),
        })
    }
}
