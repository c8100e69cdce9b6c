//! What a go.work file says.
//! Rules: `modfile.ParseWork` and go.dev/ref/mod#workspaces.

use super::directive::{Reader, Reading};
use super::{GoMod, Replacement, SyntaxError};

/// A go.work file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoWork {
    /// `1.23.0`, without `go` in front.
    pub go: Option<String>,
    pub toolchain: Option<String>,
    /// The folders of its modules, as written.
    pub folders: Vec<String>,
    pub replace: Vec<Replacement>,
    pub godebug: Vec<(String, String)>,
}

impl GoWork {
    /// Fails where `modfile.ParseWork` without a version fixer fails, with the first of its errors.
    pub fn parse(data: &[u8]) -> Result<GoWork, SyntaxError> {
        let (file, folders) = Reader::new(data, Reading::Work).read()?;
        let GoMod { go, toolchain, replace, godebug, .. } = file;
        Ok(GoWork { go, toolchain, folders, replace, godebug })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_folders_and_replacements() {
        let text = "go 1.22\n\nuse ./a\n\nuse (\n\t./b\n\t\"./c d\" // why\n)\n\nreplace x.y/z v1.0.0 => ../z\n";
        let work = GoWork::parse(text.as_bytes()).expect("a go.work");
        assert_eq!(work.go.as_deref(), Some("1.22"));
        assert_eq!(work.folders, ["./a", "./b", "./c d"]);
        assert_eq!(work.replace[0].line, 10);
    }

    #[test]
    fn what_only_a_module_says_is_refused() {
        for (text, line, what) in [
            ("go 1.22\nrequire x.y/z v1.0.0\n", 2, "unknown directive: require"),
            ("module m\n", 1, "unknown directive: module"),
            ("go 1.22\n\nrequire (\n\tx.y/z v1.0.0\n)\n", 3, "unknown block type: require"),
            ("use ./a ./b\n", 1, "usage: use local/dir"),
            ("go 1.22\ngo 1.23\n", 2, "repeated go statement"),
        ] {
            let error = GoWork::parse(text.as_bytes()).expect_err(text);
            assert_eq!((error.line, error.what.as_str()), (line, what), "{text}");
        }
        let error = GoMod::parse(b"module m\nuse ./a\n").expect_err("a module uses nothing");
        assert_eq!(error.what, "unknown directive: use");
    }
}
