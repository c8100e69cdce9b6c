//! What is said where there is nothing to show.

use askama::Template;

/// An error as a page.
#[derive(Template)]
#[template(path = "fault.html")]
pub struct FaultPage<'a> {
    /// Of what kind it is, in a few words.
    pub title: &'a str,
    pub what: String,
    /// Ways out.
    pub remedies: Vec<String>,
    /// The page that the reader came from.
    pub back: Option<String>,
}
