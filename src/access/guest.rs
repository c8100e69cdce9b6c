//! Who asks, once that is known.

use serde::{Deserialize, Serialize};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// What the log calls them: a token's label; empty for somebody without a token.
    pub name: String,
    pub right: Right,
    /// The one registry that they may see; `None`: all.
    pub registry: Option<String>,
}

/// What somebody may do; more is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Get modules.
    Read,
    /// Change what is served, too.
    Admin,
}

impl Right {
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Admin => "admin",
        }
    }
}

impl Guest {
    /// Somebody without a token, where none is needed.
    pub fn anonymous() -> Guest {
        Guest { name: String::new(), right: Right::Read, registry: None }
    }

    /// Who may read the store's folder may do all.
    pub fn owner() -> Guest {
        Guest { name: "control socket".to_owned(), right: Right::Admin, registry: None }
    }

    pub fn is_admin(&self) -> bool {
        self.right == Right::Admin
    }

    /// Whether they may see anything of a registry.
    pub fn may_see(&self, registry: &str) -> bool {
        self.registry.as_deref().is_none_or(|own| own == registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_of_one_registry_sees_no_other() {
        let guest = Guest { name: "ci".to_owned(), right: Right::Read, registry: Some("ci".to_owned()) };
        assert!(guest.may_see("ci") && !guest.may_see("default") && !guest.is_admin());
        assert!(Guest::owner().is_admin() && Guest::owner().may_see("ci"));
        assert!(!Guest::anonymous().is_admin() && Guest::anonymous().may_see("ci"));
    }
}
