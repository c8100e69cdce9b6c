//! Who may change what, and who still reads it: one turn per key at a time, pins on what is in use.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Locks even after a panic elsewhere: what these mutexes guard is whole between any two statements.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One turn per key at a time; different keys do not wait for each other.
pub(super) struct Turns<K> {
    busy: Mutex<HashSet<K>>,
    freed: Condvar,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    pub(super) fn new() -> Self {
        Turns { busy: Mutex::new(HashSet::new()), freed: Condvar::new() }
    }

    /// Waits until nobody else has the turn of this key. Not to be taken twice by one thread.
    pub(super) fn take(&self, key: K) -> Turn<'_, K> {
        let mut busy = locked(&self.busy);
        while busy.contains(&key) {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        busy.insert(key.clone());
        Turn { turns: self, key }
    }
}

/// The turn of one key, given back when dropped.
pub(super) struct Turn<'a, K: Eq + Hash + Clone> {
    turns: &'a Turns<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        locked(&self.turns.busy).remove(&self.key);
        self.turns.freed.notify_all();
    }
}

/// Counts who is using what: what has a pin is not taken away.
pub(super) struct Pins<K> {
    counts: Mutex<HashMap<K, usize>>,
}

impl<K: Eq + Hash + Clone> Pins<K> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Pins { counts: Mutex::new(HashMap::new()) })
    }

    pub(super) fn pin(self: &Arc<Self>, key: K) -> Pin<K> {
        *locked(&self.counts).entry(key.clone()).or_insert(0) += 1;
        Pin { pins: self.clone(), key }
    }

    pub(super) fn is_pinned(&self, key: &K) -> bool {
        locked(&self.counts).contains_key(key)
    }
}

/// Holds on to one thing until dropped.
pub(super) struct Pin<K: Eq + Hash + Clone> {
    pins: Arc<Pins<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Pin<K> {
    pub(super) fn another(&self) -> Pin<K> {
        self.pins.pin(self.key.clone())
    }
}

impl<K: Eq + Hash + Clone> Drop for Pin<K> {
    fn drop(&mut self) {
        let mut counts = locked(&self.pins.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_turn_per_key_at_a_time() {
        let turns = Turns::new();
        let inside = Mutex::new(0_u32);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _turn = turns.take("key");
                        let mut inside = inside.try_lock().expect("alone in the turn");
                        *inside += 1;
                    }
                });
            }
        });
        assert_eq!(*locked(&inside), 1600);
        assert!(locked(&turns.busy).is_empty());
    }

    #[test]
    fn other_keys_do_not_wait() {
        let turns = Turns::new();
        let _one = turns.take(1);
        let _two = turns.take(2);
    }

    #[test]
    fn pinned_until_the_last_pin_is_dropped() {
        let pins = Pins::new();
        let first = pins.pin(7);
        let second = pins.pin(7);
        drop(first);
        assert!(pins.is_pinned(&7));
        drop(second);
        assert!(!pins.is_pinned(&7));
    }
}
