use std::fs;

use super::*;
use crate::git::{Removal, RepositoryUsage};

fn only(world: &World) -> RepositoryUsage {
    let mut all = world.repositories.usage().expect("looked");
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A world with one repository fetched.
fn fetched() -> World {
    let world = World::new(Serving::Newest);
    let commit = world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    assert_eq!(one(world.open().find(&commit).expect("history")), commit);
    world
}

/// What a program would say that counts the blocks of a folder.
fn blocks(folder: &std::path::Path) -> u64 {
    let inside = |entry: fs::DirEntry| {
        let metadata = entry.metadata().expect("metadata");
        let below = if metadata.is_dir() { blocks(&entry.path()) } else { 0 };
        std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 + below
    };
    fs::read_dir(folder).expect("a folder").map(|entry| inside(entry.expect("an entry"))).sum()
}

#[test]
fn what_a_repository_takes_and_whose_it_is_is_told() {
    let world = fetched();
    let usage = only(&world);
    assert_eq!(usage.url, world.web.url("/repo.git"));
    assert_eq!(usage.bytes, blocks(&world.folder()));
    assert!(usage.bytes > 10_000, "{usage:?}");
    assert_eq!(world.folder().file_name().expect("name").to_string_lossy(), usage.name);
}

#[test]
fn no_password_is_told() {
    let world = World::new(Serving::Newest);
    world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    let url = world.web.url("/repo.git").replace("http://", "http://name:secret@");
    world.open_at(&url).refs(MINUTE).expect("refs");
    let usage = only(&world);
    assert!(usage.url.contains("name@") && !usage.url.contains("secret"), "{usage:?}");
    let file = fs::read_to_string(world.folder().join("modvet-used")).expect("a file");
    assert!(!file.contains("secret"), "{file}");
}

#[test]
fn the_last_use_is_told_also_after_a_start() {
    let mut world = fetched();
    let first = world.clock.now();
    assert_eq!(only(&world).last_used, first);
    world.clock.advance(MINUTE / 2);
    drop(world.open());
    assert_eq!(only(&world).last_used, first, "noted once a minute at most");
    world.clock.advance(MINUTE);
    drop(world.open());
    let second = world.clock.now();
    assert_eq!(only(&world).last_used, second);
    world.restart();
    world.clock.advance(MINUTE * 60);
    assert_eq!(only(&world).last_used, second, "looking is no use");
    drop(world.open());
    assert_eq!(only(&world).last_used, world.clock.now());
}

#[test]
fn an_unknown_repository_takes_nothing() {
    let world = World::new(Serving::Newest);
    drop(world.open_at(&world.web.url("/unknown.git")));
    assert_eq!(world.repositories.usage().expect("looked"), []);
    fs::remove_dir(world.store.path()).expect("an empty folder");
    assert_eq!(world.repositories.usage().expect("looked"), [], "no folder yet");
}

#[test]
fn a_repository_in_use_is_not_removed() {
    let world = fetched();
    let name = only(&world).name;
    let job = world.open();
    assert_eq!(world.repositories.remove(&name).expect("asked"), Removal::InUse);
    assert!(job.refs(MINUTE).is_ok());
    assert_eq!(only(&world).name, name);
    drop(job);
    assert_eq!(world.repositories.remove(&name).expect("asked"), Removal::Removed);
    assert_eq!(world.repositories.usage().expect("looked"), []);
    assert_eq!(fs::read_dir(world.store.path()).expect("a folder").count(), 0, "nothing is left on the disk");
    assert_eq!(world.repositories.remove(&name).expect("asked"), Removal::Absent);
    assert_eq!(world.repositories.remove("../elsewhere").expect("asked"), Removal::Absent);
}

#[test]
fn what_was_removed_is_fetched_again() {
    let world = fetched();
    let commit = world.origin.commit("main", 2, &[("go.mod", "module m\n"), ("file", "text")]);
    assert_eq!(world.repositories.remove(&only(&world).name).expect("asked"), Removal::Removed);
    assert_eq!(one(world.open().find(&commit).expect("history")), commit);
    assert_eq!(only(&world).url, world.web.url("/repo.git"));
}

#[test]
fn a_kill_while_one_is_removed_leaves_it_whole_or_to_be_removed() {
    let mut world = fetched();
    let name = only(&world).name;
    // The folder has another name from the first moment; what a kill leaves of it goes the next time.
    fs::rename(world.folder(), world.store.path().join(format!("gone-0-{name}"))).expect("renamed");
    fs::create_dir(world.store.path().join("tmp-half")).expect("made");
    world.restart();
    assert_eq!(world.repositories.usage().expect("looked"), []);
    assert!(!world.store.path().join(format!("gone-0-{name}")).exists());
    assert_eq!(world.repositories.remove(&name).expect("asked"), Removal::Absent);
}
