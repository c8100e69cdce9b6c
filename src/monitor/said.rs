//! What work on mirrors tells while it runs, a line each.

use serde::{Deserialize, Serialize};

use super::plan::Synced;
use super::status::MirrorStatus;
use crate::ports::Transfer;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// How far a sync is.
    Progress(Transfer),
    /// What came of a check.
    Checked(Box<MirrorStatus>),
    /// The last line of a sync.
    Synced(Box<Synced>),
}
