//! The report as people and machines read it.

mod github;
mod gitlab;
mod json;
mod junit;
mod sarif;
mod text;

use super::report::Report;

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// Everything that is known
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions
    Github,
    /// The code quality report of GitLab
    Gitlab,
    /// A test report, as many servers read it
    Junit,
}

impl Format {
    /// The whole report, with a line end behind it.
    pub fn render(self, report: &Report, is_coloured: bool) -> String {
        match self {
            Format::Text => text::render(report, is_coloured),
            Format::Json => json::render(report),
            Format::Sarif => sarif::render(report),
            Format::Github => github::render(report),
            Format::Gitlab => gitlab::render(report),
            Format::Junit => junit::render(report),
        }
    }
}
