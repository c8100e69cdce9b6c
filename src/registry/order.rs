//! The order in which a walk asks the members, the same for every walk of a registry: who is bound to the module
//! path alone, else who keeps the answer, else one after the other.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::binding::Binding;
use super::cached::blocking;
use super::member::Member;
use super::tally::Tally;
use super::walk::Registry;
use super::{Question, Reach};
use crate::error::{Error, Result};
use crate::spec::path::ModulePath;

/// One walk: whose turn it is, and what was said so far.
pub(super) struct Order<'r> {
    registry: &'r Registry,
    module: &'r ModulePath,
    question: &'r Question,
    reach: Reach,
    turn: Turn,
    /// What was written down of the module when the walk began.
    seen: Option<Arc<Binding>>,
    /// The member that this holds to.
    bound: Option<usize>,
    /// A failure lies behind: what is answered now may be answered otherwise soon.
    passed_failure: bool,
    started: DateTime<Utc>,
    tally: Tally<'r>,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Bound(usize),
    /// It keeps the answer, and those before it need not be asked.
    Keeper(usize),
    /// The first one from here that may be asked.
    From(usize),
}

/// A binding that was made because an upstream did not answer holds so long.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);

impl<'r> Order<'r> {
    pub async fn begin(
        registry: &'r Registry,
        module: &'r ModulePath,
        question: &'r Question,
        reach: Reach,
    ) -> Result<Order<'r>> {
        let started = registry.book.now();
        let seen = registry.book.find(module).await?;
        let bound = seen.as_ref().and_then(|binding| registry.holds(module, binding, started));
        let tally = Tally::new(registry, module, question, reach);
        let turn = bound.map_or(Turn::From(0), Turn::Bound);
        let mut order =
            Order { registry, module, question, reach, turn, seen, bound, passed_failure: false, started, tally };
        if bound.is_none()
            && let Some(keeper) = order.keeper().await?
        {
            order.turn = Turn::Keeper(keeper);
        }
        Ok(order)
    }

    /// The member that is asked next.
    pub fn next(&mut self) -> Option<usize> {
        match self.turn {
            Turn::Bound(at) | Turn::Keeper(at) => Some(at),
            Turn::From(from) => {
                let was_asked = |at: usize| self.bound == Some(at);
                let at = (from..self.registry.members.len()).find(|at| !was_asked(*at) && self.may_ask(*at))?;
                self.turn = Turn::From(at);
                Some(at)
            }
        }
    }

    /// Takes note of what the member at `at` said instead of an answer; gives it back where that ends the walk.
    pub fn note(&mut self, at: usize, error: Error) -> Result<()> {
        let member = &self.registry.members[at];
        let age = self.remembered(at);
        let is_absence = error.is_absence();
        match self.turn {
            // It was to be quick about it and was not: now all are asked.
            Turn::Keeper(_) if is_absence => self.turn = Turn::From(0),
            Turn::Keeper(_) => {
                self.turn = Turn::From(0);
                Tally::new(self.registry, self.module, self.question, self.reach).note(member, error, age)?;
            }
            Turn::Bound(_) => {
                self.tally.note(member, error, age)?;
                let passing = self.seen.as_deref().is_some_and(|binding| binding.until.is_some());
                self.turn = match (is_absence, passing) {
                    (true, false) => return Err(self.tally.bound()),
                    // Those before it were out of reach, which is no absence: now they are asked too.
                    (true, true) => Turn::From(0),
                    (false, _) => Turn::From(at + 1),
                };
            }
            Turn::From(_) => {
                self.tally.note(member, error, age)?;
                self.passed_failure |= !is_absence;
                self.turn = Turn::From(at + 1);
            }
        }
        Ok(())
    }

    /// Since the member at `at` said that it has no answer, if it was not asked again.
    pub fn remembered(&self, at: usize) -> Option<Duration> {
        let since = self.registry.members[at].source.absent_since(self.module, self.question)?;
        (self.started - since).to_std().ok().filter(|age| !age.is_zero())
    }

    /// Whether it is the turn of one that keeps the answer.
    pub fn is_keeper(&self) -> bool {
        matches!(self.turn, Turn::Keeper(_))
    }

    /// What the client is told when nobody answered.
    pub fn end(self) -> Error {
        self.tally.end()
    }

    /// The member that the module is bound to.
    pub fn bound(&self) -> Option<(usize, &Binding)> {
        Some((self.bound?, self.seen.as_deref()?))
    }

    /// Binds the module to the member that answered with a version. `false` where it was bound to another one
    /// meanwhile: then that one has to be asked.
    pub async fn bind(&self, at: usize) -> Result<bool> {
        // What is answered without asking says nothing of who would answer.
        if self.bound.is_some() || self.reach == Reach::Cache {
            return Ok(true);
        }
        let registry = self.registry;
        let before = registry.members[..at].iter().filter(|member| member.may_serve(self.module));
        let binding = Binding {
            upstream: Some(registry.members[at].shelf().to_owned()),
            since: self.started,
            above: before.map(|member| member.shelf().to_owned()).collect(),
            until: self.passed_failure.then(|| self.started + AFTER_FAILURE),
        };
        let stands = registry.book.bind(self.module, self.seen.clone(), binding).await?;
        let holder = stands.and_then(|binding| registry.holds(self.module, &binding, self.started));
        Ok(holder.is_none_or(|holder| holder == at))
    }

    fn may_ask(&self, at: usize) -> bool {
        self.registry.members[at].may_serve(self.module) && (self.reach == Reach::Upstream || self.may_jump(at))
    }

    /// Whether what a member keeps may be given without asking those before it. Where others keep answers with it,
    /// or a binding has lapsed, those have to be barred or to have said that they have none: else a private name
    /// would be answered by a stranger.
    pub fn may_jump(&self, at: usize) -> bool {
        let members = &self.registry.members;
        let is_out = |m: &Member| !m.may_serve(self.module) || m.source.is_lately_absent(self.module, self.question);
        (!members[at].shared && self.seen.is_none()) || members[..at].iter().all(is_out)
    }

    /// The first member that keeps the answer and may give it at once.
    async fn keeper(&self) -> Result<Option<usize>> {
        let members = self.registry.members.iter().enumerate();
        let asked: Vec<_> = members.filter(|(_, member)| member.may_serve(self.module)).collect();
        if asked.len() < 2 {
            return Ok(None);
        }
        let peeks: Vec<_> = asked
            .iter()
            .filter(|(at, _)| self.may_jump(*at))
            .map(|(at, member)| (*at, member.source.peek(self.module, self.question)))
            .collect();
        blocking(move || {
            for (at, peek) in peeks {
                if peek.look()?.is_some() {
                    return Ok(Some(at));
                }
            }
            Ok(None)
        })
        .await
    }
}

impl Registry {
    /// The member that a binding holds to; `None` where it has lapsed, because its upstream is gone, may not serve
    /// the path any more, or stands below one that it did not stand below when it answered.
    pub(super) fn holds(&self, module: &ModulePath, binding: &Binding, now: DateTime<Utc>) -> Option<usize> {
        let shelf = binding.upstream.as_deref()?;
        if binding.until.is_some_and(|until| now >= until) {
            return None;
        }
        let at = self.members.iter().position(|member| member.shelf() == shelf && member.may_serve(module))?;
        let is_known = |member: &Member| binding.above.iter().any(|above| above == member.shelf());
        self.members[..at].iter().all(|member| is_known(member) || !member.may_serve(module)).then_some(at)
    }
}
