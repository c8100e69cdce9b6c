//! Checksum databases as GOSUMDB names them, and what is to be done about what they say.
//! Rules: `dbDial` in `cmd/go/internal/modfetch/sumdb.go`, and `knownGOSUMDB` beside it.

use url::Url;

use super::note::VerifierKey;
use crate::error::{Error, Result};

/// The database that the go command has built in.
pub const BUILT_IN: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/// Another way to the same one, under a name of its own.
const ALIAS: (&str, &str) = ("sum.golang.google.cn", "https://sum.golang.google.cn");

/// A checksum database: who signs, and where it is reached without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDatabase {
    pub key: VerifierKey,
    pub url: Url,
}

/// Whether versions are held against a checksum database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verify {
    /// Where it can be reached; else later.
    #[default]
    Auto,
    /// Nothing passes without.
    Required,
    Off,
}

impl Verify {
    pub const ALL: [Verify; 3] = [Verify::Auto, Verify::Required, Verify::Off];

    pub fn as_str(self) -> &'static str {
        match self {
            Verify::Auto => "auto",
            Verify::Required => "required",
            Verify::Off => "off",
        }
    }
}

impl NamedDatabase {
    /// The one that the go command asks if nobody says otherwise.
    pub fn built_in() -> NamedDatabase {
        NamedDatabase::parse(BUILT_IN).expect("its key is well-formed")
    }

    /// Reads `NAME+HASH+KEY`, or the name alone of the one that is built in; either with a URL behind it.
    pub fn parse(text: &str) -> Result<NamedDatabase> {
        let mut fields = text.split_whitespace();
        let (key, url) = match (fields.next(), fields.next(), fields.next()) {
            (Some(key), url, None) => (key, url),
            (None, ..) => return Err(Error::gone("\"\" (expected NAME+HASH+KEY)")),
            _ => return Err(Error::gone(format!("{text:?}: too many fields (expected NAME+HASH+KEY and a URL)"))),
        };
        let (key, url) = match (key, url) {
            (name, None) if name == ALIAS.0 => (BUILT_IN, Some(ALIAS.1)),
            (name, url) if BUILT_IN.split('+').next() == Some(name) => (BUILT_IN, url),
            known => known,
        };
        let key = VerifierKey::parse(key)?;
        let direct = address(&format!("https://{}", key.name()));
        let direct = direct.filter(|_| is_host_and_path(key.name())).ok_or_else(|| {
            Error::gone(format!("malformed checksum database name {:?} (expected HOST or HOST/PATH)", key.name()))
        })?;
        let url = match url {
            None => direct,
            Some(url) => address(url).ok_or_else(|| Error::gone(format!("{url:?} (expected an http or https URL)")))?,
        };
        Ok(NamedDatabase { key, url })
    }

    pub fn name(&self) -> &str {
        self.key.name()
    }
}

impl std::fmt::Display for NamedDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.key, self.url)
    }
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

/// What may stand in an address behind `sumdb/`.
pub fn is_host_and_path(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let is_element = |element: &str| element.chars().all(allowed) && element.chars().any(|c| c != '.');
    name.split('/').all(is_element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::note::signer::Signer;

    #[test]
    fn a_database_is_named_as_in_gosumdb() {
        let own = Signer::new("sum.corp.example", 1).key.to_string();
        for (text, name, url) in [
            (BUILT_IN.to_owned(), "sum.golang.org", "https://sum.golang.org/"),
            ("sum.golang.org".to_owned(), "sum.golang.org", "https://sum.golang.org/"),
            ("sum.golang.org https://x.example".to_owned(), "sum.golang.org", "https://x.example/"),
            ("sum.golang.google.cn".to_owned(), "sum.golang.org", "https://sum.golang.google.cn/"),
            (own.clone(), "sum.corp.example", "https://sum.corp.example/"),
            (format!(" {own}  http://127.0.0.1:9/sum "), "sum.corp.example", "http://127.0.0.1:9/sum"),
        ] {
            let named = NamedDatabase::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((named.name(), named.url.as_str()), (name, url), "{text}");
            assert_eq!(NamedDatabase::parse(&named.to_string()).expect("as printed"), named);
        }
    }

    #[test]
    fn what_is_wrong_with_a_name_is_said() {
        let own = Signer::new("sum.corp.example", 1).key.to_string();
        let odd = Signer::new("corp?x", 1).key.to_string();
        for (text, what) in [
            (String::new(), "\"\" (expected NAME+HASH+KEY)".to_owned()),
            ("s.org".to_owned(), "malformed verifier key \"s.org\" (expected NAME+HASH+KEY)".to_owned()),
            (format!("{own} ftp://x.example"), "\"ftp://x.example\" (expected an http or https URL)".to_owned()),
            (format!("{own} a b"), format!("\"{own} a b\": too many fields (expected NAME+HASH+KEY and a URL)")),
            (odd, "malformed checksum database name \"corp?x\" (expected HOST or HOST/PATH)".to_owned()),
        ] {
            assert_eq!(NamedDatabase::parse(&text).expect_err(&text).what(), what);
        }
    }
}
