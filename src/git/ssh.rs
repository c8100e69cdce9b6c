//! The system's ssh program as a way to git-upload-pack and git-receive-pack.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;

use super::address::SshAddress;
use super::pktline::Stream;
use super::transport::Service;
use crate::error::{Error, Result};
use crate::net::Upload;

/// How much of what ssh complains about is kept for the log, in bytes.
const COMPLAINT: usize = 4096;

/// How long its last words may take once ssh has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The status of ssh's own failures; others are those of the program on the server.
const OWN_FAILURE: i32 = 255;

#[derive(Debug, Clone)]
pub struct SshOptions {
    /// Looked up in PATH if it is a bare name.
    pub program: PathBuf,
    /// How long the other side may say nothing.
    pub silence: Duration,
}

impl Default for SshOptions {
    fn default() -> Self {
        SshOptions { program: "ssh".into(), silence: Duration::from_secs(300) }
    }
}

/// A running ssh program; it is killed when it is dropped with its output.
pub struct SshProcess {
    runtime: Handle,
    input: Option<ChildStdin>,
    /// Read by one at a time: the greeting first, then what follows.
    output: Arc<AsyncMutex<SshOutput>>,
}

impl SshProcess {
    /// `to` is the address to connect to, whatever the host's name leads to by now.
    pub fn start(
        runtime: &Handle,
        options: &SshOptions,
        address: &SshAddress,
        to: Option<IpAddr>,
        service: Service,
    ) -> Result<SshProcess> {
        let _inside = runtime.enter();
        let mut command = Command::new(&options.program);
        command.args(to.map(|to| address.pinned(to)).unwrap_or_default()).args(address.arguments(service.name()));
        match service {
            Service::UploadPack => command.env("GIT_PROTOCOL", "version=2"),
            // There is no version 2 of a push.
            Service::ReceivePack => command.env_remove("GIT_PROTOCOL"),
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| Error::bad_gateway("the ssh program cannot be started").because(cause))?;
        let complaint = Arc::default();
        let stderr = child.stderr.take().expect("stderr is piped");
        let listening = runtime.spawn(listen(stderr, Arc::clone(&complaint)));
        let input = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let host = address.host().to_owned();
        let silence = options.silence;
        let output = SshOutput { child, stdout, host, silence, complaint, listening };
        Ok(SshProcess { runtime: runtime.clone(), input, output: Arc::new(AsyncMutex::new(output)) })
    }

    /// What the other side says.
    pub fn output(&self) -> Box<dyn Stream> {
        Box::new(SshStream { output: Arc::clone(&self.output), runtime: self.runtime.clone() })
    }

    /// Says all there is to say and hangs up, while the answer is read: neither side waits for the other.
    pub fn send(&mut self, body: Bytes) {
        if let Some(mut input) = self.input.take() {
            self.runtime.spawn(async move {
                // A server that hangs up early is noticed by whoever reads its answer.
                if input.write_all(&body).await.is_ok() {
                    let _ = input.shutdown().await;
                }
            });
        }
    }

    /// Says all of an upload, and gives all that is said by then, of at most so many bytes.
    pub async fn exchange(&mut self, upload: &Upload, limit: usize) -> Result<Bytes> {
        let mut output = self.output.lock().await;
        let input = self.input.take();
        let saying = async {
            let Some(mut input) = input else { return };
            let mut pieces = std::pin::pin!(upload.pieces());
            while let Some(Ok(piece)) = pieces.next().await {
                // A server that hangs up early is noticed by what it says.
                if input.write_all(&piece).await.is_err() {
                    return;
                }
            }
            let _ = input.shutdown().await;
        };
        let (mut saying, mut listening) = (std::pin::pin!(saying), std::pin::pin!(output.all(upload, limit)));
        tokio::select! {
            answer = &mut listening => return answer,
            () = &mut saying => {}
        }
        listening.await
    }
}

struct SshStream {
    output: Arc<AsyncMutex<SshOutput>>,
    runtime: Handle,
}

struct SshOutput {
    child: Child,
    stdout: ChildStdout,
    host: String,
    silence: Duration,
    complaint: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Stream for SshStream {
    fn piece(&mut self) -> Result<Option<Bytes>> {
        let output = Arc::clone(&self.output);
        self.runtime.block_on(async move { output.lock().await.piece().await })
    }
}

impl SshOutput {
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(64 * 1024);
        let count = tokio::time::timeout(self.silence, self.stdout.read_buf(&mut piece))
            .await
            .map_err(|_| self.silent())?
            .map_err(|cause| self.broken(cause))?;
        if count > 0 {
            return Ok(Some(piece.freeze()));
        }
        self.ended().await.map(|()| None)
    }

    /// Everything up to the end. Nothing need be said while the upload is taken.
    async fn all(&mut self, upload: &Upload, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        loop {
            let before = upload.sent();
            match tokio::time::timeout(self.silence, self.stdout.read_buf(&mut all)).await {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) if all.len() > limit => {
                    let what = format!("{}: ssh: too long an answer (expected at most {limit} bytes)", self.host);
                    return Err(Error::bad_gateway(what));
                }
                Ok(Ok(_)) => {}
                Ok(Err(cause)) => return Err(self.broken(cause)),
                Err(_) if upload.sent() != before => {}
                Err(_) => return Err(self.silent()),
            }
        }
        match self.ended().await {
            // A whole report counts, however the program ended then.
            Err(error) if all.is_empty() => Err(error),
            _ => Ok(all.freeze()),
        }
    }

    fn silent(&self) -> Error {
        Error::bad_gateway(format!("{}: ssh: no answer in {:?}", self.host, self.silence))
    }

    fn broken(&self, cause: std::io::Error) -> Error {
        Error::bad_gateway(format!("{}: ssh: connection broken", self.host)).because(cause)
    }

    async fn ended(&mut self) -> Result<()> {
        let waited = tokio::time::timeout(self.silence, self.child.wait()).await;
        if !self.listening.is_finished() {
            // A process that ssh left behind may hold the other end for ever: what was said by then counts.
            let _ = tokio::time::timeout(LAST_WORDS, &mut self.listening).await;
        }
        match waited {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                // What ssh says names keys and files of this machine: it goes to the log, not to clients.
                let said = self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let said = String::from_utf8_lossy(&said);
                tracing::warn!(host = %self.host, "ssh: {}", said.trim_end());
                if status.code() == Some(OWN_FAILURE) && is_refusal(&said) {
                    let what = format!("{}: ssh: the login is refused (status {OWN_FAILURE})", self.host);
                    return Err(Error::bad_gateway(what).unauthorized());
                }
                let code = status.code().map_or("a signal".to_owned(), |code| format!("status {code}"));
                Err(Error::bad_gateway(format!("{}: ssh ended with {code}", self.host)))
            }
            Ok(Err(cause)) => Err(Error::internal("the ssh program cannot be waited for").because(cause)),
            Err(_) => Err(Error::bad_gateway(format!("{}: ssh does not end", self.host))),
        }
    }
}

/// Whether ssh gave up because nobody let it in. It has one status for all that it fails at, a host that is out of reach
/// too: its words alone tell them apart. Rules: OpenSSH's sshconnect2.c.
fn is_refusal(said: &str) -> bool {
    said.contains("Permission denied (") || said.contains("Too many authentication failures")
}

async fn listen(mut from: ChildStderr, kept: Arc<Mutex<Vec<u8>>>) {
    let mut piece = Vec::with_capacity(COMPLAINT);
    while let Ok(1..) = from.read_buf(&mut piece).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let free = COMPLAINT.saturating_sub(kept.len()).min(piece.len());
        kept.extend_from_slice(&piece[..free]);
        piece.clear();
    }
}
