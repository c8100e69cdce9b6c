//! Real go commands over TLS, with an authority of the tests' own: tokens by netrc and by GOAUTH, and what go says of a token
//! that does not open.

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use support::authority::Authority;
use support::go::{Go, run};
use support::modvet::{Home, Modvet};
use support::toolchain::Toolchain;
use support::tree::Tree;
use tempfile::TempDir;

const MODULE: &str = "example.test/m";
const VERSION: &str = "v1.0.0";
const PATIENCE: Duration = Duration::from_secs(60);

/// modvet over TLS with two registries over one folder; who has no token is let in nowhere.
struct World {
    modvet: Modvet,
    /// What the clients trust.
    authority: PathBuf,
    _tree: Tree,
}

/// What a go command did.
struct Told {
    is_success: bool,
    /// Both outputs, the port left out.
    printed: String,
}

impl World {
    fn new() -> World {
        let (authority, tree, home) = (Authority::new(), Tree::new(), Home::new());
        tree.add(MODULE, VERSION, 100);
        authority.issue().write(home.path());
        home.write("authority.pem", &authority.pem());
        let registries: String =
            ["ci", "other"].map(|name| format!("[[registry]]\nname = \"{name}\"\nupstreams = [\"tree\"]\n")).concat();
        let tls = "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
        home.configure(&format!("{tls}{}{registries}", tree.settings()));
        let authority = home.path().join("authority.pem");
        let world = World { modvet: home.serve(), authority, _tree: tree };
        // The first token ends that anybody on this machine may read.
        world.token(&[]);
        world
    }

    /// Makes a token for reading.
    fn token(&self, arguments: &[&str]) -> String {
        let command = ["token", "create", "--scope", "read", "--config", "modvet.toml"];
        let output = self.modvet.home().run(&[&command, arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a token is text").trim().to_owned()
    }

    /// A token that was good once.
    fn revoked(&self) -> String {
        let command = ["token", "create", "--scope", "read", "--json", "--config", "modvet.toml"];
        let output = self.modvet.home().run(&command);
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let id = made["id"].as_str().expect("an id");
        let output = self.modvet.home().run(&["token", "revoke", id, "--config", "modvet.toml"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        made["token"].as_str().expect("the token").to_owned()
    }

    /// The same for a registry, an empty one for that at `/`.
    fn proxy(&self, registry: &str) -> String {
        match registry {
            "" => self.modvet.url(),
            name => format!("{}/registries/{name}", self.modvet.url()),
        }
    }

    /// A netrc file for go commands of all releases: some look for the host with its port, others without it.
    fn netrc(&self, token: &str) -> String {
        let address = self.modvet.address();
        let line = |machine: String| format!("machine {machine} login go password {token}\n");
        line(address.to_string()) + &line(address.ip().to_string())
    }

    /// What go did; however it is called, it prints no token.
    fn tell(&self, command: &mut Command, token: &str) -> Told {
        let output = run(command);
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!printed.contains(token), "the token is printed: {printed}");
        let printed = printed.replace(&self.modvet.address().to_string(), "127.0.0.1:PORT");
        Told { is_success: output.status.success(), printed }
    }
}

/// By which way a client sends its token.
#[derive(Debug, Clone, Copy)]
enum Way {
    Netrc,
    GoAuth,
}

/// `go ARGUMENTS` of the installed release, in a module of its own.
fn go(world: &World, way: Way, token: &str, registry: &str, arguments: &[&str]) -> Told {
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let cache = go.fresh();
    std::fs::write(go.folder().join("go.mod"), "module example.test/app\n\ngo 1.20\n").expect("a writable folder");
    let mut command = go.command(&cache);
    command.args(arguments).env("GOPROXY", world.proxy(registry)).env("SSL_CERT_FILE", &world.authority);
    match way {
        Way::Netrc => {
            let file = go.folder().join("netrc");
            std::fs::write(&file, world.netrc(token)).expect("a writable folder");
            command.env("NETRC", file);
        }
        Way::GoAuth => {
            let binary = env!("CARGO_BIN_EXE_modvet");
            command.env("GOAUTH", format!("{binary} auth")).env("MODVET_TOKEN", token);
        }
    }
    world.tell(&mut command, token)
}

fn download(world: &World, way: Way, token: &str, registry: &str) -> Told {
    go(world, way, token, registry, &["mod", "download", &format!("{MODULE}@{VERSION}")])
}

#[test]
fn go_gets_modules_with_its_token_by_netrc_and_by_goauth() {
    let world = World::new();
    let token = world.token(&["--label", "all"]);
    for way in [Way::Netrc, Way::GoAuth] {
        for registry in ["", "ci", "other"] {
            let told = download(&world, way, &token, registry);
            assert!(told.is_success, "{way:?} {registry}: {}", told.printed);
        }
        let told = go(&world, way, &token, "ci", &["get", &format!("{MODULE}@latest")]);
        assert!(told.is_success, "{way:?}: {}", told.printed);
        assert!(told.printed.contains(&format!("added {MODULE} {VERSION}")), "{way:?}: {}", told.printed);
    }
    assert!(!world.modvet.log().contains(&token), "the token is in the log");
}

#[test]
fn go_shows_why_a_token_does_not_open() {
    let world = World::new();
    let foreign = World::new().token(&[]);
    let expired = world.token(&["--expires", "1s"]);
    let start = Instant::now();
    while download(&world, Way::Netrc, &expired, "").is_success {
        assert!(start.elapsed() < PATIENCE, "it never expires");
    }
    let revoked = world.revoked();
    let table = [
        (&*foreign, "the token is not known here"),
        ("no-token-at-all", "what was sent is no token (expected modvet_ and 81 characters)"),
        (&expired, "the token expired at 20"),
        (&revoked, "the token was revoked"),
    ];
    for (token, expected) in table {
        for way in [Way::Netrc, Way::GoAuth] {
            let told = download(&world, way, token, "ci");
            assert!(!told.is_success, "{way:?} {expected}");
            assert!(told.printed.contains("401 Unauthorized"), "{way:?}: {}", told.printed);
            assert!(told.printed.contains(expected), "{way:?}: {expected} in {}", told.printed);
        }
    }
}

#[test]
fn go_shows_how_to_send_a_token_where_there_is_none() {
    let world = World::new();
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let cache = go.fresh();
    let mut command = go.command(&cache);
    command.args(["mod", "download", &format!("{MODULE}@{VERSION}")]).env("GOPROXY", world.proxy("ci"));
    let told = world.tell(command.env("SSL_CERT_FILE", &world.authority), "modvet_");
    assert!(!told.is_success);
    for line in [
        "a token is wanted here",
        "in ~/.netrc: machine 127.0.0.1:PORT login go password TOKEN",
        "and the same for machine 127.0.0.1: some go commands leave the port out",
        "GOAUTH=\"modvet auth\"",
    ] {
        assert!(told.printed.contains(line), "{line} in {}", told.printed);
    }
}

#[test]
fn a_token_of_one_registry_gets_nothing_from_another() {
    let world = World::new();
    let (ci, other) = (world.token(&["--registry", "ci"]), world.token(&["--registry", "other"]));
    for way in [Way::Netrc, Way::GoAuth] {
        let get = ["get", &format!("{MODULE}@{VERSION}")];
        let told = go(&world, way, &ci, "ci", &get);
        assert!(told.is_success, "{way:?}: {}", told.printed);
        for registry in ["ci", ""] {
            let told = go(&world, way, &other, registry, &get);
            assert!(!told.is_success, "{way:?} {registry}");
            assert!(told.printed.contains("403 Forbidden"), "{way:?} {registry}: {}", told.printed);
            let expected = "this token is for registry other alone";
            assert!(told.printed.contains(expected), "{way:?} {registry}: {}", told.printed);
        }
    }
}

#[test]
fn a_client_that_does_not_know_the_authority_sends_no_token() {
    let world = World::new();
    let token = world.token(&[]);
    let stranger = world.modvet.home().path().join("stranger.pem");
    std::fs::write(&stranger, Authority::new().pem()).expect("a writable folder");
    let world = World { authority: stranger, ..world };
    for way in [Way::Netrc, Way::GoAuth] {
        let told = download(&world, way, &token, "");
        assert!(!told.is_success, "{way:?}");
        assert!(told.printed.contains("certificate signed by unknown authority"), "{way:?}: {}", told.printed);
    }
}

#[test]
fn go_1_13() {
    by_netrc("go1.13.15");
}

#[test]
fn go_1_14() {
    by_netrc("go1.14.15");
}

#[test]
fn go_1_18() {
    by_netrc("go1.18.10");
}

#[test]
fn go_1_21() {
    by_netrc("go1.21.13");
}

#[test]
fn go_1_27() {
    by_netrc("go1.27.4");
}

/// Another release gets a module with its token, and shows why another token does not open.
fn by_netrc(release: &str) {
    let toolchain = match Toolchain::of(release) {
        Ok(toolchain) => toolchain,
        Err(why) => {
            // Past the test's own capture: a test that did nothing must not look like one that did.
            writeln!(std::io::stderr(), "skipped: {release} is not to be had: {why}").expect("standard error is open");
            return;
        }
    };
    let world = World::new();
    let (ci, other) = (world.token(&["--registry", "ci"]), world.token(&["--registry", "other"]));
    let told = old(&world, &toolchain, &ci);
    assert!(told.is_success, "{release}: {}", told.printed);
    let told = old(&world, &toolchain, &other);
    assert!(!told.is_success, "{release}");
    assert!(told.printed.contains("403 Forbidden"), "{release}: {}", told.printed);
    // Go 1.13 shows the status line alone.
    let shows_text = release != "go1.13.15";
    assert_eq!(told.printed.contains("this token is for registry other alone"), shows_text, "{}", told.printed);
    let told = old(&world, &toolchain, "no-token-at-all");
    assert!(!told.is_success, "{release}");
    assert!(told.printed.contains("401 Unauthorized"), "{release}: {}", told.printed);
    assert_eq!(told.printed.contains("what was sent is no token"), shows_text, "{}", told.printed);
}

/// `go mod download` of a release that knows netrc alone.
fn old(world: &World, toolchain: &Toolchain, token: &str) -> Told {
    let home = TempDir::new().expect("a temporary folder");
    let folder = home.path();
    for name in ["work", "tmp", "gopath", "gocache"] {
        std::fs::create_dir(folder.join(name)).expect("a writable folder");
    }
    std::fs::write(folder.join("work/go.mod"), "module example.test/app\n\ngo 1.12\n").expect("a writable folder");
    std::fs::write(folder.join("netrc"), world.netrc(token)).expect("a writable folder");
    let command = || {
        let mut command = toolchain.command();
        command.current_dir(folder.join("work")).env("HOME", folder).env("TMPDIR", folder.join("tmp"));
        command.env("GOPATH", folder.join("gopath")).env("GOCACHE", folder.join("gocache")).env("GOENV", "off");
        command.env("GOSUMDB", "off").env("GO111MODULE", "on").env("GOTELEMETRY", "off").env("GOFLAGS", "");
        command.env("GOWORK", "off").env("LC_ALL", "C").env("NETRC", folder.join("netrc"));
        command.env("GOPROXY", world.proxy("ci")).env("SSL_CERT_FILE", &world.authority);
        // Whatever is not on the loopback is answered by nobody.
        command.env("HTTP_PROXY", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9");
        command.env("NO_PROXY", "127.0.0.1");
        command
    };
    let told = world.tell(command().args(["mod", "download", &format!("{MODULE}@{VERSION}")]), token);
    // What old releases write is read-only: only go itself clears it.
    run(command().args(["clean", "-modcache"]));
    told
}
