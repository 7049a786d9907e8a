//! The keys of a connection that several kinds of server share, merged with the URL beside them.

use std::net::Ipv6Addr;

use crate::declare;
use crate::schema::form::Form;
use crate::schema::problem::Place;
use crate::schema::reader::{Placed, Reader, Schema};
use crate::schema::yaml::Node;
use crate::secret::Secret;
use crate::settings::connection::dsn::Dsn;
use crate::settings::connection::login::ChannelBinding;
use crate::settings::connection::model::TlsMode;
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::interpolate::{secret, secret_in_file};

declare! {
    /// The keys of every server.
    pub struct ServerKeys: "a server" {
        /// A file that holds the URL; instead of `url`.
        url_file: Option<Placed<Secret>> = secret_in_file().placed().instead_of("url").optional().strict(),
        /// Its password; better `${NAME}` or `password_file`.
        password: Option<Secret> = value(),
        /// A file that holds the password, read at each login; one newline at its end is cut off.
        password_file: Option<Secret> = parameter(secret_in_file().instead_of("password")),
        /// A PEM file, or `system` (if left out): whose certificates are believed.
        sslrootcert: Option<Secret> = value(),
        /// A client's certificate, PEM; needs `sslkey`.
        sslcert: Option<Secret> = value(),
        /// The client's key, PEM; needs `sslcert`.
        sslkey: Option<Secret> = value(),
    }
}

declare! {
    /// The keys of every server that is logged in to like PostgreSQL. What is left out as port and database differs.
    pub struct PostgresServerKeys: "a server" {
        /// A URL or `keyword=value` pairs; the keys beside it override what it says.
        url: Option<Placed<Secret>> = secret().placed().optional().strict(),
        /// A name, an address, or the absolute path of the socket's folder; localhost if left out.
        host: Option<Secret> = value(),
        /// The role to log in as; there is no default.
        user: Option<Secret> = value(),
        /// As in libpq; `prefer` if left out.
        sslmode: Option<Secret> = value_of(Form::words::<TlsMode>()),
        /// As in libpq: which ways to log in the server may ask for, such as `scram-sha-256`, or `!md5`. If left out,
        /// all, but a password in clear only where the server is verified or local.
        require_auth: Option<Secret> = value(),
        /// As in libpq: whether a login with SCRAM is bound to the server's certificate; `prefer` if left out.
        channel_binding: Option<Secret> = value_of(Form::words::<ChannelBinding>()),
        ..server: ServerKeys,
    }
}

/// A value that a connection string may give too.
pub fn value() -> Schema<Option<Secret>> {
    parameter(secret())
}

/// The same, of a form; but a text with a `${NAME}` in it may become anything, and an empty one counts as none.
pub fn value_of(form: Form) -> Schema<Option<Secret>> {
    value().shown_as(Form::Either(vec![form, Form::Pattern(r"^$|\$\{")]))
}

/// The port of a server.
pub fn port_value() -> Schema<Option<Secret>> {
    value_of(Form::Whole(1, 65535))
}

fn parameter(secret: Schema<Secret>) -> Schema<Option<Secret>> {
    let value = secret.then(|value, node, reader| {
        let has_nul = value.expose().contains('\0');
        if has_nul {
            reader.problems.add(&node.place, ConnectionProblem::Nul.to_string());
        }
        (!has_nul).then_some(value)
    });
    value.optional().strict()
}

impl ServerKeys {
    /// `url` (or `url_file`) and the keys merged; the keys override the URL. Messages call the URL `what`.
    pub fn dsn(
        self,
        url: Option<Placed<Secret>>,
        what: &str,
        parse: fn(&str) -> Result<Dsn, ConnectionProblem>,
        keys: Dsn,
        reader: &mut Reader<'_>,
    ) -> Option<Dsn> {
        let password = self.password.or(self.password_file);
        let (sslrootcert, sslcert, sslkey) = (self.sslrootcert, self.sslcert, self.sslkey);
        let keys = Dsn { password, sslrootcert, sslcert, sslkey, ..keys };
        let Some(url) = url.or(self.url_file) else { return Some(Dsn::default().overridden_by(keys)) };
        match parse(url.value.expose()) {
            Ok(dsn) => Some(dsn.overridden_by(keys)),
            Err(problem) => {
                reader.problems.add(&url.place, format!("the {what} is refused: {problem}"));
                None
            }
        }
    }
}

impl PostgresServerKeys {
    /// `url` and the keys merged.
    pub fn dsn(self, port: Option<Secret>, dbname: Option<Secret>, reader: &mut Reader<'_>) -> Option<Dsn> {
        let PostgresServerKeys { url, host, user, sslmode, require_auth, channel_binding, server } = self;
        let keys = Dsn { host, port, user, dbname, sslmode, require_auth, channel_binding, ..Dsn::default() };
        server.dsn(url, "connection string", Dsn::parse, keys, reader)
    }
}

/// The places of a map and its keys, for problems that are found later.
pub struct KeyPlaces {
    map: Place,
    keys: Vec<(String, Place)>,
}

impl KeyPlaces {
    pub fn of(map: &Node) -> KeyPlaces {
        let given = map.entries().iter().filter(|(_, node)| !node.is_absent());
        let keys = given.map(|(key, node)| (key.text.to_string(), node.place.clone())).collect();
        KeyPlaces { map: map.place.clone(), keys }
    }

    /// The meaning of the keys. `None`: each problem has been reported at the key it is about, or else at the
    /// connection string.
    pub fn meaning<T>(&self, resolved: Result<T, Vec<ConnectionProblem>>, reader: &mut Reader<'_>) -> Option<T> {
        for problem in resolved.as_ref().err().into_iter().flatten() {
            let mut keys = problem.key().into_iter().chain(["url", "url_file"]);
            let place = keys.find_map(|key| self.keys.iter().find(|(known, _)| known == key));
            reader.problems.add(place.map_or(&self.map, |(_, place)| place), problem.to_string());
        }
        resolved.ok()
    }
}

/// Collects the problem, if there is one.
pub fn keep<T>(result: Result<T, ConnectionProblem>, problems: &mut Vec<ConnectionProblem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// A port from 1 to 65535.
pub fn port(text: &str) -> Result<u16, ConnectionProblem> {
    text.parse().ok().filter(|port| *port > 0).ok_or(ConnectionProblem::Port)
}

/// The name of a host, or an address without brackets.
pub fn is_host(text: &str) -> bool {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    is_name || text.parse::<Ipv6Addr>().is_ok()
}
