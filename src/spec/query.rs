//! What stands after `@`.
//! Rules: go.dev/ref/mod#version-queries and `cmd/go/internal/modload/query.go`.

use std::fmt;

use super::version::{Semver, Version};

/// A version query as a proxy can be asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Query {
    /// `latest`, and `upgrade`, which is the same to somebody who has no version yet.
    Latest,
    /// `v1` or `v1.2`: the highest version that starts so.
    Prefix(Semver),
    /// A version, pseudo-versions included.
    Version(Version),
    /// A branch, a tag, a hash; also a version with build metadata other than `+incompatible`.
    Revision(String),
}

impl Query {
    pub fn parse(text: &str) -> Query {
        match text {
            "latest" | "upgrade" => return Query::Latest,
            _ => {}
        }
        match Semver::parse(text) {
            Some(short) if short.is_short() => Query::Prefix(short),
            _ => match Version::parse(text) {
                Some(version) => Query::Version(version),
                None => Query::Revision(text.to_owned()),
            },
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Query::Latest => "latest",
            Query::Prefix(short) => short.as_str(),
            Query::Version(version) => version.as_str(),
            Query::Revision(revision) => revision,
        }
    }

    /// Whether the answer can never change.
    pub fn is_version(&self) -> bool {
        matches!(self, Query::Version(_))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_kinds_apart() {
        let table = [
            ("latest", "latest"),
            ("upgrade", "latest"),
            ("v1", "prefix"),
            ("v1.2", "prefix"),
            ("v1.2.3", "version"),
            ("v2.0.0+incompatible", "version"),
            ("v1.2.3+meta", "revision"),
            ("v1.2.3.4", "revision"),
            ("main", "revision"),
            ("fde4db3", "revision"),
        ];
        for (text, kind) in table {
            let found = match Query::parse(text) {
                Query::Latest => "latest",
                Query::Prefix(_) => "prefix",
                Query::Version(_) => "version",
                Query::Revision(_) => "revision",
            };
            assert_eq!(found, kind, "{text}");
        }
    }
}
