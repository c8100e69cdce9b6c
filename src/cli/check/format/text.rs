//! For people: file and line, what is the matter, and the remedy.

use super::super::finding::{Finding, Severity};
use super::super::report::Report;

pub fn render(report: &Report, is_coloured: bool) -> String {
    let mut text = String::new();
    // What is broken stands on standard error already.
    for finding in report.findings.iter().filter(|finding| finding.rule.severity() != Severity::Broken) {
        text.push_str(&shown(finding, is_coloured));
        text.push('\n');
    }
    text.push_str(&report.summary());
    text.push('\n');
    if let Some(first) = report.unseen.first() {
        let count = report.unseen.len();
        let (module, why) = (&first.module, &first.why);
        text.push_str(&format!("no warnings about {count} of the modules in use, such as {module}: {why}\n"));
    }
    text
}

fn shown(finding: &Finding, is_coloured: bool) -> String {
    let severity = finding.rule.severity();
    let colour = match severity {
        Severity::Broken | Severity::Wrong => "31",
        Severity::Unverifiable | Severity::Warning => "33",
        Severity::Note => "36",
    };
    let paint = |code: &str, text: &str| match is_coloured {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let subject = finding.subject().unwrap_or_default();
    let mut text =
        format!("{}: {subject}: {}\n", paint("1", &finding.place().to_string()), paint(colour, severity.word()));
    for reason in &finding.reasons {
        text.push_str(&format!("    {reason}\n"));
    }
    for line in finding.remedy() {
        text.push_str(&format!("    {}\n", paint("32", &line)));
    }
    if !finding.chain.is_empty() {
        text.push_str(&format!("    comes in by {}\n", finding.chain.join(" -> ")));
    }
    let also: Vec<String> = finding.places[1..].iter().map(ToString::to_string).collect();
    if !also.is_empty() {
        text.push_str(&format!("    also at {}\n", also.join(", ")));
    }
    text
}
