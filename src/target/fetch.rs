//! Fetches that outlive the visit that starts them: slow collectors, and what is due in each database.

use std::sync::Arc;

use tokio::time::Instant;

use super::Target;
use crate::{config::collector::Collector, slot::Slot, source::Event};

impl Target {
    /// Asks each slow collector that is due, and waits for none.
    pub(super) fn start_slow(self: &Arc<Self>, slots: &[Arc<Slot>]) {
        for slot in slots {
            let Some(fetch) = slot.begin(Instant::now()) else { continue };
            let (target, slot) = (self.clone(), slot.clone());
            tokio::spawn(async move {
                let began = Instant::now();
                let report = |event| {
                    if let Event::Collected(_, answers) = event {
                        target.store(&slot, "", answers, began);
                    }
                };
                // What failed is in the slot by now.
                _ = target.source.ask_slow(&slot.collector, &report).await;
                drop(fetch);
            });
        }
    }

    /// Visits each database in which something is due.
    pub(super) fn start_databases(self: &Arc<Self>, wanted: &[Arc<Collector>]) {
        let is_wanted = |slot: &Slot| wanted.iter().any(|collector| Arc::ptr_eq(collector, &slot.collector));
        for database in self.databases.all() {
            let begin = |slot: &Arc<Slot>| Some((slot.clone(), slot.begin(Instant::now())?));
            let due = database.slots.iter().filter(|slot| is_wanted(slot));
            let (slots, fetches): (Vec<_>, Vec<_>) = due.filter_map(begin).unzip();
            if slots.is_empty() {
                continue;
            }
            let target = self.clone();
            tokio::spawn(async move {
                let began = Instant::now();
                let collectors: Vec<_> = slots.iter().map(|slot| slot.collector.clone()).collect();
                let report = |event| {
                    if let Event::Collected(index, answers) = event {
                        target.store(&slots[index], &database.name, answers, began);
                    }
                };
                // What failed is in the slots by now.
                _ = target.source.ask_database(&database.name, &collectors, &report).await;
                drop(fetches);
            });
        }
    }
}
