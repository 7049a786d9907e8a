//! The shipped Grafana dashboards, as they lie in `dashboards/`; inside the binary they are compressed.

use std::io::{self, Read};
use std::iter;

use flate2::read::GzDecoder;

/// What build.rs makes of `dashboards/*.json`: of each file its name and its text, both ended by a zero byte.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dashboards.gz"));

/// The names of the files and their texts, in the order of their names: a megabyte.
///
/// # Errors
/// What is inside the binary was damaged.
pub fn files() -> io::Result<Vec<(String, String)>> {
    let mut unpacked = String::new();
    GzDecoder::new(PACKED).read_to_string(&mut unpacked)?;
    let mut texts = unpacked.split_terminator('\0').map(str::to_owned);
    Ok(iter::from_fn(|| texts.next().zip(texts.next())).collect())
}
