//! What the real go command says of every fixture: asked, recorded under `testdata/oracle/`, read back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::fixture::Fixture;
use super::git_server::{Flavour, GitServer};
use super::go::Go;
use super::replay::{Names, replay};

/// The hosts whose addresses lead to the git server of the fixtures.
pub const HOSTS: [&str; 2] = ["github.com", "git.example.test"];

/// The longest go.mod that is recorded as text.
const SHOWN: usize = 2048;

/// All answers about one fixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The release that answered.
    pub go: String,
    pub modules: Vec<ModuleRecord>,
}

/// All answers about one module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleRecord {
    pub module: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_error: Option<String>,
    /// The first is `latest`.
    pub answers: Vec<Answer>,
}

/// What `go mod download MODULE@QUERY` says in direct mode with empty caches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// As the fixture writes it.
    pub query: String,
    /// With names replaced by hashes, where that makes a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What the answer to the query rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<serde_json::Value>,
    /// What the version's own `.info` rests on, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info_origin: Option<serde_json::Value>,
    /// Up to 2 KiB of UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go_mod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go_mod_h1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h1: Option<String>,
    /// What the zip holds, where the module has this `h1` for the first time; see `h1::contents`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For a refused pseudo-version: what its hash alone resolves to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
}

impl Answer {
    /// The query as clients send it.
    pub fn asked(&self) -> &str {
        self.asked.as_deref().unwrap_or(&self.query)
    }
}

/// The fixtures as repositories behind a git server, and the go command beside it.
pub struct Oracle {
    // Held for its drop: the repositories lie in it.
    _folder: TempDir,
    pub server: GitServer,
    pub go: Go,
    names: Vec<(String, Names)>,
}

impl Oracle {
    pub fn over(fixtures: &[Fixture], flavour: Flavour) -> Oracle {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = fixtures.iter().map(|fixture| (fixture.name.clone(), replay(fixture, folder.path()))).collect();
        let server = GitServer::start(folder.path(), flavour);
        let go = Go::new(&server.url(), &HOSTS);
        Oracle { _folder: folder, server, go, names }
    }

    /// What the commits of a fixture are called.
    pub fn names(&self, fixture: &str) -> &Names {
        let found = self.names.iter().find(|(name, _)| name == fixture);
        &found.unwrap_or_else(|| panic!("no fixture {fixture}")).1
    }

    /// Asks go everything that a fixture is there for.
    pub fn ask(&self, fixture: &Fixture) -> Record {
        let names = self.names(&fixture.name);
        let modules = fixture.modules.iter().map(|module| {
            let (list, list_error) = match self.go.versions(&module.path) {
                Ok(list) => (Some(list), None),
                Err(error) => (None, Some(error)),
            };
            let queries = std::iter::once("latest").chain(module.queries.iter().map(String::as_str));
            let mut answers: Vec<Answer> = queries.map(|query| self.answer(&module.path, query, names)).collect();
            let mut seen = BTreeSet::new();
            for answer in answers.iter_mut().filter(|answer| !seen.insert(answer.h1.clone())) {
                answer.files.clear();
            }
            ModuleRecord { module: module.path.clone(), list, list_error, answers }
        });
        Record { go: super::go::release(), modules: modules.collect() }
    }

    fn answer(&self, module: &str, query: &str, names: &Names) -> Answer {
        let asked = names.expand(query);
        let (download, _cache) = self.go.download(module, &asked);
        let mut answer = Answer {
            query: query.to_owned(),
            origin: download.origin,
            go_mod_h1: present(download.go_mod_sum),
            h1: present(download.sum),
            error: present(download.error),
            ..Answer::default()
        };
        if let Ok(info) = std::fs::read(&download.info) {
            let info: serde_json::Value = serde_json::from_slice(&info).expect("go writes json");
            let text = |key: &str| info[key].as_str().map(str::to_owned);
            (answer.version, answer.time) = (text("Version"), text("Time"));
            answer.info_origin = info.get("Origin").filter(|origin| Some(*origin) != answer.origin.as_ref()).cloned();
        }
        if let Ok(zip) = std::fs::read(&download.zip) {
            answer.files = super::h1::contents(&zip).expect("go writes zips");
        }
        if let Ok(go_mod) = std::fs::read(&download.go_mod) {
            answer.go_mod = (go_mod.len() <= SHOWN).then(|| String::from_utf8(go_mod).ok()).flatten();
        }
        if let (None, Some(hash)) = (&answer.version, hash_of_pseudo_version(&asked)) {
            let (right, _cache) = self.go.download(module, hash);
            answer.right = right.info.is_file().then_some(right.version);
        }
        answer.asked = (asked != query).then_some(asked);
        answer
    }
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The digits behind the last hyphen of `v…-TIME-HASH`; rough, since it only finds a further question to ask.
fn hash_of_pseudo_version(asked: &str) -> Option<&str> {
    let (before, hash) = asked.trim_end_matches("+incompatible").rsplit_once('-')?;
    let time = before.rsplit(['-', '.']).next()?;
    let is_pseudo = asked.starts_with('v') && time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit());
    let digits = hash.len().min(12);
    is_pseudo.then(|| &hash[..digits])
}

/// Where the answers about a fixture are recorded.
pub fn path(fixture: &str) -> PathBuf {
    super::top().join("testdata/oracle").join(format!("{fixture}.json"))
}

/// Reads what was recorded.
pub fn read(fixture: &str) -> Record {
    let path = path(fixture);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error} (BLESS=1 asks go)", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Records answers.
pub fn write(path: &Path, record: &Record) {
    let mut text = serde_json::to_string_pretty(record).expect("a record is plain data");
    text.push('\n');
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Every difference, one a line; error texts count only between equal releases of go.
pub fn differences(name: &str, recorded: &Record, asked: &Record) -> Vec<String> {
    let mut differences = Vec::new();
    let paths = |record: &Record| record.modules.iter().map(|module| module.module.clone()).collect::<Vec<_>>();
    if paths(recorded) != paths(asked) {
        return vec![format!("{name}: other modules than recorded")];
    }
    let same_release = recorded.go == asked.go;
    for (old, new) in recorded.modules.iter().zip(&asked.modules) {
        if old.list != new.list {
            differences.push(format!("{name}: {}: list: recorded {:?}, go says {:?}", old.module, old.list, new.list));
        }
        let queries = |module: &ModuleRecord| module.answers.iter().map(|a| a.query.clone()).collect::<Vec<_>>();
        if queries(old) != queries(new) {
            differences.push(format!("{name}: {}: other queries than recorded", old.module));
            continue;
        }
        for (old_answer, new_answer) in old.answers.iter().zip(&new.answers) {
            let (mut old_answer, mut new_answer) = (old_answer.clone(), new_answer.clone());
            if !same_release {
                for answer in [&mut old_answer, &mut new_answer] {
                    answer.error = answer.error.as_ref().map(|_| String::new());
                }
            }
            if old_answer != new_answer {
                let (module, query) = (&old.module, &old_answer.query);
                differences
                    .push(format!("{name}: {module}@{query}:\n  recorded {old_answer:?}\n  go says  {new_answer:?}"));
            }
        }
    }
    differences
}
