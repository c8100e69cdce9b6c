//! What went wrong on full disks, beside git repositories that somebody worked with, and under a look at everything.

use super::*;

#[test]
fn a_full_disk_is_not_looked_through_for_every_write() {
    let house = House::new();
    house.keep(&zip("a~1", "file"), 20);
    house.keep(&zip("a~1", "small"), 8);
    let stock = house.stock();
    let scans = || house.leaky.scans.load(Ordering::SeqCst);
    assert_eq!(stock.make_room(50 * MIB).expect("room").bytes, 20 * MIB, "less than was asked for");
    let after = scans();
    house.keep(&zip("a~1", "later"), 20);
    for _ in 0..100 {
        assert_eq!(stock.make_room(MIB).expect("nothing"), Freed::default());
    }
    assert_eq!(scans(), after);
    house.clock.forward(60);
    assert_eq!(stock.make_room(MIB).expect("room").entries, 1);
    assert_eq!(house.left(), "small");
}

#[test]
fn a_write_does_not_wait_for_an_eviction_that_is_under_way() {
    let house = House::new();
    house.keep(&zip("a~1", "file"), 20);
    let stock = house.stock();
    let evicting = stock.evicting.lock().expect("lock");
    assert_eq!(stock.make_room(MIB).expect("nothing"), Freed::default());
    drop(evicting);
    assert_eq!(stock.make_room(MIB).expect("room").entries, 1, "what did not look need not rest");
}

#[test]
fn a_repository_in_use_does_not_keep_everything_else() {
    let busy = |house: &House| {
        house.repository("busy", 60);
        house.keep(&zip("a~1", "old"), 20);
        house.keep(&zip("a~1", "new"), 20);
        *house.memory.in_use.lock().expect("lock") = Some("busy".to_owned());
    };
    let house = House::limited(100);
    busy(&house);
    house.stock().look().expect("room");
    assert_eq!(house.left(), "new busy", "within the limit of all");
    let mut house = House::new();
    house.of_a.0 = Some(90 * MIB);
    busy(&house);
    house.stock().look().expect("room");
    assert_eq!(house.left(), "new busy", "within the limit of one");
    let house = House::new();
    busy(&house);
    assert_eq!(house.stock().make_room(10 * MIB).expect("room").bytes, 20 * MIB);
    assert_eq!(house.left(), "new busy", "on a full disk");
}

#[test]
fn a_refused_compaction_does_not_hide_what_went() {
    let house = House::limited(200);
    house.leaky.is_full.store(true, Ordering::SeqCst);
    for round in 0..40 {
        house.keep(&format!("a~1/x.y/m{round}/@v/v1.0.0.zip"), 8);
    }
    let stock = house.stock();
    let mut said = None;
    let freed = stock.prune(&Pruning::default(), &mut |line| {
        said = Some(line);
        Ok(())
    });
    let freed = freed.expect("entries went");
    assert!(freed.entries > 0 && !freed.compacted, "{freed:?}");
    assert_eq!(said, Some(Said::Pruned(freed)));
    let tried = || house.leaky.compactions.load(Ordering::SeqCst);
    stock.look().expect("a look");
    let before = tried();
    stock.look().expect("a look");
    assert_eq!(tried(), before, "where nothing can be done it is not tried with every look");
}

#[test]
fn verify_leaves_what_was_renewed_under_its_eyes() {
    let house = House::new();
    let (good, other) = (b"module x.y/m\n", b"module x.y/m\n\ngo 1.21\n");
    house.put("upstream/a~1/x.y/m/@v/v1.0.0.mod", good, Some(go_mod_h1(other)));
    house.put("upstream/a~1/x.y/m/@v/v1.1.0.mod", good, Some(go_mod_h1(good)));
    // The row of the second one is read by now.
    let checkup = house.stock().verify(None, &mut |line| {
        if matches!(line, Said::Damaged(_)) {
            house.put("upstream/a~1/x.y/m/@v/v1.1.0.mod", other, Some(go_mod_h1(other)));
        }
        Ok(())
    });
    assert_eq!(checkup.expect("a look").damaged, 1);
    assert_eq!(house.leaky.drawer.keys(), ["upstream/a~1/x.y/m/@v/v1.1.0.mod"]);
}

#[test]
fn verify_leaves_what_came_in_the_place_of_the_damaged_one() {
    let house = House::new();
    let (good, other) = (b"module x.y/m\n", b"module x.y/M\n");
    let key = "upstream/a~1/x.y/m/@v/v1.0.0.mod";
    house.put(key, other, Some(go_mod_h1(good)));
    let meta = house.leaky.get(key).expect("a drawer").expect("an entry").meta;
    *house.leaky.after_read.lock().expect("lock") = Some(Box::new(move |drawer| {
        drawer.put(key, &meta, Body::Bytes(good.to_vec().into())).expect("a drawer");
    }));
    assert_eq!(house.stock().verify(None, &mut quiet).expect("a look").damaged, 0);
    assert_eq!(house.leaky.drawer.keys(), [key]);
}

#[test]
fn repositories_are_not_measured_every_minute_where_nothing_is_limited() {
    let house = House::new();
    let measured = || house.memory.measured.load(Ordering::SeqCst);
    let stock = house.stock();
    stock.look().expect("counted");
    let once = measured();
    assert!(once > 0, "all is counted once");
    (0..10).for_each(|_| stock.look().expect("nothing to do"));
    assert_eq!(measured(), once);
    stock.limit(Limits { max_size: Some(1000 * MIB), ..Limits::default() });
    stock.look().expect("within the limit");
    assert!(measured() > once, "a limit is about repositories too");
}
