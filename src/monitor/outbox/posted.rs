//! A letter on its way: to whom, how far it is with each, when it is tried again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind};
use crate::ports::Letter;

/// The channel of the people whose business a letter is; no channel of the configuration has this name.
pub const OWNER: &str = "owner";

/// So long after it was posted a letter is given up that a channel does not take.
pub const PATIENCE: TimeDelta = TimeDelta::days(3);

/// The pause after the first try; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What somebody else may ask for by `Retry-After`.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// Of what went wrong, in characters.
const LONGEST_ERROR: usize = 300;

/// A letter and where it goes, as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    pub letter: Letter,
    /// Higher than those of all letters before.
    pub order: u64,
    pub posted: DateTime<Utc>,
    pub deliveries: Vec<Delivery>,
}

/// A letter for one channel, and there for one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// As it is configured, or `owner`.
    pub channel: String,
    /// Of e-mail.
    pub address: Option<String>,
    pub state: DeliveryState,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it is so.
    pub since: DateTime<Utc>,
    /// When it is tried next.
    pub next: Option<DateTime<Utc>>,
    /// Why the last try came to nothing.
    pub error: Option<String>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried, for the first time or again.
    Waiting,
    /// Under way: written down before the first byte goes out.
    Begun,
    Delivered,
    /// Nobody knows whether it arrived: it is not sent again.
    Uncertain,
    /// The other side will never take it.
    Refused,
    /// It was tried for so long that it is no news any more.
    GivenUp,
}

impl DeliveryState {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "not delivered yet",
            DeliveryState::Begun => "being sent",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Uncertain => "uncertain",
            DeliveryState::Refused => "refused",
            DeliveryState::GivenUp => "given up",
        }
    }

    /// Whether something is still to come of it.
    pub fn is_open(self) -> bool {
        matches!(self, DeliveryState::Waiting | DeliveryState::Begun)
    }
}

impl Posted {
    /// The mirror that it is about.
    pub fn about(&self) -> &str {
        about(&self.letter)
    }

    pub fn is_open(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.state.is_open())
    }

    pub fn is_delivered(&self) -> bool {
        self.deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered)
    }

    pub fn is_uncertain(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.state == DeliveryState::Uncertain)
    }
}

/// The name in a letter's data.
pub fn about(letter: &Letter) -> &str {
    letter.data.get("name").and_then(|name| name.as_str()).unwrap_or_default()
}

impl Delivery {
    pub fn new(channel: &str, address: Option<&str>, now: DateTime<Utc>) -> Delivery {
        Delivery {
            channel: channel.to_owned(),
            address: address.map(str::to_owned),
            state: DeliveryState::Waiting,
            tries: 0,
            since: now,
            next: Some(now),
            error: None,
        }
    }

    pub fn is_for(&self, lane: &Lane) -> bool {
        self.channel == lane.channel && self.address == lane.address
    }

    pub fn lane(&self) -> Lane {
        Lane { channel: self.channel.clone(), address: self.address.clone() }
    }

    /// Does not wait any longer, if it waits.
    pub fn hurry(&mut self, now: DateTime<Utc>) {
        self.next = self.next.map(|next| next.min(now));
    }

    /// From here on a kill leaves it uncertain.
    pub fn begin(&mut self, now: DateTime<Utc>) {
        self.tries += 1;
        self.become_state(DeliveryState::Begun, now, None);
    }

    /// What is known of one that was begun by somebody who is no more.
    pub fn orphan(&mut self, now: DateTime<Utc>) {
        let error = Some("ended while it was sent: it may have arrived".to_owned());
        self.become_state(DeliveryState::Uncertain, now, error);
    }

    pub fn give_up(&mut self, now: DateTime<Utc>, why: &str) {
        let error = Some(self.error.take().unwrap_or_else(|| why.to_owned()));
        self.become_state(DeliveryState::GivenUp, now, error);
    }

    /// What came of a try, `None`: it arrived; `until` is when the letter is given up.
    pub fn end(&mut self, error: Option<&Error>, id: &str, now: DateTime<Utc>, until: DateTime<Utc>) {
        let Some(error) = error else { return self.become_state(DeliveryState::Delivered, now, None) };
        let told = Some(told(error));
        match error.kind() {
            Kind::Gone | Kind::Forbidden => self.become_state(DeliveryState::Refused, now, told),
            Kind::Unavailable if now >= until => self.become_state(DeliveryState::GivenUp, now, told),
            Kind::Unavailable => {
                self.become_state(DeliveryState::Waiting, now, told);
                self.next = Some(now + pause(self.tries, error, &self.seed(id)));
            }
            _ => self.become_state(DeliveryState::Uncertain, now, told),
        }
    }

    /// What makes its pauses others than those of other deliveries.
    pub fn seed(&self, id: &str) -> String {
        format!("{id} {} {}", self.channel, self.address.as_deref().unwrap_or_default())
    }

    fn become_state(&mut self, state: DeliveryState, now: DateTime<Utc>, error: Option<String>) {
        (self.state, self.since, self.next, self.error) = (state, now, None, error);
    }
}

/// The way to a channel, and there to an address. What goes wrong on one is nothing to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    pub channel: String,
    pub address: Option<String>,
}

/// How long to wait after so many failures in a row, the last of which is this one.
pub fn pause(failures: u32, error: &Error, seed: &str) -> TimeDelta {
    let asked = error.delay().unwrap_or_default().min(LONGEST_ASKED);
    let pause = back_off(failures, seed).max(asked);
    TimeDelta::from_std(pause).expect("a day is no length that overflows")
}

/// Doubles with every failure; up to a fifth longer, so that what failed together does not come back together. The same
/// try waits equally long in every run.
fn back_off(failures: u32, seed: &str) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST_PAUSE);
    let digest = Sha256::digest(format!("{seed} {failures}"));
    let share = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX);
    pause + pause.mul_f64(share / 5.0)
}

/// An error in one line that the store can bear.
fn told(error: &Error) -> String {
    let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_ERROR) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_are_never_the_same_for_two() {
        for (failures, seconds) in [(1, 10), (2, 20), (3, 40), (9, 2560), (10, 3600), (40, 3600)] {
            let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds).mul_f64(1.2));
            let pauses = ["a", "b"].map(|seed| back_off(failures, seed));
            assert!(pauses.iter().all(|pause| (least..=most).contains(pause)), "{failures}: {pauses:?}");
            assert!(pauses[0] != pauses[1] && pauses[0] == back_off(failures, "a"), "{failures}");
        }
    }

    #[test]
    fn who_asks_for_time_gets_it_but_not_for_ever() {
        let asked = |seconds| pause(1, &Error::unavailable("no").retry_after(Duration::from_secs(seconds)), "a");
        assert_eq!(asked(600), TimeDelta::seconds(600));
        assert_eq!(asked(1 << 40), TimeDelta::days(1));
        assert!(asked(1) >= TimeDelta::seconds(10));
    }

    #[test]
    fn an_error_is_kept_as_one_short_line() {
        let error = Error::unavailable("a\n  b").remedy("é".repeat(400));
        let told = told(&error);
        assert!(told.starts_with("a b éé") && told.ends_with("é…"), "{told}");
        assert_eq!(told.chars().count(), LONGEST_ERROR + 1);
    }
}
