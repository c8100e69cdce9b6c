use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::push::{Both, update};
use super::*;
use crate::error::Kind;
use crate::net::{AllowInsecure, Credential, CredentialKind};
use crate::ports::Updated;

/// A mirror with three branches, the source one commit ahead in each.
fn ahead() -> Both {
    let both = Both::new(Serving::Newest);
    for branch in ["bad", "good", "main"] {
        both.source.commit(branch, 1, &[("a", branch)]);
    }
    both.sync_all();
    for branch in ["bad", "good", "main"] {
        both.source.commit(branch, 2, &[("a", branch), ("b", branch)]);
    }
    both.mirror_web.log();
    both
}

fn refusals(said: &[Updated]) -> Vec<(&str, &str)> {
    said.iter().filter_map(|said| Some((said.name.as_str(), said.refused.as_deref()?))).collect()
}

fn hook(both: &Both, name: &str, script: &str) {
    let hook = both.mirror.repository().join("hooks").join(name);
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("made");
    std::fs::write(&hook, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn one_ref_that_a_hook_refuses_keeps_no_other_back() {
    for atomic in ["true", "false"] {
        let both = ahead();
        both.mirror.git(&["config", "receive.advertiseAtomic", atomic]);
        hook(&both, "update", "case $1 in */bad) echo 'bad is protected' >&2; exit 1;; esac");
        let said = both.sync(&both.plan()).expect("an answer");
        assert_eq!(refusals(&said), [("refs/heads/bad", "hook declined (bad is protected)")], "{atomic}");
        let (mirror, source) = (both.mirror.refs(), both.source.refs());
        let same: Vec<bool> = source.keys().map(|name| mirror.get(name) == source.get(name)).collect();
        assert_eq!(same, [false, true, true], "{atomic}");
        // All together first, where the server can do that.
        assert_eq!(both.pushes().len(), if atomic == "true" { 2 } else { 1 });
    }
}

#[test]
fn refs_that_fit_together_change_together() {
    let both = ahead();
    both.sync_all();
    let pushes: Vec<_> = both.mirror_web.log().into_iter().filter(|said| said.line.starts_with("POST")).collect();
    assert_eq!(pushes.len(), 1);
    assert!(pushes[0].body.contains(" atomic "), "{}", pushes[0].body);
}

#[test]
fn a_server_says_why_it_leaves_a_ref_alone() {
    let both = ahead();
    for setting in ["receive.denyNonFastForwards", "receive.denyDeletes"] {
        both.mirror.git(&["config", setting, "true"]);
    }
    both.sync_all();
    both.source.git(&["update-ref", "refs/heads/main", "refs/heads/good"]);
    both.source.git(&["update-ref", "-d", "refs/heads/bad"]);
    let said = both.sync(&both.plan()).expect("an answer");
    let expected = [("refs/heads/bad", "deletion prohibited"), ("refs/heads/main", "non-fast-forward")];
    let found: Vec<(&str, &str)> =
        refusals(&said).into_iter().map(|(name, why)| (name, why.split(" (").next().expect("a word"))).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_ref_that_moved_since_the_plan_is_left_alone() {
    let both = ahead();
    let plan = both.plan();
    let moved = both.mirror.commit("good", 9, &[("c", "meanwhile")]);
    let said = both.sync(&plan).expect("an answer");
    let [("refs/heads/good", why)] = refusals(&said)[..] else { panic!("{said:?}") };
    assert!(why.starts_with("failed to update ref"), "{why}");
    assert_eq!(both.mirror.id("refs/heads/good"), moved);
    assert_eq!(both.mirror.id("refs/heads/main"), both.source.id("refs/heads/main"));
}

#[test]
fn what_is_no_ref_is_never_pushed() {
    let both = ahead();
    let tip = both.source.id("main");
    let (here, there) = (both.mirror.id("main"), Some(tip.as_str()));
    let mirror = both.mirror.refs();
    let names = ["HEAD", "main", "refs/heads/a..b", "refs/heads/a\nb", "refs/heads/a b", ""];
    let updates: Vec<_> = names.iter().map(|name| update(name, Some(&here), there)).collect();
    let said = both.sync(&updates).expect("an answer");
    let expected = names.map(|name| (name, "no ref that can be pushed (expected one below refs/)"));
    assert_eq!(refusals(&said), expected);
    assert!(both.pushes().is_empty());
    assert_eq!(both.mirror.refs(), mirror);
}

#[test]
fn the_mirror_wants_to_know_who_pushes() {
    let mut both = ahead();
    both.mirror_web.guard("Basic Y2k6aHVudGVyMg==");
    both.source_web.log();
    let error = both.sync(&both.plan()).expect_err("nobody");
    assert_eq!(
        (error.kind(), error.to_string(), error.is_unauthorized()),
        (
            Kind::BadGateway,
            "mirror: 127.0.0.1: git server answered 401 Unauthorized to a push\n\
             the mirror's credentials must have the right to write"
                .to_owned(),
            true
        )
    );
    assert!(both.source_web.log().is_empty(), "nothing is fetched in vain");
    let kind = CredentialKind::Basic { username: "ci".to_owned(), password: "hunter2".into() };
    let host = both.mirror_web.url("").trim_start_matches("http://").to_owned();
    both.settle(Settings { credentials: vec![Credential { host, kind }], ..Settings::default() });
    hook(&both, "pre-receive", "echo 'you sent Y2k6aHVudGVyMg== or hunter2' >&2; exit 1");
    let said = both.sync(&both.plan()).expect("an answer");
    let why = "pre-receive hook declined (you sent … or …)";
    assert_eq!(refusals(&said), [("refs/heads/bad", why), ("refs/heads/good", why), ("refs/heads/main", why)]);
    hook(&both, "pre-receive", "cat >/dev/null");
    both.sync_all();
}

#[test]
fn who_may_only_read_learns_it_before_anything_is_fetched() {
    let both = ahead();
    both.mirror.git(&["config", "http.receivepack", "false"]);
    both.source_web.log();
    let error = both.sync(&both.plan()).expect_err("read only");
    assert_eq!(error.what(), "127.0.0.1: git server answered 403 Forbidden to a push");
    assert!(error.is_unauthorized());
    assert!(both.source_web.log().is_empty());
    let gone = both.mirror_web.url("/nothing.git");
    let error = both.sync_to(&gone, &both.plan(), &mut |_| true).expect_err("not there");
    assert_eq!((error.kind(), error.what()), (Kind::NotFound, "127.0.0.1: repository not found"));
}

#[test]
fn a_renamed_repository_is_found_and_a_stranger_gets_nothing() {
    let mut both = ahead();
    let said = both.sync_to(&both.mirror_web.url("/renamed"), &both.plan(), &mut |_| true).expect("synced");
    assert_eq!(refusals(&said), []);
    both.assert_same();

    both.source.commit("main", 3, &[("c", "c")]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0");
    let address = listener.local_addr().expect("bound");
    let to = both.mirror_web.url("/repo.git/info/refs?service=git-receive-pack");
    let elsewhere = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 4096]).expect("a request");
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // A client may have seen enough.
        let _ = stream.write_all(answer.as_bytes());
    });
    let allow_private = vec!["127.0.0.1".parse().expect("an address")];
    both.settle(Settings { allow_insecure: AllowInsecure::All, allow_private, ..Settings::default() });
    both.source_web.log();
    let error =
        both.sync_to(&format!("http://{address}/repo.git"), &both.plan(), &mut |_| true).expect_err("elsewhere");
    elsewhere.join().expect("no panic");
    assert_eq!(
        error.to_string(),
        "mirror: 127.0.0.1: redirects a push to another server (127.0.0.1)\n\
         name the address that it leads to, if it is meant"
    );
    assert!(both.source_web.log().is_empty(), "nothing is fetched in vain");
}

#[test]
fn what_the_source_has_no_more_is_said() {
    let both = ahead();
    let nowhere = "2222222222222222222222222222222222222222";
    let error = both.sync(&[update("refs/heads/x", None, Some(nowhere))]).expect_err("not there");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert!(error.what().starts_with("127.0.0.1: git server refused: "), "{error}");
    assert_eq!(error.remedies(), ["if a ref of the source has moved meanwhile, the next sync sees it"]);
}
