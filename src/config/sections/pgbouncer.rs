//! The sections of a PgBouncer: what its console shows, by the word after `SHOW`. Their columns differ by version.

use super::Section;

/// What costs little, changes nothing and stops nobody (`SHOW FDS` blocks).
pub const SECTIONS: &[Section] = &[
    shown("config"),
    shown("databases"),
    shown("dns_hosts"),
    shown("lists"),
    shown("mem"),
    shown("pools"),
    shown("state"),
    shown("stats_totals"),
    shown("users"),
    shown("version"),
];

const fn shown(name: &'static str) -> Section {
    Section { name, of_target: true, columns: &[] }
}
