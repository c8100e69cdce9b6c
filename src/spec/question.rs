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

    /// What an address is for that [`Question::address`] gave for something whose answer may change: a list, `latest`,
    /// or an `.info`. `None` for all else.
    pub fn at_address(address: &str) -> Option<Question> {
        match address {
            "@v/list" => Some(Question::List),
            "@latest" => Some(Question::Latest),
            _ => {
                let query = address.strip_prefix("@v/")?.strip_suffix(".info")?;
                Some(Question::Info(Query::parse(&path::unescape(query)?)))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_question() {
        for query in ["main", "v1.0.0", "v1", "latest", "Feature/A", "v1.0.0-RC.1", "abcdef123456"] {
            let question = Question::Info(Query::parse(query));
            assert_eq!(Question::at_address(&question.address()), Some(question), "{query}");
        }
        for question in [Question::List, Question::Latest] {
            assert_eq!(Question::at_address(&question.address()), Some(question));
        }
        for other in ["@v/v1.0.0.mod", "@v/v1.0.0.zip", "@v/", "lookup/x", "@v/!!a.info"] {
            assert_eq!(Question::at_address(other), None, "{other}");
        }
    }
}
