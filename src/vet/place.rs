//! Where in a repository a module lies, as far as its path alone says.
//! Rules: `newCodeRepo` in `cmd/go/internal/modfetch/coderepo.go`.

use crate::error::{Error, Result};
use crate::spec::location::Location;
use crate::spec::path::{MajorSuffix, ModulePath, has_prefix};

/// A module path laid over a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    module: ModulePath,
    root: String,
    folder: String,
}

impl Place {
    pub fn new(module: &ModulePath, location: &Location) -> Result<Place> {
        let root = &location.root;
        let outside =
            || Error::not_found(format!("repository rooted at {root} cannot contain module {module}")).about(module);
        if !has_prefix(module.as_str(), root) {
            return Err(outside());
        }
        let below = match module.as_str() == root {
            true => "",
            // The suffix is no folder yet: whether /v2 is one is seen in the tree.
            false if has_prefix(module.prefix(), root) => module.prefix()[root.len()..].trim_matches('/'),
            false => return Err(outside()),
        };
        let folder = match location.subdir.as_str() {
            "" => below.to_owned(),
            subdir => clean(&format!("{below}/{subdir}")),
        };
        Ok(Place { module: module.clone(), root: root.clone(), folder })
    }

    pub fn module(&self) -> &ModulePath {
        &self.module
    }

    pub fn suffix(&self) -> MajorSuffix<'_> {
        self.module.major_suffix()
    }

    /// The import path of the repository's root.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The folder where the module should be, without its major version suffix; empty for the root.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The folder that a suffix like `/v2` may stand for, if it may stand for one: not where the
    /// repository itself answers to the whole path, nor for gopkg.in's dots.
    pub fn suffix_folder(&self) -> Option<String> {
        let suffix = self.suffix();
        let possible = !suffix.is_empty() && !suffix.is_dotted() && self.root != self.module.as_str();
        possible.then(|| join(&self.folder, suffix.element()))
    }

    /// What stands before a version in the tags of this module: empty or `folder/`.
    pub fn tag_prefix(&self) -> String {
        match self.folder.as_str() {
            "" => String::new(),
            folder => format!("{folder}/"),
        }
    }

    /// The prefix of the tags that pseudo-versions of this module rest on.
    pub fn pseudo_tag_prefix(&self) -> String {
        match self.suffix().element() {
            "" => self.tag_prefix(),
            element => format!("{}{element}.", self.tag_prefix()),
        }
    }

    /// The module path without its major version suffix, for messages.
    pub fn prefix(&self) -> &str {
        if self.root == self.module.as_str() { &self.root } else { self.module.prefix() }
    }
}

/// Two paths with a slash between, where both have something.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Takes `.`, `..` and double slashes out of a relative path.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            _ => kept.push(element),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::location::LocationKind;

    fn place(module: &str, root: &str, subdir: &str) -> Result<Place> {
        let location = Location {
            root: root.to_owned(),
            kind: LocationKind::Git,
            url: format!("https://{root}"),
            subdir: subdir.to_owned(),
            is_guess: false,
        };
        Place::new(&ModulePath::parse(module).expect(module), &location)
    }

    #[test]
    fn finds_folder_and_tags() {
        // module, root, subdir, folder, suffix folder, prefix of the tags a pseudo-version rests on
        let table = [
            ("example.com/m", "example.com/m", "", "", None, ""),
            ("example.com/m/sub", "example.com/m", "", "sub", None, "sub/"),
            ("example.com/m/v2", "example.com/m", "", "", Some("v2"), "v2."),
            ("example.com/m/sub/v3", "example.com/m", "", "sub", Some("sub/v3"), "sub/v3."),
            ("example.com/m/v2", "example.com/m/v2", "", "", None, "v2."),
            ("gopkg.in/yaml.v2", "gopkg.in/yaml.v2", "", "", None, "v2."),
            ("example.com/m", "example.com/m", "go/lib", "go/lib", None, "go/lib/"),
            ("example.com/m/sub", "example.com/m", "./go//x/../lib", "sub/go/lib", None, "sub/go/lib/"),
        ];
        for (module, root, subdir, folder, suffix_folder, tags) in table {
            let place = place(module, root, subdir).expect(module);
            assert_eq!(place.folder(), folder, "{module}");
            assert_eq!(place.suffix_folder().as_deref(), suffix_folder, "{module}");
            assert_eq!(place.pseudo_tag_prefix(), tags, "{module}");
        }
    }

    #[test]
    fn refuses_a_repository_that_is_not_above() {
        for root in ["example.com/other", "example.com/m/v2/x"] {
            let error = place("example.com/m/v2", root, "").expect_err(root);
            assert_eq!(error.kind(), crate::error::Kind::NotFound);
        }
    }
}
