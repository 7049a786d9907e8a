//! Promises 15 and 22: whatever answers instead of a bucket takes neither time nor memory.

use std::{
    io::{self, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{reason, settings, until, watch};
use crate::{
    faults::liar::{Liar, Lie, hear, silent},
    support::{expect_ended, sample},
};

/// What is promised of each; eighteen at once stay below twice that.
const GROWTH_KIB: u64 = 2 * (64 << 10);

const OBJECT: &str = "<Contents><Key>a</Key><Size>1</Size><LastModified>2026-11-21T12:54:20Z</LastModified></Contents>";

/// Lies, with the reasons that fit.
const LIES: [(&str, &[&str], Lie); 18] = [
    ("silent", &["pending", "timeout"], silent),
    ("closes-at-once", &["failed"], |_| Ok(())),
    ("closes-half-way", &["failed"], |stream| {
        say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n<ListBucketResult>")
    }),
    ("no-http", &["failed"], |stream| say(stream, "+OK\r\n")),
    ("a-head-without-end", &["failed", "pending", "timeout"], |stream| pour(stream, "HTTP/1.1 200 OK\r\n", "X: y\r\n")),
    ("a-body-without-end", &["failed"], |stream| pour(stream, "HTTP/1.1 200 OK\r\n\r\n", "x")),
    ("announces-2-gib", &["failed"], |stream| {
        pour(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n", "x")
    }),
    ("a-chunk-of-8-eib", &["failed"], |stream| {
        pour(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", "x")
    }),
    ("another-page", &["garbage"], |stream| body(stream, "<html>")),
    ("sends-elsewhere", &["failed"], |stream| {
        say(stream, "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    }),
    ("pages-without-end", &["too_large", "pending", "timeout"], |stream| {
        let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
        body(stream, &format!("<ListBucketResult>{more}{}</ListBucketResult>", OBJECT.repeat(1000)))
    }),
    ("more-than-asked-for", &["too_large", "pending", "timeout"], |stream| {
        body(stream, &format!("<ListBucketResult>{}</ListBucketResult>", OBJECT.repeat(40_000)))
    }),
    // 27 bytes each.
    ("objects-without-anything", &["too_large", "pending", "timeout"], |stream| {
        body(stream, &format!("<ListBucketResult>{}</ListBucketResult>", "<Contents><Key/></Contents>".repeat(150_000)))
    }),
    ("nested", &["garbage", "pending", "timeout"], |stream| {
        body(stream, &format!("<ListBucketResult>{}", "<a>".repeat(1_380_000)))
    }),
    // Each would be the next one ten times.
    ("entities", &["garbage"], |stream| {
        let entities: String =
            (0..10).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n + 1).repeat(10))).collect();
        body(
            stream,
            &format!(
                "<!DOCTYPE a [{entities}]><ListBucketResult>{}</ListBucketResult>",
                OBJECT.replace(">a<", ">&e0;<")
            ),
        )
    }),
    // An error could repeat it, each character as `\u{301}`.
    ("accents", &["garbage", "pending", "timeout"], |stream| {
        let accents = "\u{301}".repeat(2_000_000);
        let key = format!("<Contents><Key><b xmlns=\"{accents}\"/></Key></Contents>");
        body(stream, &format!("<ListBucketResult>{key}</ListBucketResult>"))
    }),
    ("repeats-the-request", &["failed"], |stream| {
        let mut asked = [0; 4096];
        let length = std::io::Read::read(stream, &mut asked)?;
        let asked = String::from_utf8_lossy(&asked[..length]);
        let text = format!("<Error><Code>{asked}</Code><Message>{asked}</Message></Error>");
        stream.write_all(
            format!("HTTP/1.1 403 {}\r\nContent-Length: {}\r\n\r\n{text}", "X-Amz-Signature", text.len()).as_bytes(),
        )
    }),
    // To look for the end of each would take longer than anybody lives.
    ("ampersands", &["garbage", "failed", "pending", "timeout", ""], |stream| {
        let key = OBJECT.replace("<Key>a", &format!("<Key>{};", "&".repeat(4_000_000)));
        body(stream, &format!("<ListBucketResult>{key}</ListBucketResult>"))
    }),
];

fn say(stream: &mut TcpStream, what: &str) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(what.as_bytes())
}

fn body(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    say(stream, &format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
}

fn pour(stream: &mut TcpStream, first: &str, endless: &str) -> io::Result<()> {
    say(stream, first)?;
    let endless = endless.repeat((64 << 10) / endless.len());
    loop {
        stream.write_all(endless.as_bytes())?;
    }
}

#[test]
fn p22_no_lie_of_a_bucket_takes_time_or_memory() {
    let liars: Vec<_> = LIES.iter().map(|(_, _, lie)| Liar::start(*lie)).collect();
    let repository = |(name, liar): (&str, &Liar)| {
        format!(
            "{{name: {name}, tool: s3, endpoint: \"http://127.0.0.1:{}\", bucket: b, prefix: p, access_key: k, secret_key: s}}",
            liar.port()
        )
    };
    let repositories: Vec<_> = LIES.iter().map(|(name, ..)| *name).zip(&liars).map(repository).collect();
    let pgvigil = watch(&settings(&repositories).replace("timeout: 10s", "timeout: 3s"));
    let before = pgvigil.rss_kib();
    let mut most = before;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        pgvigil.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "4")]);
        expect_ended("a scrape", asked, Duration::from_secs(4));
        most = most.max(pgvigil.rss_kib());
    }
    let told = |page: &str, name: &str| reason(page, name, "information").unwrap_or_default();
    let page = until(&pgvigil, "each has its reason", |page| {
        let mut unfit = LIES.iter().filter(|(name, reasons, _)| !reasons.contains(&told(page, name)));
        unfit.next().inspect(|(name, ..)| println!("{name}: {}", told(page, name))).is_none()
    });
    for (name, ..) in LIES.iter().filter(|(name, ..)| *name != "ampersands") {
        assert_eq!(sample(&page, "pgvigil_backup_up", &[("repository", name)]), Some(0.0), "{name}");
        println!("promise 22: a bucket that is {name}: {}", told(&page, name));
    }
    assert!(!pgvigil.stderr().contains("X-Amz"), "what was signed is seen: {}", pgvigil.stderr());
    println!("promise 22: lying buckets together: {} KiB more", most - before);
    assert!(most - before <= GROWTH_KIB, "{} KiB more", most - before);
}
