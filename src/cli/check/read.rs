//! Reads the files: every version that they name, and where.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};

use super::find::Named;
use super::finding::{Finding, Place};
use crate::cli::files::FileKind;
use crate::spec::gomod::{GoMod, GoWork, Replacement, SyntaxError, Target};
use crate::spec::gosum::{self, Sum};
use crate::spec::pseudo;
use crate::spec::version::Version;

/// The largest go.mod or go.work, in bytes: what the go command takes in a module.
const LARGEST: u64 = 16 << 20;

/// The longest line of a go.sum, in bytes.
const LONGEST: u64 = 64 << 10;

/// In what way a file names a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Require,
    /// `// indirect`
    Indirect,
    /// What a replace directive puts in the place of `left`, which is `path` or `path@version`.
    Replacement {
        left: String,
    },
    /// What a replace directive replaces.
    Replaced,
    Exclude,
    /// A line of go.sum.
    Sum,
}

/// A version, and where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub module: String,
    pub version: Version,
    pub role: Role,
    pub place: Place,
    /// The folder of the file.
    pub folder: String,
    /// The hash of its go.mod, from a go.sum.
    pub go_mod_h1: Option<String>,
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Reading {
    pub mentions: Vec<Mention>,
    /// By folder.
    pub modules: Vec<(String, GoMod)>,
    /// By folder.
    pub workspaces: Vec<(String, GoWork)>,
    pub faults: Vec<Finding>,
}

/// Reads files, of which a folder's module comes before its sums.
pub fn read(files: &[Named]) -> Reading {
    let mut reading = Reading::default();
    for file in files {
        let done = match file.kind {
            FileKind::Work => reading.workspace(file),
            FileKind::Mod => reading.module(file),
            FileKind::Sum | FileKind::WorkSum => reading.sums(file),
        };
        if let Err((line, what)) = done {
            reading.faults.push(Finding::broken(Place { file: file.name.clone(), line }, what));
        }
    }
    reading
}

/// The line, if it is known, and what is wrong with it.
type Fault = (Option<usize>, String);

fn syntax(error: SyntaxError) -> Fault {
    (Some(error.line), error.what)
}

fn unreadable(error: io::Error) -> Fault {
    (None, error.to_string())
}

fn whole(file: &Named) -> Result<Vec<u8>, Fault> {
    let size = fs::metadata(&file.path).map_err(unreadable)?.len();
    if size > LARGEST {
        return Err((None, format!("{size} bytes (expected at most {LARGEST})")));
    }
    fs::read(&file.path).map_err(unreadable)
}

impl Reading {
    fn mention(&mut self, file: &Named, line: usize, module: &str, version: &Version, role: Role) {
        self.mentions.push(Mention {
            module: module.to_owned(),
            version: version.clone(),
            role,
            place: Place { file: file.name.clone(), line: Some(line) },
            folder: file.folder().to_owned(),
            go_mod_h1: None,
        });
    }

    fn module(&mut self, file: &Named) -> Result<(), Fault> {
        let go_mod = GoMod::parse(&whole(file)?).map_err(syntax)?;
        for require in &go_mod.require {
            let role = if require.indirect { Role::Indirect } else { Role::Require };
            self.mention(file, require.line, &require.path, &require.version, role);
        }
        self.replacements(file, &go_mod.replace);
        for exclude in &go_mod.exclude {
            self.mention(file, exclude.line, &exclude.path, &exclude.version, Role::Exclude);
        }
        self.modules.push((file.folder().to_owned(), go_mod));
        Ok(())
    }

    fn workspace(&mut self, file: &Named) -> Result<(), Fault> {
        let work = GoWork::parse(&whole(file)?).map_err(syntax)?;
        self.replacements(file, &work.replace);
        self.workspaces.push((file.folder().to_owned(), work));
        Ok(())
    }

    fn replacements(&mut self, file: &Named, replacements: &[Replacement]) {
        for replace in replacements {
            if let Some(version) = &replace.version {
                self.mention(file, replace.line, &replace.path, version, Role::Replaced);
            }
            if let Target::Module { path, version, .. } = &replace.by {
                let at = replace.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
                let left = format!("{}{at}", replace.path);
                self.mention(file, replace.line, path, version, Role::Replacement { left });
            }
        }
    }

    /// Keeps the lines of pseudo-versions, and those of versions that the module beside it uses.
    fn sums(&mut self, file: &Named) -> Result<(), Fault> {
        let mut used: HashMap<String, Vec<String>> = HashMap::new();
        for mention in self.mentions.iter().filter(|mention| mention.folder == file.folder()) {
            used.entry(mention.module.clone()).or_default().push(mention.version.to_string());
        }
        let mut reader = BufReader::with_capacity(1 << 20, File::open(&file.path).map_err(unreadable)?);
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let length = (&mut reader).take(LONGEST).read_until(b'\n', &mut bytes).map_err(unreadable)?;
            if length == 0 {
                break;
            }
            if length as u64 == LONGEST {
                return Err((Some(line), format!("line is longer than {LONGEST} bytes")));
            }
            let sum = gosum::parse_line(&bytes, line).map_err(|malformed| {
                (Some(line), format!("malformed go.sum: wrong number of fields {} (expected 3)", malformed.fields))
            })?;
            let Some(sum) = sum else { continue };
            let is_used = used.get(&sum.module).is_some_and(|versions| versions.contains(&sum.version));
            if is_used || pseudo::is_pseudo(&sum.version) {
                self.sum(file, sum);
            }
        }
        Ok(())
    }

    fn sum(&mut self, file: &Named, sum: Sum) {
        let Some(version) = Version::parse(&sum.version) else { return };
        self.mentions.push(Mention {
            module: sum.module,
            version,
            role: Role::Sum,
            place: Place { file: file.name.clone(), line: Some(sum.line) },
            folder: file.folder().to_owned(),
            go_mod_h1: sum.go_mod.then_some(sum.hash),
        });
    }
}
