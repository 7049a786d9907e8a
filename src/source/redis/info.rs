//! Parses the reply to `INFO` into tables: one row of fields for each of its sections, and a table for each of its
//! lists. Unknown fields become columns that nothing reads; missing ones are absent.

use std::ops::Range;

use crate::collector::sections::redis::PercentileRow;
use crate::collector::sections::row;
use crate::collector::sections::row::Section;
use crate::source::fetch::{FetchError, Reason};
use crate::source::redis::replicas;
use crate::table::{Cell, Table};

/// The maximum of lines, and of fields in a section, that are read: a server has about 300, and 70.
const MOST_LINES: usize = 20_000;
const MOST_FIELDS: usize = 1000;

/// The maximum of percentiles: a server has about 250 commands, and reports three for each command called.
const MOST_PERCENTILES: usize = 5000;

/// The initial capacity for lines.
const EXPECTED_LINES: usize = 300;

/// A list within INFO: its lines have a common prefix.
struct InfoList {
    section: &'static str,
    /// The prefix of its lines.
    prefix: &'static str,
    /// A number must follow the prefix, as in `slave0`.
    numbered: bool,
    named: FirstColumn,
}

/// The source of the first column.
enum FirstColumn {
    /// The whole name of the line: `db0`.
    Whole,
    /// The text after the prefix: `get` of `cmdstat_get`.
    Rest,
    /// A value like the others.
    No,
}

const LISTS: [InfoList; 5] = [
    InfoList { section: "keyspace", prefix: "db", numbered: true, named: FirstColumn::Whole },
    InfoList { section: "commandstats", prefix: "cmdstat_", numbered: false, named: FirstColumn::Rest },
    InfoList { section: "errorstats", prefix: "errorstat_", numbered: false, named: FirstColumn::Rest },
    InfoList { section: "replicas", prefix: "slave", numbered: true, named: FirstColumn::No },
    InfoList { section: "modules", prefix: "module", numbered: false, named: FirstColumn::No },
];

/// The prefix of the percentiles' lines.
const PERCENTILES: &str = "latency_percentiles_usec_";

/// Values that mean "absent". Times and offsets, where -1 means it, are recognised by their names.
const NONE: [(&str, &str); 2] = [("maxmemory", "0"), ("avg_ttl", "0")];

/// The numbers of statuses.
const STATUS: [(&str, i64); 5] = [("ok", 1), ("up", 1), ("err", 0), ("down", 0), ("fail", 0)];

/// A reply to INFO, or to another command with replies of the same form.
pub struct InfoReply<'a> {
    /// The field and the value of each line, in order.
    lines: Vec<(&'a str, &'a str)>,
    /// The title of each section, and the range of its lines.
    sections: Vec<(&'a str, Range<usize>)>,
}

impl<'a> InfoReply<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut info = InfoReply { lines: Vec::with_capacity(EXPECTED_LINES), sections: vec![("", 0..0)] };
        for line in text.lines().take(MOST_LINES) {
            match (line.strip_prefix("# "), parted(line, b':')) {
                (Some(title), _) => info.sections.push((title.trim(), info.lines.len()..info.lines.len())),
                (None, Some(line)) => info.push(line),
                _ => (),
            }
        }
        info
    }

    fn push(&mut self, line: (&'a str, &'a str)) {
        self.lines.push(line);
        if let Some((_, lines)) = self.sections.last_mut() {
            lines.end = self.lines.len();
        }
    }

    /// The value of a field, in any section.
    pub fn get(&self, field: &str) -> Option<&'a str> {
        self.lines.iter().find(|(other, _)| *other == field).map(|(_, value)| *value)
    }

    /// While a server loads its data, or a replica its first copy, it answers INFO but refuses commands on data.
    pub fn expect_loaded(&self) -> Result<(), FetchError> {
        if self.get("loading") != Some("1") {
            return Ok(());
        }
        let of = |field| self.get(field).unwrap_or("?");
        let (percent, seconds) = (of("loading_loaded_perc"), of("loading_eta_seconds"));
        Err(FetchError::new(Reason::Starting, format!("loading its data: {percent} %, {seconds} s to go")))
    }

    /// A section as a table, without rows if the reply has nothing of the kind.
    pub fn table(&self, section: &Section) -> Table {
        match (section.name, LISTS.iter().find(|list| list.section == section.name)) {
            ("replicas", Some(list)) => replicas::worst(&self.list(list, section.columns)),
            (_, Some(list)) => self.list(list, section.columns),
            ("latencystats", _) => self.percentiles(),
            ("instance" | "place", _) => self.instance(section.columns),
            (name, _) => self.fields(name),
        }
    }

    /// One row: the fields of a section, whose title may have capitals; "" selects the fields before the first title.
    /// If two sections have the same title, which no known server sends, the first is taken.
    pub fn fields(&self, section: &str) -> Table {
        let titled = |(title, _): &&(&str, _)| title.eq_ignore_ascii_case(section);
        let lines = self.sections.iter().find(titled).map_or(&[][..], |(_, lines)| &self.lines[lines.clone()]);
        let fields = lines.iter().take(MOST_FIELDS);
        let mut table = Table::new(fields.clone().map(|(field, _)| *field));
        table.push_row(fields.map(|(field, value)| cell(field, value)));
        table
    }

    fn instance(&self, columns: &[&str]) -> Table {
        let mut table = Table::new(columns.iter().copied());
        let value = |column: &&str| match *column {
            // Valkey's name of the field.
            "redis_mode" => self.get("redis_mode").or(self.get("server_mode")),
            column => self.get(column),
        };
        if self.get("redis_version").is_some() {
            table.push_row(columns.iter().map(|column| value(column).map_or(Cell::Absent, Cell::Text)));
        }
        table
    }

    /// A row for each line of a list: `db0:keys=1,expires=0`.
    fn list(&self, list: &InfoList, columns: &[&str]) -> Table {
        let mut table = Table::new(columns.iter().copied());
        for (field, value) in &self.lines {
            let Some(rest) = field.strip_prefix(list.prefix) else { continue };
            if list.numbered && rest.parse::<u32>().is_err() {
                continue;
            }
            let name = match list.named {
                FirstColumn::Whole => Some(*field),
                FirstColumn::Rest => Some(rest),
                FirstColumn::No => None,
            };
            table.push_row(columns.iter().enumerate().map(|(at, column)| match name.filter(|_| at == 0) {
                Some(name) => Cell::Text(name),
                None => {
                    named(value, column.strip_prefix(list.prefix).map_or(column, |rest| rest.trim_start_matches('_')))
                }
            }));
        }
        table
    }

    /// A row for each percentile of a command: `p99.9=1.003` is the quantile 0.999.
    fn percentiles(&self) -> Table {
        let mut rows = Vec::new();
        for (field, value) in &self.lines {
            let Some(command) = field.strip_prefix(PERCENTILES) else { continue };
            for (key, usec) in pairs(value).take(MOST_PERCENTILES.saturating_sub(rows.len())) {
                let percent = key.strip_prefix('p').and_then(|text| text.parse::<f64>().ok());
                let Some(percent) = percent.filter(|percent| (0.0..=100.0).contains(percent)) else { continue };
                // Rounded once, so that 99.9 becomes exactly 0.999.
                let quantile = (percent * 1e7).round() / 1e9;
                rows.push(PercentileRow { cmd: command.into(), quantile: quantile.into(), usec: usec.into() });
            }
        }
        row::table(rows)
    }
}

/// Splits the text at the first such byte. In texts this short, this is faster than `split_once`, which prepares a
/// search for any text.
fn parted(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == at)?;
    Some((&text[..at], &text[at + 1..]))
}

/// `a=1,b=2`
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|pair| pair.split_once('='))
}

/// The value of this name in `a=1,b=2`.
fn named<'a>(text: &'a str, name: &str) -> Cell<'a> {
    pairs(text).find(|(key, _)| *key == name).map_or(Cell::Absent, |(key, value)| cell(key, value))
}

/// Converts a value: a status to a number, a value that means "absent" to an absent cell.
fn cell<'a>(field: &str, value: &'a str) -> Cell<'a> {
    let is_status = || field.ends_with("_status") || field == "cluster_state";
    let counts_from_zero = || field.contains("_sec") || field.ends_with("_offset");
    if value == "-1" && counts_from_zero() || NONE.contains(&(field, value)) {
        return Cell::Absent;
    }
    match STATUS.iter().find(|(word, _)| *word == value) {
        Some((_, number)) if is_status() => Cell::Int(*number),
        _ => Cell::Text(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collector::{SourceKind, sections};
    use crate::table::Number;

    fn table(text: &str, section: &str) -> Table {
        InfoReply::new(text).table(sections::section(SourceKind::Redis, section).unwrap())
    }

    /// Row after row, cells separated by spaces; `-` is absent.
    fn rows(text: &str, section: &str) -> Vec<String> {
        let table = table(text, section);
        let cell = |row, column| match table.cell(row, column) {
            Cell::Absent | Cell::Buckets(_) => "-".to_owned(),
            Cell::Int(value) => Number::Int(value).to_string(),
            Cell::Float(value) => Number::Float(value).to_string(),
            Cell::Text(text) => text.to_owned(),
        };
        let columns = table.columns().len();
        (0..table.rows())
            .map(|row| (0..columns).map(|column| cell(row, column)).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn percentiles_have_an_end() {
        let line = |command: &str| format!("{PERCENTILES}{command}:{}\r\n", "p50=1,".repeat(MOST_PERCENTILES));
        let table = table(&(line("a") + &line("b")), "latencystats");
        assert_eq!((table.rows(), table.cell(4999, 0)), (MOST_PERCENTILES, Cell::Text("a")));
    }

    #[test]
    fn fields_are_a_row() {
        let text = "# Memory\r\nmaxmemory:0\r\nused_memory:7\r\nmem_fragmentation_bytes:-1\r\n\r\n# Replication\r\n\
                    master_link_status:up\r\nmaster_last_io_seconds_ago:-1\r\nsecond_repl_offset:-1\r\nmaster_host:ok\r\n";
        assert_eq!(rows(text, "memory"), ["- 7 -1"]);
        assert_eq!(rows(text, "replication"), ["1 - - ok"]);
        assert_eq!(rows(text, "persistence"), [""; 0]);
        assert_eq!(table(text, "replication").columns().next(), Some("master_link_status"));
    }

    #[test]
    fn a_place_is_known_of_a_primary_too() {
        let text = "# Server\nredis_version:7\n# Replication\nrole:master\nmaster_replid:8a1f\nmaster_replid2:0000\n";
        assert_eq!(rows(text, "place"), ["master - - 8a1f 0000"]);
        assert_eq!(rows("# Replication\nrole:master\n", "place"), [""; 0]);
    }

    #[test]
    fn lists_are_rows() {
        let text = "# Keyspace\ndb0:keys=1,expires=0,avg_ttl=0,subexpiry=0\ndb15:keys=2,avg_ttl=5,expires=1\ndb0_distrib_lists_items:1=1\n\
                    # Commandstats\ncmdstat_config|get:calls=1,usec=16,usec_per_call=16.00,rejected_calls=2,failed_calls=3\ncmdstat_x:\n\
                    # Errorstats\nerrorstat_ERR:count=4\n# Latencystats\nlatency_percentiles_usec_get:p50=0.5,p99=1,p99.9=2,pX=1,x=1\n\
                    # Replication\nslave0:ip=::1,port=1,state=online,offset=5,lag=0\nslave_priority:100\n\
                    # Modules\nmodule:name=search,ver=1,api=1,filters=0,usedby=[a|b],using=[],options=[]\n";
        assert_eq!(rows(text, "keyspace"), ["db0 1 0 -", "db15 2 1 5"]);
        assert_eq!(rows(text, "commandstats"), ["config|get 1 16 2 3", "x - - - -"]);
        assert_eq!(rows(text, "errorstats"), ["ERR 4"]);
        assert_eq!(rows(text, "latencystats"), ["get 0.5 0.5", "get 0.99 1", "get 0.999 2"]);
        assert_eq!(rows(text, "replicas"), ["::1 1 online 5 0"]);
        assert_eq!(rows(text, "modules"), ["search 1 1 0 [a|b] []"]);
    }

    #[test]
    fn of_replicas_that_announce_the_same_the_worst_is_kept() {
        let text = "slave0:ip=1,port=6,state=online,offset=90,lag=0\nslave1:ip=1,port=6,state=online,offset=50,lag=2\n\
                    slave2:ip=1,port=6,state=online,offset=70,lag=9\nslave3:ip=1,port=7,state=online,offset=80,lag=1\n\
                    slave4:ip=1,port=6,state=wait_bgsave,offset=0,lag=0\nslave5:ip=1,port=6,state=online\n";
        assert_eq!(rows(text, "replicas"), ["1 6 online 50 9", "1 6 wait_bgsave 0 0", "1 7 online 80 1"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        /// On any input, tables have whole rows, and unexpected values are texts, which a metric does not take.
        #[test]
        fn no_text_makes_it_panic(text in "((# )?(db|slave|module|cmdstat_|latency_percentiles_usec_|maxmemory)?[0-9]{0,2}[:=,p.a-]{0,3}[\r\né]{0,2}){0,30}|.{0,100}") {
            let info = InfoReply::new(&text);
            let others = ["config", "slowlog", "latency"];
            for section in sections::of(SourceKind::Redis).iter().filter(|section| !others.contains(&section.name)) {
                let table = info.table(section);
                prop_assert!(section.columns.is_empty() || table.columns().eq(section.columns.iter().copied()));
                let columns = table.columns().len();
                prop_assert!(columns > 0 || table.rows() == 0);
                prop_assert_eq!(table.cell(table.rows(), 0), Cell::Absent);
            }
        }
    }
}
