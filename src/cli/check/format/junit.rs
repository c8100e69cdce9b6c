//! JUnit XML: every pseudo-version is a test case, and so is every finding about something else.

use std::fmt::Write as _;

use super::super::finding::{Finding, Place, Rule, Severity};
use super::super::report::Report;

/// A test case, and what there is to say of it.
struct Case<'a> {
    name: String,
    place: &'a Place,
    findings: Vec<&'a Finding>,
}

pub fn render(report: &Report) -> String {
    let cases = cases(report);
    let has = |case: &&Case<'_>, severities: &[Severity]| {
        case.findings.iter().any(|finding| severities.contains(&finding.rule.severity()))
    };
    let failures = cases.iter().filter(|case| has(case, &[Severity::Wrong])).count();
    let errors = cases.iter().filter(|case| has(case, &[Severity::Broken, Severity::Unverifiable])).count();
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\"", cases.len());
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    let _ = writeln!(text, "  <testsuite name=\"modvet check\" {counts}>");
    for case in &cases {
        text.push_str(&shown(case));
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn cases(report: &Report) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = report
        .judged
        .iter()
        .map(|judged| Case {
            name: format!("{}@{}", judged.module, judged.version),
            place: &judged.places[0],
            findings: Vec::new(),
        })
        .collect();
    for finding in &report.findings {
        let name = finding.subject().unwrap_or_else(|| "readable".to_owned());
        match cases.iter_mut().find(|case| case.name == name && case.place == finding.place()) {
            Some(case) => case.findings.push(finding),
            None => cases.push(Case { name, place: finding.place(), findings: vec![finding] }),
        }
    }
    cases
}

fn shown(case: &Case<'_>) -> String {
    let (name, file) = (escaped(&case.name), escaped(&case.place.file));
    let line = case.place.line.map(|line| format!(" line=\"{line}\"")).unwrap_or_default();
    let head = format!("    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\"{line}");
    if case.findings.is_empty() {
        return format!("{head}/>\n");
    }
    let mut text = format!("{head}>\n");
    let mut remarks = Vec::new();
    for finding in &case.findings {
        let element = match finding.rule.severity() {
            Severity::Wrong => "failure",
            Severity::Broken | Severity::Unverifiable => "error",
            Severity::Warning | Severity::Note => {
                remarks.push(format!("{}: {}", finding.place(), finding.lines().join("\n")));
                continue;
            }
        };
        let (rule, message) = (Rule::name(finding.rule), escaped(&finding.message()));
        let inside = escaped(&format!("{}: {}", finding.place(), finding.lines().join("\n")));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "      <{element} type=\"{rule}\" message=\"{message}\">{inside}</{element}>");
    }
    if !remarks.is_empty() {
        let _ = writeln!(text, "      <system-out>{}</system-out>", escaped(&remarks.join("\n")));
    }
    text.push_str("    </testcase>\n");
    text
}

/// Text of an element or an attribute. What no XML document may hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_document_may_hold_is_replaced() {
        let expected = "a&lt;b&gt;&amp;&quot;c&quot;&#10;\u{fffd}é\u{fffd}";
        assert_eq!(escaped("a<b>&\"c\"\n\u{1}é\u{ffff}"), expected);
    }
}
