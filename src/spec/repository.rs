//! Whether two addresses are of one repository. Rules: docs/alternates.md.

use url::Url;

/// What two addresses of a repository have in common, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SameRepository {
    scheme: &'static str,
    host: String,
    port: u16,
    path: String,
}

impl SameRepository {
    /// `None` for what is no address of a repository on a server. The end `.git`, slashes behind, users, the case of
    /// hosts and ports that go without saying do not count; the scheme does.
    pub fn of(address: &str) -> Option<SameRepository> {
        match Url::parse(address) {
            Ok(url) if address.contains("://") => {
                let (scheme, port) = match url.scheme() {
                    "https" => ("https", 443),
                    "http" => ("http", 80),
                    "ssh" | "git+ssh" | "ssh+git" => ("ssh", 22),
                    _ => return None,
                };
                let host = url.host_str().filter(|host| !host.is_empty())?;
                Some(SameRepository::new(scheme, host, url.port().unwrap_or(port), url.path()))
            }
            // `user@host:path`
            _ => {
                let (destination, path) = address.split_once(':').filter(|(host, _)| !host.contains('/'))?;
                let host = destination.rsplit('@').next().filter(|host| !host.is_empty())?;
                Some(SameRepository::new("ssh", host, 22, path))
            }
        }
    }

    fn new(scheme: &'static str, host: &str, port: u16, path: &str) -> SameRepository {
        let path = percent_encoding::percent_decode_str(path.trim_matches('/')).decode_utf8_lossy();
        let path = path.strip_suffix(".git").unwrap_or(&path).trim_end_matches('/').to_owned();
        SameRepository { scheme, host: host.to_ascii_lowercase(), port, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_does_not_count() {
        let table = [
            ("the same", "https://git.example/a/b", "https://git.example/a/b", true),
            (".git", "https://git.example/a/b", "https://git.example/a/b.git", true),
            ("a slash behind", "https://git.example/a/b", "https://git.example/a/b.git/", true),
            ("the case of the host", "https://git.example/a/b", "https://Git.Example/a/b", true),
            ("the port that goes without saying", "https://git.example/a/b", "https://git.example:443/a/b", true),
            ("a user", "https://git.example/a/b", "https://ci@git.example/a/b", true),
            ("an escape", "https://git.example/a/b", "https://git.example/%61/b", true),
            ("the short form of ssh", "ssh://git@git.example/a/b.git", "git@git.example:a/b", true),
            ("another port", "https://git.example/a/b", "https://git.example:8443/a/b", false),
            ("another scheme", "https://git.example/a/b", "ssh://git@git.example/a/b", false),
            ("plain http", "https://git.example/a/b", "http://git.example/a/b", false),
            ("the case of the path", "https://git.example/a/b", "https://git.example/a/B", false),
            ("another path", "https://git.example/a/b", "https://git.example/a/b/c", false),
        ];
        for (row, one, other, expected) in table {
            let (one, other) = (SameRepository::of(one), SameRepository::of(other));
            assert_eq!(one == other && one.is_some(), expected, "{row}: {one:?} {other:?}");
        }
        for no_address in ["", "a/b", "file:///srv/a", "/srv/a", "git://git.example/a"] {
            assert_eq!(SameRepository::of(no_address), None, "{no_address}");
        }
    }
}
