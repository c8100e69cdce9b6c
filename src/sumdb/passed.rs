//! The databases as one registry has them: its proxies are asked for them, and what is private stays inside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::timeout;

use super::databases::Databases;
use super::path::{Path, Target};
use super::ways::{Asker, Errand, Proxy};
use crate::error::{Error, Kind, Result, Said};
use crate::ports::{ReleasedFile, Sumdb, Testimony, Witness};
use crate::spec::path::{ModulePath, matches_patterns};
use crate::spec::scope;
use crate::spec::tree;
use crate::spec::version::Version;

/// A verification takes no longer: a client waits behind it.
const PATIENCE: Duration = Duration::from_secs(8);

/// What the go command downloads of itself stands in no go.sum, so its record is wanted whatever is private.
const TOOLCHAIN: &str = "golang.org/toolchain";

/// The databases that clients of a registry are passed on to, and that its versions are held against.
pub struct Passed {
    databases: Arc<Databases>,
    proxies: Vec<Proxy>,
    /// GOPRIVATE patterns of what nobody outside is asked for.
    private: String,
}

/// An answer of a checksum database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub body: Bytes,
    /// Whether it was held against the signed tree; else only whoever asked for it can do that.
    pub is_proven: bool,
    /// Who it came from, and when.
    pub said: Said,
}

/// For verdicts, which can do without: they do not wait for a database that failed lately.
#[async_trait]
impl Sumdb for Passed {
    async fn get(&self, path: &str) -> Result<Bytes> {
        Ok(self.answer(&Path::parse(path)?, Asker::Verifier).await?.body)
    }
}

impl Passed {
    /// `proxies` in the order in which they are asked, `private` as in GOPRIVATE.
    pub fn new(databases: Arc<Databases>, proxies: Vec<Proxy>, private: impl Into<String>) -> Passed {
        Passed { databases, proxies, private: private.into() }
    }

    /// `Kind::NotFound` where the database is not on the list, or has no such record; `Kind::Forbidden` for what is
    /// private. `supported` is a promise, so it is given without asking anybody.
    pub async fn record(&self, path: &Path) -> Result<Record> {
        self.answer(path, Asker::Client).await
    }

    async fn answer(&self, path: &Path, asker: Asker) -> Result<Record> {
        let (database, module) = (self.databases.find(&path.name)?, self.module(path)?);
        let errand = Errand { proxies: &self.proxies, module, asker };
        database.answer(errand, &path.target).await
    }

    /// The same out of what is kept alone: nobody is asked.
    pub async fn kept_record(&self, path: &Path) -> Result<Record> {
        let database = self.databases.find(&path.name)?;
        self.module(path)?;
        database.kept(&path.target).await
    }

    /// The module that a lookup names; an error for one that is nobody's business outside.
    fn module<'a>(&self, path: &'a Path) -> Result<Option<&'a ModulePath>> {
        match &path.target {
            Target::Lookup { module, .. } if self.is_private(module) => Err(scope::private(module)),
            Target::Lookup { module, .. } => Ok(Some(module)),
            Target::Supported | Target::Latest | Target::Tile(_) => Ok(None),
        }
    }

    fn is_private(&self, module: &ModulePath) -> bool {
        module.as_str() != TOOLCHAIN && matches_patterns(&self.private, module.as_str())
    }
}

#[async_trait]
impl Witness for Passed {
    async fn testify(&self, module: &ModulePath, version: &Version, file: ReleasedFile, h1: &str) -> Result<Testimony> {
        let Some(database) = self.databases.first() else {
            return Ok(Testimony::Exempt { why: "no checksum database is configured".to_owned() });
        };
        if self.is_private(module) {
            return Ok(Testimony::Exempt { why: "private module".to_owned() });
        }
        let errand = Errand { proxies: &self.proxies, module: Some(module), asker: Asker::Verifier };
        let target = Target::Lookup { module: module.clone(), version: version.clone() };
        let unverified = |why: String| Ok(Testimony::Unverified { why });
        let body = match timeout(PATIENCE, database.answer(errand, &target)).await {
            Ok(Ok(record)) => record.body,
            Ok(Err(error)) if error.is_absence() => {
                return unverified(format!("checksum database {} has no record of it", database.name()));
            }
            Ok(Err(error)) if error.is_conclusive() => return Err(about(&error, module, version)),
            Ok(Err(error)) => match error.kind() {
                Kind::Forbidden if self.is_barred(module) => {
                    return Ok(Testimony::Exempt { why: "private module".to_owned() });
                }
                Kind::Internal => return Err(error),
                _ => return unverified(error.chain()),
            },
            Err(_) => {
                database.was_too_slow();
                return unverified(format!("checksum database {} took longer than {PATIENCE:?}", database.name()));
            }
        };
        let (element, subject) = match file {
            ReleasedFile::Mod => (format!("{version}/go.mod"), "go.mod"),
            ReleasedFile::Zip => (version.to_string(), "module"),
        };
        match tree::Record::parse(&body)?.h1(module.as_str(), &element) {
            Some(recorded) if recorded == h1 => Ok(Testimony::Verified { database: database.name().to_owned() }),
            Some(recorded) => Ok(Testimony::Refuted { database: database.name().to_owned(), h1: recorded.to_owned() }),
            None => {
                unverified(format!("the record of checksum database {} has no hash of its {subject}", database.name()))
            }
        }
    }
}

impl Passed {
    /// Whether there are proxies, and none may be asked for a module.
    fn is_barred(&self, module: &ModulePath) -> bool {
        !self.proxies.is_empty() && !self.proxies.iter().any(|proxy| proxy.scope.allows(module))
    }
}

/// The same error about the version that was to be verified.
fn about(error: &Error, module: &ModulePath, version: &Version) -> Error {
    let told = Error::new(error.kind(), error.chain()).about(format!("{module}@{version}"));
    error.remedies().iter().fold(told, |told, line| told.remedy(line)).conclusive()
}
