//! Looks for the token that was written on the primary, on a replica or through a cache, until it is seen.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::probe::{
    ProbeState,
    attempt::{AttemptError, Trace},
    check,
    check::ProbeCheck,
    connect::ProbeConnection,
    path_runner::PathRunner,
    write_visibility::WriteToken,
};

/// How soon after a write it is looked for, and how seldom if it is not there yet.
const SOON: Duration = Duration::from_millis(2);
const SELDOM: Duration = Duration::from_millis(500);

/// Looks on one path as long as tokens are written.
pub async fn look(course: Arc<ProbeState>, route: usize, mut written: watch::Receiver<Option<WriteToken>>) {
    let (route, question) = (&course.routes[route], check::token());
    let (mut kept, mut pause) = (None, SOON);
    loop {
        let is_complete = route.board.lock().visible.is_complete();
        tokio::select! {
            changed = written.changed() => {
                if changed.is_err() {
                    return;
                }
                if let Some(token) = *written.borrow_and_update() {
                    route.board.lock().visible.written(token);
                }
                pause = SOON;
            }
            () = sleep(pause), if !is_complete => {
                let until = Instant::now() + course.settings.timeout;
                let token = see(route, &question, &mut kept, until).await;
                // What fails shows in the path's own attempts.
                if let Some(token) = token.ok().and_then(|answer| check::token_of(&answer)) {
                    route.board.lock().visible.seen(token, Instant::now());
                }
                // A cache says the same until the entry ends.
                pause = if route.cache().is_some() { course.settings.interval } else { (2 * pause).min(SELDOM) };
            }
        }
    }
}

/// The token as the path shows it; on a replica over a connection of its own, so that the path's queries do not wait.
async fn see(
    route: &PathRunner,
    question: &ProbeCheck,
    kept: &mut Option<ProbeConnection>,
    until: Instant,
) -> Result<Vec<u8>, AttemptError> {
    if let Some(shown) = route.show(question, until).await {
        return shown;
    }
    let trace = &mut Trace::default();
    let connection = match kept.take().filter(|kept| !kept.client.is_closed()) {
        Some(kept) => kept,
        None => route.connector.connect(until, trace).await?,
    };
    let answer = question.ask(&connection.client, until, trace).await;
    *kept = answer.is_ok().then_some(connection);
    answer
}
