//! Histories behind a git server, the go command that knows the way there, and modvet before both.

use tempfile::TempDir;

use super::fixture::Fixture;
use super::git_server::{Flavour, GitServer};
use super::go::Go;
use super::modvet::{Home, Modvet};
use super::oracle::HOSTS;
use super::project::Project;
use super::replay::{Names, replay};

pub struct World {
    // Held for its drop: the repositories lie in it.
    folder: TempDir,
    pub server: GitServer,
    pub go: Go,
    names: Vec<(String, Names)>,
    pub modvet: Modvet,
}

impl World {
    /// modvet in a mode (`strict`, `rewrite`, `legacy`), with git as its only upstream.
    pub fn over(fixtures: &[Fixture], mode: &str) -> World {
        World::with(fixtures, |server| Modvet::over_git(&server.url(), mode))
    }

    /// modvet as it is started before the git server.
    pub fn with(fixtures: &[Fixture], start: impl FnOnce(&GitServer) -> Modvet) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = fixtures.iter().map(|fixture| (fixture.name.clone(), replay(fixture, folder.path()))).collect();
        let server = GitServer::start(folder.path(), Flavour::Filters);
        let go = Go::new(&server.url(), &HOSTS);
        let modvet = start(&server);
        World { folder, server, go, names, modvet }
    }

    /// The same world with modvet stopped, and started again by the caller.
    pub fn again(self, start: impl FnOnce(Home) -> Modvet) -> World {
        let World { folder, server, go, names, modvet } = self;
        World { folder, server, go, names, modvet: start(modvet.killed()) }
    }

    /// Sets a tag of a fixture's repository on a commit.
    pub fn tag(&self, fixture: &str, tag: &str, commit: &str) {
        let repository = git2::Repository::open(self.folder.path().join(fixture)).expect("a replayed repository");
        let id = git2::Oid::from_str(&self.names(fixture).commit(commit)).expect("forty digits");
        repository.reference(&format!("refs/tags/{tag}"), id, true, "").expect("a writable repository");
    }

    /// What the commits of a fixture are called.
    pub fn names(&self, fixture: &str) -> &Names {
        let found = self.names.iter().find(|(name, _)| name == fixture);
        &found.unwrap_or_else(|| panic!("no fixture {fixture}")).1
    }

    /// A project whose only source of modules is modvet.
    pub fn project(&self) -> Project<'_> {
        Project::new(&self.go, &self.modvet.url())
    }

    /// Runs the same commands through modvet and in direct mode: go.mod and go.sum must come out equal.
    pub fn both(&self, files: &[(&str, &str)], commands: &[&[&str]]) -> Project<'_> {
        self.alike(self.project(), Project::new(&self.go, "direct"), files, commands)
    }

    /// The same in two projects of the caller's; gives back the first.
    pub fn alike<'a>(
        &self,
        through: Project<'a>,
        direct: Project<'a>,
        files: &[(&str, &str)],
        commands: &[&[&str]],
    ) -> Project<'a> {
        for project in [&through, &direct] {
            files.iter().for_each(|(file, text)| project.write(file, text));
            for command in commands {
                project.go(command).well();
            }
        }
        for file in ["go.mod", "go.sum"] {
            assert_eq!(through.read(file), direct.read(file), "{file} after {commands:?}");
        }
        through
    }
}
