//! Where a repository lies and how it is reached. Rules: git-clone(1) "GIT URLS".

use std::net::IpAddr;

use url::Url;

use crate::error::{Error, Result};

/// A way to a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Http(Url),
    Ssh(SshAddress),
}

/// What the ssh program is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    /// `user@host` or `host`.
    pub destination: String,
    pub port: Option<u16>,
    pub path: String,
}

impl Address {
    /// Reads the address of a repository, or the one that the configuration puts in its place; only that
    /// may have the short form `user@host:path`.
    ///
    /// An http address stays as it was found: the outgoing client replaces it itself.
    pub fn parse(url: &str, instead: Option<&str>) -> Result<Address> {
        let target = instead.unwrap_or(url);
        match target.split_once("://") {
            Some(("http" | "https", _)) => http(if is_http(url) { url } else { target }),
            Some(("ssh" | "git+ssh" | "ssh+git", _)) => ssh(target),
            Some((scheme, _)) => {
                Err(Error::bad_gateway(format!("git over {scheme} is not supported (expected https, http or ssh)")))
            }
            None if instead.is_some() => short(target),
            None => Err(Error::bad_gateway("a git repository must be named by a URL (expected https, http or ssh)")),
        }
    }

    /// For messages.
    pub fn host(&self) -> String {
        match self {
            Address::Http(url) => url.host_str().unwrap_or_default().to_owned(),
            Address::Ssh(ssh) => ssh.host().to_owned(),
        }
    }
}

impl SshAddress {
    pub fn host(&self) -> &str {
        self.destination.rsplit('@').next().unwrap_or_default()
    }

    /// The options by which the ssh program connects to this address and no other; the host's key is looked for under
    /// its name all the same.
    pub fn pinned(&self, to: IpAddr) -> Vec<String> {
        let alias = match self.port {
            None | Some(22) => self.host().to_owned(),
            Some(port) => format!("[{}]:{port}", self.host()),
        };
        let options = [format!("HostName={to}"), format!("HostKeyAlias={alias}"), "CheckHostIP=no".to_owned()];
        options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect()
    }

    /// The arguments of the ssh program, by which the other side runs a program of git's; `user@host` cannot be taken
    /// for an option.
    pub fn arguments(&self, program: &str) -> Vec<String> {
        // A prompt would wait for somebody who is not there; GIT_PROTOCOL asks for version 2.
        let mut arguments: Vec<String> =
            ["-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "SendEnv=GIT_PROTOCOL"].map(str::to_owned).into();
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        arguments.extend([self.destination.clone(), format!("{program} {}", quote(&self.path))]);
        arguments
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn http(text: &str) -> Result<Address> {
    let url = Url::parse(text).map_err(|cause| Error::bad_gateway("invalid repository URL").because(cause))?;
    Ok(Address::Http(url))
}

fn ssh(text: &str) -> Result<Address> {
    let invalid = |why: &str| Error::bad_gateway(format!("invalid ssh address of a repository: {why}"));
    let url = Url::parse(text).map_err(|cause| invalid("malformed").because(cause))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| invalid("no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
    let path = if path.starts_with("/~") { path[1..].to_owned() } else { path };
    let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy().into_owned();
    checked(&user, host, url.port(), path)
}

fn short(text: &str) -> Result<Address> {
    let (destination, path) =
        text.split_once(':').ok_or_else(|| Error::bad_gateway("a git repository must be named by a URL"))?;
    let (user, host) = destination.rsplit_once('@').unwrap_or(("", destination));
    checked(user, host, None, path.to_owned())
}

/// A name that begins with a hyphen would be an option of ssh or git.
fn checked(user: &str, host: &str, port: Option<u16>, path: String) -> Result<Address> {
    let strange = |text: &str| text.starts_with('-') || text.chars().any(|c| c.is_control() || c.is_whitespace());
    if host.is_empty() || strange(host) || strange(user) || path.starts_with('-') || path.contains('\0') {
        return Err(Error::bad_gateway("invalid ssh address of a repository: strange host, user or path"));
    }
    if path.is_empty() || path == "/" {
        return Err(Error::bad_gateway("invalid ssh address of a repository: no path"));
    }
    let destination = if user.is_empty() { host.to_owned() } else { format!("{user}@{host}") };
    Ok(Address::Ssh(SshAddress { destination, port, path }))
}

/// One word for the remote shell, which is not always a Bourne shell: hence the exclamation mark.
fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '!' => quoted.extend(['\'', '\\', c, '\'']),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh_of(url: &str, instead: Option<&str>) -> String {
        match Address::parse(url, instead) {
            Ok(Address::Ssh(ssh)) => ssh.arguments("git-upload-pack")[6..].join(" "),
            Ok(Address::Http(url)) => url.to_string(),
            Err(error) => error.what().to_owned(),
        }
    }

    #[test]
    fn leads_to_the_right_transport() {
        // name, URL, its replacement, what comes out
        let table = [
            ("https", "https://git.example.com/a", None, "https://git.example.com/a"),
            ("ssh", "ssh://git@git.example.com/a.git", None, "git@git.example.com git-upload-pack '/a.git'"),
            ("port", "ssh://git.example.com:2222/a", None, "-p 2222 git.example.com git-upload-pack '/a'"),
            ("home", "ssh://git.example.com/~ann/a", None, "git.example.com git-upload-pack '~ann/a'"),
            ("quoted", "ssh://h.example/it's!", None, r"h.example git-upload-pack '/it'\''s'\!''"),
            ("v6", "ssh://git@[::1]/a", None, "git@::1 git-upload-pack '/a'"),
            ("short", "https://h.example/a/b", Some("git@h.example:a/b"), "git@h.example git-upload-pack 'a/b'"),
            (
                "http to http is left to the client",
                "https://git.example.com/a",
                Some("https://other.example/a"),
                "https://git.example.com/a",
            ),
        ];
        for (name, url, instead, expected) in table {
            assert_eq!(ssh_of(url, instead), expected, "{name}");
        }
    }

    #[test]
    fn refuses_what_is_no_remote_repository() {
        for url in [
            "file:///srv/a",
            "/srv/a",
            "git@h.example:a",
            "git://h.example/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-x@h.example/a",
            "ssh://h.example/",
            "ext::sh -c x",
        ] {
            assert!(Address::parse(url, None).is_err(), "{url}");
        }
    }
}
