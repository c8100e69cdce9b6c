//! Histories made by rule, the same on every machine: a deep one, and one with a module of 10 MB.
//!
//! They are made once and kept below cargo's folder for such files, which `cargo clean` empties.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many commits the deep history has on its main line and beside it, HEAD included.
pub const COMMITS: usize = 100_000;
pub const TAGS: usize = 1_000;
/// Raised whenever the histories are made otherwise.
const EDITION: u32 = 1;

const FILES: u64 = 400;
const LINES: u64 = 40;
/// 2015-01-01.
const START: u64 = 1_420_070_400;

/// The folder of repositories, and what is in them.
pub struct Deep {
    pub folder: PathBuf,
    /// Hashes of the main line's commits by their numbers; `None` for those beside it.
    commits: Vec<Option<String>>,
}

/// A commit of the main line and the version that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub hash: String,
    pub version: String,
}

impl Deep {
    /// The histories, made if they are not there yet.
    pub fn made() -> Deep {
        let top = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = top.join(format!("deep-{COMMITS}-{TAGS}-{EDITION}"));
        if !folder.is_dir() {
            println!("making a history of {COMMITS} commits, once");
            let half = tempfile::tempdir_in(top).expect("a writable folder");
            import(half.path(), "deep", deep, &["--export-marks=marks"], &[]);
            import(half.path(), "wide", wide, &[], &[]);
            std::fs::rename(half.keep(), &folder).expect("nobody else makes it");
        }
        let marks = std::fs::read_to_string(folder.join("deep/marks")).expect("marks were written");
        let mut commits = vec![None; COMMITS + 1];
        for line in marks.lines() {
            let (mark, hash) = line.split_once(' ').expect("a mark and a hash");
            let number: usize = mark[1..].parse().expect("a number");
            commits[number] = is_main(number).then(|| hash.to_owned());
        }
        Deep { folder, commits }
    }

    /// A commit of the main line's tip and at that moment, which git made of it.
    pub fn pushed(&self, hash: &str) -> Expected {
        let (minor, patch) = minor_and_patch((1..=COMMITS).rev().find_map(tag_on).expect("there are tags"));
        let version = format!("v1.{minor}.{}-0.{}-{}", patch + 1, stamp(COMMITS), &hash[..12]);
        Expected { hash: hash.to_owned(), version }
    }

    /// The moment of the tip, as git takes it from its environment.
    pub fn moment(&self) -> String {
        format!("{} +0000", time_of(COMMITS))
    }

    /// The first commit of the main line from this number on that bears no tag.
    pub fn commit(&self, number: usize) -> Expected {
        let number = (number..COMMITS).find(|n| is_main(*n) && tag_on(*n).is_none()).expect("not all are tagged");
        let tag = (1..=number).rev().find_map(tag_on).expect("after the first tag");
        let (minor, patch) = minor_and_patch(tag);
        let hash = self.commits[number].clone().expect("on the main line");
        let version = format!("v1.{minor}.{}-0.{}-{}", patch + 1, stamp(number), &hash[..12]);
        Expected { hash, version }
    }
}

impl Deep {
    /// How long git itself takes to give out the tree of a commit alone: no proxy that has to ask for it is faster.
    pub fn tree_from_git(&self, hash: &str) -> Duration {
        let repository = self.folder.join("deep");
        let named =
            git(&repository).args(["rev-parse", &format!("{hash}^{{tree}}")]).output().expect("git is installed");
        let tree = String::from_utf8(named.stdout).expect("digits");
        let ask = format!(
            "0012command=fetch\n0017object-format=sha1\n00010012filter tree:0\n0032want {}\n0009done\n0000",
            tree.trim()
        );
        let mut command = git(&repository);
        command.args(["-c", "uploadpack.allowFilter=true", "upload-pack", "--stateless-rpc", "."]);
        command.env("GIT_PROTOCOL", "version=2").stdin(Stdio::piped()).stdout(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().expect("git is installed");
        let mut input = child.stdin.take().expect("stdin is piped");
        input.write_all(ask.as_bytes()).expect("git reads all");
        drop(input);
        let output = child.wait_with_output().expect("git answers");
        let took = start.elapsed();
        assert!(output.stdout.windows(4).any(|four| four == b"PACK"), "{}", String::from_utf8_lossy(&output.stdout));
        took
    }
}

/// Every tenth commit but one stands beside the main line and is merged by the next.
fn is_main(number: usize) -> bool {
    number % 10 != 9
}

fn time_of(number: usize) -> u64 {
    START + number as u64 * 600
}

fn stamp(number: usize) -> String {
    let time = chrono::DateTime::from_timestamp(time_of(number) as i64, 0).expect("a time");
    time.format("%Y%m%d%H%M%S").to_string()
}

/// The number of the tag on a commit.
fn tag_on(number: usize) -> Option<usize> {
    (number % (COMMITS / TAGS) == 50).then_some(number / (COMMITS / TAGS))
}

fn minor_and_patch(tag: usize) -> (usize, usize) {
    (tag / 50, tag % 50)
}

fn deep(out: &mut dyn Write) -> std::io::Result<()> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for number in 1..=COMMITS {
        let reference = if is_main(number) { "refs/heads/main" } else { "refs/heads/side" };
        writeln!(out, "commit {reference}\nmark :{number}")?;
        person(out, number)?;
        data(out, format!("commit {number}\n").as_bytes())?;
        let previous = if number % 10 == 0 { number - 2 } else { number - 1 };
        if number > 1 {
            writeln!(out, "from :{previous}")?;
        }
        if number % 10 == 0 {
            writeln!(out, "merge :{}", number - 1)?;
        }
        if number == 1 {
            file(out, "go.mod", b"module github.com/bench/deep\n\ngo 1.21\n")?;
            for name in 0..FILES {
                file(out, &path(name), &text(&mut random))?;
            }
        } else {
            file(out, &path(random.below(FILES)), &text(&mut random))?;
        }
        if let Some(tag) = tag_on(number) {
            let (minor, patch) = minor_and_patch(tag);
            annotated(out, &format!("v1.{minor}.{patch}"), number)?;
        }
    }
    Ok(())
}

/// One version of 10 MB that does not get smaller in a zip.
fn wide(out: &mut dyn Write) -> std::io::Result<()> {
    let mut random = Random(42);
    writeln!(out, "commit refs/heads/main\nmark :1")?;
    person(out, 1)?;
    data(out, b"wide\n")?;
    file(out, "go.mod", b"module github.com/bench/wide\n")?;
    for name in 0..40 {
        let bytes: Vec<u8> = (0..32 * 1024).flat_map(|_| random.next().to_le_bytes()).collect();
        file(out, &format!("data/{name}.bin"), &bytes)?;
    }
    annotated(out, "v1.0.0", 1)
}

fn path(name: u64) -> String {
    format!("part{}/file{name}.go", name % 20)
}

fn text(random: &mut Random) -> Vec<u8> {
    let mut text = String::from("package part\n\n");
    for line in 0..LINES {
        writeln!(text, "const c{line} = {}", random.next()).expect("a string takes all");
    }
    text.into_bytes()
}

pub fn person(out: &mut dyn Write, number: usize) -> std::io::Result<()> {
    writeln!(out, "committer Nobody <nobody@example.com> {} +0000", time_of(number))
}

pub fn annotated(out: &mut dyn Write, name: &str, number: usize) -> std::io::Result<()> {
    writeln!(out, "tag {name}\nfrom :{number}")?;
    writeln!(out, "tagger Nobody <nobody@example.com> {} +0000", time_of(number))?;
    data(out, name.as_bytes())
}

pub fn file(out: &mut dyn Write, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    writeln!(out, "M 100644 inline {path}")?;
    data(out, bytes)
}

pub fn data(out: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    writeln!(out, "data {}", bytes.len())?;
    out.write_all(bytes)?;
    writeln!(out)
}

/// Writes a history as git's importer reads it.
pub type History = fn(&mut dyn Write) -> std::io::Result<()>;

/// Makes a bare repository of a history, packed as a forge keeps it; with further arguments of git's importer and packer.
pub fn import(folder: &Path, name: &str, history: History, importing: &[&str], packing: &[&str]) {
    let repository = folder.join(name);
    run(git(folder).args(["init", "--quiet", "--bare", "--initial-branch=main", name]));
    let mut command = git(&repository);
    command.args(["fast-import", "--quiet"]).args(importing).stdin(Stdio::piped());
    let mut child = command.spawn().expect("git is installed");
    let mut out = BufWriter::new(child.stdin.take().expect("stdin is piped"));
    history(&mut out).and_then(|()| out.flush()).expect("git reads all");
    drop(out);
    assert!(child.wait().expect("git ends").success(), "git fast-import refused the history");
    run(git(&repository).args(["repack", "-a", "-d", "--quiet", "--write-bitmap-index"]).args(packing));
    run(git(&repository).args(["pack-refs", "--all"]));
}

/// git with nobody's settings.
pub fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.current_dir(folder);
    command
}

/// Runs a command that must go well.
pub fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// xorshift64*: numbers that look like chance and are the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
