//! A conversation with a mail server, in which it is known at every step whether the message may have arrived.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::{Parts, Security};
use crate::error::{Error, Kind, Result};
use crate::net::Secret;

/// For the connection, and for each step.
const CONNECT: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_secs(30);

/// From the end of the message to its acceptance: servers look for spam meanwhile.
const ACCEPTANCE: Duration = Duration::from_secs(120);

/// Of what a server says, in characters.
const LONGEST_ANSWER: usize = 200;

/// Brings a message to an address. `Kind::Gone` where the server will never take it.
pub async fn send(server: &Parts, to: &Address, message: &[u8]) -> Result<()> {
    let password = match &server.login {
        Some(login) => Some(login.password.read().await?),
        None => None,
    };
    let username = server.login.as_ref().map_or("", |login| login.username.as_str());
    let talk = Talk { host: &server.host, username, password: password.as_ref() };
    let mut connection = talk.connect(server).await?;
    if let (Some(login), Some(password)) = (&server.login, &password) {
        let credentials = Credentials::new(login.username.clone(), password.expose().to_owned());
        let answer = talk.step(STEP, connection.auth(DEFAULT_MECHANISMS, &credentials)).await;
        // Whoever renews the password finds the letter still there.
        answer.map_err(|broken| talk.error(Kind::Unavailable, "does not let us in", &broken).unauthorized())?;
    }
    let sender = Mail::new(Some(server.from.email.clone()), Vec::new());
    let answer = talk.step(STEP, connection.command(sender)).await;
    answer.map_err(|broken| talk.error(Kind::Unavailable, "does not take our sender", &broken))?;
    let answer = talk.step(STEP, connection.command(Rcpt::new(to.clone(), Vec::new()))).await;
    answer.map_err(|broken| talk.error(broken.kind(), &format!("does not take mail for {to}"), &broken))?;
    let answer = talk.step(STEP, connection.command(Data)).await;
    answer.map_err(|broken| talk.error(broken.kind(), "does not take the letter", &broken))?;
    let answer = talk.step(ACCEPTANCE, connection.message(message)).await;
    answer.map_err(|broken| match broken.is_answer() {
        true => talk.error(broken.kind(), "does not take the letter", &broken),
        false => talk.error(Kind::BadGateway, "did not say whether it took the letter", &broken),
    })?;
    // It has the letter, whatever comes now.
    let _ = timeout(STEP, connection.quit()).await;
    Ok(())
}

/// What is common to all steps: what to call the server, and what not to repeat.
struct Talk<'a> {
    host: &'a str,
    username: &'a str,
    password: Option<&'a Secret>,
}

/// Why a step came to nothing.
enum Broken {
    Late(Duration),
    Said(SmtpError),
}

impl Broken {
    /// Whether the server has said no itself.
    fn is_answer(&self) -> bool {
        matches!(self, Broken::Said(error) if error.is_transient() || error.is_permanent())
    }

    fn kind(&self) -> Kind {
        match self {
            Broken::Said(error) if error.is_permanent() => Kind::Gone,
            _ => Kind::Unavailable,
        }
    }
}

impl Talk<'_> {
    async fn connect(&self, server: &Parts) -> Result<AsyncSmtpConnection> {
        let hello = ClientId::Domain(server.from.email.domain().to_owned());
        let tls = (server.security == Security::Tls).then(|| server.tls.clone());
        let address = (server.host.as_str(), server.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &hello, tls, None);
        let connected = self.step(STEP, connecting).await;
        let mut connection =
            connected.map_err(|broken| self.error(Kind::Unavailable, "could not be reached", &broken))?;
        if server.security == Security::StartTls {
            if !connection.can_starttls() {
                let error = Error::unavailable(format!("{} offers no STARTTLS (expected it)", self.host));
                return Err(error.remedy("smtps:// speaks TLS from the start; tls = \"none\" does without"));
            }
            let answer = self.step(STEP, connection.starttls(server.tls.clone(), &hello)).await;
            answer.map_err(|broken| self.error(Kind::Unavailable, "does not come to TLS", &broken))?;
        }
        Ok(connection)
    }

    async fn step<T>(&self, limit: Duration, step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, Broken> {
        match timeout(limit, step).await {
            Ok(answer) => answer.map_err(Broken::Said),
            Err(_) => Err(Broken::Late(limit)),
        }
    }

    /// The password as it is and as it is shown.
    fn forms(&self) -> Vec<String> {
        let Some(password) = self.password.map(Secret::expose).filter(|password| !password.is_empty()) else {
            return Vec::new();
        };
        let pair = STANDARD.encode(format!("\0{}\0{password}", self.username));
        vec![pair, STANDARD.encode(password), password.to_owned()]
    }

    /// In the server's words, where it said some: it may repeat what it was shown.
    fn error(&self, kind: Kind, what: &str, broken: &Broken) -> Error {
        let host = self.host;
        let said = match broken {
            Broken::Late(limit) => return Error::new(kind, format!("{host} {what}: no answer within {limit:?}")),
            Broken::Said(error) => words(error),
        };
        let said = self.forms().iter().fold(said, |said, form| said.replace(form, "…"));
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let error = Error::new(kind, format!("{host} {what}: {}", cut(&said)));
        match broken {
            Broken::Said(cause) if is_certificate(cause) => {
                error.remedy("if the certificate is right, let SSL_CERT_FILE name that of its issuer")
            }
            _ => error,
        }
    }
}

/// `550 no such user`, or what went wrong on the way: its innermost cause.
fn words(error: &SmtpError) -> String {
    if let Some(code) = error.status() {
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        return format!("{code} {said}");
    }
    let mut cause: &dyn StdError = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    // io::Error adds a number that says nothing to people.
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

/// Whether the server's certificate is not one that we trust for it.
fn is_certificate(error: &SmtpError) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(found) = cause {
        let inside = found.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inside = inside.and_then(|inside| inside.downcast_ref::<rustls::Error>());
        let tls = found.downcast_ref::<rustls::Error>().or(inside);
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        cause = found.source();
    }
    false
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_ANSWER) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
