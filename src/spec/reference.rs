//! Asks golang.org/x/mod itself, out of the installed go's own sources, and keeps its answers as golden files.
//! `BLESS=1 cargo test` rewrites the answers in testdata/spec.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A question to the program in testdata/spec/reference, and its answer.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub question: String,
    pub answer: String,
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/spec")
}

/// Reads a golden file: name, question and answer on a line each, then an empty line.
pub fn golden(file: &str) -> Vec<Case> {
    let path = testdata().join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("#", name)) => {
                cases.push(Case { name: name.to_owned(), question: String::new(), answer: String::new() });
            }
            Some(("?", question)) => cases.last_mut().expect("a name first").question = question.to_owned(),
            Some(("=", answer)) => cases.last_mut().expect("a name first").answer = answer.to_owned(),
            _ => assert!(line.is_empty() || line == "=", "{}: {line}", path.display()),
        }
    }
    cases
}

/// Compares the answers of a golden file with ours, and with the reference where there is a go.
pub fn check(file: &str, ours: impl Fn(&str) -> String) {
    let mut cases = golden(file);
    let questions: Vec<&str> = cases.iter().map(|case| case.question.as_str()).collect();
    if let Some(answers) = ask(&questions) {
        if std::env::var_os("BLESS").is_some() {
            cases.iter_mut().zip(&answers).for_each(|(case, answer)| case.answer = answer.clone());
            write(file, &cases);
        }
        for (case, answer) in cases.iter().zip(&answers) {
            assert_eq!(&case.answer, answer, "{file}: {}: the golden file is not what the reference says", case.name);
        }
    }
    for case in &cases {
        assert_eq!(ours(&case.question), case.answer, "{file}: {}: {}", case.name, case.question);
    }
}

pub fn write(file: &str, cases: &[Case]) {
    let text: String =
        cases.iter().map(|case| format!("# {}\n? {}\n= {}\n\n", case.name, case.question, case.answer)).collect();
    fs::write(testdata().join(file), text).expect("testdata can be written");
}

/// One answer for each question; `None`, with the reason printed, where there is no go.
pub fn ask<Q: AsRef<str>>(questions: &[Q]) -> Option<Vec<String>> {
    let program = program()?;
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the reference was built");
    let text: String = questions.iter().map(|question| format!("{}\n", question.as_ref())).collect();
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the reference ran");
    writer.join().expect("no panic").expect("the reference read all questions");
    assert!(output.status.success(), "the reference failed");
    let answers = String::from_utf8(output.stdout).expect("the reference writes UTF-8");
    let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), questions.len());
    Some(answers)
}

fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || build().inspect_err(|why| eprintln!("not compared with golang.org/x/mod: {why}")).ok();
    PROGRAM.get_or_init(build).as_deref()
}

/// A `go` that knows nothing of the user's settings and the network.
pub fn go(home: &Path) -> Command {
    let mut go = Command::new("go");
    go.env_clear();
    go.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    go.env("HOME", home).env("GOPATH", home.join("gopath")).env("GOCACHE", home.join("cache"));
    go.env("GOENV", "off").env("GOFLAGS", "-mod=mod -modcacherw").env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
    go.env("GOTELEMETRY", "off").env("GONOSUMDB", "*").env("CGO_ENABLED", "0");
    go
}

/// Builds the program from the copy of golang.org/x/mod that go brings along, once per build of the tests.
fn build() -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let home = test.with_extension("reference");
    let program = home.join("reference");
    if program.exists() {
        return Ok(program);
    }
    let copies = home.join("module");
    fs::create_dir_all(&copies).map_err(|error| error.to_string())?;
    let root = run(go(&home).args(["env", "GOROOT"]))?;
    let library = Path::new(root.trim()).join("src/cmd/vendor/golang.org/x/mod");
    copy(&library, &copies.join("mod"))?;
    let put = |name: &str, text: &str| fs::write(copies.join(name), text).map_err(|error| error.to_string());
    put("mod/go.mod", "module golang.org/x/mod\n\ngo 1.24\n")?;
    put(
        "go.mod",
        "module reference\n\ngo 1.24\n\nrequire golang.org/x/mod v0.0.0\n\nreplace golang.org/x/mod => ./mod\n",
    )?;
    let source = fs::read_to_string(testdata().join("reference/main.go")).map_err(|error| error.to_string())?;
    put("main.go", &source)?;
    run(go(&home).current_dir(&copies).args(["build", "-o"]).arg(&program).arg("."))?;
    Ok(program)
}

pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copy = || -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &target).map_err(std::io::Error::other)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    };
    copy().map_err(|error| error.to_string())
}

/// The fields of a question after its first.
pub fn arguments(question: &str) -> Vec<Vec<u8>> {
    let unquote = |field: &str| super::literal::unquote(field.as_bytes()).unwrap_or_else(|| panic!("{field}"));
    question.split('\t').skip(1).map(unquote).collect()
}

/// Numbers that look random and are the same every time (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `limit`, which is not zero.
    pub fn roll(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
