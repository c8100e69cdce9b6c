//! Whom a job asks: the repository's own server, or its mirror while that one is out of reach.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::known::RawRef;
use super::remote::{Failure, Remote};
use super::server::Server;
use super::shared::Shared;
use crate::error::{Error, Kind, Result};
use crate::ports::{Clock, MayRead, Via};

/// So long an origin that failed is left alone, and what its mirror said is taken for its word.
pub(super) const RETRY: Duration = Duration::from_secs(30);

/// The mirror of a repository.
pub(super) struct Alternate {
    pub name: String,
    pub remote: Remote,
    pub may_read: Arc<MayRead>,
}

/// One job's way to a server.
pub(super) struct Route {
    origin: Remote,
    /// Asked before the origin is, where that is a mirror itself.
    gate: Option<Arc<MayRead>>,
    alternate: Option<Alternate>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    at: Cell<At>,
    via: RefCell<Option<Via>>,
}

/// Where a job is; it changes sides once, so that it comes to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Origin,
    /// The origin failed lately, and was not asked by this job.
    Spared,
    Mirror,
}

impl Route {
    pub fn new(
        origin: Remote,
        gate: Option<Arc<MayRead>>,
        alternate: Option<Alternate>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
    ) -> Route {
        Route { origin, gate, alternate, shared, clock, at: Cell::new(At::Start), via: RefCell::new(None) }
    }

    /// The mirror that anything came from so far.
    pub fn via(&self) -> Option<Via> {
        self.via.borrow().clone()
    }

    pub fn host(&self) -> String {
        self.current().host()
    }

    /// What the server said, fit for a log.
    pub fn without_secrets(&self, text: &str) -> String {
        self.current().without_secrets(text)
    }

    /// All refs, and the mirror that said so.
    pub fn refs(&self) -> Result<(Vec<RawRef>, Option<Via>)> {
        let refs = self.ask(|remote| remote.refs().map_err(Failure::from));
        let refs = refs.map_err(|failure| failure.into_error(&self.host()))?;
        Ok((refs, self.via()))
    }

    /// What the server offers.
    pub fn server(&self) -> Result<Server> {
        let server = self.ask(|remote| remote.server().map_err(Failure::from));
        server.map_err(|failure| failure.into_error(&self.host()))
    }

    /// Asks whoever is in reach.
    pub fn ask<T>(&self, question: impl Fn(&Remote) -> Result<T, Failure>) -> Result<T, Failure> {
        self.begin()?;
        loop {
            let (at, answer) = (self.at.get(), question(self.current()));
            match answer {
                Err(Failure::Failed(error)) if is_over(at, &error) => self.turn(at, error)?,
                answer => {
                    self.note(at)?;
                    return answer.map_err(|failure| self.discreet(failure));
                }
            }
        }
    }

    /// What a mirror says, without its secrets: those of the origin are the caller's business.
    fn discreet(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(message) => Failure::Refused(self.without_secrets(&message)),
            Failure::Failed(error) => Failure::Failed(error.reworded(|text| self.without_secrets(text))),
        }
    }

    fn current(&self) -> &Remote {
        match (&self.alternate, self.at.get()) {
            (Some(alternate), At::Spared | At::Mirror) => &alternate.remote,
            _ => &self.origin,
        }
    }

    fn begin(&self) -> Result<()> {
        if self.at.get() != At::Start {
            return Ok(());
        }
        if let Some(gate) = &self.gate {
            self.via.replace(Some(gate()?));
        }
        let is_spared =
            self.alternate.as_ref().is_some_and(|alternate| self.failed_lately() && (alternate.may_read)().is_ok());
        self.at.set(if is_spared { At::Spared } else { At::Origin });
        Ok(())
    }

    fn failed_lately(&self) -> bool {
        let failed_at = self.shared.failed_at();
        failed_at.is_some_and(|since| (self.clock.now() - since).to_std().is_ok_and(|age| age < RETRY))
    }

    /// Goes on with the other side, if there is one that was not asked yet.
    fn turn(&self, at: At, error: Error) -> Result<()> {
        let Some(alternate) = &self.alternate else { return Err(error) };
        match at {
            At::Start | At::Origin => {
                let before = self.shared.note_origin(Some(self.clock.now()));
                let via =
                    (alternate.may_read)().map_err(|refusal| not_read(error.clone(), &alternate.name, &refusal))?;
                if before.is_none() {
                    let (host, error) = (self.origin.host(), self.origin.without_secrets(&error.chain()));
                    tracing::warn!(mirror = %via, host, error, "out of reach: its mirror is read");
                }
                self.at.set(At::Mirror);
                Ok(())
            }
            // The origin may be back.
            At::Spared => {
                self.at.set(At::Origin);
                Ok(())
            }
            At::Mirror => {
                let said = alternate.remote.without_secrets(&error.chain());
                Err(Error::bad_gateway(format!(
                    "{} is out of reach, and its mirror {} too: {said}",
                    self.origin.host(),
                    alternate.name
                )))
            }
        }
    }

    fn note(&self, at: At) -> Result<()> {
        match (&self.alternate, at) {
            (Some(alternate), At::Spared | At::Mirror) => {
                self.at.set(At::Mirror);
                self.via.replace(Some((alternate.may_read)()?));
            }
            (Some(alternate), _) => {
                if let Some(since) = self.shared.note_origin(None) {
                    let (mirror, host) = (&alternate.name, self.origin.host());
                    tracing::info!(mirror, host, %since, "in reach again: its mirror is not read any more");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a side is of no use. That a mirror has no such repository, or refuses us, is a failure and no absence.
fn is_over(at: At, error: &Error) -> bool {
    match at {
        At::Start | At::Origin => is_out_of_reach(error),
        At::Spared | At::Mirror => error.kind() != Kind::Internal,
    }
}

/// Whether somebody did not answer who may do so later. Who refuses us has answered: a mirror is no way around it.
pub(super) fn is_out_of_reach(error: &Error) -> bool {
    matches!(error.kind(), Kind::BadGateway | Kind::Unavailable) && !error.is_unauthorized()
}

/// What is the matter with the origin, and why its mirror does not help.
fn not_read(error: Error, mirror: &str, refusal: &Error) -> Error {
    let error = error.remedy(format!("its mirror {mirror} is not read: {}", refusal.chain()));
    refusal.remedies().iter().fold(error, |error, line| error.remedy(line))
}
