//! What a client can ask of a module.
//! Rules: go.dev/ref/mod#goproxy-protocol.

use super::path::{self, ModulePath};
use super::query::Query;
use super::version::Version;

/// One question of the GOPROXY protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    List,
    Latest,
    Info(Query),
    GoMod(Version),
    Zip(Version),
}

impl Question {
    /// Where the answer lies, relative to the module: the address of the protocol.
    pub fn address(&self) -> String {
        match self {
            Question::List => "@v/list".to_owned(),
            Question::Latest => "@latest".to_owned(),
            Question::Info(query) => ["@v/", &path::escape(query.as_str()), ".info"].concat(),
            Question::GoMod(version) => ["@v/", &version.escaped(), ".mod"].concat(),
            Question::Zip(version) => ["@v/", &version.escaped(), ".zip"].concat(),
        }
    }

    /// The version that is asked for by its full name.
    pub fn version(&self) -> Option<&Version> {
        match self {
            Question::Info(Query::Version(version)) | Question::GoMod(version) | Question::Zip(version) => {
                Some(version)
            }
            Question::List | Question::Latest | Question::Info(_) => None,
        }
    }

    /// `path@query`, or the path alone for a list.
    pub fn subject(&self, module: &ModulePath) -> String {
        match self {
            Question::List => module.to_string(),
            Question::Latest => [module.as_str(), "@latest"].concat(),
            Question::Info(query) => [module.as_str(), "@", query.as_str()].concat(),
            Question::GoMod(version) | Question::Zip(version) => [module.as_str(), "@", version.as_str()].concat(),
        }
    }

    /// What an answer is served as.
    pub fn content_type(&self) -> &'static str {
        match self {
            Question::Info(_) | Question::Latest => "application/json",
            Question::List | Question::GoMod(_) => "text/plain; charset=utf-8",
            Question::Zip(_) => "application/zip",
        }
    }

    /// The word for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Question::List => "list",
            Question::Latest => "latest",
            Question::Info(_) => "info",
            Question::GoMod(_) => "mod",
            Question::Zip(_) => "zip",
        }
    }
}
