//! The built binary: `modvet serve` on a port of its own, with a store of its own.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use super::client::{self, Answered};
use super::oracle::HOSTS;

/// How long it may take until the server listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a modvet runs: its HOME, which holds its configuration, its store and its log.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// Writes a configuration, to which address and store are added.
    pub fn configure(&self, settings: &str) {
        let store = self.store();
        let text = format!("listen = \"127.0.0.1:0\"\n\n[store]\npath = '{}'\n\n{settings}", store.display());
        self.write("modvet.toml", &text);
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).expect("a writable folder");
    }

    /// The binary with these arguments in a closed environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
        command.args(arguments).env_clear().env("HOME", self.path()).current_dir(self.path()).stdin(Stdio::null());
        // Else every file would be held against the checksum database that go knows, which is outside. A test that is
        // about one names its own.
        command.env("GOSUMDB", "off");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary was built")
    }

    /// Makes a token that may read, and says what a client sends in `Authorization` that has it.
    pub fn credentials(&self, label: &str) -> String {
        let arguments = ["token", "create", "--config", "modvet.toml", "--scope", "read", "--label", label, "--json"];
        let made = self.run(&arguments);
        let said: serde_json::Value = serde_json::from_slice(&made.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&made.stderr)));
        let token = said["token"].as_str().expect("a token");
        format!("Basic {}", BASE64_STANDARD.encode(format!("any:{token}")))
    }

    /// Starts `modvet serve` with the configuration written before, and waits until it listens.
    pub fn serve(self) -> Modvet {
        let command = self.command(&["serve", "--config", "modvet.toml"]);
        self.serve_by(command)
    }

    /// The same without a file: with upstreams in GOPROXY's syntax.
    pub fn serve_by_list(self, upstreams: &str) -> Modvet {
        let store = self.store().display().to_string();
        let command = self.command(&["serve", "--listen", "127.0.0.1:0", "--store", &store, "--upstream", upstreams]);
        self.serve_by(command)
    }

    /// The same by a command of the caller's.
    pub fn serve_by(self, mut command: Command) -> Modvet {
        let log = OpenOptions::new().append(true).create(true).open(self.path().join("log"));
        command.stdout(Stdio::piped()).stderr(log.expect("a writable folder"));
        let mut child = command.spawn().expect("the binary was built");
        let output = child.stdout.take().expect("stdout is piped");
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody listens any more once the address is known; the pipe is emptied all the same.
                let _ = send.send(line);
            }
        });
        let address = lines.recv_timeout(PATIENCE).ok().and_then(|line| address(&line));
        let Some((scheme, address)) = address else {
            // Whether it could be ended does not change what is said.
            let _ = child.kill();
            panic!("modvet does not listen: {}", self.log());
        };
        Modvet { child, scheme, address, home: Some(self) }
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }
}

/// A running `modvet serve`; dropping it ends it.
pub struct Modvet {
    child: Child,
    scheme: &'static str,
    address: SocketAddr,
    /// Taken only when the process has ended.
    home: Option<Home>,
}

impl Modvet {
    /// Serves straight from the git server at `git`, in a mode (`strict`, `rewrite`, `legacy`).
    pub fn over_git(git: &str, mode: &str) -> Modvet {
        Modvet::start(&over_git(git, mode, ""))
    }

    /// Starts with a configuration, to which address and store are added, and waits until it listens.
    pub fn start(settings: &str) -> Modvet {
        let home = Home::new();
        home.configure(settings);
        home.serve()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `http://127.0.0.1:PORT`, or with `https`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Asks for `/MODULE/TAIL`, the module path escaped.
    pub fn get(&self, module: &str, tail: &str) -> Answered {
        client::get(self.address, &format!("/{}/{tail}", escaped(module)))
    }

    pub fn home(&self) -> &Home {
        self.home.as_ref().expect("it is taken when the process has ended")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.home().log()
    }

    /// Sends a signal, such as `libc::SIGTERM`.
    pub fn signal(&self, signal: i32) {
        let process = i32::try_from(self.child.id()).expect("process numbers are small");
        // SAFETY: the child is not waited for yet, so the number is still its own.
        let sent = unsafe { libc::kill(process, signal) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for the end of the process.
    pub fn ended(mut self) -> (ExitStatus, Home) {
        let status = self.child.wait().expect("a child can be waited for");
        (status, self.home.take().expect("nobody took it"))
    }

    /// Kills it as `kill -9` does.
    pub fn killed(self) -> Home {
        self.signal(libc::SIGKILL);
        self.ended().1
    }
}

impl Drop for Modvet {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings with git as the only upstream, and with further lines of `[git.instead_of]`.
pub fn over_git(git: &str, mode: &str, instead_of: &str) -> String {
    let instead: String = HOSTS.iter().map(|host| format!("\"https://{host}/\" = \"{git}\"\n")).collect();
    format!(
        "[pseudo_versions]\nmode = \"{mode}\"\n\n[git]\nallow_insecure = [\"127.0.0.1\"]\n\n\
         [git.instead_of]\n{instead}{instead_of}\n[[upstream]]\nname = \"git\"\nkind = \"git\"\n"
    )
}

/// Settings with a proxy as an upstream of this name, to which further lines may be added.
pub fn over_proxy(name: &str, url: &str) -> String {
    format!("[[upstream]]\nname = \"{name}\"\nkind = \"proxy\"\nurl = \"{url}\"\n")
}

/// Scheme and address in `listening on http://127.0.0.1:PORT`.
fn address(line: &str) -> Option<(&'static str, SocketAddr)> {
    let url = line.trim().strip_prefix("listening on ")?;
    let (scheme, address) = match url.strip_prefix("https://") {
        Some(address) => ("https", address),
        None => ("http", url.strip_prefix("http://")?),
    };
    Some((scheme, address.trim_end_matches('/').parse().ok()?))
}

/// A module path or a version as the go command writes it into an address.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' => out.extend(['!', byte.to_ascii_lowercase() as char]),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
