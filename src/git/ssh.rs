//! The system's ssh program as a way to git-upload-pack.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::address::SshAddress;
use super::pktline::Stream;
use crate::error::{Error, Result};

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

/// A running ssh program; it is killed when its output is dropped.
pub struct SshProcess {
    runtime: Handle,
    input: Option<ChildStdin>,
    output: Option<SshOutput>,
}

impl SshProcess {
    /// `to` is the address to connect to, whatever the host's name leads to by now.
    pub fn start(
        runtime: &Handle,
        options: &SshOptions,
        address: &SshAddress,
        to: Option<IpAddr>,
    ) -> Result<SshProcess> {
        let _inside = runtime.enter();
        let mut child = Command::new(&options.program)
            .args(to.map(|to| address.pinned(to)).unwrap_or_default())
            .args(address.arguments())
            .env("GIT_PROTOCOL", "version=2")
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
        let output = SshOutput { child, stdout, host, silence, complaint, listening, runtime: runtime.clone() };
        Ok(SshProcess { runtime: runtime.clone(), input, output: Some(output) })
    }

    /// What the other side says; can be taken once.
    pub fn output(&mut self) -> Box<dyn Stream> {
        Box::new(self.output.take().expect("taken once"))
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
}

struct SshOutput {
    child: Child,
    stdout: ChildStdout,
    host: String,
    silence: Duration,
    complaint: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
    runtime: Handle,
}

impl Stream for SshOutput {
    fn piece(&mut self) -> Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(64 * 1024);
        let reading = async { tokio::time::timeout(self.silence, self.stdout.read_buf(&mut piece)).await };
        let count = self
            .runtime
            .block_on(reading)
            .map_err(|_| Error::bad_gateway(format!("{}: ssh: no answer in {:?}", self.host, self.silence)))?
            .map_err(|cause| Error::bad_gateway(format!("{}: ssh: connection broken", self.host)).because(cause))?;
        if count > 0 {
            return Ok(Some(piece.freeze()));
        }
        self.ended().map(|()| None)
    }
}

impl SshOutput {
    fn ended(&mut self) -> Result<()> {
        let waiting = async {
            let waited = tokio::time::timeout(self.silence, self.child.wait()).await;
            // A process that ssh left behind may hold the other end for ever: what was said by then counts.
            let _ = tokio::time::timeout(LAST_WORDS, &mut self.listening).await;
            waited
        };
        match self.runtime.block_on(waiting) {
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
