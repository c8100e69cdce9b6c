//! What is known of a mirror, as lines of a letter.

use super::{About, lasted};
use crate::monitor::telling::Tidings;
use crate::monitor::words::{count, day, moment};
use crate::ports::Condition;

/// So many refs are named.
const NAMED: usize = 10;

impl About<'_> {
    pub(super) fn facts(&self, tidings: &Tidings) -> String {
        let mut lines = Lines::default();
        if !tidings.is_of_renewal() {
            self.sides(&mut lines);
            match tidings {
                Tidings::Recovered(over) => {
                    lines.add("lasted", &format!("{}, since {}", lasted(over), moment(over.since)));
                }
                _ => self.trouble(&mut lines),
            }
            self.difference(&mut lines);
            self.checks(&mut lines);
        }
        self.renewals(&mut lines, tidings);
        lines.0.join("\n")
    }

    fn sides(&self, lines: &mut Lines) {
        let newest = self.state.difference.as_ref().map(|difference| difference.newest).unwrap_or_default();
        let sides =
            [("source", self.definition.source(), newest.source), ("mirror", self.definition.mirror(), newest.mirror)];
        for (word, address, newest) in sides {
            lines.add(word, &address);
            if let Some(newest) = newest {
                lines.add("", &format!("newest commit of {}", moment(newest)));
            }
        }
    }

    fn trouble(&self, lines: &mut Lines) {
        if let Some(since) = self.state.since {
            lines.add("since", &format!("{} ({})", moment(since), self.state.condition.words()));
        }
        if let Some(error) = &self.state.error {
            error.lines().enumerate().for_each(|(at, line)| lines.add(if at == 0 { "error" } else { "" }, line));
        }
    }

    fn difference(&self, lines: &mut Lines) {
        let Some(difference) = &self.state.difference else { return };
        if difference.behind_refs > 0 {
            let mut words = count(difference.behind_refs, self.noun());
            if let Some(commits) = difference.behind_commits {
                words.push_str(&format!(", {}", count(commits, "commit")));
            }
            let since = difference.since.map(|since| format!(", since {}", moment(since))).unwrap_or_default();
            lines.add("behind", &format!("{words}{since}"));
        }
        if difference.ahead_refs > 0 && self.state.condition == Condition::Diverged {
            let commits = difference.ahead_commits.map(|commits| format!(", {}", count(commits, "commit")));
            let words = count(difference.ahead_refs, self.noun());
            lines.add("of its own", &format!("{words}{}", commits.unwrap_or_default()));
        }
        for one in difference.refs.iter().take(NAMED) {
            let what = match (&one.source, &one.mirror) {
                _ if one.is_diverged => "diverged".to_owned(),
                (Some(_), None) => "missing".to_owned(),
                (None, Some(_)) => "not at the source".to_owned(),
                _ => one
                    .behind_commits
                    .map_or("differs".to_owned(), |commits| format!("{} behind", count(commits, "commit"))),
            };
            lines.add("", &format!("{}: {what}", one.name));
        }
        let left_out = difference.refs.len().saturating_sub(NAMED) as u64 + difference.refs_left_out;
        if left_out > 0 {
            lines.add("", &format!("and {left_out} more"));
        }
    }

    fn checks(&self, lines: &mut Lines) {
        let state = self.state;
        let moments = [
            ("checked", state.last_attempt),
            ("reached", state.last_success.filter(|_| state.last_success != state.last_attempt)),
            ("in sync", state.last_in_sync.filter(|_| state.last_in_sync != state.last_attempt)),
        ];
        for (word, at) in moments {
            if let Some(at) = at {
                lines.add(word, &moment(at));
            }
        }
    }

    /// Always of a letter about it; beside another one only where it may be the reason.
    fn renewals(&self, lines: &mut Lines, tidings: &Tidings) {
        let Some(renewal) = self.renewal else { return };
        if tidings.is_of_renewal() {
            lines.add("mirror", &self.definition.mirror());
        } else if renewal.days_left > 30 || matches!(tidings, Tidings::Recovered(_)) {
            return;
        }
        let word = if renewal.is_overdue { "lapsed" } else { "due" };
        lines.add("renewal", &format!("{}, {word} {}", renewal.what, day(renewal.days_left, renewal.due)));
        if let Some(owner) = &renewal.owner {
            lines.add("", &format!("by {owner}"));
        }
        if let Some(newest) = renewal.history.first() {
            let by = newest.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            lines.add("", &format!("renewed last on {}{by}, until {}", newest.at.date_naive(), newest.until));
        }
    }
}

/// Lines of a word and what there is to say; lines without a word go on with the one before.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, word: &str, text: &str) {
        let word = if word.is_empty() { String::new() } else { format!("{word}:") };
        self.0.push(format!("{word:<12}{text}"));
    }
}
