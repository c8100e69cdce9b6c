//! Checksum databases in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::ports::Sumdb;

/// The checksum databases behind a proxy, by address.
#[derive(Default)]
pub struct Ledger {
    records: Mutex<HashMap<String, Bytes>>,
    failure: Mutex<Option<Error>>,
    pub asked: AtomicUsize,
}

impl Ledger {
    pub fn new() -> Arc<Ledger> {
        Arc::default()
    }

    pub fn enter(&self, address: &str, body: impl Into<Bytes>) {
        self.records.lock().expect("lock").insert(address.to_owned(), body.into());
    }

    pub fn fail(&self, error: Option<Error>) {
        *self.failure.lock().expect("lock") = error;
    }
}

#[async_trait]
impl Sumdb for Ledger {
    async fn get(&self, path: &str) -> Result<Bytes> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!path.starts_with("panic."), "as the test wants it");
        if let Some(error) = self.failure.lock().expect("lock").clone() {
            return Err(error);
        }
        self.records.lock().expect("lock").get(path).cloned().ok_or_else(|| Error::not_found("404 Not Found"))
    }
}
