//! Sections out of what versions of PgBouncer show, and out of anything.
