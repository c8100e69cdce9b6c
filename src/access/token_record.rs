//! What is kept of a token, and what is shown of it: never the token.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::guest::{Guest, Right};
use super::token::Id;

/// As it lies in the store, below its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    pub(super) label: String,
    pub(super) scope: Right,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registry: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_used: Option<DateTime<Utc>>,
    /// HMAC-SHA-256 of the token, in hexadecimal.
    pub(super) hmac: String,
}

/// What is to be said of a token at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    Valid,
    Expired,
    Revoked,
}

impl TokenState {
    pub fn as_str(self) -> &'static str {
        match self {
            TokenState::Valid => "valid",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        }
    }
}

/// A token as the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenView {
    pub id: String,
    pub label: String,
    pub scope: Right,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    pub state: TokenState,
    pub created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<DateTime<Utc>>,
}

impl Record {
    pub(super) fn state(&self, now: DateTime<Utc>) -> TokenState {
        match self.ended_at() {
            _ if self.revoked_at.is_some() => TokenState::Revoked,
            Some(end) if end <= now => TokenState::Expired,
            _ => TokenState::Valid,
        }
    }

    /// From when on it opens nothing.
    pub(super) fn ended_at(&self) -> Option<DateTime<Utc>> {
        match (self.revoked_at, self.expires_at) {
            (Some(revoked), Some(expires)) => Some(revoked.min(expires)),
            (revoked, expires) => revoked.or(expires),
        }
    }

    pub(super) fn guest(&self, id: Id) -> Guest {
        let name = if self.label.is_empty() { id.to_string() } else { self.label.clone() };
        Guest { name, right: self.scope, registry: self.registry.clone() }
    }

    pub(super) fn view(&self, id: Id, now: DateTime<Utc>) -> TokenView {
        TokenView {
            id: id.to_string(),
            label: self.label.clone(),
            scope: self.scope,
            registry: self.registry.clone(),
            state: self.state(now),
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used: self.last_used,
        }
    }
}
