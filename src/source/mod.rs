//! Sources: what fetches a Table, and why a fetch can fail.
