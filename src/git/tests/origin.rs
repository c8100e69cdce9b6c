use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A bare repository made by the real git, in an environment that knows no user's configuration.
pub struct Origin {
    home: tempfile::TempDir,
}

impl Origin {
    pub fn new() -> Origin {
        let origin = Origin { home: tempfile::tempdir().expect("a folder") };
        origin.run(&["init", "-q", "--bare", "-b", "main", "repo.git"], origin.home.path(), "");
        origin.git(&["config", "http.receivepack", "false"]);
        origin
    }

    /// The folder that holds `repo.git`.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn repository(&self) -> PathBuf {
        self.home.path().join("repo.git")
    }

    /// All refs and what they hold, without HEAD.
    pub fn refs(&self) -> BTreeMap<String, String> {
        let lines = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let pairs = lines.lines().map(|line| line.split_once(' ').expect("two words"));
        pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        self.run(arguments, &self.repository(), "").expect("git succeeds")
    }

    /// Whether git succeeds.
    pub fn says_yes(&self, arguments: &[&str]) -> bool {
        self.run(arguments, &self.repository(), "").is_some()
    }

    pub fn allow_filters(&self) {
        self.git(&["config", "uploadpack.allowFilter", "true"]);
    }

    pub fn feed(&self, arguments: &[&str], input: &str) -> String {
        self.run(arguments, &self.repository(), input).expect("git succeeds")
    }

    /// Adds a commit with these files (and no others) to a branch, and gives its id.
    pub fn commit(&self, branch: &str, seconds: u32, files: &[(&str, &str)]) -> String {
        let mut stream =
            format!("commit refs/heads/{branch}\ncommitter C <c@example.com> {seconds} +0000\ndata 1\nx\n");
        if self.says_yes(&["rev-parse", "-q", "--verify", &format!("refs/heads/{branch}")]) {
            stream.push_str(&format!("from refs/heads/{branch}^0\n"));
        }
        stream.push_str("deleteall\n");
        for (path, text) in files {
            stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len()));
        }
        self.feed(&["fast-import", "--quiet", "--force"], &stream);
        self.id(&format!("refs/heads/{branch}"))
    }

    pub fn id(&self, name: &str) -> String {
        self.git(&["rev-parse", "--verify", name])
    }

    fn run(&self, arguments: &[&str], folder: &Path, input: &str) -> Option<String> {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_NAME", "C")
            .env("GIT_COMMITTER_EMAIL", "c@example.com")
            .env("GIT_COMMITTER_DATE", "1500000000 +0000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git starts");
        let text = input.to_owned();
        let mut stdin = child.stdin.take().expect("piped");
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
        let output = child.wait_with_output().expect("git ends");
        // A git that needs no input closes it early.
        let _ = writer.join().expect("no panic");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        output.status.success().then(|| text.trim_end().to_owned())
    }
}
