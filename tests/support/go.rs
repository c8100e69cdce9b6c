//! The real go command in a closed environment: own HOME, own caches, no network beyond the loopback.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use tempfile::TempDir;

/// The go command; what it caches lies in a folder that ends with it.
pub struct Go {
    home: TempDir,
    asked: AtomicU64,
}

/// What `go mod download -json` prints.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Download {
    pub version: String,
    pub error: String,
    /// The path of the `.info` file.
    pub info: PathBuf,
    pub go_mod: PathBuf,
    pub zip: PathBuf,
    pub sum: String,
    pub go_mod_sum: String,
    pub origin: Option<serde_json::Value>,
}

/// A module cache that nothing was put into yet; dropping it empties the disk of it.
pub struct Fresh {
    path: PathBuf,
}

impl Fresh {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // A rest of it goes with the environment's folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Go {
    /// An environment in which `https://HOST/` of every given host leads to the git server at `server`.
    pub fn new(server: &str, hosts: &[&str]) -> Go {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut settings =
            String::from("[protocol]\n\tversion = 2\n[user]\n\tname = nobody\n\temail = nobody@example.com\n");
        for host in hosts {
            settings.push_str(&format!("[url \"{server}\"]\n\tinsteadOf = https://{host}/\n"));
        }
        std::fs::write(home.path().join("gitconfig"), settings).expect("a writable folder");
        for folder in ["work", "tmp", "gocache", "gopath"] {
            std::fs::create_dir(home.path().join(folder)).expect("a writable folder");
        }
        Go { home, asked: AtomicU64::new(0) }
    }

    /// A module cache of its own: what go answers depends on what it has fetched before.
    pub fn fresh(&self) -> Fresh {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let path = self.home.path().join(format!("modcache-{number}"));
        std::fs::create_dir(&path).expect("a writable folder");
        Fresh { path }
    }

    /// The folder in which commands run; it holds no go.mod.
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// `go` in direct mode with this module cache; whoever wants another GOPROXY sets it.
    pub fn command(&self, cache: &Fresh) -> Command {
        let home = self.home.path();
        let mut command = Command::new("go");
        command.env_clear().current_dir(self.folder());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home).env("TMPDIR", home.join("tmp"));
        command.env("GOPATH", home.join("gopath")).env("GOCACHE", home.join("gocache"));
        command.env("GOMODCACHE", cache.path()).env("GOFLAGS", "-modcacherw").env("GOENV", "off");
        command.env("GOPROXY", "direct").env("GOSUMDB", "off").env("GOTOOLCHAIN", "local").env("GOVCS", "*:all");
        command.env("GOWORK", "off").env("GO111MODULE", "on").env("GOTELEMETRY", "off").env("LC_ALL", "C");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", home.join("gitconfig"));
        // Whatever is not on the loopback is answered by nobody.
        command.env("HTTP_PROXY", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9");
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command
    }

    /// `go mod download -json MODULE@QUERY` with an empty cache; the files it names last as long as that cache.
    pub fn download(&self, module: &str, query: &str) -> (Download, Fresh) {
        let cache = self.fresh();
        let mut command = self.command(&cache);
        let output = run(command.args(["mod", "download", "-json", &format!("{module}@{query}")]));
        let mut download: Download = match serde_json::from_slice(&output.stdout) {
            Ok(download) => download,
            Err(_) => Download { error: String::from_utf8_lossy(&output.stderr).into_owned(), ..Download::default() },
        };
        download.error = self.public(&download.error, &cache);
        (download, cache)
    }

    /// Every version that go finds tags for, retracted ones too.
    pub fn versions(&self, module: &str) -> Result<Vec<String>, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Module {
            #[serde(default)]
            versions: Vec<String>,
            error: Option<Failure>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Failure {
            err: String,
        }
        let cache = self.fresh();
        let mut command = self.command(&cache);
        let output = run(command.args(["list", "-m", "-e", "-versions", "-retracted", "-json", module]));
        match serde_json::from_slice::<Module>(&output.stdout) {
            Ok(Module { error: None, versions }) => Ok(versions),
            Ok(Module { error: Some(failure), .. }) => Err(self.public(&failure.err, &cache)),
            Err(_) => Err(self.public(&String::from_utf8_lossy(&output.stderr), &cache)),
        }
    }

    /// A text without what differs from run to run.
    fn public(&self, text: &str, cache: &Fresh) -> String {
        let text = text.trim().replace(&cache.path().display().to_string(), "$GOMODCACHE");
        let text = text.replace(&self.home.path().display().to_string(), "$HOME");
        // Which one of several go names is chance: it walks a map.
        if let Some((before, _)) = text.split_once("ambiguous revision ") {
            return format!("{before}ambiguous revision HASH");
        }
        let Some((before, port)) = text.split_once("127.0.0.1:") else { return text };
        format!("{before}127.0.0.1:PORT{}", port.trim_start_matches(|c: char| c.is_ascii_digit()))
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The release of the go command at hand, as `go1.26`.
pub fn release() -> String {
    let output = run(Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"));
    let version = String::from_utf8(output.stdout).expect("go prints text");
    version.trim().split('.').take(2).collect::<Vec<_>>().join(".")
}
