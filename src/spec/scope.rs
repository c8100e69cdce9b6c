//! Which module paths an upstream may be asked for: GOPRIVATE patterns that let in, and such that keep out.

use super::path::{ModulePath, matches_patterns};
use crate::error::Error;

/// What an upstream may serve, and what it must never be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None` is everything.
    modules: Option<String>,
    not_modules: Option<String>,
}

/// Why a path is out of scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bar {
    /// None of the patterns of what may be served names it.
    Outside(String),
    /// This pattern of what must never be asked for names it.
    Excluded(String),
}

impl Scope {
    /// Patterns as in GOPRIVATE, separated by commas; an empty list of what may be served is everything.
    pub fn new(modules: impl Into<String>, not_modules: impl Into<String>) -> Scope {
        let some = |patterns: String| Some(patterns).filter(|patterns| !patterns.is_empty());
        Scope { modules: some(modules.into()), not_modules: some(not_modules.into()) }
    }

    pub fn allows(&self, module: &ModulePath) -> bool {
        let matches = |patterns: &String| matches_patterns(patterns, module.as_str());
        self.modules.as_ref().is_none_or(matches) && !self.not_modules.as_ref().is_some_and(matches)
    }

    /// The patterns of what may be served, if not everything is.
    pub fn modules(&self) -> Option<&str> {
        self.modules.as_deref()
    }

    /// What bars a path; `None` if nothing does.
    pub fn bar(&self, module: &ModulePath) -> Option<Bar> {
        let path = module.as_str();
        let excluding = self.not_modules.iter().flat_map(|patterns| patterns.split(','));
        if let Some(pattern) = excluding.clone().find(|pattern| matches_patterns(pattern, path)) {
            return Some(Bar::Excluded(pattern.to_owned()));
        }
        let modules = self.modules.as_ref().filter(|modules| !matches_patterns(modules, path));
        modules.map(|modules| Bar::Outside(modules.clone()))
    }
}

/// No proxy may be asked for the path, so none hands a checksum database through for it: the database's server
/// would learn the name. GOPRIVATE is not named: the go command would go around modvet for the module.
pub fn private(module: &ModulePath) -> Error {
    let error = Error::forbidden("private module: no checksum database is asked for it").about(module);
    error
        .remedy(format!("go env -w GONOSUMDB={module}"))
        .remedy("it takes the place of what go env GONOSUMDB shows: keep that, with a comma between")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both lines are for people whose module is private: GOPRIVATE would lead them around modvet.
    #[test]
    fn a_private_module_gets_a_command_that_keeps_it_with_modvet() {
        let error = private(&ModulePath::parse("corp.example/m").expect("a path"));
        assert_eq!(error.remedies()[0], "go env -w GONOSUMDB=corp.example/m");
        assert!(!error.to_string().contains("GOPRIVATE"), "{error}");
    }

    #[test]
    fn what_is_barred_names_the_pattern() {
        let outside = |patterns: &str| Some(Bar::Outside(patterns.to_owned()));
        let excluded = |pattern: &str| Some(Bar::Excluded(pattern.to_owned()));
        for (row, modules, not_modules, path, bar) in [
            ("no patterns", "", "", "example.com/m", None),
            ("let in", "example.com/*,other.org", "", "example.com/m", None),
            ("not let in", "corp.example,*.corp.example", "", "example.com/m", outside("corp.example,*.corp.example")),
            ("kept out", "", "other.org,example.com", "example.com/m/deep", excluded("example.com")),
            ("let in and kept out", "example.com/*", "example.com/m", "example.com/m/v2", excluded("example.com/m")),
            ("a neighbour", "", "example.com/m", "example.com/more", None),
        ] {
            let (scope, module) = (Scope::new(modules, not_modules), ModulePath::parse(path).expect(path));
            assert_eq!(scope.bar(&module), bar, "{row}");
            assert_eq!(scope.allows(&module), bar.is_none(), "{row}");
        }
    }
}
