use super::server::Exchange;
use super::two::{Two, commit, differing};
use super::*;
use crate::error::Kind;
use crate::git::{MirrorPair, Party};
use crate::ports::{Newest, Pair as _, Relate, RemoteRef, Side};

fn names(refs: &[RemoteRef]) -> Vec<&str> {
    refs.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn refs_are_told_by_every_protocol() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let two = Two::new(serving);
        assert_eq!(two.pair().refs(Side::Source).expect("an empty repository"), [], "{serving:?}");
        let tip = two.source.commit("main", 1, &[("a", "text")]);
        two.source.git(&["tag", "-a", "-m", "one", "v1", "main"]);
        two.source.git(&["update-ref", "refs/notes/x", "main"]);
        let refs = two.pair().refs(Side::Source).expect("refs");
        assert_eq!(names(&refs), ["refs/heads/main", "refs/tags/v1"], "{serving:?}");
        assert_eq!((refs[0].id, refs[0].peeled), (id(&tip), None));
        assert_eq!((refs[1].id, refs[1].peeled), (id(&two.source.id("refs/tags/v1")), Some(id(&tip))));
        let party = |web: &WebServer| Party { url: web.url("/repo.git"), client: two.client.clone() };
        let notes = vec!["refs/notes/".to_owned()];
        let repositories = Arc::clone(&two.repositories);
        let pair = MirrorPair::new(repositories, party(&two.webs[0]), party(&two.webs[1]), notes).expect("addresses");
        assert_eq!(names(&pair.refs(Side::Source).expect("refs")), ["refs/notes/x"], "{serving:?}");
    }
}

#[test]
fn names_that_no_ref_has_do_not_look_like_an_empty_repository() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let two = Two::new(serving);
        commit(&two.source, "main", 1);
        let party = |web: &WebServer| Party { url: web.url("/repo.git"), client: two.client.clone() };
        let master = vec!["refs/heads/master".to_owned()];
        let repositories = Arc::clone(&two.repositories);
        let pair = MirrorPair::new(repositories, party(&two.webs[0]), party(&two.webs[1]), master).expect("addresses");
        assert_eq!(names(&pair.refs(Side::Source).expect("refs")), ["refs/heads/main"], "{serving:?}");
    }
}

#[test]
fn what_is_the_same_costs_two_small_requests_a_side_and_no_disk() {
    let two = Two::new(Serving::Newest);
    let tip = commit(&two.source, "main", 1);
    let pulls: String = (0..300).map(|number| format!("create refs/pull/{number}/head {tip}\n")).collect();
    two.source.feed(&["update-ref", "--stdin"], &pulls);
    two.copy();
    let pair = two.pair();
    assert_eq!(pair.refs(Side::Source).expect("refs"), pair.refs(Side::Mirror).expect("refs"));
    let log = two.log();
    assert_eq!(log.len(), 4, "{log:?}");
    assert!(log.iter().all(|exchange| exchange.answered < 500), "{log:?}");
    assert_eq!(two.files(), Vec::<String>::new());
}

#[test]
fn what_each_side_lacks_is_counted() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let two = Two::new(serving);
        let first = commit(&two.source, "main", 10);
        two.source.git(&["tag", "-a", "-m", "one", "v1", "main"]);
        assert_eq!(two.shown(), "1 0\nrefs/heads/main 1 0\nrefs/tags/v1 1 0", "{serving:?}");
        two.copy();
        assert_eq!(two.shown(), "0 0", "{serving:?}");
        commit(&two.source, "main", 20);
        let tip = commit(&two.source, "main", 30);
        assert_eq!(two.shown(), "2 0\nrefs/heads/main 2 0 forward", "{serving:?}");
        // The mirror gets commits of its own, on another branch too.
        commit(&two.mirror, "main", 40);
        two.mirror.git(&["update-ref", "refs/heads/own", &first]);
        commit(&two.mirror, "own", 50);
        let expected = "2 2\nrefs/heads/main 2 1\nrefs/heads/own 0 1";
        assert_eq!(two.shown(), expected, "{serving:?}");
        let (_, relation) = two.relate(&[&first, &tip]).expect("related");
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert_eq!(relation.newest, Newest { source: at(30), mirror: at(50) });
        assert_eq!(relation.reached, [true, false], "{serving:?}");
        two.copy();
        let (_, relation) = two.relate(&[&first, &tip]).expect("related");
        assert_eq!(relation.reached, [true, true], "{serving:?}");
    }
}

#[test]
fn commits_are_fetched_once_and_without_their_files() {
    let two = Two::new(Serving::Newest);
    let big = "x".repeat(100_000);
    for number in 0..20 {
        two.source.commit("main", number, &[("big", &format!("{number}{big}"))]);
    }
    two.copy();
    two.source.commit("main", 21, &[("big", &format!("{big}21"))]);
    assert_eq!(two.shown(), "1 0\nrefs/heads/main 1 0 forward");
    let log = two.log();
    assert!(log.iter().all(|exchange| exchange.answered < 10_000), "{log:?}");
    // The source told all: there is nothing that the mirror alone has.
    let fetches = |log: &[Exchange]| log.iter().filter(|exchange| exchange.body.contains("want ")).count();
    assert_eq!(fetches(&log), 1, "{log:?}");
    assert_eq!(two.shown(), "1 0\nrefs/heads/main 1 0 forward");
    assert_eq!(fetches(&two.log()), 0, "what is known is not fetched again");
    two.source.commit("main", 22, &[("big", "small")]);
    assert_eq!(two.shown(), "2 0\nrefs/heads/main 2 0 forward");
    let log = two.log();
    assert_eq!(fetches(&log), 1, "{log:?}");
    assert!(log.iter().all(|exchange| exchange.answered < 1_000), "only what is new came: {log:?}");
    assert_eq!(two.files(), ["modvet-history", "modvet-used"], "objects are not kept");
}

#[test]
fn nothing_stays_in_memory_and_the_folder_is_told_and_removed() {
    let two = Two::new(Serving::Newest);
    commit(&two.source, "main", 1);
    two.shown();
    let usage = two.repositories.usage().expect("looked");
    assert_eq!(usage.len(), 1, "{usage:?}");
    assert_eq!(usage[0].url, two.webs[0].url("/repo.git"));
    let removal = two.repositories.remove(&usage[0].name).expect("asked");
    assert_eq!(removal, crate::git::Removal::Removed, "nobody has it open");
    assert_eq!(two.shown(), "1 0\nrefs/heads/main 1 0", "it is fetched again");
}

#[test]
fn tags_on_blobs_and_trees_are_refs_like_others() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let two = Two::new(serving);
        commit(&two.source, "main", 1);
        two.copy();
        let blob = two.source.feed(&["hash-object", "-w", "--stdin"], "a key");
        two.source.git(&["tag", "blob", &blob]);
        two.source.git(&["tag", "-a", "-m", "x", "signed", &blob]);
        two.source.git(&["tag", "tree", "main^{tree}"]);
        two.mirror.git(&["tag", "tree", "main"]);
        let expected = "0 0\nrefs/tags/blob 0 0\nrefs/tags/signed 0 0\nrefs/tags/tree 0 0";
        assert_eq!(two.shown(), expected, "{serving:?}");
        let signed = two.source.id("refs/tags/signed");
        let (_, relation) = two.relate(&[&blob, &signed]).expect("related");
        assert_eq!(relation.reached, [false, false], "{serving:?}");
        two.copy();
        let (_, relation) = two.relate(&[&blob, &signed]).expect("related");
        assert_eq!(relation.reached, [true, true], "{serving:?}");
    }
}

#[test]
fn servers_without_filters_tell_the_same() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let two = Two::new(serving);
        for origin in [&two.source, &two.mirror] {
            origin.git(&["config", "uploadpack.allowFilter", "false"]);
        }
        commit(&two.source, "main", 1);
        two.copy();
        commit(&two.source, "main", 2);
        commit(&two.mirror, "main", 3);
        assert_eq!(two.shown(), "1 1\nrefs/heads/main 1 1", "{serving:?}");
        assert_eq!(two.files(), ["modvet-history", "modvet-used"], "{serving:?}");
    }
}

/// Cuts a repository's history above a commit.
fn make_shallow(origin: &Origin, at: &str) {
    std::fs::write(origin.repository().join("shallow"), format!("{at}\n")).expect("written");
}

#[test]
fn a_shallow_side_is_completed_by_the_other_one() {
    for serving in [Serving::Newest, Serving::Oldest] {
        for shallow_source in [true, false] {
            let two = Two::new(serving);
            let commits: Vec<String> = (1..=4).map(|seconds| commit(&two.source, "main", seconds)).collect();
            two.copy();
            commit(&two.source, "main", 5);
            make_shallow(if shallow_source { &two.source } else { &two.mirror }, &commits[2]);
            let name = format!("{serving:?}, shallow source: {shallow_source}");
            assert_eq!(two.shown(), "1 0\nrefs/heads/main 1 0 forward", "{name}");
        }
    }
}

#[test]
fn two_shallow_sides_are_an_error_that_names_one() {
    let two = Two::new(Serving::Newest);
    let commits: Vec<String> = (1..=4).map(|seconds| commit(&two.source, "main", seconds)).collect();
    two.copy();
    commit(&two.source, "main", 5);
    for origin in [&two.source, &two.mirror] {
        make_shallow(origin, &commits[2]);
    }
    let error = two.relate(&[]).expect_err("nobody has the rest");
    let expected = "source: its history has a lower end: the repository is a shallow copy\n\
                    fetch the rest into it: git fetch --unshallow";
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::BadGateway, expected));
    assert!(!error.is_unauthorized());
}

#[test]
fn refs_that_vanish_before_they_are_fetched_are_no_difference() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let two = Two::new(serving);
        commit(&two.source, "main", 1);
        two.copy();
        commit(&two.source, "main", 2);
        let pair = two.pair();
        let (source, mirror) = (pair.refs(Side::Source).expect("refs"), pair.refs(Side::Mirror).expect("refs"));
        two.source.git(&["update-ref", "refs/heads/main", "main~1"]);
        two.source.git(&["gc", "-q", "--prune=now"]);
        let differing = differing(&source, &mirror);
        let question = Relate { source: &source, mirror: &mirror, differing: &differing, awaited: &[] };
        let error = pair.relate(&question).expect_err("its commit is gone");
        let expected = (Kind::Unavailable, "source: refs moved while they were compared".to_owned());
        assert_eq!((error.kind(), error.to_string()), expected, "{serving:?}");
    }
}

#[test]
fn who_is_refused_and_who_is_not_heard_of_are_told_apart() {
    let two = Two::new(Serving::Newest);
    let unseen = "\nforges say so too of a repository that a lapsed login may not see: look at address and credentials";
    // name, path, kind, unauthorized, words
    let table = [
        ("lapsed", "/private/a", Kind::BadGateway, true, "git server answered 401 Unauthorized"),
        (
            "a forge's 401 for what it does not show",
            "/ghost/a",
            Kind::BadGateway,
            true,
            "git server answered 401 Unauthorized",
        ),
        ("forbidden", "/forbidden/a", Kind::BadGateway, true, "git server answered 403 Forbidden"),
        ("unpaid", "/unpaid/a", Kind::BadGateway, true, "git server answered 402 Payment Required"),
        ("absent", "/none.git", Kind::NotFound, false, "repository not found"),
        ("out of order", "/broken/a", Kind::BadGateway, false, "git server answered 503 Service Unavailable"),
        ("a page", "/page/a", Kind::BadGateway, false, "the answer is not a git repository's"),
    ];
    for (name, path, kind, unauthorized, words) in table {
        for side in [Side::Source, Side::Mirror] {
            let url = two.webs[0].url(path);
            let error = two.pair_of(&url, &url).refs(side).expect_err(name);
            assert_eq!((error.kind(), error.is_unauthorized()), (kind, unauthorized), "{name}: {error}");
            let remedy = if kind == Kind::NotFound { unseen } else { "" };
            assert_eq!(error.to_string(), format!("127.0.0.1: {words}{remedy}"), "{name}");
        }
    }
}

#[test]
fn a_server_that_died_does_not_look_alive() {
    let mut two = Two::new(Serving::Newest);
    commit(&two.source, "main", 1);
    let pair = two.pair();
    pair.refs(Side::Source).expect("refs");
    let other = WebServer::start(two.mirror.path(), Serving::Newest);
    drop(std::mem::replace(&mut two.webs[0], other));
    let error = pair.refs(Side::Source).expect_err("nobody listens");
    assert_eq!((error.kind(), error.is_unauthorized()), (Kind::BadGateway, false));
}

#[test]
fn what_a_kill_or_a_bad_disk_leaves_is_made_good() {
    let two = Two::new(Serving::Newest);
    commit(&two.source, "main", 1);
    two.copy();
    commit(&two.source, "main", 2);
    let expected = two.shown();
    let folder = std::fs::read_dir(two.store.path()).expect("a folder").next().expect("one").expect("an entry").path();
    std::fs::create_dir_all(folder.join("tmp-half/objects")).expect("made");
    let index = folder.join("modvet-history");
    let mut bytes = std::fs::read(&index).expect("an index");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&index, bytes).expect("written");
    assert_eq!(two.shown(), expected);
    assert_eq!(two.files(), ["modvet-history", "modvet-used"]);
    assert!(!folder.join("tmp-half").exists(), "what was left half-made is gone");
}
