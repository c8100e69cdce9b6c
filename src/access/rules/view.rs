//! The rules as they are told: by the programming interface, in JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Cooldown, Count, Exception, Range, Rule, Rules, Until};

/// All rules that count, and what they did since the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RulesView {
    /// What becomes of versions that no rule is about.
    pub default: String,
    /// In the order in which they are asked.
    pub rules: Vec<RuleView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<CooldownView>,
    /// By registry and rule; `default` and `cooldown` are rules here.
    pub counts: Vec<Count>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleView {
    pub name: String,
    pub action: String,
    pub registries: Vec<String>,
    pub modules: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// It is over.
    pub ended: bool,
    pub dry_run: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CooldownView {
    pub min_age_seconds: u64,
    pub first_sight: String,
    pub registries: Vec<String>,
    pub modules: Vec<String>,
    pub not_modules: Vec<String>,
    pub exceptions: Vec<ExceptionView>,
    pub dry_run: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExceptionView {
    pub modules: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    pub ended: bool,
}

impl Rules {
    pub fn view(&self, counts: Vec<Count>, now: DateTime<Utc>) -> RulesView {
        RulesView {
            default: self.default.as_str().to_owned(),
            rules: self.rules.iter().map(|rule| rule.view(now)).collect(),
            cooldown: self.cooldown.as_ref().map(|cooldown| cooldown.view(now)),
            counts,
        }
    }
}

impl Rule {
    fn view(&self, now: DateTime<Utc>) -> RuleView {
        RuleView {
            name: self.name.to_string(),
            action: self.action.as_str().to_owned(),
            registries: self.registries.clone(),
            modules: self.modules.clone(),
            versions: self.versions.as_ref().map(Range::to_string),
            reason: self.reason.clone(),
            until: written(self.until.as_ref()),
            ended: !self.stands(now),
            dry_run: self.dry_run,
        }
    }
}

impl Cooldown {
    fn view(&self, now: DateTime<Utc>) -> CooldownView {
        let exception = |exception: &Exception| ExceptionView {
            modules: exception.modules.clone(),
            versions: exception.versions.as_ref().map(Range::to_string),
            reason: exception.reason.clone(),
            until: written(exception.until.as_ref()),
            ended: !exception.stands(now),
        };
        CooldownView {
            min_age_seconds: self.min_age.as_secs(),
            first_sight: self.first_sight.as_str().to_owned(),
            registries: self.registries.clone(),
            modules: self.modules.clone(),
            not_modules: self.not_modules.clone(),
            exceptions: self.exceptions.iter().map(exception).collect(),
            dry_run: self.dry_run,
        }
    }
}

fn written(until: Option<&Until>) -> Option<String> {
    until.map(|until| until.as_str().to_owned())
}
