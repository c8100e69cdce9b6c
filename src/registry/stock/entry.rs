//! An entry as people and scripts see it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ports::EntryRow;
use crate::registry::{Mark, Meta, shelf};
use crate::spec::path;

/// What keys of upstreams' answers begin with.
pub(super) const PREFIX: &str = "upstream/";

/// One kept answer of one upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub upstream: String,
    /// The upstream's place in the store: another one for another address.
    pub shelf: String,
    /// `sumdb/NAME` of a checksum database's record.
    pub module: String,
    /// As the protocol names it: `@v/v1.0.0.zip`, `@v/list`, `@latest`; upper case letters unescaped.
    pub path: String,
    /// What stands between `@v/` and the ending: a version, a branch, a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub size: u64,
    pub sha256: String,
    #[serde(flatten)]
    pub meta: Meta,
}

/// A key taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) struct Address<'a> {
    pub shelf: &'a str,
    /// Escaped; of a checksum database's record `sumdb/NAME`.
    pub module: &'a str,
    /// `@v/…` or `@latest`, escaped; of a checksum database's record `lookup/…`, `tile/…`, `latest`, `supported`.
    pub file: &'a str,
}

impl<'a> Address<'a> {
    pub fn parse(key: &'a str) -> Option<Address<'a>> {
        let (shelf, rest) = key.strip_prefix(PREFIX)?.split_once('/')?;
        // No module path begins so: its first element has a dot.
        if let Some(address) = rest.strip_prefix("sumdb/") {
            let cut = ["/lookup/", "/tile/"].iter().filter_map(|word| address.find(word)).min();
            let name = cut.or_else(|| address.rfind('/'))? + "sumdb/".len();
            return Some(Address { shelf, module: &rest[..name], file: &rest[name + 1..] });
        }
        // A module path holds no @, so the first one begins the file.
        let (module, file) = rest.split_once("/@")?;
        let file = &rest[rest.len() - file.len() - 1..];
        Some(Address { shelf, module, file })
    }

    /// What stands between `@v/` and the ending; still escaped. `latest` for `@latest`.
    pub fn version(&self) -> Option<&'a str> {
        match self.file.strip_prefix("@v/") {
            Some("list") => None,
            Some(file) => file.rsplit_once('.').map(|(version, _)| version),
            None => self.file.strip_prefix('@'),
        }
    }
}

/// When somebody last wanted it; what nobody wanted since it came counts from then.
pub(super) fn used_at(meta: &Meta) -> DateTime<Utc> {
    meta.last_used.unwrap_or(meta.fetched_at)
}

/// Whether no checksum database could vouch for it yet.
pub(super) fn is_unverified(meta: &Meta) -> bool {
    matches!(meta.sum, Some(Mark::Unverified { .. }))
}

impl Row {
    /// Whether no checksum database could vouch for it yet.
    pub fn is_unverified(&self) -> bool {
        is_unverified(&self.meta)
    }

    /// `None` for what is no answer of an upstream.
    pub(super) fn read(row: &EntryRow<'_>) -> Option<Row> {
        let address = Address::parse(row.key)?;
        let meta = Meta::parse(row.meta)?;
        Some(Row {
            upstream: shelf::name_in(address.shelf).to_owned(),
            shelf: address.shelf.to_owned(),
            module: unescaped(address.module),
            path: unescaped(address.file),
            version: address.version().map(unescaped),
            size: row.size,
            sha256: hex::encode(row.sha256),
            meta,
        })
    }
}

/// As people write it; what is not escaped well stays as it is.
pub(super) fn unescaped(text: &str) -> String {
    path::unescape(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whose_answer_to_what_it_is() {
        let parts = |key| Address::parse(key).map(|at: Address<'_>| (at.shelf, at.module, at.file, at.version()));
        let table = [
            (
                "upstream/corp~01234567/x.y/!m/@v/v1.0.0-!a.1.zip",
                Some(("corp~01234567", "x.y/!m", "@v/v1.0.0-!a.1.zip", Some("v1.0.0-!a.1"))),
            ),
            ("upstream/corp/x.y/m/@v/list", Some(("corp", "x.y/m", "@v/list", None))),
            ("upstream/corp/x.y/m/@latest", Some(("corp", "x.y/m", "@latest", Some("latest")))),
            ("upstream/corp/x.y/m/@v/a/@b.info", Some(("corp", "x.y/m", "@v/a/@b.info", Some("a/@b")))),
            (
                "upstream/p~1/sumdb/s.org/lookup/x.y/!m@v1.0.0",
                Some(("p~1", "sumdb/s.org", "lookup/x.y/!m@v1.0.0", None)),
            ),
            ("upstream/p~1/sumdb/s.org/a/tile/8/0/000", Some(("p~1", "sumdb/s.org/a", "tile/8/0/000", None))),
            ("upstream/p~1/sumdb/s.org/supported", Some(("p~1", "sumdb/s.org", "supported", None))),
            ("verdict/corp/x.y/m/@v/v1.0.0.info", None),
            ("upstream/corp", None),
            ("upstream/corp/x.y/m", None),
        ];
        for (key, expected) in table {
            assert_eq!(parts(key), expected, "{key}");
        }
    }

    #[test]
    fn what_an_older_modvet_wrote_still_counts() {
        let meta = br#"{"fetched_at":"2026-01-02T03:04:05Z","checked_at":"2026-01-03T03:04:05Z","lasting":true}"#;
        let meta = Meta::parse(meta).expect("a meta");
        assert_eq!((meta.downloads, used_at(&meta)), (0, meta.fetched_at));
        // Of a checksum database's record.
        let meta = Meta::parse(br#"{"fetched_at":"2026-01-02T03:04:05Z"}"#).expect("a meta");
        assert_eq!(used_at(&meta), meta.fetched_at);
    }
}
