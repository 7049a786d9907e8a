//! The smallest HTTPS client: one request, with the certificates that a test gives it.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::http::{self, Response};

/// How a client shakes hands.
#[derive(Clone)]
pub struct Https {
    config: Arc<ClientConfig>,
}

impl Https {
    /// Believes the authority `ca.crt` of this folder, and shows the certificate of this name in it, if one is given.
    pub fn new(folder: &Path, client: Option<&str>) -> Https {
        Https::with(folder, client, &[&TLS12, &TLS13])
    }

    /// The same, with TLS 1.2 only.
    pub fn old(folder: &Path) -> Https {
        Https::with(folder, None, &[&TLS12])
    }

    fn with(folder: &Path, client: Option<&str>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Https {
        let certificate =
            |name: &str| CertificateDer::from_pem_file(folder.join(format!("{name}.crt"))).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
        let builder = builder.with_protocol_versions(versions).expect("versions").with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(vec![certificate(name)], key).expect("a client's certificate")
            }
        };
        Https { config: config.into() }
    }

    /// Asks `localhost` at this address; an error is also a handshake that failed.
    pub fn ask(&self, address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        http::exchange(self.connect(address)?, "localhost", method, path, headers)
    }

    /// Hands are shaken when something is said.
    pub fn connect(&self, address: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, http::connect(address)?))
    }

    pub fn get(&self, address: SocketAddr, path: &str) -> io::Result<Response> {
        self.ask(address, "GET", path, &[])
    }
}
