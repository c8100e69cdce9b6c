//! The built binary: `modvet serve` on a port of its own, with a store of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::client::{self, Answered};
use super::oracle::HOSTS;

/// How long it may take until the server listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `modvet serve`; dropping it ends it.
pub struct Modvet {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Modvet {
    /// Serves straight from the git server at `git`, in a mode (`strict`, `rewrite`, `legacy`).
    pub fn over_git(git: &str, mode: &str) -> Modvet {
        let instead: String = HOSTS.iter().map(|host| format!("\"https://{host}/\" = \"{git}\"\n")).collect();
        Modvet::start(&format!(
            "[pseudo_versions]\nmode = \"{mode}\"\n\n[git]\nallow_insecure = [\"127.0.0.1\"]\n\n\
             [git.instead_of]\n{instead}\n[[upstream]]\nname = \"git\"\nkind = \"git\"\n"
        ))
    }

    /// Starts with a configuration, to which address and store are added, and waits until it listens.
    pub fn start(settings: &str) -> Modvet {
        let home = tempfile::tempdir().expect("a temporary folder");
        let file = home.path().join("modvet.toml");
        let store = home.path().join("store");
        let text = format!("listen = \"127.0.0.1:0\"\n\n[store]\npath = '{}'\n\n{settings}", store.display());
        std::fs::write(&file, text).expect("a writable folder");
        let log = std::fs::File::create(home.path().join("log")).expect("a writable folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_modvet"));
        command.args(["serve", "--config"]).arg(&file).env_clear().env("HOME", home.path()).current_dir(home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
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
        let Some(address) = address else {
            // Whether it could be ended does not change what is said.
            let _ = child.kill();
            panic!("modvet does not listen: {}", std::fs::read_to_string(home.path().join("log")).unwrap_or_default());
        };
        Modvet { child, address, home }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks for `/MODULE/TAIL`, the module path escaped.
    pub fn get(&self, module: &str, tail: &str) -> Answered {
        client::get(self.address, &format!("/{}/{tail}", escaped(module)))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Modvet {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in `listening on http://127.0.0.1:PORT`.
fn address(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix("listening on http://")?.trim_end_matches('/').parse().ok()
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
