//! Who may ask: names and passwords, compared with bcrypt hashes. That is slow on purpose, so it must not be a way to keep
//! us busy: one comparison at a time, and a password that was right is remembered by a tag that only this process can make.
//!
//! How long a refusal takes does not say whether the user exists: for one who does not, another's hash is compared with.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bcrypt::HashParts;
use parking_lot::Mutex;
use ring::{hmac, rand::SystemRandom};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use zeroize::Zeroizing;

use crate::{
    schema::problem::Problems,
    secret::Secret,
    settings::web::{NO_HASH, User},
};

/// How long a comparison is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// No password, or a wrong one.
    Refused,
    /// Too many passwords are being compared.
    Busy,
}

/// Those who may ask; anyone, if there are none.
#[derive(Default)]
pub struct Users {
    hashes: Vec<(String, Secret)>,
    known: Arc<VerifiedPasswords>,
}

/// What is remembered of right passwords, beyond reloads.
struct VerifiedPasswords {
    /// Without randomness nothing is remembered.
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
    /// These users; what is remembered is kept from `before`.
    pub fn new(written: &[User], before: Option<&Users>, problems: &mut Problems) -> Self {
        for user in written.iter().filter(|user| user.hash.expose().parse::<HashParts>().is_err()) {
            problems.add(&user.place, NO_HASH);
        }
        let hashes = written.iter().map(|user| (user.name.clone(), user.hash.clone())).collect();
        Users { hashes, known: before.map(|before| before.known.clone()).unwrap_or_default() }
    }

    /// Whether who sends this header may ask.
    pub async fn admit(&self, authorization: Option<&str>) -> Admission {
        let Some((_, anyone)) = self.hashes.first() else { return Admission::Admitted };
        let Some((name, password)) = authorization.and_then(credentials) else { return Admission::Refused };
        let found = self.hashes.iter().find(|(known, _)| *known == name).map(|(_, hash)| hash);
        let tag = found.and_then(|hash| self.known.tag(&name, hash, &password));
        if self.known.has(&name, tag.as_ref()) {
            return Admission::Admitted;
        }
        let Ok(Ok(turn)) = timeout(PATIENCE, self.known.turn.clone().acquire_owned()).await else {
            return Admission::Busy;
        };
        // Another request may have brought the same meanwhile.
        if self.known.has(&name, tag.as_ref()) {
            return Admission::Admitted;
        }
        let hash = found.unwrap_or(anyone).clone();
        let compare = move || {
            let fits = bcrypt::verify(password.expose(), hash.expose()).unwrap_or(false);
            // Not sooner, even if nobody waits any more.
            drop(turn);
            fits
        };
        match spawn_blocking(compare).await.unwrap_or(false) && found.is_some() {
            true => {
                self.known.remember(name, tag);
                Admission::Admitted
            }
            false => Admission::Refused,
        }
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

    /// Nobody outside can make a tag, so how long comparing two takes says nothing.
    fn has(&self, name: &str, tag: Option<&hmac::Tag>) -> bool {
        tag.is_some_and(|tag| self.tags.lock().get(name).is_some_and(|known| known.as_ref() == tag.as_ref()))
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
    Some((name.to_owned(), Secret::new(password)))
}
