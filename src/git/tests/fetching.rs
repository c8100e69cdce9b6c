use super::*;

fn posts(world: &World) -> Vec<server::Exchange> {
    world.web.log().into_iter().filter(|exchange| exchange.line.starts_with("POST")).collect()
}

/// Twenty commits with files that do not compress.
fn long_history(world: &World) -> Vec<String> {
    let noise = |seed: u32| {
        let mut state = seed.wrapping_mul(2_654_435_761);
        (0..4000).map(move |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (state >> 27) as u8 % 26)
        })
    };
    (1..=20)
        .map(|n| {
            let text: String = noise(n).collect();
            world.origin.commit("main", n, &[("go.mod", "module m\n"), ("noise", &text)])
        })
        .collect()
}

#[test]
fn history_comes_without_files_where_the_server_can() {
    for (serving, filters) in [(Serving::Newest, true), (Serving::Oldest, true), (Serving::Newest, false)] {
        let world = World::new(serving);
        if filters {
            world.origin.allow_filters();
        }
        let commits = long_history(&world);
        let repo = world.open();
        let all: Vec<_> = commits.iter().map(|commit| id(commit)).collect();
        assert_eq!(repo.ancestors(all[19], &all).expect("history"), [true; 20], "{serving:?} {filters}");
        let answered: usize = posts(&world).iter().map(|exchange| exchange.answered).sum();
        assert_eq!(answered < 10_000, filters, "{serving:?} {filters}: {answered} bytes");
        assert_eq!(world.packs().len(), 2, "a pack and its index");
    }
}

#[test]
fn a_push_is_followed_by_a_small_pack() {
    for (serving, filters) in [(Serving::Newest, true), (Serving::Oldest, true), (Serving::Oldest, false)] {
        let mut world = World::new(serving);
        if filters {
            world.origin.allow_filters();
        }
        let commits = long_history(&world);
        assert_eq!(one(world.open().find(&commits[3]).expect("history")), commits[3]);
        let first: usize = posts(&world).iter().map(|exchange| exchange.answered).sum();
        let pushed = world.origin.commit("main", 21, &[("go.mod", "module m\n")]);
        world.origin.git(&["tag", "-a", "-m", "x", "v1.0.0", &pushed]);
        world.restart();
        world.clock.advance(MINUTE * 2);
        world.open().refs(MINUTE).expect("refs");
        world.web.log();
        assert_eq!(one(world.open().find(&pushed[..9]).expect("history")), pushed);
        assert_eq!(one(world.open().find(&commits[0]).expect("history")), commits[0]);
        let posts = posts(&world);
        assert_eq!(posts.len(), 1, "{posts:?}");
        assert!(posts[0].body.contains(&format!("have {}", commits[19])), "{}", posts[0].body);
        assert!(posts[0].answered < 1000 && posts[0].answered * 2 < first, "{} of {first}", posts[0].answered);
    }
}

#[test]
fn a_push_makes_nobody_read_the_commits_before_it() {
    let mut world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let commits = long_history(&world);
    assert_eq!(one(world.open().find(&commits[0]).expect("history")), commits[0]);
    let index = world.folder().join("modvet-history");
    let before = std::fs::read(&index).expect("an index");
    for file in world.packs() {
        // What is not there any more cannot be read.
        std::fs::remove_file(world.folder().join("objects/pack").join(file)).expect("removed");
    }
    let pushed = world.origin.commit("main", 21, &[("go.mod", "module m\n")]);
    world.restart();
    world.clock.advance(MINUTE * 2);
    world.open().refs(MINUTE).expect("refs");
    assert_eq!(one(world.open().find(&pushed).expect("history")), pushed);
    let all: Vec<_> = commits.iter().map(|commit| id(commit)).collect();
    assert_eq!(world.open().ancestors(id(&pushed), &all).expect("history"), [true; 20]);
    let after = std::fs::read(&index).expect("an index");
    assert!(after.starts_with(&before), "what was there is not written again");
    assert!(after.len() - before.len() < 100, "{} bytes for one commit", after.len() - before.len());
}

#[test]
fn a_forced_push_still_shares_what_is_below() {
    let world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let commits = long_history(&world);
    world.open().find("abcdef0").expect("history");
    world.origin.git(&["update-ref", "refs/heads/main", &commits[14]]);
    let pushed = world.origin.commit("main", 21, &[("a", "a")]);
    // The server forgets the old commits, as after a collection.
    world.origin.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.origin.git(&["gc", "-q", "--prune=now"]);
    world.clock.advance(MINUTE * 2);
    world.open().refs(MINUTE).expect("refs");
    world.web.log();
    assert_eq!(one(world.open().find(&pushed).expect("history")), pushed);
    let posts = posts(&world);
    assert_eq!(posts.len(), 1);
    assert!(posts[0].answered < 1200, "{} bytes", posts[0].answered);
}

#[test]
fn a_pack_that_breaks_off_leaves_nothing_behind() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let world = World::new(serving);
        let commits = long_history(&world);
        let repo = world.open();
        repo.refs(MINUTE).expect("refs");
        for cut in [0, 3, 20, 500, 20_000] {
            world.web.cut_after(cut);
            let error = repo.find(&commits[0]).expect_err("cut off");
            assert_eq!(error.kind(), crate::error::Kind::BadGateway, "{serving:?} {cut}: {error}");
            assert_eq!(world.packs(), Vec::<String>::new(), "{serving:?} {cut}");
        }
        world.web.cut_after(u64::MAX);
        assert_eq!(one(repo.find(&commits[0]).expect("history")), commits[0], "{serving:?}");
    }
}

#[test]
fn rests_of_a_killed_process_are_swept_and_lost_files_made_again() {
    let mut world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let commits = long_history(&world);
    assert_eq!(one(world.open().find(&commits[0]).expect("history")), commits[0]);
    let folder = world.folder();
    std::fs::write(folder.join("objects/pack/pack_git2_0123456789abcdef"), "half").expect("written");
    std::fs::write(folder.join("tmp-half"), "half").expect("written");
    std::fs::create_dir_all(folder.join("tmp-few/pack")).expect("made");
    let index = folder.join("modvet-history");
    let mut bytes = std::fs::read(&index).expect("an index");
    bytes[40] ^= 1;
    std::fs::write(&index, &bytes).expect("written");
    world.web.log();
    world.restart();
    assert_eq!(one(world.open().find(&commits[0]).expect("history")), commits[0]);
    assert!(world.web.log().is_empty(), "the index is built again from what is here");
    assert_eq!(world.packs().len(), 2);
    assert!(!folder.join("tmp-half").exists() && !folder.join("tmp-few").exists());
    // A repository that git cannot open is made and fetched again.
    std::fs::remove_file(folder.join("HEAD")).expect("removed");
    world.restart();
    assert!(world.open().read_file(id(&commits[3]), "go.mod", 100).expect("read").is_some());
    assert!(!world.web.log().is_empty());
}

#[test]
fn many_jobs_at_once_fetch_once() {
    let world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let commits = long_history(&world);
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..8)
            .map(|n| {
                let repo = world.open();
                let commit = &commits[n];
                scope.spawn(move || {
                    repo.refs(MINUTE).expect("refs");
                    assert_eq!(one(repo.find(&commit[..12]).expect("history")), *commit);
                    repo.read_file(id(&commits_tip(&*repo)), "go.mod", 100).expect("read").expect("there")
                })
            })
            .collect();
        for job in jobs {
            assert_eq!(&job.join().expect("no panic")[..], b"module m\n");
        }
    });
    let log = world.web.log();
    let count = |what: &str| log.iter().filter(|exchange| exchange.body.contains(what)).count();
    // The history, the tip's own tree, its go.mod.
    assert_eq!((count("command=ls-refs"), count("tree:0"), count("command=fetch")), (1, 2, 3), "{log:?}");
}

#[test]
fn a_file_at_the_root_of_another_commit_costs_one_tree_and_no_pack() {
    let mut world = World::new(Serving::Newest);
    world.origin.allow_filters();
    let commits = long_history(&world);
    let read = |world: &World, n: usize, path: &str| {
        let repo = world.open();
        repo.find(&commits[n]).expect("history");
        repo.read_file(id(&commits[n]), path, 100).expect("read").map(|bytes| bytes.to_vec())
    };
    assert_eq!(read(&world, 0, "go.mod").as_deref(), Some(&b"module m\n"[..]));
    world.web.log();
    assert_eq!(read(&world, 5, "go.mod").as_deref(), Some(&b"module m\n"[..]));
    let asked = posts(&world);
    assert!(asked.len() == 1 && asked[0].answered < 200, "the go.mod is that of the first commit: {asked:?}");
    assert_eq!(world.packs().len(), 2, "the history's pack and its index");
    // What is below a folder that is not there needs no more.
    world.restart();
    assert_eq!(read(&world, 5, "none/of/these/go.mod"), None);
    assert_eq!(read(&world, 5, "go.mod").as_deref(), Some(&b"module m\n"[..]));
    assert!(posts(&world).is_empty());
    // All trees come at once where folders are asked for, so that their neighbours need no fetch.
    assert_eq!(read(&world, 6, "a/go.mod"), None);
    assert!(posts(&world).iter().all(|exchange| exchange.body.contains("blob:none")));
    assert_eq!(read(&world, 6, "b/go.mod"), None);
    assert!(posts(&world).is_empty());
}

fn commits_tip(repo: &dyn Repo) -> String {
    repo.refs(MINUTE).expect("refs").head().expect("a head").to_string()
}
