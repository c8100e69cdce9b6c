//! What a `list` says.
//! Rules: `Versions` and `latestFromList` in `cmd/go/internal/modfetch/proxy.go`.

use chrono::{DateTime, Utc};

use crate::spec::path::ModulePath;
use crate::spec::pseudo::PseudoVersion;
use crate::spec::version::{Semver, Version};

/// The versions of a list that the module may have, ascending, without pseudo-versions.
pub(super) fn versions(text: &str, module: &ModulePath) -> Vec<Version> {
    let mut versions: Vec<_> = text
        .lines()
        .filter_map(|line| Version::parse(line.split_whitespace().next()?))
        .filter(|version| !version.is_pseudo() && module.major_suffix().matches(version.semver()))
        .collect();
    versions.sort();
    versions.dedup();
    versions
}

/// The highest release, or the highest pre-release if there is none; `prefix` is a `v1` or `v1.2` to begin with.
pub(super) fn highest<'a>(versions: &'a [Version], prefix: Option<&Semver>) -> Option<&'a Version> {
    let start = prefix.map(|prefix| format!("{prefix}."));
    let fits = |version: &&Version| start.as_ref().is_none_or(|start| version.as_str().starts_with(start));
    let releases = versions.iter().filter(fits).filter(|version| version.is_release());
    releases.max().or_else(|| versions.iter().filter(fits).max())
}

/// The newest line of a list without tagged versions: by the time that stands behind it, or its own.
pub(super) fn newest(text: &str) -> Option<Version> {
    let mut best: Option<(DateTime<Utc>, Version)> = None;
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let Some(version) = fields.next().and_then(Version::parse) else { continue };
        let time = match fields.next() {
            Some(time) => DateTime::parse_from_rfc3339(time).ok().map(|time| time.to_utc()),
            None => PseudoVersion::parse(version.as_str()).and_then(|pseudo| pseudo.time()),
        };
        if let Some(time) = time
            && best.as_ref().is_none_or(|(newest, _)| *newest < time)
        {
            best = Some((time, version));
        }
    }
    best.map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(versions: &[Version]) -> Vec<&str> {
        versions.iter().map(Version::as_str).collect()
    }

    #[test]
    fn reads_lists() {
        let text = "v1.10.0\nv1.2.0 2019-01-01T00:00:00Z\r\n\n  v1.0.0-rc.1\nv1.2.0\nv1\nnonsense\nv2.0.0\n\
                    v3.0.0+incompatible\nv0.0.0-20190101000000-abcdefabcdef\nv1.0.0+meta";
        let module = ModulePath::parse("x.y/m").expect("path");
        let list = versions(text, &module);
        assert_eq!(texts(&list), ["v1.0.0-rc.1", "v1.2.0", "v1.10.0", "v3.0.0+incompatible"]);
        let second = ModulePath::parse("x.y/m/v2").expect("path");
        assert_eq!(texts(&versions(text, &second)), ["v2.0.0", "v3.0.0+incompatible"][..1]);
        assert_eq!(versions("", &module), []);
    }

    #[test]
    fn releases_come_first() {
        let module = ModulePath::parse("x.y/m").expect("path");
        let list = versions("v1.2.0\nv1.2.1\nv1.10.0-rc.1\nv1.3.0-rc.1", &module);
        let table = [
            ("any", None, Some("v1.2.1")),
            ("a major", Some("v1"), Some("v1.2.1")),
            ("a minor", Some("v1.2"), Some("v1.2.1")),
            ("only a pre-release", Some("v1.3"), Some("v1.3.0-rc.1")),
            ("half a number", Some("v1.1"), None),
            ("another", Some("v2"), None),
        ];
        for (row, prefix, expected) in table {
            let prefix = prefix.map(|text| Semver::parse(text).expect(row));
            assert_eq!(highest(&list, prefix.as_ref()).map(Version::as_str), expected, "{row}");
        }
    }

    #[test]
    fn the_newest_line_counts() {
        let old = "v0.0.0-20190101000000-abcdefabcdef";
        let new = "v0.0.0-20200101000000-abcdefabcdef";
        let table = [
            ("by themselves", format!("{new}\n{old}"), Some(new)),
            ("by their times", format!("{old} 2021-01-01T00:00:00Z\n{new}"), Some(old)),
            ("a time with a zone", format!("{old} 2020-01-01T02:00:00+03:00\n{new}"), Some(new)),
            ("no time at all", format!("{old} yesterday\nv1.0.0"), None),
            ("a tag with a time", format!("v1.0.0 2021-01-01T00:00:00Z\n{new}"), Some("v1.0.0")),
            ("nothing", String::new(), None),
        ];
        for (row, text, expected) in table {
            assert_eq!(newest(&text).as_ref().map(Version::as_str), expected, "{row}");
        }
    }
}
