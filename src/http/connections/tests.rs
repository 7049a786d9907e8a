//! What becomes of connections while time passes.

use std::convert::Infallible;

use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::sleep,
};

use crate::http::{connections::*, watched_body::WatchedBody, watched_stream::WatchedStream};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection, and why it was cut.
type Connected = (DuplexStream, JoinHandle<Option<&'static str>>);

/// A connection on which every request is answered with so many bytes.
async fn connect(places: &Arc<Connections>, bytes: usize) -> Connected {
    connect_from(places, bytes, 1, Duration::ZERO).await
}

/// The same from the peer of this number, and after this time.
async fn connect_from(places: &Arc<Connections>, bytes: usize, peer: u8, after: Duration) -> Connected {
    let place = Arc::new(places.free().await.take(Peer::new(Some([10, 0, 0, peer].into()))));
    let (client, stream) = duplex(1024);
    let life = tokio::spawn(async move {
        let service = service_fn(|_| {
            place.asked();
            let place = place.clone();
            async move {
                sleep(after).await;
                place.answered();
                Ok::<_, Infallible>(Response::new(WatchedBody::new("x".repeat(bytes), place)))
            }
        });
        let stream = TokioIo::new(WatchedStream::new(stream, place.clone()));
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
        let (mut client, life) = connect(&Connections::new(100), bytes).await;
        let began = Instant::now();
        client.write_all(said).await.expect("saying it");
        assert_eq!((life.await.expect("a life"), began.elapsed().as_secs()), (Some(why), seconds));
    }
}

/// As a scraper does that comes every two minutes; and a head may begin when the time for one is long over.
#[tokio::test(start_paused = true)]
async fn who_comes_back_is_answered_on_the_same_connection() {
    let (mut client, life) = connect(&Connections::new(100), 1).await;
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
    let places = Connections::new(8);
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

/// Whoever has more than a share of the places gives one up first, even if nothing but our answer is waited for on all of them.
#[tokio::test(start_paused = true)]
async fn where_places_run_out_a_peer_keeps_its_share() {
    for (said, after) in [(&b""[..], Duration::ZERO), (b"GET", Duration::ZERO), (ASK, Duration::ZERO), (ASK, CENTURY)] {
        let places = Connections::new(16);
        let (mut few, of_few) = connect_from(&places, 1, 1, Duration::ZERO).await;
        few.write_all(ASK).await.expect("asking");
        hear(&mut few).await;
        // By now it has used up more of its time than any of the others.
        sleep(Duration::from_secs(300)).await;
        let mut many = Vec::new();
        for _ in 0..40 {
            let (mut client, life) = connect_from(&places, 1, 2, after).await;
            client.write_all(said).await.expect("saying it");
            many.push((client, life));
            sleep(Duration::from_millis(10)).await;
        }
        assert!(!of_few.is_finished(), "{said:?}");
        few.write_all(ASK).await.expect("asking again");
        hear(&mut few).await;
        let (cut, kept): (Vec<_>, Vec<_>) = many.into_iter().partition(|(_, life)| life.is_finished());
        // One place is kept free for the next.
        assert!((6..=7).contains(&kept.len()), "{said:?}: {} are kept", kept.len());
        for (_client, life) in cut {
            assert_eq!(life.await.expect("a life"), Some("its place was needed"));
        }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86400);

/// Behind a proxy all are one peer, and come and go as before.
#[tokio::test(start_paused = true)]
async fn a_single_peer_has_all_places_and_who_waits_for_us_stays() {
    let places = Connections::new(16);
    let (mut asks, of_asks) = connect_from(&places, 1, 1, Duration::from_secs(9)).await;
    asks.write_all(ASK).await.expect("asking");
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(connect(&places, 1).await);
    }
    hear(&mut asks).await;
    assert!(!of_asks.is_finished());
}

/// One who closes its side gets its answer, however large, and however slowly it reads.
#[tokio::test(start_paused = true)]
async fn who_closes_its_side_is_answered() {
    // Which of several things that are ready comes first is chosen at random.
    let cases = [(1, 0, 0), (1, 9, 0), (100_000, 0, 10), (100_000, 9, 10)];
    for (bytes, after, pause) in cases.repeat(20) {
        let (client, life) = connect_from(&Connections::new(16), bytes, 1, Duration::from_secs(after)).await;
        let (mut reads, mut writes) = tokio::io::split(client);
        writes.write_all(ASK).await.expect("asking");
        writes.shutdown().await.expect("closing this side");
        sleep(Duration::from_secs(pause)).await;
        let mut heard = Vec::new();
        reads.read_to_end(&mut heard).await.expect("an answer and its end");
        assert_eq!(heard.iter().filter(|byte| **byte == b'x').count(), bytes);
        assert_eq!(life.await.expect("a life"), None, "it ends by itself");
    }
}

/// Of many who closed their side, the newest are waited for.
#[tokio::test(start_paused = true)]
async fn of_many_who_closed_their_side_few_are_waited_for() {
    for said in [ASK.to_vec(), ASK.repeat(2)] {
        few_are_waited_for(&said).await;
    }
}

/// They say this, and close their side.
async fn few_are_waited_for(said: &[u8]) {
    let places = Connections::new(1000);
    let mut all = Vec::new();
    for _ in 0..100 {
        let (mut client, life) = connect_from(&places, 1, 1, Duration::from_secs(100)).await;
        client.write_all(said).await.expect("asking");
        client.shutdown().await.expect("closing this side");
        sleep(Duration::from_millis(10)).await;
        all.push((client, life));
    }
    let newest = all.split_off(100 - MOST_LEFT);
    for (_client, life) in all {
        assert!(life.is_finished());
        assert_eq!(life.await.expect("a life"), Some("its place was needed"));
    }
    for (mut client, _life) in newest {
        hear(&mut client).await;
    }
}
