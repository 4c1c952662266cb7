//! Who signs: a principal, an address for git's committer line, and a key.

use crate::core::record::Name;
use crate::keys::SigningKey;
use ssh_key::PublicKey;
use std::fmt;

/// A key with the principal whose it is.
#[derive(Clone)]
pub struct Signer {
    principal: Name,
    email: String,
    key: SigningKey,
}

impl Signer {
    /// The signer with this key; a private key must be decrypted.
    pub fn new(principal: Name, email: String, key: impl Into<SigningKey>) -> Self {
        Signer { principal, email, key: key.into() }
    }

    /// The principal that records name as `signer`.
    pub fn principal(&self) -> &Name {
        &self.principal
    }

    /// The address in the committer line.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The public half of the key.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key().clone()
    }

    /// Whether each signature costs a person a touch.
    pub fn wants_touch(&self) -> bool {
        self.key.wants_touch()
    }

    /// Signs; gives the armored signature.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, anyhow::Error> {
        Ok(self.key.sign(namespace, message)?)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Signer({})", self.principal)
    }
}
