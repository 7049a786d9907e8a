//! The sections of a PgBouncer: what its console shows, by the word after `SHOW`, and what is put together from that.

use crate::collector::sections::row::sections;

// What costs little, changes nothing and stops nobody (`SHOW FDS` blocks).
sections! {
    // Rows of a name and a value on their side: one row, a column for each name; `yes` and `no` as 1 and 0.
    "config"
    "lists"
    "state"
    // As the console shows them; `pools` has `maxwait_seconds` too, and in `databases` the column `reserve_pool_size`
    // of later versions is called `reserve_pool`, as before.
    "databases"
    "dns_hosts"
    "mem"
    "pools"
    "stats_totals"
    "users"
    "version"
    // What limits each pool, database and user. Without the console itself; a limit that is not set is absent.
    "pool_limits": PoolLimitRow { database, user, servers, size, size_is_zero, reserve }
    "database_limits": DatabaseLimitRow {
        database, connections, connections_limit, client_connections, client_connections_limit
    }
    "user_limits": UserLimitRow {
        user, connections, connections_limit, client_connections, client_connections_limit
    }
}
