//! Trees made by rule, the same on every machine: one of 300 MB in 5,000 files, and one of many small files and a few
//! large ones.
//!
//! They are made once and kept below cargo's folder for such files, which `cargo clean` empties.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::deep::{Random, annotated, data, file, git, import, person};

pub const WIDE: &str = "github.com/bench/broad";
/// A module in a folder of the same repository.
pub const NESTED: &str = "github.com/bench/broad/tools";
pub const MANY: &str = "github.com/bench/many";

/// Raised whenever the trees are made otherwise.
const EDITION: u32 = 2;
const COMMITS: usize = 300;
/// How many files a commit changes.
const CHANGES: u64 = 10;
const FILES: u64 = 5_000;
const SMALL: u64 = 20_000;
const LARGE: u64 = 4;
const LARGE_SIZE: u64 = 16 << 20;

/// The folder of repositories.
pub struct Broad {
    pub folder: PathBuf,
}

impl Broad {
    /// The repositories, made if they are not there yet.
    pub fn made() -> Broad {
        let top = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = top.join(format!("broad-{EDITION}"));
        if !folder.is_dir() {
            println!("making trees of 300 MB and of {SMALL} files, once");
            let half = tempfile::tempdir_in(top).expect("a writable folder");
            // A forge looks for deltas among all files; git's importer only holds each against the one before.
            import(half.path(), "broad", wide, &["--depth=0"], &["-f"]);
            import(half.path(), "many", many, &["--depth=0"], &["-f"]);
            std::fs::rename(half.keep(), &folder).expect("nobody else makes it");
        }
        Broad { folder }
    }

    /// The hash of the commit so many steps before the last one.
    pub fn commit(&self, repository: &str, back: usize) -> String {
        self.asked(repository, &["rev-parse", &format!("refs/heads/main~{back}")])
    }

    /// The commit before there was a go.mod.
    pub fn first(&self) -> String {
        self.commit("broad", COMMITS - 1)
    }

    /// How many files a commit has, and how large they are together.
    pub fn size(&self, repository: &str, commit: &str) -> (usize, u64) {
        let list = self.asked(repository, &["ls-tree", "-r", "-l", commit]);
        let sizes = list.lines().filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
    }

    fn asked(&self, repository: &str, arguments: &[&str]) -> String {
        let mut command: Command = git(&self.folder.join(repository));
        let output = command.args(arguments).output().expect("git is installed");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("digits and paths").trim().to_owned()
    }
}

fn wide(out: &mut dyn Write) -> std::io::Result<()> {
    let mut random = Random(7);
    for number in 1..=COMMITS {
        begin(out, number)?;
        match number {
            1 => {
                file(out, "LICENSE", b"Nobody's licence.\n")?;
                file(out, ".gitattributes", b"*.bin binary\nnotes/*.txt text eol=crlf\nident/*.go ident\n")?;
                file(out, "notes/read.txt", b"one\ntwo\n")?;
                file(out, "ident/id.go", b"package ident\n\n// $Id$\n")?;
                for name in 0..FILES {
                    file(out, &path(name), &contents(name, 0))?;
                }
            }
            2 => {
                file(out, "go.mod", format!("module {WIDE}\n\ngo 1.21\n").as_bytes())?;
                file(out, "tools/go.mod", format!("module {NESTED}\n\ngo 1.21\n").as_bytes())?;
                file(out, "tools/tool.go", b"package tools\n")?;
            }
            _ => {
                for _ in 0..CHANGES {
                    let name = random.below(FILES);
                    file(out, &path(name), &contents(name, number as u64))?;
                }
            }
        }
        if number == COMMITS {
            annotated(out, "v1.0.0", number)?;
            annotated(out, "tools/v1.0.0", number)?;
        }
    }
    Ok(())
}

fn many(out: &mut dyn Write) -> std::io::Result<()> {
    begin(out, 1)?;
    file(out, "go.mod", format!("module {MANY}\n").as_bytes())?;
    for name in 0..SMALL {
        let path = format!("area{}/unit{}/small{name}.go", name % 11, name % 307);
        file(out, &path, &text(name + 1_000_000, 2_000, 0))?;
    }
    for name in 0..LARGE {
        let bytes = if name % 2 == 0 { noise(name, LARGE_SIZE) } else { text(name, LARGE_SIZE, 0) };
        file(out, &format!("large/{name}.dat"), &bytes)?;
    }
    annotated(out, "v1.0.0", 1)
}

fn begin(out: &mut dyn Write, number: usize) -> std::io::Result<()> {
    writeln!(out, "commit refs/heads/main\nmark :{number}")?;
    person(out, number)?;
    data(out, format!("commit {number}\n").as_bytes())?;
    if number > 1 {
        writeln!(out, "from :{}", number - 1)?;
    }
    Ok(())
}

fn path(name: u64) -> String {
    let end = if is_noise(name) { "bin" } else { "go" };
    format!("service{}/api{}/part{}/file{name}.{end}", name % 17, name % 83, name % 251)
}

/// One file in eight does not get smaller.
fn is_noise(name: u64) -> bool {
    name % 8 == 5
}

/// A file as the commit `edition` has it.
fn contents(name: u64, edition: u64) -> Vec<u8> {
    // From 2 KB to 120 KB, 61 KB in the middle.
    let size = 2_000 + Random(name * 31 + 17).below(118_000);
    match is_noise(name) {
        true => noise(name * 1_000 + edition, size),
        // Files made by a tool are like each other: every fifth is its neighbour with other lines here and there.
        false if name % 5 == 4 && !is_noise(name - 1) => text(name - 1, size, name * 1_000 + edition),
        false => text(name, size, edition),
    }
}

fn noise(seed: u64, size: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes: Vec<u8> = (0..size / 8 + 1).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(size as usize);
    bytes
}

/// Text that shrinks about as Go's does; another edition differs in every hundredth line.
fn text(seed: u64, size: u64, edition: u64) -> Vec<u8> {
    let mut out = b"// Code that nobody wrote.\n\npackage part\n\n".to_vec();
    let mut number = 0;
    while (out.len() as u64) < size {
        number += 1;
        let salt = if number % 100 == edition % 100 { edition } else { 0 };
        let mut random = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 20) ^ (salt << 40) | 1);
        random.next();
        line(&mut random, &mut out);
    }
    out
}

fn line(random: &mut Random, out: &mut Vec<u8>) {
    const SHAPES: [&str; 10] = [
        "func (w *W) WW(ctx context.Context, w int) (*W, error) {\n",
        "\tif err != nil {\n\t\treturn nil, fmt.Errorf(\"w w: %w\", err)\n\t}\n",
        "\tw := w.W(ctx, w, N)\n",
        "\treturn &W{W: w.W, W: N, W: \"w/w\"}, nil\n}\n\n",
        "// WW is the w of a w that w and w share; see W for N more.\n",
        "type WW struct {\n\tW string `json:\"w,omitempty\"`\n\tW *W `json:\"w\"`\n}\n\n",
        "\tfor _, w := range w.W {\n\t\tw.W(w, N)\n\t}\n",
        "\tcase W:\n\t\treturn w.W(w)\n",
        "const W = N\n",
        "\tw.w, w.w = w(w.W), w[N]\n",
    ];
    let shape = SHAPES[random.below(SHAPES.len() as u64) as usize];
    let mut letters = shape.as_bytes().iter().peekable();
    let mut before = b' ';
    while let Some(&letter) = letters.next() {
        let alone = !before.is_ascii_lowercase() && !letters.peek().is_some_and(|next| next.is_ascii_lowercase());
        match letter {
            b'W' if alone => word(random, true, out),
            b'w' if alone && before != b'%' => word(random, false, out),
            b'N' if alone => out.extend(random.below(100_000).to_string().bytes()),
            letter => out.push(letter),
        }
        before = letter;
    }
}

/// One of some thousand words, the first ones more often.
fn word(random: &mut Random, capital: bool, out: &mut Vec<u8>) {
    const SYLLABLES: [&str; 16] =
        ["ser", "vice", "con", "fig", "na", "me", "re", "quest", "out", "put", "clus", "ter", "po", "li", "cy", "node"];
    let number = random.below(64) * random.below(64);
    let start = out.len();
    for shift in [0, 4, 8] {
        out.extend(SYLLABLES[(number >> shift & 15) as usize].bytes());
    }
    if capital {
        out[start].make_ascii_uppercase();
    }
}
