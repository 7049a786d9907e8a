//! A budget of memory that the tables of one target share, those that are kept and those being read. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Clones share the same budget.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    bytes: usize,
    reserved: Arc<AtomicUsize>,
}

/// A part of a budget, which is given back on drop. A clone has nothing reserved and no budget.
#[derive(Debug, Default)]
pub struct Reservation {
    budget: Option<MemoryBudget>,
    bytes: usize,
}

impl MemoryBudget {
    pub fn of(bytes: usize) -> Self {
        MemoryBudget { bytes, reserved: Arc::default() }
    }

    /// The whole budget.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A reservation of nothing yet.
    pub fn reservation(&self) -> Reservation {
        Reservation { budget: Some(self.clone()), bytes: 0 }
    }
}

impl Reservation {
    /// Reserves so many bytes in all, or no fewer than before; false if the budget does not have them. Without a budget
    /// everything is granted.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        if budget.reserved.fetch_add(more, Ordering::Relaxed) + more > budget.bytes {
            budget.reserved.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl Clone for Reservation {
    fn clone(&self) -> Self {
        Reservation::default()
    }
}

/// All are equal: a table is the same table wherever its memory counts.
impl PartialEq for Reservation {
    fn eq(&self, _: &Reservation) -> bool {
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_given_back() {
        let budget = MemoryBudget::of(100);
        let (mut one, mut other) = (budget.reservation(), budget.reservation());
        assert!(one.resize(60) && other.resize(40) && one.resize(50) && !other.resize(41));
        let mut copy = one.clone();
        assert!(copy.resize(usize::MAX));
        drop((one, copy));
        assert!(other.resize(100) && !other.resize(101) && other.resize(1));
        drop(other);
        assert!(budget.reservation().resize(100));
    }
}
