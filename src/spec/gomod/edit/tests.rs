use proptest::prelude::*;

use super::*;
use crate::spec::gomod::{GoMod, Target};
use crate::spec::reference::{arguments, golden};

fn addition(number: usize) -> Addition {
    Addition {
        module: "example.com/dep".to_owned(),
        wrong: format!("v1.0.1-0.2019081306444{number}-fde4db37ae7a"),
        right: "v1.0.1-0.20190813064441-fde4db37ae7b".to_owned(),
        reason: "example.com/mid@v1.0.0 asks for it".to_owned(),
    }
}

fn added(text: &str, additions: usize) -> String {
    let mut editor = Editor::new(text.as_bytes());
    (2..2 + additions).for_each(|number| editor.add(addition(number)));
    String::from_utf8(editor.finish().expect("a go.mod")).expect("text")
}

const REASON: &str = "// example.com/mid@v1.0.0 asks for it";
const LINE: &str =
    "example.com/dep v1.0.1-0.20190813064442-fde4db37ae7a => example.com/dep v1.0.1-0.20190813064441-fde4db37ae7b";
const SECOND: &str =
    "example.com/dep v1.0.1-0.20190813064443-fde4db37ae7a => example.com/dep v1.0.1-0.20190813064441-fde4db37ae7b";

#[test]
fn a_replacement_goes_into_the_block_or_to_the_end() {
    let table: &[(&str, &str, &str)] = &[
        ("no block", "module m\n", &format!("module m\n\n{REASON}\nreplace {LINE}\n")),
        ("no last line end", "module m", &format!("module m\n\n{REASON}\nreplace {LINE}\n")),
        ("carriage returns", "module m\r\n", &format!("module m\r\n\r\n{REASON}\r\nreplace {LINE}\r\n")),
        (
            "a block, and more behind it",
            "module m\n\nreplace (\n\ta.b/c => ../c // why\n)\n\n// end\n",
            &format!("module m\n\nreplace (\n\ta.b/c => ../c // why\n\t{REASON}\n\t{LINE}\n)\n\n// end\n"),
        ),
        (
            "a comment at the end of the block",
            "replace (\n\ta.b/c => ../c\n\t// a.b/d => ../d\n)\n",
            &format!("replace (\n\ta.b/c => ../c\n\t// a.b/d => ../d\n\n\t{REASON}\n\t{LINE}\n)\n"),
        ),
        ("an empty block", "replace ()\n", &format!("replace (\n\t{REASON}\n\t{LINE}\n)\n")),
        ("an empty block of two lines", "replace (\n)\n", &format!("replace (\n\t{REASON}\n\t{LINE}\n)\n")),
        (
            "the last of two blocks, in carriage returns",
            "replace (\r\n)\r\nreplace (\r\n\ta.b/c => ../c\r\n)",
            &format!("replace (\r\n)\r\nreplace (\r\n\ta.b/c => ../c\r\n\t{REASON}\r\n\t{LINE}\r\n)"),
        ),
        ("a block of something else", "exclude (\n)\n", &format!("exclude (\n)\n\n{REASON}\nreplace {LINE}\n")),
    ];
    for (name, before, after) in table {
        assert_eq!(&added(before, 1), after, "{name}");
    }
    let both = format!("module m\n\nreplace (\n\t{REASON}\n\t{LINE}\n\t{REASON}\n\t{SECOND}\n)\n");
    assert_eq!(added("module m\n", 2), both);
}

#[test]
fn a_version_in_quotes_stays_in_quotes() {
    let text = b"require a.b/c \"v1.0.0\" // indirect\n";
    let file = GoMod::parse(text).expect("a go.mod");
    let mut editor = Editor::new(text);
    editor.set_version(&file.require[0].version_span, "v1.2.3-pre");
    assert_eq!(editor.finish().expect("a go.mod"), b"require a.b/c \"v1.2.3-pre\" // indirect\n");
}

#[test]
fn a_reason_is_one_comment_line() {
    assert_eq!(comment("a\r\nreplace x\u{1b}[1m => y\t z"), "// a replace x [1m => y z");
}

/// Everything that stands where a version stands.
fn version_spans(file: &GoMod) -> Vec<Span> {
    let targets = file.replace.iter().filter_map(|replace| match &replace.by {
        Target::Module { version_span, .. } => Some(version_span.clone()),
        Target::Folder(_) => None,
    });
    let mut spans: Vec<Span> = file.require.iter().map(|require| require.version_span.clone()).collect();
    spans.extend(file.exclude.iter().map(|exclude| exclude.version_span.clone()));
    spans.extend(file.replace.iter().filter_map(|replace| replace.version_span.clone()).chain(targets));
    spans.sort_by_key(|span| span.start);
    spans
}

/// The go.mod files of the corpus that can be read.
fn corpus() -> Vec<(Vec<u8>, GoMod)> {
    let cases = ["gomod/cases.txt", "gomod/mutants.txt"].into_iter().flat_map(golden);
    let texts = cases.map(|case| arguments(&case.question).swap_remove(0));
    texts.filter_map(|text| GoMod::parse(&text).ok().map(|file| (text, file))).collect()
}

/// The same major and the same suffix, so that it may stand wherever the first one stands.
fn other(version: &str) -> String {
    // What gopkg.in/yaml.v1 may have besides v1.
    if version.starts_with("v0.0.0-") {
        return "v0.0.0-20190813064441-fde4db37ae7a".to_owned();
    }
    let major = version.split('.').next().expect("a version has a major");
    let suffix = if version.ends_with("+incompatible") { "+incompatible" } else { "" };
    format!("{major}.9.10-0.20190813064441-fde4db37ae7a{suffix}")
}

fn pieces(data: &[u8], spans: &[Span]) -> Vec<Vec<u8>> {
    let starts = std::iter::once(0).chain(spans.iter().map(|span| span.end));
    let ends = spans.iter().map(|span| span.start).chain([data.len()]);
    starts.zip(ends).map(|(start, end)| data[start..end].to_vec()).collect()
}

#[test]
fn other_versions_change_nothing_else() {
    let corpus = corpus();
    assert!(corpus.len() > 50, "{} files", corpus.len());
    for (text, file) in &corpus {
        assert_eq!(&Editor::new(text).finish().expect("unchanged"), text);
        let spans = version_spans(file);
        let mut editor = Editor::new(text);
        for span in &spans {
            editor.set_version(span, &other(&String::from_utf8_lossy(&text[span.clone()]).replace('"', "")));
        }
        let edited = editor.finish().expect("read before");
        let read = GoMod::parse(&edited).unwrap_or_else(|error| panic!("{error}: {}", edited.escape_ascii()));
        let found = version_spans(&read);
        assert_eq!(found.len(), spans.len());
        assert_eq!(pieces(&edited, &found), pieces(text, &spans), "{}", text.escape_ascii());
        assert!(found.iter().all(|span| edited[span.clone()].windows(8).any(|part| part == b"20190813")));
    }
}

#[test]
fn an_addition_only_adds() {
    for (text, file) in corpus() {
        let mut editor = Editor::new(&text);
        editor.add(addition(2));
        editor.add(addition(3));
        let edited = editor.finish().expect("read before");
        let read = GoMod::parse(&edited).unwrap_or_else(|error| panic!("{error}: {}", edited.escape_ascii()));
        assert_eq!(read.replace.len(), file.replace.len() + 2);
        assert_eq!((&read.module, &read.go, read.retract.len()), (&file.module, &file.go, file.retract.len()));
        assert_eq!(read.deprecated, file.deprecated);
        let kept = (0..=text.len())
            .any(|cut| edited.starts_with(&text[..cut]) && edited.ends_with(&text[cut..]) && edited.len() > text.len());
        assert!(kept, "{}", edited.escape_ascii());
    }
}

proptest! {
    #[test]
    fn the_same_version_changes_nothing(
        lines in prop::collection::vec("(\t| )?[a-c]\\.d/e(/v2)? v[012]\\.[0-9]\\.0( // [a-z ]{0,9})?(\r\n|\n)", 0..12),
    ) {
        let text = format!("module m\nrequire (\n{})\n", lines.concat());
        let Ok(file) = GoMod::parse(text.as_bytes()) else { return Ok(()) };
        let mut editor = Editor::new(text.as_bytes());
        for require in &file.require {
            editor.set_version(&require.version_span, require.version.as_str());
        }
        prop_assert_eq!(editor.finish().expect("read before"), text.into_bytes());
    }
}
