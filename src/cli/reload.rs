//! A configuration that changes under a running server.

use std::sync::Arc;

use async_trait::async_trait;

use super::identity::Identity;
use super::serve::named;
use super::wiring::{self, Works};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::http::admission::{Admission, Secrets};
use crate::http::site::{Reload, Reloaded};

/// Reads the configuration again, as it was read at the start.
pub type Read = Arc<dyn Fn() -> Result<Settings> + Send + Sync>;

pub struct Reloader {
    read: Read,
    identity: Identity,
    works: Arc<Works>,
    admission: Arc<Admission>,
    /// What the server started with: some of it holds until its end.
    started: Settings,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    pub fn new(
        read: Read,
        identity: Identity,
        works: Arc<Works>,
        admission: Arc<Admission>,
        started: Settings,
    ) -> Reloader {
        Reloader { read, identity, works, admission, started, turn: tokio::sync::Mutex::default() }
    }

    /// The keys whose new values wait for a restart.
    fn waiting(&self, new: &Settings) -> Vec<String> {
        let Settings { listen, tls, trusted_proxies, store, audit, ledger, sumdb, .. } = &self.started;
        let waits = [
            ("listen", *listen != new.listen),
            ("tls", *tls != new.tls),
            ("trusted_proxies", *trusted_proxies != new.trusted_proxies),
            ("store.path", store.path != new.store.path),
            ("store.spill", store.spill != new.store.spill),
            ("open", self.admission.would_weaken(new.open)),
            ("audit", *audit != new.audit),
            ("sumdb.databases", sumdb.databases != new.sumdb.databases),
            ("ledger.drift_check", *ledger != new.ledger),
        ];
        waits.iter().filter(|(_, waits)| *waits).map(|(key, _)| (*key).to_owned()).collect()
    }

    async fn attempt(&self) -> Result<Reloaded> {
        let (settings, named) = read_again(&self.read).await?;
        // What only a restart changes is as it was, until then.
        let waiting = self.waiting(&settings);
        let mut settings = settings;
        settings.store.path.clone_from(&self.started.store.path);
        wiring::reload(&self.works, &self.identity, &settings).await?;
        self.admission.renew(settings.open, named);
        Ok(Reloaded { upstreams: settings.upstreams.len(), registries: settings.registries.len(), waiting })
    }
}

/// The folders of upstreams are looked for too: a dead mount must not hold up those who serve.
async fn read_again(read: &Read) -> Result<(Settings, Secrets)> {
    let read = read.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let settings = read()?;
        let named = named(&settings)?;
        Ok((settings, named))
    });
    reading.await.map_err(|error| Error::internal("reading the configuration ended early").because(error))?
}

#[async_trait]
impl Reload for Reloader {
    async fn reload(&self) -> Result<Reloaded> {
        let _turn = self.turn.lock().await;
        let reloaded = self.attempt().await;
        match &reloaded {
            Ok(reloaded) => {
                tracing::info!(
                    upstreams = reloaded.upstreams,
                    registries = reloaded.registries,
                    "configuration reloaded"
                );
                for key in &reloaded.waiting {
                    tracing::warn!(key, "this change takes effect at the next start");
                }
            }
            Err(error) => tracing::error!(%error, "the configuration is not reloaded: all stays as it was"),
        }
        reloaded
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_configuration_that_is_slow_to_read_holds_up_no_worker() {
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let read: Read = Arc::new(move || match wait.lock().expect("lock").recv_timeout(Duration::from_secs(5)) {
            Ok(()) => Err(Error::gone("read")),
            Err(_) => Err(Error::gone("nobody else could run")),
        });
        let reading = tokio::spawn(async move { read_again(&read).await.err().map(|error| error.to_string()) });
        tokio::task::yield_now().await;
        go_on.send(()).expect("it is still being read");
        assert_eq!(reading.await.expect("ended").as_deref(), Some("read"));
    }
}
