//! Whether a version's file is the one that everybody gets: a witness is asked before it is given, and a mark kept.
//! Must not know how a checksum database is reached, nor what it is made of.
//! Rules: docs/sumdb.md, "What modvet checks before it serves".

mod kept;
mod later;
mod mark;
pub mod mismatch;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

pub use later::{Later, Unproven, keep};
pub use mark::{Mark, Proof};
pub use mismatch::Mismatch;
pub use waiting::Waiting;
use waiting::WaitingRoom;

use super::cached::Cached;
use super::counters::add;
use super::entry::Entry;
use super::flight::Flights;
use super::member::Member;
use super::walk::{Life, Registry};
use crate::error::{Error, Result};
use crate::ports::{Clock, ReleasedFile, Testimony, Witness};
use crate::spec::database::Verify;
use crate::spec::path::ModulePath;
use crate::spec::question::Question;
use crate::spec::version::Version;

/// What is done with a file that nobody can vouch for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demand {
    /// It is served, marked, and checked later.
    #[default]
    Auto,
    /// It is refused until somebody can.
    Required,
}

impl Demand {
    /// `None` where nobody is to be asked.
    pub fn of(verify: Verify) -> Option<Demand> {
        match verify {
            Verify::Auto => Some(Demand::Auto),
            Verify::Required => Some(Demand::Required),
            Verify::Off => None,
        }
    }
}

/// Holds the files that a registry is about to give against a witness.
#[derive(Clone)]
pub struct Prover {
    proofs: Arc<Proofs>,
    witness: Arc<dyn Witness>,
    demand: Demand,
    /// Modules of which the witness lately said that they are none of its business. What one registry keeps to itself
    /// may be public in another one.
    exempt: Arc<Cache<String, DateTime<Utc>>>,
}

/// What is being proven, and what waits for it. One for all registries of a process: what is kept of an upstream is
/// proven once.
pub struct Proofs {
    clock: Arc<dyn Clock>,
    flights: Flights<Mark>,
    waiting: WaitingRoom,
}

/// A version's file as an upstream gave it.
#[derive(Clone)]
struct Released {
    source: Arc<Cached>,
    module: ModulePath,
    question: Question,
    version: Version,
    file: ReleasedFile,
    h1: String,
    /// Where it lies in the store.
    key: String,
}

/// What the exemption of a wrong version is called: no database has a record of it, and none is to learn the name.
const MISNAMED: &str = "wrong version";

/// How long an exemption holds without being asked for again: the patterns of private modules may change.
const EXEMPT_FOR: Duration = Duration::from_secs(60);

/// So many modules are remembered as exempt.
const EXEMPT_MODULES: usize = 10_000;

impl Proofs {
    pub fn new(clock: Arc<dyn Clock>) -> Proofs {
        let (flights, waiting) = (Flights::default(), WaitingRoom::default());
        Proofs { clock, flights, waiting }
    }

    /// How many kept files wait to be checked.
    pub fn unverified(&self) -> u64 {
        self.waiting.len()
    }

    /// The files that wait to be checked, in the order of their keys; so many at most.
    pub fn waiting(&self, limit: usize) -> Vec<Waiting> {
        self.waiting.list(limit)
    }
}

impl Prover {
    pub fn new(proofs: Arc<Proofs>, witness: Arc<dyn Witness>, demand: Demand) -> Prover {
        Prover { proofs, witness, demand, exempt: Arc::new(Cache::new(EXEMPT_MODULES)) }
    }

    /// What is known of bytes that are held of an upstream which the registry has no more, so that nobody looks after
    /// their mark; `None` where they must not be given.
    pub(super) async fn prove_held(
        &self,
        module: &ModulePath,
        version: &Version,
        file: ReleasedFile,
        h1: &str,
    ) -> Result<Option<Proof>> {
        Ok(match (self.witness.testify(module, version, file, h1).await?, self.demand) {
            (Testimony::Verified { .. }, _) => Some(Proof::Verified),
            (Testimony::Exempt { .. }, _) => Some(Proof::Exempt),
            (Testimony::Unverified { .. }, Demand::Auto) => Some(Proof::Unverified),
            (Testimony::Unverified { .. }, Demand::Required) | (Testimony::Refuted { .. }, _) => None,
        })
    }

    /// What is known of a file after all that is possible was done to know it; an error where it must not be given.
    async fn prove(&self, source: &Arc<Cached>, asked: Asked<'_>, entry: &Entry) -> Result<Proof> {
        let Asked { module, question, life } = asked;
        let is_misnamed = life == Life::Never;
        match entry.proof {
            Some(Proof::Verified) => return Ok(Proof::Verified),
            Some(Proof::Exempt) if is_misnamed || self.is_exempt(module) => return Ok(Proof::Exempt),
            _ => {}
        }
        let released = Released::given(source, module, question, entry)?;
        if entry.proof == Some(Proof::Unverified) && !is_misnamed && self.is_put_off(&released.key) {
            return Ok(Proof::Unverified);
        }
        let mark = match is_misnamed {
            true => self.proofs.marked(&released, Mark::Exempt { why: MISNAMED.to_owned() }).await,
            false => self.testified(&released).await?,
        };
        match (&mark, self.demand) {
            (Mark::Unverified { why, .. }, Demand::Required) => Err(released.unproven(why)),
            _ => Ok(mark.proof()),
        }
    }

    fn is_exempt(&self, module: &ModulePath) -> bool {
        let since = self.exempt.get(module.as_str());
        since.is_some_and(|since| (self.proofs.clock.now() - since).to_std().is_ok_and(|age| age < EXEMPT_FOR))
    }

    /// Whether a client need not wait for another try: it comes by itself.
    fn is_put_off(&self, key: &str) -> bool {
        self.demand == Demand::Auto && self.proofs.waiting.has(key)
    }

    /// Asks the witness; whoever wants the same file meanwhile waits for the same answer.
    async fn testified(&self, released: &Released) -> Result<Mark> {
        // Who keeps a module to itself does not answer for others.
        let flight = format!("{} {} {:p}", released.key, released.h1, Arc::as_ptr(&self.witness));
        let (prover, released) = (self.clone(), released.clone());
        self.proofs.flights.join(&flight, || async move { prover.ask(&released).await }).await
    }

    async fn ask(&self, released: &Released) -> Result<Mark> {
        if let Some(mark) = released.verified_meanwhile() {
            return Ok(mark);
        }
        let Released { module, version, file, h1, .. } = released;
        let testimony = self.witness.testify(module, version, *file, h1).await;
        let now = self.proofs.clock.now();
        let mark = match testimony {
            Ok(Testimony::Verified { database }) => Mark::Verified { database, at: now },
            Ok(Testimony::Unverified { why }) => Mark::Unverified { why, since: now },
            Ok(Testimony::Exempt { why }) => {
                self.exempt.insert(module.as_str().to_owned(), now);
                Mark::Exempt { why }
            }
            Ok(Testimony::Refuted { database, h1 }) => return Err(self.proofs.refuted(released, &database, &h1).await),
            // A database that lies says nothing of the file.
            Err(error) => return Err(error.about(released.subject())),
        };
        Ok(self.proofs.marked(released, mark).await)
    }
}

impl Proofs {
    /// Writes a mark down, and gives the one that stands now. A file is given also where that cannot be written: it
    /// is asked about again next time.
    async fn marked(&self, released: &Released, mark: Mark) -> Mark {
        let Released { source, module, question, version, key, .. } = released;
        match released.write(mark.clone()).await {
            Ok(Some(Mark::Unverified { why, since })) => {
                let waiting = Waiting {
                    upstream: source.name().to_owned(),
                    module: module.to_string(),
                    version: version.to_string(),
                    file: question.name().to_owned(),
                    why: why.clone(),
                    since,
                    next: self.clock.now(),
                };
                self.waiting.enter(key, waiting, self.clock.now());
                Mark::Unverified { why, since }
            }
            Ok(stands) => {
                self.waiting.leave(key);
                stands.unwrap_or(mark)
            }
            Err(error) => {
                tracing::warn!(key, %error, "what the checksum database said is not written down");
                mark
            }
        }
    }

    /// The witness knows another file: this one is never given, and goes out of the cache.
    async fn refuted(&self, released: &Released, database: &str, recorded: &str) -> Error {
        let Released { source, h1, key, .. } = released;
        let error = released.refuted(database, recorded);
        // From here on nobody is given it for want of better knowledge: who asks waits for this flight's end.
        self.waiting.leave(key);
        add(&source.counters().mismatches, 1);
        let (upstream, subject, file) = (source.name(), released.subject(), released.question.name());
        tracing::error!(
            upstream,
            subject,
            file,
            h1,
            database,
            recorded,
            "not what the checksum database knows: removed"
        );
        if let Err(error) = released.withdraw(error.clone(), (database, recorded), self.clock.now()).await {
            // It is not marked as verified: who asks for it has it held against the witness again.
            tracing::error!(key, %error, "a file that was refused stays in the store");
        }
        error
    }
}

/// What somebody wants, and how long the answer would hold.
struct Asked<'a> {
    module: &'a ModulePath,
    question: &'a Question,
    life: Life,
}

impl Registry {
    /// What is known of a file that is about to be given; `None` where nobody is to be asked.
    pub(super) async fn prove(
        &self,
        member: &Member,
        module: &ModulePath,
        question: &Question,
        entry: &Entry,
        life: Life,
    ) -> Result<Option<Proof>> {
        match &self.prover {
            Some(prover) => prover.prove(&member.source, Asked { module, question, life }, entry).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Released {
    fn new(source: &Arc<Cached>, module: &ModulePath, question: &Question, h1: Option<String>) -> Result<Released> {
        let (version, file) = match question {
            Question::GoMod(version) => (version.clone(), ReleasedFile::Mod),
            Question::Zip(version) => (version.clone(), ReleasedFile::Zip),
            _ => return Err(Error::internal("only the files of a version are proven").about(question.subject(module))),
        };
        let subject = || question.subject(module);
        let h1 = h1.ok_or_else(|| {
            let error = Error::internal("the hash of a kept file is not known").about(subject());
            error.remedy(format!("to have it fetched anew: modvet cache rm {}", subject()))
        })?;
        let key = source.inner.key(module, question);
        let (source, module, question) = (source.clone(), module.clone(), question.clone());
        Ok(Released { source, module, question, version, file, h1, key })
    }

    fn given(source: &Arc<Cached>, module: &ModulePath, question: &Question, entry: &Entry) -> Result<Released> {
        Released::new(source, module, question, entry.h1.clone())
    }

    fn subject(&self) -> String {
        self.question.subject(&self.module)
    }

    /// What a client is told of a file that the database knows otherwise.
    fn refuted(&self, database: &str, recorded: &str) -> Error {
        let what = match self.file {
            ReleasedFile::Mod => "verifying go.mod: checksum mismatch",
            ReleasedFile::Zip => "verifying module: checksum mismatch",
        };
        Error::bad_gateway(what)
            .about(self.subject())
            .conclusive()
            .remedy(format!("downloaded: {}", self.h1))
            .remedy(format!("{database}: {recorded}"))
            .remedy("SECURITY ERROR: this is not what everybody else gets, so it is not served")
    }

    /// What a client is told of a file that nobody can vouch for where somebody has to.
    fn unproven(&self, why: &str) -> Error {
        let what = format!("the .{} is not verified: {why}", self.question.name());
        Error::bad_gateway(what)
            .about(self.subject())
            .conclusive()
            .remedy("try again when the checksum database answers")
            .remedy("to serve it meanwhile: verify = \"auto\" below [sumdb]")
            .remedy("a module that no checksum database may know: name it in `private` below [sumdb]")
    }
}
