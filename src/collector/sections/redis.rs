//! The sections of a Redis server: those of `INFO`, and what few other commands say.

use crate::collector::sections::row::sections;

// What `INFO` lists as one line for each database, command and so on is a section with a row for each.
sections! {
    // Sections of INFO: one row, its columns are the fields that the server's version has.
    "server"
    "clients"
    "memory"
    "persistence"
    "stats"
    "replication"
    "cpu"
    "cluster"
    // Fields of several of them that say together what the server is.
    "instance" [redis_version, valkey_version, redis_mode, role, maxmemory_policy, os, tcp_port]
    // And where it stands among others.
    "place" [role, master_host, master_port, master_replid, master_replid2]
    // Lists within INFO: a row for each. Replicas have the names that other exporters' labels have.
    "keyspace" [db, keys, expires, avg_ttl]
    "commandstats" [cmd, calls, usec, rejected_calls, failed_calls]
    "errorstats" [err, count]
    "latencystats": PercentileRow { cmd, quantile, usec }
    "replicas" [slave_ip, slave_port, slave_state, offset, lag]
    "modules" [name, ver, api, filters, usedby, using]
    // Other commands.
    "config" [maxclients, maxmemory, io_threads, slowlog_log_slower_than, latency_monitor_threshold]
    "slowlog" [length]
    "latency" [event_name, timestamp, latest_ms, max_ms]
    "cluster_info"
}
