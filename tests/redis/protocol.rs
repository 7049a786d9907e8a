//! RESP3 where a server speaks it, RESP2 where it does not; the page is the same.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::*;
use crate::support::redis_programs;

/// Which protocols our sessions of this user speak, by the server's list of its clients.
fn spoken(redis: &Redis, user: &str) -> BTreeSet<String> {
    let clients = redis.run("CLIENT LIST TYPE normal");
    // redis-cli asks over the socket.
    let ours = clients.lines().filter(|line| line.contains(&format!(" user={user} ")) && !line.contains("redis.sock"));
    ours.filter_map(|line| Some(line.split_once(" resp=")?.1.split(' ').next()?.to_owned())).collect()
}

fn only(version: &str) -> BTreeSet<String> {
    [version.to_owned()].into()
}

/// What a page has of the server, without values.
fn series(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| line.starts_with("redis_"));
    // A command is counted once somebody has given it, and each server has its port.
    let lines = lines.filter(|line| !["cmd=", "err=", "tcp_port="].iter().any(|label| line.contains(label)));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

fn end_sessions(redis: &Redis) {
    redis.run("CLIENT KILL TYPE normal SKIPME yes");
}

#[test]
fn the_newer_protocol_is_spoken_where_there_is_one() {
    for program in redis_programs() {
        let (new, old) = (Redis::start_as(&program, ""), Redis::start_as(&program, "--rename-command HELLO hidden"));
        let (with_new, with_old) = (watch(&new.url()), watch(&old.url()));
        let pages = [&with_new, &with_old].map(|pgvigil| expect_up(pgvigil, "first"));
        assert_eq!((spoken(&new, "default"), spoken(&old, "default")), (only("3"), only("2")));
        assert_eq!(series(&pages[0]), series(&pages[1]));
        for page in &pages {
            assert_eq!((skipped(page), failed(page)), (vec![], vec![]));
            assert_eq!(sample(page, "redis_config_maxclients", &[]), Some(10000.0));
        }
        // Who refuses is not asked again.
        let errors =
            || old.run("INFO errorstats").lines().find(|line| line.starts_with("errorstat_ERR")).map(str::to_owned);
        let before = errors();
        assert!(before.as_ref().is_some_and(|line| line.trim_end().ends_with("count=1")), "{before:?}");
        for _ in 0..3 {
            end_sessions(&old);
            expect_up(&with_old, "after its session was ended");
        }
        assert_eq!((errors(), spoken(&old, "default")), (before, only("2")));
    }
}

/// HELLO comes after AUTH, and no access control list refuses it.
#[test]
fn every_login_leads_to_it() {
    let redis = Redis::start("");
    set_user(&redis, "pgvigil", "-@all +info");
    expect_up(&watch(&redis.url_as("pgvigil")), "an access control list");
    let pgvigil = watch(&redis.url_as("pgvigil"));
    expect_up(&pgvigil, "the same");
    assert_eq!(spoken(&redis, "pgvigil"), only("3"));
    redis.run(&format!("CONFIG SET requirepass {}", quoted("")));
    let pgvigil = watch(&redis.url_as(""));
    expect_up(&pgvigil, "a password alone");
    redis.run_as(Some(PASSWORD), "CONFIG SET requirepass \"\"");
    assert_eq!(spoken(&redis, "default"), only("3"));
    let none = watch(&redis.url().replace("redis://", "redis://pgvigil:wrong@"));
    expect_down(&none, "authentication", "a wrong password");
}

/// Passes everything on to a server, and hangs up on who says HELLO.
struct Proxy {
    port: u16,
    hellos: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let hellos = Arc::new(AtomicUsize::new(0));
        let counted = hellos.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (mut answers, mut back) =
                    (server.try_clone().expect("a copy"), client.try_clone().expect("a copy"));
                thread::spawn(move || {
                    _ = io::copy(&mut answers, &mut back);
                    _ = back.shutdown(Shutdown::Both);
                });
                let counted = counted.clone();
                thread::spawn(move || pass(client, server, &counted));
            }
        });
        Proxy { port, hellos }
    }

    fn hellos(&self) -> usize {
        self.hellos.load(Ordering::Relaxed)
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, hellos: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut bytes) {
        let said = &bytes[..length];
        if said.windows(5).any(|word| word == b"HELLO") {
            hellos.fetch_add(1, Ordering::Relaxed);
            break;
        }
        if server.write_all(said).is_err() {
            break;
        }
    }
    [client, server].iter().for_each(|stream| _ = stream.shutdown(Shutdown::Both));
}

#[test]
fn who_hangs_up_on_the_question_is_not_asked_again() {
    let redis = Redis::start("");
    let proxy = Proxy::start(redis.port());
    let pgvigil = watch(&format!("redis://127.0.0.1:{}", proxy.port));
    let page = expect_up(&pgvigil, "the first scrape");
    assert_eq!((skipped(&page), failed(&page)), (vec![], vec![]));
    assert_eq!((proxy.hellos(), spoken(&redis, "default")), (1, only("2")));
    assert_eq!(series(&page), series(&expect_up(&watch(&redis.url()), "without the proxy")));
    for _ in 0..3 {
        end_sessions(&redis);
        expect_up(&pgvigil, "after its session was ended");
    }
    assert_eq!((proxy.hellos(), spoken(&redis, "default")), (1, only("2")));
    assert!(pgvigil.scrape().contains("pgvigil_sessions{target=\"redis\"} 1"));
}
