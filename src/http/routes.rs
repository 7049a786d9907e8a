//! Every path there is. Strangers can read and nothing else: no path takes an address or SQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, VARY},
};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    http::{
        auth,
        body_budget::{Body, BodyBudget},
        landing, negotiate,
    },
    scrape::{
        coalescer::{Coalescer, PageKey},
        reload::LiveConfig,
        target::{DebugRefusal, Target, report::TargetStatus},
    },
};

/// An answer of /health is good for as long as this.
const HEALTH_AGE: Duration = Duration::from_millis(1500);

/// How long /health waits for the targets.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

pub type HttpResponse = Response<Bytes>;

/// What the paths answer from.
pub struct App {
    live: Arc<LiveConfig>,
    pages: Arc<Coalescer>,
    unsent: BodyBudget,
    /// `POST /-/reload` is allowed.
    lifecycle: bool,
    draining: AtomicBool,
    health: Mutex<Option<(Instant, bool, String)>>,
}

impl App {
    pub fn new(live: Arc<LiveConfig>, lifecycle: bool) -> Self {
        App {
            live,
            pages: Arc::default(),
            unsent: BodyBudget::default(),
            lifecycle,
            draining: AtomicBool::new(false),
            health: Mutex::default(),
        }
    }

    /// No longer ready: shutdown has begun.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Scrapes in flight are answered with what is there.
    pub fn hurry(&self) {
        self.pages.stop_waiting();
    }

    /// What new connections speak, if it is TLS.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.live.web().tls.clone()
    }

    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let web = self.live.web();
        let answer = match auth::refusal(&web, request.headers()).await {
            Some(refusal) => refusal,
            None => self.path(request).await,
        };
        auth::with_headers(answer, &web).map(|bytes| self.unsent.body(bytes))
    }

    async fn path(&self, request: Request<Incoming>) -> HttpResponse {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/-/reload" if *request.method() == Method::POST => self.reload().await,
            "/-/reload" => only("POST"),
            _ if !reads => only("GET, HEAD"),
            "/metrics" => self.metrics(&request).await,
            "/" => html(landing::page(&self.live.engine())),
            "/sd" => json(StatusCode::OK, self.discovery(&request).to_string()),
            "/probe" => self.probe(&request).await,
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/health" => self.health().await,
            _ => text(StatusCode::NOT_FOUND, "not found; the page / lists what there is\n"),
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
        let Ok(page) = self.pages.get(&engine, key).await else { return busy() };
        let mut answer = typed(StatusCode::OK, format.content_type(), page);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if gzip {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }

    /// Each target as a scrape of its own, for Prometheus' `http_sd_configs`. The address is the one we were asked at. Shards are to share
    /// targets out by `__meta_pgvigil_cluster`, so that alerts about a cluster see all of its servers: its label `cluster`, else its name.
    fn discovery(&self, request: &Request<Incoming>) -> Value {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let engine = self.live.engine();
        let group = |target: &Target| {
            let (name, cluster) = (target.name(), target.cluster());
            let labels =
                json!({ "__param_target": name, "instance": name, "__meta_pgvigil_cluster": cluster.unwrap_or(name) });
            json!({ "targets": [host], "labels": labels })
        };
        engine.targets.iter().map(|target| group(target)).collect()
    }

    /// One round now on a path of a probe. Not counted, and seldom: see [`DebugRefusal::TooSoon`].
    async fn probe(&self, request: &Request<Incoming>) -> HttpResponse {
        let engine = self.live.engine();
        let asked = negotiate::probe(request.uri().query());
        let bad = |message: String| text(StatusCode::BAD_REQUEST, message + "\n");
        if let Some(name) = asked.target.as_deref().filter(|name| !engine.targets.iter().any(|t| t.name() == *name)) {
            return bad(format!("no target {name:?}"));
        }
        for target in engine.targets.iter().filter(|t| asked.target.as_deref().is_none_or(|name| name == t.name())) {
            let Some(probe) = &target.probe else { continue };
            return match probe.course.debug_round(&asked.path).await {
                Ok(round) => text(StatusCode::OK, round.text(asked.debug)),
                Err(DebugRefusal::Unknown(message)) => bad(message),
                Err(DebugRefusal::TooSoon(wait)) => too_soon(wait),
                Err(DebugRefusal::Broken(message)) => {
                    text(StatusCode::INTERNAL_SERVER_ERROR, format!("the round did not end: {message}\n"))
                }
            };
        }
        bad("no probe: that is a target with `probe`".to_owned())
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

    /// Ready to be scraped, whatever the targets do: a watcher must be up when the watched is down.
    fn ready(&self) -> HttpResponse {
        let engine = self.live.engine();
        let targets = engine.targets.iter().map(|target| (target.name(), target.last_status()));
        let (status, ready) = match self.draining.load(Ordering::Relaxed) {
            false => (StatusCode::OK, true),
            true => (StatusCode::SERVICE_UNAVAILABLE, false),
        };
        json(status, json!({ "ready": ready, "targets": states(targets) }).to_string())
    }

    async fn health(&self) -> HttpResponse {
        let mut cached = self.health.lock().await;
        if cached.as_ref().is_none_or(|(at, ..)| at.elapsed() > HEALTH_AGE) {
            let engine = self.live.engine();
            // The deadline is kept by ping itself; this is for what keeps no deadline.
            let pinged =
                timeout(2 * HEALTH_LIMIT, engine.ping(Instant::now() + HEALTH_LIMIT)).await.unwrap_or_default();
            let up = pinged.len() == engine.targets.len() && pinged.iter().all(|(_, report)| report.up);
            let body = json!({ "healthy": up, "targets": states(pinged) }).to_string();
            *cached = Some((Instant::now(), up, body));
        }
        let (up, body) = cached.as_ref().map(|(_, up, body)| (*up, body.clone())).unwrap_or_default();
        json(if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
    }
}

fn states<'a>(targets: impl IntoIterator<Item = (&'a str, TargetStatus)>) -> Value {
    let state = |(name, report): (&str, TargetStatus)| {
        json!({
            "target": name,
            "up": report.up,
            "reason": report.error.as_ref().map(|error| error.reason.word()),
            "error": report.error.as_ref().map(|error| &*error.message),
            "replica": report.status.replica,
            "left_out": report.left_out,
            "protocol": report.status.pooled.map(|pooled| if pooled { "pooled" } else { "prepared" }),
        })
    };
    targets.into_iter().map(state).collect()
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub fn text(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    typed(status, "text/plain; charset=utf-8", body)
}

fn json(status: StatusCode, body: String) -> HttpResponse {
    typed(status, "application/json", body)
}

fn too_soon(wait: Duration) -> HttpResponse {
    let seconds = wait.as_secs() + 1;
    let mut answer = text(StatusCode::TOO_MANY_REQUESTS, format!("asked a short while ago; again in {seconds} s\n"));
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

fn busy() -> HttpResponse {
    let why = "more than 1,000 pages are being made; ask again in a few seconds, for a page that others ask for too: without `target=` or \
               `collector=`, and with a timeout of whole seconds\n";
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

fn html(body: String) -> HttpResponse {
    typed(StatusCode::OK, "text/html; charset=utf-8", body)
}

fn only(methods: &'static str) -> HttpResponse {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}
