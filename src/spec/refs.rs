//! The refs of a repository, and the sums by which an answer tells whether they changed.
//! Rules: `cmd/go/internal/modfetch/codehost` (`loadRefs`, `Tags`, `repoSum`, `isOriginTag`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::info::ObjectId;
use super::pseudo;
use super::version::Semver;

const TAGS: &str = "refs/tags/";
const HEADS: &str = "refs/heads/";

/// `HEAD`, `refs/heads/*` and `refs/tags/*` with annotated tags peeled; no other ref is known here,
/// since commits that only those reach are no revisions of a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs(BTreeMap<String, ObjectId>);

impl Refs {
    /// Leaves out every other name; a pair `name^{}` is the peeled object of the tag `name`.
    pub fn new(pairs: impl IntoIterator<Item = (String, ObjectId)>) -> Refs {
        let mut peeled = Vec::new();
        let mut refs = BTreeMap::new();
        for (name, id) in pairs {
            if name != "HEAD" && !name.starts_with(HEADS) && !name.starts_with(TAGS) {
                continue;
            }
            match name.strip_suffix("^{}") {
                Some(tag) => peeled.push((tag.to_owned(), id)),
                None => {
                    refs.insert(name, id);
                }
            }
        }
        refs.extend(peeled);
        Refs(refs)
    }

    pub fn get(&self, name: &str) -> Option<ObjectId> {
        self.0.get(name).copied()
    }

    pub fn head(&self) -> Option<ObjectId> {
        self.get("HEAD")
    }

    pub fn tag(&self, name: &str) -> Option<ObjectId> {
        self.get(&format!("{TAGS}{name}"))
    }

    pub fn branch(&self, name: &str) -> Option<ObjectId> {
        self.get(&format!("{HEADS}{name}"))
    }

    /// All refs by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.0.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// The tags whose name starts so, by name, without `refs/tags/`.
    pub fn tags<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, ObjectId)> {
        let start = format!("{TAGS}{prefix}");
        let end = start.clone();
        self.0
            .range(start..)
            .take_while(move |(name, _)| name.starts_with(&end))
            .map(|(name, id)| (&name[TAGS.len()..], *id))
    }

    /// The tags on one revision, by name.
    pub fn tags_on(&self, id: ObjectId) -> impl Iterator<Item = &str> {
        self.tags("").filter(move |(_, on)| *on == id).map(|(name, _)| name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `t1:` and a hash over the tags with this prefix that a version could come from.
    pub fn tag_sum(&self, prefix: &str) -> String {
        let folder = &prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)];
        let counted = self.tags(prefix).filter(|(name, _)| counts(name.strip_prefix(folder).unwrap_or(name)));
        sum("t1:", counted)
    }

    /// `r1:` and a hash over all refs: what the absence of a revision rests on.
    pub fn repo_sum(&self) -> String {
        sum("r1:", self.iter())
    }
}

/// Whether a tag can become a version or a base: a canonical version, with or without something behind it.
fn counts(tag: &str) -> bool {
    Semver::parse(tag).is_some_and(|v| !v.is_short()) && !pseudo::is_pseudo(tag)
}

fn sum<'a>(kind: &str, refs: impl Iterator<Item = (&'a str, ObjectId)>) -> String {
    let mut hash = Sha256::new();
    for (name, id) in refs {
        hash.update(format!("{} {id}\n", quote(name)));
    }
    format!("{kind}{}", STANDARD.encode(hash.finalize()))
}

/// A text in double quotes as Go's `%q` writes it.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            _ if is_print(c) => quoted.push(c),
            _ if (c as u32) < 0x80 => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            _ if (c as u32) < 0x10000 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            _ => quoted.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Letters, marks, numbers, punctuation and symbols, as Go's `unicode.IsPrint` beyond ASCII.
fn is_print(c: char) -> bool {
    use unicode_general_category::{GeneralCategory as G, get_general_category};
    !matches!(
        get_general_category(c),
        G::Control
            | G::Format
            | G::Surrogate
            | G::PrivateUse
            | G::Unassigned
            | G::SpaceSeparator
            | G::LineSeparator
            | G::ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: u8) -> ObjectId {
        ObjectId([digit; 20])
    }

    fn refs(pairs: &[(&str, u8)]) -> Refs {
        Refs::new(pairs.iter().map(|(name, digit)| ((*name).to_owned(), id(*digit))))
    }

    #[test]
    fn peels_annotated_tags_and_leaves_other_refs_out() {
        let refs = refs(&[
            ("HEAD", 1),
            ("refs/heads/main", 1),
            ("refs/pull/1/head", 9),
            ("refs/tags/v1.0.0", 2),
            ("refs/tags/v1.0.0^{}", 1),
        ]);
        assert_eq!(refs.tag("v1.0.0"), Some(id(1)));
        assert_eq!(refs.get("refs/pull/1/head"), None);
        assert_eq!(refs.tags_on(id(1)).collect::<Vec<_>>(), ["v1.0.0"]);
        assert_eq!(refs.head(), Some(id(1)));
    }

    #[test]
    fn tags_are_found_by_prefix() {
        let refs = refs(&[("refs/tags/a/v1.0.0", 1), ("refs/tags/a/v2.0.0", 2), ("refs/tags/b", 3)]);
        let names = |prefix| refs.tags(prefix).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names("a/v2."), ["a/v2.0.0"]);
        assert_eq!(names("").len(), 3);
    }

    #[test]
    fn the_tag_sum_rests_on_version_tags_alone() {
        let base = refs(&[("refs/tags/v1.0.0", 1)]);
        let noise =
            refs(&[("refs/tags/v1.0.0", 1), ("refs/tags/release", 2), ("refs/tags/v1", 3), ("refs/heads/x", 4)]);
        let moved = refs(&[("refs/tags/v1.0.0", 2)]);
        let meta = refs(&[("refs/tags/v1.0.0", 1), ("refs/tags/v1.0.0+meta", 1)]);
        assert_eq!(base.tag_sum(""), noise.tag_sum(""));
        assert_ne!(base.tag_sum(""), moved.tag_sum(""));
        assert_ne!(base.tag_sum(""), meta.tag_sum(""));
        assert_ne!(base.repo_sum(), noise.repo_sum());
        // The sum of no lines, as the go command writes it for a repository without tags.
        assert_eq!(refs(&[]).tag_sum(""), "t1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quote("v1\"é\u{200b}\u{a0}"), "\"v1\\\"é\\u200b\\u00a0\"");
    }
}
