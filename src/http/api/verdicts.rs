//! `/api/v1/verdicts/MODULE@VERSION`: what is to be said of a version. Its fields: docs/verdicts.md.

use serde::Serialize;

use super::{Call, Reply};
use crate::error::Result;
use crate::http::route;
use crate::registry::Mode;
use crate::spec::explanation::Explanation;
use crate::spec::resolution::Fault;
use crate::spec::verdict::{Evidence, Standing};

/// A verdict, and what this registry does about it.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    registry: Registered,
}

#[derive(Serialize)]
struct Registered {
    name: String,
    mode: Mode,
    /// What a client gets that asks for the `.info` of a wrong pseudo-version.
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Given>,
    /// How many answers of this registry gave a wrong name as asked, since the start.
    served_wrong: u64,
    /// The rule that denies it by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    /// Although it is wrong.
    AsAsked,
    RightVersion,
    Refusal,
}

pub async fn verdict(call: Call) -> Result<Reply> {
    let (module, version) = route::module_version(call.name("subject"))?;
    let registry = &call.counter()?.registry;
    let explanation = registry.explain_within(&module, &version, call.reach).await?;
    let given = given(registry.mode(), &explanation);
    let registered = Registered {
        name: registry.name().to_owned(),
        mode: registry.mode(),
        info: given,
        served_wrong: registry.served_wrong(),
        denied_by: registry.denied_by(&module, &version),
    };
    Reply::json(&Answer { explanation, registry: registered })
}

/// Modes are for what the history shows to be wrong; what another proxy answers is passed on as it is.
fn given(mode: Mode, explanation: &Explanation) -> Option<Given> {
    let verdict = &explanation.verdict;
    let from_git = verdict.evidence.iter().any(|evidence| matches!(evidence, Evidence::Git { .. }));
    let is_ruled = |fault: &Fault| !matches!(fault, Fault::GoModDiffers { .. } | Fault::IncompatibleMissing);
    let ruled = explanation.parts.is_some() && verdict.faults.iter().all(is_ruled);
    if verdict.standing != Standing::Wrong || !from_git || !ruled {
        return None;
    }
    Some(match mode {
        Mode::Strict => Given::Refusal,
        Mode::Rewrite => Given::RightVersion,
        Mode::Legacy => Given::AsAsked,
    })
}
