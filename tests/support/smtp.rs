//! A mail server that behaves as a test says, and keeps the mail that it took.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a test waits for mail, and a server for a client that says nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Never,
    /// From the first byte.
    Implicit,
    /// By STARTTLS, and only behind it anything else.
    Offered,
}

/// Who may send.
#[derive(Debug, Clone)]
pub struct Account {
    /// `PLAIN` or `LOGIN`.
    pub mechanism: &'static str,
    pub username: String,
    pub password: String,
}

/// What is done instead of what a server does.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer such as `451 later`.
    Says(String),
    /// The connection ends.
    Cuts,
}

/// What was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Head and body, as they were before they were made fit for the way.
    pub text: String,
    pub encrypted: bool,
    /// Who had logged in.
    pub user: Option<String>,
}

impl Mail {
    /// The value of a header, unfolded; empty where it is missing.
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let found = head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_default()
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

type Behaviour = dyn Fn(&str) -> Option<Fault> + Send + Sync;

struct Shared {
    tls: Tls,
    config: Option<Arc<ServerConfig>>,
    accounts: Mutex<Vec<Account>>,
    /// Asked at every step: `CONNECT`, a command as it came (without secrets), `MESSAGE` behind its last line.
    behaviour: Box<Behaviour>,
    state: Mutex<State>,
    changed: Condvar,
    ends: AtomicBool,
}

#[derive(Default)]
struct State {
    mails: Vec<Mail>,
    said: Vec<String>,
}

/// On a port of its own; dropping it ends it.
pub struct Smtp {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

impl Smtp {
    /// Certificate and key are PEM; without TLS nobody looks at them.
    pub fn start(
        tls: Tls,
        (certificate, key): (&str, &str),
        accounts: Vec<Account>,
        behaviour: impl Fn(&str) -> Option<Fault> + Send + Sync + 'static,
    ) -> Smtp {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            tls,
            config: (tls != Tls::Never).then(|| config(certificate, key)),
            accounts: Mutex::new(accounts),
            behaviour: Box::new(behaviour),
            state: Mutex::default(),
            changed: Condvar::new(),
            ends: AtomicBool::new(false),
        });
        let serving = shared.clone();
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.ends.load(Ordering::SeqCst) {
                    return;
                }
                let shared = serving.clone();
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Smtp { address, shared, serving: Some(serving) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets nobody in but these from now on.
    pub fn admit(&self, accounts: Vec<Account>) {
        *self.shared.accounts.lock().expect("no holder panics") = accounts;
    }

    /// The mail that was taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.state.lock().expect("no holder panics").mails.clone()
    }

    /// What clients said: commands without the secrets in them.
    pub fn said(&self) -> Vec<String> {
        self.shared.state.lock().expect("no holder panics").said.clone()
    }

    /// Waits until so much mail was taken.
    pub fn wait_for(&self, mails: usize) -> Vec<Mail> {
        let state = self.shared.state.lock().expect("no holder panics");
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| state.mails.len() < mails);
        let (state, time) = waited.expect("no holder panics");
        assert!(!time.timed_out(), "{} mails (expected {mails}): {:?}", state.mails.len(), state.said);
        state.mails.clone()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listener, which sees that it is to end.
        let _ = TcpStream::connect(self.address);
        let _ = self.serving.take().map(JoinHandle::join);
    }
}

fn config(certificate: &str, key: &str) -> Arc<ServerConfig> {
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![chain], key);
    Arc::new(config.expect("certificate and key belong together"))
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One client.
struct Talk {
    stream: Box<dyn Stream>,
    encrypted: bool,
    user: Option<String>,
    from: String,
    to: Vec<String>,
}

/// A client that went away, or one that is to be left.
struct Gone;

impl Shared {
    fn serve(&self, stream: TcpStream) {
        // A client that goes away is no concern of the server's.
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let plain = stream.try_clone().expect("a socket");
        let stream: Box<dyn Stream> = match self.tls {
            Tls::Implicit => Box::new(self.secured(stream)),
            Tls::Never | Tls::Offered => Box::new(stream),
        };
        let mut talk =
            Talk { stream, encrypted: self.tls == Tls::Implicit, user: None, from: String::new(), to: Vec::new() };
        let _ = self.talk(&mut talk, plain);
    }

    fn secured(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        let config = self.config.clone().expect("a server that speaks TLS has a certificate");
        StreamOwned::new(ServerConnection::new(config).expect("a configuration"), stream)
    }

    fn talk(&self, talk: &mut Talk, plain: TcpStream) -> Result<(), Gone> {
        self.step(talk, "CONNECT", "220 mail.example ready")?;
        let mut plain = Some(plain);
        loop {
            let line = talk.line()?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let may_speak = talk.encrypted || self.tls != Tls::Offered;
            match verb.as_str() {
                "EHLO" => self.step(talk, &line, &self.greeting(talk))?,
                "STARTTLS" => {
                    self.step(talk, &line, "220 go on")?;
                    let stream = plain.take().ok_or(Gone)?;
                    (talk.stream, talk.encrypted) = (Box::new(self.secured(stream)), true);
                }
                "QUIT" => return self.step(talk, &line, "221 bye"),
                _ if !may_speak => talk.say("530 5.7.0 must issue a STARTTLS command first")?,
                "AUTH" => self.login(talk, &line)?,
                "MAIL" if talk.user.is_none() && !self.accounts.lock().expect("no holder panics").is_empty() => {
                    talk.say("530 5.7.0 authentication required")?;
                }
                "MAIL" => {
                    self.step(talk, &line, "250 2.1.0 ok")?;
                    (talk.from, talk.to) = (path(&line), Vec::new());
                }
                "RCPT" => {
                    if self.step_is_well(talk, &line, "250 2.1.5 ok")? {
                        talk.to.push(path(&line));
                    }
                }
                "DATA" if talk.to.is_empty() => talk.say("503 5.5.1 no recipients")?,
                "DATA" => {
                    if self.step_is_well(talk, &line, "354 go ahead")? {
                        self.take(talk)?;
                    }
                }
                _ => talk.say("502 5.5.2 unknown command")?,
            }
        }
    }

    fn greeting(&self, talk: &Talk) -> String {
        let mut lines = vec!["mail.example".to_owned()];
        if self.tls == Tls::Offered && !talk.encrypted {
            lines.push("STARTTLS".to_owned());
        } else if let Some(account) = self.accounts.lock().expect("no holder panics").first() {
            lines.push(format!("AUTH {}", account.mechanism));
        }
        lines.push("8BITMIME".to_owned());
        let last = lines.len() - 1;
        let told = lines.iter().enumerate().map(|(at, line)| format!("250{}{line}", if at < last { "-" } else { " " }));
        told.collect::<Vec<_>>().join("\r\n")
    }

    fn login(&self, talk: &mut Talk, line: &str) -> Result<(), Gone> {
        let mut words = line.split(' ').skip(1);
        let (mechanism, initial) = (words.next().unwrap_or_default().to_owned(), words.next().map(str::to_owned));
        let (username, password) = match mechanism.as_str() {
            "PLAIN" => {
                let response = match initial {
                    Some(response) => response,
                    None => talk.ask("334 ")?,
                };
                let response = decoded(&response);
                let mut parts = response.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => (decoded(&talk.ask("334 VXNlcm5hbWU6")?), decoded(&talk.ask("334 UGFzc3dvcmQ6")?)),
            _ => return talk.say("504 5.5.4 unknown mechanism"),
        };
        let accounts = self.accounts.lock().expect("no holder panics").clone();
        let is_known = accounts.iter().any(|known| known.username == username && known.password == password);
        if !is_known {
            // A server that says too much.
            return talk.say(&format!("535 5.7.8 {username} with {password} is not let in"));
        }
        self.step(talk, &format!("AUTH {mechanism}"), "235 2.7.0 welcome")?;
        talk.user = Some(username);
        Ok(())
    }

    fn take(&self, talk: &mut Talk) -> Result<(), Gone> {
        let mut text = String::new();
        loop {
            let line = talk.line()?;
            if line == "." {
                break;
            }
            // Who sends doubles a dot that begins a line.
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push_str("\r\n");
        }
        let mail = Mail {
            from: talk.from.clone(),
            to: std::mem::take(&mut talk.to),
            text,
            encrypted: talk.encrypted,
            user: talk.user.clone(),
        };
        match (self.behaviour)("MESSAGE") {
            Some(Fault::Says(answer)) => return talk.say(&answer),
            fault => {
                self.state.lock().expect("no holder panics").mails.push(mail);
                self.changed.notify_all();
                if fault.is_some() {
                    return Err(Gone);
                }
            }
        }
        talk.say("250 2.0.0 taken")
    }

    /// Answers as told, or else as a server does.
    fn step(&self, talk: &mut Talk, step: &str, answer: &str) -> Result<(), Gone> {
        self.step_is_well(talk, step, answer).map(drop)
    }

    fn step_is_well(&self, talk: &mut Talk, step: &str, answer: &str) -> Result<bool, Gone> {
        self.state.lock().expect("no holder panics").said.push(step.to_owned());
        match (self.behaviour)(step) {
            None => talk.say(answer).map(|()| true),
            Some(Fault::Says(answer)) => talk.say(&answer).map(|()| false),
            Some(Fault::Cuts) => Err(Gone),
        }
    }
}

impl Talk {
    fn say(&mut self, answer: &str) -> Result<(), Gone> {
        let written = self.stream.write_all(format!("{answer}\r\n").as_bytes()).and_then(|()| self.stream.flush());
        written.map_err(|_| Gone)
    }

    fn ask(&mut self, question: &str) -> Result<String, Gone> {
        self.say(question)?;
        self.line()
    }

    /// Without its end.
    fn line(&mut self) -> Result<String, Gone> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => line.push(byte[0]),
                _ => return Err(Gone),
            }
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// What stands between the angles.
fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(path, _)| path.to_owned()).unwrap_or_default()
}

fn decoded(text: &str) -> String {
    BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}
