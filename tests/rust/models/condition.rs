use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::condition::{Condition, WaitNotified};
use _oxthreads::primitives::lock::Lock;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::drive;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::spawn;
use crate::support::{block_for_ever, model};

/// A condition with its lock and the state that the lock protects.
struct Monitor {
    lock: Lock,
    condition: Condition,
    state: UnsafeCell<State>,
}

#[derive(Default)]
struct State {
    /// No thread may begin to wait any more.
    closed: bool,
    /// The number of waits that have been notified.
    notified: usize,
}

impl Monitor {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: Lock::new(),
            condition: Condition::new(),
            state: UnsafeCell::default(),
        })
    }

    fn locked<T>(&self, section: impl FnOnce(&Self) -> T) -> T {
        self.acquire();
        let result = section(self);
        self.lock.release().unwrap();
        result
    }

    fn acquire(&self) {
        if !self.lock.try_acquire() {
            block_for_ever(self.lock.acquire());
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        // SAFETY: the caller holds the lock, and loom checks that here.
        self.state.with_mut(|state| look(unsafe { &mut *state }))
    }

    /// Waits as the bindings do: join the list, release the lock, sleep, leave, take the lock again. `None`:
    /// the deadline passed.
    fn wait(
        &self,
        mut waiting: WaitNotified<&Condition>,
        deadline: Deadline,
    ) -> Option<Result<(), FellBack>> {
        let mut held = true;
        let outcome = drive(&mut waiting, deadline, |waiter, deadline| {
            if std::mem::take(&mut held) {
                self.lock.release().unwrap();
            }
            waiter.park(deadline)
        });
        if !held {
            self.acquire();
        }
        match outcome {
            Wait::Ready(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Waits unless the monitor is closed. Returns whether the wait was notified.
    fn wait_unless_closed(&self, deadline: Deadline) -> bool {
        self.locked(|_| {
            if self.with(|state| state.closed) {
                return false;
            }
            match self.wait(self.condition.wait(), deadline) {
                Some(outcome) => assert_eq!(outcome, Ok(())),
                None => return false,
            }
            self.with(|state| state.notified += 1);
            true
        })
    }

    fn close(&self) {
        self.locked(|_| {
            self.with(|state| state.closed = true);
            self.condition.notify_all();
            assert!(self.condition.is_empty());
        });
    }
}

#[test]
fn a_condition_loses_no_notification() {
    model(|| {
        let monitor = Monitor::new();
        let waiter = spawn(&monitor, |monitor| {
            monitor.locked(|_| {
                if !monitor.with(|state| state.closed) {
                    let outcome = monitor.wait(monitor.condition.wait(), Deadline::NEVER);
                    assert_eq!(outcome, Some(Ok(())));
                }
                assert!(monitor.with(|state| state.closed));
            });
        });
        monitor.locked(|_| {
            monitor.with(|state| state.closed = true);
            monitor.condition.notify_one();
        });
        waiter.join().unwrap();
    });
}

#[test]
fn notify_one_wakes_one_and_notify_all_the_rest() {
    model(|| {
        let monitor = Monitor::new();
        let waiters = [(); 2].map(|()| {
            spawn(&monitor, |monitor| {
                monitor.wait_unless_closed(Deadline::NEVER)
            })
        });
        let (waiting, woken) = monitor.locked(|monitor| {
            let waiting = monitor.condition.len();
            let woken = monitor.condition.notify_one();
            assert_eq!(woken, waiting > 0);
            assert_eq!(monitor.condition.len() + usize::from(woken), waiting);
            (waiting, usize::from(woken))
        });
        monitor.locked(|monitor| assert!(monitor.with(|state| state.notified) <= woken));
        monitor.close();
        let notified = waiters.map(|waiter| usize::from(waiter.join().unwrap()));
        assert!(notified.iter().sum::<usize>() >= waiting);
    });
}

#[test]
fn a_wait_that_gives_up_was_notified_or_leaves_the_notification_to_another() {
    model(|| {
        let monitor = Monitor::new();
        let hasty = spawn(&monitor, |monitor| {
            monitor.wait_unless_closed(Deadline::now())
        });
        let patient = spawn(&monitor, |monitor| {
            monitor.wait_unless_closed(Deadline::NEVER)
        });
        let woken = monitor.locked(|monitor| monitor.condition.notify_one());
        let hasty = hasty.join().unwrap();
        if woken && !hasty {
            // The notification went to the patient thread, which needs no other one to end.
            assert!(patient.join().unwrap());
            return;
        }
        assert_eq!(hasty, woken);
        monitor.locked(|monitor| {
            assert_eq!(monitor.with(|state| state.notified), usize::from(hasty));
        });
        monitor.close();
        patient.join().unwrap();
    });
}

#[test]
fn a_condition_that_falls_back_returns_its_waiters_and_refuses_new_waits() {
    model(|| {
        let monitor = Monitor::new();
        let start = |deadline| {
            spawn(&monitor, move |monitor| {
                let waiting = monitor.condition.wait();
                let ticket = waiting.ticket();
                (ticket, monitor.locked(|_| monitor.wait(waiting, deadline)))
            })
        };
        // The condition falls back while this thread does not hold the lock, as in the bindings.
        let (patient, hasty) = (start(Deadline::NEVER), start(Deadline::now()));
        let condition = &monitor.condition;
        let tickets = condition.fall_back().unwrap();
        assert_eq!(condition.fall_back(), None);
        assert!(tickets.is_sorted());
        let notified: Vec<_> = tickets
            .iter()
            .filter(|&&ticket| condition.notify_waiter(ticket))
            .collect();
        for waiter in [patient, hasty] {
            let (ticket, outcome) = waiter.join().unwrap();
            assert_eq!(notified.contains(&&ticket), outcome == Some(Ok(())));
            match outcome {
                Some(Err(FellBack)) => assert!(!tickets.contains(&ticket)),
                // The wait that timed out may have left the list before or after.
                None => {}
                Some(Ok(())) => assert!(tickets.contains(&ticket)),
            }
            assert!(!condition.is_waiting(ticket) && !condition.notify_waiter(ticket));
        }
        assert!(condition.is_empty());
    });
}
