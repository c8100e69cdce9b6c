//! What the members of a walk have said, and which of it the client is told.

use std::time::Duration;

use super::entry::Freshness;
use super::member::{Judgement, Member, OnFailure};
use super::walk::Registry;
use super::{Question, Reach};
use crate::error::{Error, Kind, Result, Said};
use crate::spec::path::ModulePath;

/// What the members have said so far.
pub(super) struct Tally<'r> {
    // A warm answer must not pay for the words of a refusal: they are made when they are needed.
    registry: &'r Registry,
    module: &'r ModulePath,
    question: &'r Question,
    reach: Reach,
    asked: Vec<String>,
    /// Since the absences were said, if all of them were said before.
    remembered: Option<Duration>,
    /// Of a member whose failure lets the walk go on.
    failure: Option<Error>,
    absence: Option<(Telling, Error)>,
}

/// Who was asked.
enum Who {
    /// All that may serve the path.
    All,
    /// Only the one that the module is bound to.
    Bound,
}

/// Names beyond this many bytes do not stand on the first line: the go command shows it whole or not at all.
const ON_ONE_LINE: usize = 160;
const LINE: usize = 100;

/// How much an absence tells; more is greater. The go command too prefers what it found out itself
/// to what a proxy says.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Telling {
    /// It is about a version, so the module is there.
    about_version: bool,
    judged: bool,
    remedy: bool,
}

impl<'r> Tally<'r> {
    pub fn new(registry: &'r Registry, module: &'r ModulePath, question: &'r Question, reach: Reach) -> Tally<'r> {
        Tally { registry, module, question, reach, asked: Vec::new(), remembered: None, failure: None, absence: None }
    }

    /// Takes note of an error that lets the walk go on; gives back one that ends it. `age`: since it was said, if
    /// nobody was asked for it now.
    pub fn note(&mut self, member: &Member, error: Error, age: Option<Duration>) -> Result<()> {
        let name = member.name();
        if error.is_absence() {
            let telling = Telling {
                about_version: error.subject().is_some_and(|subject| subject.contains('@')),
                judged: member.judgement == Judgement::Own,
                remedy: !error.remedies().is_empty(),
            };
            self.remembered = match self.asked.is_empty() {
                true => age,
                false => self.remembered.zip(age).map(|(one, other)| one.max(other)),
            };
            self.asked.push(name.to_owned());
            if self.absence.as_ref().is_none_or(|(most, _)| telling > *most) {
                self.absence = Some((telling, error));
            }
            return Ok(());
        }
        self.asked.push(name.to_owned());
        self.remembered = None;
        let said = Said { upstream: name.to_owned(), cache: Freshness::Absent.as_str(), age: Duration::ZERO };
        if !is_elsewhere(error.kind()) {
            return Err(error.about(self.subject()).said(said));
        }
        let ends = member.on_failure == OnFailure::Stop || error.is_conclusive();
        let error = self.retell(&error, error.kind(), format!("upstream {name}: {}", error.chain())).said(said);
        if ends {
            return Err(error);
        }
        self.failure.get_or_insert(error);
        Ok(())
    }

    /// What the client is told when nobody answered. A failure is never called an absence.
    pub fn end(mut self) -> Error {
        match self.failure.take() {
            Some(failure) => failure,
            None => self.absent(Who::All),
        }
    }

    /// What the client is told when the one member that the module is bound to has no answer.
    pub fn bound(&self) -> Error {
        // Where nobody else may be asked it makes no difference.
        let others = self.registry.members.iter().filter(|member| member.may_serve(self.module)).count() > 1;
        self.absent(if others { Who::Bound } else { Who::All })
    }

    /// The most telling absence, and who was asked.
    fn absent(&self, who: Who) -> Error {
        let Some((_, error)) = &self.absence else {
            return Error::not_found("no upstream of this registry serves this module path").about(self.subject());
        };
        if self.reach == Reach::Cache {
            // Nobody was asked.
            return self.retell(error, Kind::NotFound, error.chain());
        }
        let names = self.asked.join(", ");
        let (asked, lines) = match who {
            Who::Bound => (format!("asked {names}, which the module is bound to"), self.way_out()),
            Who::All if names.len() > ON_ONE_LINE => {
                (format!("asked {} upstreams", self.asked.len()), in_lines(&self.asked))
            }
            Who::All => (format!("asked {names}"), Vec::new()),
        };
        let told = self.retell(error, Kind::NotFound, format!("{} ({asked})", error.chain()));
        lines.into_iter().fold(told, Error::remedy).said(self.said())
    }

    fn subject(&self) -> String {
        self.question.subject(self.module)
    }

    /// How somebody gets out of a binding.
    fn way_out(&self) -> Vec<String> {
        let registry = match self.registry.name() {
            "default" => String::new(),
            name => format!("--registry {name} "),
        };
        vec![
            format!("to have all asked anew: modvet cache rm {registry}--binding {}", self.module),
            "to say whose it is: name it in the `modules` and `not_modules` of the upstreams".to_owned(),
        ]
    }

    fn said(&self) -> Said {
        let freshness = if self.remembered.is_some() { Freshness::Fresh } else { Freshness::Absent };
        Said { upstream: self.asked.join(", "), cache: freshness.as_str(), age: self.remembered.unwrap_or_default() }
    }

    fn retell(&self, error: &Error, kind: Kind, what: String) -> Error {
        let mut told = Error::new(kind, what).about(error.subject().unwrap_or(&self.subject()));
        for line in error.remedies() {
            told = told.remedy(line);
        }
        match error.delay() {
            Some(delay) => told.retry_after(delay),
            None => told,
        }
    }
}

/// Only what an upstream did may be walked around; our own trouble and a wrong name may not.
pub(super) fn is_elsewhere(kind: Kind) -> bool {
    matches!(kind, Kind::BadGateway | Kind::Forbidden)
}

/// Names in lines of some length.
fn in_lines(names: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut().filter(|line| line.len() + name.len() < LINE) {
            Some(line) => *line = format!("{line}, {name}"),
            None => lines.push(format!("asked {name}")),
        }
    }
    lines
}
