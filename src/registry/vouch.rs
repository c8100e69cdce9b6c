//! Which versions a checksum database may be asked for.

use super::member::{Judgement, Member};
use super::order::Order;
use super::walk::Registry;
use super::{Mode, Question, Reach};
use crate::error::{Error, Kind, Result};
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::scope;
use crate::spec::version::Version;
use crate::vet::mode::{Policy, Wanted};

impl Registry {
    /// Whether a checksum database may be asked for a version: not for a wrong name, unless the mode
    /// lets wrong names pass as they are.
    pub async fn vouch(&self, module: &ModulePath, version: &Version, reach: Reach) -> Result<()> {
        // Its name would be asked for outside.
        self.refuse_by_name(module, version)?;
        let believed = |m: &&Member| m.judgement == Judgement::Believed;
        let barred = self.members.iter().any(|m| believed(&m))
            && !self.members.iter().filter(believed).any(|m| m.may_serve(module));
        if barred {
            return Err(scope::private(module));
        }
        let judges = self.members.iter().any(|m| m.judgement == Judgement::Own && m.may_serve(module));
        if self.policy.mode == Mode::Legacy || !version.is_pseudo() || !judges {
            return Ok(());
        }
        let question = Question::Info(Query::Version(version.clone()));
        let mut order = Order::begin(self, module, &question, reach).await?;
        if order.bound().is_some_and(|(at, _)| self.members[at].judgement == Judgement::Believed) {
            return Ok(());
        }
        while let Some(at) = order.next() {
            match self.members[at].source.ask(module, &question, reach).await {
                Ok(entry) => {
                    let ruled = Policy::from(Mode::Strict).rule(module, entry.into_resolution()?, Wanted::Info);
                    return ruled.map(drop).map_err(into_absence);
                }
                Err(error) => match order.note(at, error) {
                    Ok(()) => {}
                    // Who is bound to the module does not know the version: that is for the database to say.
                    Err(error) if error.is_absence() => return Ok(()),
                    // Another modvet, in strict mode, says the same of a wrong name as we do.
                    Err(error) => return Err(into_absence(error)),
                },
            }
        }
        match order.end() {
            // Nobody here knows the module: that is for the database to say.
            error if error.is_absence() => Ok(()),
            error => Err(error),
        }
    }
}

/// The same words for a checksum database, which has no record of a wrong name.
fn into_absence(error: Error) -> Error {
    if error.kind() != Kind::Wrong {
        return error;
    }
    let mut absence = Error::not_found(error.what());
    for line in error.remedies() {
        absence = absence.remedy(line);
    }
    if let Some(right) = error.right_version() {
        absence = absence.right(right);
    }
    if let Some(said) = error.speaker() {
        absence = absence.said(said.clone());
    }
    match error.subject() {
        Some(subject) => absence.about(subject),
        None => absence,
    }
}
