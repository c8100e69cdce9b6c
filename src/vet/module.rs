//! A module in a repository: its versions, its root, its go.mod.
//! Rules: `Versions`, `findDir` and `GoMod` in `cmd/go/internal/modfetch/coderepo.go`.

use bytes::Bytes;

use super::place::{Place, join};
use super::revision::{Revision, Snapshot};
use crate::error::{Error, Result};
use crate::spec::gomod;
use crate::spec::info::{ObjectId, Origin};
use crate::spec::path::{MajorSuffix, split_major};
use crate::spec::pseudo::{self, PseudoVersion};
use crate::spec::version::{Semver, Version};

/// The largest go.mod that is served: more than the 16 MiB that may stand in a zip, since the go
/// command in direct mode reads any.
pub const MOD_FILE_LIMIT: u64 = 64 << 20;

/// A module as it lies in a repository at one moment.
pub struct Module<'a> {
    pub place: &'a Place,
    pub snapshot: Snapshot<'a>,
}

/// Where a version's files are.
#[derive(Debug, Clone)]
pub struct Root {
    pub commit: ObjectId,
    /// Empty for the root of the repository.
    pub folder: String,
    /// `None` where the tree has no go.mod, so that one is made up.
    pub go_mod: Option<Bytes>,
}

/// Why a tree does not hold the module.
#[derive(Debug, Clone)]
pub(super) struct Misfit {
    /// In the go command's words.
    pub why: String,
    /// The module path that stands there; empty if none does.
    pub found: String,
}

/// Versions in ascending order and the tags that they rest on.
#[derive(Debug, Clone)]
pub struct Listing {
    pub versions: Vec<Version>,
    pub origin: Option<Origin>,
}

impl Module<'_> {
    /// All versions whose text starts with `prefix`, pseudo-versions left out. Tags are not looked into:
    /// one on a blob is listed as well.
    pub fn versions(&self, prefix: &str) -> Result<Listing> {
        let place = self.place;
        // gopkg.in/m.v2-unstable has no versions; v2 tags are those of gopkg.in/m.v2.
        if place.module().is_gopkg_in() && place.module().as_str().ends_with("-unstable") {
            return Ok(Listing { versions: Vec::new(), origin: None });
        }
        let tag_prefix = format!("{}{prefix}", place.tag_prefix());
        let mut compatible = Vec::new();
        let mut incompatible = Vec::new();
        for (tag, _) in self.snapshot.refs.tags(&tag_prefix) {
            let Some(version) = Semver::parse(&tag[place.tag_prefix().len()..]) else { continue };
            if !version.is_canonical() || pseudo::is_pseudo(version.as_str()) {
                continue;
            }
            if place.suffix().matches(&version) {
                compatible.extend(Version::parse(version.as_str()));
            } else if place.folder().is_empty() && place.suffix().is_empty() {
                incompatible.extend(Version::parse(version.as_str()));
            }
        }
        compatible.sort();
        incompatible.sort();
        let origin = Origin {
            vcs: "git".to_owned(),
            url: self.snapshot.repo.url().to_owned(),
            subdir: place.folder().to_owned(),
            tag_sum: self.snapshot.refs.tag_sum(&tag_prefix),
            tag_prefix,
            ..Origin::default()
        };
        self.add_incompatible(&mut compatible, &incompatible)?;
        Ok(Listing { versions: compatible, origin: Some(origin) })
    }

    /// Versions of v2 and above without go.mod join the list, unless the author has turned to modules.
    fn add_incompatible(&self, versions: &mut Vec<Version>, incompatible: &[Version]) -> Result<()> {
        if incompatible.is_empty() {
            return Ok(());
        }
        if let Some(last) = versions.last()
            && self.tag_has_go_mod(last.as_str())?
        {
            return Ok(());
        }
        for major in incompatible.chunk_by(|a, b| a.major() == b.major()) {
            let highest = &major[major.len() - 1];
            if !self.tag_has_go_mod(highest.as_str())? {
                versions.extend(major.iter().filter_map(|v| Version::parse(&format!("{v}+incompatible"))));
            }
        }
        Ok(())
    }

    fn tag_has_go_mod(&self, tag: &str) -> Result<bool> {
        match self.snapshot.find(tag) {
            Ok(found) => Ok(self.read(found.commit.id, "go.mod")?.is_some()),
            Err(error) if error.is_absence() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a version is called in the repository: a tag, or the hash in a pseudo-version.
    pub fn revision_name(&self, version: &str) -> String {
        if let Some(pseudo) = PseudoVersion::parse(version) {
            return pseudo.revision().to_owned();
        }
        match Semver::parse(version) {
            Some(_) => {
                let tag = version.strip_suffix("+incompatible").unwrap_or(version);
                format!("{}{tag}", self.place.tag_prefix())
            }
            None => version.to_owned(),
        }
    }

    /// The revision of a version. A pseudo-version's digits may also be misspelt: to the go command such a
    /// revision is unknown, here the right version can be named.
    pub fn find(&self, version: &str) -> Result<Revision> {
        let name = self.revision_name(version);
        match self.snapshot.find(&name) {
            Err(absence) if absence.is_absence() && pseudo::is_pseudo(version) => {
                self.snapshot.find_misspelt(&name)?.ok_or(absence)
            }
            found => found,
        }
    }

    /// The folder that holds the module at a version: the one that the path names, or the one of its
    /// major version suffix.
    pub fn root(&self, version: &str) -> Result<Root> {
        self.root_at(self.find(version)?.commit.id, version)
    }

    /// The same for a version whose commit is known.
    pub fn root_at(&self, commit: ObjectId, version: &str) -> Result<Root> {
        self.place_at(commit, version)?.map_err(|misfit| Error::not_found(misfit.why))
    }

    /// The same, and why there is none as a fact.
    pub(super) fn place_at(&self, commit: ObjectId, version: &str) -> Result<Result<Root, Misfit>> {
        let revision = self.revision_name(version);
        let place = self.place;
        let suffix = place.suffix();
        let file = join(place.folder(), "go.mod");
        let outer = self.read(commit, &file)?;
        let outer_path = outer.as_deref().map(module_path);
        let outer_fits = outer_path.as_deref().is_some_and(|path| fits(path, suffix) || is_gopkg_in_fork(path, suffix));
        let misfit = |why: String, found: Option<&str>| {
            let found = found.unwrap_or_default().to_owned();
            Ok(Err(Misfit { why: format!("{why} at revision {revision}"), found }))
        };

        if let Some(folder) = place.suffix_folder() {
            let inner_file = join(&folder, "go.mod");
            if let Some(inner) = self.read(commit, &inner_file)? {
                let path = module_path(&inner);
                let inner_fits = fits(&path, suffix);
                return match (inner_fits, outer_fits) {
                    (true, true) => {
                        let why = format!(
                            "{}/{file} and ...{}/go.mod both have ...{} module paths",
                            place.prefix(),
                            suffix.as_str(),
                            suffix.as_str()
                        );
                        misfit(why, Some(&path))
                    }
                    (true, false) => Ok(Ok(Root { commit, folder, go_mod: Some(inner) })),
                    _ if path.is_empty() => {
                        misfit(format!("{}/{inner_file} is missing module path", place.root()), None)
                    }
                    _ => {
                        let (root, suffix) = (place.root(), suffix.as_str());
                        misfit(format!("{root}/{inner_file} has non-...{suffix} module path {path:?}"), Some(&path))
                    }
                };
            }
        }
        match (outer, outer_path) {
            (Some(go_mod), _) if outer_fits => {
                Ok(Ok(Root { commit, folder: place.folder().to_owned(), go_mod: Some(go_mod) }))
            }
            (Some(_), path) => {
                let path = path.unwrap_or_default();
                misfit(self.misfit(&file, &path, version), Some(&path))
            }
            (None, _) if place.folder().is_empty() && (suffix.is_empty() || suffix.is_dotted()) => {
                Ok(Ok(Root { commit, folder: String::new(), go_mod: None }))
            }
            (None, _) if place.suffix_folder().is_some() => {
                misfit(format!("missing {0}/go.mod and ...{1}/go.mod", place.prefix(), suffix.as_str()), None)
            }
            (None, _) => misfit(format!("missing {}/go.mod", place.prefix()), None),
        }
    }

    /// Why a go.mod that is there is not this module's.
    fn misfit(&self, file: &str, path: &str, version: &str) -> String {
        let suffix = self.place.suffix().as_str();
        let not_below = match self.place.suffix_folder() {
            Some(_) => format!(" (and ...{suffix}/go.mod does not exist)"),
            None => String::new(),
        };
        if path.is_empty() {
            format!("{file} is missing module path{not_below}")
        } else if !suffix.is_empty() {
            format!("{file} has non-...{suffix} module path {path:?}{not_below}")
        } else if split_major(path).is_none() {
            format!("{file} has malformed module path {path:?}{not_below}")
        } else {
            let major = Semver::parse(version).map(|v| v.major().to_owned()).unwrap_or_default();
            format!("{file} has post-{major} module path {path:?}{not_below}")
        }
    }

    /// The go.mod of a version, made up where the tree has none.
    pub fn go_mod(&self, version: &str) -> Result<Bytes> {
        let root = self.root(version)?;
        Ok(root.go_mod.unwrap_or_else(|| gomod::synthesized(self.place.module()).into()))
    }

    pub fn read(&self, commit: ObjectId, path: &str) -> Result<Option<Bytes>> {
        self.snapshot.repo.read_file(commit, path, MOD_FILE_LIMIT)
    }
}

/// Empty where a go.mod names none.
fn module_path(go_mod: &[u8]) -> String {
    gomod::module_path(go_mod).unwrap_or_default()
}

/// Whether a go.mod with this module path may serve paths with this suffix: only the major version
/// counts, since a fork may be used under another path by `replace`.
fn fits(path: &str, suffix: MajorSuffix<'_>) -> bool {
    let Some((_, own)) = split_major(path).filter(|_| !path.is_empty()) else { return false };
    if suffix.is_empty() {
        return matches!(own.major(), None | Some("v0" | "v1"));
    }
    !own.is_empty() && own.element() == suffix.element()
}

/// The go command once let a path without suffix replace any gopkg.in module, and still does.
fn is_gopkg_in_fork(path: &str, suffix: MajorSuffix<'_>) -> bool {
    suffix.is_empty() && path.starts_with("gopkg.in/")
}
