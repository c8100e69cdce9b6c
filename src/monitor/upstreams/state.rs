//! How an upstream stands, and what people were told of it: from one look to the next, and over restarts.
//!
//! Pure: a look goes in, what is to be told comes out.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::ports::{Certificate, Condition, Letter};

/// So many looks in a row find something before people are told of it. Credentials are not refused by chance, yet a
/// server may do so while it restarts; a network comes and goes.
const REFUSED: u32 = 2;
const UNREACHABLE: u32 = 4;
/// So many find it well before it is called over.
const WELL: u32 = 2;

/// Days after the first letter, of the reminders; after the last of them one comes every `LATER` days.
const REMINDERS: [i64; 3] = [1, 3, 7];
const LATER: i64 = 14;

/// So many days before its end a certificate is told of.
const AHEAD: [i64; 4] = [30, 14, 7, 1];
/// A certificate is renewed by machines within the last third of its life. Told is what is left of it less than this
/// part: of one that holds for a year all days above, of one for three months not the first.
const PART: i32 = 6;

/// So many other certificates of an upstream are remembered.
const OTHERS: usize = 8;

/// An upstream's state, saved whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whose it is: another kind or address under the same name is another upstream.
    pub kind: String,
    pub address: String,
    /// Letters are numbered from here on; a state that was lost does not number them like the one before it.
    pub born: DateTime<Utc>,
    pub letters: u64,
    /// Letters that are not in the outbox for certain.
    pub unposted: Vec<Letter>,
    pub condition: Condition,
    pub since: Option<DateTime<Utc>>,
    /// How many looks in a row found it so.
    pub streak: u32,
    /// What people were told of, and is not over.
    pub trouble: Option<Trouble>,
    pub error: Option<String>,
    pub last_attempt: Option<DateTime<Utc>>,
    pub last_success: Option<DateTime<Utc>>,
    pub latency_ms: Option<u64>,
    pub certificate: Option<Seen>,
    /// Those that it showed before: of several servers behind one name each may have its own.
    #[serde(default)]
    pub others: Vec<Seen>,
}

/// What is the matter, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub condition: Condition,
    pub since: DateTime<Utc>,
    pub told_at: DateTime<Utc>,
    pub reminders: u32,
    pub next_reminder: DateTime<Utc>,
}

/// A certificate, and what was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub host: String,
    pub begins: Option<DateTime<Utc>>,
    pub ends: DateTime<Utc>,
    /// Days ahead, of the last letter; below zero: that it has ended.
    pub told: Option<i64>,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub condition: Condition,
    /// Why it is not well.
    pub error: Option<String>,
    pub latency_ms: Option<u64>,
}

/// What people are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is not well, or not well in another way than was told.
    Trouble,
    /// It is still not well; the how-many-eth letter about it.
    Reminder(u32),
    /// It is well again; what was the matter, and since when.
    Recovery(Trouble),
    /// A certificate ends in less than so many days.
    Ends(i64),
    Ended,
}

impl State {
    pub fn new(kind: &str, address: &str, now: DateTime<Utc>) -> State {
        State {
            kind: kind.to_owned(),
            address: address.to_owned(),
            born: now,
            letters: 0,
            unposted: Vec::new(),
            condition: Condition::Unchecked,
            since: None,
            streak: 0,
            trouble: None,
            error: None,
            last_attempt: None,
            last_success: None,
            latency_ms: None,
            certificate: None,
            others: Vec::new(),
        }
    }

    /// Takes note of a look, and says what is to be told.
    pub fn note(&mut self, look: Look, now: DateTime<Utc>) -> Option<Event> {
        self.last_attempt = Some(now);
        if look.condition == Condition::InSync {
            self.last_success = Some(now);
        }
        if self.condition == look.condition {
            self.streak = self.streak.saturating_add(1);
        } else {
            (self.condition, self.since, self.streak) = (look.condition, Some(now), 1);
        }
        self.error = look.error;
        self.latency_ms = look.latency_ms.or(self.latency_ms);
        if self.streak < needed(self.condition) {
            return None;
        }
        match self.trouble.take() {
            None if !self.condition.is_bad() => None,
            Some(trouble) if !self.condition.is_bad() => Some(Event::Recovery(trouble)),
            Some(trouble) if trouble.condition == self.condition => {
                self.trouble = Some(trouble);
                None
            }
            before => {
                let since = before.map_or(self.since.unwrap_or(now), |trouble| trouble.since);
                let next_reminder = now + TimeDelta::days(REMINDERS[0]);
                let condition = self.condition;
                self.trouble = Some(Trouble { condition, since, told_at: now, reminders: 0, next_reminder });
                Some(Event::Trouble)
            }
        }
    }

    /// Says what is to be told because time went by.
    pub fn remind(&mut self, now: DateTime<Utc>) -> Option<Event> {
        let trouble = self.trouble.as_mut().filter(|trouble| trouble.next_reminder <= now)?;
        trouble.reminders += 1;
        let next = REMINDERS.get(trouble.reminders as usize).map(|days| trouble.told_at + TimeDelta::days(*days));
        // After a long sleep one letter is enough.
        trouble.next_reminder = next.filter(|next| *next > now).unwrap_or(now + TimeDelta::days(LATER));
        // It may just be getting well.
        self.condition.is_bad().then_some(Event::Reminder(trouble.reminders + 1))
    }

    /// Takes note of a certificate, and says what is to be told of it.
    pub fn certify(&mut self, shown: Option<Certificate>, now: DateTime<Utc>) -> Option<Event> {
        if let Some(Certificate { host, begins, ends }) = shown {
            let told = self.recall(&host, ends);
            // Of one that has ended only the end is known; it is the one that was seen before.
            let (told, begins) = told.map_or((None, begins), |seen| (seen.told, begins.or(seen.begins)));
            self.certificate = Some(Seen { host, begins, ends, told });
        }
        let seen = self.certificate.as_mut()?;
        let left = seen.ends - now;
        let is_told = |days: i64| seen.begins.is_none_or(|begins| TimeDelta::days(days) <= (seen.ends - begins) / PART);
        let step = match left < TimeDelta::zero() {
            true => Some(-1),
            false => {
                AHEAD.iter().copied().rev().find(|days| left <= TimeDelta::days(*days)).filter(|days| is_told(*days))
            }
        }?;
        if seen.told.is_some_and(|told| told <= step) {
            return None;
        }
        seen.told = Some(step);
        Some(if step < 0 { Event::Ended } else { Event::Ends(step) })
    }

    /// What is known of a certificate that is shown now.
    fn recall(&mut self, host: &str, ends: DateTime<Utc>) -> Option<Seen> {
        let is_it = |seen: &Seen| seen.ends == ends && seen.host == host;
        let last = self.certificate.take();
        if last.as_ref().is_some_and(is_it) {
            return last;
        }
        let again = self.others.iter().position(is_it).map(|at| self.others.remove(at));
        self.others.extend(last);
        let many = self.others.len().saturating_sub(OTHERS);
        self.others.drain(..many);
        again
    }

    /// Whether the next look shall come soon: something is to be confirmed.
    pub fn is_unsure(&self) -> bool {
        let told = self.trouble.as_ref().map(|trouble| trouble.condition);
        match self.condition.is_bad() {
            true => told != Some(self.condition),
            false => told.is_some(),
        }
    }
}

fn needed(condition: Condition) -> u32 {
    match condition {
        Condition::Refused => REFUSED,
        condition if condition.is_bad() => UNREACHABLE,
        _ => WELL,
    }
}
