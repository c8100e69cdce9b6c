//! Housekeeping over a store that, as the one on the disk does, gives nothing back until it is compacted.

mod full;
mod house;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use house::{House, MIB};

use super::*;
use crate::error::{Error, Kind};
use crate::ports::{Body, Clock as _, Store as _};
use crate::spec::dirhash::go_mod_h1;

fn quiet(_: Said) -> Result<()> {
    Ok(())
}

fn zip(upstream: &str, module: &str) -> String {
    format!("{upstream}/x.y/{module}/@v/v1.0.0.zip")
}

#[test]
fn least_recently_used_go_first() {
    let house = House::limited(90);
    for name in ["one", "two", "three", "four"] {
        house.keep(&zip("a~1", name), 20);
    }
    house.clock.forward(60);
    house.used(&zip("a~1", "one"), house.clock.now(), 3);
    house.keep(&zip("b~2", "five"), 20);
    // 100 MiB and the tables are too much; down to 81 two have to go: the first one was used again.
    house.stock().look().expect("room");
    assert_eq!(house.left(), "four one five");
    assert_eq!(house.memory.forgotten.lock().expect("lock").len(), 2);
}

#[test]
fn within_its_limit_nothing_goes() {
    let house = House::limited(150);
    for name in ["one", "two", "three", "four", "five"] {
        house.keep(&zip("a~1", name), 20);
    }
    let stock = house.stock();
    let freed = stock.prune(&Pruning::default(), &mut quiet).expect("nothing");
    assert_eq!((freed.entries, freed.compacted, freed.before), (0, false, freed.after));
    assert_eq!(house.left().split(' ').count(), 5);
}

#[test]
fn an_upstream_has_a_limit_of_its_own() {
    let mut house = House::new();
    house.of_a.0 = Some(50 * MIB);
    house.keep(&zip("b~2", "other"), 40);
    house.repository("old", 20);
    house.keep(&zip("a~1", "new"), 20);
    house.keep(&zip("a~1", "newer"), 20);
    house.stock().look().expect("room");
    assert_eq!(house.left(), "new newer other", "its repositories count, other upstreams do not");
}

#[test]
fn what_is_dead_in_the_tables_costs_no_entry_its_place() {
    let house = House::limited(200);
    for round in 0..40 {
        house.keep(&zip("a~1", "same"), 8);
        house.keep(&format!("a~1/x.y/other{round}/@v/list"), 1);
    }
    assert!(house.leaky.usage().expect("a drawer").tables > 400 * MIB);
    let freed = house.stock().prune(&Pruning::default(), &mut quiet).expect("room");
    assert_eq!((freed.entries, freed.compacted), (0, true));
    assert!(freed.after < 200 * MIB, "{freed:?}");
}

#[test]
fn where_the_tables_cannot_be_compacted_not_everything_goes() {
    let house = House::limited(200);
    house.leaky.is_tight.store(true, Ordering::SeqCst);
    for round in 0..40 {
        house.keep(&format!("a~1/x.y/m{round}/@v/v1.0.0.zip"), 8);
    }
    let stock = house.stock();
    for _ in 0..10 {
        house.clock.forward(7200);
        stock.look().expect("room");
    }
    // 180 MiB, less 16 MiB, in tables that count as two bytes for one at most.
    assert_eq!(house.left().split(' ').count(), 10);
    // Each time it is tried again, since an hour has passed: not more often.
    assert!(house.leaky.compactions.load(Ordering::SeqCst) <= 10);
    assert!(stock.figures().expect("counted").is_over());
}

#[test]
fn what_nobody_wanted_for_the_days_it_is_kept_goes() {
    let day = 24 * 60 * 60;
    let mut house = House::new();
    house.of_a.1 = Some(Duration::from_secs(3 * day));
    house.limits.keep = Some(Duration::from_secs(10 * day));
    for upstream in ["a~1", "b~2", "gone~3"] {
        house.keep(&zip(upstream, &upstream[..1]), 9);
    }
    house.repository("repository", 1);
    let stock = house.stock();
    let after = |days: u64| {
        house.clock.forward(days * day);
        stock.look().expect("room");
        house.left()
    };
    assert_eq!(after(2), "a b g repository");
    assert_eq!(after(2), "b g");
    assert_eq!(after(7), "");
}

#[test]
fn a_download_keeps_an_entry_for_longer() {
    let day = 24 * 60 * 60;
    let house = House { limits: Limits { max_size: None, keep: Some(Duration::from_secs(10 * day)) }, ..House::new() };
    house.keep(&zip("a~1", "wanted"), 9);
    house.keep(&zip("a~1", "unwanted"), 9);
    house.clock.forward(9 * day);
    house.used(&zip("a~1", "wanted"), house.clock.now(), 1);
    house.clock.forward(2 * day);
    house.stock().look().expect("room");
    assert_eq!(house.left(), "wanted");
}

#[test]
fn facts_stay_whatever_goes() {
    let house = House::limited(1);
    house.keep(&zip("a~1", "m"), 9);
    let facts = ["binding/default/x.y/m", "change/a~1/x.y/m/@v/v1.0.0.mod", "definition/upstream/a", "verdict/a~1/x"];
    for key in facts {
        house.put(key, b"", None);
    }
    house.stock().look().expect("room");
    assert_eq!(house.leaky.drawer.keys(), facts);
}

#[test]
fn a_dry_run_says_what_would_go_and_leaves_it() {
    let house = House::limited(60);
    for name in ["one", "two", "three", "four"] {
        house.keep(&zip("a~1", name), 20);
    }
    house.repository("repository", 30);
    let run = |dry_run| {
        let mut said = Vec::new();
        let pruning = Pruning { dry_run, ..Pruning::default() };
        let freed = house.stock().prune(&pruning, &mut |line| {
            said.extend(match line {
                Said::Entry(row) => Some(row.module),
                Said::Repository(repository) => Some(repository.name),
                _ => None,
            });
            Ok(())
        });
        (said, freed.expect("room"))
    };
    let (would, dry) = run(true);
    assert_eq!(house.left(), "four one three two repository");
    assert_eq!((dry.before, dry.after), (dry.after, dry.before), "nothing changed");
    let (went, wet) = run(false);
    assert_eq!((&would, dry.bytes), (&went, wet.bytes));
    assert_eq!(went, ["x.y/one", "x.y/two", "x.y/three", "x.y/four"][..went.len()]);
    assert!(wet.after < wet.before);
}

#[test]
fn a_repository_that_somebody_works_with_stays() {
    let house = House::limited(40);
    house.repository("busy", 30);
    house.repository("idle", 30);
    *house.memory.in_use.lock().expect("lock") = Some("busy".to_owned());
    house.stock().look().expect("room");
    assert_eq!(house.left(), "busy");
}

#[test]
fn on_a_full_disk_the_oldest_file_goes_at_once() {
    let house = House::new();
    house.keep(&zip("a~1", "small"), 8);
    house.keep(&zip("a~1", "old"), 20);
    house.keep(&zip("a~1", "new"), 20);
    let stock = Arc::new(house.stock());
    let growth: Arc<Growth> = Arc::default();
    let missing = Arc::new(AtomicU64::new(0));
    let watched = {
        let missing = missing.clone();
        Watched::new(house.leaky.clone(), growth.clone(), Box::new(move |_| Ok(missing.load(Ordering::SeqCst))))
    };
    growth.on_full(move |bytes| drop(stock.make_room(bytes)));
    watched.put("upstream/a~1/x.y/first/@v/list", b"{}", Body::Bytes(vec![0].into())).expect("room");
    assert_eq!(house.left(), "first new old small", "there is room");
    missing.store(5 * MIB, Ordering::SeqCst);
    watched.put("upstream/a~1/x.y/second/@v/list", b"{}", Body::Bytes(vec![0].into())).expect("room");
    assert_eq!(house.left(), "first new second small", "what lies in the tables would free nothing at once");
}

#[test]
fn what_is_named_is_removed_and_nothing_else() {
    let house = House::new();
    for name in ["a~1/x.y/m/@v/list", "a~1/x.y/m/@v/v1.0.0.zip", "a~1/x.y/m/@v/v1.1.0.zip", "b~2/x.y/m/@v/v1.0.0.zip"] {
        house.keep(name, 9);
    }
    house.repository("repository", 1);
    let removed = |wanted: Wanted, dry_run| {
        let removal = Removal { wanted: Some(wanted), dry_run, ..Removal::default() };
        house.stock().remove(&removal, &mut quiet)
    };
    let version = Wanted::of(Some("a")).about("x.y/m@v1.0.0").expect("a version");
    let would = removed(version.clone(), true).expect("one");
    assert_eq!((would.entries, would.bytes, house.leaky.drawer.keys().len()), (1, 9 * MIB, 4));
    assert_eq!(removed(version, false).expect("one").entries, 1);
    assert_eq!(house.leaky.drawer.keys().len(), 3);
    assert_eq!(removed(Wanted::all().about("x.y/m@v1.0.0").expect("a version"), false).expect("one").entries, 1);
    let rest = removed(Wanted::of(Some("a")), false).expect("the upstream");
    assert_eq!((rest.entries, rest.repositories), (2, 1));
    assert_eq!(house.left(), "");
    let error = removed(Wanted::of(Some("c")), false).expect_err("no such upstream");
    assert_eq!(error.to_string(), "c: no such upstream, and nothing is kept of one\nknown are: a, b");
    let error = removed(Wanted::all(), false).expect_err("nothing named");
    assert_eq!((error.kind(), error.what()), (Kind::Gone, "nothing is named that is to go"));
}

#[test]
fn a_binding_is_taken_away_in_every_registry_or_in_the_one_that_is_named() {
    let house = House::new();
    type Asked = (String, Option<String>, bool);
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let stock = {
        let asked = asked.clone();
        house.stock().unbinding(Arc::new(move |module, registry, dry_run| {
            asked.lock().expect("lock").push((module.to_string(), registry.map(str::to_owned), dry_run));
            Ok(vec!["default".to_owned(), "ci".to_owned()])
        }))
    };
    let removal = Removal { binding: Some(crate::registry::doubles::module("x.y/m")), ..Removal::default() };
    let removed = stock.remove(&removal, &mut quiet).expect("a binding");
    assert_eq!(removed.bindings, ["default", "ci"]);
    let in_one = Removal { registry: Some("ci".to_owned()), ..removal };
    stock.remove(&in_one, &mut quiet).expect("a binding");
    let all = [("x.y/m".to_owned(), None, false), ("x.y/m".to_owned(), Some("ci".to_owned()), false)];
    assert_eq!(*asked.lock().expect("lock"), all);
    let error = stock.remove(&Removal { binding: None, wanted: Some(Wanted::of(Some("a"))), ..in_one }, &mut quiet);
    assert!(error.expect_err("no binding").what().starts_with("a registry without a binding"));
}

#[test]
fn figures_say_what_each_upstream_has() {
    let mut house = House::limited(500);
    house.of_a.0 = Some(100 * MIB);
    house.keep(&zip("a~1", "one"), 20);
    let first = house.clock.now();
    house.keep(&zip("a~1", "two"), 8);
    house.used(&zip("a~1", "two"), house.clock.now(), 7);
    house.keep(&zip("old~9", "left"), 9);
    house.repository("repository", 5);
    house.put("binding/default/x.y/m", b"", None);
    let figures = house.stock().count().expect("figures");
    let names: Vec<_> = figures.upstreams.iter().map(|share| (share.upstream.as_str(), share.configured)).collect();
    assert_eq!(names, [("a", true), ("b", true), ("old", false)]);
    let a = &figures.upstreams[0];
    assert_eq!((a.entries, a.bytes, a.downloads, a.oldest_use), (2, 28 * MIB, 7, Some(first)));
    assert_eq!((a.repositories, a.repository_bytes, a.max_size), (1, 5 * MIB, Some(100 * MIB)));
    let total = &figures.total;
    assert_eq!((total.entries, total.facts, total.downloads, total.max_size), (3, 1, 7, Some(500 * MIB)));
    assert_eq!(total.disk, total.tables + total.files + 5 * MIB);
}

#[test]
fn entries_are_listed_page_by_page() {
    let house = House::new();
    for name in ["a~1/x.y/!m/@v/v1.0.0.zip", "a~1/x.y/n/@latest", "b~2/x.y/o/@v/main.info"] {
        house.keep(name, 1);
    }
    let stock = house.stock();
    let page = stock.list(&Wanted::all(), None, 2).expect("a page");
    let shown =
        |page: &Page| -> Vec<String> { page.rows.iter().map(|row| format!("{}/{}", row.module, row.path)).collect() };
    assert_eq!(shown(&page), ["x.y/M/@v/v1.0.0.zip", "x.y/n/@latest"]);
    let page = stock.list(&Wanted::all(), page.next.as_deref(), 2).expect("a page");
    assert_eq!((shown(&page), &page.next), (vec!["x.y/o/@v/main.info".to_owned()], &None));
    assert_eq!(page.rows[0].version.as_deref(), Some("main"));
    let of_b = stock.list(&Wanted::of(Some("b")), None, 10).expect("a page");
    assert_eq!(of_b.rows.len(), 1);
}

#[test]
fn every_shelf_is_looked_at_whatever_its_name() {
    let house = House::new();
    let shelves = ["a", "a~1", "a-b~2", "a.b~3", "a0~4", "z~5"];
    for shelf in shelves {
        for module in ["m", "m/n", "mm"] {
            house.keep(&zip(shelf, module), 1);
        }
    }
    let stock = house.stock();
    let paged = |wanted: &Wanted| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = stock.list(wanted, after.as_deref(), 2).expect("a page");
            all.extend(page.rows.into_iter().map(|row| format!("{}/{}", row.shelf, row.module)));
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    };
    let all = paged(&Wanted::all());
    assert_eq!(all.len(), 18, "{all:?}");
    let of = |subject: &str| paged(&Wanted::all().about(subject).expect(subject));
    assert_eq!((of("x.y/m").len(), of("x.y/m/...").len(), of("x.y/...").len()), (6, 12, 18));
    assert_eq!(paged(&Wanted::of(Some("a-b"))), ["a-b~2/x.y/m", "a-b~2/x.y/m/n", "a-b~2/x.y/mm"]);
    assert_eq!(paged(&Wanted::of(Some("a")).about("x.y/m").expect("a module")), ["a/x.y/m", "a~1/x.y/m"]);
}

#[test]
fn verify_removes_what_is_damaged_and_names_it() {
    let house = House::new();
    let good = b"module x.y/m\n";
    house.put("upstream/a~1/x.y/m/@v/v1.0.0.mod", good, Some(go_mod_h1(good)));
    house.put("upstream/a~1/x.y/m/@v/v1.1.0.mod", b"module x.y/M\n", Some(go_mod_h1(good)));
    house.put("upstream/a~1/x.y/m/@v/v1.1.0.zip", b"no zip", Some("h1:a=".to_owned()));
    house.put("upstream/a~1/x.y/m/@v/list", b"v1.0.0\n", None);
    let mut said = Vec::new();
    let checkup = house.stock().verify(None, &mut |line| {
        said.push(line);
        Ok(())
    });
    let checkup = checkup.expect("a look");
    assert_eq!((checkup.entries, checkup.damaged, checkup.changed), (4, 2, 0));
    let damaged = said.iter().filter_map(|line| match line {
        Said::Damaged(damage) => Some((damage.key.as_str(), damage.why.as_str())),
        _ => None,
    });
    let (other, right) = (go_mod_h1(b"module x.y/M\n"), go_mod_h1(good));
    let expected = format!("{other} (expected {right})");
    assert_eq!(
        damaged.collect::<Vec<_>>(),
        [
            ("upstream/a~1/x.y/m/@v/v1.1.0.mod", expected.as_str()),
            ("upstream/a~1/x.y/m/@v/v1.1.0.zip", "zip: not a valid zip file"),
        ]
    );
    let left = ["upstream/a~1/x.y/m/@v/list", "upstream/a~1/x.y/m/@v/v1.0.0.mod"];
    assert_eq!(house.leaky.drawer.keys(), left);
    assert_eq!(house.memory.forgotten.lock().expect("lock").len(), 2);
}

#[test]
fn verify_shows_recorded_changes() {
    let house = House::new();
    let now = house.clock.now();
    let (kept, found) = (serde_json::json!({"h1": "h1:one="}), serde_json::json!({"h1": "h1:other="}));
    let change = serde_json::json!({
        "upstream": "a", "module": "x.y/m", "version": "v1.0.0", "question": "zip",
        "seen_at": now, "last_seen_at": now, "kept": kept, "found": found, "choice": "keep",
    });
    let body = Body::Bytes(Vec::new().into());
    house.leaky.put("change/a~1/x.y/m/@v/v1.0.0.zip/1", change.to_string().as_bytes(), body).expect("a drawer");
    let shown = |upstream| {
        let mut shown = 0;
        let checkup = house.stock().verify(Some(upstream), &mut |line| {
            shown += usize::from(matches!(&line, Said::Changed(change) if change.found.h1.is_some()));
            Ok(())
        });
        (checkup.expect("a look").changed, shown)
    };
    assert_eq!((shown("a"), shown("b")), ((1, 1), (0, 0)));
}

#[test]
fn work_ends_when_nobody_listens() {
    let house = House::new();
    for round in 0..2000 {
        house.keep(&format!("a~1/x.y/m{round}/@v/list"), 1);
    }
    let removal = Removal { wanted: Some(Wanted::of(Some("a"))), ..Removal::default() };
    let error = house.stock().remove(&removal, &mut |_| Err(Error::unavailable("the client is gone")));
    assert_eq!(error.expect_err("nobody listens").what(), "the client is gone");
    assert_eq!(house.leaky.drawer.keys().len(), 1500);
}

#[tokio::test]
async fn growth_wakes_the_keeper() {
    let house = House::limited(100);
    let growth: Arc<Growth> = Arc::default();
    let stock = Arc::new(house.stock().growing(growth.clone()));
    let watched = Watched::new(house.leaky.clone(), growth.clone(), Box::new(|_| Ok(0)));
    watched.put("upstream/a~1/x.y/m/@v/list", b"{}", Body::Bytes(vec![0; 900 << 10].into())).expect("room");
    let waiting = tokio::time::timeout(Duration::from_millis(10), growth.wait()).await;
    assert!(waiting.is_err(), "less than a hundredth of the limit");
    watched.put("upstream/a~1/x.y/n/@v/list", b"{}", Body::Bytes(vec![0; 200 << 10].into())).expect("room");
    growth.wait().await;
    assert!(growth.of("a~1") > 1000 << 10);
    stock.count().expect("figures");
    assert_eq!((growth.all(), growth.of("a~1")), (0, 0), "what was counted is no growth");
}

#[test]
fn a_list_of_one_upstream_does_not_look_at_the_entries_of_others() {
    let house = House::new();
    for n in 0..50 {
        house.keep(&zip("a~1", &format!("m{n}")), 1);
    }
    house.keep(&zip("b~2", "n"), 1);
    let page = house.stock().list(&Wanted::of(Some("b")), None, 10).expect("a page");
    // One look finds each of the two shelves.
    assert_eq!((page.rows.len(), house.leaky.looked_at.load(Ordering::SeqCst)), (1, 3));
}
