//! Stand-ins for tests that behave as the real ones do: a source that counts, fails and waits, a store
//! in memory, a clock set by hand, a checksum database.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{Cached, Judgement, Member, OnFailure, Question, Shelf, Validity};
use crate::error::{Error, Result};
use crate::ports::{Body, Clock, Content, Source, Told, Validators, Via};
use crate::spec::info::{Info, Origin};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::resolution::{Fault, Resolution};
use crate::spec::scope::Scope;
use crate::spec::version::Version;

mod drawer;
mod ledger;
mod notary;

pub use drawer::Drawer;
pub use ledger::Ledger;
pub use notary::Notary;

pub fn module(path: &str) -> ModulePath {
    ModulePath::parse(path).expect(path)
}

pub fn version(text: &str) -> Version {
    Version::parse(text).expect(text)
}

pub fn info_of(text: &str) -> Info {
    Info { version: text.to_owned(), time: DateTime::from_timestamp(1_565_678_681, 0), origin: None }
}

/// What stands for the hash of a file's content.
pub fn h1_of(bytes: &[u8]) -> String {
    format!("h1:{}=", hex::encode(&Sha256::digest(bytes)[..4]))
}

/// What a source knows to say at one address.
#[derive(Clone, Debug)]
pub enum Reply {
    List(Vec<Version>),
    Info(Box<Resolution>),
    Bytes(Bytes),
    /// The work on this address panics.
    Panic,
}

impl Reply {
    pub fn info(resolution: Resolution) -> Reply {
        Reply::Info(Box::new(resolution))
    }
}

/// What a source tells states of its answers apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Apart {
    #[default]
    Nothing,
    Etag,
    LastModified,
    /// As git does: by the commits of versions, and for all else by the sum over what it knows.
    Revision,
}

/// A source in memory, by the addresses of the protocol.
#[derive(Default)]
pub struct Known {
    replies: Mutex<HashMap<String, Reply>>,
    asked: Mutex<Vec<String>>,
    checked: Mutex<Vec<String>>,
    apart: Mutex<Apart>,
    commits: Mutex<HashMap<String, String>>,
    failure: Mutex<Option<Error>>,
    gate: Mutex<Option<Arc<Semaphore>>>,
    via: Mutex<Option<Via>>,
}

impl Known {
    pub fn new() -> Arc<Known> {
        Arc::default()
    }

    pub fn teach(&self, path: &str, address: &str, reply: Reply) {
        self.replies.lock().expect("lock").insert(format!("{path}/{address}"), reply);
    }

    /// A module's version with all its files.
    pub fn publish(&self, path: &str, text: &str, zip: &[u8]) {
        self.teach(path, &format!("@v/{text}.info"), Reply::info(Resolution::valid(text, info_of(text))));
        self.teach(path, &format!("@v/{text}.mod"), Reply::Bytes(format!("module {path}\n").into()));
        self.teach(path, &format!("@v/{text}.zip"), Reply::Bytes(Bytes::copy_from_slice(zip)));
    }

    /// A wrong pseudo-version with all its files, and the right one beside it.
    pub fn misname(&self, path: &str, asked: &str, right: &str) {
        self.publish(path, right, b"right zip");
        self.publish(path, asked, b"zip as asked");
        let timestamp =
            |text: &str| crate::spec::pseudo::PseudoVersion::parse(text).expect(text).timestamp().to_owned();
        let fault = Fault::TimeDiffers { found: timestamp(asked), expected: timestamp(right), note: None };
        let wrong = Resolution { asked: asked.to_owned(), right: info_of(right), faults: vec![fault] };
        self.teach(path, &format!("@v/{asked}.info"), Reply::info(wrong));
    }

    /// What `query` stands for, with an origin as a branch's has.
    pub fn point(&self, path: &str, query: &str, text: &str) {
        let origin = Origin {
            vcs: "git".to_owned(),
            url: format!("https://{path}"),
            hash: "fde4db37ae7ad8191b03d30d27f258b5291ae4e3".to_owned(),
            reference: format!("refs/heads/{query}"),
            tag_sum: "t1:sum".to_owned(),
            ..Origin::default()
        };
        let info = Info { origin: Some(origin), ..info_of(text) };
        self.teach(path, &format!("@v/{query}.info"), Reply::info(Resolution::valid(query, info)));
    }

    pub fn forget(&self, path: &str, address: &str) {
        self.replies.lock().expect("lock").remove(&format!("{path}/{address}"));
    }

    /// From now on every question fails so; `None` mends it.
    pub fn fail(&self, error: Option<Error>) {
        *self.failure.lock().expect("lock") = error;
    }

    /// From now on it reads from a mirror.
    pub fn read_from(&self, via: Option<Via>) {
        *self.via.lock().expect("lock") = via;
    }

    fn via(&self) -> Option<Via> {
        self.via.lock().expect("lock").clone()
    }

    /// From now on every question waits for a permit.
    pub fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().expect("lock") = Some(gate.clone());
        gate
    }

    /// How often an address was asked for.
    pub fn count(&self, path: &str, address: &str) -> usize {
        let wanted = format!("{path}/{address}");
        self.asked.lock().expect("lock").iter().filter(|asked| **asked == wanted).count()
    }

    /// By what its answers from now on can be told apart.
    pub fn tell_apart_by(&self, apart: Apart) {
        *self.apart.lock().expect("lock") = apart;
    }

    /// What a version is made of, where answers are told apart by revision.
    pub fn commit(&self, path: &str, text: &str, commit: &str) {
        self.commits.lock().expect("lock").insert(format!("{path}@{text}"), commit.to_owned());
    }

    /// How often it was asked whether the answer at an address still holds.
    pub fn checks(&self, path: &str, address: &str) -> usize {
        let wanted = format!("{path}/{address}");
        self.checked.lock().expect("lock").iter().filter(|checked| **checked == wanted).count()
    }

    pub fn total(&self) -> usize {
        self.asked.lock().expect("lock").len()
    }

    /// As slow and as broken as the test wants it.
    async fn reached(&self) -> Result<()> {
        let gate = self.gate.lock().expect("lock").clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("never closed").forget();
        }
        self.failure.lock().expect("lock").clone().map_or(Ok(()), Err)
    }

    async fn say(&self, module: &ModulePath, question: Question) -> Result<Told<Reply>> {
        let address = address(module, &question);
        self.asked.lock().expect("lock").push(address.clone());
        self.reached().await?;
        let reply = self.reply(module, &question)?;
        let validators = self.validators(module, &question, &reply);
        Ok(Told::new(reply, validators).via(self.via()))
    }

    fn validators(&self, module: &ModulePath, question: &Question, reply: &Reply) -> Validators {
        let state = |text: String| Some(hex::encode(&Sha256::digest(text)[..4]));
        let none = Validators::default();
        match *self.apart.lock().expect("lock") {
            Apart::Nothing => none,
            Apart::Etag => Validators { etag: state(format!("{reply:?}")), ..none },
            Apart::LastModified => Validators { last_modified: state(format!("{reply:?}")), ..none },
            Apart::Revision => {
                let commits = self.commits.lock().expect("lock");
                let revision = match question.version() {
                    Some(version) => commits.get(&format!("{module}@{version}")).cloned(),
                    None => state(format!("{:?}", BTreeMap::from_iter(commits.iter()))),
                };
                Validators { revision, ..none }
            }
        }
    }

    fn reply(&self, module: &ModulePath, question: &Question) -> Result<Reply> {
        let address = address(module, question);
        let (reply, known) = {
            let replies = self.replies.lock().expect("lock");
            let known = replies.keys().any(|key| key.starts_with(&format!("{module}/@")));
            (replies.get(&address).cloned(), known)
        };
        match (reply, known) {
            (Some(Reply::Panic), _) => panic!("as the test wants it"),
            (Some(reply), _) => Ok(reply),
            (None, true) => Err(Error::not_found("unknown revision").about(question.subject(module))),
            (None, false) => Err(Error::not_found("unknown module").about(module)),
        }
    }

    async fn bytes(&self, module: &ModulePath, question: Question) -> Result<Told<Content>> {
        let told = self.say(module, question).await?;
        Ok(told.map(|reply| match reply {
            Reply::Bytes(bytes) => {
                let h1 = Some(h1_of(&bytes));
                Content { body: Body::Bytes(bytes), h1 }
            }
            _ => panic!("taught something else than bytes"),
        }))
    }
}

fn address(module: &ModulePath, question: &Question) -> String {
    format!("{module}/{}", crate::spec::path::unescape(&question.address()).expect("escaped"))
}

#[async_trait]
impl Source for Known {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        Ok(self.say(module, Question::List).await?.map(|reply| match reply {
            Reply::List(versions) => versions,
            _ => panic!("taught something else than a list"),
        }))
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        Ok(self.say(module, Question::Latest).await?.map(|reply| match reply {
            Reply::Info(resolution) => resolution.right,
            _ => panic!("taught something else than an info"),
        }))
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        Ok(self.say(module, Question::Info(query.clone())).await?.map(|reply| match reply {
            Reply::Info(resolution) => *resolution,
            _ => panic!("taught something else than an info"),
        }))
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.bytes(module, Question::GoMod(version.clone())).await
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.bytes(module, Question::Zip(version.clone())).await
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        self.checked.lock().expect("lock").push(address(module, question));
        self.reached().await?;
        let now = self.validators(module, question, &self.reply(module, question)?);
        Ok(Told::from(!now.is_empty() && now == *validators).via(self.via()))
    }
}

/// A clock that stands until it is moved.
pub struct Hands(Mutex<DateTime<Utc>>);

impl Hands {
    pub fn new() -> Arc<Hands> {
        Arc::new(Hands(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).expect("a moment"))))
    }

    pub fn forward(&self, seconds: u64) {
        *self.0.lock().expect("lock") += Duration::from_secs(seconds);
    }
}

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("lock")
    }
}

/// A member over a source, without patterns.
pub fn member(
    name: &str,
    source: &Arc<Known>,
    store: &Arc<Drawer>,
    clock: &Arc<Hands>,
    judgement: Judgement,
) -> Member {
    let shelf = Shelf::new(name, "double", "");
    let cached = Cached::new(shelf, source.clone(), store.clone(), clock.clone(), Validity::default());
    member_over(cached, judgement)
}

/// A member without patterns.
pub fn member_over(cached: Cached, judgement: Judgement) -> Member {
    let (on_failure, scope) = (OnFailure::Stop, Scope::default());
    Member { source: Arc::new(cached), on_failure, judgement, scope, shared: false }
}
