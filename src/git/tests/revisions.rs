use super::*;

#[test]
fn refs_are_kept_for_their_time() {
    let mut world = World::new(Serving::Newest);
    let first = world.origin.commit("main", 1, &[("a", "1")]);
    world.origin.git(&["tag", "-a", "-m", "x", "v1.0.0", &first]);
    let refs = world.open().refs(MINUTE).expect("refs");
    let tip = Some(id(&first));
    assert_eq!((refs.head(), refs.branch("main"), refs.tag("v1.0.0")), (tip, tip, tip));
    let second = world.origin.commit("main", 2, &[("a", "2")]);
    world.web.log();
    assert_eq!(world.open().refs(MINUTE).expect("kept").head(), tip);
    world.restart();
    assert_eq!(world.open().refs(MINUTE).expect("kept on disk").head(), tip);
    assert!(world.web.log().is_empty(), "nobody was asked");
    world.clock.advance(MINUTE * 2);
    assert_eq!(world.open().refs(MINUTE).expect("refs").head(), Some(id(&second)));
    assert_eq!(world.open().refs(Duration::MAX).expect("refs").head(), Some(id(&second)));
}

#[test]
fn an_empty_repository_has_no_refs_and_no_revisions() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let world = World::new(serving);
        let repo = world.open();
        assert!(repo.refs(MINUTE).expect("refs").is_empty(), "{serving:?}");
        assert_eq!(repo.find("abcdef1").expect("history"), Found::None, "{serving:?}");
    }
}

#[test]
fn head_may_be_unborn_or_detached() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let world = World::new(serving);
        let base = world.origin.commit("other", 1, &[("a", "1")]);
        let repo = world.open();
        assert_eq!(repo.refs(MINUTE).expect("refs").head(), None, "{serving:?}");
        // HEAD alone reaches a commit that no branch does.
        let alone = world.origin.commit("gone", 2, &[("a", "2")]);
        let tip = world.origin.commit("gone", 3, &[("a", "3")]);
        world.origin.git(&["update-ref", "--no-deref", "HEAD", &tip]);
        world.origin.git(&["branch", "-D", "gone"]);
        world.clock.advance(MINUTE * 2);
        let repo = world.open();
        assert_eq!(repo.refs(MINUTE).expect("refs").head(), Some(id(&tip)), "{serving:?}");
        let commit = repo.commit(id(&tip)).expect("fetched").expect("a commit");
        assert_eq!((commit.id, commit.time.timestamp()), (id(&tip), 3), "{serving:?}");
        let table = [&tip, &alone, &base].map(|of| id(of));
        assert_eq!(repo.ancestors(id(&tip), &table).expect("history"), [true, true, false], "{serving:?}");
        assert_eq!(repo.find(&alone[..12]).expect("history"), Found::None, "{serving:?}");
        assert_eq!(one(repo.find(&base[..12]).expect("history")), base, "{serving:?}");
    }
}

#[test]
fn tags_lead_to_commits_or_to_none() {
    for (serving, filters) in [(Serving::Newest, true), (Serving::Newest, false), (Serving::Oldest, true)] {
        let world = World::new(serving);
        if filters {
            world.origin.allow_filters();
        }
        let tip = world.origin.commit("main", 7, &[("a", "text"), ("d/b", "more")]);
        world.origin.git(&["tag", "-a", "-m", "x", "annotated", &tip]);
        world.origin.git(&["tag", "-a", "-m", "x", "nested", "annotated"]);
        for (kind, target) in [("blob", "main:a"), ("tree", "main^{tree}"), ("folder", "main:d")] {
            world.origin.git(&["tag", kind, target]);
            world.origin.git(&["tag", "-a", "-m", "x", &format!("{kind}-annotated"), target]);
        }
        for history_first in [false, true] {
            let name = format!("{serving:?} {filters} {history_first}");
            let store = tempfile::tempdir().expect("a folder");
            let repositories = repositories(&store, &world.clock, &world.client, &world.runtime, Options::default());
            let repo = repositories.open(&world.web.url("/repo.git"), Trust::Named).expect("an address");
            if history_first {
                assert_eq!(one(repo.find(&tip).expect("history")), tip, "{name}");
            }
            let refs = repo.refs(MINUTE).expect("refs");
            for (tag, on) in refs.tags("") {
                let commit = repo.commit(on).unwrap_or_else(|error| panic!("{name} {tag}: {error}"));
                let expected = matches!(tag, "annotated" | "nested").then(|| id(&tip));
                assert_eq!(commit.map(|commit| commit.id), expected, "{name} {tag}");
            }
            for tag in ["annotated", "nested"] {
                let object = world.origin.id(&format!("refs/tags/{tag}"));
                assert_eq!(one(repo.find(&object[..10]).expect("history")), tip, "{name} {tag}");
            }
            for tag in ["blob", "tree-annotated"] {
                let object = world.origin.id(&format!("refs/tags/{tag}"));
                assert_eq!(repo.find(&object[..10]).expect("history"), Found::None, "{name} {tag}");
            }
            // Nothing is asked twice, although some objects never came.
            world.web.log();
            repo.find("abcdef0").expect("history");
            assert!(world.web.log().is_empty(), "{name}");
        }
    }
}

#[test]
fn what_a_forced_push_removed_is_unknown() {
    let world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let base = world.origin.commit("main", 1, &[("a", "1")]);
    let old = world.origin.commit("main", 2, &[("a", "2")]);
    let repo = world.open();
    assert_eq!(one(repo.find(&old).expect("history")), old);
    world.origin.git(&["update-ref", "refs/heads/main", &base]);
    let new = world.origin.commit("main", 3, &[("a", "3")]);
    world.clock.advance(MINUTE * 2);
    repo.refs(MINUTE).expect("refs");
    assert_eq!(repo.find(&old).expect("history"), Found::None);
    assert_eq!(repo.find(&old[..12]).expect("history"), Found::None);
    assert_eq!(one(repo.find(&new).expect("history")), new);
    assert_eq!(repo.ancestors(id(&new), &[id(&base), id(&old)]).expect("history"), [true, false]);
}

#[test]
fn a_commit_that_only_other_refs_hold_is_unknown() {
    let world = World::new(Serving::Newest);
    world.origin.commit("main", 1, &[("a", "1")]);
    let review = world.origin.commit("review", 2, &[("a", "2")]);
    world.origin.git(&["update-ref", "refs/pull/1/head", &review]);
    world.origin.git(&["branch", "-D", "review"]);
    let repo = world.open();
    assert_eq!(repo.find(&review).expect("history"), Found::None);
    assert_eq!(repo.commit(id(&review)).expect("history"), None);
    let unknown = repo.ancestors(id(&review), &[]).expect_err("unknown");
    assert_eq!(unknown.kind(), crate::error::Kind::NotFound);
}

#[test]
fn a_server_may_refuse_the_filter_it_offers() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let world = World::new(serving);
        world.origin.allow_filters();
        world.origin.git(&["config", "uploadpackfilter.allow", "false"]);
        let first = world.origin.commit("main", 1, &[("a", "1")]);
        let tip = world.origin.commit("main", 2, &[("a", "2")]);
        let repo = world.open();
        repo.refs(MINUTE).expect("refs");
        assert_eq!(repo.commit(id(&tip)).expect("fetched").expect("a commit").id, id(&tip), "{serving:?}");
        assert_eq!(one(repo.find(&first[..12]).expect("history")), first, "{serving:?}");
        assert_eq!(repo.read_file(id(&first), "a", 9).expect("read").expect("there"), "1", "{serving:?}");
    }
}

#[test]
fn a_shallow_repository_gives_its_tips_and_no_history() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let world = World::new(serving);
        world.origin.commit("main", 1, &[("a", "1")]);
        let tip = world.origin.commit("main", 2, &[("a", "2")]);
        let url = format!("file://{}", world.origin.repository().display());
        world.origin.git(&["clone", "-q", "--bare", "--depth=1", &url, "../shallow.git"]);
        let repo = world.open_at(&world.web.url("/shallow.git"));
        repo.refs(MINUTE).expect("refs");
        assert_eq!(repo.commit(id(&tip)).expect("fetched").expect("a commit").id, id(&tip), "{serving:?}");
        let error = repo.find(&tip[..12]).expect_err("no history");
        assert_eq!(error.kind(), crate::error::Kind::BadGateway, "{serving:?}: {error}");
    }
}

#[test]
fn a_ref_that_moves_while_it_is_fetched_is_asked_for_again() {
    let world = World::new(Serving::Newest);
    let base = world.origin.commit("main", 1, &[("a", "1")]);
    world.origin.commit("main", 2, &[("a", "2")]);
    let repo = world.open();
    repo.refs(MINUTE).expect("refs");
    world.origin.git(&["update-ref", "refs/heads/main", &base]);
    let new = world.origin.commit("main", 3, &[("a", "3")]);
    world.origin.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.origin.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(one(repo.find(&new[..12]).expect("history")), new);
    assert_eq!(repo.refs(MINUTE).expect("refs").head(), Some(id(&new)));
}
