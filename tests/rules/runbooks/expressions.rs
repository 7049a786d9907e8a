//! Every PromQL expression of a runbook can be read, and reads what there is.

use pgvigil::collector::catalogue::Catalogue;
use promql_parser::parser;

use super::{
    fixtures,
    text::{self, Block, Runbook},
};
use crate::rules::{contract, known, used::Used};

/// What Prometheus itself says.
const OF_PROMETHEUS: [&str; 5] =
    ["up", "ALERTS", "ALERTS_FOR_STATE", "scrape_duration_seconds", "scrape_samples_scraped"];

/// With what a line goes on.
const GOES_ON: [&str; 17] = [
    "and",
    "or",
    "unless",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "by",
    "without",
    "offset",
    "/",
    "*",
    "+",
    "-",
    ">",
    "<",
    "=",
];

#[test]
fn every_expression_reads_what_there_is() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let runbooks = text::all().into_iter().chain([Runbook::parse("sample", include_str!("sample.md"))]);
    let mut wrong = Vec::new();
    for runbook in runbooks {
        for block in runbook.blocks.iter().filter(|block| block.is("promql")) {
            let of_block = expressions(block).into_iter().flat_map(|expression| judged(&catalogue, &expression));
            wrong.extend(of_block.map(|told| format!("{}.md:{}: {told}", runbook.name, block.line)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The expressions of a block: one begins on each line that neither goes on with another one nor is inside of brackets.
fn expressions(block: &Block) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let lines = block.text.lines().map(|line| line.split(" #").next().unwrap_or_default());
    for line in lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let goes_on = all.last().is_some_and(|before| is_open(before) || begins_with_operator(line));
        match all.last_mut().filter(|_| goes_on) {
            Some(before) => *before += &format!("\n{line}"),
            None => all.push(line.to_owned()),
        }
    }
    all
}

/// Whether something is missing at the end.
fn is_open(text: &str) -> bool {
    let count = |brackets: [char; 2]| text.matches(brackets).count();
    let is_inside = count(['(', '{']) > count([')', '}']);
    let last = text.split_whitespace().last().unwrap_or_default();
    is_inside || GOES_ON.contains(&last)
}

fn begins_with_operator(line: &str) -> bool {
    let first = line.trim_start().split([' ', '(']).next().unwrap_or_default();
    line.starts_with([')', '}']) || GOES_ON.contains(&first) || ["==", "!=", ">=", "<="].contains(&first)
}

fn judged(catalogue: &Catalogue, expression: &str) -> Vec<String> {
    let put = |text: String, name: &&str| text.replace(&format!("<{name}>"), "x");
    let text = fixtures::NAMES.iter().fold(expression.replace("<TARGET>", "x"), put);
    if let Err(error) = parser::parse(&text) {
        return vec![format!("{error}: {expression}")];
    }
    let mut used = Used::by(&text);
    let recorded = contract::recorded();
    used.selectors =
        used.selectors.iter().flat_map(|selector| contract::behind(&recorded, selector)).cloned().collect();
    let labels = ["severity", "alertname", "alertstate"];
    let strange = known::strange(catalogue, &used, &OF_PROMETHEUS, &labels);
    strange.into_iter().map(|strange| format!("{strange}: {expression}")).collect()
}
