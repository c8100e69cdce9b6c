//! Keeps what a host was shown from those who ask us: a server may repeat our own token in what it refuses with.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::net::Client;
use crate::ports::{Content, Examiner, Heard, Source, Sumdb, Told, Validators};
use crate::spec::examination::Examination;
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// The same, but for secrets in its errors.
pub struct Discreet<T: ?Sized> {
    inner: Arc<T>,
    client: Client,
}

impl<T: ?Sized> Discreet<T> {
    /// `client` is the one that `inner` asks with.
    pub fn new(inner: Arc<T>, client: Client) -> Discreet<T> {
        Discreet { inner, client }
    }

    fn reworded(&self, error: Error) -> Error {
        error.reworded(|text| self.client.without_secrets(text))
    }
}

#[async_trait]
impl<T: Source + ?Sized> Source for Discreet<T> {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        self.inner.list(module).await.map_err(|error| self.reworded(error))
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        self.inner.latest(module).await.map_err(|error| self.reworded(error))
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        self.inner.info(module, query).await.map_err(|error| self.reworded(error))
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.inner.go_mod(module, version).await.map_err(|error| self.reworded(error))
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.inner.zip(module, version).await.map_err(|error| self.reworded(error))
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        self.inner.unchanged(module, question, validators).await.map_err(|error| self.reworded(error))
    }
}

#[async_trait]
impl<T: Examiner + ?Sized> Examiner for Discreet<T> {
    async fn examine(&self, module: &ModulePath, version: &Version) -> Result<Option<Examination>> {
        self.inner.examine(module, version).await.map_err(|error| self.reworded(error))
    }

    async fn hear(&self, module: &ModulePath) -> Result<Option<Heard>> {
        self.inner.hear(module).await.map_err(|error| self.reworded(error))
    }
}

#[async_trait]
impl<T: Sumdb + ?Sized> Sumdb for Discreet<T> {
    async fn get(&self, path: &str) -> Result<Bytes> {
        self.inner.get(path).await.map_err(|error| self.reworded(error))
    }
}
