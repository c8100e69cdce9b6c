//! The page that `modvet explain` prints.

use std::fmt::Write as _;

use crate::spec::examination::History;
use crate::spec::explanation::{Check, Explanation};
use crate::spec::info::ObjectId;
use crate::spec::reason::{Reason, Rule};
use crate::spec::verdict::{Evidence, Standing};

/// Whether the page is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Colour,
}

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const BOLD: &str = "1";

impl Ink {
    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Ink::Plain => text.to_owned(),
            Ink::Colour => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

/// The whole page.
pub fn of(explanation: &Explanation, ink: Ink) -> String {
    let verdict = &explanation.verdict;
    let (colour, standing) = match verdict.standing {
        Standing::Canonical => (GREEN, "canonical: what the go command would make of this revision today"),
        Standing::Valid => (GREEN, "valid: the go command accepts it"),
        Standing::Wrong => (RED, "wrong"),
        Standing::Unverifiable => (YELLOW, "unverifiable"),
    };
    let mut page = format!("{}@{}\n", verdict.module, ink.paint(BOLD, &verdict.version));
    line(&mut page, &ink.paint(colour, standing));
    if let Some(why) = &verdict.why {
        line(&mut page, why);
    }
    if let Some(drift) = &verdict.drift {
        line(&mut page, &ink.paint(YELLOW, &drift.reason()));
    }
    if let Some(parts) = &explanation.parts {
        let rows = [("base", &parts.base), ("time", &parts.time), ("revision", &parts.revision)];
        page.push('\n');
        for (label, value) in rows {
            line(&mut page, &format!("  {label:<9} {value}"));
        }
    }
    page.push('\n');
    for (rule, check) in explanation.checks() {
        write_check(&mut page, rule, &check, ink);
    }
    if let Some(history) = &explanation.history {
        write_history(&mut page, history);
    }
    write_evidence(&mut page, &verdict.evidence);
    write_remedy(&mut page, explanation, ink);
    page
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn write_check(page: &mut String, rule: Rule, check: &Check, ink: Ink) {
    let words = rule.words();
    match check {
        Check::Kept(shown) => {
            line(page, &format!("{} {words}", ink.paint(GREEN, "✓")));
            line(page, &format!("    {shown}"));
        }
        Check::Open => line(page, &format!("{} {words}", ink.paint(YELLOW, "?"))),
        Check::Broken(reasons) => {
            line(page, &format!("{} {words}", ink.paint(RED, "✗")));
            for Reason { text, found, right, note, .. } in reasons {
                line(page, &format!("    {text}"));
                line(page, &format!("      found {found}"));
                line(page, &format!("      right {right}"));
                if let Some(note) = note {
                    line(page, &format!("      which is {note}"));
                }
            }
        }
    }
}

/// The commit on top, the tags before it below, what is beside it last.
fn write_history(page: &mut String, history: &History) {
    let time = |time: &chrono::DateTime<chrono::Utc>| time.format("%FT%TZ").to_string();
    let commit: String = history.commit.chars().take(ObjectId::SHORT).collect();
    line(page, "\nhistory");
    let _ = write!(page, "  * {commit}  {}", time(&history.time));
    if let Some(author) = &history.author_time {
        let _ = write!(page, "  (author: {})", time(author));
    }
    match history.tags.is_empty() {
        true => page.push('\n'),
        false => line(page, &format!("  {}", history.tags.join(", "))),
    }
    for ancestor in &history.before {
        let steps = if ancestor.distance == 1 { "commit" } else { "commits" };
        line(page, "  |");
        line(page, &format!("  o {}  {} {steps} before", ancestor.tag, ancestor.distance));
    }
    if history.further > 0 {
        line(page, &format!("  : and {} more", history.further));
    }
    if let Some(aside) = &history.aside {
        line(page, &format!("\n  o {aside}  not before it"));
    }
}

fn write_evidence(page: &mut String, evidence: &[Evidence]) {
    line(page, "\nevidence");
    for piece in evidence {
        let text = match piece {
            Evidence::Syntax => "the text of the version".to_owned(),
            Evidence::Git { url } => format!("the history at {url}"),
            Evidence::Upstream { name } => format!("what upstream {name} answers"),
            Evidence::ChecksumDatabase { name, accepted: true } => format!("the record of {name}"),
            Evidence::ChecksumDatabase { name, accepted: false } => format!("the refusal of {name}"),
        };
        line(page, &format!("  {text}"));
    }
}

fn write_remedy(page: &mut String, explanation: &Explanation, ink: Ink) {
    let verdict = &explanation.verdict;
    if let Some(right) = verdict.right() {
        line(page, &format!("\nuse {}@{}", verdict.module, ink.paint(BOLD, right)));
        let commands = [("in your own go.mod", &explanation.require), ("in a dependency's", &explanation.replace)];
        for (place, command) in commands {
            if let Some(command) = command {
                line(page, &format!("{place}: {command}"));
            }
        }
    } else if let (Standing::Valid, Some(canonical)) = (verdict.standing, &verdict.canonical) {
        line(page, &format!("\ncanonical today: {}@{}", verdict.module, canonical.version));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::verdict::Verdict;

    #[test]
    fn colours_are_where_they_help() {
        let verdict = Verdict {
            module: "example.com/m".to_owned(),
            version: "v0.0.0-20180222010203-main".to_owned(),
            standing: Standing::Wrong,
            canonical: None,
            faults: Vec::new(),
            why: Some("unknown revision main".to_owned()),
            evidence: vec![Evidence::Syntax],
            drift: None,
        };
        let explanation = Explanation::new(verdict, None);
        let plain = of(&explanation, Ink::Plain);
        let coloured = of(&explanation, Ink::Colour);
        assert!(!plain.contains('\x1b'));
        assert!(coloured.contains("\x1b[31mwrong\x1b[0m"));
        let bare = [GREEN, RED, YELLOW, BOLD, "0"]
            .iter()
            .fold(coloured, |text, code| text.replace(&format!("\x1b[{code}m"), ""));
        assert_eq!(bare, plain);
    }
}
