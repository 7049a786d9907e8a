//! Looks on a replica, or through a cache, for each token written on the primary until it is visible.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::probe::attempt::Trace;
use crate::probe::check;
use crate::probe::connect::PathConnection;
use crate::probe::state::ProbeState;
use crate::probe::write_visibility::WriteToken;

/// The first pause after a write. Pauses double while the write is not visible.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Looks for `writes` on one path until it is aborted.
pub async fn watch(state: Arc<ProbeState>, path: usize, mut writes: watch::Receiver<Option<WriteToken>>) {
    let (runner, check) = (&state.paths[path], check::token_check());
    // A connection of its own: the path's queries do not wait.
    let connection = PathConnection::new(runner.connector.clone(), true);
    let mut pause = SHORTEST_PAUSE;
    loop {
        let is_complete = runner.stats.lock().visibility.is_complete();
        tokio::select! {
            // Always: the state has the sender.
            Ok(()) = writes.changed() => {
                if let Some(token) = *writes.borrow_and_update() {
                    runner.stats.lock().visibility.add_write(token);
                }
                pause = SHORTEST_PAUSE;
            }
            () = sleep(pause), if !is_complete => {
                let until = Instant::now() + state.settings.timeout;
                // A cache gives the same answer until the entry expires.
                let (answer, next_pause) = match runner.read_cache(&check, until).await {
                    Some(answer) => (answer, state.settings.interval),
                    None => (connection.run(&check, until, &mut Trace::default()).await, LONGEST_PAUSE.min(2 * pause)),
                };
                pause = next_pause;
                // The path's own attempts show failures.
                if let Some(value) = answer.ok().and_then(|answer| check::token_value(&answer)) {
                    runner.stats.lock().visibility.show(value, Instant::now());
                }
            }
        }
    }
}
