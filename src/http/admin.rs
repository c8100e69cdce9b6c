//! The token that opens the admin part of the interface to the network.

use sha2::{Digest as _, Sha256};

/// A token that cannot be printed: only its hash is kept.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

impl AdminToken {
    /// `None` for an empty one, which anybody would know.
    pub fn new(token: &str) -> Option<AdminToken> {
        (!token.is_empty()).then(|| AdminToken(Sha256::digest(token).into()))
    }

    /// Takes the same time wherever they differ; how long the token is does not show either.
    pub(super) fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.iter().zip(given).fold(0, |difference, (own, given)| difference | (own ^ given)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_no_other() {
        let token = AdminToken::new("secret").expect("a token");
        assert!(token.is("secret"));
        for other in ["", "secre", "secret ", "Secret", "secretsecret"] {
            assert!(!token.is(other), "{other:?}");
        }
        assert!(AdminToken::new("").is_none());
    }
}
