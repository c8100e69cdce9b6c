//! Verdicts on what another proxy serves: its own answer for the revision, then the checksum database's, then
//! git where a member may serve the path from there.

use super::cached::Reach;
use super::member::{Judgement, Member};
use super::verdict::Finding;
use super::walk::Registry;
use crate::error::{Error, Kind, Result};
use crate::spec::form;
use crate::spec::info::{Info, ObjectId, is_hex};
use crate::spec::path::{self, ModulePath};
use crate::spec::pseudo::{self, PseudoVersion};
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::reason::Rule;
use crate::spec::resolution::Fault;
use crate::spec::verdict::Evidence;
use crate::spec::version::Version;

/// What a proxy answers for a version: itself, or that there is no such.
type Answered = std::result::Result<Info, Error>;

/// The fewest digits that a proxy can be asked for.
const FEWEST_DIGITS: usize = 7;

impl Registry {
    pub(super) async fn believed(&self, member: &Member, module: &ModulePath, version: &Version) -> Result<Finding> {
        let as_asked = present(ask(member, module, Query::Version(version.clone())).await)?;
        let upstream = Evidence::Upstream { name: member.source.name().to_owned() };
        let Some(pseudo) = PseudoVersion::parse(version.as_str()) else {
            let (faults, canonical) = (form::faults(module, version), Some(as_asked?));
            return Ok(Finding { faults, canonical, evidence: vec![upstream], history: None });
        };
        let named = revision(member, module, &pseudo).await?;
        let refusal = match (&as_asked, &named) {
            (Err(absence), None) => return Err(absence.clone()),
            (Err(absence), Some(_)) => Some(absence.chain()),
            (Ok(_), _) => None,
        };
        let finding = Finding {
            faults: faults(module, version, &pseudo, named.as_ref()),
            canonical: named,
            evidence: vec![upstream],
            history: None,
        };
        let is_canonical = finding.canonical.as_ref().is_some_and(|info| info.version == version.as_str());
        if is_canonical || !finding.faults.is_empty() {
            return Ok(finding);
        }
        self.confirmed(member, module, version, finding, refusal).await
    }

    /// Looks for a witness of a version whose time and revision are right: its base may still be wrong.
    async fn confirmed(
        &self,
        member: &Member,
        module: &ModulePath,
        version: &Version,
        mut finding: Finding,
        refusal: Option<String>,
    ) -> Result<Finding> {
        let recorded = self.recorded(module, version).await;
        finding.evidence.extend(recorded.as_ref().map(|(evidence, _)| evidence.clone()));
        if matches!(recorded, Some((Evidence::ChecksumDatabase { accepted: true, .. }, _))) {
            return Ok(finding);
        }
        for other in self.members.iter().filter(|m| m.judgement == Judgement::Own && m.may_serve(module)) {
            if let Ok(Some(examination)) = other.source.examine(module, version).await {
                let from_git = Finding::from(examination);
                let evidence = finding.evidence.into_iter().chain(from_git.evidence).collect();
                return Ok(Finding { evidence, ..from_git });
            }
        }
        if let Some(why) = refusal {
            finding.faults.push(Fault::Refused { by: format!("upstream {}", member.source.name()), why });
            return Ok(finding);
        }
        if let Some((Evidence::ChecksumDatabase { name, .. }, why)) = recorded {
            // A database that does not know the right version either knows nothing of the module.
            let right = finding.canonical.as_ref().and_then(|info| Version::parse(&info.version));
            let known = match &right {
                Some(right) => self.recorded(module, right).await,
                None => None,
            };
            if matches!(known, Some((Evidence::ChecksumDatabase { accepted: true, .. }, _))) {
                finding.faults.push(Fault::Refused { by: name, why });
            }
        }
        Ok(finding)
    }

    /// Whether the checksum database has a record, and its words if not; `None` if it could not be asked.
    async fn recorded(&self, module: &ModulePath, version: &Version) -> Option<(Evidence, String)> {
        let database = self.database.as_ref()?;
        if path::matches_patterns(&database.not_modules, module.as_str()) {
            return None;
        }
        // A proxy that does not hand the database through says nothing of the version.
        database.records.get(&format!("{}/supported", database.name)).await.ok()?;
        let path = format!("{}/lookup/{}@{}", database.name, module.escaped(), version.escaped());
        let (accepted, why) = match database.records.get(&path).await {
            Ok(_) => (true, String::new()),
            Err(error) if error.is_absence() => (false, error.chain()),
            Err(_) => return None,
        };
        Some((Evidence::ChecksumDatabase { name: database.name.clone(), accepted }, why))
    }
}

async fn ask(member: &Member, module: &ModulePath, query: Query) -> Result<Info> {
    let entry = member.source.ask(module, &Question::Info(query), Reach::Upstream).await?;
    Ok(entry.into_resolution()?.right)
}

/// Tells a refusal from a failure: a proxy may lack a version, forbid it, or name another in its place.
fn present(answer: Result<Info>) -> Result<Answered> {
    match answer {
        Err(error) if !error.is_absence() && !matches!(error.kind(), Kind::Forbidden | Kind::Wrong) => Err(error),
        answer => Ok(answer),
    }
}

/// What the proxy says that the revision is.
async fn revision(member: &Member, module: &ModulePath, pseudo: &PseudoVersion) -> Result<Option<Info>> {
    let digits: String = pseudo.revision().to_ascii_lowercase().chars().take(ObjectId::SHORT).collect();
    if digits.len() < FEWEST_DIGITS || !is_hex(&digits) {
        return Ok(None);
    }
    Ok(present(ask(member, module, Query::Revision(digits)).await)?.ok())
}

/// What is wrong with a version by its form, and by what its revision is.
fn faults(module: &ModulePath, version: &Version, pseudo: &PseudoVersion, named: Option<&Info>) -> Vec<Fault> {
    let mut faults = form::faults(module, version);
    let Some(info) = named else { return faults };
    let right = PseudoVersion::parse(&info.version);
    let hash = info.origin.as_ref().map(|origin| origin.hash.as_str()).filter(|hash| hash.len() > ObjectId::SHORT);
    let short = hash.map(|hash| hash[..ObjectId::SHORT].to_owned());
    let short = short.or_else(|| right.as_ref().map(|right| right.revision().to_owned()));
    if let Some(short) = short {
        faults.retain(|fault| fault.rule() != Rule::Revision);
        let at = faults.iter().take_while(|fault| !is_about_pseudo(fault)).count();
        faults.splice(at..at, form::revision_faults(pseudo, Some(&short)));
    }
    let expected = match (&right, info.time) {
        (Some(right), _) => Some(right.timestamp().to_owned()),
        (None, Some(time)) => Some(pseudo::timestamp(time)),
        (None, None) => None,
    };
    if let Some(expected) = expected.filter(|expected| expected != pseudo.timestamp()) {
        let found = pseudo.timestamp().to_owned();
        faults.retain(|fault| !matches!(fault, Fault::TimeMalformed { .. }));
        faults.push(match pseudo.time() {
            Some(_) => Fault::TimeDiffers { found, expected, note: None },
            None => Fault::TimeMalformed { found, expected },
        });
    }
    if let Ok(Some(base)) = pseudo.base()
        && base == info.version
    {
        faults.push(Fault::BaseOnRevision { tag: base, revision: pseudo.revision().to_owned() });
    }
    faults
}

fn is_about_pseudo(fault: &Fault) -> bool {
    matches!(fault.rule(), Rule::Revision | Rule::Time | Rule::Base)
}
