//! Verdicts over a registry's members: which member knows, and what it rests on.

use super::cached::Reach;
use super::member::{Judgement, Member};
use super::order::Order;
use super::walk::Registry;
use crate::error::Result;
use crate::spec::examination::{Examination, History};
use crate::spec::explanation::Explanation;
use crate::spec::form;
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::pseudo::PseudoVersion;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Fault;
use crate::spec::verdict::{Evidence, Standing, Verdict};
use crate::spec::version::Version;

/// What a member knows of a version.
pub(super) struct Finding {
    pub faults: Vec<Fault>,
    pub canonical: Option<Info>,
    pub evidence: Vec<Evidence>,
    pub history: Option<History>,
}

impl Registry {
    /// What is to be said of a version. What is unknown or cannot be found out is
    /// `Standing::Unverifiable`.
    pub async fn verdict(&self, module: &ModulePath, version: &Version) -> Result<Verdict> {
        Ok(self.explain(module, version).await?.verdict)
    }

    /// The same with the history and every reason in words.
    pub async fn explain(&self, module: &ModulePath, version: &Version) -> Result<Explanation> {
        self.explain_within(module, version, Reach::Upstream).await
    }

    /// The same out of what is kept alone, where `reach` says so: then nobody looks at the history.
    pub async fn explain_within(&self, module: &ModulePath, version: &Version, reach: Reach) -> Result<Explanation> {
        let mut verdict = Verdict {
            module: module.to_string(),
            version: version.to_string(),
            standing: Standing::Unverifiable,
            canonical: None,
            faults: Vec::new(),
            why: None,
            evidence: vec![Evidence::Syntax],
            drift: self.told_drift(module, version, reach).await?,
        };
        let finding = match self.find_out(module, version, reach).await {
            Ok(finding) => finding,
            Err(error) => {
                // What cannot be right whatever the history says is wrong, be the right one known or not.
                verdict.faults = form::faults(module, version);
                if !verdict.faults.is_empty() {
                    verdict.standing = Standing::Wrong;
                }
                verdict.why = Some(error.chain());
                return Ok(Explanation::new(verdict, None));
            }
        };
        let is_canonical = finding.canonical.as_ref().is_some_and(|info| info.version == version.as_str());
        verdict.standing = match (finding.faults.is_empty(), is_canonical) {
            (false, _) => Standing::Wrong,
            (true, true) => Standing::Canonical,
            (true, false) => Standing::Valid,
        };
        verdict.canonical = finding.canonical;
        verdict.faults = finding.faults;
        verdict.evidence.extend(finding.evidence);
        Ok(Explanation::new(verdict, finding.history))
    }

    /// Walks over the members as a request for the version would.
    async fn find_out(&self, module: &ModulePath, version: &Version, reach: Reach) -> Result<Finding> {
        let question = Question::Info(Query::Version(version.clone()));
        let mut order = Order::begin(self, module, &question, reach).await?;
        while let Some(at) = order.next() {
            let member = &self.members[at];
            let found = match (reach, member.judgement) {
                (Reach::Cache, _) => resolved(member, module, version, reach).await,
                (Reach::Upstream, Judgement::Own) => self.own(member, module, version).await,
                (Reach::Upstream, Judgement::Believed) => self.believed(member, module, version).await,
            };
            match found {
                Ok(finding) => return Ok(finding),
                Err(error) => order.note(at, error)?,
            }
        }
        Err(order.end())
    }

    /// A member that knows the history.
    async fn own(&self, member: &Member, module: &ModulePath, version: &Version) -> Result<Finding> {
        match member.source.examine(module, version).await {
            Ok(Some(examination)) => Ok(Finding::from(examination)),
            Ok(None) => resolved(member, module, version, Reach::Upstream).await,
            // Out of reach: what was found out before will do.
            Err(error) if !error.is_absence() => {
                resolved(member, module, version, Reach::Cache).await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }
}

impl From<Examination> for Finding {
    fn from(examination: Examination) -> Finding {
        Finding {
            faults: examination.faults,
            canonical: examination.canonical,
            evidence: vec![Evidence::Git { url: examination.url }],
            history: Some(examination.history),
        }
    }
}

/// By what the member answers for the version and for its revision.
async fn resolved(member: &Member, module: &ModulePath, version: &Version, reach: Reach) -> Result<Finding> {
    let ask = |query: Query| {
        let question = Question::Info(query);
        async move { member.source.ask(module, &question, reach).await?.into_resolution() }
    };
    let resolution = ask(Query::Version(version.clone())).await?;
    let url = resolution.right.origin.as_ref().map(|origin| origin.url.clone());
    let evidence = match url {
        Some(url) => Evidence::Git { url },
        None => Evidence::Upstream { name: member.source.name().to_owned() },
    };
    let revision = PseudoVersion::parse(version.as_str()).map(|pseudo| pseudo.revision().to_owned());
    let canonical = match revision {
        Some(revision) if resolution.is_valid() => {
            ask(Query::Revision(revision)).await.ok().map(|resolution| resolution.right)
        }
        _ => Some(resolution.right),
    };
    Ok(Finding { faults: resolution.faults, canonical, evidence: vec![evidence], history: None })
}
