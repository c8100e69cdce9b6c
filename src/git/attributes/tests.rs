use std::time::{Duration, Instant};

use super::reference::{REGULAR, Reference, SUBMODULE, SYMLINK, file};
use super::{Attributes, IGNORED_FROM, PATH_LIMIT, SIZE_LIMIT};
use crate::error::Kind;

/// A tree, and a file whose line end tells whether `eol=crlf` reached it.
struct Row {
    name: &'static str,
    attributes: &'static [(&'static str, &'static str)],
    path: &'static str,
    converted: bool,
}

const fn row(
    name: &'static str,
    attributes: &'static [(&'static str, &'static str)],
    path: &'static str,
    converted: bool,
) -> Row {
    Row { name, attributes, path, converted }
}

const ROOT: &str = ".gitattributes";
const SUB: &str = "sub/.gitattributes";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("no attributes", &[], "a", false),
    row("a name matches in the root", &[(ROOT, "a eol=crlf")], "a", true),
    row("a name matches in any folder", &[(ROOT, "a eol=crlf")], "x/y/a", true),
    row("a name is no prefix", &[(ROOT, "a eol=crlf")], "ab", false),
    row("names are told by case", &[(ROOT, "A eol=crlf")], "a", false),
    row("a leading slash holds to the root", &[(ROOT, "/a eol=crlf")], "x/a", false),
    row("a leading slash is not part of the name", &[(ROOT, "/a eol=crlf")], "a", true),
    row("an inner slash holds to the folder", &[(ROOT, "x/a eol=crlf")], "y/x/a", false),
    row("a folder's own name means no file in it", &[(ROOT, "x eol=crlf")], "x/a", false),
    row("a trailing slash means no file", &[(ROOT, "a/ eol=crlf")], "a", false),
    row("a star stops at a slash", &[(ROOT, "x/* eol=crlf")], "x/y/a", false),
    row("two stars do not", &[(ROOT, "x/** eol=crlf")], "x/y/a", true),
    row("leading stars mean any depth", &[(ROOT, "**/a eol=crlf")], "a", true),
    row("inner stars mean no folder too", &[(ROOT, "x/**/a eol=crlf")], "x/a", true),
    row("stars after text are one star", &[(ROOT, "?x**/a eol=crlf")], "xx/y/a", false),
    row("stars after plain text cross folders all the same", &[(ROOT, "x**/a eol=crlf")], "x/y/a", true),
    row("a negative pattern is ignored", &[(ROOT, "* -text eol=crlf\n!a text")], "a", false),
    row("an escaped exclamation mark", &[(ROOT, "\\!a eol=crlf")], "!a", true),
    row("a backslash at the end matches nothing", &[(ROOT, "a\\ eol=crlf")], "a\\", false),
    row("an open bracket matches nothing", &[(ROOT, "[a eol=crlf")], "[a", false),
    row("a quoted pattern with a space", &[(ROOT, "\"a b\" eol=crlf")], "a b", true),
    row("a quoted pattern with an octal escape", &[(ROOT, "\"\\303\\251\" eol=crlf")], "é", true),
    row("a quoted pattern with an octal NUL ends there", &[(ROOT, "\"a\\000b\" eol=crlf")], "a", true),
    row("attributes may touch the closing quote", &[(ROOT, "\"a\"eol=crlf")], "a", true),
    row("a bad escape leaves the quotes in the pattern", &[(ROOT, "\"a\\q\" eol=crlf")], "a", false),
    row("the last match counts", &[(ROOT, "a eol=crlf\n* -text")], "a", false),
    row("the last change of a line counts", &[(ROOT, "a eol=lf eol=crlf")], "a", true),
    row("a deeper file counts first", &[(ROOT, "* eol=crlf"), (SUB, "* eol=lf")], "sub/a", false),
    row("a deeper file speaks of its folder only", &[(ROOT, "* eol=crlf"), (SUB, "* eol=lf")], "sup/a", true),
    row("a deeper file's slash is its folder's", &[(SUB, "/a eol=crlf")], "sub/a", true),
    row("a file applies below, over folders without one", &[(SUB, "a eol=crlf")], "sub/x/y/a", true),
    row("unspecified hides what is above", &[(ROOT, "* eol=crlf"), (SUB, "* !eol")], "sub/a", false),
    row("a bad attribute name spoils its line", &[(ROOT, "a eol=crlf te:xt")], "a", false),
    row("a bad attribute name spoils no other line", &[(ROOT, "a eol=crlf\na te:xt")], "a", true),
    row("a value after a minus is not read", &[(ROOT, "a eol=crlf -text=auto")], "a", false),
    row("a comment", &[(ROOT, "#a eol=crlf")], "#a", false),
    row("blanks before the pattern", &[(ROOT, " \t a eol=crlf")], "a", true),
    row("carriage returns are blanks", &[(ROOT, "a eol=crlf\r\n")], "a", true),
    row("a byte order mark is part of the first pattern", &[(ROOT, "\u{feff}a eol=crlf")], "a", false),
    row("nothing is read after a NUL", &[(ROOT, "\0\na eol=crlf")], "a", false),
    row("a macro in the root", &[(ROOT, "[attr]dos eol=crlf\na dos")], "a", true),
    row("a macro used before its definition", &[(ROOT, "a dos\n[attr]dos eol=crlf")], "a", true),
    row("a macro from the root, used below", &[(ROOT, "[attr]dos eol=crlf"), (SUB, "a dos")], "sub/a", true),
    row("a macro below the root is none", &[(SUB, "[attr]dos eol=crlf\na dos")], "sub/a", false),
    row("a macro that is unset says nothing", &[(ROOT, "[attr]dos eol=crlf\na -dos")], "a", false),
    row("a macro with a value says nothing", &[(ROOT, "[attr]dos eol=crlf\na dos=1")], "a", false),
    row("a macro's later definition replaces it", &[(ROOT, "[attr]dos eol=crlf\n[attr]dos text\na dos")], "a", false),
    row("macros of macros", &[(ROOT, "[attr]dos win\n[attr]win eol=crlf\na dos")], "a", true),
    row("macros of each other", &[(ROOT, "[attr]dos win\n[attr]win dos eol=crlf\na dos")], "a", true),
    row("a macro stands where it is written", &[(ROOT, "[attr]dos eol=crlf\na dos eol=lf")], "a", false),
    row("a macro with a blank after its mark is a pattern", &[(ROOT, "[attr] dos eol=crlf")], "a", true),
    row("a quoted macro may have a blank", &[(ROOT, "\"[attr] dos\" eol=crlf\na dos")], "a", true),
    row("a macro named as an attribute", &[(ROOT, "[attr]text eol=crlf\na text")], "a", true),
    row("binary is known", &[(ROOT, "a eol=crlf binary")], "a", false),
    row("binary redefined", &[(ROOT, "[attr]binary eol=crlf\na binary")], "a", true),
    row("a macro that the go command unsets", &[(ROOT, "[attr]export-subst eol=crlf\na export-subst")], "a", false),
    row("a filter without a driver", &[(ROOT, "a eol=crlf filter=lfs diff=lfs merge=lfs")], "a", true),
    row("text says nothing of line ends", &[(ROOT, "a text")], "a", false),
    row("text=auto says nothing of line ends", &[(ROOT, "a text=auto")], "a", false),
    row("eol=crlf makes text", &[(ROOT, "a eol=crlf")], "a", true),
    row("eol=crlf with text=input", &[(ROOT, "a text=input eol=crlf")], "a", true),
    row("eol=crlf with a text of no meaning", &[(ROOT, "a text=maybe eol=crlf")], "a", true),
    row("eol=crlf with -text", &[(ROOT, "a -text eol=crlf")], "a", false),
    row("eol=CRLF is none", &[(ROOT, "a eol=CRLF")], "a", false),
    row("-crlf is -text", &[(ROOT, "a -crlf eol=crlf")], "a", false),
    row("crlf is asked only after text", &[(ROOT, "a text -crlf eol=crlf")], "a", true),
    row("crlf says nothing of line ends", &[(ROOT, "a crlf")], "a", false),
];

#[test]
fn rules_reach_files_as_in_git() {
    let reference = Reference::new();
    for Row { name, attributes, path, converted } in ROWS {
        let mut files: Vec<_> = attributes.iter().map(|(path, text)| file(path, *text)).collect();
        files.push(file(path, "line\n"));
        let contents = reference.agreed(name, &files);
        let expected = if *converted { "line\r\n" } else { "line\n" };
        assert_eq!(String::from_utf8_lossy(&contents[*path]), expected, "{name}");
    }
}

#[test]
fn a_line_of_2048_bytes_is_ignored() {
    let reference = Reference::new();
    for (length, expected) in [(2047, "\r\n"), (2048, "\n")] {
        let line = format!("a eol=crlf {}\nb eol=crlf\n", "x".repeat(length - "a eol=crlf ".len()));
        let contents = reference.agreed("long line", &[file(ROOT, line), file("a", "\n"), file("b", "\n")]);
        assert_eq!(String::from_utf8_lossy(&contents["a"]), expected, "{length}");
        assert_eq!(contents["b"], b"\r\n");
    }
}

#[test]
fn a_symlink_is_read_as_its_text() {
    let files = [(ROOT.to_owned(), SYMLINK, b"a eol=crlf".to_vec()), file("a", "\n")];
    assert_eq!(Reference::new().agreed("symlink", &files)["a"], b"\r\n");
}

#[test]
fn a_folder_or_a_submodule_of_that_name_is_nothing() {
    let reference = Reference::new();
    let files = [file(".gitattributes/a", "* eol=crlf"), file("a", "\n")];
    assert_eq!(reference.agreed("folder", &files)["a"], b"\n");
    let files = [(ROOT.to_owned(), SUBMODULE, Vec::new()), file("a", "\n")];
    assert_eq!(reference.agreed("submodule", &files)["a"], b"\n");
}

#[test]
fn an_encoding_without_a_name_is_fatal_as_in_git() {
    let reference = Reference::new();
    let files = [file(ROOT, "a working-tree-encoding"), file("a", "\n")];
    let commit = reference.commit(&files);
    let git = reference.archived(commit).expect_err("git dies");
    let error = reference.converted(commit, &files).expect_err("we refuse");
    assert!(git.contains(error.what()), "{git}: {error}");
    assert_eq!((error.kind(), error.subject()), (Kind::Gone, Some("a")));
}

#[test]
fn an_encoding_that_is_not_ours_is_an_error() {
    let reference = Reference::new();
    for name in ["EBCDIC-INT", "big5", "UTF-16//TRANSLIT", "UTF-7"] {
        let files = [file(ROOT, format!("a working-tree-encoding={name}")), file("a", "\n"), file("b", "\n")];
        let commit = reference.commit(&files);
        let attributes = Attributes::at(reference.repository(), commit).expect("attributes");
        assert_eq!(attributes.of("a").expect_err(name).kind(), Kind::Internal, "{name}");
        assert!(attributes.of("b").expect("no encoding").is_none());
    }
}

#[test]
fn an_overly_large_file_is_ignored_or_refused() {
    let reference = Reference::new();
    let with = |size: usize| {
        let mut text = b"a eol=crlf\n".to_vec();
        text.resize(size, b'\n');
        let commit = reference.commit(&[file(ROOT, text), file("a", "\n")]);
        Attributes::at(reference.repository(), commit).and_then(|attributes| attributes.of("a"))
    };
    assert!(!with(SIZE_LIMIT).expect("small enough").is_none());
    assert_eq!(with(SIZE_LIMIT + 1).expect_err("too large").kind(), Kind::Forbidden);
    assert!(with(IGNORED_FROM).expect("ignored by git").is_none());
}

#[test]
fn an_overly_long_path_is_refused() {
    let reference = Reference::new();
    let commit = reference.commit(&[file("a", "\n")]);
    let attributes = Attributes::at(reference.repository(), commit).expect("attributes");
    let deep = "x/".repeat(PATH_LIMIT / 2);
    assert!(attributes.of(&deep).expect("no such folder").is_none());
    assert_eq!(attributes.of(&format!("{deep}a")).expect_err("too long").kind(), Kind::Forbidden);
}

#[test]
fn a_missing_object_is_our_fault_and_named() {
    let reference = Reference::new();
    let files = [file("x/.gitattributes", "a eol=crlf"), file("x/a", "\n")];
    let commit = reference.commit(&files);
    let id = git2::Oid::hash_object(git2::ObjectType::Blob, &files[0].2).expect("an id").to_string();
    let object = reference.repository().path().join("objects").join(&id[..2]).join(&id[2..]);
    std::fs::remove_file(object).expect("a loose object");
    let repository = git2::Repository::open(reference.repository().path()).expect("the repository again");
    let attributes = Attributes::at(&repository, commit).expect("the root has none");
    let error = attributes.of("x/a").expect_err("the blob is gone");
    assert_eq!((error.kind(), error.subject()), (Kind::Internal, Some("x/.gitattributes")));
}

#[test]
fn twenty_thousand_files_cost_little() {
    let reference = Reference::new();
    let mut files = vec![file(ROOT, "*.a eol=crlf\nx/**/*.b ident\n*.c linguist-generated\n".repeat(20))];
    for folder in 0..200 {
        files.extend((0..100).map(|name| (format!("x/{folder}/{name}.b"), REGULAR, b"\n".to_vec())));
    }
    let commit = reference.commit(&files);
    let start = Instant::now();
    let attributes = Attributes::at(reference.repository(), commit).expect("attributes");
    let converted = files.iter().filter(|(path, ..)| !attributes.of(path).expect("a conversion").is_none()).count();
    assert_eq!(converted, 20_000);
    // Half a second in a debug build on a free machine; a second reading of each file would take minutes.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_pattern_of_many_stars_is_no_trap() {
    let reference = Reference::new();
    let pattern = "*a".repeat(500);
    let name = format!("{}b", "a".repeat(200));
    let commit = reference.commit(&[file(ROOT, format!("x/{pattern} eol=crlf")), file(&format!("x/{name}"), "\n")]);
    let attributes = Attributes::at(reference.repository(), commit).expect("attributes");
    let start = Instant::now();
    assert!(attributes.of(&format!("x/{name}")).expect("a conversion").is_none());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
