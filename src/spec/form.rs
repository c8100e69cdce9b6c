//! What is wrong with a version whatever the history says: what can be seen in its text and its module's path.
//! Rules: `CheckPathMajor` in golang.org/x/mod/module, `validatePseudoVersion` in `cmd/go/internal/modfetch/coderepo.go`.

use super::info::{ObjectId, is_hex};
use super::path::ModulePath;
use super::pseudo::{BaseFault, PseudoVersion};
use super::resolution::Fault;
use super::version::Version;

/// The faults that no revision can mend.
pub fn faults(module: &ModulePath, version: &Version) -> Vec<Fault> {
    let mut faults = Vec::new();
    let suffix = module.major_suffix();
    if !suffix.matches(version.semver()) {
        let (expected, found) = (suffix.expected().to_owned(), version.major().to_owned());
        faults.push(Fault::MajorDiffers { expected, found });
    } else if version.is_incompatible() && !is_above_one(version.major()) {
        faults.push(Fault::IncompatibleNotAllowed { major: version.major().to_owned() });
    } else if version.is_incompatible() && suffix.major().is_some() {
        faults.push(Fault::SuffixDiffers);
    }
    if let Some(pseudo) = PseudoVersion::parse(version.as_str()) {
        faults.extend(revision_faults(&pseudo, None));
        faults.extend(time_fault(&pseudo));
        faults.extend(base_fault(module, version));
    }
    faults
}

/// What is wrong with the digits of the revision; `known` are the right ones.
pub fn revision_faults(pseudo: &PseudoVersion, known: Option<&str>) -> Vec<Fault> {
    let found = pseudo.revision();
    let lower = found.to_ascii_lowercase();
    let cut: String = lower.chars().take(ObjectId::SHORT).collect();
    let expected = |otherwise: &str| known.unwrap_or(otherwise).to_owned();
    if !is_hex(&lower) {
        return vec![Fault::RevisionNotHexadecimal { expected: expected("12 digits of a commit's id") }];
    }
    let mut faults = Vec::new();
    if lower != found {
        faults.push(Fault::RevisionInUpperCase { expected: expected(&cut) });
    }
    match known {
        Some(known) if !known.starts_with(&cut) => {
            faults.push(Fault::RevisionDiffers { expected: known.to_owned() });
        }
        _ if lower.len() > ObjectId::SHORT => faults.push(Fault::RevisionTooLong { expected: expected(&cut) }),
        _ if lower.len() < ObjectId::SHORT => {
            faults.push(Fault::RevisionTooShort { expected: expected("12 digits") });
        }
        _ => {}
    }
    faults
}

fn time_fault(pseudo: &PseudoVersion) -> Option<Fault> {
    let found = pseudo.timestamp().to_owned();
    let expected = "a time in UTC as year, month, day, hour, minute, second".to_owned();
    pseudo.time().is_none().then_some(Fault::TimeMalformed { found, expected })
}

fn base_fault(module: &ModulePath, version: &Version) -> Option<Fault> {
    let pseudo = PseudoVersion::parse(version.base())?;
    match pseudo.base() {
        Ok(None) if module.major_suffix().major().is_none() && pseudo.major() == "v1" => Some(Fault::MajorWithoutBase),
        Ok(_) => None,
        Err(BaseFault::NegativePatch { version }) => Some(Fault::BaseNegative { version }),
        Err(BaseFault::BuildWithoutBase { build }) => Some(Fault::BuildWithoutBase { build }),
    }
}

fn is_above_one(major: &str) -> bool {
    !matches!(major, "v0" | "v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_needs_no_history() {
        // row, module, version, words of the faults
        let table = [
            ("right", "example.com/m", "v1.0.1-0.20180222010203-90c7e7cf9d84", ""),
            ("release", "example.com/m", "v1.0.1", ""),
            ("other major", "example.com/m", "v2.0.0", "should be v0 or v1, not v2"),
            ("other suffix", "example.com/m/v3", "v2.0.0", "should be v3, not v2"),
            (
                "compatible",
                "example.com/m",
                "v1.0.0+incompatible",
                "+incompatible suffix not allowed: major version v1 is compatible",
            ),
            (
                "upper case and short",
                "example.com/m",
                "v0.0.0-20180222010203-90C7E7C",
                "revision is in upper case (expected 90c7e7c); revision is shorter than canonical (expected 12 digits)",
            ),
            (
                "long",
                "example.com/m",
                "v0.0.0-20180222010203-90c7e7cf9d84a",
                "revision is longer than canonical (expected 90c7e7cf9d84)",
            ),
            (
                "branch",
                "example.com/m",
                "v0.0.0-20180222010203-main",
                "does not match short name of revision (expected 12 digits of a commit's id)",
            ),
            (
                "v1 without base",
                "example.com/m",
                "v1.0.0-20180222010203-90c7e7cf9d84",
                "major version without preceding tag must be v0, not v1",
            ),
            (
                "no moment",
                "example.com/m",
                "v0.0.0-20181322010203-90c7e7cf9d84",
                "malformed time \"20181322010203\" (expected a time in UTC as year, month, day, hour, minute, second)",
            ),
            (
                "below zero",
                "example.com/m",
                "v1.2.0-0.20180222010203-90c7e7cf9d84",
                "version before v1.2.0 would have negative patch number",
            ),
        ];
        for (row, module, version, words) in table {
            let found = faults(
                &ModulePath::parse(module).expect("a module path"),
                &Version::parse(version).expect("a version"),
            );
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join("; "), words, "{row}");
        }
    }
}
