//! The module graph of a go.mod, and what `go mod download` would fetch of it.
//! Rules: go.dev/ref/mod#graph-pruning, `readModGraph` in `cmd/go/internal/modload/buildlist.go`, `go help mod download`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use indicatif::ProgressBar;

use super::fetch::AT_A_TIME;
use super::wanted::{Files, Key, Module};
use crate::error::{Error, Result};
use crate::spec::gomod::{Exclusion, GoMod, Replacement, Requirement, Target, language_version};
use crate::spec::path::ModulePath;
use crate::spec::version::{Version, compare};

/// Graphs of more versions than this are left at that.
const LARGEST: usize = 50_000;

/// Gives go.mod files of versions.
#[async_trait]
pub trait GoMods: Sync {
    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Bytes>;
}

/// What was found of a main module's graph.
pub struct Graph<'a> {
    main: &'a Module,
    /// Whether the main module's own requirements are all that its packages need.
    is_pruned: bool,
    /// The highest version that somebody asks for, by module.
    selected: BTreeMap<String, Version>,
    /// The go.mod files that were read, as they stand in their places.
    read: BTreeSet<Key>,
    pub failed: Vec<(Key, Error)>,
}

/// A version whose requirements are to be read, and whether only those of its own count.
type Step = (String, Version, bool);

/// A go.mod, and the version that it was fetched of; a folder's is of none.
type Read = (Option<Key>, Bytes);

/// What stands in a module's place.
enum Stead {
    Fetched(Key),
    /// Requirements of a folder's go.mod; nothing is fetched.
    Folder(Vec<u8>),
}

impl<'a> Graph<'a> {
    pub async fn load(source: &impl GoMods, main: &'a Module, bar: &ProgressBar) -> Graph<'a> {
        let is_pruned = is_at_least_1_17(&main.data);
        let (selected, read, failed) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let mut graph = Graph { main, is_pruned, selected, read, failed };
        let mut seen = HashSet::new();
        let mut level = graph.steps(&main.file, is_pruned, &mut seen);
        graph.select(&main.file);
        while !level.is_empty() && seen.len() < LARGEST {
            bar.set_length(seen.len() as u64);
            let reading = &graph;
            let answers: Vec<(Step, Result<Read>)> = stream::iter(level)
                .map(|step| async move {
                    let read = reading.read(source, &step).await;
                    bar.inc(1);
                    (step, read)
                })
                .buffer_unordered(AT_A_TIME)
                .collect()
                .await;
            level = Vec::new();
            for ((path, version, is_pruned), answer) in answers {
                let (key, data) = match answer {
                    Ok(read) => read,
                    Err(error) => {
                        graph.failed.extend(ModulePath::parse(&path).ok().map(|path| ((path, version), error)));
                        continue;
                    }
                };
                graph.read.extend(key);
                let file = GoMod::parse_lax(&data).unwrap_or_default();
                // What a pruned module's go.mod names is all that its packages need: the requirements of those do
                // not count. One without pruning has to be followed to the end.
                graph.select(&file);
                if !(is_pruned && is_at_least_1_17(&data)) {
                    level.extend(graph.steps(&file, false, &mut seen));
                }
            }
        }
        graph.failed.sort_by(|(a, _), (b, _)| a.cmp(b));
        graph
    }

    /// What a file requires and the main module does not exclude.
    fn required<'b>(&self, file: &'b GoMod) -> impl Iterator<Item = &'b Requirement> {
        let main = &self.main.file;
        file.require.iter().filter(move |require| {
            let is_main = main.module.as_deref() == Some(&require.path);
            let is_excluded = |out: &Exclusion| out.path == require.path && out.version == require.version;
            !is_main && !main.exclude.iter().any(is_excluded)
        })
    }

    /// Of every module the highest version that is asked for is selected.
    fn select(&mut self, file: &GoMod) {
        let required: Vec<&Requirement> = self.required(file).collect();
        for Requirement { path, version, .. } in required {
            let selected = self.selected.entry(path.clone()).or_insert_with(|| version.clone());
            if *selected < *version {
                selected.clone_from(version);
            }
        }
    }

    /// What of a file's requirements was not met before.
    fn steps(&self, file: &GoMod, is_pruned: bool, seen: &mut HashSet<Step>) -> Vec<Step> {
        let steps = self.required(file).map(|require| (require.path.clone(), require.version.clone(), is_pruned));
        steps.filter(|step| seen.insert(step.clone())).collect()
    }

    async fn read(&self, source: &impl GoMods, (path, version, _): &Step) -> Result<Read> {
        match self.stead(path, version)? {
            Stead::Folder(data) => Ok((None, data.into())),
            Stead::Fetched(key) => {
                let data = source.go_mod(&key.0, &key.1).await?;
                Ok((Some(key), data))
            }
        }
    }

    fn stead(&self, path: &str, version: &Version) -> Result<Stead> {
        let of_path = |replace: &&Replacement| replace.path == path;
        let replaces = self.main.file.replace.iter().filter(of_path);
        // One for the very version counts before one for all.
        let exact = replaces.clone().find(|replace| replace.version.as_ref() == Some(version));
        let replace = exact.or_else(|| replaces.clone().find(|replace| replace.version.is_none()));
        Ok(match replace.map(|replace| &replace.by) {
            Some(Target::Folder(folder)) => {
                let file = self.main.folder.join(folder).join("go.mod");
                Stead::Folder(std::fs::read(&file).unwrap_or_default())
            }
            Some(Target::Module { path, version, .. }) => Stead::Fetched((ModulePath::parse(path)?, version.clone())),
            None => Stead::Fetched((ModulePath::parse(path)?, version.clone())),
        })
    }

    /// What is to be fetched: the go.mod files of the graph, and the zips that a build may need.
    pub fn files(&self) -> BTreeMap<Key, Files> {
        let mut files: BTreeMap<Key, Files> = self.read.iter().map(|key| (key.clone(), Files::of_graph())).collect();
        let direct: HashSet<&str> = self.main.file.require.iter().map(|require| require.path.as_str()).collect();
        for (path, version) in &self.selected {
            if self.is_pruned && !direct.contains(path.as_str()) {
                continue;
            }
            if let Ok(Stead::Fetched(key)) = self.stead(path, version) {
                files.entry(key).or_default().add(Files::all());
            }
        }
        // What could not be read is told once.
        for (key, _) in &self.failed {
            files.remove(key);
        }
        files
    }
}

/// Whether a module's requirements are all that its packages need.
fn is_at_least_1_17(data: &[u8]) -> bool {
    language_version(data).is_some_and(|version| compare(&format!("v{version}"), "v1.17") != Ordering::Less)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// go.mod files by `path@version`.
    struct Known(Vec<(&'static str, &'static str)>);

    #[async_trait]
    impl GoMods for Known {
        async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Bytes> {
            let name = format!("{module}@{version}");
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| Bytes::from_static(text.as_bytes())).ok_or_else(|| Error::not_found("unknown"))
        }
    }

    async fn fetched(main: &str, known: &[(&'static str, &'static str)]) -> (Vec<String>, Vec<String>) {
        let file = GoMod::parse(main.as_bytes()).expect("a go.mod");
        let module = Module { folder: "nowhere".into(), data: main.as_bytes().to_vec(), file };
        let graph = Graph::load(&Known(known.to_vec()), &module, &ProgressBar::hidden()).await;
        let shown = |((path, version), files): (Key, Files)| {
            let zip = if files.zip { " zip" } else { "" };
            format!("{path}@{version}{zip}")
        };
        let failed = graph.failed.iter().map(|((path, version), _)| format!("{path}@{version}")).collect();
        (graph.files().into_iter().map(shown).collect(), failed)
    }

    const OLD: &[(&str, &str)] = &[
        ("x.y/a@v1.0.0", "module x.y/a\nrequire x.y/b v1.0.0\n"),
        ("x.y/b@v1.0.0", "module x.y/b\nrequire x.y/c v1.0.0\n"),
        ("x.y/b@v1.1.0", "module x.y/b\n"),
        ("x.y/c@v1.0.0", "module x.y/c\n"),
    ];

    #[tokio::test]
    async fn without_pruning_every_go_mod_is_read_and_the_build_list_is_fetched() {
        let main = "module x.y/main\ngo 1.16\nrequire (\n\tx.y/a v1.0.0\n\tx.y/b v1.1.0\n)\n";
        let (files, failed) = fetched(main, OLD).await;
        assert_eq!(files, ["x.y/a@v1.0.0 zip", "x.y/b@v1.0.0", "x.y/b@v1.1.0 zip", "x.y/c@v1.0.0 zip"]);
        assert!(failed.is_empty());
    }

    #[tokio::test]
    async fn from_1_17_on_zips_are_those_of_explicit_requirements() {
        let main = "module x.y/main\ngo 1.17\nrequire (\n\tx.y/a v1.0.0\n\tx.y/b v1.1.0 // indirect\n)\n";
        let (files, _) = fetched(main, OLD).await;
        assert_eq!(files, ["x.y/a@v1.0.0 zip", "x.y/b@v1.0.0", "x.y/b@v1.1.0 zip", "x.y/c@v1.0.0"]);
    }

    #[tokio::test]
    async fn the_requirements_of_what_a_pruned_module_requires_do_not_count() {
        let known = &[
            ("x.y/a@v1.0.0", "module x.y/a\ngo 1.17\nrequire x.y/b v1.0.0\n"),
            ("x.y/b@v1.0.0", "module x.y/b\ngo 1.17\nrequire x.y/c v1.0.0\n"),
        ];
        let (files, failed) = fetched("module x.y/main\ngo 1.21\nrequire x.y/a v1.0.0\n", known).await;
        assert_eq!((files, failed), (vec!["x.y/a@v1.0.0 zip".to_owned()], vec![]));
    }

    #[tokio::test]
    async fn replacements_and_exclusions_of_the_main_module_count() {
        let main = "module x.y/main\ngo 1.16\nrequire (\n\tx.y/a v1.0.0\n\tx.y/d v1.0.0\n)\n\
                    replace x.y/b => x.y/fork v1.5.0\nreplace x.y/d => ../d\nexclude x.y/c v1.0.0\n";
        let known = &[OLD[0], ("x.y/fork@v1.5.0", "module x.y/b\nrequire x.y/c v1.0.0\n")];
        let (files, failed) = fetched(main, known).await;
        assert_eq!(files, ["x.y/a@v1.0.0 zip", "x.y/fork@v1.5.0 zip"]);
        assert!(failed.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_and_the_rest_fetched() {
        let main = "module x.y/main\ngo 1.16\nrequire (\n\tx.y/c v1.0.0\n\tx.y/gone v1.0.0\n)\n";
        let (files, failed) = fetched(main, OLD).await;
        assert_eq!((files, failed), (vec!["x.y/c@v1.0.0 zip".to_owned()], vec!["x.y/gone@v1.0.0".to_owned()]));
    }
}
