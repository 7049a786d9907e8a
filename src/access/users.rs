//! Users and passwords, compared with bcrypt hashes. bcrypt is slow on purpose, and a stranger must not keep us busy
//! with it: one comparison runs at a time, and a password that was right is remembered by a tag that only this process
//! can make.
//!
//! The time that a rejection takes does not tell whether the user exists: for an unknown user the hash of another is
//! compared.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::schema::reader::Entry;
use crate::secret::Secret;

/// How long a request waits for its turn to compare.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// The outcome of authenticating a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    Accepted,
    /// No password, or a wrong one.
    Rejected,
    /// Too many passwords are being compared.
    Overloaded,
}

/// The users that may send requests; without any, everyone may.
#[derive(Default)]
pub struct Users {
    /// The name and the hash of each.
    written: Vec<Entry<Secret>>,
    verified: Arc<VerifiedPasswords>,
}

/// The memory of right passwords, which outlives reloads.
struct VerifiedPasswords {
    /// `None` without a source of randomness: then nothing is remembered.
    key: Option<hmac::Key>,
    /// By user: the tag of the hash and the password that last fitted each other.
    tags: Mutex<HashMap<String, hmac::Tag>>,
    turn: Arc<Semaphore>,
}

impl Default for VerifiedPasswords {
    fn default() -> Self {
        VerifiedPasswords {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            tags: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Users {
    /// These users, with the memory of those `before`.
    pub fn new(written: Vec<Entry<Secret>>, before: Option<&Users>) -> Self {
        Users { written, verified: before.map(|before| before.verified.clone()).unwrap_or_default() }
    }

    /// Checks a header `Authorization`.
    pub async fn authenticate(&self, authorization: Option<&str>) -> Authentication {
        let Some(any) = self.written.first() else { return Authentication::Accepted };
        let Some((name, password)) = authorization.and_then(credentials) else { return Authentication::Rejected };
        let known_hash = self.written.iter().find(|user| user.key == name).map(|user| &user.value);
        let tag = known_hash.and_then(|hash| self.verified.tag(&name, hash, &password));
        if self.verified.has(&name, tag.as_ref()) {
            return Authentication::Accepted;
        }
        let Ok(Ok(turn)) = timeout(TURN_TIMEOUT, self.verified.turn.clone().acquire_owned()).await else {
            return Authentication::Overloaded;
        };
        // Another request may have brought the same password meanwhile.
        if self.verified.has(&name, tag.as_ref()) {
            return Authentication::Accepted;
        }
        let hash = known_hash.unwrap_or(&any.value).clone();
        let compare = move || {
            let fits = bcrypt::verify(password.expose(), hash.expose()).unwrap_or(false);
            // The turn lasts as long as the comparison, even if the client has gone.
            drop(turn);
            fits
        };
        let fits = spawn_blocking(compare).await.unwrap_or(false);
        if !fits || known_hash.is_none() {
            return Authentication::Rejected;
        }
        self.verified.remember(name, tag);
        Authentication::Accepted
    }
}

impl VerifiedPasswords {
    fn tag(&self, name: &str, hash: &Secret, password: &Secret) -> Option<hmac::Tag> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [name, hash.expose(), password.expose()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        Some(context.sign())
    }

    /// Nobody outside can make a tag, so the time that comparing two takes tells nothing.
    fn has(&self, name: &str, tag: Option<&hmac::Tag>) -> bool {
        let tags = self.tags.lock();
        tag.zip(tags.get(name)).is_some_and(|(tag, known)| known.as_ref() == tag.as_ref())
    }

    fn remember(&self, name: String, tag: Option<hmac::Tag>) {
        if let Some(tag) = tag {
            self.tags.lock().insert(name, tag);
        }
    }
}

/// The name and the password of a header `Authorization: Basic ...`.
fn credentials(header: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim()).ok()?);
    let (name, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), Secret::from(password)))
}
