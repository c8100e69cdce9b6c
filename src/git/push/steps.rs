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
        match self.is_given_up.get() {
            true => Err(Error::unavailable("the sync was given up")),
            false => Ok(()),
        }
    }
}
