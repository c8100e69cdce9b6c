//! Tables of the rules over a repository in memory; what the real go command says of the same traps
//! is in testdata/oracle.

use super::memory::{Memory, id};
use crate::spec::resolution::Fault;
use crate::spec::version::Version;

const M: &str = "example.com/m";
const GO_MOD: (&str, &str) = ("go.mod", "module example.com/m\n\ngo 1.20\n");

fn pseudo(stem: &str, time: &str, name: &str) -> String {
    format!("{stem}{time}-{}", id(name).short())
}

/// Releases on a line, one on a side branch, and a merge.
fn history() -> Memory {
    Memory::new()
        .commit("a", &[], &[GO_MOD])
        .commit("b", &["a"], &[("b.go", "package m")])
        .commit("side", &["a"], &[("s.go", "package m")])
        .commit("c", &["b"], &[("c.go", "package m")])
        .commit("d", &["c", "side"], &[("d.go", "package m")])
        .tag("v1.0.0", "a")
        .tag("v1.3.0", "side")
        .tag("v1.1.0-rc.1", "b")
        .branch("side", "side")
        .branch("c", "c")
}

#[test]
fn the_base_is_the_highest_ancestor_tag() {
    let history = history();
    let table = [
        ("tag on the revision", "a", "v1.0.0".to_owned()),
        ("pre-release before it", "c", pseudo("v1.1.0-rc.1.0.", "20200101000300", "c")),
        ("merge brings the side branch in", "d", pseudo("v1.3.1-0.", "20200101000400", "d")),
    ];
    for (row, name, version) in table {
        assert_eq!(history.version(M, &id(name).short()), version, "{row}");
        assert_eq!(history.version(M, &id(name).to_string()[..7]), version, "{row}, seven digits");
    }
    assert_eq!(history.version(M, "main"), history.version(M, &id("d").to_string()));
    assert_eq!(history.version(M, "latest"), "v1.3.0");
    assert_eq!(history.version(M, "v1.0"), "v1.0.0");
    assert_eq!(history.version(M, "v1"), "v1.3.0");
    // v1.1 means v1.1.0, and a release candidate comes before it.
    assert_eq!(history.version(M, "v1.1"), "no matching versions for query \"v1.1\"");
    assert_eq!(history.version(M, "v2"), "no matching versions for query \"v2\"");
    assert_eq!(history.version(M, "nothing"), "unknown revision nothing");
    assert_eq!(
        history.version(M, &id("d").to_string()[..6]),
        format!("unknown revision {}", &id("d").to_string()[..6])
    );
}

#[test]
fn any_ancestor_tag_or_none_is_a_valid_base() {
    let history = history();
    let time = "20200101000400";
    for stem in ["v0.0.0-", "v1.0.1-0.", "v1.1.0-rc.1.0.", "v1.3.1-0."] {
        let asked = pseudo(stem, time, "d");
        let resolution = history.resolve(M, &asked).expect(stem);
        assert_eq!((resolution.right.version, resolution.faults), (asked, vec![]), "{stem}");
    }
}

#[test]
fn a_wrong_name_carries_every_reason_and_the_right_version() {
    let history = history();
    let short = id("c").short();
    let time =
        || Fault::TimeDiffers { found: "20200101000301".to_owned(), expected: "20200101000300".to_owned(), note: None };
    let not_ancestor = || Fault::BaseNotAncestor { tag: "v1.3.0".to_owned(), revision: short.clone() };
    let table = [
        ("time", format!("v1.0.1-0.20200101000301-{short}"), vec![time()]),
        ("side branch", format!("v1.3.1-0.20200101000300-{short}"), vec![not_ancestor()]),
        ("both", format!("v1.3.1-0.20200101000301-{short}"), vec![time(), not_ancestor()]),
        (
            "no such tag",
            format!("v1.7.1-0.20200101000300-{short}"),
            vec![Fault::BaseMissing { base: "v1.7.0".to_owned() }],
        ),
        ("v1 without a tag", format!("v1.0.0-20200101000300-{short}"), vec![Fault::MajorWithoutBase]),
        (
            "below zero",
            format!("v1.2.0-0.20200101000300-{short}"),
            vec![Fault::BaseNegative { version: "v1.2.0".to_owned() }],
        ),
        (
            "too short",
            format!("v1.0.1-0.20200101000300-{}", &short[..8]),
            vec![Fault::RevisionTooShort { expected: short.clone() }],
        ),
        (
            "too long",
            format!("v1.0.1-0.20200101000300-{}", id("c")),
            vec![Fault::RevisionTooLong { expected: short.clone() }],
        ),
        (
            "a branch's name",
            "v1.0.1-0.20200101000300-c".to_owned(),
            vec![Fault::RevisionDiffers { expected: short.clone() }],
        ),
        (
            "no moment",
            format!("v1.0.1-0.20201301000300-{short}"),
            vec![Fault::TimeMalformed { found: "20201301000300".to_owned(), expected: "20200101000300".to_owned() }],
        ),
    ];
    for (row, asked, faults) in table {
        let resolution = history.resolve(M, &asked).expect(row);
        assert_eq!(resolution.faults, faults, "{row}");
        assert_eq!(resolution.right.version, pseudo("v1.1.0-rc.1.0.", "20200101000300", "c"), "{row}");
    }
    let on_revision = history.resolve(M, &pseudo("v1.0.1-0.", "20200101000000", "a")).expect("tagged");
    assert_eq!(on_revision.faults, [Fault::BaseOnRevision { tag: "v1.0.0".to_owned(), revision: id("a").short() }]);
    assert_eq!(on_revision.right.version, "v1.0.0");
}

#[test]
fn incompatible_versions_are_listed_until_a_go_mod_comes() {
    let list = |history: &Memory| {
        let listing = history.ask(M, |module| module.versions("")).expect("list");
        listing.versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let plain = Memory::new().commit("a", &[], &[("a.go", "package m")]).tag("v1.0.0", "a").tag("v2.0.0", "a");
    assert_eq!(list(&plain), "v1.0.0 v2.0.0+incompatible");
    assert_eq!(plain.version(M, "v2.0.0"), "v2.0.0+incompatible");
    assert_eq!(plain.version(M, "latest"), "v2.0.0+incompatible");

    let modern = Memory::new()
        .commit("a", &[], &[("a.go", "package m")])
        .commit("b", &["a"], &[GO_MOD])
        .tag("v1.0.0", "b")
        .tag("v2.0.0", "a");
    assert_eq!(list(&modern), "v1.0.0");
    assert_eq!(modern.version(M, "v2.0.0"), "v2.0.0+incompatible");
    assert_eq!(
        modern.version(M, "v1.0.0+incompatible"),
        "invalid version: +incompatible suffix not allowed: major version v1 is compatible"
    );

    let with_folder = Memory::new()
        .commit("a", &[], &[("a.go", "package m"), ("v2/go.mod", "module example.com/m/v2\n")])
        .tag("v2.0.0", "a");
    assert_eq!(
        with_folder.version(M, "v2.0.0"),
        "invalid version: module contains a go.mod file, so module path must match major version (\"example.com/m/v2\")"
    );
    assert_eq!(with_folder.version(M, "v2.0.0+incompatible"), "v2.0.0+incompatible");
    assert_eq!(with_folder.version("example.com/m/v2", "v2.0.0"), "v2.0.0");
}

#[test]
fn what_was_taken_back_is_no_base_and_not_latest() {
    let retracting = ("go.mod", "module example.com/m\n\nretract v1.1.0\nretract [v1.3.0, v1.4.0]\n");
    let history = Memory::new()
        .commit("a", &[], &[GO_MOD])
        .commit("b", &["a"], &[("b.go", "package m")])
        .commit("c", &["b"], &[retracting])
        .commit("d", &["c"], &[("d.go", "package m")])
        .tag("v1.0.0", "a")
        .tag("v1.1.0", "b")
        .tag("v1.3.0", "c");
    assert_eq!(history.version(M, "main"), pseudo("v1.0.1-0.", "20200101000300", "d"));
    assert_eq!(history.version(M, "latest"), "v1.0.0");
    assert_eq!(history.version(M, "v1.1.0"), "v1.1.0");
    let valid = history.resolve(M, &pseudo("v1.1.1-0.", "20200101000300", "d")).expect("retracted base");
    assert!(valid.is_valid(), "{valid:?}");
}

#[test]
fn modules_in_folders_have_their_own_tags() {
    let history = Memory::new()
        .commit("a", &[], &[GO_MOD, ("sub/go.mod", "module example.com/m/sub\n")])
        .commit("b", &["a"], &[("sub/b.go", "package sub"), ("sub/v2/go.mod", "module example.com/m/sub/v2\n")])
        .tag("v1.5.0", "a")
        .tag("sub/v0.1.0", "a")
        .tag("sub/v2.0.0", "b");
    assert_eq!(history.version("example.com/m/sub", "v0.1.0"), "v0.1.0");
    assert_eq!(history.version("example.com/m/sub", "main"), pseudo("v0.1.1-0.", "20200101000100", "b"));
    assert_eq!(history.version("example.com/m/sub/v2", "main"), "v2.0.0");
    assert_eq!(
        history.version("example.com/m/none", "main"),
        format!("missing example.com/m/none/go.mod at revision {}", id("b").short())
    );
    let info = history.right("example.com/m/sub", "main").expect("sub");
    let origin = info.origin.expect("origin");
    assert_eq!((origin.subdir.as_str(), origin.tag_prefix.as_str()), ("sub", "sub/"));
    assert_eq!(origin.reference, "refs/heads/main");
}

#[test]
fn a_branch_named_like_a_version_is_none() {
    let history = Memory::new().commit("a", &[], &[GO_MOD]).branch("v1.2.3", "a");
    let version = pseudo("v0.0.0-", "20200101000000", "a");
    assert_eq!(history.version(M, "v1.2.3"), format!("resolves to version {version} (v1.2.3 is not a tag)"));
}

#[test]
fn a_wrong_time_is_told_from_where_it_comes() {
    let history = Memory::new().commit("a", &[], &[GO_MOD]).commit("b", &["a"], &[("b.go", "package m")]).signed(
        "b",
        "2020-01-05T01:02:03-08:00",
        "2020-01-06T00:00:00+05:30",
    );
    let note = |time: &str| {
        let version = Version::parse(&pseudo("v0.0.0-", time, "b")).expect("a version");
        let examination = history.ask(M, |module| module.examine(&version)).expect(time);
        assert_eq!(examination.canonical.expect(time).version, pseudo("v0.0.0-", "20200105183000", "b"));
        match examination.faults.as_slice() {
            [Fault::TimeDiffers { note, .. }] => note.as_ref().map(ToString::to_string).unwrap_or_default(),
            faults => panic!("{time}: {faults:?}"),
        }
    };
    let other = format!("the time of another commit ({})", id("a").short());
    let table = [
        ("author", "20200105090203", "the author's time, not the committer's"),
        ("committer's wall", "20200106000000", "the committer's local time (UTC+05:30), not UTC"),
        ("author's wall", "20200105010203", "the author's local time (UTC-08:00)"),
        ("another commit", "20200101000000", &other),
        ("some zone", "20200105163000", "a local time (UTC-02:00), not UTC"),
        ("no zone is so far away", "20200107183000", ""),
        ("a second off", "20200105183001", ""),
    ];
    for (row, time, expected) in table {
        assert_eq!(note(time), expected, "{row}");
    }
}

#[test]
fn an_examination_shows_the_tags_around() {
    let history = history();
    let version = Version::parse(&pseudo("v1.3.1-0.", "20200101000300", "c")).expect("a version");
    let examination = history.ask(M, |module| module.examine(&version)).expect("examined");
    let before: Vec<_> = examination.history.before.iter().map(|tag| (tag.tag.as_str(), tag.distance)).collect();
    assert_eq!(before, [("v1.1.0-rc.1", 1), ("v1.0.0", 2)]);
    assert_eq!(examination.history.aside.as_deref(), Some("v1.3.0"));
}

#[test]
fn a_misspelt_revision_is_found_where_it_can_only_mean_one() {
    let history = history();
    let right = pseudo("v1.1.0-rc.1.0.", "20200101000300", "c");
    let upper = id("c").short().to_uppercase();
    let expected = id("c").short();
    let table = [
        ("upper case", upper.clone(), vec![Fault::RevisionInUpperCase { expected: expected.clone() }]),
        ("five digits", expected[..5].to_owned(), vec![Fault::RevisionTooShort { expected: expected.clone() }]),
        (
            "both",
            upper[..6].to_owned(),
            vec![
                Fault::RevisionInUpperCase { expected: expected.clone() },
                Fault::RevisionTooShort { expected: expected.clone() },
            ],
        ),
    ];
    for (row, digits, faults) in table {
        let resolution = history.resolve(M, &format!("v1.0.1-0.20200101000300-{digits}")).expect(row);
        assert_eq!((resolution.right.version, resolution.faults), (right.clone(), faults), "{row}");
    }
    for digits in [&upper[..3], "ABCDEFABCDEF"] {
        let asked = format!("v1.0.1-0.20200101000300-{digits}");
        assert_eq!(history.version(M, &asked), format!("unknown revision {digits}"));
    }
    // A hash by itself is asked for as the go command would.
    assert_eq!(history.version(M, &upper), format!("unknown revision {upper}"));
}
