//! Which conversions the attributes of a commit ask for.

use super::convert::Conversion;
use crate::error::Result;
use crate::spec::info::ObjectId;

pub struct Attributes<'r> {
    _repository: &'r git2::Repository,
}

impl<'r> Attributes<'r> {
    pub fn at(repository: &'r git2::Repository, _commit: ObjectId) -> Result<Self> {
        Ok(Attributes { _repository: repository })
    }

    /// What conversion a path (from the repository's root) needs.
    pub fn of(&self, _path: &str) -> Result<Conversion> {
        Ok(Conversion)
    }
}
