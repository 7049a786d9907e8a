//! Tests of when and why connections end.

use std::convert::Infallible;

use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::http::body_budget::BodyBudget;
use crate::http::connections::*;
use crate::http::watched_stream::WatchedStream;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client's end of a connection, and the reason why the other end was closed.
type Connected = (DuplexStream, JoinHandle<Option<&'static str>>);

/// A connection on which every request is answered with this many bytes.
async fn connect(connections: &Arc<Connections>, bytes: usize) -> Connected {
    connect_from(connections, bytes, 1, Duration::ZERO).await
}

/// The same from the peer of this number, and after this time.
async fn connect_from(connections: &Arc<Connections>, bytes: usize, peer: u8, after: Duration) -> Connected {
    let permit = Arc::new(permit(connections, Some([10, 0, 0, peer])).await);
    let (client, stream) = duplex(1024);
    let life = tokio::spawn(async move {
        let service = service_fn(|_| {
            permit.request_received();
            let permit = permit.clone();
            async move {
                sleep(after).await;
                permit.response_ready();
                let body = BodyBudget::default().body("x".repeat(bytes).into());
                Ok::<_, Infallible>(Response::new(body.with_permit(permit)))
            }
        });
        let stream = TokioIo::new(WatchedStream::new(stream, permit.clone()));
        tokio::select! {
            _ = http1::Builder::new().header_read_timeout(None).serve_connection(stream, service) => None,
            reason = permit.timed_out() => Some(reason),
        }
    });
    (client, life)
}

async fn read_response(client: &mut DuplexStream) {
    let mut received = Vec::new();
    while !received.ends_with(b"x") {
        client.read_buf(&mut received).await.expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_limit() {
    for (sent, bytes, seconds, reason) in [
        (&b""[..], 1, 5, "the client sent nothing"),
        (b"G", 1, 30, "the head of a request timed out"),
        (REQUEST, 1, 360, "the connection was idle"),
        (REQUEST, 100_000, 60, "the client did not read its response"),
    ] {
        let (mut client, life) = connect(&Connections::new(100), bytes).await;
        let began = Instant::now();
        client.write_all(sent).await.expect("sending");
        assert_eq!((life.await.expect("a life"), began.elapsed().as_secs()), (Some(reason), seconds));
    }
}

/// A scraper that comes every two minutes. A head may begin later than its own time limit.
#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_is_answered_on_the_same_connection() {
    let (mut client, life) = connect(&Connections::new(100), 1).await;
    for pause in [0, 60, 120, 300] {
        sleep(Duration::from_secs(pause)).await;
        client.write_all(&REQUEST[..5]).await.expect("the head's beginning");
        sleep(Duration::from_secs(20)).await;
        client.write_all(&REQUEST[5..]).await.expect("the head's end");
        read_response(&mut client).await;
    }
    drop(client);
    assert_eq!(life.await.expect("a life"), None);
}

#[tokio::test(start_paused = true)]
async fn where_permits_run_out_the_longest_silent_is_evicted_first() {
    let connections = Connections::new(8);
    let (mut kept, of_kept) = connect(&connections, 1).await;
    kept.write_all(REQUEST).await.expect("sending");
    read_response(&mut kept).await;
    sleep(Duration::from_secs(100)).await;
    let (_silent, of_silent) = connect(&connections, 1).await;
    sleep(Duration::from_secs(2)).await;
    let (mut half, of_half) = connect(&connections, 1).await;
    half.write_all(b"GET").await.expect("sending");
    sleep(Duration::from_secs(1)).await;
    let (_new, _life) = connect(&connections, 1).await;
    let (_newer, _life) = connect(&connections, 1).await;
    assert_eq!(of_silent.await.expect("a life"), Some("evicted for another connection"));
    let (_newest, _life) = connect(&connections, 1).await;
    assert_eq!(of_kept.await.expect("a life"), Some("evicted for another connection"));
    assert!(!of_half.is_finished());
}

/// A peer above its share loses connections first, even if all of them wait for our response.
#[tokio::test(start_paused = true)]
async fn where_permits_run_out_a_peer_keeps_its_share() {
    for (sent, after) in
        [(&b""[..], Duration::ZERO), (b"GET", Duration::ZERO), (REQUEST, Duration::ZERO), (REQUEST, CENTURY)]
    {
        let connections = Connections::new(16);
        let (mut few, of_few) = connect_from(&connections, 1, 1, Duration::ZERO).await;
        few.write_all(REQUEST).await.expect("sending");
        read_response(&mut few).await;
        // It has used up more of its time than the others by now.
        sleep(Duration::from_secs(300)).await;
        let mut many = Vec::new();
        for _ in 0..40 {
            let (mut client, life) = connect_from(&connections, 1, 2, after).await;
            client.write_all(sent).await.expect("sending");
            many.push((client, life));
            sleep(Duration::from_millis(10)).await;
        }
        assert!(!of_few.is_finished(), "{sent:?}");
        few.write_all(REQUEST).await.expect("sending again");
        read_response(&mut few).await;
        let (cut, kept): (Vec<_>, Vec<_>) = many.into_iter().partition(|(_, life)| life.is_finished());
        // One permit is kept for the next connection.
        assert!((6..=7).contains(&kept.len()), "{sent:?}: {} are kept", kept.len());
        for (_client, life) in cut {
            assert_eq!(life.await.expect("a life"), Some("evicted for another connection"));
        }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86400);

/// Behind a proxy all clients are one peer, and connect and disconnect as before.
#[tokio::test(start_paused = true)]
async fn a_single_peer_may_have_all_permits_and_a_client_that_waits_for_us_stays() {
    let connections = Connections::new(16);
    let (mut asks, of_asks) = connect_from(&connections, 1, 1, Duration::from_secs(9)).await;
    asks.write_all(REQUEST).await.expect("sending");
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(connect(&connections, 1).await);
    }
    read_response(&mut asks).await;
    assert!(!of_asks.is_finished());
}

/// A client that closes its side gets its response, of any size and at any reading speed.
#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_side_is_answered() {
    // tokio picks at random among several ready events.
    let cases = [(1, 0, 0), (1, 9, 0), (100_000, 0, 10), (100_000, 9, 10)];
    for (bytes, after, pause) in cases.repeat(20) {
        let (client, life) = connect_from(&Connections::new(16), bytes, 1, Duration::from_secs(after)).await;
        let (mut reads, mut writes) = tokio::io::split(client);
        writes.write_all(REQUEST).await.expect("sending");
        writes.shutdown().await.expect("closing this side");
        sleep(Duration::from_secs(pause)).await;
        let mut received = Vec::new();
        reads.read_to_end(&mut received).await.expect("an answer and its end");
        assert_eq!(received.iter().filter(|byte| **byte == b'x').count(), bytes);
        assert_eq!(life.await.expect("a life"), None, "it ends by itself");
    }
}

/// Of many clients that closed their side, only the newest are waited for.
#[tokio::test(start_paused = true)]
async fn of_many_half_closed_connections_few_are_waited_for() {
    for sent in [REQUEST.to_vec(), REQUEST.repeat(2)] {
        few_are_waited_for(&sent).await;
    }
}

/// Each client sends this, and closes its side.
async fn few_are_waited_for(sent: &[u8]) {
    let connections = Connections::new(1000);
    let mut all = Vec::new();
    for _ in 0..100 {
        let (mut client, life) = connect_from(&connections, 1, 1, Duration::from_secs(100)).await;
        client.write_all(sent).await.expect("sending");
        client.shutdown().await.expect("closing this side");
        sleep(Duration::from_millis(10)).await;
        all.push((client, life));
    }
    let newest = all.split_off(100 - MAX_HALF_CLOSED);
    for (_client, life) in all {
        assert!(life.is_finished());
        assert_eq!(life.await.expect("a life"), Some("evicted for another connection"));
    }
    for (mut client, _life) in newest {
        read_response(&mut client).await;
    }
}

async fn permit(connections: &Arc<Connections>, peer: Option<[u8; 4]>) -> ConnectionPermit {
    let permit = connections.acquire().await;
    connections.open(Peer::new(peer.map(Into::into)), permit)
}

#[tokio::test(start_paused = true)]
async fn each_event_enters_its_phase_and_no_other() {
    type Event = fn(&ConnectionPermit);
    let (start, done): (Event, Event) = (ConnectionPermit::handshake_started, ConnectionPermit::handshake_done);
    let (bytes, request): (Event, Event) = (ConnectionPermit::bytes_received, ConnectionPermit::request_received);
    let (ready, sent): (Event, Event) = (ConnectionPermit::response_ready, ConnectionPermit::response_done);
    let (full, evict): (Event, Event) = (
        |permit| permit.set_write_blocked(true),
        |permit| {
            permit.connections.table.lock().open[&permit.number].evict();
        },
    );
    let free: Event = |permit| permit.set_write_blocked(false);
    let cases: [(&[Event], ConnectionPhase, u64, bool); 18] = [
        (&[], ConnectionPhase::FirstByte, 5, false),
        (&[start], ConnectionPhase::Handshake, 10, false),
        (&[start, bytes], ConnectionPhase::Handshake, 10, false),
        (&[start, done], ConnectionPhase::FirstByte, 5, false),
        (&[start, done, bytes], ConnectionPhase::RequestHead, 30, false),
        (&[done, ready], ConnectionPhase::FirstByte, 5, false),
        (&[bytes], ConnectionPhase::RequestHead, 30, false),
        (&[bytes, start, ready], ConnectionPhase::RequestHead, 30, false),
        (&[bytes, request], ConnectionPhase::Answering, 0, true),
        (&[bytes, request, bytes], ConnectionPhase::Answering, 0, true),
        (&[bytes, request, ready], ConnectionPhase::Idle, 360, true),
        (&[bytes, request, ready, full], ConnectionPhase::Idle, 60, true),
        (&[bytes, request, ready, full, sent], ConnectionPhase::Idle, 60, true),
        (&[bytes, request, ready, full, sent, free], ConnectionPhase::Idle, 360, false),
        (&[bytes, request, ready, sent, bytes], ConnectionPhase::RequestHead, 30, false),
        (&[bytes, request, ready, sent, request], ConnectionPhase::Answering, 0, true),
        (&[bytes, evict, bytes, start, done], ConnectionPhase::Evicted, 0, false),
        (&[bytes, evict, request, ready, sent], ConnectionPhase::Evicted, 0, false),
    ];
    for (nth, (events, phase, seconds, is_pending)) in cases.into_iter().enumerate() {
        let permit = permit(&Connections::new(8), None).await;
        let mut began = Instant::now();
        for event in events {
            tokio::time::advance(Duration::from_secs(1)).await;
            let before = permit.state.borrow().phase;
            event(&permit);
            if permit.state.borrow().phase != before {
                began = Instant::now();
            }
        }
        assert_eq!((permit.state.borrow().phase, permit.has_response_pending()), (phase, is_pending), "case {nth}");
        if phase == ConnectionPhase::Answering {
            assert!(timeout(CENTURY, permit.timed_out()).await.is_err(), "case {nth}");
            continue;
        }
        permit.timed_out().await;
        // An evicted connection closes at once, whenever its phase began.
        let since = if phase == ConnectionPhase::Evicted { Instant::now() } else { began };
        assert_eq!(since.elapsed().as_secs(), seconds, "case {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_leaves_nothing_behind() {
    let connections = Connections::new(16);
    let mut permits = Vec::new();
    for peer in [Some([10, 0, 0, 1]), Some([10, 0, 0, 1]), None] {
        permits.push(permit(&connections, peer).await);
    }
    permits.iter().for_each(ConnectionPermit::half_closed);
    permits[0].half_closed();
    let counts = || {
        let table = connections.table.lock();
        let half_closed: Vec<u64> = table.half_closed.iter().copied().collect();
        (table.open.len(), table.count_by_peer.len(), half_closed, connections.permits.available_permits())
    };
    assert_eq!(counts(), (3, 2, vec![0, 1, 2], 5));
    drop(permits.remove(1));
    assert_eq!(counts(), (2, 2, vec![0, 2], 6));
    drop(permits.remove(0));
    assert_eq!(counts(), (1, 1, vec![2], 7));
    drop(permits);
    assert_eq!(counts(), (0, 0, vec![], 8));
}

#[test]
fn half_of_the_files_are_for_clients_up_to_a_limit() {
    for (files, permits) in [(2, 1), (9, 4), (6143, 3071), (6144, 3072), (1 << 20, 3072)] {
        assert_eq!(Connections::new(files).permits.available_permits(), permits, "{files}");
    }
}
