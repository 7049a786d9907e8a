//! Secrets as they are when they are needed: one in a file may have changed since.

use tokio::task::spawn_blocking;

use crate::{
    secret::Secret,
    source::fetch::{FetchError, Reason},
};

/// The password for the next login, if there is one. A file is read in a thread of its own: its filesystem may hang.
///
/// # Errors
/// Its file cannot be read.
pub async fn now(secret: Option<&Secret>) -> Result<Option<Secret>, FetchError> {
    let Some(secret) = secret.cloned() else { return Ok(None) };
    if secret.file().is_none() {
        return Ok(Some(secret));
    }
    let read = spawn_blocking(move || secret.now()).await.unwrap_or_else(|error| Err(error.to_string()));
    let secret = read.map_err(|error| FetchError::new(Reason::Authentication, format!("the password: {error}")))?;
    Ok((!secret.expose().is_empty()).then_some(secret))
}
