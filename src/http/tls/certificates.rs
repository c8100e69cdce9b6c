//! The certificate that is shown now, and the files that another one may come from.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use tokio::sync::Mutex;

use super::pair::{Files, Pair};
use super::reminder::{Notice, Reminder};
use crate::error::{Error, Result};
use crate::ports::Clock;

/// How long between two looks at the files. Their contents are looked at: a file can be replaced by
/// one of the same time, and a link by another one.
const BETWEEN: Duration = Duration::from_secs(3);

/// The certificate and its key, renewed when their files change.
pub struct Certificates {
    files: Files,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<Pair>>,
    /// One look at a time.
    watch: Mutex<Watch>,
}

#[derive(Default)]
struct Watch {
    /// What was wrong with which contents, so that it is said once.
    refused: Option<(Option<[u8; 32]>, String)>,
    reminder: Reminder,
}

impl Certificates {
    /// Reads the files. What is wrong with them is named by key and file.
    pub async fn open(files: Files, clock: Arc<dyn Clock>) -> Result<Arc<Certificates>> {
        let pair = look(&files, None).await.map_err(|(_, error)| error)?;
        let pair = pair.ok_or_else(|| Error::internal("a first pair is a new one"))?;
        let mut watch = Watch::default();
        tell(&mut watch.reminder, pair.not_after, clock.now());
        let (current, watch) = (RwLock::new(Arc::new(pair)), Mutex::new(watch));
        Ok(Arc::new(Certificates { files, clock, current, watch }))
    }

    /// With what a connection that comes now is opened.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.pair().config.clone()
    }

    /// The last moment at which clients take it.
    pub fn not_after(&self) -> DateTime<Utc> {
        self.pair().not_after
    }

    fn pair(&self) -> Arc<Pair> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files from time to time, for ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(BETWEEN).await;
            self.renew(&mut *self.watch.lock().await).await;
        }
    }

    /// Looks at the files now because somebody asks, and says again what was wrong with them.
    pub async fn look_again(&self) {
        let mut watch = self.watch.lock().await;
        watch.refused = None;
        self.renew(&mut watch).await;
    }

    /// If the files do not make a pair, as when one of them is written already and the other is not,
    /// what was there stays.
    async fn renew(&self, watch: &mut Watch) {
        match look(&self.files, Some(self.pair().sum)).await {
            Ok(None) => watch.refused = None,
            Ok(Some(pair)) => {
                let not_after = pair.not_after;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                *watch = Watch::default();
                tracing::info!(%not_after, "the certificate is replaced");
            }
            Err((sum, error)) => {
                let refused = Some((sum, error.chain()));
                if watch.refused != refused {
                    tracing::error!(%error, "the certificate is not replaced: the one before stays");
                    watch.refused = refused;
                }
            }
        }
        tell(&mut watch.reminder, self.not_after(), self.clock.now());
    }
}

/// The pair in the files unless it is the one known by its sum; else what is wrong, and with which contents.
async fn look(files: &Files, known: Option<[u8; 32]>) -> Result<Option<Pair>, (Option<[u8; 32]>, Error)> {
    let files = files.clone();
    // A dead mount must not hold up those who serve.
    let looking = tokio::task::spawn_blocking(move || {
        let contents = files.read().map_err(|error| (None, error))?;
        if known == Some(contents.sum()) {
            return Ok(None);
        }
        files.pair(&contents).map(Some).map_err(|error| (Some(contents.sum()), error))
    });
    looking.await.map_err(|error| (None, Error::internal("reading the certificate ended early").because(error)))?
}

fn tell(reminder: &mut Reminder, not_after: DateTime<Utc>, now: DateTime<Utc>) {
    match reminder.due(not_after, now) {
        Some(Notice::Ends(days)) => tracing::warn!(%not_after, days, "the certificate expires soon"),
        Some(Notice::Ended) => tracing::error!(%not_after, "the certificate has expired: clients refuse it"),
        None => {}
    }
}
