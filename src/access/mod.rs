//! The web configuration in force: TLS, users and limits for clients.

mod rate_limit;
mod tls;
mod users;

use std::net::IpAddr;
use std::path::Path;

use tokio_rustls::TlsAcceptor;

use crate::access::rate_limit::TokenBucket;
pub use crate::access::users::Authentication;
use crate::access::users::Users;
use crate::schema::problem::Problems;
use crate::settings::web::WebSettings;

/// The rules for new connections and for each request. Without a file everything is open, over plain HTTP.
#[derive(Default)]
pub struct WebAccess {
    /// For new connections; `None` if they are not encrypted.
    pub tls: Option<TlsAcceptor>,
    /// For every response.
    pub headers: Vec<(&'static str, String)>,
    /// Those who may ask.
    pub users: Users,
    rate: Option<TokenBucket>,
    /// In lower case. Without any, every host is allowed.
    hosts: Vec<String>,
}

impl WebAccess {
    /// Reads the file, if there is one. Passwords that were right `before` are not compared again.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: Option<&Path>, before: Option<&WebAccess>) -> Result<WebAccess, Problems> {
        let Some(file) = file else { return Ok(WebAccess::default()) };
        let WebSettings { tls, headers, users, rate, hosts } = WebSettings::load(file)?;
        let mut problems = Problems::default();
        let tls = tls.and_then(|written| tls::acceptor(&written, &mut problems));
        let users = Users::new(users, before.map(|before| &before.users));
        problems.unless_any(WebAccess { tls, headers, users, rate: rate.map(TokenBucket::new), hosts })
    }

    /// Whether a request may address this server so (its header `Host`): by a name of the list, by an IP address or as
    /// localhost.
    ///
    /// A page in somebody's browser can make the browser send us requests, under a name that the page's owner points at
    /// us (DNS rebinding). That name cannot be an IP address or localhost.
    pub fn answers_to(&self, host: &str) -> bool {
        let has_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let name = host.rsplit_once(':').filter(|(_, port)| has_port(port)).map_or(host, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        self.hosts.is_empty() || bare.parse::<IpAddr>().is_ok() || name == "localhost" || self.hosts.contains(&name)
    }

    /// Whether one more request is within the limit.
    pub fn is_within_rate(&self) -> bool {
        self.rate.as_ref().is_none_or(TokenBucket::take)
    }
}
