//! The Python methods that Rust calls by name.
//!
//! Each Python class derives from its native half, and Rust calls these methods on its objects. To rename one,
//! change it here and in the Python class.
//!
//! Rust also imports some Python functions and classes by name: see `lazy_imports!` in the files of the classes.

/// What the names of these methods, and other private names on public classes, begin with. No program uses it for its
/// own names.
pub(super) const PREFIX: &str = "_oxthreads_";

/// `()`, of every class with a native half: makes the attributes that the standard class would have made, and
/// passes them to `_oxthreads_hand_over` of the native half. Does nothing if the object has fallen back.
pub(super) const FALL_BACK: &str = "_oxthreads_fall_back";

/// `(index, seconds or None)`, of `Barrier`: continues a wait that began before the fall back. Returns the index.
pub(super) const WAIT_ON: &str = "_oxthreads_wait_on";
/// `()`, of `Barrier`: ends a wait that began before the fall back, because something was raised in it.
pub(super) const WITHDRAW: &str = "_oxthreads_withdraw";

/// `(items, block, seconds or None, number of items put before)`, of `Queue`: the rest of a `put_many`, by `put`.
pub(super) const PUT_ONE_BY_ONE: &str = "_oxthreads_put_one_by_one";
/// `(maximum, block, seconds or None)`, of `Queue`: a `get_many` by `get`. Returns the list of items.
pub(super) const GET_ONE_BY_ONE: &str = "_oxthreads_get_one_by_one";

/// `(block, seconds or None)`, of `Queue`: `peek` of a queue that has fallen back.
pub(super) const PEEK: &str = "_oxthreads_peek";
/// `()`, of `Queue`: `clear` of a queue that has fallen back. Returns the number of items.
pub(super) const CLEAR: &str = "_oxthreads_clear";

/// `()`, of `ThreadPoolExecutor`: raises what the standard `submit` raises for a pool that accepts no calls, or
/// opens the pool again if the reason for that is gone.
pub(super) const REFUSE: &str = "_oxthreads_refuse";
/// `()`, of `ThreadPoolExecutor`: starts the worker for which a submission has reserved a place. Returns whether
/// it did.
pub(super) const START_WORKER: &str = "_oxthreads_start_worker";

/// `(thread)`, of `Place`: makes sure that nothing waits for a thread that was killed before it was a worker.
pub(super) const GIVE_UP: &str = "give_up";
/// `(worker)`, of `Place`: runs as the worker. Returns whether the thread may continue if calls have arrived
/// meanwhile.
pub(super) const WORK: &str = "work";
/// `()`, of `Place`: starts another worker, if one is needed, in the place of this one, which was killed.
pub(super) const REPLACE: &str = "replace";
/// `(error)`, of `Place`: logs what has ended the worker.
pub(super) const LOG: &str = "log";
