//! `[api]`: the secrets that open parts of the interface, each named by a file or a variable.
//! Must not know what they are. Rules: docs/config.md.

use super::file::ApiTable;
use super::meant::Reader;
use crate::registry::definition::SecretRef;

/// What opens the administration over TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiSettings {
    /// A further admin token.
    pub admin_token: Option<SecretRef>,
    /// What forges sign their hooks with.
    pub refresh_secret: Option<SecretRef>,
}

impl Reader {
    pub(super) fn api(&mut self, written: ApiTable) -> ApiSettings {
        let ApiTable { admin_token_file, admin_token_env, refresh_secret_file, refresh_secret_env } = written;
        ApiSettings {
            admin_token: self.secret("api", "admin_token", admin_token_file, admin_token_env),
            refresh_secret: self.secret("api", "refresh_secret", refresh_secret_file, refresh_secret_env),
        }
    }
}
