//! The GOPROXY protocol as its reader sees it, over whatever holds the files.
//! Rules: go.dev/ref/mod#goproxy-protocol; `proxyRepo` in `cmd/go/internal/modfetch/proxy.go`.

use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::list;
use crate::error::{Error, Kind, Result};
use crate::ports::{Body, Content, Source, Told, Validators};
use crate::spec::dirhash::go_mod_h1;
use crate::spec::gomod::{GoMod, Retraction};
use crate::spec::info::Info;
use crate::spec::path::{ModulePath, check_version_element, escape};
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::{Semver, Version};
use crate::spec::zip;

/// How large an answer may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub list: u64,
    pub info: u64,
    pub go_mod: u64,
    pub zip: u64,
    /// A tile, a note or a lookup of a checksum database.
    pub sumdb: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { list: 16 << 20, info: 1 << 20, go_mod: 64 << 20, zip: zip::MAX_ZIP, sumdb: 1 << 20 }
    }
}

/// Files in GOPROXY layout, named by paths such as `example.com/!m/@v/list`.
#[async_trait]
pub(super) trait Files: Send + Sync {
    /// A whole file; an absence is `Kind::NotFound` or `Kind::Gone`.
    async fn read(&self, path: &str, limit: u64) -> Result<Told<Bytes>>;
    /// A file into an empty one.
    async fn copy(&self, path: &str, limit: u64, to: NamedTempFile) -> Result<Copied>;
    /// Whether a file is certainly the one that these validators came with.
    async fn unchanged(&self, path: &str, validators: &Validators) -> Result<bool>;
    /// Whose files they are, in words for people.
    fn name(&self) -> &str;
}

/// A file that came.
pub(super) struct Copied {
    pub file: NamedTempFile,
    /// Where it was taken on the way.
    pub sha256: Option<[u8; 32]>,
    pub validators: Validators,
}

/// A reader of the protocol. Zips come into `scratch` first.
#[derive(Debug)]
pub(super) struct Protocol<F> {
    pub files: F,
    pub scratch: PathBuf,
    pub limits: Limits,
    /// Unpacking and hashing a zip takes a processor for itself: of one upstream no more are checked at once than there are
    /// processors, so that those who answer from the cache meanwhile are not one among hundreds.
    checks: Semaphore,
}

impl<F: Files> Protocol<F> {
    pub fn new(files: F, scratch: PathBuf, limits: Limits) -> Protocol<F> {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Protocol { files, scratch, limits, checks: Semaphore::new(processors) }
    }

    async fn list_text(&self, module: &ModulePath) -> Result<Told<String>> {
        let read = self.files.read(&format!("{}/@v/list", module.escaped()), self.limits.list).await?;
        if is_page(&read.what) {
            return Err(self.not_what_it_claims("list", "a page"));
        }
        let text = String::from_utf8(read.what.into()).map_err(|_| self.not_what_it_claims("list", "no text"))?;
        Ok(Told::new(text, read.validators))
    }

    async fn file_info(&self, module: &ModulePath, path: &str) -> Result<Told<Info>> {
        let read = self.files.read(&format!("{}/{path}", module.escaped()), self.limits.info).await?;
        let info = self.read_info(module, path, &read.what)?;
        Ok(Told::new(info, read.validators))
    }

    fn read_info(&self, module: &ModulePath, path: &str, bytes: &[u8]) -> Result<Info> {
        let info = parse_info(bytes).map_err(|why| self.not_what_it_claims(path, &why))?;
        match Version::parse(&info.version) {
            Some(version) if module.major_suffix().matches(version.semver()) => Ok(info),
            _ => Err(self.not_what_it_claims(path, &format!("no version of this module ({:?})", info.version))),
        }
    }

    async fn stat(&self, module: &ModulePath, query: &Query) -> Result<Told<Info>> {
        let asked = query.as_str();
        if check_version_element(asked).is_err() || asked.contains('!') {
            // Such a name cannot stand in an address: this upstream cannot be asked.
            return Err(Error::not_found("disallowed version string"));
        }
        let told = self.file_info(module, &format!("@v/{}.info", escape(asked))).await?;
        let info = &told.what;
        match query {
            Query::Version(version) if module.major_suffix().matches(version.semver()) && info.version != asked => {
                let what = format!("returned info for version {} instead of requested version", info.version);
                let what = format!("{} {what}", self.files.name());
                // A proxy that puts pseudo-versions right, another modvet for example, says which one is.
                if version.is_pseudo() {
                    let remedy = format!("use {module}@{}", info.version);
                    return Err(Error::new(Kind::Wrong, format!("invalid pseudo-version: {what}"))
                        .right(&info.version)
                        .remedy(remedy));
                }
                Err(Error::bad_gateway(what))
            }
            _ => Ok(told),
        }
    }

    async fn find(&self, module: &ModulePath, query: &Query) -> Result<Told<Info>> {
        match query {
            Query::Latest => self.latest_info(module).await,
            // It rests on several files: none of their validators speaks for it.
            Query::Prefix(prefix) => self.highest_below(module, prefix).await.map(Told::from),
            Query::Version(_) | Query::Revision(_) => self.stat(module, query).await,
        }
    }

    /// The highest version that begins so, as a go client finds it: from the list, without what was taken
    /// back. It never asks for the prefix itself, and not every proxy would answer.
    async fn highest_below(&self, module: &ModulePath, prefix: &Semver) -> Result<Info> {
        let mut versions = list::versions(&self.list_text(module).await?.what, module);
        let retractions = match list::highest(&versions, None) {
            Some(latest) => self.retractions(module, latest).await?,
            None => Vec::new(),
        };
        versions.retain(|version| !retractions.iter().any(|retraction| retraction.interval.contains(version.semver())));
        match list::highest(&versions, Some(prefix)) {
            Some(version) => Ok(self.stat(module, &Query::Version(version.clone())).await?.what),
            None => Err(Error::not_found(format!("no matching versions for query \"{prefix}\""))),
        }
    }

    /// What a version's go.mod takes back; nothing if it cannot be read.
    async fn retractions(&self, module: &ModulePath, version: &Version) -> Result<Vec<Retraction>> {
        let path = format!("{}/@v/{}.mod", module.escaped(), version.escaped());
        match self.files.read(&path, self.limits.go_mod).await {
            Ok(read) => Ok(GoMod::parse_lax(&read.what).map(|go_mod| go_mod.retract).unwrap_or_default()),
            Err(error) if error.is_absence() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn latest_info(&self, module: &ModulePath) -> Result<Told<Info>> {
        match self.file_info(module, "@latest").await {
            Err(error) if error.is_absence() => {}
            answer => return answer,
        }
        let text = self.list_text(module).await?.what;
        let versions = list::versions(&text, module);
        let version = list::highest(&versions, None).cloned().or_else(|| list::newest(&text));
        let version = version.ok_or_else(|| Error::not_found("no matching versions for query \"latest\""))?;
        Ok(self.stat(module, &Query::Version(version)).await?.what.into())
    }

    async fn checked_zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        let scratch = self.scratch.clone();
        let made = spawn_blocking(move || {
            // Somebody may have tidied up temporary folders since the start.
            std::fs::create_dir_all(&scratch).and_then(|()| NamedTempFile::new_in(&scratch)).map_err(disk)
        });
        let file = made.await.map_err(|e| Error::internal("no temporary file was made").because(e))??;
        let path = format!("{}/@v/{}.zip", module.escaped(), version.escaped());
        let Copied { file, sha256, validators } = self.files.copy(&path, self.limits.zip, file).await?;
        let (module, version, name) = (module.clone(), version.clone(), self.files.name().to_owned());
        let _turn = self.checks.acquire().await.expect("nobody closes it");
        let check = spawn_blocking(move || {
            let verified = zip::verify(file.reopen().map_err(disk)?, &module, &version)?;
            Ok((file, verified.h1))
        });
        let checked: Result<_> = check.await.map_err(|e| Error::internal("a zip was not checked").because(e))?;
        let (file, h1) = checked.map_err(|error| match error.kind() {
            Kind::BadGateway => Error::bad_gateway(format!("{name} sent a wrong zip: {}", error.what())),
            _ => error,
        })?;
        let body = match sha256 {
            Some(sha256) => Body::Hashed(file, sha256),
            None => Body::File(file),
        };
        Ok(Told::new(Content { body, h1: Some(h1) }, validators))
    }

    fn not_what_it_claims(&self, path: &str, why: &str) -> Error {
        Error::bad_gateway(format!("{} sent a body that is not what it claims: {path} is {why}", self.files.name()))
    }
}

#[async_trait]
impl<F: Files> Source for Protocol<F> {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        let text = self.list_text(module).await.map_err(|error| error.about(module))?;
        Ok(text.map(|text| list::versions(&text, module)))
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        self.latest_info(module).await.map_err(|error| error.about(format!("{module}@latest")))
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        let info = self.find(module, query).await.map_err(|error| error.about(format!("{module}@{query}")))?;
        Ok(info.map(|info| Resolution::valid(query.as_str(), info)))
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        let path = format!("@v/{}.mod", version.escaped());
        let read = self.files.read(&format!("{}/{path}", module.escaped()), self.limits.go_mod).await;
        let checked = read.and_then(|read| match is_page(&read.what) {
            true => Err(self.not_what_it_claims(&path, "a page")),
            false => Ok(read),
        });
        let read = checked.map_err(|error| error.about(format!("{module}@{version}")))?;
        Ok(read.map(|bytes| Content { h1: Some(go_mod_h1(&bytes)), body: Body::Bytes(bytes) }))
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.checked_zip(module, version).await.map_err(|error| error.about(format!("{module}@{version}")))
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        let path = match question {
            // `@latest` is the file of both.
            Question::Info(Query::Latest) => Question::Latest.address(),
            // Made of several files.
            Question::Info(Query::Prefix(_)) => return Ok(false.into()),
            question => question.address(),
        };
        let path = format!("{}/{path}", module.escaped());
        let unchanged = self.files.unchanged(&path, validators).await;
        unchanged.map(Told::from).map_err(|error| error.about(question.subject(module)))
    }
}

/// Reads `.info`. Go takes the names of fields in any case.
fn parse_info(bytes: &[u8]) -> Result<Info, String> {
    let fields: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| "no JSON object".to_owned())?;
    let known = |name: &str| {
        let field = ["Version", "Time", "Origin"].into_iter().find(|field| field.eq_ignore_ascii_case(name));
        field.map_or_else(|| name.to_owned(), str::to_owned)
    };
    let fields = fields.into_iter().map(|(name, value)| (known(&name), value)).collect();
    serde_json::from_value(Value::Object(fields)).map_err(|e| format!("no version info ({e})"))
}

/// Whether a body is markup: a login page or a captive portal in place of what was asked for.
fn is_page(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.trim_ascii_start().starts_with(b"<")
}

/// Our own disk failed us.
pub(super) fn disk(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::unavailable("the disk is full").because(error)
        }
        _ => Error::internal("a temporary file cannot be written").because(error),
    }
}
