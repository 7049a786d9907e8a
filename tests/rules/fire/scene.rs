//! A scene: all its faults at once, all their alerts, all mended, all resolved.

use std::{
    borrow::Borrow,
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    act::Held,
    round::{Labels, Round, Scene, Step, labels},
    stack::Stack,
    webhook::Notice,
};

/// How long an alert may take to come or go on a busy machine: some results are a minute old, and so are some ranges.
const PATIENCE: Duration = Duration::from_secs(180);

/// The heartbeat.
const ALWAYS: &str = "Watchdog";

/// What is on boards and told to nobody may be there at any time: a server of the tests is odd (fsync is off, and its version may be old).
const UNTOLD: &str = "info";

/// May come at any time: on a busy machine a scrape is answered later than within the 2 s it has here, or comes late.
const BUSY: [&str; 2] = ["PgvigilDown", "PgvigilMissing"];

pub fn all(stack: &Stack, round: &Round) -> Result<(), String> {
    let mut kept: Vec<Held> = Vec::new();
    for step in &round.prepare {
        kept.extend(stack.act(step));
    }
    until("there is a quiet beginning", || noise(stack, 5, &[]))?;
    let from = stack.webhook.count();
    for (number, scene) in round.scenes.iter().enumerate() {
        play(stack, scene).map_err(|wrong| format!("scene {}: {wrong}", number + 1))?;
    }
    until("the heartbeat goes on", || arrived(stack, from, ALWAYS))
}

fn play(stack: &Stack, scene: &Scene) -> Result<(), String> {
    let from = stack.webhook.count();
    let begin = Instant::now();
    let held: Vec<Vec<Held>> = scene.faults.iter().map(|fault| acts(stack, &fault.fault)).collect();
    let expected: Vec<&Labels> = scene.faults.iter().flat_map(|fault| &fault.fires).collect();
    until("alerts arrive", || missing(stack, from, &expected, true))?;
    until("alerts are muted", || not_muted(stack, &scene.muted))?;
    let arrived = begin.elapsed();
    drop(held);
    scene.faults.iter().for_each(|fault| drop(acts(stack, &fault.mend)));
    until("alerts resolve", || missing(stack, from, &expected, false))?;
    until("all is quiet again", || noise(stack, 0, &scene.lasting))?;
    println!("    {} alerts in {arrived:.0?}, resolved after {:.0?}", expected.len(), begin.elapsed());
    let notices = stack.webhook.since(from);
    unexpected(&notices, scene)?;
    unclear(&notices)
}

fn acts(stack: &Stack, steps: &[Step]) -> Vec<Held> {
    steps.iter().flat_map(|step| stack.act(step)).collect()
}

/// Waits until nothing is amiss.
fn until(what: &str, amiss: impl Fn() -> Option<String>) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let Some(wrong) = amiss() else { return Ok(()) };
        if start.elapsed() > PATIENCE {
            return Err(format!("waited {PATIENCE:?} in vain until {what}: {wrong}"));
        }
        sleep(Duration::from_millis(200));
    }
}

/// What is pending or firing, the heartbeat and what lasts aside; or that there were too few scrapes yet.
fn noise(stack: &Stack, scrapes: u32, lasting: &[Labels]) -> Option<String> {
    let count = stack.prometheus.value("max(count_over_time(pgvigil_build_info[1m]))").unwrap_or_default();
    if count < f64::from(scrapes) {
        return Some(format!("{count} scrapes"));
    }
    let alerts = stack.prometheus.query("ALERTS");
    let alerts = alerts.as_array().into_iter().flatten().map(|sample| labels(&sample["metric"]));
    let is_noise = |labels: &Labels| {
        labels["alertname"] != ALWAYS
            && labels["severity"] != UNTOLD
            && !lasting.iter().any(|wanted| fits(wanted, labels))
    };
    let noise: Vec<_> = alerts.filter(is_noise).collect();
    (!noise.is_empty()).then(|| told(&noise))
}

fn arrived(stack: &Stack, from: usize, alert: &str) -> Option<String> {
    let is_there = stack.webhook.since(from).iter().any(|notice| notice.labels["alertname"] == alert);
    (!is_there).then(|| alert.to_owned())
}

/// Of the expected alerts those that have not arrived, firing or resolved.
fn missing(stack: &Stack, from: usize, expected: &[&Labels], is_firing: bool) -> Option<String> {
    let notices = stack.webhook.since(from);
    let is_it = |notice: &Notice| notice.is_firing == is_firing && notice.receiver == receiver(&notice.labels);
    let has = |labels: &Labels| notices.iter().any(|notice| is_it(notice) && fits(labels, &notice.labels));
    let missing: Vec<&Labels> = expected.iter().copied().filter(|labels| !has(labels)).collect();
    let there = stack.prometheus.query("ALERTS{alertname!='Watchdog'}");
    let there: Vec<_> = there.as_array().into_iter().flatten().map(|sample| labels(&sample["metric"])).collect();
    (!missing.is_empty()).then(|| format!("not yet:{}\nthere are:{}", told(&missing), told(&there)))
}

/// Where the example's routes send it first.
fn receiver(labels: &Labels) -> &str {
    match labels.get("severity").map(String::as_str) {
        Some("critical") => "pager",
        Some("info") => "nobody",
        _ => "chat",
    }
}

fn not_muted(stack: &Stack, expected: &[Labels]) -> Option<String> {
    if expected.is_empty() {
        return None;
    }
    let muted: Vec<_> = stack.alertmanager.muted().iter().map(|alert| labels(&alert["labels"])).collect();
    let missing: Vec<_> = expected.iter().filter(|labels| !muted.iter().any(|other| fits(labels, other))).collect();
    (!missing.is_empty()).then(|| format!("not yet:{}\nmuted are:{}", told(&missing), told(&muted)))
}

/// Alerts as people read them, one in a line.
fn told(alerts: &[impl Borrow<Labels>]) -> String {
    let shown = |(name, value): (&String, &String)| {
        (!["__name__", "job", "instance", "cluster"].contains(&name.as_str())).then(|| format!("{name}={value}"))
    };
    let line = |labels: &Labels| labels.iter().filter_map(shown).collect::<Vec<_>>().join(" ");
    let lines: BTreeSet<_> = alerts.iter().map(|labels| format!("\n  {}", line(labels.borrow()))).collect();
    lines.into_iter().collect()
}

/// Whether the labels that are asked for are there.
fn fits(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Alerts that nobody spoke of.
fn unexpected(notices: &[Notice], scene: &Scene) -> Result<(), String> {
    // Of any severity: a warning may be on its way before the critical alert that mutes it.
    let any = |labels: &Labels| {
        let mut labels = labels.clone();
        labels.remove("severity");
        labels
    };
    let fires = scene.faults.iter().flat_map(|fault| &fault.fires);
    let named: Vec<_> = fires.chain(&scene.follows).chain(&scene.lasting).map(any).collect();
    let is_strange = |notice: &&Notice| {
        let alert = notice.labels["alertname"].as_str();
        let is_usual = alert == ALWAYS || notice.labels["severity"] == UNTOLD || BUSY.contains(&alert);
        notice.is_firing && !is_usual && !named.iter().any(|labels| fits(labels, &notice.labels))
    };
    let strange: Vec<_> = notices.iter().filter(is_strange).map(|notice| &notice.labels).collect();
    if strange.is_empty() { Ok(()) } else { Err(format!("nobody spoke of:{}", told(&strange))) }
}

/// Words that say nothing: a template that found no label or no value.
fn unclear(notices: &[Notice]) -> Result<(), String> {
    let is_unclear =
        |text: &str| ["<no value>", "<error", "Reason: .", "reason: )"].iter().any(|odd| text.contains(odd));
    let said = notices.iter().filter(|notice| notice.is_firing).flat_map(|notice| notice.annotations.values());
    let unclear: Vec<_> = said.filter(|text| is_unclear(text)).collect();
    if unclear.is_empty() { Ok(()) } else { Err(format!("unclear: {unclear:#?}")) }
}
