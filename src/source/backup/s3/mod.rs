//! Backups that are objects under a prefix of an S3-compatible bucket: they are listed, page by page, and never read.

mod list;
mod sign;

use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::Empty;
use hyper::{Request, StatusCode, header::HOST};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use wildmatch::WildMatch;

use self::{list::Page, sign::encode};
use super::{
    files::{self, Named},
    found::Found,
    problem::{Problem, Why},
};
use crate::{
    config::settings::{Roots, S3, Tls, TlsMode},
    source::{
        secret,
        web::{self, Place},
    },
};

/// Objects are listed by the thousand; beyond 100,000 a narrower prefix is asked for.
const MOST_PAGES: usize = 100;

/// The most that one page may be.
const PAGE_LIMIT: usize = 8 << 20;

/// The most that is kept of the objects, each with so many bytes beside its name: 100,000 whose names have 80 characters.
const KEPT_LIMIT: usize = 16 << 20;
const KEPT_EACH: usize = 80;

/// The objects that match.
///
/// # Errors
/// The bucket could not be listed by `until`.
pub async fn look(settings: &S3, until: Instant) -> Result<Found, Problem> {
    let late = |_| Err(Problem::new(Why::Timeout, format!("{} did not answer in time", settings.endpoint)));
    timeout_at(until, list_all(settings)).await.unwrap_or_else(late)
}

async fn list_all(settings: &S3) -> Result<Found, Problem> {
    let pattern = WildMatch::new(&settings.pattern);
    let (mut named, mut token, mut odd, mut kept) = (Vec::new(), None, 0, 0);
    for _ in 0..MOST_PAGES {
        let page = list(settings, token.as_deref()).await?;
        odd += page.odd;
        // What ends in a slash is a folder, as consoles make them.
        let fits = |object: &Named| {
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
    Err(Problem::new(Why::TooLarge, "more than 100,000 objects: give a longer `prefix`"))
}

async fn list(settings: &S3, token: Option<&str>) -> Result<Page, Problem> {
    let wrong = || Problem::new(Why::Failed, "`endpoint` must be like https://s3.example.com or http://host:9000");
    let place = Place::parse(&settings.endpoint).ok_or_else(wrong)?;
    // By name, as the signature wants them.
    let token = token.map(|token| format!("continuation-token={}&", encode(token))).unwrap_or_default();
    let query = format!("{token}list-type=2&max-keys=1000&prefix={}", encode(&settings.prefix));
    let path = format!("{}/{}", place.path.trim_end_matches('/'), encode(&settings.bucket));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut request = Request::get(format!("{path}?{query}")).header(HOST, &place.host);
    let keys = match &settings.keys {
        Some((key, secret)) => {
            let secret = secret::now(Some(secret)).await.map_err(|error| failed(&error.message))?;
            Some(key.clone()).zip(secret)
        }
        None => None,
    };
    for (name, value) in sign::headers(&S3 { keys, ..settings.clone() }, &place.host, &path, &query, now) {
        request = request.header(name, value);
    }
    let request = request.body(Empty::new()).map_err(|error| failed(&error))?;
    let tls = Tls { mode: TlsMode::VerifyFull, roots: Roots::System, client: None };
    let (status, body) = web::ask(&place, &tls, request, PAGE_LIMIT).await.map_err(|error| failed(&error))?;
    match status {
        // Megabytes take a while, and others wait for the thread.
        StatusCode::OK => spawn_blocking(move || list::parse(&body)).await.unwrap_or_else(|error| Err(failed(&error))),
        _ => Err(refused(status, &list::code(&body))),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Why::Failed, format!("the bucket cannot be listed: {error}"))
}

fn refused(status: StatusCode, code: &str) -> Problem {
    let why = if status == StatusCode::NOT_FOUND { Why::Missing } else { Why::Failed };
    let needs = if status == StatusCode::FORBIDDEN { "; the keys need s3:ListBucket on it" } else { "" };
    Problem::new(why, format!("the bucket cannot be listed: {status} {code}{needs}"))
}
