//! How far a sync is, and whether it is still wanted.

use std::cell::{Cell, RefCell};

use crate::error::{Error, Result};
use crate::ports::Transfer;

/// Who is told of each step, from within callbacks too.
pub struct Steps<'a> {
    told: RefCell<&'a mut dyn FnMut(Transfer) -> bool>,
    is_given_up: Cell<bool>,
}

impl<'a> Steps<'a> {
    pub fn new(told: &'a mut dyn FnMut(Transfer) -> bool) -> Steps<'a> {
        Steps { told: RefCell::new(told), is_given_up: Cell::new(false) }
    }

    /// An error once the work is given up.
    pub fn report(&self, transfer: Transfer) -> Result<()> {
        if !self.is_given_up.get() && !(*self.told.borrow_mut())(transfer) {
            self.is_given_up.set(true);
        }
        self.given_up().map_or(Ok(()), Err)
    }

    /// What there is to say once the work is given up.
    pub fn given_up(&self) -> Option<Error> {
        self.is_given_up.get().then(|| Error::unavailable("given up").about("sync"))
    }
}
