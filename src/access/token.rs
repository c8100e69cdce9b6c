//! A token's text: `modvet_ID_SECRET`, all hexadecimal, so that scanners for secrets know one when they see it.
//! Its end is a sum over the rest: a typo or half a token is told from one that is not known.

use std::borrow::Cow;
use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::secret::Secret;

const PREFIX: &str = "modvet_";

/// In bytes.
const ID: usize = 4;
const SECRET: usize = 32;
const SUM: usize = 4;

/// So many digits behind an id are part of a token and no name.
const FEWEST: usize = 12;

/// What a token is called: no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; ID]);

impl Id {
    pub fn parse(text: &str) -> Option<Id> {
        let mut id = [0; ID];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Id(id))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A token as somebody holds it.
pub struct Token {
    pub id: Id,
    secret: [u8; SECRET],
}

impl Token {
    /// One that nobody can guess.
    pub fn random() -> Result<Token> {
        Ok(Token { id: Id(random()?), secret: random()? })
    }

    /// `None` where this is no whole token.
    pub fn parse(text: &str) -> Option<Token> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let mut bytes = [0; SECRET + SUM];
        hex::decode_to_slice(rest, &mut bytes).ok()?;
        let (secret, sum) = bytes.split_at(SECRET);
        let token = Token { id: Id::parse(id)?, secret: secret.try_into().ok()? };
        (token.sum() == sum).then_some(token)
    }

    /// As it is shown once and sent ever after.
    pub fn text(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}_{}{}", self.id, hex::encode(self.secret), hex::encode(self.sum())))
    }

    /// All that is random of it.
    pub fn bytes(&self) -> [u8; ID + SECRET] {
        let mut bytes = [0; ID + SECRET];
        bytes[..ID].copy_from_slice(&self.id.0);
        bytes[ID..].copy_from_slice(&self.secret);
        bytes
    }

    /// The same text without what is secret of tokens in it: somebody may put one where an id belongs.
    pub fn hidden_in(text: &str) -> Cow<'_, str> {
        let mut shown = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(PREFIX) {
            let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
            let id = digits(after);
            let secret = after[id..].strip_prefix('_').map_or(0, digits);
            let is_secret = secret >= FEWEST;
            shown.extend([before, PREFIX, &after[..id], if is_secret { "_…" } else { "" }]);
            rest = &after[if is_secret { id + 1 + secret } else { id }..];
        }
        match shown.is_empty() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(shown + rest),
        }
    }

    fn sum(&self) -> [u8; SUM] {
        let digest: [u8; 32] = Sha256::digest(self.bytes()).into();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

/// Bytes of the system's own randomness.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("the system gives no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = Token::random().expect("random");
        let text = token.text();
        assert_eq!(text.expose().len(), "modvet_".len() + 8 + 1 + 64 + 8);
        let read = Token::parse(text.expose()).expect("whole");
        assert_eq!((read.id, read.bytes()), (token.id, token.bytes()));
        assert_eq!(Id::parse(&token.id.to_string()), Some(token.id));
        let other = Token::random().expect("random");
        assert_ne!(other.bytes(), token.bytes());
        assert!(!format!("{text:?}").contains(&token.id.to_string()), "{text:?}");
    }

    #[test]
    fn of_a_token_in_a_text_only_its_id_is_shown() {
        let token = Token::random().expect("random");
        let (id, text) = (token.id, token.text());
        let text = text.expose();
        let table = [
            (format!("/api/v1/tokens/{text}"), format!("/api/v1/tokens/modvet_{id}_…")),
            (format!("{text}/{}", &text[..40]), format!("modvet_{id}_…/modvet_{id}_…")),
            (format!("/api/v1/tokens/{id}"), format!("/api/v1/tokens/{id}")),
            ("example.com/modvet_tools/x".to_owned(), "example.com/modvet_tools/x".to_owned()),
            ("modvet_dead_end/x".to_owned(), "modvet_dead_end/x".to_owned()),
            ("modvet_modvet_é".to_owned(), "modvet_modvet_é".to_owned()),
        ];
        for (text, expected) in table {
            assert_eq!(Token::hidden_in(&text), expected);
        }
    }

    #[test]
    fn every_digit_that_is_wrong_or_missing_is_noticed() {
        let text = Token::random().expect("random").text();
        let text = text.expose();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).expect("digits");
            assert!(Token::parse(&changed).is_none(), "{at}");
            assert!(Token::parse(&text[..at]).is_none(), "{at}");
        }
        for other in ["", "modvet_", "modvet__", "password", "modvet_é_é", &format!("{text} "), &format!("{text}00")]
        {
            assert!(Token::parse(other).is_none(), "{other:?}");
        }
    }
}
