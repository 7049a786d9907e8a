//! A string that is never printed and is wiped from memory: it holds passwords between settings and server, and reads
//! those in files anew.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// The most that a file with a secret may hold, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// Reads a file, and at most a byte more than `most`. The bytes are wiped on drop. The buffer has room for all of them
/// from the beginning, because one that grows leaves copies behind.
///
/// # Errors
/// It cannot be read.
fn read(path: &Path, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // A pipe does not tell its length. The reader needs room behind the end.
    let length = if metadata.is_file() { (metadata.len() as usize).min(most) } else { most };
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 64));
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of at most `most` bytes. It is wiped on drop.
///
/// # Errors
/// Why it cannot be read; `too_long` if it is longer.
pub fn read_text(path: &Path, most: usize, too_long: &str) -> Result<Zeroizing<String>, String> {
    let bytes = read(path, most).map_err(|error| format!("the file cannot be read: {error}"))?;
    if bytes.len() > most {
        return Err(too_long.to_owned());
    }
    let text = str::from_utf8(&bytes).map_err(|_| "the file is not UTF-8 text")?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A secret. `Debug` shows that there is one, never what it is; there is no `Display`.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    file: Option<PathBuf>,
}

impl Secret {
    /// The text of a file, without the one newline that an editor leaves at its end.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn in_file(path: &Path) -> Result<Self, String> {
        let text = read_text(path, MOST_BYTES, "the file is larger than 64 KiB")?;
        let text = text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(&text);
        Ok(Secret { text: Zeroizing::new(text.to_owned()), file: Some(path.to_owned()) })
    }

    /// The secret itself, for the one place that sends it to a server.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The file that it was read from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// The secret as it is now, if there is one: a file is read again, in a thread of its own, since its filesystem may hang. An empty file
/// counts as no secret.
///
/// # Errors
/// Why it cannot be read; the message names the file.
pub async fn resolve(secret: Option<&Secret>) -> Result<Option<Secret>, String> {
    let Some(path) = secret.and_then(|secret| secret.file.clone()) else { return Ok(secret.cloned()) };
    let read = move || Secret::in_file(&path).map_err(|error| format!("{}: {error}", path.display()));
    let secret = spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))?;
    Ok((!secret.expose().is_empty()).then_some(secret))
}

impl<T: Into<String>> From<T> for Secret {
    fn from(secret: T) -> Self {
        Secret { text: Zeroizing::new(secret.into()), file: None }
    }
}

/// Secrets in the same file are equal, whatever the file holds at the moment.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.file, &other.file) {
            (None, None) => self.text == other.text,
            (mine, others) => mine == others,
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
