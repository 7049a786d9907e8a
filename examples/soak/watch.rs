//! What is looked at with each scrape, and what must be so at the end.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::{Duration, Instant},
};

use crate::{
    Arguments,
    stack::Stack,
    support::{Postgres, page, process},
};

/// Announced with each scrape.
const ANNOUNCED: Duration = Duration::from_secs(5);

/// How long after a fault counters may still begin anew: three times the minute for which most results are shown, and the visits that
/// the next faults hold up.
const ANEW: Duration = Duration::from_secs(300);

/// A reset or a crash takes all statements: the counters of each begin anew when it is next run, however long after.
const FORGETFUL: &str = "pg_stat_statements_";

/// The targets that have an `up`, and its name.
const UPS: [(&str, &str); 5] = [
    ("primary", "pg_up"),
    ("replica", "pg_up"),
    ("pooled", "pg_up"),
    ("pooler", "pgbouncer_up"),
    ("cache", "redis_up"),
];

#[derive(Default)]
pub struct Watch {
    took: Vec<Duration>,
    rss_kib: Vec<usize>,
    descriptors: Vec<usize>,
    /// The most at a time, on the primary (two targets) and on the replica.
    sessions: [usize; 2],
    counters: HashMap<String, f64>,
    /// Whose counters may begin anew, and until when.
    anew: Vec<(&'static str, Instant)>,
    /// Faults that were mended, and of those the ones after which the first scrape found everything up.
    mended: usize,
    prompt: usize,
    series: usize,
    bytes: usize,
    /// Why targets were down in the last scrape.
    reasons: Vec<String>,
    /// What went wrong, and how often.
    wrong: BTreeMap<String, usize>,
}

impl Watch {
    /// After the scrapes that ask everything for the first time.
    pub fn new(stack: &Stack) -> Watch {
        let mut watch = Watch::default();
        (0..20).for_each(|_| _ = watch.page(stack));
        watch.took.clear();
        watch
    }

    pub fn scrapes(&self) -> u64 {
        self.took.len() as u64
    }

    /// One scrape, in which only these targets may be down.
    pub fn scrape(&mut self, stack: &Stack, down: &[&str]) {
        for target in self.page(stack) {
            if !down.contains(&target) {
                self.note(format!("{target} was down without a fault of its own: {}", self.reasons.join(", ")));
            }
        }
        self.rss_kib.push(stack.pgvigil.rss_kib() as usize);
        self.descriptors.push(process::descriptors(stack.pgvigil.pid()));
        let now = [&stack.primary, &stack.replica].map(|server| sessions(server).unwrap_or_default());
        self.sessions = [0, 1].map(|server| self.sessions[server].max(now[server]));
    }

    /// The first scrape after a fault was mended.
    pub fn scrape_after(&mut self, stack: &Stack, fault: &str) {
        self.mended += 1;
        let down = self.page(stack);
        if down.is_empty() {
            self.prompt += 1;
            return;
        }
        println!("          after {fault}: {down:?} down at the first scrape: {}", self.reasons.join(", "));
        for target in self.page(stack) {
            self.note(format!("{target} was down at the second scrape after: {fault}"));
        }
    }

    /// The counters of these targets begin anew: those that are asked rarely, up to their `ttl` later.
    pub fn forget(&mut self, targets: &'static [&'static str]) {
        self.anew.extend(targets.iter().map(|target| (*target, Instant::now() + ANEW)));
    }

    /// Scrapes, and says which targets are down.
    fn page(&mut self, stack: &Stack) -> Vec<&'static str> {
        let began = Instant::now();
        let seconds = ANNOUNCED.as_secs().to_string();
        let answer = stack.pgvigil.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", &seconds)]);
        let took = began.elapsed();
        self.took.push(took);
        let text = answer.text();
        if answer.status != 200 || took > ANNOUNCED {
            self.note(format!("an answer {} after {} s", answer.status, took.as_secs()));
        }
        (self.series, self.bytes) = (self.series.max(page::count(&text)), self.bytes.max(text.len()));
        self.compare(&text);
        self.reasons =
            text.lines().filter(|line| line.starts_with("pgvigil_target_down{")).map(str::to_owned).collect();
        let is_up = |(target, name): &(&str, &str)| text.contains(&format!("\n{name}{{target=\"{target}\"}} 1\n"));
        UPS.iter().filter(|up| !is_up(up)).map(|(target, _)| *target).collect()
    }

    fn compare(&mut self, text: &str) {
        for (series, value) in page::counters(text) {
            let before = self.counters.insert(series.to_owned(), value);
            let is_of =
                |target: &str| !series.starts_with("pgvigil_") && series.contains(&format!("target=\"{target}\""));
            let is_anew = || self.anew.iter().any(|(target, until)| is_of(target) && *until > Instant::now());
            let is_forgetful = series.starts_with(FORGETFUL) && series.contains("queryid=");
            if before.is_some_and(|before| value < before) && !is_forgetful && !is_anew() {
                let name = series.split('{').next().unwrap_or_default();
                self.note(format!("{name} fell"));
                println!("          {series} fell from {before:?} to {value}");
            }
        }
    }

    fn note(&mut self, what: String) {
        *self.wrong.entry(what).or_default() += 1;
    }

    /// The last figures.
    pub fn line(&self) -> String {
        let last = |of: &[usize]| of.last().copied().unwrap_or_default();
        let took = self.took.last().copied().unwrap_or_default();
        format!(
            "{} KiB, {} descriptors, the last in {} ms",
            last(&self.rss_kib),
            last(&self.descriptors),
            took.as_millis()
        )
    }

    /// Medians of the second tenth of the scrapes and of the last.
    fn grown(of: &[usize]) -> (usize, usize) {
        let tenth = of.len() / 10;
        let median = |part: &[usize]| {
            let mut part = part.to_vec();
            part.sort();
            part.get(part.len() / 2).copied().unwrap_or_default()
        };
        (median(&of[tenth..2 * tenth]), median(&of[of.len() - tenth..]))
    }

    /// The figures, as a table in Markdown.
    pub fn summary(&self, arguments: &Arguments, ran: Duration) -> String {
        let mut took = self.took.clone();
        took.sort();
        let quantile = |part: usize| took[(took.len() - 1) * part / 100].as_millis();
        let ((rss, rss_end), (descriptors, descriptors_end)) =
            (Watch::grown(&self.rss_kib), Watch::grown(&self.descriptors));
        let peak = self.rss_kib.iter().max().copied().unwrap_or_default() / 1024;
        format!(
            "| | |\n|---|--:|\n| ran for | {} min |\n| tables, statements, databases | {}, {}, {} |\n| scrapes | {} |\n\
             | faults | {} |\n| of them, everything up at the first scrape after | {} |\n\
             | answers: median, 99 of 100, longest | {} ms, {} ms, {} ms |\n| series, bytes of the largest page | {}, {} |\n\
             | resident memory near the start, at the end, at most | {:.1} MiB, {:.1} MiB, {peak} MiB |\n\
             | descriptors near the start, at the end | {descriptors}, {descriptors_end} |\n| sessions at most: on the replica; on the primary, those included that the pooler keeps | {}, {} |\n",
            ran.as_secs() / 60,
            arguments.tables,
            arguments.statements,
            arguments.databases,
            self.scrapes(),
            self.mended,
            self.prompt,
            quantile(50),
            quantile(99),
            quantile(100),
            self.series,
            self.bytes,
            rss as f64 / 1024.0,
            rss_end as f64 / 1024.0,
            self.sessions[1],
            self.sessions[0],
        )
    }

    /// All that is not as promised.
    pub fn wrong(&self, stack: &Stack) -> Vec<String> {
        let mut wrong: Vec<_> = self.wrong.iter().map(|(what, times)| format!("{what} ({times} times)")).collect();
        let ((rss, rss_end), (descriptors, descriptors_end)) =
            (Watch::grown(&self.rss_kib), Watch::grown(&self.descriptors));
        if rss_end > rss + rss / 10 {
            wrong.push(format!("resident memory grew from {rss} to {rss_end} KiB"));
        }
        if descriptors_end > descriptors + 3 {
            wrong.push(format!("descriptors grew from {descriptors} to {descriptors_end}"));
        }
        // Of the primary's, the pooler keeps one in each database.
        if self.sessions[1] > 10 {
            wrong.push(format!("{:?} sessions", self.sessions));
        }
        if stack.pgvigil.stderr().contains("panicked") {
            wrong.push(stack.pgvigil.stderr());
        }
        if !stack.pgvigil.stop().success() {
            wrong.push("it did not end well".to_owned());
        }
        wrong
    }
}

/// The sessions of pgvigil on a server, by its processes; `None` while it is stopped.
fn sessions(server: &Postgres) -> Option<usize> {
    let is_ours = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.contains("postgres: pgvigil "))
    };
    Some(process::children(server.running()?).into_iter().filter(is_ours).count())
}
