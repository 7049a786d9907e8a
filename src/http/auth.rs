//! Checks requests before routing (host name, rate limit, user and password), and adds headers to every response.

use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};

use crate::access::{Authentication, WebAccess};
use crate::http::response::{HttpResponse, retry_later, text, with_header};

/// The response to a refused request; `None` if it is accepted.
pub async fn refusal(web: &WebAccess, headers: &HeaderMap) -> Option<HttpResponse> {
    // Browsers always send the name in the address bar.
    if let Some(host) = headers.get(HOST).filter(|host| !host.to_str().is_ok_and(|host| web.answers_to(host))) {
        let host = String::from_utf8_lossy(host.as_bytes());
        let message =
            format!("{host:?} is not a name of this server: `allowed_hosts` of the web configuration lists them\n");
        return Some(text(StatusCode::MISDIRECTED_REQUEST, message));
    }
    if !web.is_within_rate() {
        return Some(too_many("too many requests: `rate_limit` of the web configuration\n"));
    }
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    match web.users.authenticate(authorization).await {
        Authentication::Accepted => None,
        Authentication::Overloaded => Some(too_many("too many passwords are being compared\n")),
        Authentication::Rejected => {
            let refusal = text(StatusCode::UNAUTHORIZED, "a user and a password are needed\n");
            let challenge = HeaderValue::from_static("Basic realm=\"pgvigil\", charset=\"UTF-8\"");
            Some(with_header(refusal, WWW_AUTHENTICATE, challenge))
        }
    }
}

/// The response with the headers that the web configuration adds.
pub fn with_headers(mut response: HttpResponse, web: &WebAccess) -> HttpResponse {
    for (name, value) in &web.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        // Both were checked when the web configuration was read.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn too_many(reason: &'static str) -> HttpResponse {
    retry_later(StatusCode::TOO_MANY_REQUESTS, 1, reason)
}
