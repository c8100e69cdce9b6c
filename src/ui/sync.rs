//! A sync by hand: what it would do, how far it is, what came of it.

use askama::Template;
use chrono::{DateTime, Utc};

use super::mirrors::address;
use super::words::{self, Moment};
use crate::error::{Error, Result};
use crate::monitor::{Plan, Planned, Synced, UpdateKind};
use crate::ports::{Transfer, Updated};

/// So many refs are shown one by one.
const SHOWN: usize = 200;

/// How things are.
pub enum SyncState {
    Going {
        since: DateTime<Utc>,
        transfer: Option<Transfer>,
    },
    /// None is under way: what one would do, and what became of the last one.
    Ready {
        plan: Result<Plan>,
        last: Option<(DateTime<Utc>, Result<Box<Synced>>)>,
    },
}

/// `/mirrors/NAME/sync`
#[derive(Template)]
#[template(path = "sync.html")]
pub struct SyncPage {
    name: String,
    address: String,
    going: Option<GoingLine>,
    plan: Option<PlanTable>,
    /// Why there is no plan.
    fault: Option<String>,
    last: Option<LastLine>,
}

/// One that is under way.
struct GoingLine {
    since: Moment,
    progress: String,
}

/// What a sync would do.
struct PlanTable {
    source: String,
    mirror: String,
    tally: String,
    rows: Vec<PlanRow>,
    left_out: usize,
    /// Whether something is done only by force.
    wants_force: bool,
    /// Whether something is deleted only where that is said.
    wants_prune: bool,
    is_source_empty: bool,
    /// What the reader agrees to.
    digest: String,
}

struct PlanRow {
    name: String,
    word: &'static str,
    condition: &'static str,
    class: &'static str,
    from: String,
    to: String,
    commits: String,
}

/// What came of the last one since the start.
struct LastLine {
    at: Moment,
    class: &'static str,
    summary: String,
    refused: Vec<Updated>,
}

impl SyncPage {
    pub fn new(name: &str, state: SyncState, now: DateTime<Utc>) -> SyncPage {
        let empty = SyncPage {
            name: name.to_owned(),
            address: address(name),
            going: None,
            plan: None,
            fault: None,
            last: None,
        };
        match state {
            SyncState::Going { since, transfer } => {
                let going = GoingLine { since: Moment::new(since, now), progress: progress(transfer) };
                SyncPage { going: Some(going), ..empty }
            }
            SyncState::Ready { plan, last } => {
                let last = last.map(|(at, outcome)| LastLine::new(Moment::new(at, now), outcome));
                match plan {
                    Ok(plan) => SyncPage { plan: Some(PlanTable::new(plan)), last, ..empty },
                    Err(error) => SyncPage { fault: Some(told(&error)), last, ..empty },
                }
            }
        }
    }
}

impl PlanTable {
    fn new(plan: Plan) -> PlanTable {
        let rows: Vec<PlanRow> = plan.updates.iter().take(SHOWN).map(PlanRow::new).collect();
        PlanTable {
            tally: tally(&plan),
            left_out: plan.updates.len() - rows.len(),
            wants_force: plan.updates.iter().any(|planned| planned.is_diverged),
            wants_prune: plan.updates.iter().any(|planned| planned.kind == UpdateKind::Delete),
            is_source_empty: plan.is_source_empty,
            digest: plan.digest,
            source: plan.source,
            mirror: plan.mirror,
            rows,
        }
    }
}

impl PlanRow {
    fn new(planned: &Planned) -> PlanRow {
        let Planned { update, kind, .. } = planned;
        let condition = match (planned.is_diverged, *kind == UpdateKind::Delete) {
            (false, false) => "",
            (true, false) => "only if forced",
            (false, true) => "only if deleting is allowed",
            (true, true) => "only if deleting is allowed, and forced",
        };
        let count = |count: Option<u64>, word: &str| {
            count.filter(|count| *count > 0).map(|count| format!("{} {word}", words::counted(count, "commit")))
        };
        let parts = [count(planned.behind_commits, "more"), count(planned.ahead_commits, "lost")];
        let id = |id: Option<&crate::spec::info::ObjectId>| words::shortened(id.map(ToString::to_string).as_deref());
        PlanRow {
            name: update.name.clone(),
            word: kind.as_str(),
            condition,
            class: if condition.is_empty() { "good" } else { "warn" },
            from: id(update.from.as_ref()),
            to: id(update.to.as_ref()),
            commits: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }
}

impl LastLine {
    fn new(at: Moment, outcome: Result<Box<Synced>>) -> LastLine {
        let (class, summary, refused) = match outcome {
            Err(error) => ("bad", told(&error), Vec::new()),
            Ok(synced) => {
                let all = synced.updated.len() as u64;
                let refused: Vec<Updated> =
                    synced.updated.into_iter().filter(|updated| updated.refused.is_some()).collect();
                let taken = words::counted(all - refused.len() as u64, "ref");
                let after = format!("after it the mirror was found: {}", synced.status.condition.words());
                match refused.len() as u64 {
                    0 => ("good", format!("{taken} updated; {after}"), refused),
                    count => ("bad", format!("{taken} updated, {count} refused by the mirror; {after}"), refused),
                }
            }
        };
        LastLine { at, class, summary, refused }
    }
}

/// `5 refs: 2 create, 3 forward; 40 commits`.
fn tally(plan: &Plan) -> String {
    let kinds = [UpdateKind::Create, UpdateKind::Forward, UpdateKind::Overwrite, UpdateKind::Delete];
    let count = |kind: UpdateKind| plan.updates.iter().filter(|planned| planned.kind == kind).count();
    let counts = kinds.map(|kind| (count(kind), kind)).into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = counts.map(|(count, kind)| format!("{count} {}", kind.as_str())).collect();
    let commits = plan.behind_commits.map(|commits| format!("; {}", words::counted(commits, "commit")));
    let refs = words::counted(plan.updates.len() as u64, "ref");
    format!("{refs}: {}{}", parts.join(", "), commits.unwrap_or_default())
}

fn progress(transfer: Option<Transfer>) -> String {
    match transfer {
        None => "both sides are asked".to_owned(),
        Some(Transfer::Fetching { bytes }) => format!("{} came from the source", bytesize::ByteSize(bytes)),
        Some(Transfer::Packing { done, all }) => format!("{done} of {all} objects are packed for the mirror"),
        Some(Transfer::Pushing { done, all }) => {
            format!("{} of {} went to the mirror", bytesize::ByteSize(done), bytesize::ByteSize(all))
        }
    }
}

/// An error and its ways out in one line; causes of our own troubles are for the log.
fn told(error: &Error) -> String {
    let what = match error.kind() {
        crate::error::Kind::Internal => error.what().to_owned(),
        _ => error.chain(),
    };
    let what = error.subject().map_or(what.clone(), |subject| format!("{subject}: {what}"));
    std::iter::once(what).chain(error.remedies().iter().cloned()).collect::<Vec<_>>().join("; ")
}
