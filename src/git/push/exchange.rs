//! One push: all of it goes out while the answer is waited for.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use super::steps::Steps;
use crate::error::Result;
use crate::git::pktline::FLUSH;
use crate::git::transport::{Base, Line, Service, Transport, below};
use crate::net::{Request, Upload};
use crate::ports::Transfer;

const REQUEST: HeaderValue = HeaderValue::from_static("application/x-git-receive-pack-request");
const RESULT: HeaderValue = HeaderValue::from_static("application/x-git-receive-pack-result");

/// How often it is looked how far a push is.
const TICK: Duration = Duration::from_millis(100);
/// From how many bytes on a server is asked first whether it would take a push at all, as git does.
const LARGE: u64 = 1 << 20;
/// The longest answer; a line for each ref and what hooks say.
const ANSWER: u32 = 256 << 20;

impl Transport {
    /// Gives the whole answer to a push.
    pub(super) fn exchange(&self, line: Line, upload: &Upload, steps: &Steps<'_>) -> Result<Bytes> {
        let all = upload.length();
        let tick = || steps.report(Transfer::Pushing { done: upload.sent().min(all), all });
        tick()?;
        let answer = match line {
            Line::Ssh { mut process, .. } => {
                let limit = usize::try_from(ANSWER).expect("of 32 bits");
                self.runtime.block_on(beside(upload, &tick, process.exchange(upload, limit)))
            }
            Line::Http(base) => self.runtime.block_on(beside(upload, &tick, self.push(&base, upload))),
        }?;
        // What is done is done: giving up comes too late.
        let _ = tick();
        Ok(answer)
    }

    async fn push(&self, base: &Base, upload: &Upload) -> Result<Bytes> {
        let request = |request: Request| request.header(CONTENT_TYPE, REQUEST).header(ACCEPT, RESULT).trust(base.trust);
        let url = below(&base.url, Service::ReceivePack.name(), None);
        if upload.length() > LARGE {
            let probe = request(Request::post(url.clone(), Bytes::from_static(FLUSH)));
            let status = self.client.send(probe).await?.status;
            if status != StatusCode::OK {
                return Err(self.unwritable(status));
            }
        }
        let response = self.client.send(request(Request::upload(url, upload.clone()))).await?;
        match response.status {
            StatusCode::OK => response.bytes(ANSWER.into()).await,
            status => Err(self.unwritable(status)),
        }
    }
}

/// Waits for an answer and looks now and then whether it is still wanted.
async fn beside<T>(
    upload: &Upload,
    tick: &dyn Fn() -> Result<()>,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::pin!(answer);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            _ = ticks.tick() => tick().map_err(|given_up| match upload.is_sent() {
                true => given_up.remedy("the mirror had everything by then: check it, it may have done it"),
                false => given_up,
            })?,
        }
    }
}
