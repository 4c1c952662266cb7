//! What a key's source holds, as far as it can be seen without a passphrase.

use super::load::{FileMode, read_source};
use super::{KeyError, openssh, text};
use ssh_key::{Algorithm, PublicKey};
use std::path::PathBuf;

/// The public half of a key, and where its private half is.
#[derive(Debug)]
pub enum Found {
    /// Only the public half was named; the private one may be in a file beside it.
    Public {
        /// The key.
        key: PublicKey,
        /// The file beside it, whether it is there or not.
        beside: Option<PathBuf>,
    },
    /// A private key.
    Private {
        /// Its public half.
        key: PublicKey,
        /// Whether it wants a passphrase.
        is_locked: bool,
        /// The file that it is in.
        file: Option<PathBuf>,
    },
}

impl Found {
    /// The public half.
    pub fn key(&self) -> &PublicKey {
        match self {
            Found::Public { key, .. } | Found::Private { key, .. } => key,
        }
    }

    /// Whether only a security key can sign with it.
    pub fn is_security_key(&self) -> bool {
        matches!(self.key().algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
    }
}

/// Looks at a key: a path of a private or public key, its text, base64 of a private key, or `key::` and a public one, as git
/// writes it. Nothing is asked.
///
/// # Errors
/// As [`super::load`].
pub fn look(source: &str, mode: FileMode) -> Result<Found, KeyError> {
    let value = text::trimmed(source);
    let literal = value.strip_prefix("key::").map(str::trim);
    if let Some(key) = public_key(literal.unwrap_or(value)) {
        return Ok(Found::Public { key, beside: None });
    }
    if literal.is_some() {
        return Err(KeyError::NotAPublicKey);
    }
    let (content, file) = read_source(value, mode)?;
    let is_public = content.len() < LONGEST_PUBLIC;
    if let Some(key) = std::str::from_utf8(&content).ok().filter(|_| is_public).and_then(public_key) {
        let beside = value.strip_suffix(".pub").map(PathBuf::from);
        return Ok(Found::Public { key, beside });
    }
    let (key, is_locked) = openssh::public_half(&super::load::private_key_of(&content, file.as_deref())?)?;
    Ok(Found::Private { key, is_locked, file })
}

/// A public key of 16384 bits has less, in bytes.
const LONGEST_PUBLIC: usize = 8 * 1024;

/// The public key that a text is: type, base64, and maybe a comment.
fn public_key(text: &str) -> Option<PublicKey> {
    let words: Vec<_> = text::trimmed(text).lines().next()?.split_whitespace().take(2).collect();
    let bare = words.join(" ");
    text::is_public_key(&bare).then(|| PublicKey::from_openssh(&bare).ok()).flatten()
}
