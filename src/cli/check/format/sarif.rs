//! SARIF 2.1.0.
//! Rules: docs.oasis-open.org/sarif/sarif/v2.1.0.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::finding::{Finding, Place, Rule, Severity};
use super::super::report::Report;

/// What may not stand in a relative reference as it is; a colon would make a scheme of what is before it.
const REFERENCE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

pub fn render(report: &Report) -> String {
    let rules: Vec<Value> = Rule::ALL.iter().map(|rule| self::rule(*rule)).collect();
    let results: Vec<Value> = report.findings.iter().map(result).collect();
    let is_whole = report.count(Severity::Broken) == 0;
    let whole = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "modvet",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "invocations": [{ "executionSuccessful": is_whole }],
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&whole).expect("strings and numbers always serialize") + "\n"
}

fn level(rule: Rule) -> &'static str {
    match rule.severity() {
        Severity::Broken | Severity::Wrong => "error",
        Severity::Unverifiable | Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": rule.name(),
        "shortDescription": { "text": rule.about() },
        "defaultConfiguration": { "level": level(rule) },
    })
}

fn result(finding: &Finding) -> Value {
    let at = Rule::ALL.iter().position(|rule| *rule == finding.rule).expect("all rules are listed");
    let mut result = json!({
        "ruleId": finding.rule.name(),
        "ruleIndex": at,
        "level": level(finding.rule),
        "message": { "text": finding.lines().join("\n") },
        "locations": [location(finding.place())],
        "partialFingerprints": { "modvet/v1": finding.fingerprint() },
    });
    let related: Vec<Value> = finding.places[1..].iter().map(location).collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    result
}

fn location(place: &Place) -> Value {
    let uri = match place.file.strip_prefix('/') {
        Some(rest) => format!("file:///{}", utf8_percent_encode(rest, REFERENCE)),
        None => utf8_percent_encode(&place.file, REFERENCE).to_string(),
    };
    let mut physical = json!({ "artifactLocation": { "uri": uri } });
    if let Some(line) = place.line {
        physical["region"] = json!({ "startLine": line });
    }
    json!({ "physicalLocation": physical })
}
