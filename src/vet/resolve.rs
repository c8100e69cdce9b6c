//! What a query stands for: the one right version of a revision, and the version that a query selects.
//! Rules: `convert` in `cmd/go/internal/modfetch/coderepo.go`, `queryProxy` in `cmd/go/internal/modload/query.go`.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use super::module::{Listing, Module};
use super::place::join;
use super::retract::Retractions;
use super::revision::Revision;
use crate::error::{Error, Result};
use crate::spec::gomod;
use crate::spec::info::{Info, ObjectId, Origin};
use crate::spec::pseudo::{self, PseudoVersion};
use crate::spec::query::Query;
use crate::spec::resolution::{Fault, Resolution};
use crate::spec::version::{Semver, Version, compare};

impl Module<'_> {
    /// What a query stands for, and why it is wrong if it is a wrong pseudo-version.
    pub fn resolve(&self, query: &Query) -> Result<Resolution> {
        let subject = || format!("{}@{query}", self.place.module());
        let resolution = match query {
            Query::Latest => self.latest().map(|info| Resolution::valid("latest", info)),
            Query::Prefix(short) => self.highest_below(short).map(|info| Resolution::valid(short.as_str(), info)),
            Query::Version(version) => self.stat(version.as_str()),
            Query::Revision(text) => self.stat_revision(text),
        };
        resolution.map_err(|error| error.about(subject()))
    }

    /// The highest release, else the highest pre-release, else the default branch; what was taken back does not count.
    pub fn latest(&self) -> Result<Info> {
        let listing = self.versions("")?;
        let retractions = self.retractions_of_latest(&listing)?;
        let allowed = |version: &Version| !retractions.contains(version.semver());
        if let Some(version) = self.select(&listing.versions, false, &allowed)? {
            return self.selected(&listing, version.as_str());
        }
        let info = self.head()?;
        match Version::parse(&info.version) {
            Some(version) if allowed(&version) => Ok(merged(&listing, info)),
            _ => Err(no_match("latest")),
        }
    }

    /// The highest version that starts with `v1` or `v1.2`.
    fn highest_below(&self, short: &Semver) -> Result<Info> {
        let listing = self.versions(&format!("{short}."))?;
        let retractions = self.retractions_of_latest(&self.versions("")?)?;
        let allowed =
            |version: &Version| version.semver().precedence(short).is_ge() && !retractions.contains(version.semver());
        let prefer_incompatible = !self.place.suffix().matches(short);
        match self.select(&listing.versions, prefer_incompatible, &allowed)? {
            Some(version) => self.selected(&listing, version.as_str()),
            None => Err(no_match(short.as_str())),
        }
    }

    /// What the version takes back that `latest` would be if nothing were taken back.
    fn retractions_of_latest(&self, listing: &Listing) -> Result<Retractions> {
        let latest = match self.select(&listing.versions, false, &|_| true)? {
            Some(version) => version.as_str().to_owned(),
            None => match self.head() {
                Ok(info) => info.version,
                Err(error) if error.is_absence() => return Ok(Retractions::default()),
                Err(error) => return Err(error),
            },
        };
        self.retractions_of(&latest)
    }

    /// The highest release, else the highest pre-release among the allowed ones. `+incompatible` ones
    /// are looked at only while no lower version has a go.mod.
    fn select<'v>(
        &self,
        versions: &'v [Version],
        prefer_incompatible: bool,
        allowed: &dyn Fn(&Version) -> bool,
    ) -> Result<Option<&'v Version>> {
        let mut need_incompatible = prefer_incompatible;
        let mut last_compatible: Option<&Version> = None;
        let (mut release, mut pre_release) = (None, None);
        for version in versions.iter().filter(|v| allowed(v)) {
            if !need_incompatible {
                match last_compatible {
                    _ if !version.is_incompatible() => last_compatible = Some(version),
                    Some(compatible) if self.has_own_go_mod(compatible)? => break,
                    Some(_) => need_incompatible = true,
                    None => {}
                }
            }
            let best = if version.is_release() { &mut release } else { &mut pre_release };
            *best = Some(version);
        }
        Ok(release.or(pre_release))
    }

    /// A go.mod that says no more than a made-up one counts as none.
    fn has_own_go_mod(&self, version: &Version) -> Result<bool> {
        let go_mod = self.root(version.as_str())?.go_mod;
        Ok(go_mod.is_some_and(|bytes| bytes != gomod::synthesized(self.place.module())))
    }

    fn selected(&self, listing: &Listing, version: &str) -> Result<Info> {
        Ok(merged(listing, self.stat(version)?.right))
    }

    /// The version of the default branch's last commit.
    fn head(&self) -> Result<Info> {
        Naming::new(self, &self.snapshot.head()?, "").canonical()
    }

    /// A revision that is no version; `v1.2.3+meta` may also stand for `v1.2.3`.
    fn stat_revision(&self, text: &str) -> Result<Resolution> {
        let first = self.stat(text);
        let settled = match &first {
            Ok(resolution) => resolution.is_valid(),
            Err(error) => !error.is_absence(),
        };
        match Semver::parse(text).map(|v| v.canonical()).filter(|canonical| canonical != text) {
            Some(canonical) if !settled => match self.stat(&canonical) {
                Ok(second) if second.is_valid() => Ok(second),
                Err(error) if !error.is_absence() => Err(error),
                _ => first,
            },
            _ => first,
        }
    }

    fn stat(&self, text: &str) -> Result<Resolution> {
        let revision = self.find(text)?;
        let naming = Naming::new(self, &revision, text);
        match PseudoVersion::parse(text) {
            Some(pseudo) => naming.judge(&pseudo),
            None => Ok(Resolution::valid(text, naming.canonical()?)),
        }
    }
}

fn no_match(query: &str) -> Error {
    Error::not_found(format!("no matching versions for query {query:?}"))
}

/// An answer that rests on the list as well.
fn merged(listing: &Listing, mut info: Info) -> Info {
    info.origin = match (&listing.origin, &info.origin) {
        (Some(list), Some(own)) => list.merge(own),
        _ => None,
    };
    info
}

/// The search for the right name of one revision.
pub(super) struct Naming<'a> {
    pub(super) module: &'a Module<'a>,
    pub(super) revision: &'a Revision,
    /// As asked; empty where only the revision was.
    pub(super) asked: &'a str,
    retractions: OnceCell<Retractions>,
    go_mods: RefCell<BTreeMap<String, bool>>,
}

impl<'a> Naming<'a> {
    pub(super) fn new(module: &'a Module<'a>, revision: &'a Revision, asked: &'a str) -> Naming<'a> {
        Naming { module, revision, asked, retractions: OnceCell::new(), go_mods: RefCell::default() }
    }

    /// The version that the go command gives this revision: its tag, else a pseudo-version.
    pub(super) fn canonical(&self) -> Result<Info> {
        if let Some((version, true)) = self.revision.tag.as_deref().and_then(|tag| self.version_of(tag)) {
            match self.checked(version.as_str()) {
                Err(error) if error.is_absence() => {}
                checked => return checked,
            }
        }
        let mut base = None;
        let mut highest: Option<Semver> = None;
        for (version, is_canonical) in self.revision.tags.iter().filter_map(|tag| self.version_of(tag)) {
            if !self.asked.is_empty() && compare(version.as_str(), self.asked).is_eq() {
                if is_canonical {
                    return self.checked(version.as_str());
                }
                // v1.2.3+meta is no version, since v1.2.3+other may be elsewhere: fixtures/build-metadata.repo
                base = Some(version.clone());
            }
            let higher = highest.as_ref().is_none_or(|h| h.precedence(&version).is_lt());
            if is_canonical && higher && !self.is_retracted(&version)? && self.fits(&version)? {
                highest = Some(version);
            }
        }
        if let Some(version) = highest {
            return self.checked(version.as_str());
        }
        let base = match base {
            Some(base) => Some(base),
            None => self.highest_ancestor_tag()?,
        };
        let Revision { commit, is_tip, .. } = self.revision;
        let major = self.module.place.suffix().major();
        let version = pseudo::format(major, base.as_ref(), commit.time, &commit.id.short());
        // What a ref names is the only commit that the go command has fetched, so its twelve digits name
        // nothing else: fixtures/ambiguous-twelve.repo
        if *is_tip && PseudoVersion::parse(&version).is_some() {
            self.module.root_at(commit.id, &version)?;
        } else {
            self.module.root(&version)?;
        }
        self.named(&version)
    }

    /// The highest version tagged on the revision or before it, as far as the go command looks.
    fn highest_ancestor_tag(&self) -> Result<Option<Semver>> {
        let prefix = self.module.place.tag_prefix();
        let mut candidates = Vec::new();
        for (tag, id) in self.module.snapshot.refs.tags(&prefix) {
            if let Some((version, _)) = self.version_of(tag)
                && self.fits(&version)?
                && !self.is_retracted(&version)?
            {
                candidates.push((version, id));
            }
        }
        let commit = self.revision.commit.id;
        // What a ref names is fetched without its history first, and a tag on the commit itself ends
        // the search, be there a higher one before it: fixtures/build-metadata-shallow.repo
        let own = candidates.iter().filter(|(_, id)| self.revision.is_tip && *id == commit);
        if let Some((version, _)) = own.reduce(higher) {
            return Ok(Some(version.clone()));
        }
        let ids: Vec<ObjectId> = candidates.iter().map(|(_, id)| *id).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let is_ancestor = self.module.snapshot.repo.ancestors(commit, &ids)?;
        let before = candidates.iter().zip(is_ancestor).filter(|(_, is)| *is).map(|(candidate, _)| candidate);
        Ok(before.reduce(higher).map(|(version, _)| version.clone()))
    }

    /// The version in a tag of this module, and whether the tag is nothing but that version.
    fn version_of(&self, tag: &str) -> Option<(Semver, bool)> {
        let trimmed = tag.strip_prefix(&self.module.place.tag_prefix())?;
        // The whole tag is looked at, so that sub/v0.0.0-TIME-HASH is a version: fixtures/pseudo-like-tags.repo
        if pseudo::is_pseudo(tag) {
            return None;
        }
        let version = Semver::parse(trimmed).filter(|v| !v.is_short())?;
        let canonical = version.canonical();
        let is_canonical = canonical == trimmed;
        Some((Semver::parse(&canonical)?, is_canonical))
    }

    fn is_retracted(&self, version: &Semver) -> Result<bool> {
        if self.retractions.get().is_none() {
            let read = self.module.retractions()?;
            return Ok(self.retractions.get_or_init(|| read).contains(version));
        }
        Ok(self.retractions.get().is_some_and(|r| r.contains(version)))
    }

    /// Whether the module can have this version, if need be with `+incompatible`.
    fn fits(&self, version: &Semver) -> Result<bool> {
        Ok(self.module.place.suffix().matches(version) || self.may_be_incompatible(version)?)
    }

    /// Whether `+incompatible` may follow: neither the root nor, unless asked for so, `vN/` has a go.mod.
    fn may_be_incompatible(&self, version: &Semver) -> Result<bool> {
        let place = self.module.place;
        if !place.folder().is_empty() || !place.suffix().is_empty() || self.has_go_mod("")? {
            return Ok(false);
        }
        Ok(self.asked.ends_with("+incompatible") || !self.has_go_mod(version.major())?)
    }

    fn has_go_mod(&self, folder: &str) -> Result<bool> {
        if let Some(known) = self.go_mods.borrow().get(folder) {
            return Ok(*known);
        }
        let found = self.module.read(self.revision.commit.id, &join(folder, "go.mod"))?.is_some();
        self.go_mods.borrow_mut().insert(folder.to_owned(), found);
        Ok(found)
    }

    /// The answer with this version, if the module can have it.
    fn checked(&self, version: &str) -> Result<Info> {
        self.module.root(version)?;
        self.named(version)
    }

    /// The answer with a version whose folder is known to be there.
    fn named(&self, version: &str) -> Result<Info> {
        let (version, fault) = self.suffixed(version)?;
        let base = version.strip_suffix("+incompatible").unwrap_or(&version);
        if let Some(asked) = Version::parse(self.asked)
            && asked.base() != base
        {
            return Err(Error::not_found(format!("resolves to version {version} ({} is not a tag)", asked.base())));
        }
        match fault {
            None => Ok(self.info(version)),
            Some(fault) => Err(Error::not_found(format!("invalid version: {fault}"))),
        }
    }

    /// The version with `+incompatible` where it is needed, and the fault where it cannot be or must not be.
    pub(super) fn suffixed(&self, version: &str) -> Result<(String, Option<Fault>)> {
        let asked_base = self.asked.strip_suffix("+incompatible").unwrap_or(self.asked);
        let version = if version == asked_base { self.asked } else { version };
        let base = version.strip_suffix("+incompatible").unwrap_or(version);
        let semver = Semver::parse(base).ok_or_else(|| Error::not_found(format!("invalid version: {version}")))?;
        let place = self.module.place;
        let major = semver.major().to_owned();
        let fault = if place.suffix().matches(&semver) {
            (base != version).then_some(Fault::IncompatibleNotAllowed { major })
        } else if self.may_be_incompatible(&semver)? {
            return Ok((format!("{base}+incompatible"), None));
        } else if !place.suffix().is_empty() {
            Some(Fault::SuffixDiffers)
        } else {
            Some(Fault::GoModExists { path: join(place.prefix(), &major) })
        };
        Ok((version.to_owned(), fault))
    }

    pub(super) fn info(&self, version: String) -> Info {
        let origin = Some(self.origin(&version));
        Info { time: Some(self.revision.commit.time), version, origin }
    }

    fn origin(&self, version: &str) -> Origin {
        let place = self.module.place;
        let mut origin = Origin { subdir: place.folder().to_owned(), ..self.revision.origin.clone() };
        if pseudo::is_pseudo(version) && (version != self.asked || !version.starts_with("v0.0.0-")) {
            origin.tag_prefix = place.pseudo_tag_prefix();
            origin.tag_sum = self.module.snapshot.refs.tag_sum(&origin.tag_prefix);
        }
        origin
    }
}

/// The higher of two; of equals the first.
fn higher<'c>(a: &'c (Semver, ObjectId), b: &'c (Semver, ObjectId)) -> &'c (Semver, ObjectId) {
    if b.0.precedence(&a.0).is_gt() { b } else { a }
}
