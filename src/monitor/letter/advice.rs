//! What to do, and when the next reminder comes.

use chrono::{DateTime, Utc};

use super::About;
use crate::monitor::telling::Tidings;
use crate::monitor::words::moment;
use crate::ports::{Condition, Side};

impl About<'_> {
    pub(super) fn advice(&self, tidings: &Tidings) -> String {
        let steps = match tidings {
            Tidings::Recovered(_) | Tidings::Renewed { .. } => return String::new(),
            Tidings::RenewalDue | Tidings::RenewalOverdue | Tidings::RenewalReminder => self.renew(),
            Tidings::Trouble | Tidings::Changed { .. } | Tidings::Reminder => self.repair(),
        };
        let steps: Vec<String> = steps.into_iter().map(|step| format!("  {step}")).collect();
        format!("What to do:\n{}", steps.join("\n"))
    }

    pub(super) fn outlook(&self, tidings: &Tidings) -> String {
        self.next_reminder(tidings).map(|at| format!("Next reminder: {}", moment(at))).unwrap_or_default()
    }

    pub(super) fn next_reminder(&self, tidings: &Tidings) -> Option<DateTime<Utc>> {
        match tidings {
            Tidings::Trouble | Tidings::Changed { .. } | Tidings::Reminder => {
                self.state.trouble.as_ref().map(|trouble| trouble.next_reminder)
            }
            Tidings::RenewalOverdue | Tidings::RenewalReminder => {
                self.state.renewal.as_ref().and_then(|mark| mark.next_reminder)
            }
            Tidings::Recovered(_) | Tidings::RenewalDue | Tidings::Renewed { .. } => None,
        }
    }

    fn renew(&self) -> Vec<String> {
        let place = self.renewal.and_then(|renewal| renewal.url.as_deref());
        let place = place.map(|url| format!(" at {url}")).unwrap_or_default();
        vec![
            format!("renew {}{place}", self.what()),
            format!("write it down: modvet mirror renew {} --until YYYY-MM-DD", self.name()),
        ]
    }

    fn repair(&self) -> Vec<String> {
        let name = self.name();
        let address = match self.state.failed {
            Some(Side::Source) => self.definition.source(),
            _ => self.definition.mirror(),
        };
        let is_git = self.definition.kind.word() == "git";
        let mut steps = match self.state.condition {
            Condition::Refused => vec![format!("see whether subscription and token for {address} still hold")],
            Condition::Unreachable => vec![format!("see whether {address} answers")],
            Condition::Diverged => vec![format!("look at what {address} has of its own before it is overwritten")],
            _ => vec![format!("find out why {address} is not updated any more")],
        };
        if self.renewal.is_some_and(|renewal| renewal.is_overdue) {
            steps.extend(self.renew());
        }
        steps.push(match self.state.condition {
            Condition::Diverged if is_git => format!("make it what its source is: modvet mirror sync {name} --force"),
            Condition::Stale if is_git => format!("until then, by hand: modvet mirror sync {name}"),
            _ => format!("look again: modvet mirror check {name}"),
        });
        steps
    }
}
