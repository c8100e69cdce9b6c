//! Who speaks TLS with the clients: what the settings say of it, opened and kept.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::clock::SystemClock;
use super::serve::bind;
use crate::config::Settings;
use crate::config::settings::{Tls, TlsFiles};
use crate::error::{Error, Result};
use crate::http::desk::Desk;
use crate::http::redirect::Redirect;
use crate::http::serve::{Limits, serve};
use crate::http::tls::{Certificates, Files, TlsListener};

/// Where clients come in.
pub struct Entrance {
    listener: TcpListener,
    address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    /// Where plain http is led to https.
    redirect: Option<TcpListener>,
}

impl Entrance {
    /// Binds what the settings name and reads the certificate, if there is one.
    pub async fn open(settings: &Settings) -> Result<Entrance> {
        if let Some(missing) = missing_proxies(settings) {
            if !is_loopback(settings) {
                return Err(missing);
            }
            tracing::warn!("tls is terminated in front, but trusted_proxies is empty: all addresses are the proxy's");
        }
        let (mut certificates, mut redirect) = (None, None);
        if let Some(named) = settings.tls.files() {
            certificates = Some(Certificates::open(files(named), Arc::new(SystemClock)).await?);
            if let Some(address) = named.redirect {
                let listener = bind(address).await.map_err(|error| error.about("tls.redirect"))?;
                tracing::info!(
                    address = listener.local_addr().ok().map(tracing::field::display),
                    "plain http is led to https"
                );
                redirect = Some(listener);
            }
        }
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().map_err(|e| Error::internal("the listener has no address").because(e))?;
        Ok(Entrance { listener, address, certificates, redirect })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:3000`
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// Lets clients in until the end is asked for; done when the last one has left.
    pub fn serve<E>(self, desk: Arc<Desk>, end: impl Fn() -> E) -> JoinHandle<()>
    where
        E: Future<Output = ()> + Send + 'static,
    {
        let (limits, mut beside) = (Limits::default(), JoinSet::new());
        if let Some(listener) = self.redirect {
            let redirect = Arc::new(Redirect::new(self.address.port()));
            beside.spawn(serve(listener, redirect, limits, end()));
        }
        let (listener, end) = (self.listener, end());
        tokio::spawn(async move {
            match self.certificates {
                Some(certificates) => {
                    beside.spawn(certificates.clone().keep());
                    serve(TlsListener::new(listener, certificates), desk, limits, end).await;
                }
                None => serve(listener, desk, limits, end).await,
            }
            beside.shutdown().await;
        })
    }
}

/// What is missing where TLS ends at a proxy that nobody named: every client has the proxy's address then; and who
/// listens to other machines has to know which of them is the proxy.
pub fn missing_proxies(settings: &Settings) -> Option<Error> {
    if settings.tls != Tls::Terminated || !settings.trusted_proxies.is_empty() {
        return None;
    }
    let listen = settings.listen;
    let what = format!("tls: \"terminated\" on {listen} without trusted_proxies (expected who stands in front)");
    Some(Error::gone(what).remedy("name addresses or ranges: trusted_proxies = [\"10.0.0.0/8\"]"))
}

fn is_loopback(settings: &Settings) -> bool {
    settings.listen.ip().to_canonical().is_loopback()
}

/// The files of a certificate, as the listener reads them.
pub fn files(named: &TlsFiles) -> Files {
    Files { certificate: named.certificate.clone(), key: named.key.clone(), http2: named.http2 }
}
