//! A witness in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::h1_of;
use crate::error::{Error, Result};
use crate::ports::{ReleasedFile, Testimony, Witness};
use crate::spec::path::ModulePath;
use crate::spec::version::Version;

/// The checksum database `sum.test`.
#[derive(Default)]
pub struct Notary {
    records: Mutex<HashMap<(String, ReleasedFile), String>>,
    asked: Mutex<Vec<String>>,
    /// Whether it is out of reach.
    pub is_gone: AtomicBool,
    /// Whether it contradicts itself.
    pub is_forked: AtomicBool,
    /// Whether all modules are private.
    pub is_private: AtomicBool,
    gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Notary {
    pub fn new() -> Arc<Notary> {
        Arc::default()
    }

    /// Enters a file by its content; `subject` is `MODULE@VERSION`.
    pub fn enter(&self, subject: &str, file: ReleasedFile, content: &[u8]) {
        self.records.lock().expect("lock").insert((subject.to_owned(), file), h1_of(content));
    }

    /// From now on every question waits for a permit.
    pub fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().expect("lock") = Some(gate.clone());
        gate
    }

    /// What went out, in order; nothing is asked of a private module.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

#[async_trait]
impl Witness for Notary {
    async fn testify(&self, module: &ModulePath, version: &Version, file: ReleasedFile, h1: &str) -> Result<Testimony> {
        let subject = format!("{module}@{version}");
        if self.is_private.load(Ordering::SeqCst) {
            return Ok(Testimony::Exempt { why: "private".to_owned() });
        }
        self.asked.lock().expect("lock").push(format!("{subject} {file:?}"));
        let gate = self.gate.lock().expect("lock").clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("never closed").forget();
        }
        if self.is_gone.load(Ordering::SeqCst) {
            return Ok(Testimony::Unverified { why: "sum.test: connection refused".to_owned() });
        }
        if self.is_forked.load(Ordering::SeqCst) {
            return Err(Error::bad_gateway("sum.test contradicts itself").conclusive());
        }
        let known = self.records.lock().expect("lock").get(&(subject, file)).cloned();
        match known {
            None => Ok(Testimony::Unverified { why: "sum.test has no record".to_owned() }),
            Some(known) if known == h1 => Ok(Testimony::Verified { database: "sum.test".to_owned() }),
            Some(known) => Ok(Testimony::Refuted { database: "sum.test".to_owned(), h1: known }),
        }
    }
}
