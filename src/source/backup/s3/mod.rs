//! Finds backups that are objects under a prefix of an S3-compatible bucket: lists them page by page, never reads them.

pub mod list;

use std::time::{Duration, SystemTime};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{DATE, HOST};
use hyper::{Request, Response, StatusCode};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use wildmatch::WildMatch;

use crate::secret;
use crate::settings::S3;
use crate::settings::connection::model::{Roots, TlsMode, TlsSettings};
use crate::source::backup::contents::RepositoryContents;
use crate::source::backup::files::{KEPT_EACH, KEPT_LIMIT, NamedFile};
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::s3::list::ObjectPage;
use crate::source::backup::{files, time};
use crate::source::net::http_client;
use crate::source::net::http_client::HttpAddress;
use crate::source::sections::unix_seconds;

/// A page has a thousand objects; a bucket with more than 100,000 needs a longer prefix.
const MOST_PAGES: usize = 100;

/// The largest page: a thousand names of 1,024 bytes, percent-encoded, are 3 MB, each with some 300 bytes around it.
const PAGE_LIMIT: usize = 4 << 20;

/// How long a signature is valid: the difference of clocks that services accept, so that a clock running late does no
/// harm.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// If a service refuses a signature, the message mentions clocks that differ by more than this.
const FAR_APART: f64 = 300.0;

/// Returns the objects that match, as backups.
///
/// # Errors
/// The bucket could not be listed by `until`.
pub async fn list_all(settings: &S3, until: Instant) -> Result<RepositoryContents, BackupProblem> {
    let late = |_| Err(BackupReason::Timeout.because(format!("{} did not answer in time", settings.endpoint)));
    timeout_at(until, list_pages(settings)).await.unwrap_or_else(late)
}

async fn list_pages(settings: &S3) -> Result<RepositoryContents, BackupProblem> {
    let pattern = WildMatch::new(&settings.pattern);
    // Consoles create folders as objects whose names end in a slash.
    let is_match = |object: &NamedFile| {
        let rest = object.name.strip_prefix(&settings.prefix).unwrap_or(&object.name);
        pattern.matches(rest) && !object.name.ends_with('/')
    };
    let (mut matching, mut token, mut malformed, mut kept) = (Vec::new(), None, 0, 0);
    for _ in 0..MOST_PAGES {
        let page = list(settings, token.as_deref()).await?;
        malformed += page.malformed;
        kept += page.objects.iter().map(|object| object.name.len() + KEPT_EACH).sum::<usize>();
        if kept > KEPT_LIMIT {
            break;
        }
        matching.extend(page.objects.into_iter().filter(is_match));
        token = page.next;
        if token.is_none() {
            return Ok(contents(matching, malformed, settings.name_time.as_deref()));
        }
    }
    Err(BackupReason::TooLarge.because("more than 100,000 objects: give a longer `prefix`"))
}

fn contents(objects: Vec<NamedFile>, malformed: u64, name_time: Option<&str>) -> RepositoryContents {
    let mut contents = files::contents(objects, name_time);
    if malformed > 0 {
        contents.malformed += malformed;
        contents.stanzas.iter_mut().for_each(|stanza| stanza.partial = true);
        contents.push_unknown(format!("{malformed} objects in the list have no name, size or time that can be read"));
    }
    contents
}

async fn list(settings: &S3, token: Option<&str>) -> Result<ObjectPage, BackupProblem> {
    let service = HttpAddress::parse(&settings.endpoint).ok_or_else(invalid_endpoint)?;
    let request = Request::get(signed_path(settings, &service.host, token).await?);
    let request = request.header(HOST, &service.host).body(Empty::new()).map_err(|error| failed(&error))?;
    let tls = TlsSettings { mode: TlsMode::VerifyFull, roots: Roots::System, client: None };
    let answer = http_client::ask(&service, &tls, request, PAGE_LIMIT).await.map_err(|error| failed(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(refused(&answer, SystemTime::now()));
    }
    // Parsing megabytes takes a while, and would block other tasks on this thread.
    spawn_blocking(move || list::parse(answer.body())).await.unwrap_or_else(|error| Err(failed(&error)))
}

/// The path and the query, which is signed and so must never be shown.
async fn signed_path(settings: &S3, host: &str, token: Option<&str>) -> Result<String, BackupProblem> {
    let secret = settings.secret_key_file.as_ref().or(settings.secret_key.as_ref());
    let secret = secret::resolve(secret).await.map_err(|error| failed(&format!("the key: {error}")))?;
    let keys = settings.access_key.as_ref().zip(secret);
    let credentials = keys.map(|(key, secret)| Credentials::new(key, secret.expose()));
    let endpoint = settings.endpoint.parse().map_err(|_| invalid_endpoint())?;
    let bucket = Bucket::new(endpoint, UrlStyle::Path, settings.bucket.clone(), settings.region.clone());
    let bucket = bucket.map_err(|_| invalid_endpoint())?;
    let mut list = bucket.list_objects_v2(credentials.as_ref());
    list.with_max_keys(1000);
    list.with_prefix(&settings.prefix);
    if let Some(token) = token {
        list.with_continuation_token(token);
    }
    list.headers_mut().insert("host", host);
    let now = SystemTime::now().try_into();
    let now = now.map_err(|_| failed(&"this machine's clock is wrong by thousands of years"))?;
    let url = list.sign_with_time(SIGNED_FOR, &now);
    Ok(format!("{}?{}", url.path(), url.query().unwrap_or_default()))
}

fn invalid_endpoint() -> BackupProblem {
    BackupReason::Failed.because("`endpoint` must be like https://s3.example.com or http://host:9000")
}

fn failed(error: &dyn std::fmt::Display) -> BackupProblem {
    BackupReason::Failed.because(format!("the bucket cannot be listed: {error}"))
}

fn refused(answer: &Response<Bytes>, now: SystemTime) -> BackupProblem {
    let status = answer.status();
    let remedy = match ahead(answer, now) {
        _ if status != StatusCode::FORBIDDEN => String::new(),
        Some(seconds) if seconds.abs() > FAR_APART => {
            let how = if seconds > 0.0 { "ahead of" } else { "behind" };
            format!("; this machine's clock is {:.0} s {how} the service's, which may be why", seconds.abs())
        }
        _ => "; the keys need s3:ListBucket on it".to_owned(),
    };
    let reason = if status == StatusCode::NOT_FOUND { BackupReason::Missing } else { BackupReason::Failed };
    reason.because(format!("the bucket cannot be listed: {status} {}{remedy}", list::code(answer.body())))
}

/// How many seconds our clock is ahead of the service's.
fn ahead(answer: &Response<Bytes>, now: SystemTime) -> Option<f64> {
    let theirs = time::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?)?;
    Some(unix_seconds(now)? - theirs)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::secret::Secret;

    fn settings(endpoint: &str) -> S3 {
        S3 {
            endpoint: endpoint.to_owned(),
            bucket: "dumps".to_owned(),
            prefix: "a b/ä".to_owned(),
            pattern: "*".to_owned(),
            name_time: None,
            region: "eu-west-3".to_owned(),
            access_key: Some("key".to_owned()),
            secret_key: Some(Secret::from("secret")),
            secret_key_file: None,
        }
    }

    #[tokio::test]
    async fn paths_are_signed() {
        for (endpoint, path) in [
            ("https://s3.example.com", "/dumps/?"),
            ("https://s3.example.com/", "/dumps/?"),
            ("http://[::1]:9000/under", "/under/dumps/?"),
        ] {
            let address = signed_path(&settings(endpoint), "host:9000", Some("t&")).await.expect("an endpoint");
            assert!(address.starts_with(path), "{address}");
            for part in [
                "&prefix=a%20b%2F%C3%A4",
                "continuation-token=t%26&",
                "list-type=2&",
                "&max-keys=1000&",
                "%2Feu-west-3%2Fs3%2Faws4_request&",
                "X-Amz-Expires=900&",
                "X-Amz-Signature=",
            ] {
                assert!(address.contains(part), "{part}: {address}");
            }
            assert!(!address.contains("secret"));
        }
        let unsigned = S3 { secret_key: None, ..settings("https://s3.example.com") };
        let address = signed_path(&unsigned, "host", None).await.expect("an endpoint");
        assert_eq!(address, "/dumps/?encoding-type=url&list-type=2&max-keys=1000&prefix=a%20b%2F%C3%A4");
    }

    #[test]
    fn a_refusal_mentions_clocks_that_are_apart() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (date, status, message) in [
            ("Sat, 21 Nov 2026 12:54:20 GMT", 403, "403 Forbidden AccessDenied; the keys need s3:ListBucket on it"),
            ("Sat, 21 Nov 2026 12:34:20 GMT", 403, "clock is 1200 s ahead of the service's"),
            ("Sat, 21 Nov 2026 13:54:20 GMT", 403, "clock is 3600 s behind the service's"),
            ("some day", 403, "the keys need s3:ListBucket on it"),
            ("Sat, 21 Nov 2026 13:54:20 GMT", 404, "404 Not Found AccessDenied"),
        ] {
            let body = Bytes::from_static(b"<Error><Code>AccessDenied</Code></Error>");
            let answer = Response::builder().status(status).header(DATE, date).body(body).expect("an answer");
            let problem = refused(&answer, at(1_795_265_660));
            assert!(problem.message.contains(message), "{date}: {problem}");
        }
    }
}
