//! What is kept, and its housekeeping.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Call, Lines, Parameter, Reply};
use crate::error::{Error, Result};
use crate::registry::stock::{Pruning, Removal, Row, Stock, Wanted};
use crate::spec::path::ModulePath;

/// So many entries stand on a page if nobody says.
pub(super) const PAGE: u64 = 1000;

/// The most entries on a page.
const LARGEST_PAGE: u64 = 10_000;

/// What may stand behind the `?` of a list of entries.
pub const ENTRIES: &[Parameter] = &[
    Parameter::text("upstream"),
    Parameter::text("subject"),
    Parameter::flag("changed"),
    Parameter::flag("unverified"),
    Parameter::text("after"),
    Parameter::number("limit"),
    Parameter::flag("stream"),
];

pub async fn stats(call: Call) -> Result<Reply> {
    let stock = stock(&call)?;
    let figures = blocking(move || stock.count()).await?;
    Reply::json(&figures)
}

#[derive(Serialize)]
pub(super) struct Entries {
    pub entries: Vec<Row>,
    /// What `after` has to be for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

pub async fn entries(call: Call) -> Result<Reply> {
    let stock = stock(&call)?;
    let mut wanted = wanted(call.text("upstream"), call.text("subject"))?;
    wanted.changed = call.flag("changed");
    wanted.unverified = call.flag("unverified");
    let after = call.text("after").map(str::to_owned);
    if call.flag("stream") {
        let limit = call.number("limit").unwrap_or(u64::MAX);
        return Ok(Reply::lines(move |lines| stream(stock, wanted, after, limit, lines)));
    }
    let limit = call.number("limit").unwrap_or(PAGE).min(LARGEST_PAGE) as usize;
    let page = blocking(move || stock.list(&wanted, after.as_deref(), limit)).await?;
    Reply::json(&Entries { entries: page.rows, next: page.next })
}

/// One entry a line, however many there are.
async fn stream(stock: Arc<Stock>, wanted: Wanted, after: Option<String>, limit: u64, lines: Lines) -> Result<()> {
    blocking(move || stock.show(&wanted, after.as_deref(), limit, &mut |row| lines.say_blocking(&row))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    binding: Option<String>,
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

pub async fn remove(call: Call) -> Result<Reply> {
    let Remove { subject, upstream, binding, registry, dry_run } = call.json()?;
    let wanted = match (&subject, &upstream) {
        (None, None) => None,
        (subject, upstream) => Some(wanted(upstream.as_deref(), subject.as_deref())?),
    };
    let binding = binding.as_deref().map(ModulePath::parse).transpose().map_err(|error| error.about("binding"))?;
    let removal = Removal { wanted, binding, registry, dry_run };
    removal.check()?;
    let stock = stock(&call)?;
    Ok(Reply::lines(move |lines| async move {
        blocking(move || stock.remove(&removal, &mut |said| lines.say_blocking(&said)).map(drop)).await
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prune {
    #[serde(default)]
    max_size: Option<String>,
    #[serde(default)]
    keep_days: Option<u32>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    compact: bool,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn prune(call: Call) -> Result<Reply> {
    let Prune { max_size, keep_days, dry_run, compact } = call.json()?;
    let max_size = max_size.as_deref().map(size).transpose()?;
    let pruning = Pruning { max_size, keep: keep_days.map(|days| DAY * days), dry_run, compact };
    let stock = stock(&call)?;
    Ok(Reply::lines(move |lines| async move {
        // While it works nobody else evicts: it must not wait for a slow reader.
        let (tell, mut told) = mpsc::unbounded_channel();
        let work = move || {
            let gone = |_| Error::unavailable("the client is gone");
            stock.prune(&pruning, &mut |said| tell.send(said).map_err(gone)).map(drop)
        };
        let telling = async move {
            while let Some(said) = told.recv().await {
                lines.say(&said).await?;
            }
            Ok(())
        };
        let (worked, told) = tokio::join!(blocking(work), telling);
        worked.and(told)
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verify {
    #[serde(default)]
    upstream: Option<String>,
}

pub async fn verify(call: Call) -> Result<Reply> {
    let Verify { upstream } = call.json()?;
    let stock = stock(&call)?;
    Ok(Reply::lines(move |lines| async move {
        let mut say = move |said| lines.say_blocking(&said);
        blocking(move || stock.verify(upstream.as_deref(), &mut say).map(drop)).await
    }))
}

pub(super) fn stock(call: &Call) -> Result<Arc<Stock>> {
    call.site.stock().ok_or_else(|| Error::not_found("nothing is kept here"))
}

fn wanted(upstream: Option<&str>, subject: Option<&str>) -> Result<Wanted> {
    let wanted = Wanted::of(upstream);
    match subject {
        Some(subject) => wanted.about(subject),
        None => Ok(wanted),
    }
}

fn size(text: &str) -> Result<u64> {
    match text.parse::<ByteSize>() {
        Ok(size) => Ok(size.as_u64()),
        Err(_) => Err(Error::gone(format!("{text:?} (expected a size such as 20GiB)")).about("max_size")),
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::internal("work on what is kept was cut short").because(cause)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::super::Query;
    use super::*;
    use crate::http::tests::World;
    use crate::ports::{Body, Store as _};
    use crate::registry::Reach;

    #[tokio::test]
    async fn a_slow_reader_of_prune_does_not_stop_eviction() {
        let world = World::new();
        let meta = br#"{"fetched_at":"2020-01-02T03:04:05Z","checked_at":"2020-01-02T03:04:05Z","lasting":true}"#;
        for n in 0..100 {
            let key = format!("upstream/corp~1/x.y/m/@v/v1.0.{n}.mod");
            world.store.put(&key, meta, Body::Bytes("x".into())).expect("kept");
        }
        let site = world.site();
        let stock = site.stock().expect("a stock");
        let body = br#"{"keep_days":1,"dry_run":true}"#.as_slice().into();
        let call = Call::new(site, crate::access::Guest::owner(), Reach::Upstream, Vec::new(), Query::default(), body);
        let Ok(Reply::Lines(mut lines)) = prune(call).await else { panic!("lines") };
        lines.next().await.expect("a line").expect("no error");
        // The reader pauses.
        let room = tokio::task::spawn_blocking(move || stock.make_room(1));
        let made = tokio::time::timeout(Duration::from_secs(20), room).await;
        let rest = lines.count().await;
        made.expect("nobody waits for a reader").expect("no panic").expect("room");
        assert_eq!(rest, 100, "every line comes all the same");
    }
}
