//! Keys as GitLab has them for ID tokens (RFC 7517), and tokens signed with them (RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{RSA_PKCS1_SHA256, RsaEncoding};
use serde_json::{Value, json};
use std::process::Command;

/// An RSA key that signs ID tokens.
pub struct TokenKey {
    /// Its name.
    pub kid: String,
    pair: KeyPair,
}

impl TokenKey {
    /// Makes one of 2048 bits, with `ssh-keygen`.
    ///
    /// # Panics
    /// If that is not installed.
    pub fn generate(kid: &str) -> TokenKey {
        let folder = tempfile::tempdir().expect("a folder for the key");
        let file = folder.path().join("key");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"]).arg(&file);
        assert!(command.status().expect("running ssh-keygen; install OpenSSH").success(), "ssh-keygen makes no RSA key");
        let pem = std::fs::read_to_string(&file).expect("the key");
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(der).expect("the key's base64");
        TokenKey { kid: kid.to_owned(), pair: KeyPair::from_der(&der).expect("the key's numbers") }
    }

    /// Its public half.
    pub fn jwk(&self) -> Value {
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(self.pair.public());
        json!({ "kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256", "n": encoded(&n), "e": encoded(&e) })
    }

    /// Its public half in PEM (RFC 8017 § A.1.1).
    pub fn pem(&self) -> String {
        let body = STANDARD.encode(self.pair.public());
        format!("-----BEGIN RSA PUBLIC KEY-----\n{body}\n-----END RSA PUBLIC KEY-----\n")
    }

    /// A token with these claims, as GitLab makes it.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "kid": self.kid, "typ": "JWT", "alg": "RS256" }), claims, &RSA_PKCS1_SHA256)
    }

    /// A token with this header, signed in this way, whatever the header says.
    pub fn sign_as(&self, header: &Value, claims: &Value, encoding: &'static dyn RsaEncoding) -> String {
        let signed = unsigned(header, claims);
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
        format!("{signed}.{}", encoded(&signature))
    }
}

/// What is signed: header and claims.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()))
}

/// A token that only a secret signs (HS256), where the secret is public.
pub fn sign_with_secret(kid: &str, claims: &Value, secret: &[u8]) -> String {
    let signed = unsigned(&json!({ "kid": kid, "typ": "JWT", "alg": "HS256" }), claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", encoded(tag.as_ref()))
}

/// In base64url, without padding.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
