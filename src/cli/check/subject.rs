//! What is to be judged: a version that the files of one folder name, with all its places.

use std::collections::{HashMap, HashSet};

use super::finding::Place;
use super::read::{Mention, Reading, Role};
use crate::spec::gomod::Target;
use crate::spec::version::Version;

/// What becomes of a version before the go command would fetch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Fetched,
    /// Another module version is put in its place.
    Replaced,
    /// Its code lies in a folder: nobody asks what the version means.
    Local,
}

/// A version of a module, as the files of one folder name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub folder: String,
    pub module: String,
    pub version: Version,
    pub fate: Fate,
    /// The most telling one first.
    pub places: Vec<(Role, Place)>,
    /// What a go.sum says of its go.mod.
    pub go_mod_h1: Option<String>,
}

impl Subject {
    /// Whether a build takes it, as far as the go.mod says.
    pub fn is_used(&self) -> bool {
        let uses = |role: &Role| matches!(role, Role::Require | Role::Indirect | Role::Replacement { .. });
        self.fate == Fate::Fetched && self.places.iter().any(|(role, _)| uses(role))
    }

    /// Whether only a dependency asks for it, as far as the go.mod says.
    pub fn is_transitive(&self) -> bool {
        self.places.iter().all(|(role, _)| matches!(role, Role::Indirect | Role::Sum))
    }

    pub fn key(&self) -> (String, Version) {
        (self.module.clone(), self.version.clone())
    }
}

/// Everything that is named, in the order of the files.
pub fn subjects(reading: &Reading) -> Vec<Subject> {
    let substitutes = Substitutes::of(reading);
    let mut subjects: Vec<Subject> = Vec::new();
    let mut known: HashMap<(&str, &str, &Version), usize> = HashMap::new();
    for mention in &reading.mentions {
        let key = (mention.folder.as_str(), mention.module.as_str(), &mention.version);
        let at = *known.entry(key).or_insert_with(|| {
            subjects.push(Subject {
                folder: mention.folder.clone(),
                module: mention.module.clone(),
                version: mention.version.clone(),
                fate: substitutes.fate(mention),
                places: Vec::new(),
                go_mod_h1: None,
            });
            subjects.len() - 1
        });
        let subject = &mut subjects[at];
        subject.go_mod_h1 = subject.go_mod_h1.take().or_else(|| mention.go_mod_h1.clone());
        // A go.sum names most versions twice, for the zip and for the go.mod.
        let again = |(role, place): &(Role, Place)| *role == Role::Sum && place.file == mention.place.file;
        if mention.role != Role::Sum || !subject.places.iter().any(again) {
            subject.places.push((mention.role.clone(), mention.place.clone()));
        }
    }
    for subject in &mut subjects {
        subject.places.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    subjects
}

/// What stands in for which versions, folder by folder.
struct Substitutes<'a> {
    replacements: HashMap<&'a str, Vec<Replacement<'a>>>,
    /// What replace directives lead to: it is not replaced once more.
    targets: HashSet<(&'a str, &'a str, &'a Version)>,
    /// The modules of a workspace, by the folder of its go.work.
    local: HashSet<(&'a str, &'a str)>,
    /// The folders that hold a go.work, with those that it is for.
    workspaces: Vec<(&'a str, Vec<String>)>,
}

struct Replacement<'a> {
    path: &'a str,
    version: Option<&'a Version>,
    is_local: bool,
}

impl<'a> Substitutes<'a> {
    fn of(reading: &'a Reading) -> Substitutes<'a> {
        let modules = reading.modules.iter().map(|(folder, file)| (folder.as_str(), &file.replace));
        let works = reading.workspaces.iter().map(|(folder, file)| (folder.as_str(), &file.replace));
        let mut replacements: HashMap<&str, Vec<Replacement<'_>>> = HashMap::new();
        let mut targets = HashSet::new();
        for (folder, replace) in modules.chain(works).flat_map(|(folder, all)| all.iter().map(move |r| (folder, r))) {
            if let Target::Module { path, version, .. } = &replace.by {
                targets.insert((folder, path.as_str(), version));
            }
            let is_local = matches!(replace.by, Target::Folder(_));
            let replacement = Replacement { path: &replace.path, version: replace.version.as_ref(), is_local };
            replacements.entry(folder).or_default().push(replacement);
        }
        let mut local = HashSet::new();
        let mut workspaces = Vec::new();
        for (folder, work) in &reading.workspaces {
            let used: Vec<String> = work.folders.iter().map(|used| joined(folder, used)).collect();
            for (_, module) in reading.modules.iter().filter(|(folder, _)| used.contains(folder)) {
                local.extend(module.module.as_deref().map(|path| (folder.as_str(), path)));
            }
            workspaces.push((folder.as_str(), used));
        }
        Substitutes { replacements, targets, local, workspaces }
    }

    fn fate(&self, mention: &Mention) -> Fate {
        if matches!(mention.role, Role::Replacement { .. }) {
            return Fate::Fetched;
        }
        let folder = mention.folder.as_str();
        let uses = |(_, used): &&(&str, Vec<String>)| used.iter().any(|used| used == folder);
        let workspaces = self.workspaces.iter().filter(uses).map(|(workspace, _)| *workspace);
        let mut scopes: Vec<&str> = workspaces.chain([folder]).collect();
        scopes.dedup();
        let (module, version) = (mention.module.as_str(), &mention.version);
        if scopes.iter().any(|scope| self.targets.contains(&(*scope, module, version))) {
            return Fate::Fetched;
        }
        if scopes.iter().any(|scope| self.local.contains(&(*scope, module))) {
            return Fate::Local;
        }
        let replacements = scopes.iter().filter_map(|scope| self.replacements.get(scope)).flatten();
        let mut applied = replacements.filter(|replacement| {
            replacement.path == module && replacement.version.is_none_or(|replaced| replaced == version)
        });
        match applied.next() {
            Some(replacement) if replacement.is_local => Fate::Local,
            Some(_) => Fate::Replaced,
            None => Fate::Fetched,
        }
    }
}

/// A folder that a go.work names, as our names of files begin.
fn joined(folder: &str, used: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in used.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::find::Named;
    use super::super::read::read;
    use super::*;
    use crate::cli::files::FileKind;

    const WRONG: &str = "v0.0.0-20180221000001-633c27990c82";
    const RIGHT: &str = "v0.0.0-20180221000000-633c27990c82";

    /// What becomes of every version that these files name, and how many places each has.
    fn fates(files: &[(&str, &str)]) -> Vec<(String, Fate, usize)> {
        let top = tempfile::tempdir().expect("a temporary folder");
        let found: Vec<Named> = files
            .iter()
            .map(|(name, text)| {
                let path = top.path().join(name);
                std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
                let text = text.replace("WRONG", WRONG).replace("RIGHT", RIGHT);
                std::fs::write(&path, text).expect("a writable folder");
                let kind = match name.rsplit('/').next().expect("a last part") {
                    "go.mod" => FileKind::Mod,
                    "go.work" => FileKind::Work,
                    _ => FileKind::Sum,
                };
                Named { path, name: (*name).to_owned(), kind }
            })
            .collect();
        let reading = read(&found);
        assert_eq!(reading.faults, [], "the files are well");
        let shown = |subject: Subject| {
            let version = if subject.version.as_str() == WRONG { "WRONG" } else { "RIGHT" };
            let folder = if subject.folder.is_empty() { String::new() } else { format!("{}/", subject.folder) };
            (format!("{folder}{}@{version}", subject.module), subject.fate, subject.places.len())
        };
        subjects(&reading).into_iter().map(shown).collect()
    }

    fn rows(rows: &[(&str, Fate, usize)]) -> Vec<(String, Fate, usize)> {
        rows.iter().map(|(name, fate, places)| ((*name).to_owned(), *fate, *places)).collect()
    }

    #[test]
    fn a_folder_names_a_version_once() {
        let sums = "x.y/m WRONG h1:a=\nx.y/m WRONG/go.mod h1:b=\nx.y/n v1.0.0 h1:c=\n";
        let found = fates(&[("go.mod", "module a\nrequire x.y/m WRONG\n"), ("go.sum", sums), ("b/go.sum", sums)]);
        assert_eq!(found, rows(&[("x.y/m@WRONG", Fate::Fetched, 2), ("b/x.y/m@WRONG", Fate::Fetched, 1)]));
    }

    #[test]
    fn what_is_replaced_is_not_fetched() {
        let text = "module a\nrequire x.y/m WRONG\nreplace x.y/m WRONG => x.y/m RIGHT\n";
        let sums = "x.y/m RIGHT h1:a=\nx.y/m WRONG h1:a=\n";
        let expected = rows(&[("x.y/m@WRONG", Fate::Replaced, 3), ("x.y/m@RIGHT", Fate::Fetched, 2)]);
        assert_eq!(fates(&[("go.mod", text), ("go.sum", sums)]), expected, "one version");
        let text = text.replace("m WRONG =>", "m =>");
        let expected = rows(&[("x.y/m@WRONG", Fate::Replaced, 2), ("x.y/m@RIGHT", Fate::Fetched, 2)]);
        assert_eq!(fates(&[("go.mod", &text), ("go.sum", sums)]), expected, "all versions");
        let text = "module a\nrequire x.y/m WRONG\nreplace x.y/m => ../m\n";
        assert_eq!(fates(&[("go.mod", text)]), rows(&[("x.y/m@WRONG", Fate::Local, 1)]), "by a folder");
    }

    #[test]
    fn a_workspace_counts_for_the_folders_that_it_uses() {
        let work = "go 1.22\nuse ./a\nuse ./b\nreplace x.y/m => x.y/m RIGHT\n";
        let module = "module x.y/a\nrequire x.y/m WRONG\nrequire x.y/b WRONG\n";
        let files = [("go.work", work), ("a/go.mod", module), ("b/go.mod", "module x.y/b\n"), ("c/go.mod", module)];
        let expected = [
            ("x.y/m@RIGHT", Fate::Fetched, 1),
            ("a/x.y/m@WRONG", Fate::Replaced, 1),
            ("a/x.y/b@WRONG", Fate::Local, 1),
            ("c/x.y/m@WRONG", Fate::Fetched, 1),
            ("c/x.y/b@WRONG", Fate::Fetched, 1),
        ];
        assert_eq!(fates(&files), rows(&expected));
    }
}
