//! What is done to a file's bytes on their way out.

use crate::spec::info::ObjectId;

pub struct Conversion;

impl Conversion {
    pub fn is_none(&self) -> bool {
        true
    }

    pub fn apply(&self, blob: Vec<u8>, _id: ObjectId) -> Vec<u8> {
        blob
    }
}
