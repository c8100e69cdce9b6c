use super::{Charset, Conversion};
use crate::git::attributes::reference::{Reference, file};
use crate::spec::info::ObjectId;

/// An attribute, a blob, and the file that git makes of it; `ID` is the blob's id.
type Row = (&'static str, &'static str, &'static [u8], &'static [u8]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("bare line feeds get a carriage return", "eol=crlf", b"a\nb\n", b"a\r\nb\r\n"),
    ("others keep theirs", "eol=crlf", b"a\r\nb\n\n\rc", b"a\r\nb\r\n\r\n\rc"),
    ("two carriage returns", "eol=crlf", b"a\r\r\nb\n", b"a\r\r\nb\r\n"),
    ("no line feed at all", "eol=crlf", b"a", b"a"),
    ("a NUL does not matter to eol=crlf", "eol=crlf", b"\0\n", b"\0\r\n"),
    ("text=auto with text", "text=auto eol=crlf", b"a\nb\n", b"a\r\nb\r\n"),
    ("text=auto with one carriage return and line feed", "text=auto eol=crlf", b"a\r\nb\n", b"a\r\nb\n"),
    ("text=auto with a bare carriage return", "text=auto eol=crlf", b"a\rb\n", b"a\rb\n"),
    ("text=auto with a NUL", "text=auto eol=crlf", b"a\0b\n", b"a\0b\n"),
    ("text=auto with one unprintable byte in few", "text=auto eol=crlf", b"a\x01b\n", b"a\x01b\n"),
    ("text=auto with tabs, form feeds, backspaces, escapes", "text=auto eol=crlf", b"\t\x0c\x08\x1b\n", b"\t\x0c\x08\x1b\r\n"),
    ("text=auto with bytes above ASCII", "text=auto eol=crlf", b"\xff\xfe\x80\n", b"\xff\xfe\x80\r\n"),
    ("text=auto with DEL", "text=auto eol=crlf", b"a\x7f\n", b"a\x7f\n"),
    ("text=auto with DOS's end of file at the end", "text=auto eol=crlf", b"a\n\x1a", b"a\r\n\x1a"),
    ("text=auto with DOS's end of file elsewhere", "text=auto eol=crlf", b"a\x1a\n", b"a\x1a\n"),
    ("crlf=auto with a NUL", "crlf=auto eol=crlf", b"\0\n", b"\0\n"),
    ("ident", "ident", b"a $Id$ b", b"a $Id: ID $ b"),
    ("ident, already expanded", "ident", b"$Id: 0123 $", b"$Id: ID $"),
    ("ident, expanded without spaces", "ident", b"$Id:0123$", b"$Id: ID $"),
    ("ident, expanded to nothing", "ident", b"$Id:$ x", b"$Id: ID $ x"),
    ("ident, of another system", "ident", b"$Id: a.c 1.2 $", b"$Id: a.c 1.2 $"),
    ("ident, of another system, then our own", "ident", b"$Id: a b $Id$", b"$Id: a b $Id: ID $"),
    ("ident over two lines", "ident", b"$Id: \n$ $Id$", b"$Id: \n$ $Id: ID $"),
    ("ident without an end hides those after it", "ident", b"$Id$ $Id: $Id", b"$Id: ID $ $Id: ID $Id"),
    ("ident without an end", "ident", b"$Id$ $Id: x", b"$Id: ID $ $Id: x"),
    ("ident in other letters", "ident", b"$ID$ $id$ $Ident$", b"$ID$ $id$ $Ident$"),
    ("ident in a binary file", "ident", b"\0$Id$", b"\0$Id: ID $"),
    ("ident with a value is none", "ident=yes", b"$Id$", b"$Id$"),
    ("ident, then line ends", "ident eol=crlf", b"$Id$\n", b"$Id: ID $\r\n"),
    ("line ends, then encoding", "eol=crlf working-tree-encoding=UTF-16BE", b"a\n", b"\0a\0\r\0\n"),
    ("ident, then encoding", "ident working-tree-encoding=ASCII", b"$Id$", b"$Id: ID $"),
    ("an empty file gets no byte order mark", "working-tree-encoding=UTF-16", b"", b""),
    ("UTF-16 is little with a mark", "working-tree-encoding=UTF-16", b"a", b"\xff\xfea\0"),
    ("a mark in the text stays", "working-tree-encoding=UTF-16", b"\xef\xbb\xbfa", b"\xff\xfe\xff\xfea\0"),
    ("UTF-16LE has no mark", "working-tree-encoding=UTF-16LE", b"a", b"a\0"),
    ("UTF-16LE-BOM, in any case, without hyphen", "working-tree-encoding=utf16le-bom", b"a", b"\xff\xfea\0"),
    ("UTF-16BE-BOM", "working-tree-encoding=UTF-16BE-BOM", b"a", b"\xfe\xff\0a"),
    ("UTF-32", "working-tree-encoding=UTF-32", b"a", b"\xff\xfe\0\0a\0\0\0"),
    ("UTF-8 changes nothing, valid or not", "working-tree-encoding=utf8", b"\xff", b"\xff"),
    ("an unknown name changes nothing", "working-tree-encoding=UTF-8-BOM", "é".as_bytes(), "é".as_bytes()),
    ("a name with underscore is unknown", "working-tree-encoding=utf_16", b"a", b"a"),
    ("signs that no name has are passed over", "working-tree-encoding=UTF+16!,", b"a", b"\xff\xfea\0"),
    ("separators at the end are passed over", "working-tree-encoding=utf-16le,/", b"a", b"a\0"),
    ("latin-1 is git's own name", "working-tree-encoding=latin-1", "é".as_bytes(), b"\xe9"),
    ("what is not UTF-8 stays, line ends converted", "eol=crlf working-tree-encoding=UTF-16", b"\xff\n", b"\xff\r\n"),
    ("a surrogate in UTF-8 stays", "working-tree-encoding=UTF-16", b"\xed\xa0\x80", b"\xed\xa0\x80"),
    ("half a character at the end stays", "working-tree-encoding=UTF-16", b"a\xc3", b"a\xc3"),
    ("what an encoding has not stays", "working-tree-encoding=CP1252", "é\u{81}".as_bytes(), "é\u{81}".as_bytes()),
    ("tags are dropped", "working-tree-encoding=CP1252", "é\u{e0041}".as_bytes(), b"\xe9"),
    ("nothing but a tag leaves nothing", "working-tree-encoding=CP1252", "\u{e0041}".as_bytes(), b""),
];

#[test]
fn contents_are_converted_as_in_git() {
    let mut files = Vec::new();
    for (number, (_, attributes, blob, _)) in ROWS.iter().enumerate() {
        files.push(file(&format!("{number}/.gitattributes"), format!("* {attributes}\n")));
        files.push(file(&format!("{number}/file"), *blob));
    }
    let contents = Reference::new().agreed("rows", &files);
    for (number, (name, _, blob, expected)) in ROWS.iter().enumerate() {
        let id = git2::Oid::hash_object(git2::ObjectType::Blob, blob).expect("an id").to_string();
        let parts: Vec<&[u8]> = split(expected, b"ID $");
        let expected = parts.join(format!("{id} $").as_bytes());
        assert_eq!(
            contents[&format!("{number}/file")].escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{name}"
        );
    }
}

fn split<'a>(mut text: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = text.windows(by.len()).position(|window| window == by) {
        parts.push(&text[..at]);
        text = &text[at + by.len()..];
    }
    parts.push(text);
    parts
}

#[test]
fn the_border_of_text_is_gits() {
    let mut files = vec![file(".gitattributes", "* text=auto eol=crlf\n")];
    for printable in 120..140 {
        for unprintable in 1..3 {
            let content = format!("{}\n{}", "a".repeat(printable * unprintable), "\x01".repeat(unprintable));
            files.push(file(&format!("{printable}-{unprintable}"), content.clone()));
            files.push(file(&format!("{printable}-{unprintable}-eof"), content + "\x1a"));
        }
    }
    let contents = Reference::new().agreed("border", &files);
    assert!(!contents["127-1"].contains(&b'\r'));
    assert!(contents["128-1"].contains(&b'\r'));
}

/// How many characters of the planes 0 to 2 glibc 2.36 writes in an encoding, and of the tags, which it may drop.
/// git confirms below that it writes ours alike; the number says that there are no others.
#[rustfmt::skip]
const CHARACTERS: &[(&str, usize)] = &[
    ("UTF-16", 194_688), ("UTF-16LE", 194_688), ("UTF-16BE", 194_688), ("UTF-32", 194_688),
    ("UTF-32LE", 194_688), ("UTF-32BE", 194_688), ("UNICODE", 63_616), ("UCS-2", 63_616), ("UCS-2BE", 63_616),
    ("ASCII", 256), ("ISO-8859-1", 384), ("ISO-8859-2", 384), ("ISO-8859-3", 377), ("ISO-8859-4", 384),
    ("ISO-8859-5", 384), ("ISO-8859-6", 339), ("ISO-8859-7", 381), ("ISO-8859-8", 348), ("ISO-8859-9", 384),
    ("ISO-8859-10", 384), ("ISO-8859-11", 376), ("ISO-8859-13", 384), ("ISO-8859-14", 384), ("ISO-8859-15", 384),
    ("ISO-8859-16", 384), ("TIS-620", 343), ("KOI8-R", 384), ("KOI8-U", 384), ("CP866", 384), ("CP874", 353),
    ("CP1250", 379), ("CP1251", 383), ("CP1252", 379), ("CP1253", 367), ("CP1254", 377), ("CP1256", 384),
    ("CP1257", 372), ("MACINTOSH", 384), ("MAC-CYRILLIC", 384), ("SHIFT_JIS", 7203), ("CP932", 9534),
    ("EUC-KR", 8516), ("CP949", 17304), ("GB2312", 7701), ("GBK", 22048), ("GB18030", 194_664),
];

#[test]
fn every_character_of_every_encoding_is_gits() {
    let mut files = Vec::new();
    for (name, expected) in CHARACTERS {
        let charset = Charset::named(name.as_bytes()).expect("ours").expect("an encoding");
        let has = |character: &char| charset.encode(character.encode_utf8(&mut [0; 4]).as_bytes()).is_some();
        let asked = ('\0'..='\u{2ffff}').chain('\u{e0000}'..='\u{e007f}');
        let text: String = asked.filter(has).collect();
        assert_eq!(text.chars().count(), *expected, "{name}");
        files.push(file(&format!("{name}/.gitattributes"), format!("* working-tree-encoding={name}\n")));
        files.push(file(&format!("{name}/file"), text));
    }
    Reference::new().agreed("characters", &files);
}

#[test]
fn every_name_of_our_encodings_is_gits() {
    let mut files = Vec::new();
    let ours = include_str!("iconv.txt").lines().filter(|line| !line.starts_with('-'));
    for (number, name) in ours.flat_map(|line| line.split(' ')).enumerate() {
        files.push(file(&format!("{number}/.gitattributes"), format!("* working-tree-encoding={name}\n")));
        let lower = name.to_ascii_lowercase();
        files.push(file(&format!("{number}-lower/.gitattributes"), format!("* working-tree-encoding={lower}\n")));
        for (letter, text) in
            ["a", "é", "я", "ا", "א", "ก", "ス", "中", "한", "€", "ş", "\u{80}", "α"].iter().enumerate()
        {
            files.push(file(&format!("{number}/{letter}"), *text));
            files.push(file(&format!("{number}-lower/{letter}"), *text));
        }
    }
    Reference::new().agreed("names", &files);
}

#[test]
fn without_attributes_nothing_is_done() {
    let conversion = Conversion::default();
    assert!(conversion.is_none());
    assert_eq!(conversion.apply(b"$Id$\n".to_vec(), ObjectId([0; 20])), b"$Id$\n");
}
