//! A private certificate authority and a server certificate of it, made anew for each server.
//!
//! The certificate is valid for the address 127.0.0.1 and the name localhost. The authority's key is
//! dropped after use, its certificate is what a client has to trust (as `CI_SERVER_TLS_CA_FILE` names it).

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a server needs to speak TLS, and what its clients have to trust.
pub struct Identity {
    /// Certificate and key, ready for TLS 1.2 and 1.3.
    pub config: Arc<ServerConfig>,
    /// The authority's certificate, PEM.
    pub authority: String,
}

impl Identity {
    /// Makes an authority and a certificate of it.
    ///
    /// # Panics
    /// If the cryptography library refuses, which no input can cause.
    pub fn generate() -> Identity {
        let (authority, certificate, key) = certify().expect("making the test certificates");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3 of the cryptography library")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the certificate fits its key");
        Identity { config: Arc::new(config), authority }
    }
}

fn certify() -> Result<(String, CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = named("Test Server Authority", &[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let mut server = named("Test Server", &["127.0.0.1", "localhost"])?;
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;

    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((authority_certificate.pem(), certificate.der().clone(), PrivateKeyDer::from(key)))
}

fn named(common_name: &str, alternatives: &[&str]) -> Result<CertificateParams, Error> {
    let alternatives: Vec<String> = alternatives.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(alternatives)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
