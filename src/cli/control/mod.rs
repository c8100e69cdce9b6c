//! How a command reaches the store: through the server that owns it, else by opening it here. Either
//! way the very same desk answers, so a command does one thing whether a server runs or not.

mod client;
mod place;
mod socket;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use hyper::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub use client::Answer;

pub use place::Place;
use socket::Socket;

use super::exit::{Exit, Failure};
use super::identity::Identity;
use super::serve::{self as server, Purpose};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::http::desk::Desk;
use crate::http::serve::{Limits, serve};

/// The way to a store's owner.
pub struct Control {
    way: Way,
}

enum Way {
    /// A server owns the store in this folder.
    Server(PathBuf),
    /// The store is open here.
    Here { desk: Arc<Desk>, turns: Arc<Semaphore>, made: Option<PathBuf> },
}

/// What a command does about a store that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It makes one: there is something to keep.
    Make,
    /// An empty one would answer what nobody asked: another store is meant.
    Refuse,
}

/// Questions at a time where the store is open here.
const TURNS: usize = 64;

/// How long somebody who holds the store and does not answer is waited for, and how long between two looks.
const STARTING: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(50);

impl Control {
    /// Exit code 2 where another process holds the store and cannot be asked; who, is said.
    pub async fn open(settings: Settings, missing: Missing) -> Result<Control, Failure> {
        Control::open_for(settings, missing, || Purpose::Store).await
    }

    /// The same for a command that is about mirrors.
    pub async fn open_watch(settings: Settings, missing: Missing) -> Result<Control, Failure> {
        Control::open_for(settings, missing, || Purpose::Mirrors).await
    }

    async fn open_for(settings: Settings, missing: Missing, purpose: fn() -> Purpose) -> Result<Control, Failure> {
        let folder = settings.store.path.clone();
        let identity = Identity::new(None);
        let started = Instant::now();
        loop {
            if reaches(&folder).await.map_err(Failure::usage)? {
                return Ok(Control { way: Way::Server(folder) });
            }
            let is_missing = place::is_missing(&folder);
            if is_missing && missing == Missing::Refuse {
                return Err(Failure::usage(place::no_store(&folder)));
            }
            match server::site(&identity, settings.clone(), purpose()).await {
                Ok(site) => {
                    let made = is_missing.then(|| folder.clone());
                    let (_, door) = watch::channel(Some(site));
                    let desk = Arc::new(Desk::new(door, Duration::ZERO, identity.pseudonym()));
                    return Ok(Control { way: Way::Here { desk, turns: Arc::new(Semaphore::new(TURNS)), made } });
                }
                // A server that has just started opens its socket after it took the store; a command may soon be done.
                Err(error) if error.kind() == Kind::Unavailable && started.elapsed() < STARTING => {
                    tokio::time::sleep(BETWEEN).await;
                }
                Err(error) if error.kind() == Kind::Unavailable => {
                    let remedy = "it answers on no control socket: it is starting, or another command works there";
                    return Err(Failure::usage(error.remedy(remedy)));
                }
                Err(error) => return Err(Failure::usage(error)),
            }
        }
    }

    /// Whether a server answers.
    pub fn is_server(&self) -> bool {
        matches!(self.way, Way::Server(_))
    }

    /// Says on standard error which store was made for what the command keeps, if one was.
    pub fn tell_made(&self) {
        if let Way::Here { made: Some(folder), .. } = &self.way {
            eprintln!("{}", place::made(folder));
        }
    }

    /// Asks and waits for the whole answer; `Value::Null` where there is nothing to say.
    pub async fn ask(&self, method: Method, target: &str, body: Option<&impl Serialize>) -> Result<Value> {
        self.send(method, target, body).await?.json().await
    }

    /// Asks for work that tells how it goes, and hands on each line as it comes.
    pub async fn lines(
        &self,
        method: Method,
        target: &str,
        body: Option<&impl Serialize>,
        mut each: impl FnMut(Value) -> Result<()>,
    ) -> Result<()> {
        let mut lines = self.send(method, target, body).await?.lines();
        while let Some(line) = lines.next().await {
            each(line?)?;
        }
        Ok(())
    }

    /// Asks for anything, addresses of the GOPROXY protocol as well. What is refused is an error.
    pub async fn send(&self, method: Method, target: &str, body: Option<&impl Serialize>) -> Result<Answer> {
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|cause| Error::internal("a request does not serialize").because(cause))?;
        let request = client::request(method, target, body);
        let answer = match &self.way {
            Way::Server(folder) => client::over_socket(folder, request).await?,
            Way::Here { desk, turns, .. } => client::here(desk, turns, request).await,
        };
        answer.checked().await
    }
}

/// Who reads from a command may look at the first page for a while: `modvet cache list | less`.
fn limits() -> Limits {
    Limits { stall_time: Duration::from_secs(24 * 60 * 60), ..Limits::default() }
}

/// Answers on the control socket of a store that is open here, until the end is asked for. Without one
/// the server works all the same; only commands cannot reach it.
pub fn serve_socket(
    folder: &Path,
    desk: Arc<Desk>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Option<JoinHandle<()>> {
    match Socket::bind(folder) {
        Ok((listener, socket)) => Some(tokio::spawn(async move {
            serve(listener, desk, limits(), end).await;
            drop(socket);
        })),
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "no control socket: commands cannot reach this server");
            None
        }
    }
}

/// Work that Ctrl-C ends: what it did so far is whole, what it began is dropped.
pub async fn until_interrupted<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure { exit: Exit::Unverified, error: Error::unavailable("interrupted") })
        }
    }
}

/// Whether a server owns the store in a folder and listens.
async fn reaches(folder: &Path) -> Result<bool> {
    match socket::connect(folder).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let what = format!("{}: the control socket belongs to another user", folder.display());
            Err(Error::forbidden(what).because(error).remedy("run this command as the user that runs the server"))
        }
        // No socket, or one that a killed server left behind.
        Err(_) => Ok(false),
    }
}
