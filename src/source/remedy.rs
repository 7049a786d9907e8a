//! Remedies for errors: chosen where the error is interpreted, worded where it is printed.

use std::borrow::Cow;

/// A remedy. Its text names the user that logs in.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    Advice(Cow<'static, str>),
    /// SQL that grants the role these rights.
    Grant(Vec<String>),
    /// SQL that resets the role's value of this setting.
    Reset(&'static str),
    /// A login trigger must be allowed to write.
    WritingLogin,
    /// A rule that the user lacks in Redis' access control list.
    AclRule(&'static str),
    /// The user lacks access to the console of PgBouncer.
    StatsUser,
    /// PgBouncer must give the user whole transactions.
    PoolMode,
    /// SQL to run in a database.
    InDatabase {
        statement: String,
        database: String,
    },
    /// The role, or its password.
    Password,
    /// The user, or its password, in PgBouncer's file of users.
    UserFile,
    /// A line of pg_hba.conf that lets the user in.
    HostRule,
}

impl Remedy {
    pub fn grant(right: impl Into<String>) -> Self {
        Remedy::Grant(vec![right.into()])
    }

    /// What to do, as a clause of a sentence.
    pub fn text(&self, user: &str) -> String {
        match self {
            Remedy::Advice(advice) => advice.clone().into_owned(),
            Remedy::Grant(rights) => {
                let grants = rights.iter().map(|right| format!("GRANT {right} TO {};", quoted(user)));
                format!("run {}", grants.collect::<Vec<_>>().join(" "))
            }
            Remedy::Reset(setting) => format!("run ALTER ROLE {} RESET {setting};", quoted(user)),
            Remedy::WritingLogin => {
                format!("a login trigger writes: {}", Remedy::Reset("default_transaction_read_only").text(user))
            }
            Remedy::AclRule(rule) => format!("run ACL SETUSER {user} {rule}"),
            Remedy::StatsUser => format!("add {user} to `stats_users` in pgbouncer.ini, and RELOAD"),
            Remedy::PoolMode => format!(
                "pgvigil needs transactions: in pgbouncer.ini set `pool_mode = transaction` for the user {user} \
                 (section [users]), and RELOAD"
            ),
            Remedy::InDatabase { statement, database } => format!("run {statement} in database {database}"),
            Remedy::Password => {
                format!("is this the password of the role? A superuser sets it in psql with \\password {user}")
            }
            Remedy::UserFile => {
                format!("does the `auth_file` or `auth_query` of pgbouncer.ini have {user} with this password?")
            }
            Remedy::HostRule => {
                format!("add a line to pg_hba.conf that lets {user} in from this machine, and reload the server")
            }
        }
    }
}

/// A name, quoted for SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
