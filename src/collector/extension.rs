//! The extension of PostgreSQL that a query needs.

use crate::declare;
use crate::schema::form::Form;
use crate::schema::reader::Schema;
use crate::schema::values::{scalar, text};

declare! {
    /// An extension, in at least this version.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Extension: "`requires`" {
        /// The extension's name; `pgvigil` is the functions of `pgvigil export grants`.
        name as "extension": String = text().must("an extension's name, such as pg_stat_statements", |name| {
            !name.trim().is_empty() && !name.contains(char::is_control)
        }),
        /// Its least version, compared number by number: 1.10 is newer than 1.9.
        version: Vec<u32> = version().or(Vec::new()),
    }
}

fn version() -> Schema<Vec<u32>> {
    let form = Form::Either(vec![Form::Number, Form::Pattern(r"^\+?[0-9]+(\.\+?[0-9]+)*$")]);
    scalar(form, "numbers, such as 1.8".into(), |text| text.split('.').map(|part| part.parse().ok()).collect())
}
