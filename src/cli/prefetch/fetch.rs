//! Fetching through whoever owns the store: a question of the GOPROXY protocol for each file.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use hyper::Method;
use indicatif::ProgressBar;

use super::graph::GoMods;
use super::wanted::{Files, Key};
use crate::cli::control::{Answer, Control};
use crate::error::{Error, Kind, Result};
use crate::spec::dirhash::go_mod_h1;
use crate::spec::info::Info;
use crate::spec::path::{self, ModulePath};
use crate::spec::version::Version;

/// So many versions are fetched at a time.
pub const AT_A_TIME: usize = 8;

/// Asks one registry.
pub struct Fetcher<'a> {
    control: &'a Control,
    /// What stands before the module path in its addresses.
    base: String,
}

/// How it went with the files of a version.
#[derive(Debug, Default)]
pub struct Outcome {
    pub fetched: u64,
    pub already_there: u64,
    /// Which file, and why.
    pub failed: Vec<(&'static str, Error)>,
}

impl Outcome {
    fn count(&mut self, answer: &Answer) {
        match answer.header("x-modvet-cache") {
            "miss" => self.fetched += 1,
            _ => self.already_there += 1,
        }
    }
}

impl<'a> Fetcher<'a> {
    pub fn new(control: &'a Control, registry: Option<&str>) -> Fetcher<'a> {
        let base = registry.map(|name| format!("/registries/{name}")).unwrap_or_default();
        Fetcher { control, base }
    }

    /// The version that a query stands for.
    pub async fn resolve(&self, module: &ModulePath, query: &str) -> Result<Version> {
        let info = match query {
            "latest" => self.info(self.get(module, "@latest").await?).await?,
            query => self.info(self.get(module, &format!("@v/{}.info", escaped(query))).await?).await?,
        };
        let unreadable = || Error::bad_gateway(format!("version {:?} is not canonical", info.version));
        Version::parse(&info.version).ok_or_else(unreadable)
    }

    /// Fetches all of it, in the order of the versions.
    pub async fn fetch(&self, files: BTreeMap<Key, Files>, bar: &ProgressBar) -> Vec<(Key, Outcome)> {
        let fetching = stream::iter(files).map(|(key, files)| async move {
            bar.set_message(format!("{}@{}", key.0, key.1));
            let outcome = self.fetch_version(&key, &files).await;
            bar.inc(1);
            (key, outcome)
        });
        let mut all: Vec<(Key, Outcome)> = fetching.buffer_unordered(AT_A_TIME).collect().await;
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// The cheap files first; what is refused once is not asked for again.
    async fn fetch_version(&self, key: &Key, files: &Files) -> Outcome {
        let mut outcome = Outcome::default();
        if files.info
            && let Err(error) = self.fetch_info(key, &mut outcome).await
        {
            outcome.failed.push((".info", error));
            return outcome;
        }
        if files.go_mod
            && let Err(error) = self.fetch_go_mod(key, files, &mut outcome).await
        {
            outcome.failed.push((".mod", error));
        }
        if files.zip
            && let Err(error) = self.fetch_zip(key, files, &mut outcome).await
        {
            outcome.failed.push((".zip", error));
        }
        outcome
    }

    async fn fetch_info(&self, (module, version): &Key, outcome: &mut Outcome) -> Result<()> {
        let answer = self.get(module, &format!("@v/{}.info", version.escaped())).await?;
        outcome.count(&answer);
        let info = self.info(answer).await?;
        if info.version != version.as_str() {
            let error = Error::new(Kind::Wrong, "the version is wrong").right(&info.version);
            return Err(error.remedy(format!("the right one is {module}@{}", info.version)));
        }
        Ok(())
    }

    async fn fetch_go_mod(&self, (module, version): &Key, files: &Files, outcome: &mut Outcome) -> Result<()> {
        let answer = self.get(module, &format!("@v/{}.mod", version.escaped())).await?;
        outcome.count(&answer);
        compare(&go_mod_h1(&answer.bytes().await?), files.go_mod_h1.as_deref())
    }

    /// The zip goes into the cache and no further; its hash was taken on the way.
    async fn fetch_zip(&self, key: &Key, files: &Files, outcome: &mut Outcome) -> Result<()> {
        let (module, version) = key;
        let target = format!("{}/{}/@v/{}.zip", self.base, module.escaped(), version.escaped());
        let answer = self.control.send(Method::HEAD, &target, None::<&()>).await?;
        outcome.count(&answer);
        if files.h1.is_none() {
            return Ok(());
        }
        let h1 = self.kept_h1(key, answer.header("x-modvet-upstream")).await?;
        compare(&h1, files.h1.as_deref())
    }

    async fn kept_h1(&self, (module, version): &Key, upstream: &str) -> Result<String> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("subject", &format!("{module}@{version}")).append_pair("upstream", upstream);
        let target = format!("/api/v1/cache/entries?{}", query.finish());
        let page = self.control.ask(Method::GET, &target, None::<&()>).await?;
        let zips = page["entries"].as_array().into_iter().flatten();
        let zips = zips.filter(|entry| entry["path"].as_str().is_some_and(|path| path.ends_with(".zip")));
        // Under another address the upstream may have had one too: it is the other that was just used.
        let zip = zips.max_by_key(|entry| entry["last_used"].as_str().map(str::to_owned));
        let h1 = zip.and_then(|zip| zip["h1"].as_str());
        h1.map(str::to_owned).ok_or_else(|| Error::internal("the zip is kept without its hash"))
    }

    async fn get(&self, module: &ModulePath, file: &str) -> Result<Answer> {
        let target = format!("{}/{}/{file}", self.base, module.escaped());
        self.control.send(Method::GET, &target, None::<&()>).await
    }

    async fn info(&self, answer: Answer) -> Result<Info> {
        let bytes = answer.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::bad_gateway("the .info is no JSON").because(error))
    }
}

#[async_trait]
impl GoMods for Fetcher<'_> {
    async fn go_mod(&self, module: &ModulePath, version: &Version) -> Result<Bytes> {
        self.get(module, &format!("@v/{}.mod", version.escaped())).await?.bytes().await
    }
}

fn compare(found: &str, expected: Option<&str>) -> Result<()> {
    match expected {
        Some(expected) if expected != found => {
            let error = Error::new(Kind::Wrong, format!("{found} (expected {expected}, as go.sum says)"));
            Err(error.remedy("the content is not what it was when go.sum was written"))
        }
        _ => Ok(()),
    }
}

/// A query as an address has it; a branch may hold slashes.
fn escaped(query: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const APART: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
    utf8_percent_encode(&path::escape(query), APART).to_string()
}
