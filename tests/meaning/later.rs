//! Servers newer than those that can be had: the shipped query on relations with the columns that PostgreSQL 19 has.

use pgvigil::collector::catalogue::Catalogue;

use crate::support::{Postgres, majors_where};

/// What `pg_stat_subscription_stats` and `pg_stat_get_subscription` say there. Of three workers one copies sequences: it has neither a
/// table nor a leader.
const MADE: &str = "CREATE SCHEMA made;
    CREATE TABLE made.stats AS
    SELECT oid AS subid, 1::int8 AS apply_error_count, 20::int8 AS sync_table_error_count, 300::int8 AS sync_seq_error_count,
           4::int8 AS confl_insert_exists, 5::int8 AS confl_update_deleted FROM pg_subscription;
    CREATE FUNCTION made.workers(oid) RETURNS TABLE (subid oid, worker_type text, pid int, leader_pid int, relid oid,
        last_msg_send_time timestamptz, last_msg_receipt_time timestamptz, latest_end_time timestamptz) LANGUAGE sql
    AS 'SELECT oid, w, 7, NULL::int, CASE WHEN w ~ ''^table'' THEN 1::oid END, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz
          FROM pg_subscription, unnest(ARRAY[''apply'', ''sequence synchronization'', ''table synchronization'']) w'";

const SEEN: &str = "||||1|320
apply|1||||
parallel_apply|0||||
sequence_sync|1||||
table_sync|1||||
||insert_exists|4||
||update_deleted|5||";

#[test]
fn subscriptions_of_the_next_version() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let queries = &catalogue.get("replication").expect("the collector").queries;
    let query = queries.iter().find(|query| query.name == "subscriptions").expect("the query");
    for major in majors_where(|major| major >= 15) {
        let server = Postgres::builder(major).start();
        server.sql("postgres", "CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false)");
        server.sql("postgres", MADE);
        let text = &query.variant(major).expect("a variant").text;
        let text = text.replace("pg_stat_subscription_stats", "made.stats");
        let text = text.replace("pg_stat_get_subscription(", "made.workers(");
        let shown = "SELECT worker, workers, conflict, conflicts, apply_errors, sync_errors";
        assert_eq!(server.sql("postgres", &format!("{shown} FROM ({text}) q")), SEEN, "{major}");
    }
}
