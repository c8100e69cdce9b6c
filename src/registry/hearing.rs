//! The refs of a repository are heard once for all modules in it and all who ask; nobody has a thread while they wait.
//! Must not know what anybody wants of the refs.
//! Rules: docs/reliability.md, "How long at once".

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::direct::OpenRepo;
use super::flight::Flights;
use super::rounds::Rounds;
use crate::error::{Error, Result};
use crate::ports::Via;
use crate::spec::refs::Refs;

/// The refs known before, and those heard.
pub(super) type Anew = (Option<Arc<Refs>>, Arc<Refs>);

/// Who is at it, by the addresses of repositories.
#[derive(Default)]
pub struct Hearings {
    flights: Flights<()>,
    rounds: Rounds<Anew>,
}

impl Hearings {
    /// Sees to it that the refs are known and no older than that; who asks meanwhile waits for the same. Without any
    /// time at all refs are never young enough for a second one: then each question asks for itself.
    pub async fn hear(
        &self,
        url: &str,
        open: &Arc<OpenRepo>,
        turns: &Arc<Semaphore>,
        max_age: Duration,
        told: fn(Error, Option<&Via>) -> Error,
    ) -> Result<()> {
        if max_age.is_zero() || max_age == Duration::MAX {
            return Ok(());
        }
        let work = || {
            let (url, open, turns) = (url.to_owned(), open.clone(), turns.clone());
            at_work(turns, move || {
                let repo = open(&url)?;
                repo.refs(max_age).map(drop).map_err(|error| told(error, repo.via().as_ref()))
            })
        };
        self.flights.join(url, work).await
    }

    /// Asks for the refs anew. A question that is on its way already may have been asked before what is to be found out
    /// happened: who comes then waits for the next one.
    pub async fn hear_anew(&self, url: &str, open: &Arc<OpenRepo>, turns: &Arc<Semaphore>) -> Result<Anew> {
        let (open, turns, at) = (open.clone(), turns.clone(), url.to_owned());
        let ask = move || open(&at)?.hear();
        self.rounds.join(url, move || Box::pin(at_work(turns, ask))).await
    }
}

/// Runs a job over a repository on a blocking thread when it is its turn.
async fn at_work<T: Send + 'static>(
    turns: Arc<Semaphore>,
    job: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let _turn = turns.acquire().await.expect("the semaphore is never closed");
    let done = tokio::task::spawn_blocking(job).await;
    done.map_err(|panic| Error::internal("question over a repository ended early").because(panic))?
}
