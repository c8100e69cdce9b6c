//! An upstream that cannot even be asked.

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::ports::{Content, Source, Told, Validators};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// A [`Source`] whose every answer is the same failure: what is kept of it can still be served.
#[derive(Debug)]
pub struct Failing(Error);

impl Failing {
    /// `error` must be no absence: the walk would go on to a stranger.
    pub fn new(error: Error) -> Failing {
        Failing(error)
    }

    pub(super) fn failure<T>(&self) -> Result<T> {
        Err(self.0.clone())
    }
}

#[async_trait]
impl Source for Failing {
    async fn list(&self, _: &ModulePath) -> Result<Told<Vec<Version>>> {
        self.failure()
    }

    async fn latest(&self, _: &ModulePath) -> Result<Told<Info>> {
        self.failure()
    }

    async fn info(&self, _: &ModulePath, _: &Query) -> Result<Told<Resolution>> {
        self.failure()
    }

    async fn go_mod(&self, _: &ModulePath, _: &Version) -> Result<Told<Content>> {
        self.failure()
    }

    async fn zip(&self, _: &ModulePath, _: &Version) -> Result<Told<Content>> {
        self.failure()
    }

    async fn unchanged(&self, _: &ModulePath, _: &Question, _: &Validators) -> Result<Told<bool>> {
        self.failure()
    }
}
