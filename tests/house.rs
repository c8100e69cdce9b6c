//! Keeps the walls of the house: which room may use which, how long a file may be, what may not stand where.
//!
//! The table is that of docs/architecture.md; a new edge is a change to it there and here, with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A room and the rooms it may use. `*` is all of them.
const ROOMS: &[(&str, &str)] = &[
    ("error", ""),
    ("secret", ""),
    ("spec", "error"),
    ("ports", "error spec"),
    ("vet", "error spec ports"),
    ("net", "error secret"),
    ("git", "error spec ports net"),
    ("upstream", "error spec ports net"),
    ("store", "error spec ports"),
    // What may pass, and that it never changes, is asked of every answer.
    ("registry", "error secret spec ports vet access"),
    ("sumdb", "error spec ports net"),
    ("monitor", "error spec ports net"),
    // A token's text is never printed.
    ("access", "error secret spec ports"),
    ("ui", "error spec ports registry monitor access"),
    ("http", "error spec ports registry sumdb monitor access ui"),
    // A definition and a rule are the same in the file and at run time.
    ("config", "error secret spec vet registry monitor access"),
    ("cli", "*"),
    // The doors: they name rooms to open them.
    ("lib", "*"),
    ("main", "*"),
];

const LONGEST_FILE: usize = 500;

/// Where a word may not stand, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("spec vet", &["std::fs", "std::net", "tokio", "git2", "sled", "reqwest", "async fn", ".await"], "no IO, no async"),
    ("spec vet", &["Utc::now", "SystemTime", "Instant::now"], "no clock"),
    (
        "ports net git upstream store registry sumdb monitor access ui http",
        &["Utc::now", "Local::now"],
        "the Clock is handed in",
    ),
    ("git", &["tokio::fs", "std::process::Command"], "no git is needed to run modvet, except ssh's"),
    (
        "error spec ports vet net git upstream store registry sumdb monitor access ui http config cli",
        &["thread::sleep"],
        "wait on a condition; a delay is tokio's",
    ),
    (
        "error spec ports vet net git upstream store registry sumdb monitor access ui config cli",
        &["StatusCode"],
        "errors are mapped to statuses in src/http only",
    ),
    (
        "error spec ports vet net git upstream store registry sumdb monitor access ui config http",
        &["println!", "eprintln!", "print!(", "eprint!("],
        "only commands speak to the terminal",
    ),
];

/// Exceptions to this table, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("net", "StatusCode", "the outgoing client reads other people's statuses"),
    ("git", "StatusCode", "a git server's refusal is told from its absence by its status"),
    ("store", "thread::sleep", "another process's lock gives no sign when it goes"),
    ("upstream", "StatusCode", "absence and failure of another proxy are told apart by its status"),
    ("git", "std::process::Command", "ssh:// goes through the system's ssh"),
];

#[test]
fn every_room_uses_only_what_the_table_allows() {
    let rooms: BTreeMap<&str, &str> = ROOMS.iter().copied().collect();
    let mut faults = Vec::new();
    for file in sources() {
        let room = room(&file);
        let Some(allowed) = rooms.get(room.as_str()) else {
            faults.push(format!("{}: no room {room} in the table", shown(&file)));
            continue;
        };
        if *allowed == "*" {
            continue;
        }
        let allowed: BTreeSet<&str> = allowed.split(' ').chain([room.as_str()]).collect();
        for used in uses(&code(&file)) {
            if !allowed.contains(used.as_str()) {
                faults.push(format!("{}: {room} must not use {used}", shown(&file)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let mut files = sources();
    for folder in ["tests", "benches"] {
        walk(&top().join(folder), &mut files);
    }
    let lengths = files.iter().map(|file| (file, read(file).lines().count()));
    let faults: Vec<String> = lengths
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(file, lines)| format!("{}: {lines} lines (expected at most {LONGEST_FILE})", shown(file)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_stands_where_it_must_not() {
    let mut faults = Vec::new();
    for file in sources() {
        let room = room(&file);
        if is_test(&file) {
            continue;
        }
        let text = code(&file);
        let text = without_tests(&text);
        for (rooms, words, why) in FORBIDDEN {
            if !rooms.split(' ').any(|forbidden| forbidden == room) {
                continue;
            }
            for word in *words {
                let is_allowed = ALLOWED.iter().any(|(in_room, allowed, _)| *in_room == room && allowed == word);
                if text.contains(word) && !is_allowed {
                    faults.push(format!("{}: {word} ({why})", shown(&file)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_opens_with_what_it_knows() {
    let mut faults = Vec::new();
    for (room, _) in ROOMS {
        let folder = top().join("src").join(room).join("mod.rs");
        let file = if folder.is_file() { folder } else { top().join("src").join(format!("{room}.rs")) };
        // A room that is planned and not built yet; the doors open with what the program is.
        if !file.is_file() || matches!(*room, "lib" | "main") {
            continue;
        }
        let lines = read(&file).lines().take_while(|line| line.starts_with("//!")).count();
        if lines < 3 {
            faults
                .push(format!("{}: {lines} lines at its door (expected 3: knows, must not know, rules)", shown(&file)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_dependency_has_its_reason() {
    let mut faults = Vec::new();
    let mut is_dependencies = false;
    for line in read(&top().join("Cargo.toml")).lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_dependencies = section.trim_end_matches(']').ends_with("dependencies");
            continue;
        }
        let is_entry = is_dependencies && line.contains(" = ") && !line.starts_with('#');
        if is_entry && !line.contains(" # ") {
            faults.push(format!("Cargo.toml: {line}: no reason beside it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn uses_are_found_in_every_form() {
    let found = |text: &str| uses(text).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::spec::path::ModulePath;"), ["spec"], "plain");
    assert_eq!(found("use crate::{error::Result, net};\n"), ["error", "net"], "group");
    assert_eq!(found("use crate::{\n    git::{Pack, refs::Refs},\n    store,\n};"), ["git", "store"], "nested group");
    assert_eq!(found("fn f(a: crate::vet::Mode) -> crate::error::Result<()>"), ["error", "vet"], "path in code");
    assert_eq!(found("pub(crate) fn f()"), Vec::<String>::new(), "visibility");
    assert_eq!(
        without_comments("a // crate::net\nb /* crate::git */ c \"// kept\""),
        "a \nb  c \"// kept\"",
        "comments"
    );
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(&top().join("src"), &mut files);
    assert!(!files.is_empty(), "src holds no file");
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn code(file: &Path) -> String {
    without_comments(&read(file))
}

/// Whether a file is part of the tests only: declared under `#[cfg(test)]` by the module above it.
fn is_test(file: &Path) -> bool {
    let stem = file.file_stem().expect("a file has a name").to_string_lossy();
    let folder = file.parent().expect("a file has a folder");
    if folder.starts_with(top().join("src")) && folder != top().join("src") && is_test(&folder.with_extension("rs")) {
        return true;
    }
    [folder.join("mod.rs"), folder.with_extension("rs"), folder.join("lib.rs")].iter().any(|above| {
        let text = std::fs::read_to_string(above).unwrap_or_default();
        let declared = text.split("#[cfg(test)]").skip(1).filter_map(|after| after.split(';').next());
        declared.into_iter().any(|declaration| declaration.trim().ends_with(&format!("mod {stem}")))
    })
}

/// The text without its inline tests, which stand last.
fn without_tests(text: &str) -> &str {
    let tests = text.match_indices("#[cfg(test)]").find(|(at, found)| {
        let after = text[at + found.len()..].trim_start();
        after.starts_with("mod ") && after.lines().next().is_some_and(|line| line.trim_end().ends_with('{'))
    });
    tests.map_or(text, |(at, _)| &text[..at])
}

fn shown(file: &Path) -> String {
    file.strip_prefix(top()).unwrap_or(file).display().to_string()
}

/// The room of a file: `src/git/pack.rs` and `src/git.rs` are in `git`.
fn room(file: &Path) -> String {
    let inside = file.strip_prefix(top().join("src")).expect("a file of src");
    let first = inside.components().next().expect("a path has a part").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that `crate::…` leads to, in imports, groups of imports and paths.
fn uses(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(members(group)),
            None => rooms.extend(first_name(rest)),
        }
    }
    rooms
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first names of a group's members, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.extend(first_name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(first_name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

/// The text without comments; `//` inside a string is kept.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut is_string = false;
    while let Some(c) = rest.chars().next() {
        if !is_string && rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            continue;
        }
        if !is_string && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
            continue;
        }
        let is_char = !is_string && (rest.starts_with("'\"'") || rest.starts_with("'\\\"'"));
        let is_escape = is_string && c == '\\';
        let length = match (is_char, is_escape) {
            (true, _) => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            (_, true) => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        is_string ^= !is_char && c == '"';
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}
