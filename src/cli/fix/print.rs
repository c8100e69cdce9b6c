//! What was done, for people, for programs, as a diff.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use similar::TextDiff;

use super::plan::{Change, Fixed, Unverified};

/// The end of a run.
pub struct Summary<'a> {
    pub fixed: &'a [Fixed],
    pub unverified: &'a [Unverified],
    /// How many pseudo-versions were looked at.
    pub judged: usize,
    /// Whether the files were written.
    pub written: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    files: Vec<File<'a>>,
    unverified: &'a [Unverified],
    judged: usize,
    written: bool,
    next: Vec<String>,
}

#[derive(Serialize)]
struct File<'a> {
    path: String,
    changes: &'a [Change],
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// A unified diff of all files, as `git apply` and `patch -p1` take it.
pub fn diff(fixed: &[Fixed]) -> Vec<u8> {
    let here = std::env::current_dir().unwrap_or_default();
    let mut out = Vec::new();
    for file in fixed {
        let path = file.path.strip_prefix(&here).unwrap_or(&file.path).display().to_string();
        let path = path.trim_start_matches('/');
        let lines = TextDiff::from_lines(&file.before[..], &file.after[..]);
        let mut unified = lines.unified_diff();
        unified.header(&format!("a/{path}"), &format!("b/{path}"));
        unified.to_writer(&mut out).expect("memory takes all that is written");
    }
    out
}

/// The commands that come next: one for each module that changed.
pub fn next(fixed: &[Fixed]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for file in fixed {
        let command = match file.path.file_name().and_then(|name| name.to_str()) {
            Some("go.work" | "go.work.sum") => "go work sync",
            _ => "go mod tidy",
        };
        let folder = file.path.parent().filter(|folder| !folder.as_os_str().is_empty() && *folder != Path::new("."));
        let command = match folder {
            Some(folder) => format!("(cd {} && {command})", quoted(folder)),
            None => command.to_owned(),
        };
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands
}

/// A folder as a shell reads it.
fn quoted(folder: &Path) -> String {
    let text = folder.display().to_string();
    let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+@".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Summary<'_> {
    pub fn json(&self, with_diff: bool) -> String {
        let file = |fixed| {
            let Fixed { path, changes, .. }: &Fixed = fixed;
            let diff = with_diff.then(|| String::from_utf8_lossy(&diff(std::slice::from_ref(fixed))).into_owned());
            File { path: path.display().to_string(), changes, diff }
        };
        let answer = Answer {
            files: self.fixed.iter().map(file).collect(),
            unverified: self.unverified,
            judged: self.judged,
            written: self.written,
            next: next(self.fixed),
        };
        serde_json::to_string_pretty(&answer).expect("strings and numbers always serialize")
    }

    /// The lines for people: what changed and what comes next.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in self.fixed {
            let path = file.path.display();
            file.changes.iter().for_each(|change| text.push_str(&lines(&path.to_string(), change)));
        }
        match self.fixed.len() {
            0 if self.unverified.is_empty() => {
                let judged = count(self.judged, "pseudo-version");
                text.push_str(&format!("nothing to fix: {judged} looked at\n"));
            }
            0 => text.push_str("nothing fixed\n"),
            files => {
                text.push_str(&format!("fixed {}\n", count(files, "file")));
                next(self.fixed).iter().for_each(|command| text.push_str(&format!("next: {command}\n")));
            }
        }
        text
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn lines(path: &str, change: &Change) -> String {
    let (head, reasons): (String, &[String]) = match change {
        Change::Corrected { line, module, wrong, right, reasons, .. } => {
            (format!("{path}:{line}: {module}@{wrong} -> {right}"), reasons)
        }
        Change::Replaced { module, wrong, right, required_by, reasons } => {
            let asker = required_by.as_deref().unwrap_or("a dependency");
            (format!("{path}: replace {module} {wrong} => {right}, since {asker} requires it"), reasons)
        }
        Change::Dropped { module, wrong, lines } => {
            (format!("{path}: {} of {module}@{wrong} dropped", count(*lines, "line")), &[])
        }
    };
    let reasons: String = reasons.iter().map(|reason| format!("    {reason}\n")).collect();
    format!("{head}\n{reasons}")
}

/// Says on standard error what could not be verified.
pub fn warn(unverified: &[Unverified]) {
    for Unverified { path, line, module, version, why } in unverified {
        eprintln!("{}:{line}: {module}@{version}: could not be verified: {why}", path.display());
    }
}

/// Bytes to standard output as they are. A reader that went away needs no answer.
pub fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn fixed(path: &str, before: &str, after: &str) -> Fixed {
        let (before, after) = (before.as_bytes().to_vec(), after.as_bytes().to_vec());
        Fixed { path: PathBuf::from(path), before, after, changes: Vec::new() }
    }

    #[test]
    fn a_diff_can_be_applied() {
        let files = [fixed("a/go.mod", "module m\n\nrequire x v1\n", "module m\n\nrequire x v2\n")];
        let expected = "--- a/a/go.mod\n+++ b/a/go.mod\n@@ -1,3 +1,3 @@\n module m\n \n-require x v1\n+require x v2\n";
        assert_eq!(String::from_utf8_lossy(&diff(&files)), expected);
    }

    #[test]
    fn every_module_is_tidied_once() {
        let files = ["go.mod", "go.sum", "b c/go.mod", "go.work", "./d/go.sum"].map(|path| fixed(path, "", ""));
        assert_eq!(
            next(&files),
            ["go mod tidy", "(cd 'b c' && go mod tidy)", "go work sync", "(cd ./d && go mod tidy)"]
        );
    }
}
