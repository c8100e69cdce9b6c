//! Packs that are read here must be the same to git as those that git indexes itself.

use std::process::Command;

use super::history::{Dice, random_history};
use super::*;
use crate::git::folder::Folder;
use crate::git::growth::oid;
use crate::git::history_pack::HistoryPack;
use crate::git::pack::Taken;
use crate::git::recent::KEPT;
use crate::git::unpack::{Odd, Unpack, Unpacked};

const LIMIT: u64 = 1 << 30;

/// Commits and tags of many histories in a pack of git's making, with deltas between them where `depth` is not 0.
fn pack(world: &World, depth: u32) -> Vec<u8> {
    let commits = random_history(world, &mut Dice(7));
    for (n, commit) in commits.iter().step_by(50).enumerate() {
        world.origin.git(&["tag", "-a", "-m", &"the same words again ".repeat(20), &format!("v1.0.{n}"), commit]);
    }
    packed(world, &["--all", "--filter=tree:0"], depth)
}

/// What `git pack-objects` makes of some revisions.
fn packed(world: &World, revisions: &[&str], depth: u32) -> Vec<u8> {
    let (depth, file) = (format!("--depth={depth}"), world.origin.path().join("made"));
    let listed = world.origin.git(&[&["rev-list", "--objects"], revisions].concat());
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let name = file.to_str().expect("text");
    let arguments = ["pack-objects", "--delta-base-offset", "--no-reuse-delta", "--window=50", "-q", &depth, name];
    world.origin.feed(&arguments, &ids.join("\n"));
    let made = std::fs::read_dir(world.origin.path()).expect("a folder").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name()?.to_str()?;
        (name.starts_with("made-") && name.ends_with(".pack")).then_some(path)
    });
    let made: Vec<_> = made.collect();
    assert_eq!(made.len(), 1, "{made:?}");
    let bytes = std::fs::read(&made[0]).expect("a pack");
    std::fs::remove_file(&made[0]).expect("removed");
    bytes
}

/// Reads a pack in pieces.
fn read(pack: &[u8], piece: usize, kept: usize) -> std::result::Result<Unpacked, Odd> {
    let mut unpack = Unpack::new(kept);
    let older = |offset: u64, to: &mut [u8]| {
        to.copy_from_slice(&pack[offset as usize..][..to.len()]);
        Ok(())
    };
    for piece in pack.chunks(piece) {
        unpack.write(piece, &older, &mut |_, _, _| Ok(()))?;
    }
    unpack.finish()
}

/// Hands a pack to a new repository in pieces.
fn put(folder: &Folder, pack: &[u8], piece: usize) -> crate::error::Result<Taken> {
    let mut taking = HistoryPack::new(folder.path(), LIMIT)?;
    for piece in pack.chunks(piece) {
        taking.write(piece)?;
    }
    taking.finish().map(|(taken, _)| taken)
}

fn git(folder: &Folder, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("--git-dir").arg(folder.path()).args(arguments).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn folder() -> (tempfile::TempDir, Folder) {
    let within = tempfile::tempdir().expect("a folder");
    let folder = Folder::prepare(within.path().join("repository")).expect("a repository");
    (within, folder)
}

/// The files below a folder's packs, and what is left of half-made ones.
fn files(folder: &Folder) -> Vec<String> {
    let names = |path: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let rests = names(folder.path()).into_iter().filter(|name| name.starts_with("tmp-"));
    let mut all: Vec<String> = names(&folder.path().join("objects/pack")).into_iter().chain(rests).collect();
    all.sort();
    all
}

#[test]
fn git_finds_in_a_pack_what_it_put_there() {
    for (depth, piece) in [(0, 8192), (50, 1), (50, 65_515)] {
        let world = World::new(Serving::Newest);
        let pack = pack(&world, depth);
        let (_within, folder) = folder();
        assert!(matches!(put(&folder, &pack, piece), Ok(Taken::Pack)), "{depth} {piece}");
        let files = files(&folder);
        assert_eq!(files.len(), 2, "{files:?}");
        // git reads every object by the index and makes the same index itself.
        let index = folder.path().join("objects/pack").join(&files[0]);
        let listed = git(&folder, &["verify-pack", "-v", index.to_str().expect("text")]);
        assert_eq!(listed.contains("chain length"), depth > 0, "{listed}");
        let ours = std::fs::read(&index).expect("an index");
        let again = folder.path().join("again.idx");
        let name = index.with_extension("pack");
        let (again_name, name) = (again.to_str().expect("text"), name.to_str().expect("text"));
        git(&folder, &["index-pack", "-o", again_name, name]);
        assert_eq!(ours, std::fs::read(&again).expect("an index"), "{depth} {piece}");
        // And libgit2 finds the same.
        let repository = folder.open().expect("a repository");
        let odb = repository.odb().expect("objects");
        for entry in read(&pack, piece, KEPT).expect("read").entries.iter().step_by(37) {
            let object = odb.read(oid(entry.id)).expect("there");
            assert_eq!(git2::Oid::hash_object(object.kind(), object.data()).expect("hashed"), oid(entry.id));
        }
    }
}

#[test]
fn what_a_delta_is_based_on_is_read_again_where_it_went_from_memory() {
    let world = World::new(Serving::Newest);
    let pack = pack(&world, 50);
    let ids = |kept: usize| -> Vec<ObjectId> {
        read(&pack, 4096, kept).expect("read").entries.iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids(0), ids(KEPT));
}

#[test]
fn a_pack_damaged_anywhere_is_refused_and_leaves_nothing_behind() {
    let world = World::new(Serving::Newest);
    let pack = pack(&world, 50);
    let (_within, folder) = folder();
    for at in (0..pack.len()).step_by(pack.len() / 60).chain([4, 8, 11, 12, pack.len() - 1]) {
        let mut damaged = pack.clone();
        damaged[at] ^= 0x15;
        assert!(put(&folder, &damaged, 65_515).is_err(), "byte {at}");
        assert!(put(&folder, &pack[..at], 65_515).is_err(), "cut off at {at}");
        assert_eq!(files(&folder), Vec::<String>::new(), "byte {at}");
    }
    assert!(put(&folder, &[&pack[..], b"x"].concat(), 65_515).is_err(), "more than the pack");
    assert_eq!(files(&folder), Vec::<String>::new());
    assert!(matches!(put(&folder, &pack, 65_515), Ok(Taken::Pack)));
}

#[test]
fn a_pack_with_files_or_few_objects_is_taken_too() {
    let world = World::new(Serving::Newest);
    for n in 1..=20 {
        world.origin.commit("main", n, &[("a", &n.to_string()), ("large", &"x".repeat(5 << 20))]);
    }
    let (_within, folder) = folder();
    let all = packed(&world, &["--all"], 50);
    assert_eq!(read(&all, 65_515, KEPT).err(), Some(Odd), "a file is too large");
    assert!(matches!(put(&folder, &all, 65_515), Ok(Taken::Pack)));
    assert_eq!(files(&folder).len(), 2);
    let (_within, folder) = self::folder();
    let few = packed(&world, &["main~3..main", "--filter=tree:0"], 50);
    match put(&folder, &few, 65_515) {
        Ok(Taken::Loose(objects)) => objects.put(&folder.open().expect("a repository")).expect("written"),
        _ => panic!("three commits are kept one by one"),
    }
    assert_eq!(files(&folder), Vec::<String>::new());
    let tip = world.origin.id("refs/heads/main");
    assert!(git(&folder, &["cat-file", "-p", &tip]).contains("committer"));
}

#[test]
fn a_pack_larger_than_the_limit_is_refused() {
    let world = World::new(Serving::Newest);
    let pack = pack(&world, 0);
    let (_within, folder) = folder();
    let mut taking = HistoryPack::new(folder.path(), 10_000).expect("begun");
    let refused = pack.chunks(4096).find_map(|piece| taking.write(piece).err()).expect("refused");
    assert!(refused.what().contains("too large"), "{refused}");
    drop(taking);
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[test]
fn a_pack_whose_index_was_never_written_goes() {
    let (_within, folder) = folder();
    for name in ["pack-1.pack", "pack-2.pack", "pack-2.idx"] {
        std::fs::write(folder.path().join("objects/pack").join(name), b"").expect("written");
    }
    let folder = Folder::prepare(folder.path().to_owned()).expect("a repository");
    assert_eq!(files(&folder), ["pack-2.idx", "pack-2.pack"]);
}
