//! What a source says of itself, beside its tables.

/// What is known of a target beside its tables.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status {
    /// What the server said when last asked; `None` before the first answer.
    pub replica: Option<bool>,
    /// A pooler stands between; each query brings its own settings.
    pub pooled: Option<bool>,
    pub major: Option<u32>,
    /// Our role is a member of pg_monitor.
    pub monitor: Option<bool>,
    /// Sessions that are open, being opened, or given up and not ended by the server.
    pub sessions: usize,
    pub login_pending: bool,
}
