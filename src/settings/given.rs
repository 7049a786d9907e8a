//! Values as they are given: with `${NAME}`s replaced, or by the file that another key names.

use zeroize::Zeroizing;

use crate::{
    schema::fields::Fields,
    secret::Secret,
    settings::interpolate::{Env, expand},
};

/// A key that was given, and its value; `Err`: what is wrong with it has been told.
pub(crate) type Resolved<'k, T = String> = Result<Option<(&'k str, T)>, ()>;

/// A text with its `${NAME}`s replaced.
pub(crate) fn text<'k>(fields: &mut Fields<'_, '_>, key: &'k str, env: &Env<'_>) -> Resolved<'k> {
    match fields.text(key) {
        Some(text) => match expand(&Zeroizing::new(text), env) {
            Ok(text) => Ok(Some((key, text))),
            Err(message) => refuse(fields, key, message),
        },
        None if fields.has(key) => Err(()),
        None => Ok(None),
    }
}

/// A text given by a key, or by the file that another key names.
pub(crate) fn given<'k>(
    fields: &mut Fields<'_, '_>,
    key: &'k str,
    file_key: &'k str,
    env: &Env<'_>,
) -> Resolved<'k, Secret> {
    if fields.has(key) && fields.has(file_key) {
        return refuse(fields, file_key, format!("`{key}` is given too: keep one of the two"));
    }
    let Some((_, path)) = text(fields, file_key, env)? else { return hidden(text(fields, key, env)) };
    match Secret::in_file(path.as_ref()) {
        Ok(secret) => Ok(Some((file_key, secret))),
        Err(message) => refuse(fields, file_key, format!("`{file_key}`: {message}")),
    }
}

/// The value cannot be printed any more.
pub(crate) fn hidden(given: Resolved<'_>) -> Resolved<'_, Secret> {
    given.map(|given| given.map(|(key, value)| (key, Secret::new(value))))
}

fn refuse<'k, T>(fields: &mut Fields<'_, '_>, key: &str, message: String) -> Resolved<'k, T> {
    fields.tell(key, message);
    Err(())
}
