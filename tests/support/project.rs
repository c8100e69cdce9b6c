//! A Go project of the test's own, in which the real go command runs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::go::{Fresh, Go};

/// A folder with a go.mod, and a module cache that nothing else fills.
pub struct Project<'a> {
    go: &'a Go,
    folder: PathBuf,
    cache: Fresh,
    /// What differs from the closed environment.
    variables: Vec<(String, String)>,
}

/// How a go command ended.
#[derive(Debug)]
pub struct Ran {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics with all that was printed unless the command succeeded.
    pub fn well(self) -> Ran {
        assert!(self.success, "{}{}", self.stdout, self.stderr);
        self
    }
}

impl<'a> Project<'a> {
    /// A main module `example.test/app` that requires nothing yet.
    pub fn new(go: &'a Go, proxy: &str) -> Project<'a> {
        let cache = go.fresh();
        let name =
            cache.path().file_name().expect("a cache has a name").to_string_lossy().replace("modcache", "project");
        let folder = go.folder().join(name);
        std::fs::create_dir(&folder).expect("a writable folder");
        let project = Project { go, folder, cache, variables: Vec::new() }
            .with("GOPROXY", proxy)
            .with("GOFLAGS", "-modcacherw -mod=mod");
        project.write("go.mod", "module example.test/app\n\ngo 1.26\n");
        project
    }

    /// The same with another value of an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Project<'a> {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).expect("a writable folder");
    }

    /// A file's text, empty where there is none.
    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    pub fn cache(&self) -> &Fresh {
        &self.cache
    }

    /// A go command in this project; whoever wants other settings changes them.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.go.command(&self.cache);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn go(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }
}

/// Runs a go command to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = super::go::run(command);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
