//! `/api/v1/mirrors`: how mirrors stand, and what is done about them.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Call, Lines, Reply};
use crate::error::{Error, Result};
use crate::http::site::Watching;
use crate::monitor::{Said, Sync};
use crate::ports::{Condition, Transfer};

/// So many mirrors are checked at a time for one who asks.
const AT_A_TIME: usize = 8;

pub async fn list(call: Call) -> Result<Reply> {
    Reply::json(&serde_json::json!({ "mirrors": watching(&call)?.watch.statuses() }))
}

pub async fn show(call: Call) -> Result<Reply> {
    Reply::json(&watching(&call)?.watch.status(call.name("mirror"))?)
}

pub async fn history(call: Call) -> Result<Reply> {
    let (watch, name) = (watching(&call)?.watch, call.name("mirror").to_owned());
    let rows = super::cache::blocking(move || watch.history(&name)).await?;
    Reply::json(&serde_json::json!({ "history": rows }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    /// Without it: all that are not paused.
    #[serde(default)]
    mirrors: Option<Vec<String>>,
}

/// Several at once, each told as soon as it is known.
pub async fn check_several(call: Call) -> Result<Reply> {
    let Check { mirrors } = call.json()?;
    let watching = watching(&call)?;
    let is_all = mirrors.is_none();
    let names: BTreeSet<String> = match mirrors {
        Some(names) => names.into_iter().collect(),
        None => {
            let all = watching.watch.statuses().into_iter();
            all.filter(|status| status.condition != Condition::Paused).map(|status| status.name).collect()
        }
    };
    for name in &names {
        watching.watch.status(name)?;
    }
    Ok(Reply::lines(move |lines| async move {
        check_each(&watching, names, lines).await?;
        if is_all {
            watching.catch_up().await
        } else {
            watching.settle().await
        }
        Ok(())
    }))
}

async fn check_each(watching: &Watching, names: BTreeSet<String>, lines: Lines) -> Result<()> {
    let checks = names.into_iter().map(|name| {
        let watch = watching.watch.clone();
        async move { watch.check(&name).await }
    });
    let mut checks = stream::iter(checks).buffer_unordered(AT_A_TIME);
    while let Some(checked) = checks.next().await {
        lines.say(&Said::Checked(Box::new(checked?))).await?;
    }
    Ok(())
}

pub async fn check(call: Call) -> Result<Reply> {
    let watching = watching(&call)?;
    let name = call.name("mirror");
    watching.watch.check(name).await?;
    watching.settle().await;
    // Afterwards: what was told by now is not on its way.
    Reply::json(&watching.watch.status(name)?)
}

pub async fn plan(call: Call) -> Result<Reply> {
    Reply::json(&watching(&call)?.watch.plan(call.name("mirror")).await?)
}

pub async fn sync(call: Call) -> Result<Reply> {
    let wanted: Sync = call.json()?;
    let (watching, name) = (watching(&call)?, call.name("mirror").to_owned());
    watching.watch.status(&name)?;
    tracing::info!(mirror = name, force = wanted.force, prune = wanted.prune, by = call.guest.name, "sync asked for");
    Ok(Reply::lines(move |lines| async move {
        // Whoever tells how far it is must not be held up, be it on a blocking thread or not.
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut stage = None;
        let progress = move |transfer: Transfer| {
            let now = step(transfer);
            // Who is gone wants no more work either.
            stage.replace(now) == Some(now) || tell.send(Said::Progress(transfer)).is_ok()
        };
        let syncing = watching.watch.sync(&name, wanted, Box::new(progress));
        let to = lines.clone();
        let telling = async move {
            while let Some(said) = told.recv().await {
                to.say(&said).await?;
            }
            Ok(())
        };
        let (synced, told) = tokio::join!(syncing, telling);
        watching.settle().await;
        told.and(lines.say(&Said::Synced(Box::new(synced?))).await)
    }))
}

/// What changes often enough to be told: a percent, or a quarter of a MiB.
fn step(transfer: Transfer) -> (u8, u64) {
    let percent = |done: u64, all: u64| done * 100 / all.max(1);
    match transfer {
        Transfer::Fetching { bytes } => (0, bytes >> 18),
        Transfer::Packing { done, all } => (1, percent(done, all)),
        Transfer::Pushing { done, all } => (2, percent(done, all)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    /// The last day on which it holds; without it the one that its period leads to.
    #[serde(default)]
    until: Option<NaiveDate>,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    force: bool,
}

pub async fn renew(call: Call) -> Result<Reply> {
    let Renew { until, by, force } = call.json()?;
    let (watching, name) = (watching(&call)?, call.name("mirror"));
    let until = watching.watch.status(name)?.renewed_until(until, force)?;
    watching.watch.renew(name, until, by).await?;
    tracing::info!(mirror = name, %until, by = call.guest.name, "renewed");
    watching.settle().await;
    Reply::json(&watching.watch.status(name)?)
}

pub async fn test_channels(call: Call) -> Result<Reply> {
    Reply::json(&serde_json::json!({ "tested": watching(&call)?.outbox.test().await }))
}

fn watching(call: &Call) -> Result<Watching> {
    call.site.watching().cloned().ok_or_else(|| Error::not_found("no mirror is watched here"))
}
