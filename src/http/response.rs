//! Builds responses from a status, a type and a body.

use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

pub type HttpResponse = Response<Bytes>;

pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, HeaderValue::from_static(content_type))
}

pub fn with_header(mut response: HttpResponse, name: HeaderName, value: HeaderValue) -> HttpResponse {
    response.headers_mut().insert(name, value);
    response
}

pub fn text(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    typed(status, "text/plain; charset=utf-8", body)
}

pub fn json(status: StatusCode, body: String) -> HttpResponse {
    typed(status, "application/json", body)
}

/// Refuses for now: the client may retry after this many seconds.
pub fn retry_later(status: StatusCode, seconds: u64, reason: impl Into<Bytes>) -> HttpResponse {
    with_header(text(status, reason), RETRY_AFTER, HeaderValue::from(seconds))
}

/// The path accepts these methods only.
pub fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let refusal = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    with_header(refusal, ALLOW, HeaderValue::from_static(allowed))
}
