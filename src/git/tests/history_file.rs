use std::path::Path;

use super::history::large;
use super::*;
use crate::git::history::{History, Tag};
use crate::git::history_file::{self, Saved};

/// The first so many commits of a history, with tags.
fn first(count: u32, tags: u8) -> History {
    let mut history = large(count);
    for tag in 0..tags {
        // The first one's id is that of nothing.
        let target = (tag % 2 == 0).then_some(history.ids[usize::from(tag) + 1]);
        history.tags.push(Tag { id: ObjectId([255 - tag; 20]), target });
    }
    history.sort();
    history
}

fn loaded(file: &Path) -> Option<History> {
    history_file::load(file).map(|(history, _)| history)
}

/// A file that grew twice, and how long it was each time.
fn grown(file: &Path) -> [(History, Saved, u64); 3] {
    let steps = [first(900, 0), first(1000, 4), first(1003, 5)];
    let length = || std::fs::metadata(file).expect("a file").len();
    let mut saved = history_file::save(&steps[0], file).expect("saved");
    let mut all = vec![(steps[0].clone(), saved, length())];
    for pair in steps.windows(2) {
        saved = history_file::append(saved, &pair[0], &pair[1], file).expect("appended");
        all.push((pair[1].clone(), saved, length()));
    }
    all.try_into().expect("three")
}

#[test]
fn a_file_grows_by_what_is_new_and_holds_all_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history");
    let [_, second, third] = grown(&file);
    assert!(history_file::load(&file) == Some((third.0, third.1)), "another history");
    // Three commits of 32 bytes with a parent or two, a tag, counts and a sum.
    assert!(third.2 - second.2 < 3 * 40 + 40 + 44 + 1, "{} bytes more", third.2 - second.2);
    assert_eq!(loaded(&folder.path().join("none")), None);
}

#[test]
fn what_is_damaged_or_was_never_finished_is_left_out_and_written_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history");
    let [one, two, three] = grown(&file);
    let bytes = std::fs::read(&file).expect("read");
    let left = |damaged: usize| match damaged as u64 {
        damaged if damaged < one.2 => None,
        damaged if damaged < two.2 => Some(&one.0),
        damaged if damaged < three.2 => Some(&two.0),
        _ => Some(&three.0),
    };
    for at in (0..bytes.len()).step_by(97).chain([0, 16, 17, bytes.len() - 1]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&file, damaged).expect("written");
        assert!(loaded(&file).as_ref() == left(at), "byte {at}");
        std::fs::write(&file, &bytes[..at]).expect("written");
        assert!(loaded(&file).as_ref() == left(at), "cut off at {at}");
        let Some((history, saved)) = history_file::load(&file) else { continue };
        history_file::append(saved, &history, &three.0, &file).expect("appended");
        assert!(loaded(&file).as_ref() == Some(&three.0), "goes on after a cut at {at}");
    }
}

#[test]
fn a_file_that_somebody_removed_or_cut_is_written_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history");
    let [_, two, three] = grown(&file);
    for damage in [|file: &Path| std::fs::remove_file(file), |file: &Path| std::fs::write(file, "modvet hist")] {
        damage(&file).expect("damaged");
        history_file::append(two.1, &two.0, &three.0, &file).expect("written");
        assert!(loaded(&file).as_ref() == Some(&three.0), "another history");
    }
}

#[test]
fn a_segment_of_another_file_is_no_continuation() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, other) = (folder.path().join("history"), folder.path().join("other"));
    let [one, two, _] = grown(&file);
    let bytes = std::fs::read(&file).expect("read");
    let rest = &bytes[one.2 as usize..two.2 as usize];
    history_file::save(&first(900, 1), &other).expect("saved");
    let mut joined = std::fs::read(&other).expect("read");
    joined.extend_from_slice(rest);
    std::fs::write(&other, joined).expect("written");
    assert!(loaded(&other) == Some(first(900, 1)), "another history");
}
