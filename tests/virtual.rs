//! One address over git, a proxy and a folder: the real go command builds through it, also when all three are gone.

mod support;

use support::double::{Double, Ticket};
use support::fixture;
use support::git_server::GitServer;
use support::go::Go;
use support::modvet::{Home, Modvet};
use support::project::Project;
use support::release::Release;
use support::replay::replay;
use tempfile::TempDir;

const PRIVATE: &str = "github.com/modvet-fixtures/private";
const PUBLIC: &str = "example.test/public";
const LOCAL: &str = "example.test/local";

/// The history of the private module, which needs the public one.
const HISTORY: &str = "# A private module that stands on a public one.
at 2019-01-01T00:00:00Z
file go.mod
  module github.com/modvet-fixtures/private
  
  go 1.20
  
  require example.test/public v1.1.0
file private.go
  package private
  
  import \"example.test/public\"
  
  func Says() string { return \"private on \" + public.Says() }
commit first; tag v1.0.0";

const APPLICATION: &str = r#"package main

import (
	"example.test/local"
	"github.com/modvet-fixtures/private"
)

func main() { println(private.Says(), "and", local.Says()) }
"#;

const SAYS: &str = "private on example.test/public@v1.1.0 and example.test/local@v1.0.0";

/// A git server, a module proxy and a folder, each with modules of its own.
struct Sources {
    git: GitServer,
    public: Double,
    folder: TempDir,
}

impl Sources {
    fn new(ticket: Ticket) -> Sources {
        let folder = tempfile::tempdir().expect("a temporary folder");
        replay(&fixture::parse("private", HISTORY), &folder.path().join("git"));
        let git = GitServer::guarded(&folder.path().join("git"), "ci", "git-secret");
        let public = Double::start();
        public.require(ticket);
        for version in ["v1.0.0", "v1.1.0"] {
            public.add(&Release::new(PUBLIC, version));
        }
        Release::new(LOCAL, "v1.0.0").put_into(&folder.path().join("local"));
        Sources { git, public, folder }
    }

    /// All three in this order, the proxy with these lines of its own, and the registry `ci` over them.
    fn settings(&self, auth: &str) -> String {
        let (git, host, public) = (self.git.url(), self.git.address(), self.public.settings("public"));
        format!(
            "[git]\nallow_insecure = [\"127.0.0.1\"]\n\n[git.instead_of]\n\"https://github.com/\" = \"{git}\"\n\n\
             [[upstream]]\nname = \"corp\"\nkind = \"git\"\nmodules = [\"github.com/modvet-fixtures\"]\n\
             auth = {{ host = \"{host}\", username = \"ci\", token_file = \"git-token\" }}\n\n\
             {public}not_modules = [\"github.com/modvet-fixtures\"]\n{auth}\n\
             [[upstream]]\nname = \"local\"\nkind = \"dir\"\npath = '{}'\n\n\
             [[registry]]\nname = \"ci\"\nupstreams = [\"corp\", \"public\", \"local\"]\n",
            self.folder.path().join("local").display()
        )
    }

    fn home(&self, auth: &str) -> Home {
        let home = Home::new();
        home.write("git-token", "git-secret\n");
        home.write("public-token", "public-secret\n");
        home.configure(&self.settings(auth));
        home
    }
}

/// A project that imports all three.
fn application<'a>(go: &'a Go, proxy: &str) -> Project<'a> {
    let project = Project::new(go, proxy);
    project.write("main.go", APPLICATION);
    project
}

/// The program, built with nothing but what is at this address: no go.mod or go.sum may change.
fn rebuilt(go: &Go, proxy: &str, from: &Project<'_>) {
    let fresh = application(go, proxy).with("GOFLAGS", "-modcacherw -mod=readonly");
    for file in ["go.mod", "go.sum"] {
        fresh.write(file, &from.read(file));
    }
    let ran = fresh.go(&["run", "."]).well();
    assert!(ran.stderr.ends_with(&format!("{SAYS}\n")), "{}", ran.stderr);
    fresh.go(&["mod", "verify"]).well();
    assert_eq!(fresh.read("go.sum"), from.read("go.sum"));
}

fn go() -> Go {
    Go::new("http://127.0.0.1:9/", &[])
}

/// An address of the registry `ci`.
fn ci(modvet: &Modvet) -> String {
    format!("{}/registries/ci", modvet.url())
}

#[test]
fn a_build_over_git_proxy_and_folder_goes_on_when_all_of_them_are_gone() {
    let go = go();
    let sources = Sources::new(Ticket::Bearer("public-secret"));
    let modvet = sources.home("auth = { scheme = \"bearer\", token_file = \"public-token\" }").serve();
    let first = application(&go, &ci(&modvet));
    first.go(&["mod", "tidy"]).well();
    let ran = first.go(&["run", "."]).well();
    assert!(ran.stderr.ends_with(&format!("{SAYS}\n")), "{}", ran.stderr);
    assert_eq!(first.read("go.sum").lines().count(), 6, "three modules, each with its go.mod");
    for (module, upstream) in [(PRIVATE, "corp"), (PUBLIC, "public"), (LOCAL, "local")] {
        let answered = modvet.get(&format!("registries/ci/{module}"), "@v/list");
        assert_eq!(answered.header("x-modvet-upstream"), Some(upstream), "{module}: {}", answered.text());
    }

    // All of them die, and with them the folder.
    drop(sources);
    rebuilt(&go, &ci(&modvet), &first);
    let upgraded = Project::new(&go, &ci(&modvet));
    upgraded.go(&["get", &format!("{PUBLIC}@latest"), &format!("{LOCAL}@v1")]).well();

    let modvet = modvet.killed().serve();
    rebuilt(&go, &ci(&modvet), &first);
}

#[test]
fn credentials_reach_the_upstream_that_they_are_for_and_nobody_else() {
    let table = [
        ("auth = { username = \"ci\", token_file = \"public-token\" }", Ticket::Basic("ci", "public-secret")),
        ("auth = { scheme = \"bearer\", token_file = \"public-token\" }", Ticket::Bearer("public-secret")),
        (
            "auth = { header = \"Private-Token\", token_file = \"public-token\" }",
            Ticket::Header("Private-Token", "public-secret"),
        ),
    ];
    for (auth, ticket) in table {
        let sources = Sources::new(ticket);
        let modvet = sources.home(auth).serve();
        for module in [PRIVATE, PUBLIC] {
            let answered = modvet.get(module, "@v/list");
            assert_eq!(answered.status, 200, "{auth}: {module}: {}", answered.text());
        }
        assert!(sources.public.asked().iter().all(|asked| asked.status == 200), "{auth}: {:?}", sources.public.asked());
        let shown = format!("{:?}", sources.public.asked());
        assert!(!shown.contains("git-secret") && !shown.contains("Y2k6Z2l0LXNlY3JldA=="), "{auth}: {shown}");
        assert_eq!(sources.git.counts().refused(), 0, "{auth}");
        let log = modvet.log();
        assert!(!log.contains("git-secret") && !log.contains("public-secret"), "{auth}: {log}");
    }
}

#[test]
fn a_private_name_never_reaches_the_public_upstream() {
    let sources = Sources::new(Ticket::Bearer("public-secret"));
    let modvet = sources.home("auth = { scheme = \"bearer\", token_file = \"public-token\" }").serve();
    let go = go();
    application(&go, &ci(&modvet)).go(&["mod", "tidy"]).well();
    // Names that nobody has, and those of the parent paths.
    for module in [PRIVATE, "github.com/modvet-fixtures/private/v2", "github.com/modvet-fixtures/none"] {
        for tail in ["@v/list", "@latest", "@v/v9.9.9.info", "@v/v9.9.9.mod", "@v/v9.9.9.zip", "@v/main.info"] {
            for registry in ["", "registries/ci/"] {
                modvet.get(&format!("{registry}{module}"), tail);
            }
        }
    }
    let asked = sources.public.asked();
    assert!(asked.iter().any(|asked| asked.path.starts_with(PUBLIC)), "{asked:?}");
    assert!(!asked.iter().any(|asked| asked.path.contains("modvet-fixtures")), "{asked:?}");
    // Nor when the upstream that may have it is gone.
    sources.public.forget();
    let Sources { git, public, folder: _folder } = sources;
    drop(git);
    let answered = modvet.get("github.com/modvet-fixtures/other", "@v/list");
    assert_eq!(answered.status, 502, "{}", answered.text());
    assert!(!public.asked().iter().any(|asked| asked.path.contains("modvet-fixtures")), "{:?}", public.asked());
}

#[test]
fn two_upstreams_at_one_host_are_shown_a_token_each() {
    let forge = Double::start();
    let home = Home::new();
    let mut settings = String::new();
    for (name, token) in [("one", "token-of-one"), ("two", "token-of-two")] {
        forge.put(&format!("{name}/example.test/{name}/@v/list"), b"v1.0.0\n".to_vec());
        home.write(&format!("token-{name}"), token);
        settings.push_str(&format!(
            "[[upstream]]\nname = \"{name}\"\nkind = \"proxy\"\nurl = \"{}/{name}\"\n\
             auth = {{ scheme = \"bearer\", token_file = \"token-{name}\" }}\n\n",
            forge.url()
        ));
    }
    home.configure(&settings);
    let modvet = home.serve();
    for name in ["one", "two"] {
        let answered = modvet.get(&format!("example.test/{name}"), "@v/list");
        assert_eq!(answered.header("x-modvet-upstream"), Some(name), "{}", answered.text());
    }
    let asked = forge.asked();
    for name in ["one", "two"] {
        let of_name = || asked.iter().filter(|asked| asked.path.starts_with(&format!("{name}/")));
        assert!(of_name().count() > 0, "{asked:?}");
        let expected = format!("Bearer token-of-{name}");
        assert!(of_name().all(|asked| asked.header("authorization") == Some(&expected)), "{asked:?}");
    }
}
