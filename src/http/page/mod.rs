//! Pages for people: who may see which, and what their forms do. What they say is known further in.
//! Rules: docs/pages.md.

mod form;
mod syncs;

use std::sync::Arc;

use bytes::Bytes;
use chrono::NaiveDate;
use url::form_urlencoded;

use super::admission::Need;
use super::respond::Shown;
use super::route::{Page, shown};
use super::site::{Site, Watching};
use crate::access::Guest;
use crate::error::{Error, Result};
use crate::monitor::Sync;
use crate::ports::Condition;
use crate::registry::definition::DEFAULT;
use crate::ui;
use crate::ui::home::HomePage;
use crate::ui::mirror::{MirrorPage, Note};
use crate::ui::mirrors::{MirrorsPage, address};
use crate::ui::sync::{SyncPage, SyncState};
use crate::ui::upstreams::UpstreamLine;
use form::Form;
pub use syncs::{Run, Syncs};

/// A request for a page by somebody who may see it.
pub struct Visit<'a> {
    pub site: &'a Site,
    pub guest: &'a Guest,
    pub syncs: &'a Arc<Syncs>,
    /// The address by which the reader came, without a slash at its end.
    pub root: String,
    /// What stands behind the `?`.
    pub query: &'a str,
}

/// What a POST may bring.
const RENEWAL: &[&str] = &["until", "by", "force"];
const SYNC: &[&str] = &["force", "prune", "plan"];

impl Page {
    /// The template of its address, for the log and the metrics.
    pub fn path(&self) -> &'static str {
        match self {
            Page::Start => "/",
            Page::Mirrors => "/mirrors",
            Page::Mirror(_) => "/mirrors/{mirror}",
            Page::Check(_) => "/mirrors/{mirror}/check",
            Page::Renew(_) => "/mirrors/{mirror}/renew",
            Page::Sync(_) => "/mirrors/{mirror}/sync",
        }
    }

    /// As it is asked for.
    pub fn address(&self) -> String {
        match self {
            Page::Start | Page::Mirrors => self.path().to_owned(),
            Page::Mirror(name) => address(name),
            Page::Check(name) => format!("{}/check", address(name)),
            Page::Renew(name) => format!("{}/renew", address(name)),
            Page::Sync(name) => format!("{}/sync", address(name)),
        }
    }

    /// As in the header `Allow`.
    pub fn allowed(&self) -> &'static str {
        match self {
            Page::Start | Page::Mirrors | Page::Mirror(_) => "GET, HEAD",
            Page::Check(_) | Page::Renew(_) => "POST",
            Page::Sync(_) => "GET, HEAD, POST",
        }
    }

    /// Mirrors want what the interface wants for them: their addresses are nobody else's business.
    pub fn need(&self) -> Need<'static> {
        match self {
            Page::Start => Need::Anything,
            _ => Need::Admin,
        }
    }

    /// Where the reader goes from a page of what went wrong.
    pub fn back(&self) -> Option<String> {
        match self {
            Page::Start => None,
            Page::Mirrors => Some("/".to_owned()),
            Page::Mirror(_) => Some("/mirrors".to_owned()),
            Page::Check(name) | Page::Renew(name) | Page::Sync(name) => Some(address(name)),
        }
    }
}

/// The page at an address.
pub async fn show(page: &Page, visit: &Visit<'_>) -> Result<Shown> {
    let text = match page {
        Page::Start => start(visit),
        Page::Mirrors => mirrors(visit),
        Page::Mirror(name) => mirror(name, visit).await,
        Page::Sync(name) => sync(name, visit).await,
        Page::Check(_) | Page::Renew(_) => Err(Error::internal("a form's address has no page")),
    };
    text.map(Shown::Page)
}

/// Does what a form asks for, and says where to look next.
pub async fn act(page: &Page, visit: &Visit<'_>, body: &Bytes) -> Result<Shown> {
    let to = match page {
        Page::Check(name) => {
            Form::parse(body, &[])?;
            let watching = watching(visit)?;
            let found = watching.watch.check(name).await?;
            watching.settle().await;
            match found.condition {
                Condition::Paused => address(name),
                _ => noted(name, Note::Checked),
            }
        }
        Page::Renew(name) => {
            renew(name, visit, &Form::parse(body, RENEWAL)?).await?;
            noted(name, Note::Renewed)
        }
        Page::Sync(name) => {
            let form = Form::parse(body, SYNC)?;
            let plan = form.text("plan").map(str::to_owned);
            let wanted = Sync { force: form.is_ticked("force"), prune: form.is_ticked("prune"), plan };
            visit.syncs.begin(watching(visit)?, name, wanted.clone())?;
            let by = &visit.guest.name;
            tracing::info!(mirror = name, wanted.force, wanted.prune, by, "sync asked for");
            page.address()
        }
        Page::Start | Page::Mirrors | Page::Mirror(_) => return Err(Error::internal("a page has no form of its own")),
    };
    Ok(Shown::Elsewhere(to))
}

fn noted(name: &str, note: Note) -> String {
    format!("{}?done={}", address(name), note.as_str())
}

fn start(visit: &Visit<'_>) -> Result<String> {
    let current = visit.site.catalog().current();
    let seen = current.registries.keys().filter(|name| visit.guest.may_see(name));
    let mut names: Vec<String> = seen.cloned().collect();
    names.sort_by_key(|name| name != DEFAULT);
    ui::html(&HomePage::new(&visit.root, DEFAULT, &names))
}

fn mirrors(visit: &Visit<'_>) -> Result<String> {
    let watch = &watching(visit)?.watch;
    let (statuses, now) = (watch.statuses(), watch.now());
    let current = visit.site.catalog().current();
    let watched = visit.site.upstream_watch().map(|watch| watch.statuses()).unwrap_or_default();
    let upstreams = current.upstreams.iter().map(|(name, cached)| {
        let status = watched.iter().find(|status| status.name == *name);
        UpstreamLine::new(name, cached.health(), status, now)
    });
    ui::html(&MirrorsPage::new(&statuses, upstreams.collect(), now))
}

async fn mirror(name: &str, visit: &Visit<'_>) -> Result<String> {
    let watch = watching(visit)?.watch.clone();
    let status = watch.status(name)?;
    let (asked, now) = (name.to_owned(), watch.now());
    let read = tokio::task::spawn_blocking(move || watch.history(&asked)).await;
    let history = read.map_err(|cause| Error::internal("a history was not read").because(cause))??;
    let mut query = form_urlencoded::parse(visit.query.as_bytes());
    let done = query.find(|(name, _)| name == "done").map(|(_, value)| value);
    let note = Note::ALL.into_iter().find(|note| done.as_deref() == Some(note.as_str()));
    ui::html(&MirrorPage::new(&status, &history, note, now))
}

/// What a sync would do, unless one is under way.
async fn sync(name: &str, visit: &Visit<'_>) -> Result<String> {
    let watch = &watching(visit)?.watch;
    watch.status(name)?;
    let state = match visit.syncs.of(name) {
        Some(Run::Going { since, transfer }) => SyncState::Going { since, transfer },
        Some(Run::Over { at, outcome }) => SyncState::Ready { plan: watch.plan(name).await, last: Some((at, outcome)) },
        None => SyncState::Ready { plan: watch.plan(name).await, last: None },
    };
    ui::html(&SyncPage::new(name, state, watch.now()))
}

async fn renew(name: &str, visit: &Visit<'_>, form: &Form) -> Result<()> {
    let date = |text: &str| {
        let expected = || Error::gone(format!("until: {:?} (expected a date such as 2027-02-01)", shown(text)));
        text.parse::<NaiveDate>().map_err(|_| expected())
    };
    let watching = watching(visit)?;
    let said = form.text("until").map(date).transpose()?;
    let until = watching.watch.status(name)?.renewed_until(said, form.is_ticked("force"))?;
    let own = Some(visit.guest.name.as_str()).filter(|own| !own.is_empty());
    let by = form.text("by").or(own).map(str::to_owned);
    watching.watch.renew(name, until, by).await?;
    tracing::info!(mirror = name, %until, by = visit.guest.name, "renewed");
    watching.settle().await;
    Ok(())
}

fn watching<'a>(visit: &Visit<'a>) -> Result<&'a Watching> {
    visit.site.watching().ok_or_else(|| Error::not_found("no mirror is watched here"))
}
