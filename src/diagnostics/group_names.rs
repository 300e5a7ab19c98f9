//! The names of groups of tasks: what a profile tells their waits and calls apart by.
//!
//! Groups are many, and end soon. So a profile does not count for each of them, but for all of one name together. A name has
//! a number here; zero is none.
//!
//! As for [labels], no thread has a mutex of this at a fork.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::labels;

/// The most names. Groups of others count as one.
pub const MOST_NAMES: usize = 1_000;

#[derive(Default)]
struct Names {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
    /// By the numbers of pools that belong to one group: the address of the pool, and the number of the name of the group.
    own_pools: HashMap<u64, (usize, usize)>,
    /// By the addresses of these pools: their numbers. An address may be that of a later pool.
    own_pool_addresses: HashMap<usize, u64>,
}

impl Names {
    fn number(&mut self, mut name: Arc<str>) -> usize {
        if self.names.len() >= MOST_NAMES && !self.numbers.contains_key(&name) {
            name = Arc::from("other");
        }
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, self.names.len());
        self.names.len()
    }
}

fn names() -> MutexGuard<'static, Names> {
    static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the name of the group with this address.
pub fn of_group(address: usize) -> usize {
    labels::of(address).map_or(0, |name| names().number(name))
}

/// The name with this number.
pub fn name(number: usize) -> Option<Arc<str>> {
    let names = names();
    names.names.get(number.checked_sub(1)?).cloned()
}

/// The pool with this number and this address belongs to the group with that address.
pub fn is_own_pool(pool: u64, pool_address: usize, group_address: usize) {
    let number = of_group(group_address);
    let mut names = names();
    names.own_pools.insert(pool, (pool_address, number));
    names.own_pool_addresses.insert(pool_address, pool);
}

/// It is used no longer.
pub fn forget_pool(pool: u64) {
    let mut names = names();
    if let Some((address, _)) = names.own_pools.remove(&pool)
        && names.own_pool_addresses.get(&address) == Some(&pool)
    {
        names.own_pool_addresses.remove(&address);
    }
}

/// The number of the name of the group to which the pool with this number belongs. `None`: to no group.
pub fn of_pool(pool: u64) -> Option<usize> {
    Some(names().own_pools.get(&pool)?.1)
}

/// The same for the pool with this address.
pub fn of_pool_at(address: usize) -> Option<usize> {
    let names = names();
    let pool = names.own_pool_addresses.get(&address)?;
    Some(names.own_pools.get(pool)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_are_one() {
        let mut names = Names::default();
        for number in 1..=MOST_NAMES {
            let name: Arc<str> = Arc::from(number.to_string());
            assert_eq!(names.number(name), number);
        }
        let other = names.number(Arc::from("one more"));
        assert_eq!(other, MOST_NAMES + 1);
        assert_eq!(names.number(Arc::from("two more")), other);
        assert_eq!(names.number(Arc::from("7")), 7);
    }

    #[test]
    fn pools_of_groups_are_known_until_they_are_forgotten() {
        let group = 0;
        let address = (&raw const group).addr();
        assert_eq!(of_pool(u64::MAX - 1), None);
        is_own_pool(u64::MAX - 1, address + 1, address);
        assert_eq!(of_pool(u64::MAX - 1), Some(0));
        assert_eq!(of_pool_at(address + 1), Some(0));
        assert_eq!(name(0), None);
        labels::set(address, "a group of the test");
        is_own_pool(u64::MAX - 1, address + 1, address);
        let number = of_pool(u64::MAX - 1).unwrap();
        assert_eq!(name(number).as_deref(), Some("a group of the test"));
        forget_pool(u64::MAX - 1);
        labels::forget(address);
        assert_eq!(
            (of_pool(u64::MAX - 1), of_pool_at(address + 1)),
            (None, None)
        );
    }
}
