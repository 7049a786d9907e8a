//! The HTTP paths and their responses. Requests only read: no path takes an address or SQL. `auth.rs` has checked user,
//! host and rate before.
//!
//! | path | method | response |
//! |---|---|---|
//! | `/` | GET | a page for people: links, targets, collectors |
//! | `/metrics` | GET | the page of metrics; `?target=` and `?collector=` select parts of it |
//! | `/sd` | GET | the targets, for Prometheus' `http_sd_configs` |
//! | `/probe` | GET | one round of a probe, now: `?target=`, `?path=`, `?debug=true` |
//! | `/healthz` | GET | `ok`: the process runs |
//! | `/readyz` | GET | 200 until shutdown begins, with the known state of each target |
//! | `/health` | GET | 200 if all targets can be reached now, else 503 |
//! | `/-/reload` | POST | reloads the configuration, if `--web.enable-lifecycle` allows it |
//!
//! HEAD is accepted wherever GET is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HOST, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::http::body_budget::{Body, BodyBudget};
use crate::http::response::{HttpResponse, json, method_not_allowed, retry_later, text, typed, with_header};
use crate::http::{auth, landing, negotiate};
use crate::scrape::coalescer::{Coalescer, PageKey};
use crate::scrape::reload::LiveConfig;
use crate::scrape::target::report::TargetStatus;
use crate::scrape::target::{DebugRefusal, Target};

/// How long a result of /health is cached.
const HEALTH_TTL: Duration = Duration::from_millis(1500);

/// How long /health waits for the targets.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

const TOO_MANY_PAGES: &str = "more than 1,000 pages are in flight; retry in a few seconds, with a page that others request too: \
                              without `target=` or `collector=`, and with a timeout of whole seconds\n";

/// The state behind all paths.
pub struct App {
    live: Arc<LiveConfig>,
    coalescer: Arc<Coalescer>,
    bodies: BodyBudget,
    /// `POST /-/reload` is allowed.
    lifecycle: bool,
    /// Each request being answered holds a receiver.
    in_flight: watch::Sender<()>,
    draining: AtomicBool,
    /// The last response of /health, and when it was made.
    health: Mutex<Option<(Instant, HttpResponse)>>,
}

impl App {
    pub fn new(live: Arc<LiveConfig>, lifecycle: bool) -> Self {
        App {
            live,
            coalescer: Arc::default(),
            bodies: BodyBudget::default(),
            lifecycle,
            in_flight: watch::Sender::default(),
            draining: AtomicBool::default(),
            health: Mutex::default(),
        }
    }

    /// Shutdown has begun: /readyz reports it from now on. Waits for the requests in flight; after the patience, scrapes
    /// are answered with the results already there.
    pub async fn drain(&self, patience: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        if timeout(patience, self.in_flight.closed()).await.is_err() {
            self.coalescer.stop_waiting();
        }
    }

    /// For new connections; `None` if they are not encrypted.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.live.web().tls.clone()
    }

    pub async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let _in_flight = self.in_flight.subscribe();
        let web = self.live.web();
        let response = match auth::refusal(&web, request.headers()).await {
            Some(refusal) => refusal,
            None => self.route(request).await,
        };
        auth::with_headers(response, &web).map(|bytes| self.bodies.body(bytes))
    }

    async fn route(&self, request: Request<Incoming>) -> HttpResponse {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/-/reload" if *request.method() == Method::POST => self.reload().await,
            "/-/reload" => method_not_allowed("POST"),
            _ if !is_read => method_not_allowed("GET, HEAD"),
            "/" => typed(StatusCode::OK, "text/html; charset=utf-8", landing::page(&self.live.engine())),
            "/metrics" => self.metrics(&request).await,
            "/sd" => json(StatusCode::OK, self.discovery(&request).to_string()),
            "/probe" => self.probe(&request).await,
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/health" => self.health().await,
            _ => text(StatusCode::NOT_FOUND, "not found; the page / lists the paths\n"),
        }
    }

    async fn metrics(&self, request: &Request<Incoming>) -> HttpResponse {
        let (headers, engine) = (request.headers(), self.live.engine());
        let selection = negotiate::selection(request.uri().query());
        if let Err(unknown) = engine.check(&selection) {
            return text(StatusCode::BAD_REQUEST, unknown + "\n");
        }
        let timeout = negotiate::timeout(headers, engine.settings.scrape_timeout);
        let key = PageKey { selection, format: negotiate::format(headers), gzip: negotiate::gzip(headers), timeout };
        let (format, gzip) = (key.format, key.gzip);
        let Ok(page) = self.coalescer.get(&engine, key).await else {
            return retry_later(StatusCode::SERVICE_UNAVAILABLE, 5, TOO_MANY_PAGES);
        };
        let page = typed(StatusCode::OK, format.content_type(), page);
        let page = with_header(page, VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if gzip { with_header(page, CONTENT_ENCODING, HeaderValue::from_static("gzip")) } else { page }
    }

    /// Each target as a separate scrape, for Prometheus' `http_sd_configs`. The address is that of this request. Shards
    /// divide the targets by `__meta_pgvigil_cluster`, so that alerts about a cluster see all of its servers: it is the
    /// label `cluster`, or else the target's name.
    fn discovery(&self, request: &Request<Incoming>) -> Value {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let mut groups = Vec::new();
        for target in &self.live.engine().targets {
            let name = target.name();
            let cluster = target.cluster().unwrap_or(name);
            let labels = json!({ "__param_target": name, "instance": name, "__meta_pgvigil_cluster": cluster });
            groups.push(json!({ "targets": [host], "labels": labels }));
        }
        groups.into()
    }

    /// Runs one round on a path of a probe now: of the first probe, or of the `target`. It is not counted, and it is
    /// limited: see [`DebugRefusal::TooSoon`].
    async fn probe(&self, request: &Request<Incoming>) -> HttpResponse {
        let engine = self.live.engine();
        let parameters: HashMap<_, _> = negotiate::parameters(request.uri().query()).collect();
        let (wanted, path) = (parameters.get("target"), parameters.get("path").map_or("", |path| path));
        let in_full = parameters.get("debug").is_some_and(|debug| debug == "true");
        let is_wanted = |target: &&Arc<Target>| wanted.is_none_or(|name| name == target.name());
        let targets: Vec<_> = engine.targets.iter().filter(is_wanted).collect();
        let bad_request = |message: String| text(StatusCode::BAD_REQUEST, message + "\n");
        if let Some(name) = wanted
            && targets.is_empty()
        {
            return bad_request(format!("no target {name:?}"));
        }
        let Some(probe) = targets.into_iter().find_map(|target| target.probe.as_ref()) else {
            return bad_request("no probe: choose a target with `probe`".to_owned());
        };
        match probe.state.debug_round(path).await {
            Ok(round) => text(StatusCode::OK, round.text(in_full)),
            Err(DebugRefusal::Unknown(message)) => bad_request(message),
            Err(DebugRefusal::TooSoon(wait)) => {
                let seconds = wait.as_secs() + 1;
                let reason = format!("a round ran recently; retry in {seconds} s\n");
                retry_later(StatusCode::TOO_MANY_REQUESTS, seconds, reason)
            }
            Err(DebugRefusal::Broken(message)) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("the round did not end: {message}\n"))
            }
        }
    }

    async fn reload(&self) -> HttpResponse {
        if !self.lifecycle {
            return text(StatusCode::FORBIDDEN, "reload over HTTP is off; --web.enable-lifecycle turns it on\n");
        }
        match self.live.reload().await {
            Ok(()) => text(StatusCode::OK, "reloaded\n"),
            Err(problems) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{problems}\n")),
        }
    }

    /// Ready to be scraped in any state of the targets: a watcher must be up when the watched is down.
    fn ready(&self) -> HttpResponse {
        let engine = self.live.engine();
        let targets = engine.targets.iter().map(|target| (target.name(), target.last_status()));
        let is_ready = !self.draining.load(Ordering::Relaxed);
        json(status_of(is_ready), json!({ "ready": is_ready, "targets": states(targets) }).to_string())
    }

    async fn health(&self) -> HttpResponse {
        let mut cached = self.health.lock().await;
        if let Some((checked, response)) = &*cached
            && checked.elapsed() <= HEALTH_TTL
        {
            return response.clone();
        }
        let response = self.check_health().await;
        *cached = Some((Instant::now(), response.clone()));
        response
    }

    async fn check_health(&self) -> HttpResponse {
        let engine = self.live.engine();
        // Pings keep the deadline themselves; the timeout is for one that does not.
        let pings = engine.ping(Instant::now() + HEALTH_TIMEOUT);
        let pinged = timeout(2 * HEALTH_TIMEOUT, pings).await.unwrap_or_default();
        let is_healthy = pinged.len() == engine.targets.len() && pinged.iter().all(|(_, report)| report.up);
        json(status_of(is_healthy), json!({ "healthy": is_healthy, "targets": states(pinged) }).to_string())
    }
}

fn status_of(is_fine: bool) -> StatusCode {
    if is_fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn states<'a>(targets: impl IntoIterator<Item = (&'a str, TargetStatus)>) -> Value {
    let state = |(name, report): (&str, TargetStatus)| {
        json!({
            "target": name,
            "up": report.up,
            "reason": report.error.as_ref().map(|error| error.reason.into_str()),
            "error": report.error.as_ref().map(|error| &*error.message),
            "replica": report.status.replica,
            "left_out": report.left_out,
            "protocol": report.status.pooled.map(|pooled| if pooled { "pooled" } else { "prepared" }),
        })
    };
    targets.into_iter().map(state).collect()
}
