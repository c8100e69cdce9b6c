//! What a handler gives back.

use std::future::Future;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::http::respond;

/// An answer of the interface.
pub enum Reply {
    /// 200 with JSON.
    Json(Vec<u8>),
    /// 201 with JSON: something is there that was not.
    Created(Vec<u8>),
    /// The same with a secret that is shown this once.
    Once(Vec<u8>),
    /// 204.
    Done,
    /// 200 with one JSON value a line, each sent when it is known.
    Lines(BoxStream<'static, Result<Bytes>>),
}

/// How many lines may wait for a slow client.
const AHEAD: usize = 16;

impl Reply {
    pub fn json(value: &impl Serialize) -> Result<Reply> {
        Ok(Reply::Json(pretty(value)?))
    }

    pub fn created(value: &impl Serialize) -> Result<Reply> {
        Ok(Reply::Created(pretty(value)?))
    }

    pub fn once(value: &impl Serialize) -> Result<Reply> {
        Ok(Reply::Once(pretty(value)?))
    }

    /// Work that tells how it goes. An error becomes the last line, as the body of an error would be;
    /// the work ends with the client that listens to it.
    pub fn lines<F>(work: impl FnOnce(Lines) -> F) -> Reply
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (lines, mut said) = mpsc::channel::<Bytes>(AHEAD);
        let lines = Lines(lines);
        let working = work(lines.clone());
        let worked = async move {
            if let Err(error) = working.await {
                tracing::warn!(error = %error, "work that a client listened to failed");
                // Nobody listens any more: there is nobody to tell.
                let _ = lines.say(&respond::error_fields(&error)).await;
            }
        };
        let silent = stream::once(worked).filter_map(|()| std::future::ready(None));
        let said = stream::poll_fn(move |context| said.poll_recv(context)).map(Ok);
        Reply::Lines(stream::select(said, silent).boxed())
    }
}

/// Where work says how it goes.
#[derive(Clone)]
pub struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// An error where nobody listens any more: the work may end.
    pub async fn say(&self, value: &impl Serialize) -> Result<()> {
        self.0.send(line(value)?).await.map_err(|_| unheard())
    }

    /// The same from a blocking thread.
    pub fn say_blocking(&self, value: &impl Serialize) -> Result<()> {
        self.0.blocking_send(line(value)?).map_err(|_| unheard())
    }
}

fn unheard() -> Error {
    Error::unavailable("the client is gone")
}

fn line(value: &impl Serialize) -> Result<Bytes> {
    let mut line = serde_json::to_vec(value).map_err(|error| unwritten(&error))?;
    line.push(b'\n');
    Ok(line.into())
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|error| unwritten(&error))?;
    json.push(b'\n');
    Ok(json)
}

fn unwritten(error: &serde_json::Error) -> Error {
    Error::internal(format!("an answer does not serialize: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Weak};

    use super::*;

    fn stream(reply: Reply) -> BoxStream<'static, Result<Bytes>> {
        match reply {
            Reply::Lines(lines) => lines,
            _ => panic!("lines"),
        }
    }

    #[tokio::test]
    async fn work_ends_with_the_client_that_listens_to_it() {
        let alive = Arc::new(());
        let left: Weak<()> = Arc::downgrade(&alive);
        let mut lines = stream(Reply::lines(|lines| async move {
            loop {
                lines.say(&Arc::strong_count(&alive)).await?;
            }
        }));
        assert_eq!(lines.next().await.expect("a line").expect("no error"), "1\n");
        assert!(left.upgrade().is_some());
        drop(lines);
        assert!(left.upgrade().is_none(), "nobody listens any more");
    }

    #[tokio::test]
    async fn work_on_a_blocking_thread_is_told_that_nobody_listens() {
        let said = Arc::new(AtomicUsize::new(0));
        let (count, (ended, end)) = (said.clone(), tokio::sync::oneshot::channel());
        let mut lines = stream(Reply::lines(|lines| async move {
            let work = move || {
                let done = (0..).try_for_each(|n: usize| {
                    count.fetch_add(1, Ordering::SeqCst);
                    lines.say_blocking(&n)
                });
                ended.send(done).expect("somebody waits");
            };
            tokio::task::spawn_blocking(work).await.map_err(|_| Error::internal("no panic"))
        }));
        lines.next().await.expect("a line").expect("no error");
        drop(lines);
        let error = end.await.expect("it ends").expect_err("it cannot go on for ever");
        assert_eq!(error.what(), "the client is gone");
        assert!(said.load(Ordering::SeqCst) < 100, "few lines are made ahead of the client");
    }
}
