//! The go command's own variables: the environment, else what `go env -w` wrote.
//! Rules: `cmd/go/internal/cfg` (`EnvFile`, `Getenv`): a variable that is set to nothing counts as not set.

use std::path::PathBuf;

use super::environment::variable;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// A variable of the go command.
pub fn go_variable(name: &str) -> Option<String> {
    variable(name).or_else(|| written(&file()?, name))
}

/// Where `go env -w` writes; `GOENV=off` is nowhere.
fn file() -> Option<PathBuf> {
    match variable("GOENV") {
        Some(off) if off == "off" => None,
        Some(path) => Some(path.into()),
        None => Some(dirs::config_dir()?.join("go").join("env")),
    }
}

/// A file that cannot be read says nothing, as for the go command.
fn written(path: &PathBuf, name: &str) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    let text = (size <= LIMIT).then(|| std::fs::read_to_string(path).ok())??;
    value(&text, name)
}

/// The value of `NAME=value` lines; the last one counts.
fn value(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.trim_end_matches('\r').split_once('='));
    let last = pairs.rfind(|(key, _)| *key == name)?.1;
    Some(last.to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_env_writes() {
        let text = "GOPRIVATE=corp.example/*\n# GOPROXY=off\nGOPROXY=https://a.example,direct\r\nGOSUMDB=\nGOFLAGS=-mod=mod\nGOPROXY=https://b.example\n";
        let table = [
            ("GOPRIVATE", Some("corp.example/*")),
            ("GOPROXY", Some("https://b.example")),
            ("GOSUMDB", None),
            ("GOFLAGS", Some("-mod=mod")),
            ("GONOPROXY", None),
        ];
        for (name, expected) in table {
            assert_eq!(value(text, name).as_deref(), expected, "{name}");
        }
    }
}
