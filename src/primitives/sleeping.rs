//! A wait that only its time ends.

use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{Operation, Parked, Waiter};

/// A thread's sleep, until its deadline.
pub struct Sleeping;

impl Operation for Sleeping {
    type Output = ();

    fn resource(&self) -> Resource {
        Resource {
            what: "sleep",
            address: 0,
            owner: None,
        }
    }

    fn attempt(&mut self, _waiter: &Arc<Waiter>) -> Option<()> {
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        None
    }
}
