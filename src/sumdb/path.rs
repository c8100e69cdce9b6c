//! Addresses within a checksum database, and what must stand there.

use crate::error::{Error, Result};
use crate::spec::database::is_host_and_path;
use crate::spec::path::{self, ModulePath};
use crate::spec::tile::Tile;
use crate::spec::tree::{Record, TREE};
use crate::spec::version::Version;

/// What follows `/sumdb/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The database's name, which may hold slashes.
    pub name: String,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Supported,
    Latest,
    Lookup { module: ModulePath, version: Version },
    Tile(Tile),
}

impl Path {
    /// Reads the decoded rest of an address; nothing else may be handed on.
    pub fn parse(text: &str) -> Result<Path> {
        let unknown = || Error::not_found("no such checksum database address").about(format!("sumdb/{text}"));
        let cut = ["/lookup/", "/tile/"].iter().filter_map(|word| text.find(word)).min();
        let (name, rest) = match cut {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => text.rsplit_once('/').ok_or_else(unknown)?,
        };
        if !is_host_and_path(name) {
            return Err(Error::gone(format!("malformed checksum database name {name:?}")));
        }
        let target = match rest.split_once('/') {
            None if rest == "supported" => Target::Supported,
            None if rest == "latest" => Target::Latest,
            Some(("lookup", asked)) => lookup(asked)?,
            Some(("tile", _)) => {
                let malformed = || Error::gone("malformed tile address").about(format!("sumdb/{text}"));
                Target::Tile(Tile::parse(rest).ok_or_else(malformed)?)
            }
            _ => return Err(unknown()),
        };
        Ok(Path { name: name.to_owned(), target })
    }

    /// The address below `sumdb/`, in the one form that databases are asked in.
    pub fn address(&self) -> String {
        format!("{}/{}", self.name, self.target.file())
    }

    /// Whether the answer can never change: the log only grows.
    pub fn is_lasting(&self) -> bool {
        match &self.target {
            Target::Lookup { .. } => true,
            Target::Tile(tile) => tile.is_full(),
            Target::Supported | Target::Latest => false,
        }
    }

    /// Whether a body can be what stands at this address; who signed it, and whether it is true, is checked elsewhere.
    pub fn accepts(&self, body: &[u8]) -> bool {
        match &self.target {
            // Its body says nothing, but a page to sign in at is no yes.
            Target::Supported => !body.trim_ascii_start().starts_with(b"<"),
            Target::Latest => body.starts_with(TREE.as_bytes()),
            Target::Lookup { module, version } => is_record(body, module, version),
            Target::Tile(tile) if tile.is_data() => std::str::from_utf8(body).is_ok_and(|text| text.contains(" h1:")),
            Target::Tile(tile) => body.len() == tile.size(),
        }
    }
}

impl Target {
    /// The address within the database.
    pub fn file(&self) -> String {
        match self {
            Target::Supported => "supported".to_owned(),
            Target::Latest => "latest".to_owned(),
            Target::Lookup { module, version } => format!("lookup/{}@{}", module.escaped(), version.escaped()),
            Target::Tile(tile) => tile.to_string(),
        }
    }
}

fn is_record(body: &[u8], module: &ModulePath, version: &Version) -> bool {
    let is_about = |record: Record<'_>| record.text.starts_with(&format!("{module} {version} h1:"));
    Record::parse(body).is_ok_and(|record| is_about(record) && record.note.starts_with(TREE.as_bytes()))
}

fn lookup(asked: &str) -> Result<Target> {
    let malformed = || {
        Error::gone(format!("malformed lookup {asked:?}"))
            .remedy("a lookup names MODULE@VERSION, escaped as in proxy addresses")
    };
    let (module, version) = asked.rsplit_once('@').ok_or_else(malformed)?;
    let module = ModulePath::unescape(module)?;
    let version = path::unescape(version).and_then(|text| Version::parse(&text)).ok_or_else(malformed)?;
    Ok(Target::Lookup { module, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn reads_what_the_go_command_asks() {
        let table = [
            ("supported", "sum.example.org/supported"),
            ("latest", "sum.example.org/latest"),
            ("name with a slash", "sum.example.org/sumdb/supported"),
            ("lookup", "sum.example.org/lookup/example.com/!upper@v1.2.3-!p!r!e"),
            ("lookup of a path that reads like a tile", "sum.example.org/lookup/example.com/tile/8@v1.0.0"),
            ("incompatible", "sum.example.org/lookup/example.com/m@v2.0.0+incompatible"),
            ("full tile", "sum.example.org/tile/8/0/x001/234"),
            ("partial tile", "sum.example.org/tile/8/3/000.p/5"),
            ("data tile", "sum.example.org/tile/8/data/x123/x456/789"),
        ];
        for (row, text) in table {
            let path = Path::parse(text).unwrap_or_else(|error| panic!("{row}: {error}"));
            assert_eq!(path.address(), text, "{row}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let table = [
            ("nothing", "", Kind::NotFound),
            ("name alone", "sum.example.org", Kind::NotFound),
            ("unknown word", "sum.example.org/other", Kind::NotFound),
            ("dots as name", "../supported", Kind::Gone),
            ("empty element", "sum.example.org//supported", Kind::Gone),
            ("query smuggled into the name", "sum.example.org?x/latest", Kind::Gone),
            ("lookup without version", "s.org/lookup/example.com/m", Kind::Gone),
            ("lookup of a branch", "s.org/lookup/example.com/m@main", Kind::Gone),
            ("lookup with upper case", "s.org/lookup/example.com/M@v1.0.0", Kind::Gone),
            ("tile of height 0", "s.org/tile/0/0/000", Kind::Gone),
            ("tile of height 31", "s.org/tile/31/0/000", Kind::Gone),
            ("level 64", "s.org/tile/8/64/000", Kind::Gone),
            ("number of two digits", "s.org/tile/8/0/00", Kind::Gone),
            ("number without end", "s.org/tile/8/0/x000", Kind::Gone),
            ("width of a full tile", "s.org/tile/8/0/000.p/256", Kind::Gone),
            ("partial without width", "s.org/tile/8/0/000.p", Kind::Gone),
            ("something behind", "s.org/tile/8/0/000/x", Kind::Gone),
            ("leading zero", "s.org/tile/08/0/000", Kind::Gone),
        ];
        for (row, text, kind) in table {
            assert_eq!(Path::parse(text).expect_err(row).kind(), kind, "{row}");
        }
    }

    #[test]
    fn a_portal_page_is_no_record() {
        let lookup = Path::parse("s.org/lookup/example.com/m@v1.0.0").expect("path");
        let record =
            "7\nexample.com/m v1.0.0 h1:a=\nexample.com/m v1.0.0/go.mod h1:b=\n\ngo.sum database tree\n9\nc=\n";
        assert!(lookup.accepts(record.as_bytes()));
        assert!(!lookup.accepts(record.replace("v1.0.0", "v1.0.1").as_bytes()));
        let tile = Path::parse("s.org/tile/8/0/000.p/2").expect("path");
        assert!(tile.accepts(&[0; 64]));
        assert!(!Path::parse("s.org/tile/8/0/000").expect("path").accepts(&[0; 64]));
        let supported = Path::parse("s.org/supported").expect("path");
        assert!(supported.accepts(b"") && supported.accepts(b"yes\n"));
        for path in [lookup, tile, supported, Path::parse("s.org/latest").expect("path")] {
            assert!(!path.accepts(b"<html>sign in first</html>"), "{path:?}");
        }
    }
}
