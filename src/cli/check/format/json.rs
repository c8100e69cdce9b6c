//! Everything that is known, for scripts.

use serde::Serialize;

use super::super::finding::{Finding, Place, Rule, Severity};
use super::super::report::Report;
use super::super::warnings::Unseen;
use crate::spec::verdict::Standing;

#[derive(Serialize)]
struct Whole<'a> {
    files: &'a [String],
    versions: Vec<VersionEntry<'a>>,
    findings: Vec<FindingEntry<'a>>,
    /// The modules that could not be looked at for warnings.
    unseen: &'a [Unseen],
    summary: String,
}

#[derive(Serialize)]
struct VersionEntry<'a> {
    module: &'a str,
    version: &'a str,
    standing: Standing,
    places: &'a [Place],
}

#[derive(Serialize)]
struct FindingEntry<'a> {
    rule: Rule,
    severity: Severity,
    #[serde(skip_serializing_if = "str::is_empty")]
    module: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<&'a str>,
    reasons: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    commands: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    chain: &'a [String],
    places: &'a [Place],
    fingerprint: String,
}

impl<'a> FindingEntry<'a> {
    fn of(finding: &'a Finding) -> FindingEntry<'a> {
        FindingEntry {
            rule: finding.rule,
            severity: finding.rule.severity(),
            module: &finding.module,
            version: &finding.version,
            right: finding.right.as_deref(),
            reasons: &finding.reasons,
            commands: &finding.commands,
            chain: &finding.chain,
            places: &finding.places,
            fingerprint: finding.fingerprint(),
        }
    }
}

pub fn render(report: &Report) -> String {
    let versions = report.judged.iter().map(|judged| VersionEntry {
        module: &judged.module,
        version: &judged.version,
        standing: judged.standing,
        places: &judged.places,
    });
    let whole = Whole {
        files: &report.files,
        versions: versions.collect(),
        findings: report.findings.iter().map(FindingEntry::of).collect(),
        unseen: &report.unseen,
        summary: report.summary(),
    };
    serde_json::to_string_pretty(&whole).expect("strings and numbers always serialize") + "\n"
}
