//! What is to be fetched, as files and arguments name it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::folder;
use crate::error::{Error, Result};
use crate::spec::gomod::GoMod;
use crate::spec::gosum;
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// A version of a module.
pub type Key = (ModulePath, Version);

/// Which files of a version, and what their hashes should be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Files {
    pub info: bool,
    pub go_mod: bool,
    pub zip: bool,
    /// Of the go.mod.
    pub go_mod_h1: Option<String>,
    /// Of the zip.
    pub h1: Option<String>,
}

/// Everything that was named.
#[derive(Debug, Default)]
pub struct Wanted {
    pub files: BTreeMap<Key, Files>,
    /// Modules and what stands behind their `@`.
    pub queries: Vec<(ModulePath, String)>,
    pub modules: Vec<Module>,
}

/// A main module without a go.sum.
#[derive(Debug)]
pub struct Module {
    pub folder: PathBuf,
    pub data: Vec<u8>,
    pub file: GoMod,
}

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;

impl Files {
    pub fn all() -> Files {
        Files { info: true, go_mod: true, zip: true, ..Files::default() }
    }

    /// What the module graph needs of a version.
    pub fn of_graph() -> Files {
        Files { zip: false, ..Files::all() }
    }

    pub fn add(&mut self, other: Files) {
        self.info |= other.info;
        self.go_mod |= other.go_mod;
        self.zip |= other.zip;
        self.go_mod_h1 = self.go_mod_h1.take().or(other.go_mod_h1);
        self.h1 = self.h1.take().or(other.h1);
    }

    pub fn leave_zip(&mut self) {
        self.zip = false;
    }
}

impl Wanted {
    pub fn read(arguments: &[String]) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        for argument in arguments {
            let path = Path::new(argument);
            match argument.as_str() {
                "-" => {
                    let mut data = Vec::new();
                    let read = std::io::stdin().lock().take(LARGEST).read_to_end(&mut data);
                    read.map_err(|error| Error::gone("standard input cannot be read").because(error))?;
                    wanted.list(&data, "standard input")?;
                }
                _ if argument.contains('@') && !path.exists() => wanted.name(argument)?,
                _ => wanted.path(path)?,
            }
        }
        Ok(wanted)
    }

    fn path(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            let (sum, file) = (path.join("go.sum"), path.join("go.mod"));
            return match (sum.is_file(), file.is_file()) {
                (true, _) => self.sum(&sum),
                (false, true) => self.module(&file),
                (false, false) => {
                    let error = Error::gone("no go.mod or go.sum there").about(path.display());
                    Err(error.remedy("name a go.mod, a go.sum, MODULE@VERSION or a file with a list of them"))
                }
            };
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some("go.mod") => {
                // The go command takes what stands in go.sum and nothing else.
                let sum = path.with_file_name("go.sum");
                if sum.is_file() { self.sum(&sum) } else { self.module(path) }
            }
            Some("go.work") => {
                let error = Error::gone("a workspace is no list of modules").about(path.display());
                Err(error.remedy("name the go.sum files of its modules, and go.work.sum"))
            }
            Some(name) if name.ends_with(".sum") => self.sum(path),
            _ => self.list(&read(path)?, &path.display().to_string()),
        }
    }

    fn module(&mut self, path: &Path) -> Result<()> {
        let data = read(path)?;
        let file = GoMod::parse(&data).map_err(|error| Error::gone(error.to_string()).about(path.display()))?;
        self.modules.push(Module { folder: folder(path), data, file });
        Ok(())
    }

    fn sum(&mut self, path: &Path) -> Result<()> {
        let sums = gosum::read(&read(path)?).map_err(|malformed| {
            let gosum::Malformed { line, fields } = malformed;
            Error::gone(format!("line {line}: {fields} fields (expected 3)")).about(path.display())
        })?;
        for sum in sums {
            let place = || format!("{}:{}", path.display(), sum.line);
            let module = ModulePath::parse(&sum.module).map_err(|error| error.about(place()))?;
            let Some(version) = Version::parse(&sum.version) else {
                return Err(Error::gone(format!("malformed version {:?}", sum.version)).about(place()));
            };
            let h1 = Some(sum.hash.clone()).filter(|hash| hash.starts_with("h1:"));
            self.files.entry((module, version)).or_default().add(match sum.go_mod {
                true => Files { go_mod: true, go_mod_h1: h1, ..Files::default() },
                false => Files { h1, ..Files::all() },
            });
        }
        Ok(())
    }

    /// Lines of `MODULE@QUERY` or `MODULE VERSION`; what stands behind `=>` counts in the place of what is before it.
    fn list(&mut self, data: &[u8], name: &str) -> Result<()> {
        let text = String::from_utf8_lossy(data);
        for (at, line) in text.lines().enumerate() {
            let line = line.split(['#']).next().unwrap_or_default();
            let line = line.split_once("//").map_or(line, |(line, _)| line);
            let (line, is_replaced) = line.split_once("=>").map_or((line, false), |(_, by)| (by, true));
            let words: Vec<&str> = line.split_whitespace().collect();
            let named = match words[..] {
                [] => Ok(()),
                // A folder in the place of a module: nothing is fetched.
                [_] if is_replaced => Ok(()),
                [module, version] => self.name(&format!("{module}@{version}")),
                [subject] => self.name(subject),
                _ => Err(Error::gone(format!("{} words (expected MODULE@VERSION)", words.len()))),
            };
            named.map_err(|error| error.about(format!("{name}:{}", at + 1)))?;
        }
        Ok(())
    }

    fn name(&mut self, subject: &str) -> Result<()> {
        let (module, query) = match subject.split_once('@') {
            Some((module, query)) if !query.is_empty() => (ModulePath::parse(module)?, query),
            _ => {
                let error = Error::gone(format!("{subject:?}: no version (expected MODULE@VERSION)"));
                return Err(error.remedy("write MODULE@latest for the newest one"));
            }
        };
        match Version::parse(query) {
            Some(version) => self.files.entry((module, version)).or_default().add(Files::all()),
            None => self.queries.push((module, query.to_owned())),
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error| Error::gone("cannot be read").because(error).about(path.display());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut data = Vec::new();
    file.take(LARGEST).read_to_end(&mut data).map_err(unreadable)?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wanted: &Wanted) -> Vec<String> {
        let files = wanted.files.iter().map(|((module, version), files)| {
            let words = [(files.info, " info"), (files.go_mod, " mod"), (files.zip, " zip")];
            let words: String = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            let hashes = [&files.go_mod_h1, &files.h1].into_iter().flatten().map(|hash| format!(" {hash}"));
            format!("{module}@{version}{words}{}", hashes.collect::<String>())
        });
        let queries = wanted.queries.iter().map(|(module, query)| format!("{module}@{query} ?"));
        files.chain(queries).collect()
    }

    fn in_folder(files: &[(&str, &str)], arguments: &[&str]) -> Result<Vec<String>> {
        let top = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(top.path().join(name), text).expect("a file");
        }
        let place = |argument: &&str| match argument.contains('@') {
            true => (*argument).to_owned(),
            false => top.path().join(argument).display().to_string(),
        };
        let wanted = Wanted::read(&arguments.iter().map(place).collect::<Vec<_>>())?;
        let mut all = shown(&wanted);
        all.extend(wanted.modules.iter().filter_map(|module| module.file.module.clone()));
        Ok(all)
    }

    #[test]
    fn a_go_sum_names_exactly_what_a_build_needs() {
        let sum = "x.y/m v1.0.0 h1:a=\nx.y/m v1.0.0/go.mod h1:b=\nx.y/m v0.9.0/go.mod h1:c=\n";
        let expected = ["x.y/m@v0.9.0 mod h1:c=", "x.y/m@v1.0.0 info mod zip h1:b= h1:a="];
        let files = [("go.sum", sum), ("go.mod", "module x.y/main\n")];
        for arguments in [["go.sum"], ["go.mod"], ["."]] {
            assert_eq!(in_folder(&files, &arguments).expect("a go.sum"), expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_go_mod_alone_stands_for_its_graph() {
        let files = [("go.mod", "module x.y/main\n")];
        assert_eq!(in_folder(&files, &["go.mod"]).expect("a go.mod"), ["x.y/main"]);
        assert_eq!(in_folder(&files, &["."]).expect("a folder"), ["x.y/main"]);
    }

    #[test]
    fn lists_are_read_as_people_and_go_write_them() {
        let list = "# ours\nx.y/m@v1.0.0\nx.y/n v1.1.0 // indirect\nx.y/o v1.0.0 => x.y/p v1.2.0\nx.y/q v1.0.0 => ../q\n\nx.y/r@main\n";
        let expected =
            ["x.y/m@v1.0.0 info mod zip", "x.y/n@v1.1.0 info mod zip", "x.y/p@v1.2.0 info mod zip", "x.y/r@main ?"];
        assert_eq!(in_folder(&[("list.txt", list)], &["list.txt"]).expect("a list"), expected);
        assert_eq!(in_folder(&[], &["x.y/r@main"]).expect("a query"), ["x.y/r@main ?"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let table = [
            (&[("l", "x.y/m@v1.0.0\nx.y/m\n")][..], "l", "l:2: \"x.y/m\": no version (expected MODULE@VERSION)"),
            (&[("l", "a b c\n")], "l", "l:1: 3 words (expected MODULE@VERSION)"),
            (&[("go.sum", "x.y/m v1.0.0\n")], "go.sum", "go.sum: line 1: 2 fields (expected 3)"),
            (&[("go.sum", "x.y/m v1 h1:a=\n")], "go.sum", "go.sum:1: malformed version \"v1\""),
            (&[], "gone", "gone: cannot be read: No such file or directory (os error 2)"),
            (&[("go.work", "go 1.22\n")], "go.work", "go.work: a workspace is no list of modules"),
        ];
        for (files, argument, expected) in table {
            let error = in_folder(files, &[argument]).expect_err(expected).to_string();
            let first = error.lines().next().unwrap_or_default();
            assert!(first.ends_with(expected), "{first} (expected {expected})");
        }
    }
}
