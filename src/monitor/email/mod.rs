//! E-mail: one letter to one address, over a mail server that speaks SMTP.
//! Must not know who gets which letter, nor when to try again; only what the server said, and what that promises.
//! Rules: docs/notices.md; RFC 5321 (SMTP), RFC 5322 (messages), RFC 3207 (STARTTLS), RFC 3834 (Auto-Submitted).

mod message;
mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::{Certificate, TlsParameters, TlsParametersBuilder};
use url::Url;

use super::lookup::Lookup;
use crate::error::{Error, Result};
use crate::ports::{Letter, Notifier};

/// A mail server, and who we are to it.
#[derive(Clone)]
pub struct MailServer(Arc<Parts>);

struct Parts {
    host: String,
    port: u16,
    security: Security,
    tls: TlsParameters,
    from: Mailbox,
    login: Option<Login>,
}

/// What a mail server is told by its configuration.
#[derive(Debug, Clone)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// `modvet@example.com`, or `modvet <modvet@example.com>`.
    pub from: String,
    pub login: Option<Login>,
    /// Certificates trusted besides the system's, as PEM.
    pub extra_roots: Vec<String>,
}

/// Who we are to a mail server.
#[derive(Debug, Clone)]
pub struct Login {
    pub username: String,
    pub password: Lookup,
}

/// How what is said is hidden from those between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte: `smtps://`.
    Tls,
    /// TLS by STARTTLS, or nothing is sent: `smtp://`.
    StartTls,
    /// Nobody hides it.
    Plain,
}

impl Security {
    /// The port where none is said.
    pub fn port(self) -> u16 {
        match self {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::Plain => 25,
        }
    }
}

impl MailServer {
    /// `Kind::Gone` where the settings cannot be meant. It reads the system's certificates: blocking.
    pub fn new(settings: MailSettings) -> Result<MailServer> {
        let MailSettings { host, port, security, from, login, extra_roots } = settings;
        let from = mailbox(&from).ok_or_else(|| Error::gone(format!("from: {from:?} (expected {ADDRESS})")))?;
        let tls = tls(&host, &extra_roots)?;
        Ok(MailServer(Arc::new(Parts { host, port, security, tls, from, login })))
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailServer({}:{})", self.0.host, self.0.port)
    }
}

/// What an address looks like.
pub const ADDRESS: &str = "an e-mail address such as ops@example.com";

/// Whether this is an address to which mail can be sent, and nothing else.
pub fn is_address(text: &str) -> bool {
    address(text).is_some()
}

/// Whether this is a sender: an address, with or without a name before it.
pub fn is_sender(text: &str) -> bool {
    mailbox(text).is_some()
}

/// In ASCII: not every server takes others.
fn address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|_| text.is_ascii())
}

fn mailbox(text: &str) -> Option<Mailbox> {
    let is_plain = !text.chars().any(char::is_control);
    text.parse::<Mailbox>().ok().filter(|mailbox| is_plain && mailbox.email.to_string().is_ascii())
}

/// Reads `smtps://HOST[:PORT]` and `smtp://HOST[:PORT]`; else what is wrong with it.
pub fn server(url: &Url) -> Result<(String, u16, Security), &'static str> {
    let security = match url.scheme() {
        "smtps" => Security::Tls,
        "smtp" => Security::StartTls,
        _ => return Err("smtps:// or smtp://"),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("a host")?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("a host and a port only");
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, url.port().unwrap_or(security.port()), security))
}

fn tls(host: &str, extra_roots: &[String]) -> Result<TlsParameters> {
    let setup = |error| Error::internal("TLS of the mail server cannot be set up").because(error);
    let mut builder = TlsParametersBuilder::new(host.to_owned());
    for pem in extra_roots {
        builder = builder.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(setup)?);
    }
    builder.build_rustls().map_err(setup)
}

/// A channel to addresses.
#[derive(Debug)]
pub struct Email {
    name: String,
    server: MailServer,
    addresses: Vec<String>,
}

impl Email {
    pub fn new(name: impl Into<String>, server: &MailServer, addresses: Vec<String>) -> Email {
        Email { name: name.into(), server: server.clone(), addresses }
    }
}

#[async_trait]
impl Notifier for Email {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// One after the other; whoever wants to know what became of each hands them over one by one.
    async fn notify(&self, letter: &Letter) -> Result<()> {
        for to in &letter.to {
            let to = address(to).ok_or_else(|| Error::gone(format!("{to:?} (expected {ADDRESS})")))?;
            let message = message::message(letter, &self.server.0.from, &to)?;
            session::send(&self.server.0, &to, &message).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod reading {
    use super::*;

    #[test]
    fn addresses_are_addresses_and_nothing_else() {
        for good in ["ops@example.com", "o'neil+alerts@mail.example.com", "a@localhost"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "ops",
            "@example.com",
            "ops@",
            "ops@example.com, dev@example.com",
            "ops@example.com\r\nRCPT TO:<evil@example.com>",
            "ops@example.com\nBcc: evil@example.com",
            "<ops@example.com>",
            "ops@exa mple.com",
            "öps@example.com",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
        for (text, is_good) in [
            ("modvet@example.com", true),
            ("modvet <modvet@example.com>", true),
            ("\"mod, vet\" <modvet@example.com>", true),
            ("Wächter <modvet@example.com>", true),
            ("modvet", false),
            ("modvet\r\nBcc: evil@example.com <modvet@example.com>", false),
        ] {
            assert_eq!(is_sender(text), is_good, "{text:?}");
        }
    }

    #[test]
    fn a_mail_servers_address_says_how_it_is_spoken_to() {
        let table = [
            ("smtps://mail.example", Ok(("mail.example", 465, Security::Tls))),
            ("smtp://mail.example", Ok(("mail.example", 587, Security::StartTls))),
            ("smtp://mail.example:25/", Ok(("mail.example", 25, Security::StartTls))),
            ("smtps://[::1]:1465", Ok(("::1", 1465, Security::Tls))),
            ("https://mail.example", Err("smtps:// or smtp://")),
            ("smtp://mail.example/x", Err("a host and a port only")),
            ("smtp:mail.example", Err("a host")),
        ];
        for (text, expected) in table {
            let found = server(&Url::parse(text).expect(text));
            let expected = expected.map(|(host, port, security)| (host.to_owned(), port, security));
            assert_eq!(found, expected, "{text}");
        }
    }
}
