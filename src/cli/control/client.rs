//! One request to a server or to a desk in this process, and its answer.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::socket;
use crate::error::{Error, Kind, Result};
use crate::http::desk::Desk;
use crate::http::incoming::Incoming;
use crate::http::respond::{Asked, Peer};

/// The longest answer that is held whole: a list of entries is asked for in pages.
const LIMIT: usize = 64 << 20;

/// What came back; its body may still be coming.
pub struct Answer {
    response: Response<UnsyncBoxBody<Bytes, Error>>,
}

pub fn request(method: Method, target: &str, body: Option<Vec<u8>>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    let target = target.parse().unwrap_or_else(|_| http::Uri::from_static("/"));
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    let headers = request.headers_mut();
    headers.insert(HOST, http::HeaderValue::from_static("modvet"));
    headers.insert(ACCEPT, http::HeaderValue::from_static("application/json"));
    if let Some(body) = body {
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        *request.body_mut() = body.into();
    }
    request
}

/// Over the control socket of the store in this folder.
pub async fn over_socket(folder: &Path, request: Request<Bytes>) -> Result<Answer> {
    let stream = socket::connect(folder).await.map_err(|error| lost(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| lost(&error))?;
    // It ends with the answer, and with the command at the latest.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the control socket broke off");
        }
    });
    let response = sender.send_request(request.map(Full::new)).await.map_err(|error| lost(&error))?;
    Ok(Answer { response: response.map(|body| body.map_err(|error| lost(&error)).boxed_unsync()) })
}

/// In this process.
pub async fn here(desk: &Desk, turns: &Arc<Semaphore>, request: Request<Bytes>) -> Answer {
    let turn = turns.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (head, body) = request.into_parts();
    let asked = Asked { method: head.method, headers: head.headers, peer: Peer::Control, address: None };
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let response = desk.answer(&asked, target, Incoming::Memory(body), Some(turn)).await;
    Answer { response: response.map(BodyExt::boxed_unsync) }
}

fn lost(cause: &dyn std::error::Error) -> Error {
    let error = Error::unavailable(format!("the server on the control socket: {cause}"));
    error.remedy("it may just have stopped: try again")
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Empty where the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The error that a refusal tells, as it was on the other side.
    pub(super) async fn checked(self) -> Result<Answer> {
        if self.status() < 400 {
            return Ok(self);
        }
        let status = self.status();
        let body = self.bytes().await?;
        Err(told(&serde_json::from_slice(&body).unwrap_or_default()).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&body);
            Error::unavailable(format!("status {status}: {}", text.trim()))
        }))
    }

    pub async fn bytes(self) -> Result<Bytes> {
        let mut frames = self.frames();
        let mut whole = Vec::new();
        while let Some(frame) = frames.next().await {
            whole.extend_from_slice(&frame?);
            if whole.len() > LIMIT {
                return Err(Error::internal(format!("an answer of more than {LIMIT} bytes")));
            }
        }
        Ok(whole.into())
    }

    pub(super) async fn json(self) -> Result<Value> {
        let body = self.bytes().await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|cause| Error::internal("the answer is no JSON").because(cause))
    }

    /// Each line as soon as it is whole. An error that the work ended with comes as the last one.
    pub(super) fn lines(self) -> impl Stream<Item = Result<Value>> + Unpin {
        let state = (Box::pin(self.frames()), Vec::new());
        Box::pin(stream::try_unfold(state, |(mut frames, mut held)| async move {
            loop {
                if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    return read(&line).map(|value| Some((value, (frames, held))));
                }
                match frames.next().await.transpose()? {
                    Some(frame) => held.extend_from_slice(&frame),
                    None if held.is_empty() => return Ok(None),
                    None => return Err(Error::unavailable("the server stopped in the middle of its work")),
                }
            }
        }))
    }

    /// The body as it comes, for what is too large to hold.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes>> + Unpin {
        let frames = stream::try_unfold(self.response.into_body(), |mut body| async move {
            let frame = body.frame().await.transpose()?;
            Ok(frame.map(|frame| (frame.into_data().unwrap_or_default(), body)))
        });
        Box::pin(frames)
    }
}

fn read(line: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|cause| Error::internal("a line of the answer is no JSON").because(cause))?;
    match told(&value) {
        Some(error) => Err(error),
        None => Ok(value),
    }
}

/// The error that fields tell: `error`, `kind`, `remedy`.
fn told(fields: &Value) -> Option<Error> {
    let (what, word) = (fields["error"].as_str()?, fields["kind"].as_str()?);
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::Internal);
    let remedies = fields["remedy"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Some(remedies.fold(Error::new(kind, what), |error, line| error.remedy(line)))
}
