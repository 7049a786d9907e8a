//! Tests of a target's limits on a page: its largest tables are dropped and counted, and other targets lose nothing.

use crate::scrape::engine::tests::*;
use crate::source::fixture::rows;

/// A collector whose series have a label.
fn labelled(name: &str) -> String {
    format!(
        "collector: {name}\nsource: postgres\nqueries:\n  - name: q\n    sql: [{{since: 13, text: SELECT}}]\n    labels: [l]\n    \
         metrics: [{{name: {name}, type: gauge, value: n, ecosystem: true, help: N.}}]\n    example: [{{l: a, n: 1}}]\n"
    )
}

/// Two targets; `a` has this limit on a page.
fn world(most: &str) -> (Arc<Engine>, Fixture, Fixture) {
    let (small, large) = (labelled("small"), labelled("large"));
    let catalogue = catalogue_with(&[], &[("small.yaml", &small), ("large.yaml", &large)]);
    let (a, b) = (Fixture::default(), Fixture::default());
    let text = format!(
        "targets:\n  - {{name: a, postgres: {{url: \"postgres://u@127.0.0.1:1/d\"}}, {most}}}\n  - {{name: b, postgres: {{url: \"postgres://u@127.0.0.1:1/d\"}}}}\n"
    );
    let settings = Settings::parse("test.yaml", &text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let target = |wanted: &crate::settings::TargetSettings, server: &Fixture| {
        let source = Arc::new(server.clone());
        Arc::new(Target::with_source(wanted.clone(), source, catalogue.collectors.iter()))
    };
    let targets = settings.targets.iter().zip([&a, &b]).map(|(wanted, server)| target(wanted, server)).collect();
    (Arc::new(Engine { settings, catalogue, targets, process: Arc::new(Process::default()) }), a, b)
}

async fn page(engine: &Engine) -> String {
    let blocks = engine.scrape(&Selection::default(), Instant::now() + DEADLINE).await;
    exposition::text(&blocks)
}

fn count(page: &str, beginning: &str) -> usize {
    page.lines().filter(|line| line.starts_with(beginning)).count()
}

/// That many rows with labels of that many letters.
fn tell(server: &Fixture, collector: &'static str, many: usize, letters: usize) {
    let row = |nth: usize| [format!("{nth:0letters$}"), "1".to_owned()];
    server.change(|server| _ = server.answers.insert(collector, rows(["l", "n"], (0..many).map(row))));
}

#[tokio::test(start_paused = true)]
async fn the_largest_is_left_out_and_counted() {
    for (most, letters) in [("max_samples: 1000", 1), ("max_bytes: 1048576", 1000)] {
        let (engine, a, b) = world(most);
        for server in [&a, &b] {
            tell(server, "small", 100, letters);
            tell(server, "large", 1000, letters);
        }
        let (first, second) = (page(&engine).await, page(&engine).await);
        assert_eq!((first.clone(), count(&second, "large{target=\"a\"")), (second, 0), "{most}: twice the same");
        let page = first;
        assert_eq!(count(&page, "small{target=\"a\""), 100, "{most}");
        assert_eq!((count(&page, "small{target=\"b\""), count(&page, "large{target=\"b\"")), (100, 1000), "{most}");
        for wanted in [
            "up{target=\"a\"} 1",
            "success{target=\"a\",collector=\"large\"} 0",
            "success{target=\"a\",collector=\"small\"} 1",
            "success{target=\"b\",collector=\"large\"} 1",
        ] {
            assert!(page.lines().any(|line| line == wanted), "{most}: {wanted} in\n{page}");
        }
        let target = &engine.targets[0];
        assert_eq!(target.left_out()["large"], (2000, true), "{most}");
        assert_eq!(target.last_status().left_out, ["large"], "{most}");
        // The table is smaller now, and all of it is back.
        tell(&a, "large", 10, 1);
        pause(1.0).await;
        let page = crate::scrape::engine::tests::share::page(&engine).await;
        assert_eq!(count(&page, "large{target=\"a\""), 10, "{most}");
        assert_eq!((target.left_out()["large"], target.last_status().left_out.len()), ((2000, false), 0), "{most}");
    }
}

/// The sizes compared with the limits are the sizes written.
#[tokio::test(start_paused = true)]
async fn sizes_are_those_of_the_page() {
    let (engine, a, _) = world("labels: {cluster: x}");
    a.change(|server| {
        let texts = ["", "a", "a\"b\\c\nd", "\u{1f418}"];
        let rows = rows(["l", "n"], texts.map(|text| [text.to_owned(), "-12.5".to_owned()]));
        server.answers.insert("small", rows);
    });
    let blocks = engine.scrape(&Selection::default(), Instant::now() + DEADLINE).await;
    for block in blocks.iter().filter(|block| block.collector.name == "small") {
        let query = &block.collector.queries[block.query];
        let (size, most) = (
            block.mapped.size(query, block.labels.text().len()),
            block.mapped.size_at_most(query, block.labels.text().len()),
        );
        let text = exposition::text(std::slice::from_ref(block));
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert_eq!((size.samples, size.bytes), (lines.len(), bytes), "{text}");
        assert!(most.bytes >= bytes && most.samples >= lines.len());
    }
}
