use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;
use crate::error::Result;
use crate::git::address::Address;
use crate::git::push::{Sides, sync};
use crate::git::remote::Remote;
use crate::git::ssh::SshOptions;
use crate::git::transport::{Refusals, Transport};
use crate::ports::{RefUpdate, Transfer, Updated};

/// Two repositories on servers of their own, and a place between them.
pub struct Both {
    pub source: Origin,
    pub source_web: WebServer,
    pub mirror: Origin,
    pub mirror_web: WebServer,
    pub client: Client,
    pub ssh: SshOptions,
    pub folder: tempfile::TempDir,
    runtime: Runtime,
}

impl Both {
    pub fn new(serving: Serving) -> Both {
        let (source, mirror) = (Origin::new(), Origin::new());
        mirror.git(&["config", "http.receivepack", "true"]);
        Both {
            source_web: WebServer::start(source.path(), serving),
            mirror_web: WebServer::start(mirror.path(), serving),
            source,
            mirror,
            client: Client::new(settings()).expect("a client"),
            ssh: SshOptions::default(),
            folder: tempfile::tempdir().expect("a folder"),
            runtime: Runtime::new().expect("a runtime"),
        }
    }

    pub fn settle(&mut self, settings: Settings) {
        self.client = Client::new(settings).expect("a client");
    }

    pub fn remote(&self, url: &str) -> Remote {
        let transport = Transport {
            address: Address::parse(url, Some(url)).expect("an address"),
            client: self.client.clone(),
            runtime: self.runtime.handle().clone(),
            trust: Trust::Named,
            refusals: Refusals::Believed,
            ssh: self.ssh.clone(),
        };
        Remote::new(transport, Arc::default())
    }

    /// What makes the mirror the same as its source.
    pub fn plan(&self) -> Vec<RefUpdate> {
        let (source, mirror) = (self.source.refs(), self.mirror.refs());
        let names: BTreeSet<&String> = source.keys().chain(mirror.keys()).collect();
        names
            .into_iter()
            .map(|name| update(name, mirror.get(name).map(String::as_str), source.get(name).map(String::as_str)))
            .filter(|update| update.from != update.to)
            .collect()
    }

    pub fn sync_to(
        &self,
        mirror: &str,
        updates: &[RefUpdate],
        progress: &mut dyn FnMut(Transfer) -> bool,
    ) -> Result<Vec<Updated>> {
        let (source, mirror) = (self.remote(&self.source_web.url("/repo.git")), self.remote(mirror));
        let sides = Sides { source: &source, mirror: &mirror, folder: self.folder.path(), pack_limit: 1 << 30 };
        let result = sync(&sides, updates, progress);
        assert_eq!(std::fs::read_dir(self.folder.path()).expect("a folder").count(), 0, "nothing is left behind");
        result
    }

    pub fn sync(&self, updates: &[RefUpdate]) -> Result<Vec<Updated>> {
        self.sync_to(&self.mirror_web.url("/repo.git"), updates, &mut |_| true)
    }

    /// Syncs all, and nobody refuses anything.
    pub fn sync_all(&self) {
        let updates = self.plan();
        let said = self.sync(&updates).expect("synced");
        let expected = updates.into_iter().map(|update| Updated { name: update.name, refused: None });
        assert_eq!(said, expected.collect::<Vec<_>>());
        self.assert_same();
    }

    pub fn assert_same(&self) {
        assert_eq!(self.mirror.refs(), self.source.refs());
        let objects = |origin: &Origin| origin.git(&["rev-list", "--objects", "--all", "--no-object-names"]);
        let set = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(set(objects(&self.mirror)), set(objects(&self.source)));
        self.mirror.git(&["fsck", "--full", "--strict"]);
    }

    /// How long the requests were that changed refs of the mirror.
    pub fn pushes(&self) -> Vec<usize> {
        let posts = self.mirror_web.log().into_iter().filter(|exchange| exchange.line.starts_with("POST"));
        posts.map(|exchange| exchange.body.len()).collect()
    }
}

pub fn update(name: &str, from: Option<&str>, to: Option<&str>) -> RefUpdate {
    RefUpdate { name: name.to_owned(), from: from.map(id), to: to.map(id) }
}

/// Text that does not compress.
fn noise(seed: u32, length: usize) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + ((state >> 24) % 90) as u8)
    };
    (0..length).map(next).collect()
}

/// All that a ref may stand on.
fn fill(source: &Origin) {
    for n in 1..=10 {
        source.commit("main", n, &[("go.mod", "module m\n"), ("dir/noise", &noise(n, 2000))]);
    }
    source.git(&["tag", "light", "main~3"]);
    source.git(&["tag", "-a", "-m", "x", "v1.0.0", "main~2"]);
    source.git(&["tag", "-a", "-m", "x", "tag-of-tag", "v1.0.0"]);
    source.git(&["tag", "tree", "main^{tree}"]);
    let blob = source.feed(&["hash-object", "-w", "--stdin"], "only a tag holds this\n");
    source.git(&["tag", "blob", &blob]);
    source.git(&["tag", "-a", "-m", "x", "tag-of-blob", &blob]);
    source.git(&["update-ref", "refs/notes/commits", "main~1"]);
    source.git(&["branch", "side", "main~5"]);
    source.commit("side", 20, &[("a", "side")]);
    let submodule = "commit refs/heads/super\ncommitter C <c@example.com> 30 +0000\ndata 1\nx\n\
                     M 160000 1111111111111111111111111111111111111111 sub\n";
    source.feed(&["fast-import", "--quiet"], submodule);
}

#[test]
fn a_mirror_becomes_what_its_source_is() {
    for serving in [Serving::Newest, Serving::Oldest] {
        let both = Both::new(serving);
        fill(&both.source);
        both.sync_all();
        let first: usize = both.pushes().iter().sum();

        both.source.commit("main", 40, &[("go.mod", "module m/v2\n")]);
        both.source.git(&["update-ref", "refs/heads/side", "main~2"]);
        both.source.git(&["update-ref", "-d", "refs/heads/super"]);
        both.source.git(&["tag", "-d", "tag-of-blob"]);
        both.source.git(&["tag", "-f", "light", "main~1"]);
        both.source.git(&["tag", "-a", "-m", "x", "v2.0.0", "main"]);
        both.sync_all();
        let second = both.pushes();
        assert_eq!(second.len(), 1, "{serving:?}");
        assert!(second[0] * 10 < first, "{serving:?}: {second:?} of {first}");
    }
}

#[test]
fn a_ref_on_what_the_mirror_has_needs_no_fetch() {
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    both.sync_all();
    both.source_web.log();
    both.source.git(&["branch", "release", "main"]);
    both.sync_all();
    assert!(both.source_web.log().is_empty(), "the source was asked");
    // A commit that the mirror has, and no ref of it holds: the source packs nothing.
    both.source.git(&["branch", "old", "main~4"]);
    both.sync_all();
}

#[test]
fn deleting_needs_neither_pack_nor_source() {
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    both.sync_all();
    both.source_web.log();
    both.mirror_web.log();
    for name in ["refs/heads/side", "refs/tags/tree"] {
        both.source.git(&["update-ref", "-d", name]);
    }
    both.sync_all();
    assert!(both.source_web.log().is_empty(), "the source was asked");
    let pushed = both.mirror_web.log().into_iter().find(|exchange| exchange.line.starts_with("POST")).expect("pushed");
    assert!(pushed.body.ends_with("0000") && !pushed.body.contains("PACK"), "{}", pushed.body);
}

#[test]
fn twenty_thousand_objects_come_over_whole() {
    let both = Both::new(Serving::Newest);
    let mut stream = String::new();
    for n in 0..5000 {
        stream.push_str(&format!("commit refs/heads/main\ncommitter C <c@example.com> {n} +0000\ndata 1\nx\n"));
        for path in [format!("{}/a", n % 100), format!("{}/b", n % 100)] {
            let text = format!("{n} {path} {}", noise(n, 60));
            stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len()));
        }
    }
    both.source.feed(&["fast-import", "--quiet"], &stream);
    let seen = RefCell::new(Vec::new());
    let mirror = both.mirror_web.url("/repo.git");
    let said = both.sync_to(&mirror, &both.plan(), &mut |transfer| {
        seen.borrow_mut().push(transfer);
        true
    });
    assert_eq!(said.expect("synced"), [Updated { name: "refs/heads/main".to_owned(), refused: None }]);
    both.assert_same();
    let seen = seen.into_inner();
    let packed = seen.iter().rev().find_map(|step| match step {
        Transfer::Packing { done, all } => Some((*done, *all)),
        _ => None,
    });
    let (done, all) = packed.expect("said");
    assert!(done == all && all >= 20_000, "{done} of {all}");
    assert!(matches!(seen.last(), Some(Transfer::Pushing { done, all }) if done == all && *all > 1 << 20));
    // A push of this size is asked for first.
    assert_eq!(both.pushes()[0], 4);
}

#[test]
fn a_sync_that_was_cut_off_is_done_by_the_next() {
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    both.source_web.cut_after(5000);
    let error = both.sync(&both.plan()).expect_err("the source broke off");
    assert_eq!(error.kind(), crate::error::Kind::BadGateway, "{error}");
    both.source_web.cut_after(u64::MAX);
    both.mirror_web.hang_up_after(7000);
    let error = both.sync(&both.plan()).expect_err("the mirror hung up");
    assert!(error.what().starts_with("127.0.0.1:"), "{error}");
    assert!(both.mirror.refs().is_empty(), "nothing half");
    both.mirror_web.hang_up_after(u64::MAX);
    both.sync_all();
}

#[test]
fn a_push_without_an_answer_is_no_success() {
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    both.mirror_web.cut_after(30);
    let error = both.sync(&both.plan()).expect_err("no report");
    assert_eq!(error.kind(), crate::error::Kind::BadGateway, "{error}");
    // It was done all the same, and the next plan knows it.
    assert_eq!(both.plan(), []);
    both.assert_same();
}

#[test]
fn a_sync_is_given_up_at_each_stage() {
    type Stage = fn(&Transfer) -> bool;
    let stages: [(&str, Stage); 4] = [
        ("before anything", |_| true),
        ("fetching", |step| matches!(step, Transfer::Fetching { bytes: 1.. })),
        ("packing", |step| matches!(step, Transfer::Packing { .. })),
        ("pushing", |step| matches!(step, Transfer::Pushing { .. })),
    ];
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    for (name, stage) in stages {
        let reached = RefCell::new(0);
        let result = both.sync_to(&both.mirror_web.url("/repo.git"), &both.plan(), &mut |step| {
            *reached.borrow_mut() += usize::from(stage(&step));
            *reached.borrow() == 0
        });
        let error = result.expect_err(name);
        assert_eq!(error.to_string(), "sync: given up", "{name}");
        assert_eq!(reached.into_inner(), 1, "{name}: nobody is asked again");
        assert!(both.mirror.refs().is_empty(), "{name}");
    }
    both.sync_all();
}

#[test]
fn a_mirror_with_a_cut_history_gets_all_of_it() {
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    both.sync_all();
    let cut = both.source.id("main~3");
    std::fs::write(both.mirror.repository().join("shallow"), format!("{cut}\n")).expect("written");
    both.mirror_web.log();
    both.source.commit("main", 40, &[("go.mod", "module m/v2\n")]);
    let said = both.sync(&both.plan()).expect("synced");
    assert_eq!(said, [Updated { name: "refs/heads/main".to_owned(), refused: None }]);
    assert!(both.pushes()[0] > 15_000, "the old files are in it too");
}

#[test]
fn a_mirror_that_cannot_read_offsets_gets_none() {
    let both = Both::new(Serving::Newest);
    fill(&both.source);
    both.mirror.git(&["config", "repack.useDeltaBaseOffset", "false"]);
    both.sync_all();
    let asked = both.source_web.log().into_iter().find(|exchange| exchange.body.contains("want ")).expect("fetched");
    assert!(!asked.body.contains("ofs-delta"), "{}", asked.body);
}

#[test]
fn a_push_goes_over_ssh() {
    let mut both = Both::new(Serving::Newest);
    fill(&both.source);
    let tools = tempfile::tempdir().expect("a folder");
    let program = super::ssh::fake_ssh(tools.path(), both.mirror.path(), "");
    both.ssh = SshOptions { program, ..SshOptions::default() };
    let said = both.sync_to("git@mirror.example:repo.git", &both.plan(), &mut |_| true).expect("synced");
    assert!(said.iter().all(|said| said.refused.is_none()), "{said:?}");
    both.assert_same();
    let log = std::fs::read_to_string(tools.path().join("log")).expect("a log");
    assert!(log.contains("|git@mirror.example|git-receive-pack 'repo.git'|"), "{log}");
    assert!(both.mirror_web.log().is_empty(), "nothing went over http");
}
