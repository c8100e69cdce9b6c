//! One at a time for each key: who waited finds what the one before kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// So many keys are remembered before those that nobody holds are forgotten.
const REMEMBERED: usize = 1024;

#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// Dropping it lets the next one in.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Turns {
    pub async fn take(&self, key: &str) -> Turn {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() >= REMEMBERED {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            turns.entry(key.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }
}
