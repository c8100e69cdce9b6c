//! A repository and its mirror: two bare repositories, each on a git server of its own; what happens in them is done by
//! real git.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::git_server::{Flavour, GitServer};

/// The name of both.
pub const NAME: &str = "python-gitlab";

/// When the first commit was made: 2026-01-05T09:00:00Z. Each is a day younger than the one before.
const FIRST: u64 = 1_767_603_600;

/// Both, with the same branch of three commits and a tag on it. Dropping it ends the servers.
pub struct Mirrored {
    folder: TempDir,
    pub source: GitServer,
    pub mirror: GitServer,
    commits: AtomicU64,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Source,
    Mirror,
}

impl Mirrored {
    pub fn new() -> Mirrored {
        Mirrored::with(|folder| GitServer::start(folder, Flavour::Filters))
    }

    /// The mirror's server is another one.
    pub fn with(mirror: impl Fn(&Path) -> GitServer) -> Mirrored {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for side in ["source", "mirror"] {
            let path = folder.path().join(side).join(NAME);
            std::fs::create_dir_all(&path).expect("a folder");
            run(&path, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        }
        let source = GitServer::start(&folder.path().join("source"), Flavour::Filters);
        let mirror = mirror(&folder.path().join("mirror"));
        let mirrored = Mirrored { folder, source, mirror, commits: AtomicU64::new(0) };
        for _ in 0..3 {
            mirrored.commit(Side::Source, "main");
        }
        mirrored.git(Side::Source, &["tag", "v1.0.0", "main"]);
        mirrored.carry(&["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]);
        mirrored
    }

    pub fn path(&self, side: Side) -> PathBuf {
        self.folder.path().join(if side == Side::Source { "source" } else { "mirror" }).join(NAME)
    }

    /// Where git and modvet reach it.
    pub fn url(&self, side: Side) -> String {
        let server = if side == Side::Source { &self.source } else { &self.mirror };
        format!("{}{NAME}.git", server.url())
    }

    /// Runs git in one of them, and gives what it said.
    pub fn git(&self, side: Side, arguments: &[&str]) -> String {
        run(&self.path(side), arguments)
    }

    /// A commit on top of a branch, which is made if need be; its id.
    pub fn commit(&self, side: Side, branch: &str) -> String {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let path = self.path(side);
        let content = path.join("content");
        std::fs::write(&content, format!("this is {number}\n")).expect("written");
        let blob = run(&path, &["hash-object", "-w", "content"]);
        let entry = path.join("entry");
        std::fs::write(&entry, format!("100644 blob {blob}\tfile\n")).expect("written");
        let shell = |script: &str| {
            let output = git(&path, "sh").args(["-euc", script]).output().expect("a shell");
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("ids are text").trim().to_owned()
        };
        let tree = shell("git mktree < entry");
        let date = format!("@{} +0000", FIRST + number * 24 * 60 * 60);
        let parent = shell(&format!("git rev-parse --verify --quiet refs/heads/{branch} || true"));
        let parent = if parent.is_empty() { String::new() } else { format!("-p {parent}") };
        let commit = shell(&format!(
            "GIT_AUTHOR_DATE='{date}' GIT_COMMITTER_DATE='{date}' git commit-tree {tree} {parent} -m 'commit {number}'"
        ));
        run(&path, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    /// What a forge's own mirroring does, for these refspecs.
    pub fn carry(&self, refspecs: &[&str]) {
        let mirror = self.path(Side::Mirror).display().to_string();
        let arguments = [&["push", "--quiet", &mirror], refspecs].concat();
        self.git(Side::Source, &arguments);
    }

    /// Every ref and what it names.
    pub fn refs(&self, side: Side) -> String {
        self.git(side, &["for-each-ref", "--format=%(objectname) %(refname)"])
    }

    /// Holds both against each other, and every object of the mirror against its name.
    pub fn are_the_same(&self) {
        assert_eq!(self.refs(Side::Mirror), self.refs(Side::Source));
        self.git(Side::Mirror, &["fsck", "--full", "--strict"]);
    }

    /// The table of the configuration, with further lines of it.
    pub fn table(&self, more: &str) -> String {
        format!(
            "[[mirror]]\nname = \"{NAME}\"\nsource = \"{}\"\nmirror = \"{}\"\n{more}\n",
            self.url(Side::Source),
            self.url(Side::Mirror)
        )
    }

    /// A whole configuration, in which nothing else is.
    pub fn settings(&self, more: &str) -> String {
        format!("[git]\nallow_insecure = [\"127.0.0.1\"]\n\n{}", self.table(more))
    }
}

/// git and nothing else of this machine.
fn git(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.com");
    }
    command
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = git(folder, "git").args(arguments).output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("what git says here is text").trim().to_owned()
}
