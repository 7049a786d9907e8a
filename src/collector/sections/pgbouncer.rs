//! The sections of a PgBouncer: what its console shows, by the word after `SHOW`, and what is put together from that.

use crate::collector::sections::row::{Section, SectionRow, section_rows};

/// What costs little, changes nothing and stops nobody (`SHOW FDS` blocks).
pub const SECTIONS: &[Section] = &[
    // Rows of a name and a value on their side: one row, a column for each name; `yes` and `no` as 1 and 0.
    shown("config"),
    shown("lists"),
    shown("state"),
    // As the console shows them; `pools` has `maxwait_seconds` too, and in `databases` the column `reserve_pool_size`
    // of later versions is called `reserve_pool`, as before.
    shown("databases"),
    shown("dns_hosts"),
    shown("mem"),
    shown("pools"),
    shown("stats_totals"),
    shown("users"),
    shown("version"),
    PoolLimitRow::SECTION,
    DatabaseLimitRow::SECTION,
    UserLimitRow::SECTION,
];

// What limits each pool, database and user. Without the console itself; a limit that is not set is absent.
section_rows! {
    "pool_limits": PoolLimitRow { database, user, servers, size, size_is_zero, reserve }
    "database_limits": DatabaseLimitRow {
        database,
        connections,
        connections_limit,
        client_connections,
        client_connections_limit,
    }
    "user_limits": UserLimitRow {
        user,
        connections,
        connections_limit,
        client_connections,
        client_connections_limit,
    }
}

/// Its columns differ by version.
const fn shown(name: &'static str) -> Section {
    Section { name, columns: &[] }
}
