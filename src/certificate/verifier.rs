//! Verifies the certificates of peers for rustls: servers' as libpq's `sslmode` demands, clients' as the web
//! configuration does. That the peer holds the key of its certificate is always verified.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::certificate::chain::{self, Authorities};
use crate::certificate::{Purpose, holder, names};

/// The methods that both of rustls' traits have.
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            holder::verify_tls12(&self.algorithms, message, cert, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            holder::verify_tls13(&self.algorithms, message, cert, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// Verifies a server's certificate: its chain if there are authorities, and its name if `verifies_name` is set.
#[derive(Debug)]
pub struct ServerVerifier {
    pub authorities: Option<Authorities>,
    pub verifies_name: bool,
    /// Of the signatures that we accept.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        chain::verify_key(end_entity, &self.algorithms)?;
        if let Some(authorities) = &self.authorities {
            authorities.verify(end_entity, intermediates, now, Purpose::Server)?;
        }
        if self.verifies_name {
            chain::verify_name(end_entity, &name.to_str())?;
        }
        Ok(ServerCertVerified::assertion())
    }

    handshake_signatures!();
}

/// Verifies a client's certificate: its chain if there are authorities, and its names if only some are allowed.
#[derive(Debug)]
pub struct ClientVerifier {
    pub is_mandatory: bool,
    pub authorities: Option<Authorities>,
    /// The names of the authorities, which are sent to clients.
    pub hints: Vec<DistinguishedName>,
    pub allowed_names: Vec<String>,
    /// Of the signatures that we accept.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.verify(end_entity, intermediates, now, Purpose::Client)?;
        }
        let is_allowed = |name: &String| self.allowed_names.contains(name);
        if !self.allowed_names.is_empty() && !names(end_entity).iter().any(is_allowed) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(ClientCertVerified::assertion())
    }

    handshake_signatures!();
}
