//! Other module proxies, built from their own sources by the go command and started on the loopback with an empty folder.
//! Where the environment's GOPROXY does not serve one it is left out, and said so.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take until one listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is compared, each at one version.
pub const KNOWN: [Known; 2] = [
    Known {
        name: "goproxy",
        module: "github.com/goproxy/goproxy",
        package: "github.com/goproxy/goproxy/cmd/goproxy",
        version: "v0.17.2",
        set_up: goproxy,
    },
    Known {
        name: "Athens",
        module: "github.com/gomods/athens",
        package: "github.com/gomods/athens/cmd/proxy",
        version: "v0.16.1",
        set_up: athens,
    },
];

/// A proxy that is known by its sources.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    module: &'static str,
    package: &'static str,
    version: &'static str,
    /// Says where it listens, what it is to ask, and where it may write.
    set_up: fn(&mut Command, SocketAddr, &str, &Path),
}

/// A running one; dropping it ends it.
pub struct Peer {
    pub name: &'static str,
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

fn goproxy(command: &mut Command, address: SocketAddr, upstream: &str, folder: &Path) {
    command.args(["server", "--address", &address.to_string()]).env("GOPROXY", upstream);
    command.arg("--cacher-dir").arg(folder.join("kept")).arg("--temp-dir").arg(folder.join("tmp"));
}

fn athens(command: &mut Command, address: SocketAddr, upstream: &str, folder: &Path) {
    command.env("ATHENS_PORT", address.to_string()).env("ATHENS_STORAGE_TYPE", "disk");
    command.env("ATHENS_DISK_STORAGE_ROOT", folder.join("kept")).env("ATHENS_LOG_LEVEL", "error");
    command.env("ATHENS_GO_BINARY_ENV_VARS", format!("GOPROXY={upstream}"));
}

impl Known {
    /// Its program, built if it is not there yet; `None`, and said, where that is not possible.
    pub fn built(&self) -> Option<PathBuf> {
        let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let folder = top.join(format!("{}-{}", self.name, self.version));
        let program = folder.join("program");
        if program.is_file() {
            return Some(program);
        }
        println!("building {} {}, once", self.name, self.version);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        // `go install` wants the list of all versions too, which not every upstream gives.
        let (module, package, version) = (self.module, self.package, self.version);
        let go_mod = format!("module bench.test/peer\n\ngo 1.23\n\nrequire {module} {version}\n");
        std::fs::write(folder.join("go.mod"), go_mod).expect("a writable folder");
        let mut go = closed("go", &top);
        let outside = ["GOPROXY", "GOSUMDB", "GONOSUMDB"].map(|name| (name, setting(name)));
        go.envs(outside).env("GOFLAGS", "-mod=mod -modcacherw -buildvcs=false").current_dir(&folder);
        let output = go.args(["build", "-o", "program", package]).output().expect("go is installed");
        if output.status.success() {
            return Some(program);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| line.starts_with("go: ") && !line.contains("downloading")).unwrap_or("");
        println!("skip   {} {version} cannot be built: {line}", self.name);
        None
    }

    /// Starts it before an upstream; `None`, and said, where it does not listen. `gitconfig` says where git goes.
    pub fn start(&self, upstream: &str, gitconfig: &str) -> Option<Peer> {
        let program = self.built()?;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a writable folder");
        for name in ["kept", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a writable folder");
        }
        std::fs::write(folder.path().join("gitconfig"), gitconfig).expect("a writable folder");
        let address = super::free_address();
        let mut command = closed(&program, folder.path());
        command.env("GIT_CONFIG_GLOBAL", folder.path().join("gitconfig")).current_dir(folder.path());
        (self.set_up)(&mut command, address, upstream, folder.path());
        let log = std::fs::File::create(folder.path().join("log")).expect("a writable folder");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("it was built");
        let peer = Peer { name: self.name, child, address, folder };
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if start.elapsed() > PATIENCE {
                println!("skip   {} does not listen: {}", self.name, peer.log());
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(peer)
    }
}

impl Peer {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it complained of.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A setting of the go command as it stands in the environment.
fn setting(name: &str) -> String {
    let output = Command::new("go").args(["env", name]).output().expect("go is installed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A command that has its own HOME and caches, and runs the go command in the same way.
fn closed(program: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
    command.env("GOPATH", home.join("gopath")).env("GOCACHE", home.join("gocache")).env("GOENV", "off");
    command.env("GOMODCACHE", home.join("modcache")).env("GOFLAGS", "-modcacherw").env("GOTOOLCHAIN", "local");
    command.env("GOSUMDB", "off").env("GOVCS", "*:all").env("GOWORK", "off").env("GOTELEMETRY", "off");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    command
}
