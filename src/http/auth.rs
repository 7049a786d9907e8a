//! Who gets in: the limit on requests, users and passwords, and the headers that every answer has.

use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};

use crate::{
    access::{Admission, WebAccess},
    http::routes::{HttpResponse, text},
};

/// The answer to who is not let in; `None` to who is.
pub async fn refusal(web: &WebAccess, headers: &HeaderMap) -> Option<HttpResponse> {
    // Browsers always say whom they ask.
    if let Some(host) = headers.get(HOST).filter(|host| !host.to_str().is_ok_and(|host| web.answers_to(host))) {
        let host = String::from_utf8_lossy(host.as_bytes());
        let message =
            format!("{host:?} is not a name of this server: `allowed_hosts` of the web configuration lists them\n");
        return Some(text(StatusCode::MISDIRECTED_REQUEST, message));
    }
    if !web.has_room() {
        return Some(later("too many requests: `rate_limit` of the web configuration\n"));
    }
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    match web.admits(authorization).await {
        Admission::Admitted => None,
        Admission::Busy => Some(later("too many passwords are being compared\n")),
        Admission::Refused => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "a user and a password are needed\n");
            let asked = HeaderValue::from_static("Basic realm=\"pgvigil\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, asked);
            Some(answer)
        }
    }
}

/// The answer with the headers that the web configuration adds.
pub fn with_headers(mut answer: HttpResponse, web: &WebAccess) -> HttpResponse {
    for (name, value) in &web.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        // Both were looked at when they were read.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn later(why: &'static str) -> HttpResponse {
    let mut answer = text(StatusCode::TOO_MANY_REQUESTS, why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
