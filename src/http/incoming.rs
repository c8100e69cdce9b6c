//! Bodies of requests: read only where somebody wants them, bounded in size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::header::CONTENT_TYPE;

use super::refusal::{Media, Refusal};
use super::respond::Asked;
use crate::error::Error;

/// The most that a body may have, in bytes.
pub const LIMIT: usize = 1 << 20;

/// How long a body may take to come.
const TIME: Duration = Duration::from_secs(30);

/// The body of a request, not read yet.
pub enum Incoming {
    /// From a connection.
    Wire(hyper::body::Incoming),
    /// From this very process.
    Memory(Bytes),
}

impl Incoming {
    /// A body that says it is JSON, or none. A browser sends no such body for another site's page
    /// without asking first, which is never allowed here.
    pub async fn read_json(self, asked: &Asked) -> Result<Bytes, Refusal> {
        self.read_as(Media::Json, asked).await
    }

    /// What a form sends. Any page of any site may send one: who reads it asks first where it comes from.
    pub async fn read_form(self, asked: &Asked) -> Result<Bytes, Refusal> {
        self.read_as(Media::Form, asked).await
    }

    /// Shows all of a body, piece by piece, and holds none of it.
    pub async fn read_through(self, limit: usize, mut show: impl FnMut(&[u8])) -> Result<(), Refusal> {
        let body = match self {
            Incoming::Memory(bytes) if bytes.len() > limit => return Err(Refusal::TooLarge(limit)),
            Incoming::Memory(bytes) => {
                show(&bytes);
                return Ok(());
            }
            Incoming::Wire(body) => body,
        };
        let mut body = Limited::new(body, limit);
        let reading = async {
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => frame.data_ref().into_iter().for_each(|piece| show(piece)),
                    Err(error) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge(limit)),
                    Err(error) => return Err(broken(&*error)),
                }
            }
            Ok(())
        };
        tokio::time::timeout(TIME, reading).await.map_err(|_| Refusal::Slow)?
    }

    async fn read_as(self, wanted: Media, asked: &Asked) -> Result<Bytes, Refusal> {
        let named = asked.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let media = named.map(|named| named.split(';').next().unwrap_or_default().trim());
        let is_wanted = media.is_some_and(|media| media.eq_ignore_ascii_case(wanted.as_str()));
        if media.is_some() && !is_wanted {
            return Err(Refusal::MediaType(wanted));
        }
        let body = self.read().await?;
        match is_wanted || body.is_empty() {
            true => Ok(body),
            false => Err(Refusal::MediaType(wanted)),
        }
    }

    async fn read(self) -> Result<Bytes, Refusal> {
        let body = match self {
            Incoming::Memory(bytes) if bytes.len() > LIMIT => return Err(Refusal::TooLarge(LIMIT)),
            Incoming::Memory(bytes) => return Ok(bytes),
            Incoming::Wire(body) => body,
        };
        let read = tokio::time::timeout(TIME, Limited::new(body, LIMIT).collect()).await;
        match read.map_err(|_| Refusal::Slow)? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(LIMIT)),
            Err(error) => Err(broken(&*error)),
        }
    }
}

fn broken(error: &dyn std::error::Error) -> Refusal {
    Refusal::Malformed(Error::gone(format!("the body broke off: {error}")))
}
