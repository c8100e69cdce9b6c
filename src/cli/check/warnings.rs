//! What is not wrong and yet worth knowing: retractions, moved tags, `+incompatible`, releases that came since.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{self, StreamExt as _};
use indicatif::ProgressBar;
use serde::Serialize;

use super::finding::Rule;
use super::judge::{AT_A_TIME, Judge, Key};
use crate::error::{Error, Result};
use crate::spec::dirhash::go_mod_h1;
use crate::spec::gomod::{GoMod, Retraction};
use crate::spec::path::ModulePath;
use crate::spec::verdict::{Standing, Verdict};
use crate::spec::version::Version;

/// Something to be said of a version that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub rule: Rule,
    pub reason: String,
    /// The module and version that it is better to use.
    pub better: Option<(String, String)>,
}

/// All that was found, and of which modules nothing could be found out.
#[derive(Debug, Default)]
pub struct Warnings {
    pub of: HashMap<Key, Vec<Warning>>,
    pub unseen: Vec<Unseen>,
}

/// A module that could not be looked at, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    pub module: String,
    pub why: String,
}

/// A version in use, and what a go.sum says of its go.mod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    pub version: Version,
    pub go_mod_h1: Option<String>,
}

/// Looks at the modules in use, side by side.
pub async fn look(judge: &Judge, modules: BTreeMap<String, Vec<Used>>, progress: &ProgressBar) -> Warnings {
    let looks = stream::iter(modules).map(|(module, used)| async move {
        progress.set_message(module.clone());
        let found = of_module(judge, &module, &used).await;
        progress.inc(1);
        (module, found)
    });
    let mut looks = looks.buffer_unordered(AT_A_TIME);
    let mut warnings = Warnings::default();
    while let Some((module, found)) = looks.next().await {
        match found {
            Ok(found) => {
                for (version, warning) in found {
                    warnings.of.entry((module.clone(), version)).or_default().push(warning);
                }
            }
            Err(error) => {
                let why = error.chain().lines().next().unwrap_or_default().to_owned();
                warnings.unseen.push(Unseen { module, why });
            }
        }
    }
    warnings.unseen.sort();
    warnings
}

async fn of_module(judge: &Judge, module: &str, used: &[Used]) -> Result<Vec<(Version, Warning)>> {
    let path = ModulePath::parse(module)?;
    let retractions = retractions(judge, &path).await?;
    let mut found = Vec::new();
    for used in used {
        let version = &used.version;
        let retraction = retractions.iter().find(|retraction| retraction.interval.contains(version.semver()));
        let warnings = [
            match retraction {
                Some(retraction) => Some(retracted(judge, &path, retraction).await),
                None => None,
            },
            match drift(judge, &path, used).await? {
                Some(warning) => Some(warning),
                None => moved(judge, &path, version).await?,
            },
            incompatible(judge, &path, version).await,
        ];
        found.extend(warnings.into_iter().flatten().map(|warning| (version.clone(), warning)));
    }
    Ok(found)
}

/// What the latest version takes back, be it taken back itself: the highest release, else the highest
/// pre-release, else the tip. Rules: `CheckRetractions` in `cmd/go/internal/modload`.
async fn retractions(judge: &Judge, module: &ModulePath) -> Result<Vec<Retraction>> {
    let versions = judge.list(module).await?;
    let highest = |versions: &[&Version]| {
        versions.iter().rev().find(|v| v.is_release()).or(versions.last()).map(|v| (*v).clone())
    };
    let (incompatible, compatible): (Vec<_>, Vec<_>) = versions.iter().partition(|version| version.is_incompatible());
    let read = async {
        let latest = match highest(&compatible).or_else(|| highest(&incompatible)) {
            Some(latest) => Some(latest),
            None => Version::parse(&judge.latest(module).await?.version),
        };
        let latest = latest.ok_or_else(|| Error::not_found("no version"))?;
        judge.go_mod(module, &latest).await
    };
    match read.await {
        // A go.mod that cannot be read takes nothing back.
        Ok(bytes) => Ok(GoMod::parse_lax(&bytes).unwrap_or_default().retract),
        // The module may have moved on to v2, with nothing left under this path.
        Err(error) if error.is_absence() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn retracted(judge: &Judge, module: &ModulePath, retraction: &Retraction) -> Warning {
    let reason = match retraction.rationale.lines().map(str::trim).collect::<Vec<_>>().join(" ") {
        rationale if rationale.is_empty() => "retracted by module author".to_owned(),
        rationale => format!("retracted by module author: {rationale}"),
    };
    // Everything may be taken back; then there is nothing to go to.
    let latest = judge.latest(module).await.ok().map(|info| info.version);
    let is_well =
        |latest: &String| Version::parse(latest).is_some_and(|version| !retraction.interval.contains(version.semver()));
    let better = latest.filter(is_well).map(|latest| (module.to_string(), latest));
    Warning { rule: Rule::RetractedVersion, reason, better }
}

async fn drift(judge: &Judge, module: &ModulePath, used: &Used) -> Result<Option<Warning>> {
    let Some(kept) = used.go_mod_h1.as_deref().filter(|_| !used.version.is_pseudo()) else { return Ok(None) };
    let now = go_mod_h1(&judge.go_mod(module, &used.version).await?);
    let reason = format!("the tag gives another go.mod than go.sum says: {now} (expected {kept})");
    let warning = Warning { rule: Rule::TagDrift, reason, better: None };
    Ok((kept.starts_with("h1:") && now != kept).then_some(warning))
}

/// Whether the tag names another commit than when the version was first served.
async fn moved(judge: &Judge, module: &ModulePath, version: &Version) -> Result<Option<Warning>> {
    let drift = judge.drift(module, version).await?;
    Ok(drift.map(|drift| Warning { rule: Rule::TagDrift, reason: drift.reason(), better: None }))
}

/// Whether the major version has a module of its own.
async fn incompatible(judge: &Judge, module: &ModulePath, version: &Version) -> Option<Warning> {
    if !version.is_incompatible() {
        return None;
    }
    let path = ModulePath::parse(&format!("{module}/{}", version.major())).ok()?;
    // No such module, or nobody who could say so.
    let latest = judge.latest(&path).await.ok()?.version;
    Some(Warning {
        rule: Rule::IncompatibleVersion,
        reason: format!("{path} is a module of its own (latest {latest})"),
        better: Some((path.to_string(), latest)),
    })
}

/// Whether the commit of a pseudo-version that is well has a release.
pub fn released(verdict: &Verdict) -> Option<Warning> {
    let canonical = verdict.canonical.as_ref().filter(|_| verdict.standing == Standing::Valid)?;
    let release = Version::parse(&canonical.version).filter(|version| !version.is_pseudo())?;
    Some(Warning {
        rule: Rule::ReleasedVersion,
        reason: format!("the same commit is tagged {release}"),
        better: Some((verdict.module.clone(), release.to_string())),
    })
}
