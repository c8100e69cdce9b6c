//! All databases that may be asked and passed on: nobody else's name leads anywhere.

use std::sync::Arc;

use super::database::Database;
use super::status::Status;
use crate::error::{Error, Result};
use crate::ports::{Clock, Store, Sumdb};
use crate::spec::database::NamedDatabase;

/// The allow-list, in its order.
#[derive(Default)]
pub struct Databases(Vec<Arc<Database>>);

impl Databases {
    /// `direct` makes what asks a database without a proxy. Blocking.
    pub fn open(
        list: &[NamedDatabase],
        direct: &dyn Fn(&NamedDatabase) -> Result<Arc<dyn Sumdb>>,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Databases> {
        let open =
            |named: &NamedDatabase| Database::open(named, direct(named)?, store.clone(), clock.clone()).map(Arc::new);
        list.iter().map(open).collect::<Result<_>>().map(Databases)
    }

    pub fn all(&self) -> &[Arc<Database>] {
        &self.0
    }

    /// The one that versions are held against.
    pub fn first(&self) -> Option<&Arc<Database>> {
        self.0.first()
    }

    /// `Kind::NotFound` for a name that is not on the list.
    pub fn find(&self, name: &str) -> Result<&Arc<Database>> {
        self.0.iter().find(|database| database.name() == name).ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(|database| database.name()).collect();
            let error = Error::not_found("no such checksum database is passed on").about(format!("sumdb/{name}"));
            match names.is_empty() {
                true => error.remedy("none is: GOSUMDB is off, or [sumdb] databases is empty"),
                false => error.remedy(format!("those of [sumdb] databases are: {}", names.join(", "))),
            }
        })
    }

    pub fn status(&self) -> Vec<Status> {
        self.0.iter().map(|database| database.status()).collect()
    }
}
