//! What is to be watched, as data.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Months, NaiveDate};
use serde::Serialize;
use url::Url;

use crate::net::{InsteadOf, replaced};
use crate::ports::Side;
use crate::spec::path::ModulePath;
use crate::spec::repository::SameRepository;

/// A mirror and all that is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorDefinition {
    pub name: String,
    pub kind: MirrorKind,
    /// So often it is looked at.
    pub check_every: Duration,
    /// Behind for less: lagging; for longer: stale.
    pub max_lag: Duration,
    pub renewal: Option<Renewal>,
    /// Names of channels; `None`: all of them.
    pub notify: Option<Vec<String>>,
    /// Nobody looks, and nobody is told.
    pub is_paused: bool,
}

/// Addresses are as written; they hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorKind {
    /// Two git repositories, and the refs that have to be the same.
    Git { source: String, mirror: String, refs: Vec<RefPattern> },
    /// A module proxy, and the modules that are looked at.
    Proxy { source: Origin, mirror: Url, modules: Vec<ModulePath> },
}

/// What a module proxy is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The modules' own repositories.
    Git,
    Proxy(Url),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Git => f.write_str("direct"),
            Origin::Proxy(url) => write!(f, "{url}"),
        }
    }
}

impl MirrorDefinition {
    /// What is allowed and hardly meant.
    pub fn doubt(&self) -> Option<&'static str> {
        let is_hasty = self.max_lag < self.check_every;
        is_hasty.then_some("max_lag is shorter than check_every: what differs at two checks in turn is stale")
    }

    /// Without credentials.
    pub fn source(&self) -> String {
        match &self.kind {
            MirrorKind::Git { source, .. } => source.clone(),
            MirrorKind::Proxy { source, .. } => source.to_string(),
        }
    }

    /// Without credentials.
    pub fn mirror(&self) -> String {
        match &self.kind {
            MirrorKind::Git { mirror, .. } => mirror.clone(),
            MirrorKind::Proxy { mirror, .. } => mirror.to_string(),
        }
    }

    /// The host of one side; `None` where there is none, or no one.
    pub fn host(&self, side: Side) -> Option<String> {
        let address = match (side, &self.kind) {
            (Side::Source, MirrorKind::Proxy { source: Origin::Git, .. }) => return None,
            (Side::Source, _) => self.source(),
            (Side::Mirror, _) => self.mirror(),
        };
        if let Ok(url) = Url::parse(&address) {
            return url.host_str().map(str::to_ascii_lowercase);
        }
        // `git@host:path`
        let (login, _) = address.split_once(':')?;
        Some(login.rsplit_once('@').map_or(login, |(_, host)| host).to_ascii_lowercase())
    }
}

impl MirrorKind {
    /// Whether nothing that modules are made of is left out when both sides are compared.
    pub fn compares_all(&self) -> bool {
        match self {
            MirrorKind::Git { refs, .. } => ["refs/heads/", "refs/tags/"]
                .iter()
                .all(|folder| refs.iter().any(|pattern| pattern.holds_all_below(folder))),
            MirrorKind::Proxy { .. } => false,
        }
    }

    /// Whether both sides are one place once `instead_of` (prefixes, and what stands in their place) has led them on:
    /// nothing would be compared, and nothing ever found to differ.
    pub fn is_led_to_itself(&self, instead_of: &[(String, String)]) -> bool {
        let rule = |(prefix, replacement): &(String, String)| InsteadOf {
            prefix: prefix.clone(),
            replacement: replacement.clone(),
        };
        let rules: Vec<InsteadOf> = instead_of.iter().map(rule).collect();
        let place = |address: &str| match replaced(&rules, address) {
            Some(instead) => SameRepository::of(instead.expose()),
            None => SameRepository::of(address),
        };
        let (source, mirror) = match self {
            MirrorKind::Git { source, mirror, .. } => (place(source), place(mirror)),
            MirrorKind::Proxy { source: Origin::Git, .. } => return false,
            MirrorKind::Proxy { source: Origin::Proxy(source), mirror, .. } => {
                (place(source.as_str()), place(mirror.as_str()))
            }
        };
        source.is_some() && source == mirror
    }

    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            MirrorKind::Git { .. } => "git",
            MirrorKind::Proxy { .. } => "proxy",
        }
    }
}

/// A ref's name, or a family of them by one `*`, as in git's refspecs: `refs/heads/*`, `refs/heads/release-*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefPattern(String);

impl RefPattern {
    /// Whether every ref below a folder is meant.
    fn holds_all_below(&self, folder: &str) -> bool {
        self.0.strip_suffix('*').is_some_and(|prefix| folder.starts_with(prefix))
    }

    /// Heads and tags.
    pub fn defaults() -> Vec<RefPattern> {
        ["refs/heads/*", "refs/tags/*"].map(|text| RefPattern(text.to_owned())).into()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every name that is meant begins with.
    pub fn prefix(&self) -> &str {
        self.0.split_once('*').map_or(self.0.as_str(), |(before, _)| before)
    }

    /// Whether a ref's whole name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.split_once('*') {
            None => self.0 == name,
            Some((before, after)) => {
                name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
            }
        }
    }
}

impl FromStr for RefPattern {
    type Err = String;

    /// What is wrong is said as what was expected.
    fn from_str(text: &str) -> Result<RefPattern, String> {
        let is_plain = |c: char| !c.is_control() && !" ~^:?[\\".contains(c);
        if !text.starts_with("refs/") || text.matches('*').count() > 1 || !text.chars().all(is_plain) {
            return Err("a ref such as refs/heads/main, or a pattern with one * such as refs/tags/*".to_owned());
        }
        Ok(RefPattern(text.to_owned()))
    }
}

/// What lapses if nobody renews it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// "open source subscription"
    pub what: String,
    /// The last day on which it holds.
    pub date: NaiveDate,
    /// How long it holds once it is renewed.
    pub every: Option<Period>,
    /// An e-mail address.
    pub owner: Option<String>,
    /// Where it is renewed.
    pub url: Option<String>,
}

/// A stretch of the calendar: `30d`, `2w`, `6m`, `1y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Days(u32),
    Months(u32),
}

impl Period {
    /// The day that lies so far behind a date; `None` beyond the calendar.
    pub fn after(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Period::Days(days) => date.checked_add_days(chrono::Days::new(days.into())),
            Period::Months(months) => date.checked_add_months(Months::new(months)),
        }
    }
}

impl FromStr for Period {
    type Err = ();

    fn from_str(text: &str) -> Result<Period, ()> {
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(())?;
        let number = number.parse::<u32>().ok().filter(|number| (1..=10_000).contains(number)).ok_or(())?;
        match unit {
            "d" => Ok(Period::Days(number)),
            "w" => Ok(Period::Days(number * 7)),
            "m" => Ok(Period::Months(number)),
            "y" => Ok(Period::Months(number * 12)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Days(days) if days.is_multiple_of(7) => write!(f, "{}w", days / 7),
            Period::Days(days) => write!(f, "{days}d"),
            Period::Months(months) if months.is_multiple_of(12) => write!(f, "{}y", months / 12),
            Period::Months(months) => write!(f, "{months}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_whole_names() {
        let table = [
            ("refs/heads/*", "refs/heads/main", true),
            ("refs/heads/*", "refs/heads/a/b", true),
            ("refs/heads/*", "refs/tags/v1.0.0", false),
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main2", false),
            ("refs/heads/r-*-x", "refs/heads/r-1-x", true),
            ("refs/heads/r-*-x", "refs/heads/r-x", false),
        ];
        for (pattern, name, expected) in table {
            let pattern: RefPattern = pattern.parse().expect(pattern);
            assert_eq!(pattern.matches(name), expected, "{} {name}", pattern.as_str());
        }
        for wrong in ["", "main", "heads/*", "refs/*/*", "refs/heads/a b", "refs/heads/a:b", "refs/heads/[a]"] {
            assert!(wrong.parse::<RefPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_patterns_of_all_heads_and_all_tags_leave_nothing_out() {
        let table: [(&[&str], bool); 6] = [
            (&["refs/heads/*", "refs/tags/*"], true),
            (&["refs/*"], true),
            (&["refs/heads/*"], false),
            (&["refs/heads/main", "refs/tags/*"], false),
            (&["refs/heads/*", "refs/tags/v*"], false),
            (&["refs/heads/*", "refs/tags/*-rc"], false),
        ];
        for (patterns, expected) in table {
            let refs = patterns.iter().map(|pattern| pattern.parse().expect(pattern)).collect();
            let (source, mirror) = ("https://a.example/m".to_owned(), "https://b.example/m".to_owned());
            assert_eq!(MirrorKind::Git { source, mirror, refs }.compares_all(), expected, "{patterns:?}");
        }
    }

    #[test]
    fn periods_follow_the_calendar() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        let table = [
            ("1y", "2027-02-01", "2028-02-01"),
            ("1y", "2028-02-29", "2029-02-28"),
            ("1m", "2027-01-31", "2027-02-28"),
            ("2w", "2027-12-25", "2028-01-08"),
            ("30d", "2027-02-01", "2027-03-03"),
        ];
        for (period, from, to) in table {
            let parsed: Period = period.parse().expect(period);
            assert_eq!((parsed.after(day(from)), parsed.to_string()), (Some(day(to)), period.to_owned()), "{period}");
        }
        for wrong in ["", "y", "1", "0d", "1.5y", "-1d", "99999y", "1 y", "1é"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }
}
