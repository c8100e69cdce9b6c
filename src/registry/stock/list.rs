//! Which entries there are, page by page.

use super::entry::{Address, PREFIX, Row};
use super::{Stock, Tenant};
use crate::error::{Error, Result};
use crate::registry::shelf;
use crate::spec::path::{ModulePath, escape};

/// Which entries are wanted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// An upstream's name.
    pub upstream: Option<String>,
    /// Escaped; with `/...` behind it all modules below as well.
    module: Option<String>,
    /// A version, a branch, a hash, `latest`; escaped.
    version: Option<String>,
    /// `MODULE/@v/FILE` or what it begins with; escaped.
    path: Option<PathWanted>,
    /// Only those of which the upstream now says something else.
    pub changed: bool,
    /// Only those that no checksum database could vouch for yet.
    pub unverified: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathWanted {
    Exactly(String),
    Below(String),
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Where the next page begins; none: this was the last one.
    pub next: Option<String>,
}

/// The character behind the slash in the order of keys.
const AFTER_SLASH: char = '0';

/// What `...` at the end of a module path stands for: all below.
const BELOW: &str = "/...";

impl Wanted {
    pub fn all() -> Wanted {
        Wanted::default()
    }

    /// Those of one upstream, or of all.
    pub fn of(upstream: Option<&str>) -> Wanted {
        Wanted { upstream: upstream.map(str::to_owned), ..Wanted::default() }
    }

    /// `MODULE`, `MODULE/...`, `MODULE@VERSION`.
    pub fn about(mut self, subject: &str) -> Result<Wanted> {
        let (module, version) = match subject.split_once('@') {
            Some((module, version)) => (module, Some(version)),
            None => (subject, None),
        };
        if version == Some("") {
            return Err(Error::gone("no version (expected MODULE or MODULE@VERSION)").about(format!("{subject:?}")));
        }
        let (plain, below) = match module.strip_suffix(BELOW) {
            Some(plain) => (plain, BELOW),
            None => (module, ""),
        };
        // Below a host there are modules, though a host alone is none.
        let checked = if below.is_empty() { plain.to_owned() } else { format!("{plain}/x") };
        ModulePath::parse(&checked)?;
        self.module = Some(format!("{}{below}", escape(plain)));
        self.version = version.map(escape);
        Ok(self)
    }

    /// The one entry at `MODULE/@v/FILE` or `MODULE/@latest`; upper case letters as they are or as `!x`.
    pub fn at(self, path: &str) -> Wanted {
        Wanted { path: Some(PathWanted::Exactly(escaped(path))), ..self }
    }

    /// Those whose path, written so, begins with this.
    pub fn beginning(self, prefix: &str) -> Wanted {
        Wanted { path: Some(PathWanted::Below(escaped(prefix))), ..self }
    }

    /// Whether nothing narrows it.
    pub fn is_all(&self) -> bool {
        *self == Wanted::default()
    }

    /// What the keys of all that is wanted begin with on a shelf.
    fn prefix(&self, shelf: &str) -> String {
        let module = self.module.as_deref().unwrap_or_default();
        match (module.is_empty(), module.strip_suffix(BELOW)) {
            (true, _) => format!("{PREFIX}{shelf}/"),
            (false, Some(above)) => format!("{PREFIX}{shelf}/{above}"),
            (false, None) => format!("{PREFIX}{shelf}/{module}/@"),
        }
    }

    fn takes(&self, row: &Row) -> bool {
        (!self.changed || row.meta.changed.is_some()) && (!self.unverified || row.is_unverified())
    }

    fn fits(&self, address: &Address<'_>) -> bool {
        self.upstream.as_deref().is_none_or(|name| shelf::name_in(address.shelf) == name)
            && self.module.as_deref().is_none_or(|module| names(module, address.module))
            && self.version.as_deref().is_none_or(|version| address.version() == Some(version))
            && self.path.as_ref().is_none_or(|path| path.fits(&format!("{}/{}", address.module, address.file)))
    }
}

impl PathWanted {
    fn fits(&self, path: &str) -> bool {
        match self {
            PathWanted::Exactly(wanted) => path == wanted,
            PathWanted::Below(wanted) => path.starts_with(wanted),
        }
    }
}

fn escaped(path: &str) -> String {
    if path.contains('!') { path.to_owned() } else { escape(path) }
}

fn names(wanted: &str, module: &str) -> bool {
    match wanted.strip_suffix(BELOW) {
        Some(above) => module.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => wanted == module,
    }
}

impl Stock {
    /// The entries that are wanted, in the order of their keys, from the one behind `after`.
    pub fn list(&self, wanted: &Wanted, after: Option<&str>, limit: usize) -> Result<Page> {
        let tenants = self.settle();
        if let Some(name) = &wanted.upstream {
            self.named(&tenants, name)?;
        }
        let mut page = Page { rows: Vec::new(), next: None };
        let mut last = None;
        self.each(wanted, after, &mut |key, row| {
            if page.rows.len() == limit {
                page.next = last.take();
                return false;
            }
            last = Some(key.to_owned());
            page.rows.push(row);
            true
        })?;
        Ok(page)
    }

    /// Shows so many of the entries that are wanted, however many that is.
    pub fn show(
        &self,
        wanted: &Wanted,
        after: Option<&str>,
        limit: u64,
        say: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let tenants = self.settle();
        if let Some(name) = &wanted.upstream {
            self.named(&tenants, name)?;
        }
        let (mut shown, mut said) = (0, Ok(()));
        self.each(wanted, after, &mut |_, row| {
            if shown < limit {
                said = say(row);
                shown += 1;
            }
            said.is_ok() && shown < limit
        })?;
        said
    }

    /// Shows the entries that are wanted until the visitor says no.
    pub(super) fn each(
        &self,
        wanted: &Wanted,
        after: Option<&str>,
        visit: &mut dyn FnMut(&str, Row) -> bool,
    ) -> Result<()> {
        let mut goes_on = true;
        for shelf in self.shelves()? {
            if wanted.upstream.as_deref().is_some_and(|name| shelf::name_in(&shelf) != name) {
                continue;
            }
            self.store.scan_entries(&wanted.prefix(&shelf), after, &mut |entry| {
                let fits = Address::parse(entry.key).is_some_and(|address| wanted.fits(&address));
                goes_on = match Row::read(entry).filter(|_| fits) {
                    Some(row) if wanted.takes(&row) => visit(entry.key, row),
                    _ => true,
                };
                goes_on
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// The shelves that there are entries on, in the order of keys; one look for each.
    fn shelves(&self) -> Result<Vec<String>> {
        let (mut shelves, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let mut found = None;
            self.store.scan_entries(PREFIX, after.as_deref(), &mut |entry| {
                let rest = entry.key.strip_prefix(PREFIX).unwrap_or_default();
                found = Some(rest.split('/').next().unwrap_or_default().to_owned());
                false
            })?;
            let Some(shelf) = found else { return Ok(shelves) };
            // Behind everything that begins with the shelf and a slash.
            after = Some(format!("{PREFIX}{shelf}{AFTER_SLASH}"));
            shelves.push(shelf);
        }
    }

    /// The upstreams of a name; an unknown one is an error that names the known ones.
    pub(super) fn named<'a>(&self, tenants: &'a [Tenant], name: &str) -> Result<Vec<&'a Tenant>> {
        let found: Vec<&Tenant> = tenants.iter().filter(|tenant| tenant.name() == name).collect();
        if found.is_empty() && !self.has_left(name)? {
            let mut known: Vec<&str> = tenants.iter().map(Tenant::name).collect();
            known.dedup();
            let error = Error::not_found("no such upstream, and nothing is kept of one").about(name);
            return Err(error.remedy(format!("known are: {}", known.join(", "))));
        }
        Ok(found)
    }

    /// Whether there are entries of an upstream that is configured no more.
    fn has_left(&self, name: &str) -> Result<bool> {
        Ok(self.shelves()?.iter().any(|shelf| shelf::name_in(shelf) == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_fits() {
        let table = [
            (None, "x.y/m", "upstream/a~1/x.y/m/@v/list", true),
            (None, "x.y/m", "upstream/a~1/x.y/m/n/@v/list", false),
            (None, "x.y/m/...", "upstream/a~1/x.y/m/n/@v/list", true),
            (None, "x.y/m/...", "upstream/a~1/x.y/mn/@v/list", false),
            (None, "x.y/...", "upstream/a~1/x.y/m/@latest", true),
            (None, "x.y/M", "upstream/a~1/x.y/!m/@v/v1.0.0.mod", true),
            (None, "x.y/m@v1.0.0", "upstream/a~1/x.y/m/@v/v1.0.0.zip", true),
            (None, "x.y/m@v1.0.0", "upstream/a~1/x.y/m/@v/v1.0.0-rc.zip", false),
            (None, "x.y/m@v1.0.0", "upstream/a~1/x.y/m/@v/list", false),
            (None, "x.y/m@latest", "upstream/a~1/x.y/m/@latest", true),
            (Some("a"), "x.y/m", "upstream/a~1/x.y/m/@v/list", true),
            (Some("b"), "x.y/m", "upstream/a~1/x.y/m/@v/list", false),
        ];
        for (upstream, subject, key, expected) in table {
            let wanted = Wanted::of(upstream).about(subject).expect(subject);
            let address = Address::parse(key).expect(key);
            assert_eq!(wanted.fits(&address), expected, "{subject} of {upstream:?}: {key}");
        }
    }

    #[test]
    fn an_entry_is_named_by_its_path_as_it_is_shown_or_as_it_is_asked_for() {
        let key = "upstream/a~1/x.y/!m/@v/v1.0.0-!r!c.zip";
        let address = Address::parse(key).expect(key);
        let all = Wanted::all;
        let table = [
            (all().at("x.y/M/@v/v1.0.0-RC.zip"), true),
            (all().at("x.y/!m/@v/v1.0.0-!r!c.zip"), true),
            (all().at("x.y/M/@v/v1.0.0-RC.mod"), false),
            (all().at("x.y/M/@v/v1.0.0-RC.zi"), false),
            (all().beginning("x.y/M/@v/v1.0.0"), true),
            (all().beginning("x.y/"), true),
            (all().beginning("x.z"), false),
            (Wanted::of(Some("b")).beginning("x.y/"), false),
        ];
        for (wanted, expected) in table {
            assert_eq!(wanted.fits(&address), expected, "{wanted:?}");
            assert!(!wanted.is_all(), "{wanted:?}");
        }
    }

    #[test]
    fn a_subject_that_names_nothing_is_refused() {
        for (subject, expected) in [
            ("x.y/m@", "no version (expected MODULE or MODULE@VERSION)"),
            ("m", "malformed module path \"m\": missing dot in first path element"),
        ] {
            assert_eq!(Wanted::all().about(subject).expect_err(subject).what(), expected);
        }
    }
}
