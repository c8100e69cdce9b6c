//! The module paths that say by themselves where their repository is.
//! Rules: `vcsPaths` and `vcsPathsAfterDynamic` of `cmd/go/internal/vcs`.

use crate::spec::location::{Location, LocationKind};
use crate::spec::path::has_prefix;

/// The version control systems by name, as the go command knows them.
const SYSTEMS: [&str; 5] = ["hg", "git", "svn", "bzr", "fossil"];

/// What a module path alone tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Known(Location),
    /// `host/path.git`: the scheme is to be found out. `repository` has no scheme.
    Suffixed {
        root: String,
        repository: String,
        kind: LocationKind,
    },
    /// A page must be asked.
    Unknown,
}

/// How the paths of a well-known host look: the elements of the root after `host`.
struct Host {
    host: &'static str,
    kind: &'static str,
    root: &'static [Element],
    /// Whether packages may lie below the root.
    below: bool,
    /// Whether a root that ends in `.git` and the like is refused.
    bare: bool,
}

#[derive(Clone, Copy)]
enum Element {
    Literal(&'static str),
    /// Letters, digits, `_`, `.`, `-`.
    Name,
    /// Small letters and digits.
    SmallWord,
    /// Letters and digits.
    Word,
    /// A name in small letters that ends in `.git`.
    SmallGitName,
}

use Element::{Literal, Name, SmallGitName, SmallWord, Word};

const HOSTS: [Host; 6] = [
    Host { host: "github.com", kind: "git", root: &[Name, Name], below: true, bare: true },
    Host { host: "bitbucket.org", kind: "git", root: &[Name, Name], below: true, bare: true },
    Host { host: "hub.jazz.net/git", kind: "git", root: &[SmallWord, Name], below: true, bare: true },
    Host { host: "git.apache.org", kind: "git", root: &[SmallGitName], below: true, bare: false },
    Host { host: "git.openstack.org", kind: "git", root: &[Name, Name], below: true, bare: false },
    Host {
        host: "chiselapp.com",
        kind: "fossil",
        root: &[Literal("user"), Word, Literal("repository"), Name],
        below: false,
        bare: false,
    },
];

impl Element {
    fn fits(self, text: &str) -> bool {
        match self {
            Literal(literal) => text == literal,
            Name => is_name(text),
            SmallWord => !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            Word => !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric()),
            SmallGitName => {
                let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
                text.strip_suffix(".git").is_some_and(|name| !name.is_empty() && name.bytes().all(small))
            }
        }
    }
}

/// The kind by its name in a path or a tag; `None` for one that the go command does not know.
pub(super) fn kind(name: &str) -> Option<LocationKind> {
    match name {
        "git" => Some(LocationKind::Git),
        "mod" => Some(LocationKind::Proxy),
        _ => SYSTEMS.contains(&name).then(|| LocationKind::Other(name.to_owned())),
    }
}

/// What a module path alone tells; an error in the go command's words for a path that its host cannot have.
pub(super) fn place(path: &str) -> Result<Place, String> {
    match HOSTS.iter().find(|host| has_prefix(path, host.host)) {
        Some(host) => known(host, path).map(Place::Known),
        None => Ok(suffixed(path).unwrap_or(Place::Unknown)),
    }
}

fn known(host: &Host, path: &str) -> Result<Location, String> {
    let rest: Vec<&str> = path[host.host.len()..].split('/').skip(1).collect();
    let length = host.root.len();
    let fits = rest.len() >= length
        && (host.below || rest.len() == length)
        && host.root.iter().zip(&rest).all(|(element, text)| element.fits(text))
        && rest[length..].iter().all(|text| is_name(text));
    if !fits {
        return Err(format!("invalid {} import path {path:?}", host.host));
    }
    let root = format!("{}/{}", host.host, rest[..length].join("/"));
    if host.bare && SYSTEMS.iter().any(|system| root.ends_with(&format!(".{system}"))) {
        return Err(format!("invalid version control suffix in {}/ path", host.host));
    }
    let kind = kind(host.kind).expect("the table names known systems");
    Ok(Location { url: format!("https://{root}"), root, kind, subdir: String::new(), is_guess: false })
}

/// The general form `host/path.SYSTEM/package`: the first element with such an ending ends the root.
fn suffixed(path: &str) -> Option<Place> {
    let mut end = path.find('/')?;
    let mut found = None;
    for element in path[end + 1..].split('/') {
        end += 1 + element.len();
        let name = element.strip_prefix('~').unwrap_or(element);
        if !is_name(name) {
            return None;
        }
        let (stem, system) = name.rsplit_once('.').unwrap_or((name, ""));
        if found.is_none() && !stem.is_empty() && SYSTEMS.contains(&system) {
            found = Some((end, system));
        }
    }
    let (end, system) = found?;
    let root = path[..end].to_owned();
    let repository = root[..end - system.len() - 1].to_owned();
    Some(Place::Suffixed { root, repository, kind: kind(system)? })
}

/// launchpad.net, where its page says nothing: a branch of bzr.
pub(super) fn launchpad(path: &str) -> Option<Location> {
    let rest = path.strip_prefix("launchpad.net/")?;
    let elements: Vec<&str> = rest.split('/').collect();
    let length = if rest.starts_with('~') { 3 } else { 1 };
    let is_named = |element: &&str| is_name(element.strip_prefix('~').unwrap_or(element));
    if elements.len() < length || !elements.iter().all(is_named) {
        return None;
    }
    let root = format!("launchpad.net/{}", elements[..length].join("/"));
    let kind = LocationKind::Other("bzr".to_owned());
    Some(Location { url: format!("https://{root}"), root, kind, subdir: String::new(), is_guess: false })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_the_go_command_knows() {
        let table: [(&str, &str); 27] = [
            ("github.com/a/b", "git github.com/a/b https://github.com/a/b"),
            ("github.com/a/b/c/v2", "git github.com/a/b https://github.com/a/b"),
            ("github.com/a/B_c.d-e", "git github.com/a/B_c.d-e https://github.com/a/B_c.d-e"),
            ("github.com/a", "invalid github.com import path \"github.com/a\""),
            ("github.com", "invalid github.com import path \"github.com\""),
            ("github.com/a/b~c", "invalid github.com import path \"github.com/a/b~c\""),
            ("github.com/a/b.git", "invalid version control suffix in github.com/ path"),
            ("github.com/a/b.git/c", "invalid version control suffix in github.com/ path"),
            ("github.com/a/b/c.git", "git github.com/a/b https://github.com/a/b"),
            ("github.community/a/b", "unknown"),
            ("bitbucket.org/a/b/c", "git bitbucket.org/a/b https://bitbucket.org/a/b"),
            ("hub.jazz.net/git/user/pkg/x", "git hub.jazz.net/git/user/pkg https://hub.jazz.net/git/user/pkg"),
            ("hub.jazz.net/git/User/pkg", "invalid hub.jazz.net/git import path \"hub.jazz.net/git/User/pkg\""),
            ("hub.jazz.net", "unknown"),
            ("git.apache.org/p.git/x", "git git.apache.org/p.git https://git.apache.org/p.git"),
            ("git.apache.org/p", "invalid git.apache.org import path \"git.apache.org/p\""),
            ("git.openstack.org/a/b.git", "git git.openstack.org/a/b.git https://git.openstack.org/a/b.git"),
            (
                "chiselapp.com/user/kyle/repository/fossilgg",
                "fossil chiselapp.com/user/kyle/repository/fossilgg https://chiselapp.com/user/kyle/repository/fossilgg",
            ),
            (
                "chiselapp.com/user/kyle/repository/f/x",
                "invalid chiselapp.com import path \"chiselapp.com/user/kyle/repository/f/x\"",
            ),
            ("git.example.com/a/b.git", "git? git.example.com/a/b.git git.example.com/a/b"),
            ("git.example.com/a/b.git/c/d", "git? git.example.com/a/b.git git.example.com/a/b"),
            ("git.example.com/a.hg/b.git", "hg? git.example.com/a.hg git.example.com/a"),
            ("git.example.com/~user/b.git/~c", "git? git.example.com/~user/b.git git.example.com/~user/b"),
            ("git.example.com/a~b/c.git", "unknown"),
            ("git.example.com/a.gitx", "unknown"),
            ("example.git", "unknown"),
            ("gopkg.in/yaml.v3", "unknown"),
        ];
        for (path, expected) in table {
            let name = |kind: &LocationKind| match kind {
                LocationKind::Git => "git".to_owned(),
                LocationKind::Proxy => "mod".to_owned(),
                LocationKind::Other(name) => name.clone(),
            };
            let found = match place(path) {
                Ok(Place::Known(at)) => format!("{} {} {}", name(&at.kind), at.root, at.url),
                Ok(Place::Suffixed { root, repository, kind }) => format!("{}? {root} {repository}", name(&kind)),
                Ok(Place::Unknown) => "unknown".to_owned(),
                Err(why) => why,
            };
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn launchpad_is_bzr() {
        let root = |path| launchpad(path).map(|at| at.root);
        assert_eq!(root("launchpad.net/goyaml/x").as_deref(), Some("launchpad.net/goyaml"));
        assert_eq!(root("launchpad.net/~user/project/branch/x").as_deref(), Some("launchpad.net/~user/project/branch"));
        assert_eq!(root("launchpad.net/~user/project"), None);
        assert_eq!(root("launchpad.net"), None);
    }
}
