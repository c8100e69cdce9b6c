//! A module proxy that is a mirror: asked as long as it may be read, and its answers marked.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::ports::{Content, MayRead, Source, Told, Validators};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// The same, but for what nobody should read from it now.
pub struct Mirrored {
    inner: Arc<dyn Source>,
    may_read: Arc<MayRead>,
}

impl Mirrored {
    pub fn new(inner: Arc<dyn Source>, may_read: Arc<MayRead>) -> Mirrored {
        Mirrored { inner, may_read }
    }

    async fn read<T>(&self, asking: impl Future<Output = Result<Told<T>>>) -> Result<Told<T>> {
        let via = (self.may_read)()?;
        Ok(asking.await?.via(Some(via)))
    }
}

#[async_trait]
impl Source for Mirrored {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        self.read(self.inner.list(module)).await
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        self.read(self.inner.latest(module)).await
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        self.read(self.inner.info(module, query)).await
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.read(self.inner.go_mod(module, version)).await
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.read(self.inner.zip(module, version)).await
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        self.read(self.inner.unchanged(module, question, validators)).await
    }
}
