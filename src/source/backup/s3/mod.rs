//! Backups that are objects under a prefix of an S3-compatible bucket: they are listed, page by page, and never read.

pub mod list;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode,
    body::Bytes,
    header::{DATE, HOST},
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use wildmatch::WildMatch;

use crate::{
    secret,
    settings::{
        S3,
        connection::model::{Roots, TlsMode, TlsSettings},
    },
    source::{
        backup::{
            files,
            files::{KEPT_EACH, KEPT_LIMIT, NamedFile},
            problem::{BackupProblem, BackupReason},
            s3::list::ObjectPage,
            time,
            tool_tables::RepositoryContents,
        },
        net::{http_client, http_client::HttpAddress},
    },
};

/// Objects are listed by the thousand; beyond 100,000 a narrower prefix is asked for.
const MOST_PAGES: usize = 100;

/// The most that one page may be: a thousand names of 1,024 bytes, percent-encoded, are 3 MB, and beside each some 300 bytes stand.
const PAGE_LIMIT: usize = 4 << 20;

/// How long a signature is good for: as long as services forgive clocks that differ, so that one that is slow does no harm.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// Clocks that are farther apart than this are told of where a signature is refused.
const FAR_APART: f64 = 300.0;

/// The objects that match.
///
/// # Errors
/// The bucket could not be listed by `until`.
pub async fn look(settings: &S3, until: Instant) -> Result<RepositoryContents, BackupProblem> {
    let late =
        |_| Err(BackupProblem::new(BackupReason::Timeout, format!("{} did not answer in time", settings.endpoint)));
    timeout_at(until, list_all(settings)).await.unwrap_or_else(late)
}

async fn list_all(settings: &S3) -> Result<RepositoryContents, BackupProblem> {
    let pattern = WildMatch::new(&settings.pattern);
    let (mut named, mut token, mut odd, mut kept) = (Vec::new(), None, 0, 0);
    for _ in 0..MOST_PAGES {
        let page = list(settings, token.as_deref()).await?;
        odd += page.odd;
        // What ends in a slash is a folder, as consoles make them.
        let fits = |object: &NamedFile| {
            let rest = object.name.strip_prefix(&settings.prefix).unwrap_or(&object.name);
            pattern.matches(rest) && !object.name.ends_with('/')
        };
        kept += page.objects.iter().map(|object| object.name.len() + KEPT_EACH).sum::<usize>();
        if kept > KEPT_LIMIT {
            break;
        }
        named.extend(page.objects.into_iter().filter(fits));
        token = page.next;
        if token.is_none() {
            let mut found = files::found(named.into_iter(), settings.name_time.as_deref());
            if odd > 0 {
                found.odd += odd;
                found.stanzas.iter_mut().for_each(|stanza| stanza.partial = true);
                found.unknown.push(format!("{odd} objects in the list have no name, size or time that can be read"));
            }
            return Ok(found);
        }
    }
    Err(BackupProblem::new(BackupReason::TooLarge, "more than 100,000 objects: give a longer `prefix`"))
}

async fn list(settings: &S3, token: Option<&str>) -> Result<ObjectPage, BackupProblem> {
    let wrong = || {
        BackupProblem::new(BackupReason::Failed, "`endpoint` must be like https://s3.example.com or http://host:9000")
    };
    let place = HttpAddress::parse(&settings.endpoint).ok_or_else(wrong)?;
    let request = Request::get(address(settings, &place.host, token).await?.ok_or_else(wrong)?);
    let request = request.header(HOST, &place.host).body(Empty::new()).map_err(|error| failed(&error))?;
    let tls = TlsSettings { mode: TlsMode::VerifyFull, roots: Roots::System, client: None };
    let answer = http_client::ask(&place, &tls, request, PAGE_LIMIT).await.map_err(|error| failed(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(refused(&answer, SystemTime::now()));
    }
    // Megabytes take a while, and others wait for the thread.
    spawn_blocking(move || list::parse(answer.body())).await.unwrap_or_else(|error| Err(failed(&error)))
}

/// The path and the query, which is signed, and so is never to be seen; `None` if the endpoint is not a URL.
async fn address(settings: &S3, host: &str, token: Option<&str>) -> Result<Option<String>, BackupProblem> {
    let credentials = match settings.keys() {
        Some((key, secret)) => {
            let secret = secret::resolve(Some(secret)).await.map_err(|error| failed(&format!("the key: {error}")))?;
            secret.map(|secret| Credentials::new(key, secret.expose()))
        }
        None => None,
    };
    let Ok(endpoint) = settings.endpoint.parse() else { return Ok(None) };
    let bucket = Bucket::new(endpoint, UrlStyle::Path, settings.bucket.clone(), settings.region.clone());
    let Ok(bucket) = bucket else { return Ok(None) };
    let mut list = bucket.list_objects_v2(credentials.as_ref());
    list.with_max_keys(1000);
    list.with_prefix(&settings.prefix);
    if let Some(token) = token {
        list.with_continuation_token(token);
    }
    list.headers_mut().insert("host", host);
    let now =
        SystemTime::now().try_into().map_err(|_| failed(&"this machine's clock is wrong by thousands of years"))?;
    let url = list.sign_with_time(SIGNED_FOR, &now);
    Ok(Some(format!("{}?{}", url.path(), url.query().unwrap_or_default())))
}

fn failed(error: &dyn std::fmt::Display) -> BackupProblem {
    BackupProblem::new(BackupReason::Failed, format!("the bucket cannot be listed: {error}"))
}

fn refused(answer: &Response<Bytes>, now: SystemTime) -> BackupProblem {
    let status = answer.status();
    let why = if status == StatusCode::NOT_FOUND { BackupReason::Missing } else { BackupReason::Failed };
    let needs = match ahead(answer, now) {
        _ if status != StatusCode::FORBIDDEN => String::new(),
        Some(seconds) if seconds.abs() > FAR_APART => {
            let how = if seconds > 0.0 { "ahead of" } else { "behind" };
            format!("; this machine's clock is {:.0} s {how} the service's, which may be why", seconds.abs())
        }
        _ => "; the keys need s3:ListBucket on it".to_owned(),
    };
    BackupProblem::new(why, format!("the bucket cannot be listed: {status} {}{needs}", list::code(answer.body())))
}

/// How many seconds our clock is ahead of the service's.
fn ahead(answer: &Response<Bytes>, now: SystemTime) -> Option<f64> {
    let theirs = time::of_header(answer.headers().get(DATE)?.to_str().ok()?)?;
    Some(now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() - theirs)
}

#[cfg(test)]
mod tests {
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
            secret_key: Some(Secret::new("secret")),
            secret_key_file: None,
        }
    }

    #[tokio::test]
    async fn addresses_are_signed() {
        for (endpoint, path) in [
            ("https://s3.example.com", "/dumps/?"),
            ("https://s3.example.com/", "/dumps/?"),
            ("http://[::1]:9000/under", "/under/dumps/?"),
        ] {
            let address =
                address(&settings(endpoint), "host:9000", Some("t&")).await.expect("keys").expect("an endpoint");
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
        let address = address(&unsigned, "host", None).await.expect("no keys").expect("an endpoint");
        assert_eq!(address, "/dumps/?encoding-type=url&list-type=2&max-keys=1000&prefix=a%20b%2F%C3%A4");
    }

    #[test]
    fn a_refusal_tells_of_clocks_that_are_apart() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (date, status, said) in [
            ("Sat, 21 Nov 2026 12:54:20 GMT", 403, "403 Forbidden AccessDenied; the keys need s3:ListBucket on it"),
            ("Sat, 21 Nov 2026 12:34:20 GMT", 403, "clock is 1200 s ahead of the service's"),
            ("Sat, 21 Nov 2026 13:54:20 GMT", 403, "clock is 3600 s behind the service's"),
            ("some day", 403, "the keys need s3:ListBucket on it"),
            ("Sat, 21 Nov 2026 13:54:20 GMT", 404, "404 Not Found AccessDenied"),
        ] {
            let body = Bytes::from_static(b"<Error><Code>AccessDenied</Code></Error>");
            let answer = Response::builder().status(status).header(DATE, date).body(body).expect("an answer");
            let problem = refused(&answer, at(1_795_265_660));
            assert!(problem.message.contains(said), "{date}: {problem}");
        }
    }
}
