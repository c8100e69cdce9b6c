//! The code quality report of GitLab.

use serde_json::{Value, json};

use super::super::finding::{Finding, Severity};
use super::super::report::Report;

pub fn render(report: &Report) -> String {
    let issues: Vec<Value> = report.findings.iter().map(issue).collect();
    serde_json::to_string_pretty(&issues).expect("strings and numbers always serialize") + "\n"
}

fn issue(finding: &Finding) -> Value {
    let severity = match finding.rule.severity() {
        Severity::Broken => "blocker",
        Severity::Wrong => "critical",
        Severity::Unverifiable => "major",
        Severity::Warning => "minor",
        Severity::Note => "info",
    };
    let remedy = finding.remedy();
    let remedy = if remedy.is_empty() { String::new() } else { format!(" ({})", remedy.join("; ")) };
    json!({
        "description": format!("{}{remedy}", finding.message()),
        "check_name": format!("modvet/{}", finding.rule.name()),
        "fingerprint": finding.fingerprint(),
        "severity": severity,
        // A report without a line is refused.
        "location": { "path": finding.place().file, "lines": { "begin": finding.place().line.unwrap_or(1) } },
    })
}
