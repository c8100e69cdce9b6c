//! Tokens over a store in memory, with a clock set by hand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::World;
use crate::access::{Denial, Lifetime, Right, TokenState, Tokens, Wanted};
use crate::error::Kind;
use crate::ports::Clock as _;

pub fn wanted(scope: Right, registry: Option<&str>, expires: &str) -> Wanted {
    let life: Lifetime = expires.parse().expect(expires);
    Wanted { label: "ci".to_owned(), scope, registry: registry.map(str::to_owned), life }
}

fn open(world: &World) -> Tokens {
    Tokens::open(world.store.clone(), world.clock.clone()).expect("a store that can be read")
}

fn make(tokens: &Tokens, scope: Right, expires: &str) -> (String, String) {
    let (view, text) = tokens.create(wanted(scope, None, expires)).expect("made");
    (view.id, text.expose().to_owned())
}

#[test]
fn a_token_opens_what_it_was_made_for_and_after_a_restart_too() {
    let world = World::new();
    let tokens = open(&world);
    let (view, text) = tokens.create(wanted(Right::Read, Some("ci"), "90d")).expect("made");
    assert_eq!((view.state, view.last_used, view.label.as_str()), (TokenState::Valid, None, "ci"));
    for tokens in [tokens, open(&world)] {
        let guest = tokens.check(text.expose()).expect("valid");
        assert_eq!((guest.name.as_str(), guest.right, guest.registry.as_deref()), ("ci", Right::Read, Some("ci")));
        assert!(tokens.is_guarded() && tokens.has_valid());
    }
}

#[test]
fn what_lies_in_the_store_opens_nothing_and_holds_no_token() {
    let world = World::new();
    let tokens = open(&world);
    let (id, text) = make(&tokens, Right::Admin, "never");
    let secret = text.rsplit_once('_').expect("a secret").1;
    let mut rows = Vec::new();
    crate::ports::Store::scan(&*world.store, "", &mut |key, meta| {
        rows.push(format!("{key} {}", String::from_utf8_lossy(meta)));
        true
    })
    .expect("read");
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert!(!row.contains(secret) && !row.contains(&secret[..64]), "{row}");
    }
    // Somebody who can write rows, but does not know the key, makes no token.
    let other = World::new();
    let strangers = open(&other);
    let (_, forged) = make(&strangers, Right::Admin, "never");
    let key = |world: &World| world.store.keys().into_iter().find(|key| key.starts_with("token/row/")).expect("a row");
    let row = crate::ports::Store::get(&*other.store, &key(&other)).expect("read").expect("a row");
    crate::ports::Store::put(&*world.store, &key(&other), &row.meta, crate::ports::Body::Bytes("".into()))
        .expect("put");
    assert_eq!(open(&world).check(&forged).err(), Some(Denial::Unknown));
    assert!(open(&world).check(&text).is_ok(), "{id}");
}

#[test]
fn every_reason_to_deny_is_told_apart() {
    let world = World::new();
    let tokens = open(&world);
    let (_, short) = make(&tokens, Right::Read, "1h");
    let (id, revoked) = make(&tokens, Right::Read, "never");
    let (_, strange) = make(&open(&World::new()), Right::Read, "never");
    assert_eq!(tokens.check(&strange).err(), Some(Denial::Unknown));
    let stranger = strange.clone();
    for malformed in ["", "password", &stranger[..80], &format!("{stranger} "), &stranger.replace("modvet", "modwet")] {
        assert_eq!(tokens.check(malformed).err(), Some(Denial::Malformed), "{malformed}");
    }
    let end = world.clock.now() + std::time::Duration::from_secs(3600);
    world.clock.forward(3599);
    assert!(tokens.check(&short).is_ok(), "a second before its end");
    world.clock.forward(1);
    assert_eq!(tokens.check(&short).err(), Some(Denial::Expired(end)));
    assert!(tokens.check(&revoked).is_ok());
    tokens.revoke(&id).expect("revoked");
    tokens.revoke(&id).expect("again is the same");
    for tokens in [&tokens, &open(&world)] {
        assert_eq!(tokens.check(&revoked).err(), Some(Denial::Revoked));
        assert_eq!(tokens.check(&short).err(), Some(Denial::Expired(end)));
        assert!(!tokens.has_valid() && tokens.is_guarded());
    }
    for unknown in ["00000000", "", "zz", &id[1..]] {
        let error = tokens.revoke(unknown).expect_err(unknown);
        assert_eq!((error.kind(), error.what()), (Kind::NotFound, "unknown token"), "{unknown}");
    }
}

#[test]
fn that_a_token_for_reading_was_there_is_never_forgotten() {
    let world = World::new();
    let tokens = open(&world);
    make(&tokens, Right::Admin, "never");
    assert!(!tokens.is_guarded(), "a token for administration shuts nothing");
    let (id, _) = make(&tokens, Right::Read, "1h");
    let (_, other) = make(&tokens, Right::Read, "1h");
    tokens.revoke(&id).expect("revoked");
    world.clock.forward(89 * 24 * 3600);
    assert_eq!(open(&world).list().len(), 3, "shown for 90 days");
    world.clock.forward(2 * 24 * 3600);
    tokens.settle().expect("written");
    let later = open(&world);
    for tokens in [&tokens, &later] {
        assert_eq!(tokens.list().len(), 1);
    }
    assert!(later.is_guarded() && open(&world).is_guarded(), "after its row is gone too");
    assert_eq!(later.check(&other).err(), Some(Denial::Unknown));
}

#[test]
fn damage_shuts_the_door_and_never_opens_it() {
    for damaged in ["token/key", "token/row/"] {
        let world = World::new();
        let (_, text) = make(&open(&world), Right::Read, "never");
        let key = world.store.keys().into_iter().find(|key| key.starts_with(damaged)).expect("kept");
        world.store.spoil(&key);
        let tokens = open(&world);
        assert_eq!(tokens.check(&text).err(), Some(Denial::Unknown), "{damaged}");
        assert!(tokens.is_guarded(), "{damaged}");
        let (_, fresh) = make(&tokens, Right::Read, "never");
        assert!(open(&world).check(&fresh).is_ok(), "{damaged}: a new one works");
    }
}

#[test]
fn a_token_that_could_not_be_kept_opens_nothing() {
    for writes in [0, 1] {
        let world = World::new();
        let tokens = open(&world);
        world.store.end_after(writes, true);
        assert!(tokens.create(wanted(Right::Read, None, "never")).is_err(), "{writes}");
        assert!(!tokens.is_guarded() && tokens.list().is_empty(), "{writes}");
        world.store.mend();
        let (id, text) = make(&tokens, Right::Read, "never");
        world.store.end_after(0, true);
        assert!(tokens.revoke(&id).is_err());
        assert!(tokens.check(&text).is_ok(), "what is not kept would be undone by a restart");
    }
}

#[test]
fn a_check_leaves_the_store_alone_and_its_time_is_written_down_later() {
    let world = World::new();
    let tokens = open(&world);
    let (_, text) = make(&tokens, Right::Read, "never");
    world.clock.forward(60);
    world.store.end_after(0, false);
    for _ in 0..3 {
        tokens.check(&text).expect("valid");
    }
    let used = Some(world.clock.now());
    assert_eq!(tokens.list()[0].last_used, used);
    assert_eq!(open(&world).list()[0].last_used, None);
    world.store.mend();
    tokens.settle().expect("written");
    assert_eq!(open(&world).list()[0].last_used, used);
    let before = world.store.writes.load(Ordering::SeqCst);
    tokens.settle().expect("nothing to write");
    assert_eq!(world.store.writes.load(Ordering::SeqCst), before);
}

#[test]
fn lifetimes_and_labels_are_checked() {
    assert_eq!("never".parse::<Lifetime>().expect("never"), Lifetime::Endless);
    assert_eq!("90d".parse::<Lifetime>().expect("days"), Lifetime::For(std::time::Duration::from_secs(90 * 24 * 3600)));
    for wrong in ["", "90", "0s", "soon", "-1d"] {
        let error = wrong.parse::<Lifetime>().expect_err(wrong);
        assert_eq!(error.what(), format!("{wrong:?} (expected a time such as 90d, or never)"));
    }
    let tokens = open(&World::new());
    let table = [("two\nlines", "1h", "label"), (&*"x".repeat(65), "1h", "label"), ("x", "9000years", "expires")];
    for (label, expires, subject) in table {
        let error = tokens.create(Wanted { label: label.to_owned(), ..wanted(Right::Read, None, expires) });
        assert_eq!(error.expect_err(label).subject(), Some(subject), "{label}");
    }
    assert!(!tokens.is_guarded());
}

#[tokio::test]
async fn tokens_are_made_from_many_sides_at_once() {
    let world = World::new();
    let tokens = Arc::new(open(&world));
    let making: Vec<_> = (0..8)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::task::spawn_blocking(move || make(&tokens, Right::Read, "never").1)
        })
        .collect();
    for making in making {
        let text = making.await.expect("no panic");
        assert!(tokens.check(&text).is_ok() && open(&world).check(&text).is_ok());
    }
    assert_eq!(open(&world).list().len(), 8);
}
