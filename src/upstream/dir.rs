//! A folder in GOPROXY layout, such as `$(go env GOMODCACHE)/cache/download`.
//! Rules: go.dev/ref/mod#goproxy-protocol (`file://`) and #module-cache.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use url::Url;

use super::protocol::{Copied, Files, Limits, Protocol, disk};
use crate::error::{Error, Result};
use crate::ports::{Content, Source, Told, Validators};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;
use crate::spec::version::Version;

/// What stands in messages: no local path does.
const NAME: &str = "the module folder";

/// A [`Source`] over a folder; links that lead out of it are not followed.
#[derive(Debug)]
pub struct DirSource(Protocol<Folder>);

#[derive(Debug)]
struct Folder {
    root: PathBuf,
}

impl DirSource {
    /// Zips are copied into the folder `scratch`.
    pub fn new(root: impl Into<PathBuf>, scratch: impl Into<PathBuf>, limits: Limits) -> DirSource {
        DirSource(Protocol::new(Folder { root: root.into() }, scratch.into(), limits))
    }

    /// A `file://` URL with a path and nothing else; any other is an error of `Kind::Gone`.
    pub fn from_url(url: &Url, scratch: impl Into<PathBuf>, limits: Limits) -> Result<DirSource> {
        let plain = url.scheme() == "file" && url.query().is_none() && url.fragment().is_none();
        match url.to_file_path() {
            Ok(root) if plain => Ok(DirSource::new(root, scratch, limits)),
            _ => Err(Error::gone("invalid file:// proxy URL with non-path elements")),
        }
    }
}

#[async_trait]
impl Source for DirSource {
    async fn list(&self, module: &ModulePath) -> Result<Told<Vec<Version>>> {
        self.0.list(module).await
    }

    async fn latest(&self, module: &ModulePath) -> Result<Told<Info>> {
        self.0.latest(module).await
    }

    async fn info(&self, module: &ModulePath, query: &Query) -> Result<Told<Resolution>> {
        self.0.info(module, query).await
    }

    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.0.go_mod(module, version).await
    }

    async fn zip(&self, module: &ModulePath, version: &Version) -> Result<Told<Content>> {
        self.0.zip(module, version).await
    }

    async fn unchanged(&self, module: &ModulePath, question: &Question, validators: &Validators) -> Result<Told<bool>> {
        self.0.unchanged(module, question, validators).await
    }
}

#[async_trait]
impl Files for Folder {
    async fn read(&self, path: &str, limit: u64) -> Result<Told<Bytes>> {
        let (root, path) = (self.root.clone(), path.to_owned());
        blocking(move || {
            let (file, metadata) = open(&root, &path, limit)?;
            let mut bytes = Vec::new();
            // The file may have grown since it was measured.
            file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
            if bytes.len() as u64 > limit {
                return Err(too_large(&path, limit));
            }
            Ok(Told::new(bytes.into(), validators(&metadata)))
        })
        .await
    }

    async fn copy(&self, path: &str, limit: u64, mut to: NamedTempFile) -> Result<Copied> {
        let (root, path) = (self.root.clone(), path.to_owned());
        blocking(move || {
            let (file, metadata) = open(&root, &path, limit)?;
            let copied = io::copy(&mut file.take(limit), &mut to).map_err(disk)?;
            if copied != metadata.len() {
                return Err(Error::bad_gateway(format!("{path} changed while it was read")));
            }
            Ok(Copied { file: to, sha256: None, validators: validators(&metadata) })
        })
        .await
    }

    async fn unchanged(&self, path: &str, before: &Validators) -> Result<bool> {
        if before.etag.is_none() {
            return Ok(false);
        }
        let (root, path, before) = (self.root.clone(), path.to_owned(), before.clone());
        blocking(move || {
            let (_, metadata) = open(&root, &path, u64::MAX)?;
            Ok(validators(&metadata).etag == before.etag)
        })
        .await
    }

    fn name(&self) -> &str {
        NAME
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|e| Error::internal("a folder was not read").because(e))?
}

/// Size and time, as they were when the file was opened.
fn validators(metadata: &Metadata) -> Validators {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Validators { etag: since.map(|since| format!("{}-{}", metadata.len(), since.as_nanos())), ..Validators::default() }
}

/// A file within the folder, and what is known of it.
fn open(root: &Path, path: &str, limit: u64) -> Result<(File, Metadata)> {
    // A folder that is not there has been unmounted, say: that is no word on any module.
    let root = fs::canonicalize(root).map_err(unreadable)?;
    let real = fs::canonicalize(root.join(path)).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::not_found(format!("no file {path} in {NAME}")),
        ErrorKind::PermissionDenied => Error::forbidden(format!("{path} may not be read in {NAME}")),
        _ => unreadable(error),
    })?;
    if !real.starts_with(&root) {
        return Err(Error::forbidden(format!("{path} leads out of {NAME}")));
    }
    let file = File::open(&real).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Error::forbidden(format!("{path} may not be read in {NAME}")),
        _ => unreadable(error),
    })?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::not_found(format!("no file {path} in {NAME}")));
    }
    if metadata.len() > limit {
        return Err(too_large(path, limit));
    }
    Ok((file, metadata))
}

fn too_large(path: &str, limit: u64) -> Error {
    Error::bad_gateway(format!("{path} in {NAME} is larger than allowed (expected at most {limit} bytes)"))
}

fn unreadable(error: io::Error) -> Error {
    Error::bad_gateway(format!("{NAME} cannot be read")).because(error)
}
