//! Sections made from the output of several versions of PgBouncer, and from arbitrary tables.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::source::fetch::Reason;
use crate::source::pgbouncer::shown::*;

/// A table whose first line names the columns; `|` separates cells, and an empty cell is absent.
fn table(lines: &[&str]) -> Table {
    let mut table = Table::new(lines[0].split('|'));
    for cell in lines[1..].iter().flat_map(|line| line.split('|')) {
        table.push(if cell.is_empty() { Cell::Absent } else { Cell::Text(cell) });
    }
    table
}

fn number(table: &Table, row: usize, column: &str) -> Option<f64> {
    ConsoleRow { table, row }.number(column)
}

/// The table in a readable form.
fn lines(table: &Table) -> Vec<String> {
    let cell = |row, column| match table.cell(row, column) {
        Cell::Absent => String::new(),
        Cell::Text(text) => text.to_owned(),
        cell => cell.number().ok().flatten().map_or("NaN".to_owned(), |number| number.to_string()),
    };
    let line = |row| (0..table.columns().len()).map(|column| cell(row, column)).collect::<Vec<_>>().join("|");
    std::iter::once(table.columns().collect::<Vec<_>>().join("|")).chain((0..table.rows()).map(line)).collect()
}

fn shown(tables: &[(&str, Table)]) -> ConsoleTables {
    tables.iter().map(|(command, table)| ((*command).to_owned(), Ok(table.clone().into()))).collect()
}

fn expect(name: &str, shown: &ConsoleTables, expected: &[&str]) {
    let table = section(name, shown).expect("all was asked").expect("all was shown");
    assert_eq!(lines(&table), expected, "{name}");
}

#[test]
fn as_1_18_shows_it() {
    let shown = shown(&[
        ("lists", table(&["list|items", "databases|3", "used_clients|13"])),
        (
            "pools",
            table(&[
                "database|user|cl_active|cl_waiting|sv_active|sv_idle|sv_login|maxwait|maxwait_us",
                "pgbouncer|pgbouncer|1|0|0|0|0|0|0",
                "shop|app|3|9|2|0|1|2|500000",
                "shop|other|0|0|0|1|0|0|0",
                "closed|app|0|1|0|0|0|0|0",
                "gone|app|0|0|0|0|0|0|0",
            ]),
        ),
        (
            "databases",
            table(&[
                "name|database|pool_size|reserve_pool|max_connections|current_connections",
                "pgbouncer|pgbouncer|2|0|0|0",
                "shop|shop|3|1|5|4",
                "closed|shop|0|0|0|0",
            ]),
        ),
        ("users", table(&["name|pool_mode", "app|", "other|session"])),
        ("version", table(&["version", "PgBouncer 1.18.0"])),
    ]);
    expect("lists", &shown, &["databases|used_clients", "3|13"]);
    expect(
        "pool_limits",
        &shown,
        &[
            "database|user|servers|size|size_is_zero|reserve",
            "shop|app|3|3|0|1",
            "shop|other|1|3|0|1",
            "closed|app|0||1|0",
            "gone|app|0|||",
        ],
    );
    let heads = |kind| format!("{kind}|connections|connections_limit|client_connections|client_connections_limit");
    expect("database_limits", &shown, &[&heads("database"), "shop|4|5||", "closed|0|||"]);
    expect("user_limits", &shown, &[&heads("user"), "app||||", "other||||"]);
    let pools = section("pools", &shown).expect("asked").expect("shown");
    assert_eq!(number(&pools, 1, "maxwait_seconds"), Some(2.5));
}

#[test]
fn as_later_versions_show_it() {
    let shown = shown(&[
        ("state", table(&["key|value", "active|no", "paused|yes", "suspended|no"])),
        ("pools", table(&["database|user|sv_active|thread", "shop|a|1|0", "shop|b|2|0", "shop|c|3|0", "shop|d|4|0"])),
        (
            "databases",
            table(&[
                "name|pool_size|reserve_pool|max_connections|current_connections|max_client_connections|\
                 current_client_connections",
                "shop|20|2|0|10|50|7",
            ]),
        ),
        (
            "users",
            table(&[
                "name|pool_size|reserve_pool_size|max_user_connections|current_connections",
                "a|||0|1",
                "b|        5||7|2",
                // The values shown for c may be b's.
                "c|        5|1|0|3",
                "d|        0|1|0|4",
            ]),
        ),
        ("version", table(&["version", "PgBouncer 1.23.1"])),
    ]);
    expect("state", &shown, &["active|paused|suspended", "0|1|0"]);
    expect(
        "pool_limits",
        &shown,
        &[
            "database|user|servers|size|size_is_zero|reserve",
            "shop|a|1|20|0|2",
            "shop|b|2|5|0|2",
            "shop|c|3|||1",
            "shop|d|4||1|",
        ],
    );
    let heads = |kind| format!("{kind}|connections|connections_limit|client_connections|client_connections_limit");
    expect("database_limits", &shown, &[&heads("database"), "shop|10||7|50"]);
    expect("user_limits", &shown, &[&heads("user"), "a|1|||", "b|2|7||", "c|3|||", "d|4|||"]);
    assert_eq!(column("databases", "reserve_pool_size"), "reserve_pool");
    assert_eq!(column("users", "reserve_pool_size"), "reserve_pool_size");
}

/// A pool of size 0 is closed before 1.24, and unlimited from then on.
#[test]
fn what_a_size_of_0_means_is_told_by_the_version() {
    for (version, is_zero) in [
        ("PgBouncer 1.18.0", "1"),
        ("PgBouncer 1.23.1-fixed", "1"),
        ("PgBouncer 1.24.0", "0"),
        ("PgBouncer 1.25.2", "0"),
        ("PgBouncer 2.0dev", "0"),
        ("Another 1.18", ""),
        ("PgBouncer", ""),
        ("", ""),
    ] {
        let shown = shown(&[
            ("pools", table(&["database|user|sv_active", "shop|app|7", "other|app|1"])),
            ("databases", table(&["name|pool_size|reserve_pool", "shop|0|2", "other|5|2"])),
            ("users", table(&["name", "app"])),
            ("version", table(&["version", version])),
        ]);
        let head = "database|user|servers|size|size_is_zero|reserve";
        expect("pool_limits", &shown, &[head, &format!("shop|app|7||{is_zero}|2"), "other|app|1|5|0|2"]);
    }
}

#[test]
fn what_is_not_shown_is_missed_where_it_is_needed() {
    let mut shown = shown(&[
        ("pools", table(&["database|user", "shop|app"])),
        ("databases", table(&["name", "shop"])),
        ("version", Table::default()),
    ]);
    assert!(section("pool_limits", &shown).is_none(), "users were not asked for");
    let error = FetchError::new(Reason::Privilege, "no");
    shown.insert("users".to_owned(), Err(error.clone()));
    assert_eq!(section("pool_limits", &shown), Some(Err(error)));
    let limits = section("database_limits", &shown).expect("asked").expect("shown");
    assert_eq!(lines(&limits)[1], "shop||||", "nothing is made up");
}

const COLUMNS: [&str; 14] = [
    "name",
    "database",
    "user",
    "sv_active",
    "sv_idle",
    "maxwait",
    "maxwait_us",
    "pool_size",
    "reserve_pool",
    "reserve_pool_size",
    "max_connections",
    "current_connections",
    "key",
    "",
];

fn any_cell() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[abc]".prop_map(Some),
        any::<i64>().prop_map(|number| Some(number.to_string())),
        any::<f64>().prop_map(|number| Some(number.to_string())),
        " {0,3}-?[0-9]{0,25} {0,3}".prop_map(Some),
        any::<String>().prop_map(Some),
    ]
}

/// Any of the columns, in any order, repeated or not; a text that is not UTF-8 makes a row of NaN.
fn any_table() -> impl Strategy<Value = Table> {
    vec(0..COLUMNS.len(), 0..8).prop_flat_map(|columns| {
        let width = columns.len();
        vec((vec(any_cell(), width), prop::bool::weighted(0.1)), 0..6).prop_map(move |rows| {
            let mut table = Table::new(columns.iter().map(|column| COLUMNS[*column]));
            for (cells, broken) in &rows {
                table.push_row(cells.iter().map(|cell| match cell {
                    _ if *broken => Cell::Float(f64::NAN),
                    Some(text) => Cell::Text(text),
                    None => Cell::Absent,
                }));
            }
            table
        })
    })
}

proptest! {
    #[test]
    fn no_table_is_too_odd(tables in vec(any_table(), 5)) {
        let commands = ["pools", "databases", "users", "version", "lists"];
        let shown: ConsoleTables = commands.map(str::to_owned).into_iter().zip(tables.into_iter().map(|table| Ok(table.into()))).collect();
        for name in ["pools", "databases", "users", "lists", "pool_limits", "database_limits", "user_limits"] {
            let table = section(name, &shown).expect("all was asked").expect("all was shown");
            let pools = shown["pools"].as_ref().map_or(0, |pools| pools.rows());
            prop_assert!(name != "pool_limits" || table.rows() <= pools);
            for row in 0..table.rows() {
                if let Some(size) = number(&table, row, "size") {
                    prop_assert!(size > 0.0 && number(&table, row, "size_is_zero") == Some(0.0), "{table:?}");
                }
                prop_assert!(number(&table, row, "connections_limit").is_none_or(|limit| limit > 0.0));
            }
        }
    }
}
