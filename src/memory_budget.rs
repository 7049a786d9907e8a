//! Memory that the tables of one target may take together, those that are kept and those being read. Pure.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// So many bytes for whoever shares it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

/// What one of them has taken, which it gives back when it is dropped. A copy has taken nothing.
#[derive(Debug, Default)]
pub struct Reservation {
    room: Option<MemoryBudget>,
    taken: usize,
}

impl MemoryBudget {
    pub fn of(bytes: usize) -> Self {
        MemoryBudget { bytes, taken: Arc::default() }
    }

    /// How many bytes there are in all.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A place in it that takes nothing yet.
    pub fn place(&self) -> Reservation {
        Reservation { room: Some(self.clone()), taken: 0 }
    }
}

impl Reservation {
    /// Takes so many bytes in all; false if there are not so many left. Outside of a room there always are.
    pub fn take(&mut self, bytes: usize) -> bool {
        let Some(room) = &self.room else { return true };
        let more = bytes.saturating_sub(self.taken);
        if more > 0 {
            if room.taken.fetch_add(more, Ordering::Relaxed) + more > room.bytes {
                room.taken.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
            self.taken = bytes;
        }
        true
    }
}

impl Clone for Reservation {
    fn clone(&self) -> Self {
        Reservation::default()
    }
}

/// Where a table is makes it no other table.
impl PartialEq for Reservation {
    fn eq(&self, _: &Reservation) -> bool {
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.taken.fetch_sub(self.taken, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let room = MemoryBudget::of(100);
        let (mut one, mut other) = (room.place(), room.place());
        assert!(one.take(60) && other.take(40) && one.take(50) && !other.take(41));
        let mut copy = one.clone();
        assert!(copy.take(usize::MAX));
        drop((one, copy));
        assert!(other.take(100) && !other.take(101));
        drop(other);
        assert!(room.place().take(100));
    }
}
