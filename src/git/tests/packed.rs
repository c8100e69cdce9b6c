//! What of a pack goes into a zip as it is.

use super::*;
use crate::ports::Contents;

/// Enough for a pack that stays one.
const FILES: usize = 24;

/// Files of a commit by path; none is like another.
fn files() -> Vec<(String, String)> {
    let text = |n: usize| (0..40).map(|line| format!("{:x} ", (n * 7919 + line * 104_729).pow(2))).collect::<String>();
    (0..FILES).map(|n| (format!("file{n:02}.go"), format!("{}\n", text(n)))).collect()
}

/// A server with these settings and files.
fn world(settings: &[(&str, &str)], files: &[(String, String)]) -> (World, ObjectId) {
    let world = World::new(Serving::Newest);
    world.origin.allow_filters();
    for (key, value) in settings {
        world.origin.git(&["config", key, value]);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let tip = id(&world.origin.commit("main", 1, &files));
    (world, tip)
}

/// The files' texts, and how many of them lie in the pack as they may go into a zip.
fn read(world: &World, tip: ObjectId) -> (Vec<(String, String)>, usize) {
    let repo = world.open();
    repo.refs(MINUTE).expect("refs");
    let mut packed = 0;
    let texts = repo.files(tip, "").expect("listed").into_iter().map(|file| {
        let contents = repo.content(tip, "", &file).expect("read");
        packed += usize::from(matches!(contents, Contents::Packed(_)));
        let bytes = contents.plain().expect("inflated");
        assert_eq!(bytes.len() as u64, file.size, "{}", file.path);
        (file.path, String::from_utf8(bytes.to_vec()).expect("text"))
    });
    (texts.collect(), packed)
}

#[test]
fn deflated_files_are_taken_over_and_hold_the_same() {
    let (world, tip) = world(&[("pack.window", "0")], &files());
    assert_eq!(read(&world, tip), (files(), FILES));
}

#[test]
fn files_deflated_in_haste_are_not_taken_over() {
    let (world, tip) = world(&[("pack.window", "0"), ("pack.compression", "1")], &files());
    assert_eq!(read(&world, tip), (files(), 0));
}

#[test]
fn a_delta_is_no_file() {
    let base = files().iter().map(|(_, text)| text.as_str()).collect::<String>();
    let alike: Vec<_> = (0..FILES).map(|n| (format!("file{n:02}.go"), format!("{base}{n}\n"))).collect();
    let (world, tip) = world(&[], &alike);
    let (texts, packed) = read(&world, tip);
    assert_eq!(texts, alike);
    assert!((1..FILES).contains(&packed), "{packed} of {FILES} files are no deltas");
}

#[test]
fn converted_files_are_not_taken_over() {
    let mut files = files();
    files.insert(0, (".gitattributes".to_owned(), "file0?.go eol=crlf\n".to_owned()));
    let (world, tip) = world(&[("pack.window", "0")], &files);
    let (texts, packed) = read(&world, tip);
    assert_eq!(packed, FILES + 1 - 10);
    for ((path, text), (_, raw)) in texts.iter().zip(&files) {
        let expected = if path.starts_with("file0") { raw.replace('\n', "\r\n") } else { raw.clone() };
        assert_eq!(*text, expected, "{path}");
    }
}

#[test]
fn a_pack_of_few_large_objects_stays_one() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    let large: String = (0..200_000).map(|_| noise()).collect();
    let (world, tip) = world(&[], &[("large.txt".to_owned(), large.clone())]);
    assert_eq!(read(&world, tip), (vec![("large.txt".to_owned(), large)], 1));
    assert_eq!(world.packs().iter().filter(|name| name.ends_with(".pack")).count(), 1, "{:?}", world.packs());
}
