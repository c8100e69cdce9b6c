//! One look at both sides of a mirror. Blocking.

use chrono::{DateTime, Utc};

use super::comparison::{self, Compared, Related, Sides};
use super::definition::{MirrorDefinition, RefPattern};
use super::seen::Seen;
use super::state::Found;
use crate::error::{Error, Kind, Result};
use crate::ports::{Condition, Pair, RefPair, Relate, Relation, RemoteRef, Side};
use crate::spec::info::ObjectId;

/// What two git repositories were found to hold.
pub struct Sight {
    pub sides: Sides,
    pub differing: Vec<RefPair>,
    pub awaited: Vec<ObjectId>,
    /// `None` where nothing differs, or the histories could not be had.
    pub relation: Option<Relation>,
    /// Why they could not.
    pub error: Option<Error>,
}

/// Why one side was not reached.
pub struct Failure {
    pub side: Side,
    pub error: Error,
    /// What the source holds, where it was the mirror that was not reached.
    pub source: Option<Vec<RemoteRef>>,
}

/// Asks both sides for their refs, and for their histories where they differ.
pub fn sight(pair: &dyn Pair, patterns: &[RefPattern], seen: &Seen) -> Result<Sight, Failure> {
    let sight = sight_once(pair, patterns, seen)?;
    match &sight.error {
        // Refs moved meanwhile: what they hold now may stand longer.
        Some(error) if error.kind() == Kind::Unavailable => sight_once(pair, patterns, seen),
        _ => Ok(sight),
    }
}

fn sight_once(pair: &dyn Pair, patterns: &[RefPattern], seen: &Seen) -> Result<Sight, Failure> {
    // The mirror first: what comes to both in between is lag at worst, and never looks like commits of its own.
    let mirror = pair.refs(Side::Mirror).map_err(|error| {
        // The source goes on while its mirror is away: lag counts from then, and what it rewrites it did have.
        let source = pair.refs(Side::Source).ok();
        Failure { side: Side::Mirror, error, source }
    })?;
    let failed = |error: Error| Failure { side: Side::Source, error, source: None };
    let source = pair.refs(Side::Source).map_err(failed)?;
    let example = source.first().map(|one| one.name.clone());
    let sides = Sides::new(source, mirror, patterns);
    // A repository may have no tags yet.
    let may_be_none = patterns.iter().any(|pattern| ["refs/heads/*", "refs/tags/*"].contains(&pattern.as_str()));
    if let (Some(example), true, true) = (example, sides.source.is_empty(), sides.mirror.is_empty())
        && !may_be_none
    {
        return Err(failed(nothing_meant(patterns, &example)));
    }
    let differing = sides.differing();
    let awaited = comparison::awaited(&differing, seen);
    let (relation, error) = match differing.is_empty() {
        true => (None, None),
        false => match relate(pair, &sides.source, &sides.mirror, &differing, &awaited) {
            Ok(relation) => (Some(relation), None),
            Err(error) => (None, Some(error)),
        },
    };
    Ok(Sight { sides, differing, awaited, relation, error })
}

impl Sight {
    pub fn compare(&self, seen: &Seen, at: DateTime<Utc>) -> (Compared, Seen) {
        let related = self.relation.as_ref().map(|relation| Related { relation, awaited: &self.awaited });
        comparison::compare(&self.sides, related, seen, at)
    }
}

impl Found {
    /// Both sides were reached.
    pub fn compared(
        compared: Compared,
        error: Option<&Error>,
        definition: &MirrorDefinition,
        at: DateTime<Utc>,
    ) -> Found {
        let condition = comparison::condition(&compared, definition.max_lag, at);
        let error = error.map(|error| format!("the histories could not be compared: {error}"));
        Found { condition, difference: Some(compared.difference), error, failed: None }
    }

    /// At least one was not.
    pub fn failed(side: Option<Side>, error: &Error) -> Found {
        let condition = if error.is_unauthorized() { Condition::Refused } else { Condition::Unreachable };
        let error = side.map_or_else(|| error.to_string(), |side| format!("{}: {error}", side.as_str()));
        Found { condition, difference: None, error: Some(error), failed: side }
    }
}

fn relate(
    pair: &dyn Pair,
    source: &[RemoteRef],
    mirror: &[RemoteRef],
    differing: &[RefPair],
    awaited: &[ObjectId],
) -> Result<Relation> {
    pair.relate(&Relate { source, mirror, differing, awaited })
}

/// To compare nothing would be to call it in sync for ever.
fn nothing_meant(patterns: &[RefPattern], example: &str) -> Error {
    let patterns: Vec<&str> = patterns.iter().map(RefPattern::as_str).collect();
    Error::not_found(format!("no ref is compared: it has refs such as {example} (expected {})", patterns.join(", ")))
        .remedy("name refs that the source has in `refs` of the [[mirror]]")
}
