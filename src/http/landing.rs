//! The landing page for people, with links, the state of each target, and the collectors.

use std::fmt::Write;

use crate::scrape::engine::Engine;
use crate::scrape::target::Target;

/// The page, as HTML without scripts.
pub fn page(engine: &Engine) -> String {
    let mut out = String::from(concat!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>pgvigil</title>\n",
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}",
        "td,th{text-align:left;padding:.1em 1em .1em 0}.down{color:#b00}</style></head><body>\n",
        "<h1>pgvigil ",
        env!("CARGO_PKG_VERSION"),
        "</h1>\n<p><a href=\"/metrics\">/metrics</a> &middot; <a href=\"/health\">/health</a> &middot; ",
        "<a href=\"/sd\">/sd</a> &middot; <a href=\"/readyz\">/readyz</a> &middot; <a href=\"/healthz\">/healthz</a></p>\n",
        "<h2>Targets</h2>\n<table><tr><th>target</th><th>state</th><th>role</th></tr>\n",
    ));
    for target in &engine.targets {
        push_target(&mut out, target);
    }
    out.push_str("</table>\n<h2>Collectors</h2>\n<table>\n");
    for collector in &engine.catalogue.collectors {
        let (name, about) = (escape(&collector.name), escape(&collector.about));
        _ = writeln!(out, "<tr><td><a href=\"/metrics?collector={name}\">{name}</a></td><td>{about}</td></tr>");
    }
    out.push_str("</table>\n</body></html>\n");
    out
}

fn push_target(out: &mut String, target: &Target) {
    let report = target.last_status();
    let state = match (&report.error, report.last_answer) {
        (Some(error), _) => format!("<span class=\"down\">down: {}</span>", escape(&error.to_string())),
        (None, Some(_)) if report.left_out.is_empty() => "up".to_owned(),
        (None, Some(_)) => format!("up; too large, so without all of {}", escape(&report.left_out.join(", "))),
        (None, None) => "not asked yet".to_owned(),
    };
    let role = report.status.replica.map_or("", |is_replica| if is_replica { "replica" } else { "primary" });
    let name = escape(target.name());
    _ = writeln!(out, "<tr><td><a href=\"/metrics?target={name}\">{name}</a></td><td>{state}</td><td>{role}</td></tr>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
