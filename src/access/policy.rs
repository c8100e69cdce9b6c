//! Who may read without a token, and where a server may listen: the one place that decides it.

use std::net::SocketAddr;

use crate::error::{Error, Result};

/// What the configuration says of who can reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    pub listen: SocketAddr,
    /// The key `open`, or `--open`; `None` where nobody says.
    pub open: Option<bool>,
    pub encryption: Encryption,
}

/// Who speaks TLS with the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    Nobody,
    /// This server.
    Own,
    /// A proxy in front: whom it lets through does not show in the address.
    InFront,
}

impl Exposure {
    /// Whether anybody may read. `is_guarded`: a token for reading was there once.
    pub fn is_open(&self, is_guarded: bool) -> bool {
        match self.open {
            Some(said) => said,
            None => self.is_loopback() && self.encryption != Encryption::InFront && !is_guarded,
        }
    }

    /// Refuses to listen where strangers could read along or read at all. `has_token`: one is valid; `None` where
    /// that is not known yet.
    pub fn admit(&self, has_token: Option<bool>) -> Result<()> {
        if self.is_loopback() || self.open == Some(true) {
            return Ok(());
        }
        let listen = self.listen;
        if self.encryption == Encryption::Nobody {
            let error = Error::gone(format!(
                "listening on {listen} without TLS (expected a loopback address such as 127.0.0.1:3000)"
            ));
            return Err(error
                .remedy("name a certificate in [tls], or say tls = \"terminated\" where a proxy in front speaks TLS")
                .remedy("and make a token: modvet token create --scope read")
                .remedy("or let anybody read: open = true, or --open"));
        }
        if has_token == Some(false) {
            let error = Error::gone(format!("listening on {listen} without any token: nobody could ask"));
            return Err(error
                .remedy("make one: modvet token create --scope read")
                .remedy("or let anybody read: open = true, or --open"));
        }
        Ok(())
    }

    fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

/// Of what was said before and what is said now, what lets fewer in.
pub fn stricter(before: Option<bool>, now: Option<bool>) -> Option<bool> {
    match (before, now) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (None, _) | (_, None) => None,
        (Some(true), Some(true)) => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Encryption::{InFront, Nobody, Own};

    fn exposure(listen: &str, open: Option<bool>, encryption: Encryption) -> Exposure {
        Exposure { listen: listen.parse().expect("an address"), open, encryption }
    }

    #[test]
    fn reading_is_open_on_the_loopback_alone_and_only_until_the_first_token() {
        const HERE: &str = "127.0.0.1:3000";
        const ALL: &str = "0.0.0.0:3000";
        let table = [
            ("by default", HERE, None, Nobody, false, true),
            ("another loopback address", "127.8.0.1:3000", None, Nobody, false, true),
            ("the loopback of version 6", "[::1]:3000", None, Nobody, false, true),
            ("the same in another form", "[::ffff:127.0.0.1]:3000", None, Nobody, false, true),
            ("with TLS of its own", HERE, None, Own, false, true),
            ("after a first token", HERE, None, Nobody, true, false),
            ("with TLS after a first token", HERE, None, Own, true, false),
            ("a proxy in front", HERE, None, InFront, false, false),
            ("elsewhere", ALL, None, Nobody, false, false),
            ("elsewhere, version 6", "[::]:3000", None, Nobody, false, false),
            ("elsewhere with TLS", ALL, None, Own, false, false),
            ("a private address", "10.0.0.1:3000", None, Own, false, false),
            ("said to be open", ALL, Some(true), Nobody, true, true),
            ("said to be open behind a proxy", HERE, Some(true), InFront, true, true),
            ("said to be shut", HERE, Some(false), Nobody, false, false),
            ("said to be shut with TLS", HERE, Some(false), Own, true, false),
        ];
        for (row, listen, open, encryption, is_guarded, expected) in table {
            assert_eq!(exposure(listen, open, encryption).is_open(is_guarded), expected, "{row}");
        }
    }

    #[test]
    fn a_server_listens_elsewhere_with_tls_and_a_token_or_if_it_is_said() {
        const HERE: &str = "127.0.0.1:3000";
        const ALL: &str = "0.0.0.0:3000";
        let (tls, token) = (Some("without TLS"), Some("without any token"));
        let table = [
            ("the loopback", HERE, None, Nobody, Some(false), None),
            ("the loopback, shut", HERE, Some(false), Nobody, Some(false), None),
            ("elsewhere", ALL, None, Nobody, Some(false), tls),
            ("elsewhere with a token", ALL, None, Nobody, Some(true), tls),
            ("elsewhere, before the store is open", ALL, None, Nobody, None, tls),
            ("elsewhere, shut, without TLS", ALL, Some(false), Nobody, Some(true), tls),
            ("version 6", "[::]:3000", None, Nobody, Some(true), tls),
            ("a private address", "192.168.0.1:3000", None, Nobody, Some(true), tls),
            ("TLS and no token", ALL, None, Own, Some(false), token),
            ("a proxy in front and no token", ALL, None, InFront, Some(false), token),
            ("TLS, before the store is open", ALL, None, Own, None, None),
            ("TLS and a token", ALL, None, Own, Some(true), None),
            ("a proxy in front and a token", ALL, None, InFront, Some(true), None),
            ("open to all", ALL, Some(true), Nobody, Some(false), None),
        ];
        for (row, listen, open, encryption, has_token, expected) in table {
            let refused = exposure(listen, open, encryption).admit(has_token).err();
            assert_eq!(refused.is_some(), expected.is_some(), "{row}: {refused:?}");
            assert!(refused.is_none_or(|error| error.what().contains(expected.unwrap_or_default())), "{row}");
        }
    }

    #[test]
    fn a_configuration_that_is_read_again_never_lets_more_in() {
        let all = [Some(true), None, Some(false)];
        for (at, before) in all.into_iter().enumerate() {
            for (then, now) in all.into_iter().enumerate() {
                assert_eq!(stricter(before, now), all[at.max(then)], "{before:?} {now:?}");
            }
        }
    }
}
