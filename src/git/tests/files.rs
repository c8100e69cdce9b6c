use super::*;
use crate::error::Kind;
use crate::ports::{Contents, FileMode};

const FILES: [(&str, &str); 6] = [
    ("LICENSE", "free"),
    ("a-b", "before a/"),
    ("a/go.mod", "module m/a\n"),
    ("a/x/deep.go", "package x\n"),
    ("a0", "after a/"),
    ("go.mod", "module m\n"),
];

fn worlds() -> Vec<(String, World)> {
    let mut worlds = Vec::new();
    for serving in [Serving::Newest, Serving::Oldest] {
        for filters in [true, false] {
            for any_id in [true, false] {
                let world = World::new(serving);
                if filters {
                    world.origin.allow_filters();
                }
                if any_id {
                    world.origin.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
                }
                worlds.push((format!("{serving:?}, filters {filters}, any id {any_id}"), world));
            }
        }
    }
    worlds
}

#[test]
fn files_are_read_from_every_kind_of_server() {
    for (name, world) in worlds() {
        for n in 1..4 {
            world.origin.commit("main", n, &[("n", &n.to_string())]);
        }
        let inside = world.origin.commit("main", 5, &FILES);
        world.origin.commit("main", 6, &[("later", "text")]);
        let tip = world.origin.commit("main", 7, &[("later", "text"), ("more", "more")]);
        let repo = world.open();
        let commit = id(&inside);
        assert_eq!(one(repo.find(&inside[..12]).expect(&name)), inside, "{name}");
        let read = |path: &str| {
            let data = repo.read_file(commit, path, 100).expect(&name);
            data.map(|data| String::from_utf8(data.to_vec()).expect("text"))
        };
        assert_eq!(read("go.mod").as_deref(), Some("module m\n"), "{name}");
        assert_eq!(read("a/x/deep.go").as_deref(), Some("package x\n"), "{name}");
        for absent in ["", "a", "a/none", "none/a", "go.mod/x", "a/", "\0"] {
            assert_eq!(read(absent), None, "{name}: {absent:?}");
        }
        let list = |folder: &str| {
            let files = repo.files(commit, folder).expect(&name);
            files.into_iter().map(|file| (file.path, file.size)).collect::<Vec<_>>()
        };
        let expected: Vec<_> = FILES.iter().map(|(path, text)| ((*path).to_owned(), text.len() as u64)).collect();
        assert_eq!(list(""), expected, "{name}");
        assert_eq!(list("a"), [("go.mod".to_owned(), 11), ("x/deep.go".to_owned(), 10)], "{name}");
        assert_eq!(list("none"), [], "{name}");
        for file in repo.files(commit, "a").expect(&name) {
            let (_, text) = FILES.iter().find(|(path, _)| *path == format!("a/{}", file.path)).expect("listed");
            assert_eq!(
                repo.content(commit, "a", &file).and_then(Contents::plain).expect(&name),
                text.as_bytes(),
                "{name}"
            );
        }
        assert_eq!(repo.read_file(id(&tip), "more", 100).expect(&name).expect("there"), "more", "{name}");
    }
}

#[test]
fn a_tag_alone_is_served_without_history() {
    for (name, world) in worlds() {
        for n in 1..4 {
            world.origin.commit("main", n, &[("n", &n.to_string())]);
        }
        let tagged = world.origin.commit("main", 5, &FILES);
        world.origin.git(&["tag", "-a", "-m", "x", "v1.0.0", &tagged]);
        world.origin.commit("main", 6, &[("later", "text")]);
        let repo = world.open();
        let on = repo.refs(MINUTE).expect(&name).tag("v1.0.0").expect("a tag");
        let commit = repo.commit(on).expect(&name).expect("a commit");
        assert_eq!((commit.id, commit.time.timestamp()), (id(&tagged), 5), "{name}");
        assert_eq!(repo.read_file(on, "go.mod", 100).expect(&name).expect("there"), "module m\n", "{name}");
        assert_eq!(repo.files(on, "").expect(&name).len(), FILES.len(), "{name}");
        let log = world.web.log();
        assert!(log.iter().all(|exchange| !exchange.body.contains("tree:0")), "{name}");
        assert!(log.iter().filter(|exchange| exchange.body.contains("want")).count() <= 4, "{name}: {log:#?}");
        assert!(!world.folder().join("shallow").exists(), "{name}");
        // What was cut off for one commit does not count as history.
        let all = repo.ancestors(id(&world.origin.id("main")), &[on, id(&world.origin.id("main~4"))]);
        assert_eq!(all.expect(&name), [true, true], "{name}");
    }
}

#[test]
fn go_mod_costs_two_small_requests() {
    let world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let big = "0123456789".repeat(1000) + &(0..9000).map(|n| format!("{n} ")).collect::<String>();
    let tip = world.origin.commit("main", 1, &[("go.mod", "module m\n"), ("big", &big)]);
    let repo = world.open();
    repo.find(&tip).expect("history");
    world.web.log();
    assert!(repo.read_file(id(&tip), "go.mod", 100).expect("read").is_some());
    let log = world.web.log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log.iter().map(|exchange| exchange.answered).sum::<usize>() < 1000, "{log:?}");
    // The zip needs only what is missing.
    repo.files(id(&tip), "").expect("listed");
    let log = world.web.log();
    let wants: usize = log.iter().map(|exchange| exchange.body.matches("want ").count()).sum();
    assert_eq!((log.len(), wants), (1, 1), "{log:?}");
    repo.files(id(&tip), "").expect("listed");
    assert!(world.web.log().is_empty());
}

#[test]
fn modes_are_told_apart() {
    let world = World::new(Serving::Newest);
    let commit = world.origin.commit("main", 1, &[("dir/x", "x")]);
    let stream = format!(
        "commit refs/heads/main\ncommitter C <c@example.com> 2 +0000\ndata 1\nx\nfrom {commit}\n\
         M 100755 inline run\ndata 3\nrun\nM 120000 inline link\ndata 5\ndir/x\nM 160000 {commit} sub\n"
    );
    world.origin.feed(&["fast-import", "--quiet"], &stream);
    let tip = id(&world.origin.id("main"));
    let repo = world.open();
    let files = repo.files(tip, "").expect("listed");
    let modes: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.mode, file.size)).collect();
    assert_eq!(
        modes,
        [
            ("dir/x", FileMode::Regular, 1),
            ("link", FileMode::Symlink, 5),
            ("run", FileMode::Executable, 3),
            ("sub", FileMode::Submodule, 0)
        ]
    );
    assert_eq!(repo.content(tip, "", &files[1]).and_then(Contents::plain).expect("read"), "dir/x");
    assert_eq!(repo.content(tip, "", &files[3]).and_then(Contents::plain).expect("read"), "");
    assert_eq!(repo.read_file(tip, "link", 9).expect("read").expect("there"), "dir/x");
    assert_eq!(repo.read_file(tip, "sub", 9).expect("read"), None);
}

#[test]
fn a_file_over_the_limit_is_an_error() {
    let world = World::new(Serving::Newest);
    let tip = id(&world.origin.commit("main", 1, &[("go.mod", "module m\n")]));
    let repo = world.open();
    repo.refs(MINUTE).expect("refs");
    assert!(repo.read_file(tip, "go.mod", 9).expect("read").is_some());
    let error = repo.read_file(tip, "go.mod", 8).expect_err("too large");
    assert!(error.what().contains("9 bytes (expected at most 8)"), "{error}");
}

#[test]
fn files_of_a_commit_that_is_gone_are_an_absence() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let world = World::new(serving);
        world.origin.allow_filters();
        let base = world.origin.commit("main", 1, &[("a", "1")]);
        let old = world.origin.commit("main", 2, &[("a", "2")]);
        let repo = world.open();
        assert_eq!(one(repo.find(&old).expect("history")), old);
        world.origin.git(&["update-ref", "refs/heads/main", &base]);
        world.origin.git(&["reflog", "expire", "--expire=now", "--all"]);
        world.origin.git(&["gc", "-q", "--prune=now"]);
        world.clock.advance(MINUTE * 2);
        repo.refs(MINUTE).expect("refs");
        let error = repo.read_file(id(&old), "a", 100).expect_err("gone");
        assert_eq!(error.kind(), Kind::NotFound, "{serving:?}: {error}");
    }
}

#[test]
fn trees_that_hold_a_tree_many_times_are_refused() {
    let world = World::new(Serving::Newest);
    let blob = world.origin.feed(&["hash-object", "-w", "--stdin"], "boom");
    let mut entry = format!("100644 blob {blob}");
    // Ten trees of ten: ten thousand million files in two kilobytes.
    for _ in 0..10 {
        let lines: String = (0..10).map(|n| format!("{entry}\tf{n}\n")).collect();
        entry = format!("040000 tree {}", world.origin.feed(&["mktree"], &lines));
    }
    let tree = entry.rsplit(' ').next().expect("an id").to_owned();
    let commit = world.origin.git(&["-c", "user.name=A", "-c", "user.email=a", "commit-tree", "-m", "x", &tree]);
    world.origin.git(&["update-ref", "refs/heads/main", &commit]);
    let repo = world.open();
    repo.refs(MINUTE).expect("refs");
    let error = repo.files(id(&commit), "").expect_err("too many");
    assert!(error.what().contains("expected at most 1000000 files"), "{error}");
}

#[test]
fn contents_are_converted_by_attributes_of_folders_above() {
    let world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let files = [(".gitattributes", "*.txt eol=crlf\n"), ("sub/a.txt", "one\ntwo\n"), ("sub/go.mod", "module m\n")];
    let tip = id(&world.origin.commit("main", 1, &files));
    let repo = world.open();
    repo.refs(MINUTE).expect("refs");
    // Trees and one file are here already, so that single blobs are fetched, the attributes' among them.
    assert_eq!(repo.read_file(tip, "sub/go.mod", 99).expect("read").expect("there"), "module m\n");
    let listed = repo.files(tip, "sub").expect("listed");
    let sizes: Vec<_> = listed.iter().map(|file| (file.path.as_str(), file.size)).collect();
    assert_eq!(sizes, [("a.txt", 10), ("go.mod", 9)]);
    assert_eq!(repo.content(tip, "sub", &listed[0]).and_then(Contents::plain).expect("read"), "one\r\ntwo\r\n");
    assert_eq!(world.open().content(tip, "sub", &listed[0]).and_then(Contents::plain).expect("read"), "one\r\ntwo\r\n");
    assert_eq!(repo.content(tip, "sub", &listed[1]).and_then(Contents::plain).expect("read"), "module m\n");
    assert_eq!(repo.read_file(tip, "sub/a.txt", 99).expect("read").expect("there"), "one\ntwo\n");
}
