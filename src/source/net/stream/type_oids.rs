//! Replaces the type OIDs in descriptions: a type that is not built in gets the OID of one that is. For other types the
//! driver would ask the server, once for each component type, and cache all answers: a malicious server could keep it
//! asking for ever.

use tokio_postgres::types::Type;

/// Stands for all types that are not built in. An enum's values are texts; other values are told apart by their bytes.
const SUBSTITUTE: &Type = &Type::ANYENUM;

/// The number of fields comes first.
const COUNT: usize = 2;

/// The bytes of a column's description after its name and the zero byte, and where the OID is in them.
const COLUMN: usize = 18;
const COLUMN_OID: usize = 6;

/// Replaces those in a description of columns: RowDescription.
pub fn replace_in_columns(body: &mut [u8]) {
    let mut columns = body.get_mut(COUNT..).unwrap_or_default();
    while let Some(name) = columns.iter().position(|byte| *byte == 0) {
        let Some((column, rest)) = columns[name + 1..].split_first_chunk_mut::<COLUMN>() else { return };
        if let Some(oid) = column[COLUMN_OID..].first_chunk_mut() {
            replace(oid);
        }
        columns = rest;
    }
}

/// Replaces those in a description of parameters: ParameterDescription.
pub fn replace_in_parameters(body: &mut [u8]) {
    let (oids, _) = body.get_mut(COUNT..).unwrap_or_default().as_chunks_mut();
    oids.iter_mut().for_each(replace);
}

fn replace(oid: &mut [u8; 4]) {
    if Type::from_oid(u32::from_be_bytes(*oid)).is_none() {
        *oid = SUBSTITUTE.oid().to_be_bytes();
    }
}
