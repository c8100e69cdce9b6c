use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::ssh::fake_ssh;
use super::two::{Two, commit, related, shown};
use super::*;
use crate::error::Kind;
use crate::git::{Party, SshOptions};
use crate::net::{Credential, CredentialKind, Secret};
use crate::ports::{Pair as _, RefUpdate, Side, Updated};

/// A side's own view of the client, with credentials.
fn party(two: &Two, web: usize, user: &str, password: &str) -> Party {
    let (username, password) = (user.to_owned(), Secret::new(password));
    let kind = CredentialKind::Basic { username, password };
    let credential = Credential { host: "127.0.0.1".to_owned(), kind };
    let client = two.client.with(vec![credential], None, MINUTE, MINUTE);
    Party { url: two.webs[web].url("/repo.git"), client }
}

#[test]
fn each_side_learns_its_own_credentials_only() {
    let two = Two::new(Serving::Newest);
    for (web, pair) in two.webs.iter().zip(["ann:one-of-ann", "bob:one-of-bob"]) {
        web.guard(&format!("Basic {}", BASE64_STANDARD.encode(pair)));
    }
    commit(&two.source, "main", 1);
    two.copy();
    commit(&two.source, "main", 2);
    let (ann, bob) = (|web| party(&two, web, "ann", "one-of-ann"), |web| party(&two, web, "bob", "one-of-bob"));
    let pair = two.pair_between(ann(0), bob(1)).expect("addresses");
    assert_eq!(shown(related(&pair, &[]).expect("both let us in")), "1 0\nrefs/heads/main 1 0 forward");
    let swapped = two.pair_between(bob(0), ann(1)).expect("addresses");
    for side in [Side::Source, Side::Mirror] {
        let error = swapped.refs(side).expect_err("somebody else's credentials");
        assert!(error.is_unauthorized(), "{error}");
        assert_eq!(error.to_string(), "127.0.0.1: git server answered 401 Unauthorized");
    }
}

#[test]
fn what_a_server_repeats_of_credentials_is_not_told() {
    let two = Two::new(Serving::Newest);
    let url = two.webs[0].url("/echo/a");
    let side = || Party { url: url.clone(), ..party(&two, 0, "ann", "one-of-ann") };
    let error = two.pair_between(side(), side()).expect("addresses").refs(Side::Source).expect_err("refused in words");
    assert_eq!(error.to_string(), "git server refused: … may not read this");
}

#[test]
fn replaced_addresses_and_redirects_are_followed_as_everywhere() {
    let two = Two::with(Serving::Newest, Options::default(), &[("https://git.example.com/", "{source}/moved/")]);
    let tip = commit(&two.source, "main", 1);
    let pair = two.pair_of("https://git.example.com/any", &two.webs[1].url("/repo.git"));
    assert_eq!(pair.refs(Side::Source).expect("refs")[0].id, id(&tip));
    assert_eq!(shown(related(&pair, &[]).expect("related")), "1 0\nrefs/heads/main 1 0");
}

#[test]
fn addresses_that_git_would_not_fetch_from_are_refused_at_once() {
    let two = Two::new(Serving::Newest);
    let side = |url: &str| Party { url: url.to_owned(), client: two.client.clone() };
    for wrong in ["file:///srv/a", "/srv/a", "git://h.example/a", "ssh://-oProxyCommand=x/a"] {
        let refused = two.pair_between(side("https://h.example/a"), side(wrong)).map(|_| ());
        let error = refused.expect_err(wrong);
        assert_eq!((error.kind(), error.subject()), (Kind::BadGateway, Some("mirror")), "{wrong}");
    }
}

#[test]
fn a_pair_is_compared_and_synced_over_ssh() {
    let (folder, root) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let program = fake_ssh(folder.path(), root.path(), "");
    let ssh = SshOptions { program, ..SshOptions::default() };
    let two = Two::with(Serving::Newest, Options { ssh, ..Options::default() }, &[]);
    for (name, origin) in [("source", &two.source), ("mirror", &two.mirror)] {
        std::os::unix::fs::symlink(origin.repository(), root.path().join(name)).expect("linked");
    }
    let tip = commit(&two.source, "main", 1);
    let pair = two.pair_of("git@git.example.com:source", "ssh://git.example.com/~/mirror");
    assert_eq!(shown(related(&pair, &[]).expect("related")), "1 0\nrefs/heads/main 1 0");
    let update = RefUpdate { name: "refs/heads/main".to_owned(), from: None, to: Some(id(&tip)) };
    let synced = pair.sync(&[update], &mut |_| true).expect("synced");
    assert_eq!(synced, [Updated { name: "refs/heads/main".to_owned(), refused: None }]);
    assert_eq!(shown(related(&pair, &[]).expect("related")), "0 0");
    assert!(two.log().is_empty(), "nothing went over http");
    let error = two.pair_of("git@git.example.com:private", "git@h.example:a").refs(Side::Source).expect_err("denied");
    assert!(error.is_unauthorized(), "{error}");
}

#[test]
fn what_was_synced_is_no_difference_any_more_and_leaves_nothing_behind() {
    let two = Two::new(Serving::Newest);
    two.mirror.git(&["config", "http.receivepack", "true"]);
    commit(&two.source, "main", 1);
    two.copy();
    let before = two.mirror.id("refs/heads/main");
    let tip = two.source.commit("main", 2, &[("a", "text"), ("b/c", "more")]);
    assert_eq!(two.shown(), "1 0\nrefs/heads/main 1 0 forward");
    let update = RefUpdate { name: "refs/heads/main".to_owned(), from: Some(id(&before)), to: Some(id(&tip)) };
    let synced = two.pair().sync(&[update], &mut |_| true).expect("synced");
    assert_eq!(synced, [Updated { name: "refs/heads/main".to_owned(), refused: None }]);
    assert_eq!(two.shown(), "0 0");
    assert!(two.mirror.says_yes(&["fsck", "--full", "--strict"]), "the files of the commit came too");
    assert_eq!(two.files(), ["modvet-history", "modvet-used"]);
}
