//! The programming interface, `/api/v1/`: what is said, in JSON. Its fields: docs/protocol.md.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::registry::{Mode, Registry};
use crate::spec::explanation::Explanation;
use crate::spec::path::ModulePath;
use crate::spec::resolution::Fault;
use crate::spec::verdict::{Evidence, Standing};
use crate::spec::version::Version;

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
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    /// Although it is wrong.
    AsAsked,
    RightVersion,
    Refusal,
}

pub async fn verdict(registry: &Registry, module: &ModulePath, version: &Version) -> Result<Vec<u8>> {
    let explanation = registry.explain(module, version).await?;
    let given = given(registry.mode(), &explanation);
    let registered = Registered {
        name: registry.name().to_owned(),
        mode: registry.mode(),
        info: given,
        served_wrong: registry.served_wrong(),
    };
    let answer = Answer { explanation, registry: registered };
    let mut json =
        serde_json::to_vec_pretty(&answer).map_err(|e| Error::internal("a verdict does not serialize").because(e))?;
    json.push(b'\n');
    Ok(json)
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
