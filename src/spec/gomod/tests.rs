use super::*;
use crate::spec::literal::{is_print, quote};
use crate::spec::reference::{self, Dice, arguments, golden};

fn quoted(text: &str) -> String {
    quote(text.as_bytes())
}

/// Our answer to the reference's question `gomod`.
fn answer(question: &str) -> String {
    let data = &arguments(question)[0];
    [
        file(GoMod::parse_lax(data)),
        file(GoMod::parse(data)),
        quoted(&module_path(data).unwrap_or_default()),
        quoted(&language_version(data).map(|version| format!("go{version}")).unwrap_or_default()),
    ]
    .join("\t")
}

fn file(read: Result<GoMod, SyntaxError>) -> String {
    let file = match read {
        Ok(file) => file,
        Err(error) => return format!("error {}", quoted(&error.to_string())),
    };
    let mut words = vec!["ok".to_owned()];
    let mut say = |verb: &str, arguments: &[&str], line: Option<usize>| {
        let mut arguments: Vec<String> = arguments.iter().map(|text| quoted(text)).collect();
        arguments.extend(line.map(|line| line.to_string()));
        words.push(format!("{verb}={}", arguments.join(",")));
    };
    let single =
        [("module", &file.module), ("deprecated", &file.deprecated), ("go", &file.go), ("toolchain", &file.toolchain)];
    single
        .iter()
        .filter_map(|(verb, text)| Some((verb, text.as_ref()?)))
        .for_each(|(verb, text)| say(verb, &[text], None));
    for require in &file.require {
        let mut text = format!("{},{}", quoted(&require.path), quoted(require.version.as_str()));
        text.push_str(&format!(",{},{}", require.indirect, require.line));
        words.push(format!("require={text}"));
    }
    let mut say = |verb: &str, arguments: &[&str], line: Option<usize>| {
        let mut arguments: Vec<String> = arguments.iter().map(|text| quoted(text)).collect();
        arguments.extend(line.map(|line| line.to_string()));
        words.push(format!("{verb}={}", arguments.join(",")));
    };
    file.exclude
        .iter()
        .for_each(|exclude| say("exclude", &[&exclude.path, exclude.version.as_str()], Some(exclude.line)));
    for replace in &file.replace {
        let old = replace.version.as_ref().map_or("", Version::as_str);
        let (path, version) = match &replace.by {
            Target::Module { path, version, .. } => (path, version.as_str()),
            Target::Folder(path) => (path, ""),
        };
        say("replace", &[&replace.path, old, path, version], Some(replace.line));
    }
    for retract in &file.retract {
        say("retract", &[&retract.interval.low, &retract.interval.high, &retract.rationale], Some(retract.line));
    }
    file.tool.iter().for_each(|path| say("tool", &[path], None));
    file.ignore.iter().for_each(|path| say("ignore", &[path], None));
    file.godebug.iter().for_each(|(key, value)| say("godebug", &[key, value], None));
    words.join(" ")
}

#[test]
fn reads_what_the_reference_reads() {
    reference::check("gomod/cases.txt", answer);
}

#[test]
fn reads_mutants_as_the_reference_does() {
    reference::check("gomod/mutants.txt", answer);
}

/// Pieces of go.mod files, right and wrong.
const PIECES: &[&[u8]] = &[
    b"(",
    b")",
    b"[",
    b"]",
    b",",
    b"{",
    b"\"",
    b"`",
    b"'",
    b"//",
    b"/*",
    b"*/",
    b"=>",
    b"\\",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\t",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    b"\0",
    b"\xc3\xa9",
    b"module",
    b"go",
    b"require",
    b"retract",
    b"replace",
    b"exclude",
    b"toolchain",
    b"tool",
    b"ignore",
    b"godebug",
    b"v1.2.3",
    b"v2.0.0",
    b"v2",
    b"v1.2",
    b"+incompatible",
    b"+meta",
    b"-pre.1",
    b"// indirect",
    b"// indirect; x",
    b"example.com/a",
    b"example.com/a/v2",
    b"gopkg.in/yaml.v2",
    b"1.21",
    b"1.21.3",
    b"1.24rc1",
    b"v1.24.x",
    b"()",
    b"( )",
    b"// Deprecated: x",
    b"../d",
    b"a=b",
    b"default",
    b"go1.22.1",
    b"\"a\\x41\"",
    b"\"a\\\n\"",
    b"0",
    b".",
];

/// A handwritten go.mod with a few accidents.
fn mutant(seeds: &[Vec<u8>], number: usize) -> Vec<u8> {
    let mut dice = Dice::new(number as u64 + 1);
    let mut data = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(data.len() + 1);
        let end = (at + 1 + dice.roll(6)).min(data.len());
        let piece = PIECES[dice.roll(PIECES.len())];
        match dice.roll(5) {
            0 => drop(data.splice(at..at, piece.iter().copied())),
            1 => drop(data.drain(at.min(end)..end)),
            2 => drop(data.splice(at.min(end)..end, piece.iter().copied())),
            3 => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len() + 1);
                data.extend_from_slice(&other[from..]);
            }
            _ => {
                let lines: Vec<&[u8]> = data.split_inclusive(|byte| *byte == b'\n').collect();
                let line = lines.get(dice.roll(lines.len() + 1)).unwrap_or(&piece).to_vec();
                drop(data.splice(at..at, line));
            }
        }
    }
    data
}

fn question(data: &[u8]) -> String {
    format!("gomod\t{}", quote(data))
}

#[test]
fn reads_thousands_of_mutants_as_the_reference_does() {
    let seeds: Vec<Vec<u8>> =
        golden("gomod/cases.txt").iter().map(|case| arguments(&case.question).swap_remove(0)).collect();
    let questions: Vec<String> = (0..6000).map(|number| question(&mutant(&seeds, number))).collect();
    let Some(answers) = reference::ask(&questions) else { return };
    if std::env::var_os("BLESS").is_some() {
        let numbered = questions.iter().zip(&answers).enumerate().step_by(15);
        let cases: Vec<reference::Case> = numbered
            .map(|(number, (question, answer))| reference::Case {
                name: number.to_string(),
                question: question.clone(),
                answer: answer.clone(),
            })
            .collect();
        reference::write("gomod/mutants.txt", &cases);
    }
    for (question, theirs) in questions.iter().zip(answers) {
        assert_eq!(answer(question), theirs, "{question}");
    }
}

#[test]
fn knows_the_characters_that_the_reference_knows() {
    let Some(answers) = reference::ask(&["runes"]) else { return };
    let fields: Vec<&str> = answers[0].split('\t').collect();
    for (field, is) in [(fields[0], is_print as fn(char) -> bool), (fields[2], char::is_whitespace)] {
        let mut ours = String::new();
        let known = |code: u32| char::from_u32(code).is_some_and(is);
        for code in 0..=u32::from(char::MAX) {
            if known(code) && (code == 0 || !known(code - 1)) {
                ours.push_str(&format!(" {code:x}"));
            }
            if known(code) && !known(code + 1) {
                ours.push_str(&format!("-{code:x}"));
            }
        }
        let (name, theirs) = field.split_at(5);
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn an_interval_holds_its_bounds() {
    // low, high, version, whether it lies between
    let table = [
        ("v1.0.0", "v1.0.0", "v1.0.0", true),
        ("v1.0.0", "v1.2.0", "v1.2.0", true),
        ("v1.0.0", "v1.2.0", "v1.2.1-pre", false),
        ("v1.0.0", "v1.2.0", "v1.0.0-pre", false),
        ("v1.0.0", "v1.2.0", "v1.2.0+incompatible", true),
        ("v1", "v1.1", "v1.0.5", true),
        ("v1.2.0", "v1.0.0", "v1.1.0", false),
        ("nonsense", "v1.2.0", "v0.0.0", true),
        ("v1.0.0", "nonsense", "v1.0.0", false),
    ];
    for (low, high, version, inside) in table {
        let interval = Interval { low: low.to_owned(), high: high.to_owned() };
        let version = Semver::parse(version).expect(version);
        assert_eq!(interval.contains(&version), inside, "[{low}, {high}] {version}");
    }
}

#[test]
fn keeps_where_versions_lie() {
    let text = "module m\nrequire (\n\t\"a.b/c\" v1.2 // indirect\n)\nreplace x.y/z v1.0.0 => \"a.b/c\" v1.1.0\nexclude d.e/f v0.1.0\n";
    let file = GoMod::parse(text.as_bytes()).expect("go.mod");
    let (require, replace, exclude) = (&file.require[0], &file.replace[0], &file.exclude[0]);
    assert_eq!((&text[require.path_span.clone()], &text[require.version_span.clone()]), ("\"a.b/c\"", "v1.2"));
    assert_eq!((&text[exclude.path_span.clone()], &text[exclude.version_span.clone()]), ("d.e/f", "v0.1.0"));
    assert_eq!(replace.version_span.clone().map(|span| &text[span]), Some("v1.0.0"));
    let Target::Module { version_span, .. } = &replace.by else { panic!("{replace:?}") };
    assert_eq!(&text[version_span.clone()], "v1.1.0");
}

#[test]
fn vendor_rule_changes_with_go_1_24() {
    let table = [
        ("1.23", false),
        ("1.24", true),
        ("1.24rc1", true),
        ("1.24.0", true),
        ("1.9", false),
        ("2.0", true),
        ("1.20.1rc1", false),
        ("1.100", true),
    ];
    for (version, expected) in table {
        let text = format!("module m\ngo {version}\n");
        assert_eq!(at_least_go_1_24(text.as_bytes()), expected, "{version}");
    }
    assert!(!at_least_go_1_24(b"module m\n"));
    assert!(!at_least_go_1_24(b"module m\ngo 1.24\ngo 1.24\n"));
}

#[test]
fn writes_a_go_mod_for_a_module_without() {
    let path = ModulePath::parse("example.com/m").expect("path");
    assert_eq!(synthesized(&path), b"module example.com/m\n");
    let table = [("a b", "\"a b\""), ("(", "("), ("((", "\"((\""), ("", "\"\""), ("a//b", "\"a//b\""), ("é", "é")];
    for (text, token) in table {
        assert_eq!(auto_quote(text), token);
    }
}
