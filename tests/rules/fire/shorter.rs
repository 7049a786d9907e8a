//! The shipped rules and routes on a clock that runs faster: hours become minutes, minutes seconds. Pure.

use std::time::Duration;

use serde_json::{Value, json};

/// All durations are divided by this, where a round does not say otherwise of its rules: with a scrape each 2 s that is as if the servers were
/// scraped every 2 minutes.
pub const FACTOR: u32 = 60;

/// The longest anybody waits: for a `for` and what comes after, and for an `offset` to have something to compare with.
const LONGEST_FOR: Duration = Duration::from_secs(20);
const LONGEST_OFFSET: Duration = Duration::from_secs(60);

/// In a shorter range there may be one scrape only, or none.
const SHORTEST_RANGE: Duration = Duration::from_secs(5);

/// Rules are not evaluated more often.
const SHORTEST_STEP: Duration = Duration::from_secs(1);

/// The alert that mutes what a probe says must outlast it, and the probe's circuit breakers do not know of the faster clock.
const MUTES: (&str, &str) = ("PostgresClusterImpaired", "90s");

/// A rule file: intervals of groups, `for`, `keep_firing_for`, ranges and offsets. What is in an expression as a number stays.
pub fn rules(mut file: Value, factor: u32) -> Value {
    for group in file["groups"].as_array_mut().into_iter().flatten() {
        if let Some(interval) = group.get("interval").and_then(Value::as_str) {
            group["interval"] = shorter(interval, factor, Duration::MAX).into();
        }
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            for key in ["for", "keep_firing_for"] {
                if let Some(wait) = rule.get(key).and_then(Value::as_str) {
                    rule[key] = shorter(wait, factor, LONGEST_FOR).into();
                }
            }
            if rule["alert"] == MUTES.0 {
                rule["keep_firing_for"] = MUTES.1.into();
            }
            rule["expr"] = expression(rule["expr"].as_str().expect("an expression"), factor).into();
        }
    }
    file
}

/// Alertmanager's configuration, with all receivers at this address.
pub fn routes(mut config: Value, url: &str) -> Value {
    route(&mut config["route"]);
    for receiver in config["receivers"].as_array_mut().into_iter().flatten() {
        let webhook = json!({"url": url, "send_resolved": receiver["name"] != "heartbeat"});
        *receiver = json!({"name": receiver["name"], "webhook_configs": [webhook]});
    }
    config
}

fn route(route: &mut Value) {
    for key in ["group_wait", "group_interval", "repeat_interval"] {
        if let Some(wait) = route.get(key).and_then(Value::as_str) {
            route[key] = shorter(wait, FACTOR, Duration::MAX).into();
        }
    }
    route.get_mut("routes").and_then(Value::as_array_mut).into_iter().flatten().for_each(self::route);
}

/// Ranges, which are in brackets, some with a step, and offsets.
fn expression(text: &str, factor: u32) -> String {
    let mut pieces = text.split('[');
    let mut shorter_text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (range, rest) = piece.split_once(']').expect("a range ends");
        let (range, step) = range.split_once(':').unwrap_or((range, ""));
        shorter_text += &format!("[{}", limited(range, factor, SHORTEST_RANGE, Duration::MAX));
        if !step.is_empty() {
            shorter_text += &format!(":{}", limited(step, factor, SHORTEST_STEP, Duration::MAX));
        }
        shorter_text += &format!("]{rest}");
    }
    let mut pieces = shorter_text.split("offset ");
    let mut all = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(piece.len());
        all += &format!("offset {}{}", shorter(&piece[..end], factor, LONGEST_OFFSET), &piece[end..]);
    }
    all
}

fn shorter(text: &str, factor: u32, longest: Duration) -> String {
    limited(text, factor, Duration::ZERO, longest)
}

fn limited(text: &str, factor: u32, shortest: Duration, longest: Duration) -> String {
    let duration = humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    format!("{}ms", (duration / factor).clamp(shortest, longest).as_millis())
}

#[test]
fn durations_are_shorter_and_nothing_else() {
    let rule = |expr, interval, wait| json!({"groups": [{"interval": interval, "rules": [{"alert": "A", "expr": expr, "for": wait}]}]});
    let long = "increase(a[1h]) / rate(a[2m] offset 7d)\n > on (job) group_left () b + 86400";
    let short = "increase(a[60000ms]) / rate(a[5000ms] offset 60000ms)\n > on (job) group_left () b + 86400";
    assert_eq!(rules(rule(long, "2m", "5m"), 60), rule(short, "2000ms", "5000ms"));
    assert_eq!(rules(rule("a", "1h", "1d"), 60), rule("a", "60000ms", "20000ms"));
    assert_eq!(
        rules(rule("a[2h:5m] offset 23h", "1m", "5m"), 60),
        rule("a[120000ms:5000ms] offset 60000ms", "1000ms", "5000ms")
    );
    let kept = |wait| json!({"groups": [{"rules": [{"alert": "A", "expr": "a", "keep_firing_for": wait}]}]});
    assert_eq!(rules(kept("5m"), 60), kept("5000ms"));
    assert_eq!(rules(rule("a[15m]", "1h", "5m"), 20), rule("a[45000ms]", "180000ms", "15000ms"));
    let config = json!({
        "route": {"group_wait": "30s", "routes": [{"matchers": ["a = b"], "repeat_interval": "4h"}]},
        "receivers": [{"name": "mail", "email_configs": []}],
    });
    let expected = json!({
        "route": {"group_wait": "500ms", "routes": [{"matchers": ["a = b"], "repeat_interval": "240000ms"}]},
        "receivers": [{"name": "mail", "webhook_configs": [{"url": "http://x/", "send_resolved": true}]}],
    });
    assert_eq!(routes(config, "http://x/"), expected);
}
