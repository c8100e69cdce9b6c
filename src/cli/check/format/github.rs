//! Workflow commands of GitHub Actions: every finding becomes an annotation.

use super::super::finding::{Finding, Severity};
use super::super::report::Report;

pub fn render(report: &Report) -> String {
    let mut text: String = report.findings.iter().map(command).collect();
    text.push_str(&report.summary());
    text.push('\n');
    text
}

fn command(finding: &Finding) -> String {
    let level = match finding.rule.severity() {
        Severity::Broken | Severity::Wrong => "error",
        Severity::Unverifiable | Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = finding.place();
    let line = place.line.map(|line| format!(",line={line}")).unwrap_or_default();
    let file = property(&place.file);
    let title = finding.rule.name();
    format!("::{level} file={file}{line},title=modvet {title}::{}\n", data(&finding.lines().join("\n")))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Place;
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        let place = Place { file: "a,b:c%.mod".to_owned(), line: Some(7) };
        let finding = Finding::broken(place, "100%\nbroken: yes\r".to_owned());
        let expected = "::error file=a%2Cb%3Ac%25.mod,line=7,title=modvet broken-file::100%25%0Abroken: yes%0D\n";
        assert_eq!(command(&finding), expected);
    }
}
