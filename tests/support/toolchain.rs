//! Go commands of other releases: modules of the environment's own upstream, kept in the user's cache folder.
//!
//! Their zips hold no permissions, so what is to run gets its run bits back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::go::{Download, run};

/// A go command that was unpacked.
pub struct Toolchain {
    root: PathBuf,
}

impl Toolchain {
    /// The toolchain of a release such as `go1.12.17`, or why there is none.
    pub fn of(release: &str) -> Result<Toolchain, String> {
        let folder = dirs::cache_dir().ok_or("no cache folder is known for this user")?.join("modvet-toolchains");
        let version = format!("v0.0.1-{release}.{}-{}", environment("GOOS"), environment("GOARCH"));
        let root = folder.join(&version);
        if !root.join("bin/go").is_file() {
            fetch(&version, &folder, &root)?;
        }
        Ok(Toolchain { root })
    }

    /// The go command, without an environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.root.join("bin/go"));
        command.env_clear().env("GOROOT", &self.root).env("GOTOOLCHAIN", "local");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.root.join("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).expect("folders of a PATH make a PATH"));
        command
    }
}

/// What the installed go says of its environment.
fn environment(name: &str) -> String {
    let output = run(Command::new("go").args(["env", name]));
    String::from_utf8(output.stdout).expect("go prints text").trim().to_owned()
}

/// Downloads beside the root and moves what came there as the last step: nobody sees half a toolchain.
fn fetch(version: &str, folder: &Path, root: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let half_made = tempfile::tempdir_in(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = Command::new("go");
    command.args(["mod", "download", "-json", &format!("golang.org/toolchain@{version}")]);
    command.current_dir(half_made.path()).env("GOFLAGS", "-modcacherw").env("GOWORK", "off").env("GO111MODULE", "on");
    command.env("GOMODCACHE", half_made.path().join("modules")).env("GOTOOLCHAIN", "local");
    let output = run(&mut command);
    let download: Download = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let told = format!("{}{}", download.error, String::from_utf8_lossy(&output.stderr));
    assert!(!told.contains("SECURITY ERROR"), "{version}: {told}");
    if download.dir.as_os_str().is_empty() {
        return Err(told.trim().to_owned());
    }
    let unpacked = &download.dir;
    let platform = format!("{}_{}", environment("GOOS"), environment("GOARCH"));
    // A third of the older ones, and never run here.
    let race = unpacked.join("pkg").join(platform + "_race");
    if race.is_dir() {
        std::fs::remove_dir_all(&race).map_err(|error| format!("{}: {error}", race.display()))?;
    }
    make_runnable(&unpacked.join("bin")).and_then(|()| make_runnable(&unpacked.join("pkg/tool"))).map_err(in_words)?;
    match std::fs::rename(unpacked, root) {
        // Another test was faster.
        Err(_) if root.join("bin/go").is_file() => Ok(()),
        moved => moved.map_err(in_words),
    }
}

fn in_words(error: std::io::Error) -> String {
    error.to_string()
}

fn make_runnable(path: &Path) -> std::io::Result<()> {
    if !path.is_dir() {
        return std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    }
    std::fs::read_dir(path)?.try_for_each(|entry| make_runnable(&entry?.path()))
}
