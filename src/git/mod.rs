//! To be written.
pub mod attributes;
pub mod convert;
