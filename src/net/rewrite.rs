//! Addresses that the configuration replaces by others.
//! Rules: `url.<base>.insteadOf` of git-config: the longest prefix wins, and what comes out is not replaced again.

use std::fmt;

use crate::secret::Secret;

/// A prefix of addresses, and what stands there instead.
#[derive(Clone)]
pub struct InsteadOf {
    pub prefix: String,
    /// May hold a user and password.
    pub replacement: String,
}

impl fmt::Debug for InsteadOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsteadOf").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The address to ask instead; `None` if no prefix fits.
pub fn replaced(rules: &[InsteadOf], address: &str) -> Option<Secret> {
    let fits = rules.iter().filter(|rule| !rule.prefix.is_empty() && address.starts_with(&rule.prefix));
    let rule = fits.max_by_key(|rule| rule.prefix.len())?;
    Some(Secret::new(format!("{}{}", rule.replacement, &address[rule.prefix.len()..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_only_once() {
        let rule = |prefix: &str, replacement: &str| InsteadOf {
            prefix: prefix.to_owned(),
            replacement: replacement.to_owned(),
        };
        let rules = [
            rule("https://github.com/", "https://git.corp.example/github/"),
            rule("https://github.com/corp/", "ssh://git@git.corp.example/"),
            rule("https://git.corp.example/", "https://elsewhere.example/"),
            rule("", "https://never.example/"),
        ];
        let table = [
            ("a host", "https://github.com/a/b", Some("https://git.corp.example/github/a/b")),
            ("a longer prefix", "https://github.com/corp/b", Some("ssh://git@git.corp.example/b")),
            ("another scheme", "http://github.com/a/b", None),
            ("nothing fits", "https://gitlab.com/a/b", None),
        ];
        for (row, address, expected) in table {
            let found = replaced(&rules, address);
            assert_eq!(found.as_ref().map(Secret::expose), expected, "{row}");
        }
    }
}
