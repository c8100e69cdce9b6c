//! Where in the store an upstream's answers stand.

use sha2::{Digest, Sha256};

/// An upstream's place in the store: its name, and a mark of what stands behind the name. An upstream whose
/// address was edited finds nothing of what the old address answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    name: String,
    key: String,
}

/// What no upstream's name holds: the name ends before it.
pub const MARK: char = '~';

/// How much of the sum stands in the key, in bytes.
const MARKED: usize = 4;

impl Shelf {
    /// `address` has no credentials in it: a new password is no new upstream. Of git, which has none, it is empty.
    pub fn new(name: impl Into<String>, kind: &str, address: &str) -> Shelf {
        let name = name.into();
        let sum = Sha256::new().chain_update(kind).chain_update([0]).chain_update(address).finalize();
        let key = format!("{name}{MARK}{}", hex::encode(&sum[..MARKED]));
        Shelf { name, key }
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands in keys.
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

/// The upstream's name in what stands in keys.
pub fn name_in(shelf: &str) -> &str {
    shelf.split(MARK).next().unwrap_or(shelf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_or_kind_is_another_shelf() {
        let here = Shelf::new("corp", "proxy", "https://a.example/");
        let moved = Shelf::new("corp", "proxy", "https://b.example/");
        let folder = Shelf::new("corp", "dir", "https://a.example/");
        assert_ne!(here.as_str(), moved.as_str());
        assert_ne!(here.as_str(), folder.as_str());
        assert_eq!(here, Shelf::new("corp", "proxy", "https://a.example/"));
        assert_eq!((here.name(), name_in(here.as_str())), ("corp", "corp"));
        // Stores outlive versions of modvet: this must stay.
        assert_eq!(Shelf::new("git", "git", "").as_str(), "git~edbacf62");
    }
}
