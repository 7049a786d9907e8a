//! `pgvigil check --health`: checks a running pgvigil, for container images without a shell or an HTTP client.

use std::env;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use http_body_util::Empty;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use crate::cli::run::{print, run_to_end, usage};
use crate::settings::connection::model::{Roots, TlsMode, TlsSettings};
use crate::settings::web::WebSettings;
use crate::source::net::http_client;
use crate::source::net::http_client::HttpAddress;

/// The page that only reports that the process lives.
const LIVES: &str = "/healthz";

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// More than any health page has.
const BODY_LIMIT: usize = 1 << 20;

/// Asks this address, or else the pgvigil that this environment and this web configuration would start.
pub fn run(url: &str, web: Option<&Path>) -> anyhow::Result<()> {
    let url = match url {
        "" => {
            let is_encrypted = web.map(WebSettings::load).transpose()?.is_some_and(|web| web.tls.is_some());
            local_url(&env::var("PGVIGIL_LISTEN").unwrap_or_default(), if is_encrypted { "https" } else { "http" })
        }
        url => url.to_owned(),
    };
    // The message does not repeat the address: it may hold a password.
    let wrong = "--health: the address must be like http://127.0.0.1:9878/healthz, without a user";
    let mut place = HttpAddress::parse(&url).ok_or_else(|| usage(wrong.to_owned()))?;
    if place.path.is_empty() {
        place.path = LIVES.to_owned();
    }
    run_to_end(async {
        let late = |_| Err(anyhow!("no answer within {LIMIT:?}"));
        let status = timeout(LIMIT, ask(&place)).await.unwrap_or_else(late).with_context(|| url.clone())?;
        print(&format!("{url}: {status}\n"))
    })
}

/// Returns the answer's status if it is a good one. A server that requires a password lives; its targets are unknown.
async fn ask(place: &HttpAddress) -> anyhow::Result<StatusCode> {
    // Only the fact of an answer counts, and no secret is sent: any certificate will do.
    let tls = TlsSettings { mode: TlsMode::Require, roots: Roots::System, client: None };
    let request = Request::get(&place.path).header(HOST, &place.host).body(Empty::new())?;
    let status = http_client::ask(place, &tls, request, BODY_LIMIT).await.map_err(anyhow::Error::msg)?.status();
    ensure!(status.is_success() || status == StatusCode::UNAUTHORIZED && place.path == LIVES, "{status}");
    Ok(status)
}

/// The address of a pgvigil that listens there, from its own machine: a unix socket, if it has one. An empty `listen`
/// means the default.
fn local_url(listen: &str, scheme: &str) -> String {
    let mut places = listen.split(',').map(str::trim);
    if let Some(socket) = places.clone().find(|place| place.starts_with("unix:")) {
        return socket.split("?mode=").next().unwrap_or_default().to_owned();
    }
    let listen = places.next().unwrap_or_default();
    let (host, port) = listen.rsplit_once(':').unwrap_or(("", "9878"));
    let host = match host {
        "" | "0.0.0.0" | "[::]" => "127.0.0.1",
        host => host,
    };
    format!("{scheme}://{host}:{port}")
}

#[cfg(test)]
mod tests {
    use crate::cli::check::health::local_url;

    #[test]
    fn it_is_found_where_it_listens() {
        let cases = [
            ("", "http://127.0.0.1:9878"),
            (":9000", "http://127.0.0.1:9000"),
            ("0.0.0.0:9000", "http://127.0.0.1:9000"),
            ("[::]:9000", "http://127.0.0.1:9000"),
            ("[::1]:9000", "http://[::1]:9000"),
            ("localhost:9000", "http://localhost:9000"),
            ("localhost:9000,:9001", "http://localhost:9000"),
            (":9000, unix:/run/a.sock?mode=0600", "unix:/run/a.sock"),
        ];
        for (listen, url) in cases {
            assert_eq!(local_url(listen, "http"), url, "{listen}");
        }
    }
}
