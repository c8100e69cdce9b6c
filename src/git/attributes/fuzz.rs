//! Random attribute files and contents, compared with real git; seeds are fixed, so every run is the same.
//! Must not know what is right; git does.
//! Rules: none of its own.

use super::reference::{Reference, file};

/// A small generator (xorshift64*): tests need no better one, and always the same numbers.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.next(of.len())]
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..=self.next(most)).map(|_| self.one(pieces)).collect()
    }
}

const PATTERN: &[&str] = &[
    "a",
    "b",
    "c",
    "ab",
    ".",
    "-",
    "]",
    "x y",
    "*",
    "*",
    "*",
    "**",
    "**/",
    "/**",
    "/",
    "/",
    "?",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-c]",
    "[]a]",
    "[a",
    "[[:alpha:]]",
    "[[:space:]b]",
    "[[:foo:]]",
    "[[:a]",
    "[[:]",
    "[\\]]",
    "[a\\-c]",
    "[--b]",
    "[a-]",
    "[a-\\c]",
    "\\",
    "\\*",
    "\\a",
    "\\/",
    "!",
    "#",
    "***",
    "[/]",
    "[!x]",
    "[*]",
];
const PATHS: &[&str] = &[
    "a",
    "b",
    "c",
    "ab",
    "ba",
    "abc",
    "a.b",
    "-",
    "]",
    "x y",
    "*",
    "[",
    "a-c",
    "d/a",
    "d/b",
    "d/ab",
    "d/c",
    "d/d/a",
    "d/d/ab",
    "d/d/b/c",
    "e/a/b",
    "e/a/c/b",
    "e/ab/c",
    "e/x y/b",
    "e/b/a/b/c",
    "\\",
    "!a",
    "#a",
    "é",
    ".b",
];

#[test]
fn random_patterns_match_as_in_git() {
    let reference = Reference::new();
    let mut random = Random(0x5eed_0001);
    for round in 0..21 {
        let mut files = Vec::new();
        for folder in 0..100 {
            let mut pattern = random.text(PATTERN, 5);
            if random.next(3) == 0 {
                pattern = format!("{}{pattern}", random.one(&["d/", "/e/", "e/a", "**/", "d/**"]));
            }
            let pattern = match random.next(4) {
                0 => format!("\"{pattern}\""),
                1 => format!("\"{}\"", pattern.replace('\\', "\\\\")),
                _ => pattern,
            };
            files.push(file(&format!("{folder:03}/.gitattributes"), format!("{pattern} eol=crlf\n")));
            files.extend(PATHS.iter().map(|path| file(&format!("{folder:03}/{path}"), "\n")));
        }
        reference.agreed(&format!("round {round}"), &files);
    }
}

#[test]
fn classes_have_the_bytes_that_they_have_in_git() {
    const CLASSES: &[&str] = &[
        "[:alnum:]",
        "[:alpha:]",
        "[:blank:]",
        "[:cntrl:]",
        "[:digit:]",
        "[:graph:]",
        "[:lower:]",
        "[:print:]",
        "[:punct:]",
        "[:space:]",
        "[:upper:]",
        "[:xdigit:]",
        "[:word:]",
        "[::]",
        "[:]",
        "!-0",
        "^-0",
        "!^",
        "]-a",
        "--0",
        "a-",
        "\\]-a",
        "+--",
        "[-a",
        "!]-a",
        "[:digit:]-z",
        "a-c-e",
        "\\\\-^",
        "z-a",
        "[=a=]",
        "[.a.]",
        " -\\/",
    ];
    let mut files = Vec::new();
    for (folder, class) in CLASSES.iter().enumerate() {
        let rules = format!("\"a[{}]\" eol=crlf\n\"/b[{0}]\" eol=crlf\n", class.replace('\\', "\\\\"));
        files.push(file(&format!("{folder}/.gitattributes"), rules));
        for byte in (1..0x80u8).filter(|&byte| byte != b'/') {
            files.push(file(&format!("{folder}/a{}", char::from(byte)), "\n"));
            files.push(file(&format!("{folder}/b{}", char::from(byte)), "\n"));
        }
    }
    Reference::new().agreed("classes", &files);
}

const SUBJECTS: &[&str] = &[
    "*",
    "*",
    "*.txt",
    "a*",
    "/a*",
    "sub/*",
    "**/b.txt",
    "b.txt",
    "sub",
    "sub/",
    "!a.txt",
    "\"a.txt\"",
    "\"a b.txt\"",
    "\"\\141.txt\"",
    "\"a\\q.txt\"",
    "a.txt",
    "#a.txt",
    "  *",
    "[attr]own",
    "[attr]other",
    "[attr]text",
    "[attr]binary",
    "\"[attr]own\"",
    "[attr]",
    "[attr]-own",
    "[attr]export-subst",
];
const CHANGES: &[&str] = &[
    "text",
    "-text",
    "!text",
    "text=auto",
    "text=input",
    "text=other",
    "text=",
    "eol=lf",
    "eol=crlf",
    "eol=crlf",
    "eol=crlf",
    "eol",
    "-eol",
    "!eol",
    "eol=CRLF",
    "crlf",
    "-crlf",
    "!crlf",
    "crlf=input",
    "crlf=auto",
    "ident",
    "ident",
    "-ident",
    "!ident",
    "ident=yes",
    "binary",
    "-binary",
    "!binary",
    "own",
    "own",
    "-own",
    "other",
    "!other",
    "other=1",
    "diff",
    "-diff",
    "filter=lfs",
    "export-subst",
    "-export-subst",
    "export-ignore",
    "linguist-generated=true",
    "-text=x",
    "--text",
    "te:xt",
    "=x",
    "-",
    "\r",
    "working-tree-encoding=UTF-16",
    "working-tree-encoding=utf-16le-bom",
    "working-tree-encoding=UTF-32BE",
    "working-tree-encoding=utf8",
    "working-tree-encoding=ISO-8859-1",
    "working-tree-encoding=nonsense",
    "-working-tree-encoding",
    "!working-tree-encoding",
    "working-tree-encoding=",
    "working-tree-encoding=cp1252",
    "working-tree-encoding=latin-1",
];
const CONTENT: &[&[u8]] = &[
    b"a",
    b"text",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\x00",
    b"\x01",
    b"\x1a",
    b"\x7f",
    b"\x08",
    b"\t",
    b"$Id$",
    b"$Id: x $",
    b"$Id:x$",
    b"$Id: x y $",
    b"$Id:",
    b"$Id: \n",
    b"$",
    b"Id$",
    b"$Id:$",
    b"$Id: $",
    b"$Idx$",
    b"$Id:  x$",
    b" ",
    "é".as_bytes(),
    "€".as_bytes(),
    "😀".as_bytes(),
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
];
const CONTENT_PATHS: &[&str] =
    &["a.txt", "b.txt", "a b.txt", "c", "sub/a.txt", "sub/b.txt", "sub/sub/a.txt", "sub/c", "sub.txt/b"];

#[test]
fn random_rules_convert_random_contents_as_in_git() {
    let reference = Reference::new();
    let mut random = Random(0x5eed_0002);
    for round in 0..250 {
        let mut files = Vec::new();
        for folder in ["", "sub/", "sub/sub/"] {
            if random.next(3) > 0 {
                files.push(file(&format!("{folder}.gitattributes"), rules(&mut random)));
            }
        }
        for group in 0..4 {
            for path in CONTENT_PATHS {
                let content = contents(&mut random);
                // The root and folders beside it: the same rules, other contents.
                let path = if group == 0 { (*path).to_owned() } else { format!("sub/{group}/{path}") };
                files.push(file(&path, content));
            }
        }
        reference.agreed(&format!("round {round}"), &files);
    }
}

fn rules(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..=random.next(6) {
        text.extend_from_slice(random.one(SUBJECTS).as_bytes());
        for _ in 0..=random.next(3) {
            let change = if random.next(2) == 0 {
                random.one(&["eol=crlf", "text", "ident", "text=auto"])
            } else {
                random.one(CHANGES)
            };
            text.extend_from_slice(random.one(&[" ", " ", "\t", "  "]).as_bytes());
            text.extend_from_slice(change.as_bytes());
        }
        text.extend_from_slice(random.one(&["\n", "\n", "\n", "\r\n", "\n\n", "\n#\n"]).as_bytes());
    }
    match random.next(12) {
        0 => text.insert(random.next(text.len()), 0),
        1 => text.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
        2 => text.truncate(text.len() - 1),
        _ => {}
    }
    text
}

fn contents(random: &mut Random) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::new();
    let plain = random.next(3) == 0;
    for _ in 0..random.next(12) {
        let piece = if plain { random.one(&CONTENT[..5]) } else { random.one(CONTENT) };
        content.extend_from_slice(piece);
    }
    if random.next(4) == 0 {
        // Around the border of git's measure of text: one unprintable byte for each 128 printable ones.
        content.resize(content.len() + 120 + random.next(20), b'a');
        content.push(random.one(b"a\n\x01\x1a"));
    }
    content
}
