//! What becomes of connections while time passes.

use std::convert::Infallible;

use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::sleep,
};

use super::*;
use crate::http::heard::Heard;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection on which every request is answered with so many bytes, and why it was cut.
async fn connect(places: &Arc<Places>, bytes: usize) -> (DuplexStream, JoinHandle<Option<&'static str>>) {
    let place = Arc::new(places.free().await.take());
    let (client, stream) = duplex(1024);
    let life = tokio::spawn(async move {
        let service = service_fn(|_| {
            place.asked();
            place.answered();
            async move { Ok::<_, Infallible>(Response::new("x".repeat(bytes))) }
        });
        let stream = TokioIo::new(Heard::new(stream, place.clone()));
        tokio::select! {
            _ = http1::Builder::new().header_read_timeout(None).serve_connection(stream, service) => None,
            why = place.overdue() => Some(why),
        }
    });
    (client, life)
}

async fn hear(client: &mut DuplexStream) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"x") {
        client.read_buf(&mut heard).await.expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn each_has_the_time_for_what_it_waits_for() {
    for (said, bytes, seconds, why) in [
        (&b""[..], 1, 5, "nothing was said"),
        (b"G", 1, 30, "a request's head did not come to its end"),
        (ASK, 1, 360, "nothing more was asked"),
        (ASK, 100_000, 60, "an answer was not taken"),
    ] {
        let (mut client, life) = connect(&Places::new(100), bytes).await;
        let began = Instant::now();
        client.write_all(said).await.expect("saying it");
        assert_eq!((life.await.expect("a life"), began.elapsed().as_secs()), (Some(why), seconds));
    }
}

/// As a scraper does that comes every two minutes; and a head may begin when the time for one is long over.
#[tokio::test(start_paused = true)]
async fn who_comes_back_is_answered_on_the_same_connection() {
    let (mut client, life) = connect(&Places::new(100), 1).await;
    for pause in [0, 60, 120, 300] {
        sleep(Duration::from_secs(pause)).await;
        client.write_all(&ASK[..5]).await.expect("the head's beginning");
        sleep(Duration::from_secs(20)).await;
        client.write_all(&ASK[5..]).await.expect("the head's end");
        hear(&mut client).await;
    }
    drop(client);
    assert_eq!(life.await.expect("a life"), None);
}

#[tokio::test(start_paused = true)]
async fn where_places_run_out_the_longest_silent_goes_first() {
    let places = Places::new(8);
    let (mut kept, of_kept) = connect(&places, 1).await;
    kept.write_all(ASK).await.expect("asking");
    hear(&mut kept).await;
    sleep(Duration::from_secs(100)).await;
    let (_silent, of_silent) = connect(&places, 1).await;
    sleep(Duration::from_secs(2)).await;
    let (mut half, of_half) = connect(&places, 1).await;
    half.write_all(b"GET").await.expect("asking");
    sleep(Duration::from_secs(1)).await;
    let (_new, _life) = connect(&places, 1).await;
    let (_newer, _life) = connect(&places, 1).await;
    assert_eq!(of_silent.await.expect("a life"), Some("its place was needed"));
    let (_newest, _life) = connect(&places, 1).await;
    assert_eq!(of_kept.await.expect("a life"), Some("its place was needed"));
    assert!(!of_half.is_finished());
}
