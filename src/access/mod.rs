//! The web configuration in force: TLS, users and limits towards those who ask.

mod rate_limit;
mod tls;
mod users;

use std::{net::IpAddr, path::Path};

use tokio_rustls::TlsAcceptor;

pub use crate::access::users::Admission;
use crate::{
    access::{rate_limit::Bucket, users::Users},
    schema::problem::Problems,
    settings::web,
};

/// What holds for new connections and for each request. Without a file everything is open, over plain HTTP.
#[derive(Default)]
pub struct WebAccess {
    /// What new connections speak, if it is TLS.
    pub tls: Option<TlsAcceptor>,
    /// For every answer.
    pub headers: Vec<(&'static str, String)>,
    users: Users,
    rate: Option<Bucket>,
    /// In lower case; any, if there are none.
    hosts: Vec<String>,
}

impl WebAccess {
    /// What the file says, if there is one. Passwords that were right `before` are not compared anew.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: Option<&Path>, before: Option<&WebAccess>) -> Result<WebAccess, Problems> {
        file.map_or_else(|| Ok(WebAccess::default()), |path| WebAccess::new(&web::WebSettings::load(path)?, before))
    }

    /// What was written means this.
    ///
    /// # Errors
    /// Everything that is wrong with certificates, keys and hashes.
    pub fn new(written: &web::WebSettings, before: Option<&WebAccess>) -> Result<WebAccess, Problems> {
        let mut problems = Problems::default();
        let tls = written.tls.as_ref().and_then(|written| tls::config(written, &mut problems));
        let users = Users::new(&written.users, before.map(|before| &before.users), &mut problems);
        let rate = written.rate.map(Bucket::new);
        let (headers, hosts) = (written.headers.0.clone(), written.hosts.clone());
        problems.unless_any(WebAccess { tls, headers, users, rate, hosts })
    }

    /// Whether a request may call this server so (its header `Host`): by a name of the list, by an address or as localhost.
    ///
    /// A page in somebody's browser can make the browser ask us, under a name that the page's owner lets point here. It cannot choose an
    /// address or localhost for that name.
    pub fn answers_to(&self, host: &str) -> bool {
        let has_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let name = host.rsplit_once(':').filter(|(_, port)| has_port(port)).map_or(host, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        self.hosts.is_empty() || bare.parse::<IpAddr>().is_ok() || name == "localhost" || self.hosts.contains(&name)
    }

    /// Whether one more request is within the limit.
    pub fn has_room(&self) -> bool {
        self.rate.as_ref().is_none_or(Bucket::take)
    }

    /// Whether who asks with this header `Authorization` may.
    pub async fn admits(&self, authorization: Option<&str>) -> Admission {
        self.users.admit(authorization).await
    }
}
