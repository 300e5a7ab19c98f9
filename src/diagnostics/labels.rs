//! The names that a program has given to objects: what metrics tell their waits apart by.
//!
//! The threads that use this are attached to the interpreter, and nothing of Python happens meanwhile. So no thread has
//! the mutex at a fork, and a child keeps the names.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// By the address of the object.
type Labels = HashMap<usize, Arc<str>>;

/// How often a name was given or forgotten.
static VERSION: AtomicU64 = AtomicU64::new(0);

fn labels() -> MutexGuard<'static, Labels> {
    static LABELS: LazyLock<Mutex<Labels>> = LazyLock::new(Mutex::default);
    LABELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most characters of a name that are used.
const LONGEST: usize = 200;

/// Gives the object with this address a name. The name must be [forgotten](forget) before another object has the address.
pub fn set(address: usize, label: &str) {
    let end = label.char_indices().nth(LONGEST);
    let label = end.map_or(label, |(end, _)| &label[..end]);
    labels().insert(address, Arc::from(label));
    VERSION.fetch_add(1, Ordering::Release);
}

/// Forgets the name of the object with this address, and returns it.
pub fn forget(address: usize) -> Option<Arc<str>> {
    if VERSION.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let forgotten = labels().remove(&address);
    if forgotten.is_some() {
        VERSION.fetch_add(1, Ordering::Release);
    }
    forgotten
}

/// The name of the object with this address.
pub fn of(address: usize) -> Option<Arc<str>> {
    if VERSION.load(Ordering::Relaxed) == 0 {
        return None;
    }
    labels().get(&address).cloned()
}

/// A number that changes whenever a name does.
pub(super) fn version() -> u64 {
    VERSION.load(Ordering::Acquire)
}

/// The names that are told apart, no more than so many. The others are called "other".
#[derive(Default)]
pub struct Limited(std::collections::HashSet<Arc<str>>);

/// The most names that one set of metrics tells apart.
pub const MOST_LABELS: usize = 200;

impl Limited {
    /// The name that is used for this one. Without a name, it is empty, which does not count.
    pub fn admit(&mut self, label: Option<Arc<str>>) -> Arc<str> {
        let Some(label) = label.filter(|label| !label.is_empty()) else {
            return Arc::from("");
        };
        if self.0.contains(&label) {
            return label;
        }
        if self.0.len() >= MOST_LABELS {
            return Arc::from("other");
        }
        self.0.insert(Arc::clone(&label));
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_are_one() {
        let mut limited = Limited::default();
        for number in 0..MOST_LABELS {
            let label: Arc<str> = Arc::from(number.to_string());
            assert_eq!(limited.admit(Some(Arc::clone(&label))), label);
        }
        assert_eq!(&*limited.admit(Some(Arc::from("one more"))), "other");
        assert_eq!(&*limited.admit(Some(Arc::from("7"))), "7");
        assert_eq!(&*limited.admit(Some(Arc::from(""))), "");
        assert_eq!(&*limited.admit(None), "");
    }

    #[test]
    fn a_name_lasts_until_it_is_forgotten() {
        let object = 0;
        let address = (&raw const object).addr();
        assert_eq!(of(address), None);
        set(address, "first");
        set(address, "second");
        assert_eq!(of(address).as_deref(), Some("second"));
        let before = version();
        assert_eq!(forget(address).as_deref(), Some("second"));
        assert_ne!(version(), before);
        assert_eq!(of(address), None);
        assert_eq!(forget(address), None);
    }
}
