use super::*;
use crate::git::history::Tag;
use crate::ports::RefPair;

/// Commits by numbers; `parents[n]` are those of commit n, all lower. Commit n was made in second 100 + n.
fn history(parents: &[&[u32]]) -> History {
    let mut history = History::default();
    for (number, parents) in parents.iter().enumerate() {
        history.ids.push(id(number as u32));
        history.seconds.push(100 + number as i64);
        history.parents.extend_from_slice(parents);
        history.ends.push(history.parents.len() as u32);
    }
    history.sort();
    history
}

fn id(number: u32) -> ObjectId {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    ObjectId(bytes)
}

fn refs(ids: &[(&str, ObjectId)]) -> Vec<RemoteRef> {
    ids.iter().map(|(name, id)| RemoteRef { name: (*name).to_owned(), id: *id, peeled: None }).collect()
}

/// All refs that are not the same.
fn differing(source: &[RemoteRef], mirror: &[RemoteRef]) -> Vec<RefPair> {
    let of = |refs: &[RemoteRef], name: &str| refs.iter().find(|one| one.name == name).map(|one| one.id);
    let mut names: Vec<&str> = source.iter().chain(mirror).map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let pairs = names.into_iter().map(|name| RefPair {
        name: name.to_owned(),
        source: of(source, name),
        mirror: of(mirror, name),
    });
    pairs.filter(|pair| pair.source != pair.mirror).collect()
}

fn related(
    history: &History,
    source: &[(&str, ObjectId)],
    mirror: &[(&str, ObjectId)],
    awaited: &[ObjectId],
) -> Relation {
    let (source, mirror) = (refs(source), refs(mirror));
    let differing = differing(&source, &mirror);
    relation(history, &Relate { source: &source, mirror: &mirror, differing: &differing, awaited })
}

/// `behind ahead` in all, then of each differing ref `behind ahead forward`.
fn shown(relation: &Relation) -> String {
    let refs = relation.refs.iter().map(|one| {
        let forward = if one.is_forward { " forward" } else { "" };
        format!(", {} {}{forward}", one.behind, one.ahead)
    });
    format!("{} {}{}", relation.behind, relation.ahead, refs.collect::<String>())
}

#[test]
fn who_is_behind_and_who_is_ahead_is_counted() {
    // 0 - 1 - 2 - 3 - 5 (merge of 3 and 4); 1 - 4; 6 is a history of its own.
    let history = history(&[&[], &[0], &[1], &[2], &[1], &[3, 4], &[]]);
    let main = |number| ("main", id(number));
    let side = |number| ("side", id(number));
    let table: [(&str, Vec<_>, Vec<_>, &str); 10] = [
        ("the same", vec![main(5)], vec![main(5)], "0 0"),
        ("behind over a merge", vec![main(5)], vec![main(2)], "3 0, 3 0 forward"),
        ("a forced push at the source", vec![main(4)], vec![main(3)], "1 2, 1 2"),
        ("the mirror is ahead", vec![main(2)], vec![main(5)], "0 3, 0 3"),
        ("an unrelated history", vec![main(5)], vec![main(6)], "6 1, 6 1"),
        ("an empty mirror", vec![main(3), side(4)], vec![], "5 0, 4 0, 3 0"),
        ("an empty source", vec![], vec![main(1)], "0 2, 0 2"),
        ("a branch of commits that another one has", vec![main(3), side(2)], vec![main(3)], "0 0, 0 0"),
        ("two refs share what lacks", vec![main(3), side(3)], vec![main(2), side(1)], "1 0, 1 0 forward, 1 0 forward"),
        ("one of them elsewhere", vec![main(5), side(4)], vec![main(1), side(6)], "4 1, 4 0 forward, 1 1"),
    ];
    for (name, source, mirror, expected) in table {
        assert_eq!(shown(&related(&history, &source, &mirror, &[])), expected, "{name}");
    }
}

#[test]
fn tags_are_counted_by_their_commits_and_blobs_are_none() {
    let (tag, nested, of_blob, blob) = (id(90), id(91), id(92), id(93));
    let mut history = history(&[&[], &[0], &[1]]);
    for (id, target) in [(tag, Some(id(2))), (nested, Some(tag)), (of_blob, Some(blob)), (blob, None)] {
        history.tags.push(Tag { id, target });
    }
    history.sort();
    let source = [("main", id(1)), ("v1", nested), ("words", of_blob)];
    let mirror = [("main", id(1)), ("v1", id(0))];
    let relation = related(&history, &source, &mirror, &[tag, nested, blob, id(0), id(77)]);
    assert_eq!(shown(&relation), "1 0, 1 0 forward, 0 0");
    assert_eq!(relation.reached, [false, false, false, true, false]);
    let whole = related(&history, &source, &source, &[tag, nested, of_blob, id(2)]);
    assert_eq!(whole.reached, [true; 4]);
    // A blob is reached by its name, since nothing else leads to it.
    let named = related(&history, &[("b", blob)], &[("b", blob)], &[blob]);
    assert_eq!((shown(&named).as_str(), named.reached), ("0 0", vec![true]));
}

#[test]
fn the_newest_commit_of_a_side_is_not_always_its_tip() {
    let mut history = history(&[&[], &[0], &[1], &[2]]);
    history.seconds = vec![50, 400, 300, NO_TIME];
    let newest = related(&history, &[("main", id(3))], &[("main", id(0))], &[]).newest;
    assert_eq!(newest.source.map(|time| time.timestamp()), Some(400));
    assert_eq!(newest.mirror.map(|time| time.timestamp()), Some(50));
    let none = related(&history, &[], &[], &[]).newest;
    assert_eq!(none, Newest::default());
}

#[test]
fn more_refs_than_a_word_has_bits_are_each_counted_for_themselves() {
    let parents: Vec<Vec<u32>> = (0..300).map(|number: u32| number.checked_sub(1).into_iter().collect()).collect();
    let history = history(&parents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let names: Vec<String> = (0..200).map(|number| format!("b{number:03}")).collect();
    let at =
        |place: u32| names.iter().zip(place..).map(|(name, number)| (name.as_str(), id(number))).collect::<Vec<_>>();
    let relation = related(&history, &at(100), &at(90), &[]);
    assert_eq!((relation.behind, relation.ahead), (10, 0));
    let expected: Vec<RefRelation> = (0..200_u64)
        .map(|number| RefRelation { behind: number.saturating_sub(189), ahead: 0, is_forward: true })
        .collect();
    assert_eq!(relation.refs, expected);
}
