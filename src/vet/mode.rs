//! What is done about a fact: the one place where a registry's mode is looked at.
//! Rules: DESIGN.md, "What each request gets".

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::resolution::Resolution;

/// What a registry does about wrong pseudo-versions whose revision exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Refuse them, naming the right version.
    Strict,
    /// Answer with the right version.
    #[default]
    Rewrite,
    /// Serve them as asked.
    Legacy,
}

/// A registry's mode with its one choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    pub mode: Mode,
    /// Whether `strict` refuses the go.mod of a wrong pseudo-version too.
    pub refuse_mod: bool,
}

/// Which file of a version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Info,
    GoMod,
    Zip,
}

/// What may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruled {
    /// The name is right, or the answer says no other.
    AsAsked(Info),
    /// The name is wrong and the answer, if it is an `.info`, names the right version.
    Rewritten(Info),
}

impl Ruled {
    pub fn info(&self) -> &Info {
        match self {
            Ruled::AsAsked(info) | Ruled::Rewritten(info) => info,
        }
    }
}

impl From<Mode> for Policy {
    fn from(mode: Mode) -> Policy {
        Policy { mode, ..Policy::default() }
    }
}

impl Policy {
    /// Applies the policy to a fact. A wrong name's go.mod is served unless that is switched off:
    /// `go get MODULE@HASH` repairs only if it is.
    pub fn rule(self, module: &ModulePath, resolution: Resolution, wanted: Wanted) -> Result<Ruled> {
        if resolution.is_valid() {
            return Ok(Ruled::AsAsked(resolution.right));
        }
        match (self.mode, wanted) {
            (Mode::Strict, Wanted::Info | Wanted::Zip) => Err(refusal(module, &resolution)),
            (Mode::Strict, Wanted::GoMod) if self.refuse_mod => Err(refusal(module, &resolution)),
            (Mode::Legacy, Wanted::Info) => {
                Ok(Ruled::Rewritten(Info { version: resolution.asked, ..resolution.right }))
            }
            _ => Ok(Ruled::Rewritten(resolution.right)),
        }
    }
}

/// The text that names the right version and the commands that put it right.
pub fn refusal(module: &ModulePath, resolution: &Resolution) -> Error {
    let Resolution { asked, right, faults } = resolution;
    let right = &right.version;
    let reason = faults.first().map(|fault| format!("invalid pseudo-version: {fault}")).unwrap_or_default();
    Error::new(Kind::Wrong, reason)
        .about(format!("{module}@{asked}"))
        .right(right)
        .remedy(format!("use {module}@{right}"))
        .remedy(format!("in your own go.mod: go mod edit -require={module}@{right}"))
        .remedy(format!("in a dependency's: go mod edit -replace={module}@{asked}={module}@{right}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::resolution::Fault;

    fn wrong() -> (ModulePath, Resolution) {
        let right = Info { version: "v1.0.1-0.20190813064441-fde4db37ae7a".to_owned(), time: None, origin: None };
        let expected = "20190813064441".to_owned();
        let resolution = Resolution {
            asked: "v1.0.1-0.20190813064442-fde4db37ae7a".to_owned(),
            right,
            faults: vec![Fault::TimeDiffers { found: "20190813064442".to_owned(), expected, note: None }],
        };
        (ModulePath::parse("example.com/dep").expect("path"), resolution)
    }

    #[test]
    fn each_mode_has_its_answer() {
        // mode, file, the version said ("" for a refusal)
        let (asked, right) = ("v1.0.1-0.20190813064442-fde4db37ae7a", "v1.0.1-0.20190813064441-fde4db37ae7a");
        let table = [
            (Mode::Strict, Wanted::Info, ""),
            (Mode::Strict, Wanted::GoMod, right),
            (Mode::Strict, Wanted::Zip, ""),
            (Mode::Rewrite, Wanted::Info, right),
            (Mode::Rewrite, Wanted::GoMod, right),
            (Mode::Rewrite, Wanted::Zip, right),
            (Mode::Legacy, Wanted::Info, asked),
            (Mode::Legacy, Wanted::Zip, right),
        ];
        for (mode, wanted, version) in table {
            let (module, resolution) = wrong();
            let said = Policy::from(mode).rule(&module, resolution, wanted);
            match said {
                Ok(ruled) => assert_eq!(ruled.info().version, version, "{mode:?} {wanted:?}"),
                Err(error) => {
                    assert_eq!(version, "", "{mode:?} {wanted:?}");
                    assert_eq!((error.kind(), error.right_version()), (Kind::Wrong, Some(right)));
                }
            }
        }
    }

    #[test]
    fn strict_may_refuse_the_go_mod_too() {
        let (module, resolution) = wrong();
        let policy = Policy { mode: Mode::Strict, refuse_mod: true };
        assert_eq!(policy.rule(&module, resolution, Wanted::GoMod).expect_err("refused").kind(), Kind::Wrong);
    }

    #[test]
    fn a_refusal_says_what_is_right_and_how_to_get_there() {
        let (module, resolution) = wrong();
        let error = refusal(&module, &resolution);
        let text = format!("{}\n{}", error.what(), error.remedies().join("\n"));
        assert_eq!(
            text,
            "invalid pseudo-version: does not match version-control timestamp (expected 20190813064441)\n\
             use example.com/dep@v1.0.1-0.20190813064441-fde4db37ae7a\n\
             in your own go.mod: go mod edit -require=example.com/dep@v1.0.1-0.20190813064441-fde4db37ae7a\n\
             in a dependency's: go mod edit -replace=example.com/dep@v1.0.1-0.20190813064442-fde4db37ae7a=example.com/dep@v1.0.1-0.20190813064441-fde4db37ae7a"
        );
    }
}
