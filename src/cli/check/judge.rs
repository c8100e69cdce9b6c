//! Asks for verdicts, many at a time, and for what else there is to say of a version.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use indicatif::ProgressBar;

use crate::cli::server;
use crate::error::{Error, Result};
use crate::http::site::Counter;
use crate::net::Client;
use crate::registry::{AnswerBody, Question, Reach};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::verdict::{Drift, Evidence, Standing, Verdict};
use crate::spec::version::Version;

/// How many modules are asked about at a time.
pub const AT_A_TIME: usize = 16;

/// The largest go.mod that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// A version of a module, as files name it.
pub type Key = (String, Version);

/// Who answers.
pub struct Judge {
    counter: Arc<Counter>,
    server: Option<Server>,
}

/// A server that may be a modvet, or any other module proxy.
pub struct Server {
    client: Client,
    base: String,
    /// Whether it gives verdicts; its first answer says so.
    is_modvet: OnceLock<bool>,
}

impl Server {
    pub fn new(client: Client, base: &str) -> Server {
        Server { client, base: base.to_owned(), is_modvet: OnceLock::new() }
    }

    async fn verdict(&self, module: &ModulePath, version: &Version) -> Result<Option<Verdict>> {
        if self.is_modvet.get() == Some(&false) {
            return Ok(None);
        }
        let explanation = server::explanation(&self.client, &self.base, module, version).await?;
        self.is_modvet.get_or_init(|| explanation.is_some());
        Ok(explanation.map(|explanation| explanation.verdict))
    }
}

impl Judge {
    pub fn new(counter: Arc<Counter>, server: Option<Server>) -> Judge {
        Judge { counter, server }
    }

    /// The verdicts on all versions. Modules are asked about side by side, the versions of one in turn, so that
    /// the first one fetches its repository and the others find it.
    pub async fn verdicts(&self, keys: impl IntoIterator<Item = Key>, progress: &ProgressBar) -> HashMap<Key, Verdict> {
        let mut modules: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for (module, version) in keys {
            modules.entry(module).or_default().push(version);
        }
        let judged = stream::iter(modules).map(|(module, versions)| async move {
            let mut verdicts = Vec::new();
            for version in versions {
                progress.set_message(format!("{module}@{version}"));
                let verdict = self.verdict(&module, &version).await;
                verdicts.push(((module.clone(), version), verdict));
                progress.inc(1);
            }
            verdicts
        });
        judged.buffer_unordered(AT_A_TIME).map(stream::iter).flatten().collect().await
    }

    async fn verdict(&self, module: &str, version: &Version) -> Verdict {
        let asked = async { self.ask(&ModulePath::parse(module)?, version).await };
        asked.await.unwrap_or_else(|error: Error| Verdict {
            module: module.to_owned(),
            version: version.to_string(),
            standing: Standing::Unverifiable,
            canonical: None,
            faults: Vec::new(),
            why: Some(error.chain()),
            evidence: vec![Evidence::Syntax],
            drift: None,
        })
    }

    async fn ask(&self, module: &ModulePath, version: &Version) -> Result<Verdict> {
        if let Some(server) = &self.server
            && let Some(verdict) = server.verdict(module, version).await?
        {
            return Ok(verdict);
        }
        self.counter.registry.verdict(module, version).await
    }

    /// Where the tag of a version is now, if it is not where it was: on the server, else in the own cache.
    pub async fn drift(&self, module: &ModulePath, version: &Version) -> Result<Option<Drift>> {
        if version.is_pseudo() {
            return Ok(None);
        }
        if let Some(server) = &self.server
            && let Some(verdict) = server.verdict(module, version).await?
        {
            return Ok(verdict.drift);
        }
        self.counter.registry.drift(module, version, Reach::Upstream).await
    }

    /// The released and pre-released versions of a module, in ascending order.
    pub async fn list(&self, module: &ModulePath) -> Result<Vec<Version>> {
        let bytes = self.bytes(module, Question::List).await?;
        Ok(String::from_utf8_lossy(&bytes).lines().filter_map(Version::parse).collect())
    }

    pub async fn latest(&self, module: &ModulePath) -> Result<Info> {
        Ok(self.counter.registry.resolve(module, &Query::Latest).await?.right)
    }

    /// The go.mod of a version, also of a wrong one.
    pub async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Bytes> {
        self.bytes(module, Question::GoMod(version.clone())).await
    }

    async fn bytes(&self, module: &ModulePath, question: Question) -> Result<Bytes> {
        match self.counter.registry.answer(module, &question, Reach::Upstream).await?.body {
            AnswerBody::Text(bytes) => Ok(bytes),
            AnswerBody::Blob(blob) => match blob.in_memory() {
                Some(bytes) => Ok(bytes),
                None => {
                    let read = tokio::task::spawn_blocking(move || blob.read_all(LARGEST)).await;
                    read.map_err(|error| Error::internal("reading from the store ended early").because(error))?
                }
            },
        }
    }
}
