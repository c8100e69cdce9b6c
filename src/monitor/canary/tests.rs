//! A proxy against its source, both in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Compared, Seen, look};
use crate::error::{Error, Kind, Result};
use crate::ports::{Content, Source, Told, Validators};
use crate::spec::info::{Info, Origin};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// The versions of a module, and its latest.
type Known = (Vec<Version>, Option<Info>);

/// What a side says of modules; of others that it has none.
#[derive(Default)]
struct Shelf {
    modules: HashMap<&'static str, Result<Known>>,
    asked: AtomicUsize,
}

impl Shelf {
    /// Versions with blanks between them, the last one is the latest; each was made a day after the one before.
    fn with(mut self, module: &'static str, versions: &str) -> Shelf {
        let listed = versions.split(' ').filter(|text| !text.is_empty()).map(version);
        let listed: Vec<Version> = listed.filter(|version| !version.is_pseudo()).collect();
        let last = versions.split(' ').next_back().filter(|text| !text.is_empty());
        self.modules.insert(module, Ok((listed, last.map(|text| info(text, day(1), "")))));
        self
    }

    fn with_latest(mut self, module: &'static str, latest: Info) -> Shelf {
        self.modules.insert(module, Ok((vec![version(&latest.version)], Some(latest))));
        self
    }

    fn failing(mut self, module: &'static str, error: Error) -> Shelf {
        self.modules.insert(module, Err(error));
        self
    }

    fn answer(&self, module: &ModulePath) -> Result<(Vec<Version>, Option<Info>)> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let unknown = || Err(Error::not_found("unknown module"));
        self.modules.get(module.as_str()).cloned().unwrap_or_else(unknown)
    }
}

#[async_trait]
impl Source for Shelf {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        Ok(self.answer(module)?.0.into())
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        Ok(self.answer(module)?.1.ok_or_else(|| Error::not_found("no versions"))?.into())
    }

    async fn info(&self, _: &ModulePath, _: &Query) -> Result<Told<Resolution>> {
        panic!("a canary is asked for list and latest alone")
    }

    async fn go_mod(&self, _: &ModulePath, _: &Version) -> Result<Told<Content>> {
        panic!("a canary is asked for list and latest alone")
    }

    async fn zip(&self, _: &ModulePath, _: &Version) -> Result<Told<Content>> {
        panic!("a canary is asked for list and latest alone")
    }

    async fn unchanged(&self, _: &ModulePath, _: &Question, _: &Validators) -> Result<Told<bool>> {
        panic!("a canary is asked for list and latest alone")
    }
}

fn version(text: &str) -> Version {
    Version::parse(text).expect(text)
}

fn day(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a moment") + TimeDelta::days(day)
}

fn info(version: &str, time: DateTime<Utc>, hash: &str) -> Info {
    let origin = (!hash.is_empty()).then(|| Origin { hash: hash.to_owned(), ..Origin::default() });
    Info { version: version.to_owned(), time: Some(time), origin }
}

fn modules(paths: &[&str]) -> Vec<ModulePath> {
    paths.iter().map(|path| ModulePath::parse(path).expect(path)).collect()
}

async fn compare(source: &Shelf, mirror: &Shelf, before: &Seen, now: DateTime<Utc>) -> Compared {
    look(source, mirror, &modules(&["x.test/a"])).await.expect("both sides answer").compare(before, now)
}

/// `x.test/a@v1.0.0 SOURCE MIRROR`, a line each; diverged ones with `!`.
fn told(compared: &Compared) -> String {
    let Some(difference) = &compared.difference else { return "same".to_owned() };
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let lines = difference.refs.iter().map(|row| {
        let mark = if row.is_diverged { "!" } else { "" };
        let name = row.name.strip_prefix("x.test/a@").unwrap_or(&row.name);
        format!("{mark}{name} {} {}", side(&row.source), side(&row.mirror))
    });
    let lines = lines.collect::<Vec<_>>().join(", ");
    format!("{} behind, {} ahead: {lines}", difference.behind_refs, difference.ahead_refs)
}

/// A source, its mirror, and what is told of the two.
fn rows() -> [(&'static str, Shelf, Shelf, String); 10] {
    let pseudo = ["v0.0.0-20260101000000-aaaaaaaaaaaa", "v0.0.0-20260201000000-bbbbbbbbbbbb"];
    let a = || Shelf::default();
    [
        ("the same", a().with("x.test/a", "v1.0.0 v1.1.0"), a().with("x.test/a", "v1.0.0 v1.1.0"), "same".to_owned()),
        (
            "a version is missing",
            a().with("x.test/a", "v1.0.0 v1.1.0"),
            a().with("x.test/a", "v1.0.0"),
            "2 behind, 0 ahead: latest v1.1.0 v1.0.0, v1.1.0 v1.1.0 -".to_owned(),
        ),
        (
            "an old version is missing",
            a().with("x.test/a", "v1.0.0 v1.1.0"),
            a().with("x.test/a", "v1.1.0"),
            "1 behind, 0 ahead: v1.0.0 v1.0.0 -".to_owned(),
        ),
        (
            "versions are told in their order",
            a().with("x.test/a", "v1.2.0 v1.10.0 v1.11.0"),
            a().with("x.test/a", "v1.11.0"),
            "2 behind, 0 ahead: v1.2.0 v1.2.0 -, v1.10.0 v1.10.0 -".to_owned(),
        ),
        (
            "the mirror does not have the module",
            a().with("x.test/a", "v1.0.0"),
            a(),
            "2 behind, 0 ahead: latest v1.0.0 -, v1.0.0 v1.0.0 -".to_owned(),
        ),
        (
            "a proxy keeps what its source deleted",
            a().with("x.test/a", "v1.0.0"),
            a().with("x.test/a", "v1.0.0 v1.1.0"),
            "0 behind, 2 ahead: latest v1.0.0 v1.1.0, v1.1.0 - v1.1.0".to_owned(),
        ),
        (
            "a proxy keeps a module that its source deleted",
            a(),
            a().with("x.test/a", "v1.0.0"),
            "0 behind, 2 ahead: latest - v1.0.0, v1.0.0 - v1.0.0".to_owned(),
        ),
        (
            "a module without releases moved on",
            a().with("x.test/a", pseudo[1]),
            a().with("x.test/a", pseudo[0]),
            format!("1 behind, 0 ahead: latest {} {}", pseudo[1], pseudo[0]),
        ),
        (
            "one version of two times",
            a().with_latest("x.test/a", info("v1.0.0", day(1), "")),
            a().with_latest("x.test/a", info("v1.0.0", day(2), "")),
            "0 behind, 1 ahead: !latest v1.0.0 of 2026-09-22T14:13:20Z v1.0.0 of 2026-09-23T14:13:20Z".to_owned(),
        ),
        (
            "one version of two commits",
            a().with_latest("x.test/a", info("v1.0.0", day(1), "aa")),
            a().with_latest("x.test/a", info("v1.0.0", day(1), "bb")),
            "0 behind, 1 ahead: !latest v1.0.0 at aa v1.0.0 at bb".to_owned(),
        ),
    ]
}

#[tokio::test]
async fn a_proxy_is_held_against_its_source() {
    for (row, source, mirror, expected) in rows() {
        let compared = compare(&source, &mirror, &Seen::default(), day(9)).await;
        assert_eq!(told(&compared), expected, "{row}");
        assert_eq!(compared.is_diverged, expected.contains('!'), "{row}");
        let since = compared.difference.as_ref().and_then(|difference| difference.since);
        let matters = compared.is_diverged || compared.difference.as_ref().is_some_and(|found| found.behind_refs > 0);
        assert_eq!(since, matters.then(|| day(9)), "{row}: what is merely kept is no lag");
    }
}

#[tokio::test]
async fn a_side_that_tells_no_commit_contradicts_nobody() {
    let source = Shelf::default().with_latest("x.test/a", info("v1.0.0", day(1), "aa"));
    let mirror = Shelf::default().with_latest("x.test/a", Info { time: None, ..info("v1.0.0", day(1), "") });
    assert_eq!(told(&compare(&source, &mirror, &Seen::default(), day(9)).await), "same");
}

#[tokio::test]
async fn a_difference_keeps_its_age() {
    let a = |versions| Shelf::default().with("x.test/a", versions);
    let since = |compared: &Compared| compared.difference.as_ref().and_then(|difference| difference.since);
    let first = compare(&a("v1.0.0 v1.1.0"), &a("v1.0.0"), &Seen::default(), day(1)).await;
    let kept: Seen = serde_json::from_str(&serde_json::to_string(&first.seen).expect("json")).expect("json");
    let second = compare(&a("v1.0.0 v1.1.0 v1.2.0"), &a("v1.0.0"), &kept, day(2)).await;
    assert_eq!(since(&second), Some(day(1)));
    let rows = second.difference.as_ref().expect("two are missing").refs.iter();
    let rows: Vec<_> = rows.map(|row| (row.name.as_str(), row.since)).collect();
    let days = [("x.test/a@latest", 1), ("x.test/a@v1.1.0", 1), ("x.test/a@v1.2.0", 2)];
    assert_eq!(rows, days.map(|(name, at)| (name, Some(day(at)))));
    let even = compare(&a("v1.0.0 v1.1.0"), &a("v1.0.0 v1.1.0"), &second.seen, day(3)).await;
    assert_eq!((told(&even), &even.seen), ("same".to_owned(), &Seen::default()));
    let again = compare(&a("v1.0.0 v1.1.0"), &a("v1.0.0"), &even.seen, day(4)).await;
    assert_eq!(since(&again), Some(day(4)));
}

/// Of a busy module without releases something is always missing, and never the same for long.
#[tokio::test]
async fn a_mirror_that_keeps_up_with_a_busy_source_is_never_old() {
    let at = |day: i64| format!("v0.0.0-202601{day:02}000000-aaaaaaaaaaaa");
    let mut seen = Seen::default();
    for now in 3..20 {
        let (source, mirror) = (at(now), at(now - 2));
        let module = |version: &str| Shelf::default().with("x.test/a", version);
        let compared = compare(&module(&source), &module(&mirror), &seen, day(now)).await;
        let since = compared.difference.as_ref().and_then(|difference| difference.since);
        assert_eq!(since, Some(day((now - 1).max(3))), "day {now}");
        seen = compared.seen;
    }
    // What the source took back is waited for no more.
    let module = |version: &str| Shelf::default().with("x.test/a", version);
    let compared = compare(&module(&at(18)), &module(&at(17)), &seen, day(30)).await;
    assert_eq!(compared.difference.and_then(|difference| difference.since), Some(day(18)));
}

/// Source, mirror, canaries; the error's kind, whether somebody is not let in, its text.
type Incomparable<'a> = (&'a str, Shelf, Shelf, &'a [&'a str], Kind, bool, &'a str);

#[tokio::test]
async fn a_canary_that_cannot_be_compared_is_not_well() {
    let paths = ["x.test/a", "x.test/b", "x.test/c", "x.test/d", "x.test/e"];
    let all = || paths.iter().fold(Shelf::default(), |shelf, path| shelf.with(path, "v1.0.0"));
    let broken = || Error::bad_gateway("proxy.test answers 502 Bad Gateway");
    let lapsed = || Error::forbidden("proxy.test answers 403 Forbidden").unauthorized();
    let table: [Incomparable<'_>; 5] = [
        (
            "neither side knows it",
            Shelf::default(),
            Shelf::default(),
            &["x.test/a"],
            Kind::NotFound,
            false,
            "x.test/a: neither the source nor the mirror knows it, so it says nothing of the mirror\n\
             name modules in `modules` of the [[mirror]] that its source has",
        ),
        (
            "the source fails",
            all().failing("x.test/a", broken()),
            all(),
            &["x.test/a"],
            Kind::BadGateway,
            false,
            "x.test/a: source: proxy.test answers 502 Bad Gateway",
        ),
        (
            "one of several",
            all(),
            all().failing("x.test/b", broken()),
            &paths,
            Kind::BadGateway,
            false,
            "1 of 5 canary modules could not be compared: x.test/b: mirror: proxy.test answers 502 Bad Gateway",
        ),
        (
            "not to be let in comes first",
            all().failing("x.test/a", broken()),
            all().failing("x.test/a", lapsed()).failing("x.test/c", lapsed()),
            &paths,
            Kind::Forbidden,
            true,
            "2 of 5 canary modules could not be compared: x.test/a: mirror: proxy.test answers 403 Forbidden; \
             x.test/c: mirror: proxy.test answers 403 Forbidden",
        ),
        (
            "all of many",
            paths.iter().fold(Shelf::default(), |shelf, path| shelf.failing(path, broken())),
            all(),
            &paths,
            Kind::BadGateway,
            false,
            "5 of 5 canary modules could not be compared: x.test/a: source: proxy.test answers 502 Bad Gateway; \
             x.test/b: source: proxy.test answers 502 Bad Gateway; \
             x.test/c: source: proxy.test answers 502 Bad Gateway; and 2 more",
        ),
    ];
    for (row, source, mirror, asked, kind, is_unauthorized, text) in table {
        let error = look(&source, &mirror, &modules(asked)).await.expect_err(row);
        assert_eq!((error.kind(), error.is_unauthorized()), (kind, is_unauthorized), "{row}");
        assert_eq!(error.to_string(), text, "{row}");
    }
}

#[tokio::test]
async fn a_module_that_is_named_twice_is_asked_once() {
    let shelf = || Shelf::default().with("x.test/a", "v1.0.0");
    let (source, mirror) = (shelf(), shelf());
    look(&source, &mirror, &modules(&["x.test/a", "x.test/a"])).await.expect("both sides answer");
    assert_eq!((source.asked.into_inner(), mirror.asked.into_inner()), (2, 2));
}
