//! What the members of a walk have said, and which of it the client is told.

use super::cached::Reach;
use super::walk::{Judgement, Member, OnFailure};
use crate::error::{Error, Kind, Result};

/// What the members have said so far.
pub(super) struct Tally {
    subject: String,
    reach: Reach,
    asked: Vec<String>,
    /// Of a member whose failure lets the walk go on.
    failure: Option<Error>,
    absence: Option<(Telling, Error)>,
}

/// How much an absence tells; more is greater. The go command too prefers what it found out itself
/// to what a proxy says.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Telling {
    /// It is about a version, so the module is there.
    about_version: bool,
    judged: bool,
    remedy: bool,
}

impl Tally {
    pub fn new(subject: String, reach: Reach) -> Tally {
        Tally { subject, reach, asked: Vec::new(), failure: None, absence: None }
    }

    /// Takes note of an error that lets the walk go on; gives back one that ends it.
    pub fn note(&mut self, member: &Member, error: Error) -> Result<()> {
        let name = member.source.name();
        self.asked.push(name.to_owned());
        if error.is_absence() {
            let telling = Telling {
                about_version: error.subject().is_some_and(|subject| subject.contains('@')),
                judged: member.judgement == Judgement::Own,
                remedy: !error.remedies().is_empty(),
            };
            if self.absence.as_ref().is_none_or(|(most, _)| telling > *most) {
                self.absence = Some((telling, error));
            }
            return Ok(());
        }
        // Only what an upstream did may be walked around; our own trouble and a wrong name may not.
        let elsewhere = matches!(error.kind(), Kind::BadGateway | Kind::Forbidden);
        if !elsewhere {
            return Err(error.about(&self.subject));
        }
        let error = self.retell(&error, error.kind(), format!("upstream {name}: {}", error.chain()));
        if member.on_failure == OnFailure::Stop {
            return Err(error);
        }
        self.failure.get_or_insert(error);
        Ok(())
    }

    /// What the client is told when nobody answered. A failure is never called an absence.
    pub fn end(self) -> Error {
        if let Some(failure) = self.failure {
            return failure;
        }
        match &self.absence {
            Some((_, error)) => {
                let what = match self.reach {
                    Reach::Upstream => format!("{} (asked {})", error.chain(), self.asked.join(", ")),
                    Reach::Cache => error.chain(),
                };
                self.retell(error, Kind::NotFound, what)
            }
            None => Error::not_found("no upstream of this registry serves this module path").about(&self.subject),
        }
    }

    fn retell(&self, error: &Error, kind: Kind, what: String) -> Error {
        let mut told = Error::new(kind, what).about(error.subject().unwrap_or(&self.subject));
        for line in error.remedies() {
            told = told.remedy(line);
        }
        match error.delay() {
            Some(delay) => told.retry_after(delay),
            None => told,
        }
    }
}
