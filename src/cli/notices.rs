//! The channels of the mirror watch, put together: who is told, by which server.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::environment;
use crate::config::{ChannelKind, ChannelSettings, Settings, SmtpSettings};
use crate::error::{Error, Result};
use crate::monitor::email::{Email, Login, MailServer, MailSettings};
use crate::monitor::lookup::Lookup;
use crate::monitor::outbox::{OWNER, Outbox};
use crate::monitor::webhook::{Pass, PassScheme, Webhook};
use crate::net::{Client, Secret};
use crate::ports::Notifier;
use crate::registry::definition::{Auth, AuthScheme, SecretRef};

/// Whom letters can be given to.
pub struct Channels {
    configured: Vec<Arc<dyn Notifier>>,
    owners: Option<Arc<dyn Notifier>>,
}

impl Channels {
    /// Those of the settings. Blocking: it reads the system's certificates.
    pub fn of(settings: &Settings, client: &Client) -> Result<Channels> {
        let server = settings.smtp.as_ref().map(mail_server).transpose()?;
        let configured = settings.channels.iter().map(|channel| notifier(channel, client, server.as_ref()));
        let owners: BTreeSet<String> = owners(settings).collect();
        if server.is_none() && !owners.is_empty() {
            let owners = owners.iter().cloned().collect::<Vec<_>>().join(", ");
            tracing::warn!(owners, "no mail reaches those who renew mirrors: there is no [smtp]");
        }
        let to_owners = |server| Arc::new(Email::new(OWNER, server, owners.into_iter().collect())) as Arc<dyn Notifier>;
        Ok(Channels { configured: configured.collect::<Result<_>>()?, owners: server.as_ref().map(to_owners) })
    }

    pub fn appoint(self, outbox: &Outbox) {
        outbox.appoint(self.configured, self.owners);
    }
}

/// The addresses of those who renew what mirrors rest on.
fn owners(settings: &Settings) -> impl Iterator<Item = String> {
    let renewals = settings.mirrors.iter().filter_map(|mirror| mirror.definition.renewal.as_ref());
    renewals.filter_map(|renewal| renewal.owner.clone())
}

fn notifier(channel: &ChannelSettings, client: &Client, server: Option<&MailServer>) -> Result<Arc<dyn Notifier>> {
    let name = channel.name.as_str();
    Ok(match (&channel.kind, server) {
        (ChannelKind::Webhook { address, auth }, _) => {
            let pass = auth.as_ref().map(pass).transpose()?;
            Arc::new(Webhook::new(name, client, lookup(address, &format!("notify.{name}")), pass))
        }
        (ChannelKind::Email { to }, Some(server)) => Arc::new(Email::new(name, server, to.clone())),
        (ChannelKind::Email { .. }, None) => {
            return Err(Error::internal(format!("notify.{name}: no mail server (expected [smtp])")));
        }
    })
}

fn pass(auth: &Auth) -> Result<Pass> {
    let scheme = match &auth.scheme {
        AuthScheme::Basic { username } => PassScheme::Basic { username: username.clone() },
        AuthScheme::Bearer => PassScheme::Bearer,
        AuthScheme::Header { name } => {
            let invalid = |_| Error::gone(format!("invalid header {name:?}"));
            PassScheme::Header { name: name.parse().map_err(invalid)? }
        }
    };
    Ok(Pass { host: auth.host.clone(), scheme, secret: lookup(&auth.secret, "notify.auth") })
}

fn mail_server(smtp: &SmtpSettings) -> Result<MailServer> {
    let login = smtp.login.as_ref();
    let login = login
        .map(|(username, password)| Login { username: username.clone(), password: lookup(password, "smtp.password") });
    let SmtpSettings { host, port, security, from, .. } = smtp.clone();
    MailServer::new(MailSettings { host, port, security, from, login, extra_roots: Vec::new() })
}

/// What is not there at the start may be there when it is needed; that it is not is said at once all the same.
fn lookup(reference: &SecretRef, subject: &str) -> Lookup {
    if let Err(error) = environment::secret(reference) {
        tracing::warn!(%error, "{subject}: nobody is told by it as long as this is so");
    }
    let reference = reference.clone();
    Lookup::new(move || environment::secret(&reference).map(Secret::new))
}
