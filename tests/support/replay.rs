//! Replays a history into a bare repository. Everything that goes into a hash is fixed, so hashes never change.
//!
//! Objects are written byte for byte, not by git's porcelain: some histories hold what git would refuse to make.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{ObjectType, Oid, Repository, RepositoryInitOptions};

use super::fixture::{Fixture, Statement, Target};

const PERSON: &str = "modvet fixtures <fixtures@example.com>";

/// The names that a replayed history gave to its commits and tag objects.
#[derive(Debug, Default)]
pub struct Names {
    commits: BTreeMap<String, (Oid, i64)>,
    tag_objects: BTreeMap<String, Oid>,
}

impl Names {
    /// The id of a commit, as forty digits.
    pub fn commit(&self, name: &str) -> String {
        self.oid(name).to_string()
    }

    fn oid(&self, name: &str) -> Oid {
        self.commits.get(name).unwrap_or_else(|| panic!("no commit named {name}")).0
    }

    /// Replaces `{COMMIT}`, `{COMMIT:DIGITS}`, `{COMMIT:DIGITS upper}`, `{COMMIT.time}` (fourteen digits, UTC) and `{tag NAME}`
    /// (the id of an annotated tag's object, also with digits).
    pub fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after.split_once('}').unwrap_or_else(|| panic!("no closing brace: {text}"));
            out.push_str(before);
            out.push_str(&self.value(inside));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    fn value(&self, inside: &str) -> String {
        if let Some(name) = inside.strip_suffix(".time") {
            let seconds = self.commits.get(name).unwrap_or_else(|| panic!("no commit named {name}")).1;
            let time = chrono::DateTime::from_timestamp(seconds, 0).expect("a time of this age of the world");
            return time.format("%Y%m%d%H%M%S").to_string();
        }
        let (name, form) = inside.split_once(':').unwrap_or((inside, "40"));
        let id = match name.strip_prefix("tag ") {
            Some(tag) => self.tag_objects.get(tag).unwrap_or_else(|| panic!("no annotated tag {tag}")).to_string(),
            None => self.commit(name),
        };
        let digits = form.trim_end_matches(" upper").parse().expect("a number of digits");
        let short = &id[..digits];
        if form.ends_with(" upper") { short.to_uppercase() } else { short.to_owned() }
    }
}

/// Makes the bare repository `FOLDER/NAME` and says what its commits are called.
pub fn replay(fixture: &Fixture, folder: &Path) -> Names {
    let path = folder.join(&fixture.name);
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).initial_head("main");
    let repository = Repository::init_opts(&path, &options).expect("an empty repository");
    let mut replay = Replay::new(&repository);
    for step in &fixture.steps {
        replay.line = format!("fixtures/{}.repo:{}", fixture.name, step.line);
        replay.perform(&step.statement);
    }
    // Written by hand, since git2 refuses to point a ref at what it thinks is no commit.
    let refs: String = replay.refs.iter().map(|(name, id)| format!("{id} {name}\n")).collect();
    std::fs::write(path.join("packed-refs"), refs).expect("a writable repository");
    std::fs::write(path.join("HEAD"), &replay.head).expect("a writable repository");
    replay.names
}

/// A file of the tree being built: git's mode and the id of its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Leaf {
    mode: &'static str,
    id: Oid,
}

type Files = BTreeMap<Vec<u8>, Leaf>;

struct Replay<'r> {
    repository: &'r Repository,
    line: String,
    committed: i64,
    authored: i64,
    zone: String,
    author_zone: String,
    files: Files,
    branch: String,
    tip: Option<Oid>,
    merged: Vec<Oid>,
    trees: BTreeMap<Oid, Files>,
    refs: BTreeMap<String, Oid>,
    head: String,
    names: Names,
}

impl<'r> Replay<'r> {
    fn new(repository: &'r Repository) -> Self {
        Replay {
            repository,
            line: String::new(),
            committed: 0,
            authored: 0,
            zone: "+0000".to_owned(),
            author_zone: "+0000".to_owned(),
            files: Files::new(),
            branch: "main".to_owned(),
            tip: None,
            merged: Vec::new(),
            trees: BTreeMap::new(),
            refs: BTreeMap::new(),
            head: "ref: refs/heads/main\n".to_owned(),
            names: Names::default(),
        }
    }

    fn perform(&mut self, statement: &Statement) {
        match statement {
            Statement::At(seconds) => {
                (self.committed, self.authored) = (*seconds, *seconds);
                self.author_zone = self.zone.clone();
            }
            Statement::Zone(zone) => (self.zone, self.author_zone) = (zone.clone(), zone.clone()),
            Statement::Author { seconds, zone } => {
                self.authored = *seconds;
                self.author_zone = zone.clone().unwrap_or_else(|| self.zone.clone());
            }
            Statement::File { path, executable, content } => {
                let mode = if *executable { "100755" } else { "100644" };
                self.put(path, mode, content);
            }
            Statement::Padded { path, size } => self.pad(path, *size),
            Statement::Link { path, target } => self.put(path, "120000", target),
            Statement::Submodule { path, hash } => {
                let id = Oid::from_str(hash).expect("forty digits");
                self.files.insert(path.clone(), Leaf { mode: "160000", id });
            }
            Statement::Remove(path) => self.remove(path),
            Statement::Commit { name, message } => self.commit(name, message),
            Statement::Merge(names) => self.merge(names),
            Statement::Branch(name) => {
                self.branch = self.names.expand(name);
                let tip = self.tip.unwrap_or_else(|| panic!("{}: no commit yet", self.line));
                self.refs.insert(format!("refs/heads/{}", self.branch), tip);
            }
            Statement::Checkout(name) => {
                self.branch = self.names.expand(name);
                let tip = self.reference(&format!("refs/heads/{}", self.branch));
                self.tip = Some(tip);
                self.files = self.trees[&tip].clone();
            }
            Statement::Orphan(name) => {
                self.branch = name.clone();
                self.tip = None;
                self.files.clear();
            }
            Statement::DeleteBranch(name) => {
                self.refs.remove(&format!("refs/heads/{name}"));
            }
            Statement::Tag { name, target } => {
                let id = self.target(target);
                self.refs.insert(format!("refs/tags/{}", self.names.expand(name)), id);
            }
            Statement::AnnotatedTag { name, target } => self.annotated_tag(name, target),
            Statement::HeadBranch(name) => self.head = format!("ref: refs/heads/{name}\n"),
            Statement::HeadCommit(name) => self.head = format!("{}\n", self.names.oid(name)),
            Statement::Ref { name, commit } => {
                self.refs.insert(self.names.expand(name), self.names.oid(commit));
            }
        }
    }

    fn reference(&self, name: &str) -> Oid {
        *self.refs.get(name).unwrap_or_else(|| panic!("{}: no ref {name}", self.line))
    }

    fn write(&self, kind: ObjectType, content: &[u8]) -> Oid {
        let objects = self.repository.odb().expect("a repository has objects");
        objects.write(kind, content).expect("a writable repository")
    }

    fn put(&mut self, path: &[u8], mode: &'static str, content: &[u8]) {
        let id = self.write(ObjectType::Blob, content);
        self.files.insert(path.to_vec(), Leaf { mode, id });
    }

    fn pad(&mut self, path: &[u8], size: usize) {
        let leaf = *self.files.get(path).unwrap_or_else(|| panic!("{}: no such file", self.line));
        let mut content = self.repository.find_blob(leaf.id).expect("a file's bytes").content().to_vec();
        while content.len() + 2 <= size {
            let line = (size - content.len()).min(100);
            content.extend(b"//");
            content.extend(vec![b'-'; line.saturating_sub(3)]);
            content.push(b'\n');
        }
        self.put(path, leaf.mode, &content);
    }

    fn remove(&mut self, path: &[u8]) {
        let folder = [path, b"/"].concat();
        let before = self.files.len();
        self.files.retain(|file, _| file != path && !file.starts_with(&folder));
        assert!(self.files.len() < before, "{}: nothing to remove", self.line);
    }

    fn merge(&mut self, names: &[String]) {
        for name in names {
            let tip = match self.refs.get(&format!("refs/heads/{name}")) {
                Some(tip) => *tip,
                None => self.names.oid(name),
            };
            for (path, leaf) in &self.trees[&tip] {
                self.files.entry(path.clone()).or_insert(*leaf);
            }
            self.merged.push(tip);
        }
    }

    fn commit(&mut self, name: &str, message: &str) {
        let mut text = format!("tree {}\n", self.tree(&[]));
        for parent in self.tip.into_iter().chain(std::mem::take(&mut self.merged)) {
            text.push_str(&format!("parent {parent}\n"));
        }
        text.push_str(&format!("author {PERSON} {} {}\n", self.authored, self.author_zone));
        text.push_str(&format!("committer {PERSON} {} {}\n\n{message}\n", self.committed, self.zone));
        let id = self.write(ObjectType::Commit, text.as_bytes());
        let known = self.names.commits.insert(name.to_owned(), (id, self.committed));
        assert!(known.is_none(), "{}: a second commit named {name}", self.line);
        self.trees.insert(id, self.files.clone());
        self.refs.insert(format!("refs/heads/{}", self.branch), id);
        self.tip = Some(id);
    }

    fn annotated_tag(&mut self, name: &str, target: &Target) {
        let id = self.target(target);
        let kind = match target {
            Target::Here | Target::Commit(_) => "commit",
            Target::Blob(_) => "blob",
            Target::Tree(_) => "tree",
            Target::Tag(_) => "tag",
        };
        let text = format!(
            "object {id}\ntype {kind}\ntag {name}\ntagger {PERSON} {} {}\n\n{name}\n",
            self.committed, self.zone
        );
        let object = self.write(ObjectType::Tag, text.as_bytes());
        self.names.tag_objects.insert(name.to_owned(), object);
        self.refs.insert(format!("refs/tags/{name}"), object);
    }

    fn target(&self, target: &Target) -> Oid {
        match target {
            Target::Here => self.tip.unwrap_or_else(|| panic!("{}: no commit yet", self.line)),
            Target::Commit(name) => self.names.oid(name),
            Target::Blob(path) => self.files[path].id,
            Target::Tree(path) => self.tree(path),
            Target::Tag(name) => self.reference(&format!("refs/tags/{name}")),
        }
    }

    /// Writes the tree of a folder; `""` or `.` is the root.
    fn tree(&self, folder: &[u8]) -> Oid {
        let prefix = if folder.is_empty() || folder == b"." { Vec::new() } else { [folder, b"/"].concat() };
        // git sorts a folder as if its name ended in a slash.
        let mut entries: BTreeMap<Vec<u8>, Option<Leaf>> = BTreeMap::new();
        for (path, leaf) in &self.files {
            let Some(inside) = path.strip_prefix(prefix.as_slice()) else { continue };
            match inside.iter().position(|byte| *byte == b'/') {
                Some(slash) => entries.insert(inside[..=slash].to_vec(), None),
                None => entries.insert(inside.to_vec(), Some(*leaf)),
            };
        }
        let mut content = Vec::new();
        for (name, leaf) in entries {
            let name = name.strip_suffix(b"/").unwrap_or(&name);
            let (mode, id) = match leaf {
                Some(leaf) => (leaf.mode, leaf.id),
                None => ("40000", self.tree(&[&prefix, name].concat())),
            };
            content.extend(mode.as_bytes());
            content.push(b' ');
            content.extend(name);
            content.push(0);
            content.extend(id.as_bytes());
        }
        self.write(ObjectType::Tree, &content)
    }
}
