//! Secrets at rest: sealed with a key that does not lie in the store.
//! AES-256-GCM; every sealing has a nonce of its own, and holds for the upstream's name only.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::{Error, Result};
use crate::registry::definition::Sealed;
use crate::secret::Secret;

const KEY: usize = 32;
const HOW: &str = "make one with: head -c 32 /dev/urandom | base64";

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Seal(Arc<LessSafeKey>);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// A key of 32 bytes, in hex or base64.
    pub fn new(key: &Secret) -> Result<Seal> {
        let text = key.expose().trim();
        let decoded =
            hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok()).or_else(|| URL_SAFE.decode(text).ok());
        let Some(bytes) = decoded.filter(|bytes| bytes.len() == KEY) else {
            let what = format!("no key of the store (expected {KEY} bytes in hex or base64)");
            return Err(Error::gone(what).remedy(HOW));
        };
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| Error::internal("AES-256 takes 32 bytes"))?;
        Ok(Seal(Arc::new(LessSafeKey::new(key))))
    }

    /// Seals a secret for the upstream of this name.
    pub fn seal(&self, upstream: &str, secret: &Secret) -> Result<Sealed> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::internal("the system gives no random numbers"))?;
        let mut text = secret.expose().as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(upstream.as_bytes()), &mut text)
            .map_err(|_| Error::internal("the secret could not be sealed"))?;
        Ok(Sealed { nonce: STANDARD.encode(nonce), text: STANDARD.encode(text) })
    }

    /// `Kind::BadGateway` if it was sealed with another key or for another upstream.
    pub fn open(&self, upstream: &str, sealed: &Sealed) -> Result<Secret> {
        let misfit = || {
            Error::bad_gateway("its credentials cannot be read: the key of [store] does not fit")
                .remedy("name the key that they were sealed with, or set the credentials anew")
        };
        let nonce: [u8; NONCE_LEN] =
            STANDARD.decode(&sealed.nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or_else(misfit)?;
        let mut text = STANDARD.decode(&sealed.text).map_err(|_| misfit())?;
        let opened = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(upstream.as_bytes()), &mut text)
            .map_err(|_| misfit())?;
        Ok(Secret::new(String::from_utf8(opened.to_vec()).map_err(|_| misfit())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(digit: &str) -> Seal {
        Seal::new(&Secret::new(digit.repeat(64))).expect("32 bytes in hex")
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_upstream_alone() {
        let secret = Secret::new("hunter2");
        let sealed = seal("a").seal("corp", &secret).expect("sealed");
        assert_eq!(seal("a").open("corp", &sealed).expect("opened"), secret);
        for (row, seal, upstream) in [("another key", seal("b"), "corp"), ("another upstream", seal("a"), "public")] {
            let error = seal.open(upstream, &sealed).expect_err(row);
            assert!(error.what().contains("the key of [store] does not fit"), "{row}: {error}");
        }
        let again = seal("a").seal("corp", &secret).expect("sealed");
        assert_ne!(again, sealed, "a nonce is never used twice");
        assert!(!format!("{sealed:?}").contains("hunter2"));
    }

    #[test]
    fn a_key_has_32_bytes_in_hex_or_base64() {
        let base64 = STANDARD.encode([7; 32]);
        for key in [base64.as_str(), &format!("{base64}\n"), &"0F".repeat(32)] {
            Seal::new(&Secret::new(key)).expect("a key");
        }
        for key in ["", "secret", &"a".repeat(62), &STANDARD.encode([7; 31])] {
            let error = Seal::new(&Secret::new(key)).expect_err("no key");
            assert_eq!(
                error.to_string(),
                "no key of the store (expected 32 bytes in hex or base64)\nmake one with: head -c 32 /dev/urandom | base64"
            );
        }
    }
}
