//! The words of every letter: what is the matter, since when, how far behind, what to do, when the next reminder comes.

mod advice;
mod facts;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::definition::MirrorDefinition;
use super::state::State;
use super::status::RenewalStatus;
use super::telling::{Recovered, Tidings};
use super::words::{count, day, some, stretch};
use crate::ports::{Condition, Letter, Side};

/// What a letter is about, as it is at that moment.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub definition: &'a MirrorDefinition,
    /// With what the letter tells already in it.
    pub state: &'a State,
    pub renewal: Option<&'a RenewalStatus>,
    pub at: DateTime<Utc>,
}

/// Writes a letter.
pub fn write(id: String, tidings: &Tidings, about: &About<'_>) -> Letter {
    let subject = about.subject(tidings);
    let paragraphs = [about.opening(tidings), about.facts(tidings), about.advice(tidings), about.outlook(tidings)];
    let text: Vec<String> = paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty()).collect();
    Letter {
        id,
        at: about.at,
        subject,
        text: text.join("\n\n"),
        data: about.data(tidings),
        to: about.recipients(tidings),
    }
}

/// What is the matter with a mirror, or that all is well, in a line.
pub fn summary(definition: &MirrorDefinition, state: &State, now: DateTime<Utc>) -> String {
    let about = About { definition, state, renewal: None, at: now };
    match state.shown() {
        Condition::Unchecked | Condition::Paused => state.shown().words().to_owned(),
        Condition::InSync if state.difference.is_some() => {
            "in sync; the mirror keeps what its source deleted".to_owned()
        }
        condition => about.finding(condition),
    }
}

impl About<'_> {
    fn name(&self) -> &str {
        &self.definition.name
    }

    fn subject(&self, tidings: &Tidings) -> String {
        let (name, condition) = (self.name(), self.state.condition);
        match tidings {
            Tidings::Trouble => match self.state.trouble.as_ref().map_or(0, |trouble| trouble.returns) {
                0 => format!("{name} is {}", self.finding(condition)),
                _ => format!("{name} is again {}", self.finding(condition)),
            },
            Tidings::Changed { was } => format!("{name} was {was}, now {}", self.finding(condition), was = was.words()),
            Tidings::Reminder => format!("still: {name} is {}", self.finding(condition)),
            Tidings::Recovered(over) if condition == Condition::Lagging => {
                format!("{name} keeps up again after {}", lasted(over))
            }
            Tidings::Recovered(over) => format!("{name} is in sync again after {}", lasted(over)),
            Tidings::RenewalDue => format!("{name}: {} is due {}", self.what(), self.due()),
            Tidings::RenewalOverdue => format!("{name}: {} lapsed {}", self.what(), self.due()),
            Tidings::RenewalReminder => format!("still: {name}: {} lapsed {}", self.what(), self.due()),
            Tidings::Renewed { .. } => format!("{name}: {} is renewed until {}", self.what(), self.until()),
        }
    }

    /// How it was found, without its name: `stale: 3 refs, 17 commits behind for 26 hours`.
    fn finding(&self, condition: Condition) -> String {
        let side = self.side();
        match condition {
            Condition::InSync => "in sync".to_owned(),
            Condition::Lagging | Condition::Stale => {
                format!("{}: {}", condition.words(), self.behind().unwrap_or_else(|| "behind".to_owned()))
            }
            Condition::Diverged => format!("diverged: {}", self.diverged()),
            Condition::Unreachable => match (self.state.failed, self.state.error.as_deref().and_then(first_line)) {
                // Neither side failed by itself: a canary that neither of them knows.
                (None, Some(why)) => format!("unreachable: {why}"),
                _ => format!("unreachable: {side} does not answer as it should"),
            },
            Condition::Refused => format!("refused: {side} does not accept the credentials"),
            Condition::Unchecked | Condition::Paused => condition.words().to_owned(),
        }
    }

    /// `3 refs, 17 commits behind for 26 hours`
    fn behind(&self) -> Option<String> {
        let difference = self.state.difference.as_ref()?;
        let mut numbers = vec![count(difference.behind_refs, self.noun())];
        numbers
            .extend(difference.behind_commits.filter(|commits| *commits > 0).map(|commits| count(commits, "commit")));
        let since = difference.since.map(|since| format!(" for {}", stretch(self.at - since))).unwrap_or_default();
        Some(format!("{} behind{since}", numbers.join(", ")))
    }

    /// What the mirror has and its source has not.
    fn diverged(&self) -> String {
        let Some(difference) = &self.state.difference else { return "it has what its source lacks".to_owned() };
        let names: Vec<&str> =
            difference.refs.iter().filter(|one| one.is_diverged).map(|one| one.name.as_str()).collect();
        some(names.into_iter(), difference.ahead_refs, 3)
    }

    /// What is compared.
    fn noun(&self) -> &'static str {
        if self.definition.kind.word() == "git" { "ref" } else { "version" }
    }

    fn opening(&self, tidings: &Tidings) -> String {
        let name = self.name();
        match tidings {
            Tidings::Trouble | Tidings::Changed { .. } | Tidings::Reminder => self.meaning(self.state.condition),
            Tidings::Recovered(over) => {
                let relapses = match over.relapses {
                    0 => String::new(),
                    relapses => format!(", and came back {} in between", count(relapses.into(), "time")),
                };
                format!("The mirror {name} is {} again. It was {}{relapses}.", self.well(), over.was.words())
            }
            Tidings::RenewalDue => {
                format!("What the mirror {name} lives on has to be renewed: {}, due {}.", self.what(), self.due())
            }
            Tidings::RenewalOverdue | Tidings::RenewalReminder => {
                format!("What the mirror {name} lives on was not renewed: {} lapsed {}.", self.what(), self.due())
            }
            Tidings::Renewed { was_due } => format!(
                "What the mirror {name} lives on was renewed: {} holds until {} (before: {was_due}).",
                self.what(),
                self.until()
            ),
        }
    }

    fn well(&self) -> &'static str {
        if self.state.condition == Condition::InSync { "what its source is" } else { "following its source" }
    }

    fn meaning(&self, condition: Condition) -> String {
        let name = self.name();
        let allowed = TimeDelta::from_std(self.definition.max_lag).unwrap_or(TimeDelta::MAX);
        match condition {
            Condition::Stale => {
                format!(
                    "The mirror {name} has been behind its source for longer than the {} it may be.",
                    stretch(allowed)
                )
            }
            Condition::Diverged => {
                format!("The mirror {name} has what its source does not have: {}.", self.diverged())
            }
            Condition::Refused => {
                let side = self.side();
                format!("The mirror {name} cannot be checked: {side} does not accept the credentials (any more).")
            }
            _ => format!("The mirror {name} cannot be checked: {} does not answer as it should.", self.side()),
        }
    }

    /// On which side it came to nothing.
    fn side(&self) -> &'static str {
        match self.state.failed {
            Some(Side::Source) => "its source",
            Some(Side::Mirror) => "the mirror itself",
            None => "one side",
        }
    }

    fn what(&self) -> &str {
        self.renewal.map_or("the subscription", |renewal| renewal.what.as_str())
    }

    fn due(&self) -> String {
        self.renewal.map(|renewal| day(renewal.days_left, renewal.due)).unwrap_or_default()
    }

    fn until(&self) -> String {
        self.renewal.map(|renewal| renewal.due.to_string()).unwrap_or_default()
    }

    /// Those who can renew, where it is their business.
    fn recipients(&self, tidings: &Tidings) -> Vec<String> {
        let was_refused = match tidings {
            Tidings::Recovered(over) => over.was_told_refused,
            Tidings::Changed { was } => *was == Condition::Refused || self.state.condition == Condition::Refused,
            _ => self.state.condition == Condition::Refused,
        };
        let is_theirs = was_refused || tidings.is_of_renewal();
        self.renewal.filter(|_| is_theirs).and_then(|renewal| renewal.owner.clone()).into_iter().collect()
    }

    fn data(&self, tidings: &Tidings) -> Value {
        let state = self.state;
        let (event, was) = match tidings {
            Tidings::Trouble => ("trouble", None),
            Tidings::Changed { was } => ("changed", Some(*was)),
            Tidings::Reminder => ("reminder", None),
            Tidings::Recovered(over) => ("recovered", Some(over.was)),
            Tidings::RenewalDue => ("renewal_due", None),
            Tidings::RenewalOverdue => ("renewal_overdue", None),
            Tidings::RenewalReminder => ("renewal_reminder", None),
            Tidings::Renewed { .. } => ("renewed", None),
        };
        let since = match tidings {
            Tidings::Recovered(over) => Some(over.since),
            _ => state.trouble.as_ref().map(|trouble| trouble.since),
        };
        json!({
            "event": event,
            "name": self.name(),
            "kind": self.definition.kind.word(),
            "source": self.definition.source(),
            "mirror": self.definition.mirror(),
            "condition": state.condition,
            "was": was,
            "since": since,
            "summary": summary(self.definition, state, self.at),
            "difference": state.difference,
            "error": state.error,
            "last_attempt": state.last_attempt,
            "last_success": state.last_success,
            "last_in_sync": state.last_in_sync,
            "renewal": self.renewal,
            "next_reminder": self.next_reminder(tidings),
        })
    }
}

fn first_line(text: &str) -> Option<&str> {
    text.lines().next()
}

fn lasted(over: &Recovered) -> String {
    stretch(over.until - over.since)
}

#[cfg(test)]
mod tests;
