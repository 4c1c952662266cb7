//! OpenSSH signatures (SSHSIG, armored), as `ssh-keygen -Y sign` makes and `ssh-keygen -Y verify` checks them.
//!
//! Layout: PROTOCOL.sshsig of OpenSSH. [`open`] answers one question, whether this key signed this message for this
//! namespace; who may sign is decided in [`trust`](super::trust). Its answer is that of ssh-keygen, or stricter: the version is 1,
//! nothing may follow the armor, DSA keys, certificates and RSA keys outside 2048 to 4096 bits are not supported, and a security key must
//! have seen its user. Tests compare both.

#[cfg(test)]
mod tests;
pub mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Verifier as _, VerifyingKey};
use ssh_key::public::{KeyData, RsaPublicKey};
use ssh_key::{Algorithm, HashAlg, LineEnding, Mpint, PrivateKey, PublicKey, Signature, SshSig};
use std::borrow::Cow;
use std::collections::HashMap;
use wire::Fields;

/// Namespace of records in the log.
pub const NAMESPACE_RECORD: &str = "deploy-record";
/// Namespace of claims: records that wait in a spool.
pub const NAMESPACE_SPOOL: &str = "deploy-record-spool";
/// Namespace of git's commit signatures (`gpg.format = ssh`).
pub const NAMESPACE_GIT: &str = "git";

/// The most that one armored signature may hold, in bytes; the longest that is supported, by an RSA key of 4096 bits, has
/// under 2 KiB.
pub const LARGEST_SIGNATURE: usize = 16 * 1024;

const HEADER: &str = "-----BEGIN SSH SIGNATURE-----\n";
const FOOTER: &str = "\n-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
const RSA_LARGEST_EXPONENT: u64 = (1 << 33) - 1;
const USER_PRESENT: u8 = 0x01;

/// Why a signature can't be made, or doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not the armor, base64 or fields of an SSH signature.
    #[error("this is no intact SSH signature: {0}")]
    Damaged(&'static str),
    /// More than [`LARGEST_SIGNATURE`].
    #[error("the signature is {0} bytes long; the most is {LARGEST_SIGNATURE}")]
    TooLarge(usize),
    /// A signature for another purpose.
    #[error("the signature was made for namespace `{found}`, not for `{expected}`")]
    OtherNamespace {
        /// The namespace that was asked for.
        expected: String,
        /// The namespace in the signature, escaped and cut.
        found: String,
    },
    /// Intact, but not over this message by this key.
    #[error("the signature does not fit: the signed content was changed, or the signature belongs to other content")]
    Wrong,
    /// Neither right nor wrong: this version can't check it.
    #[error("cannot check the signature: {0} is not supported; sign with an ed25519 key")]
    Unsupported(String),
    /// A security key signed without a touch by its user (PROTOCOL.u2f, flag 0x01).
    #[error("the security key signed without its user's touch; sign again with a key made without `no-touch-required`")]
    UserAbsent,
    /// An RSA key file was to sign.
    #[error("cannot sign with an RSA key file; use an ed25519 key")]
    RsaKeyFile,
    /// A security key's file was to sign.
    #[error("cannot sign with a security key's file; use an ed25519 key")]
    SecurityKeyFile,
    /// The key still needs its passphrase.
    #[error("cannot sign with a key that is still locked by its passphrase")]
    Locked,
    /// The key is of another kind, or broken.
    #[error("cannot sign with this `{0}` key; use an ed25519 key")]
    CannotSign(String),
}

/// Signs a message, as `ssh-keygen -Y sign -n NAMESPACE` does: SHA-512, base64 in lines of 70 columns, one newline at the end.
///
/// # Errors
/// The key can't sign: an RSA or security key's file, a locked key, or a broken one.
pub fn sign(key: &PrivateKey, namespace: &str, message: &[u8]) -> Result<String, SealError> {
    match key.algorithm() {
        Algorithm::Rsa { .. } => return Err(SealError::RsaKeyFile),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
            return Err(SealError::SecurityKeyFile);
        }
        _ if key.is_encrypted() => return Err(SealError::Locked),
        _ => {}
    }
    key.sign(namespace, HashAlg::Sha512, message)
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(|_| SealError::CannotSign(shown(key.algorithm().as_str().as_bytes())))
}

/// Keys that are known beforehand: to read an ed25519 key costs a fifth of what it costs to check a signature with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(HashMap<Vec<u8>, KnownKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownKey {
    key: PublicKey,
    /// The point of the curve, where it is an ed25519 key.
    ed25519: Option<VerifyingKey>,
}

impl Keys {
    /// Adds a key.
    pub fn add(&mut self, key: &PublicKey) {
        let key = PublicKey::from(key.key_data().clone());
        if let Ok(blob) = key.to_bytes() {
            self.0.insert(blob, KnownKey::new(key));
        }
    }
}

impl KnownKey {
    fn new(key: PublicKey) -> Self {
        let ed25519 = key.key_data().ed25519().and_then(|key| VerifyingKey::from_bytes(&key.0).ok());
        KnownKey { key, ed25519 }
    }

    fn verify(&self, namespace: &str, hash: HashAlg, signature: Signature, message: &[u8]) -> Result<(), SealError> {
        let damaged = |_| SealError::Damaged("its fields do not fit together");
        if let Some(point) = &self.ed25519 {
            let signed = SshSig::signed_data(namespace, hash, message).map_err(damaged)?;
            return ed25519_dalek::Signature::from_slice(signature.as_bytes())
                .and_then(|signature| point.verify(&signed, &signature))
                .map_err(|_| SealError::Wrong);
        }
        let signature = SshSig::new(self.key.clone().into(), namespace, hash, signature).map_err(damaged)?;
        self.key.verify(namespace, message, &signature).map_err(|_| SealError::Wrong)
    }
}

/// Opens a signature: the key that made it, once it is proven to be over this message and namespace. Nothing is said about
/// whether that key may be trusted.
///
/// # Errors
/// Tells apart what is damaged, made for another namespace, wrong, and not supported.
pub fn open(armored: &[u8], namespace: &str, message: &[u8]) -> Result<PublicKey, SealError> {
    open_with(&Keys::default(), armored, namespace, message)
}

/// As [`open`], faster where the key is one of these.
///
/// # Errors
/// Likewise.
pub fn open_with(known: &Keys, armored: &[u8], namespace: &str, message: &[u8]) -> Result<PublicKey, SealError> {
    let blob = remove_armor(armored)?;
    let envelope = Envelope::read(&blob)?;
    if envelope.namespace != namespace.as_bytes() {
        return Err(SealError::OtherNamespace { expected: namespace.to_owned(), found: shown(envelope.namespace) });
    }
    let key = match known.0.get(envelope.key) {
        Some(key) => Cow::Borrowed(key),
        None => Cow::Owned(KnownKey::new(public_key(envelope.key)?)),
    };
    let hash = hash_algorithm(envelope.hash)?;
    let signature = read_signature(envelope.signature, &key.key)?;
    key.verify(namespace, hash, signature, message)?;
    Ok(key.into_owned().key)
}

/// A key's fingerprint as OpenSSH writes it: `SHA256:` and 43 characters of base64.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Reads a public key's binary form (RFC 4253 § 6.6, RFC 5656, PROTOCOL.u2f): exactly one spelling of each key, and only keys
/// whose signatures [`open`] can check.
///
/// # Errors
/// `Damaged`, or `Unsupported` for other kinds and sizes of keys.
pub fn public_key(blob: &[u8]) -> Result<PublicKey, SealError> {
    const BROKEN: SealError = SealError::Damaged("its public key is broken");
    let kind = Fields::new(blob).string().ok_or(BROKEN)?;
    if !is_supported_key_type(kind) {
        return Err(SealError::Unsupported(format!("key type `{}`", shown(kind))));
    }
    let key = PublicKey::from_bytes(blob).map_err(|_| BROKEN)?;
    if key.to_bytes().map_err(|_| BROKEN)? != blob {
        return Err(BROKEN);
    }
    match key.key_data() {
        KeyData::Rsa(rsa) => check_rsa(rsa).map(|()| key),
        _ => Ok(key),
    }
}

/// Whether a key type's name is one whose signatures [`open`] can check.
pub fn is_supported_key_type(name: &[u8]) -> bool {
    const NAMES: [&str; 7] = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    NAMES.iter().any(|known| known.as_bytes() == name)
}

/// The fields of a signature, unchecked.
struct Envelope<'a> {
    key: &'a [u8],
    namespace: &'a [u8],
    hash: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(blob: &'a [u8]) -> Result<Self, SealError> {
        const SHORT: SealError = SealError::Damaged("it ends too early");
        let mut fields = Fields::new(blob);
        if fields.take(MAGIC.len()) != Some(MAGIC) {
            return Err(SealError::Damaged("its content is something else"));
        }
        let version = fields.number().ok_or(SHORT)?;
        if version > VERSION {
            return Err(SealError::Unsupported(format!("signature format {version}")));
        }
        if version < VERSION {
            // ssh-keygen takes it; it is not covered by the signature, and nobody writes it
            return Err(SealError::Damaged("its version is none that there ever was"));
        }
        let key = fields.string().ok_or(SHORT)?;
        let namespace = fields.string().ok_or(SHORT)?;
        // PROTOCOL.sshsig: the reserved field is ignored, and taken as empty in what is signed
        fields.string().ok_or(SHORT)?;
        let hash = fields.string().ok_or(SHORT)?;
        let signature = fields.string().ok_or(SHORT)?;
        if !fields.is_empty() {
            return Err(SealError::Damaged("bytes follow its end"));
        }
        Ok(Envelope { key, namespace, hash, signature })
    }
}

fn remove_armor(armored: &[u8]) -> Result<Vec<u8>, SealError> {
    if armored.len() > LARGEST_SIGNATURE {
        return Err(SealError::TooLarge(armored.len()));
    }
    let text = std::str::from_utf8(armored).map_err(|_| SealError::Damaged("it is not text"))?;
    let Some(text) = text.strip_prefix(HEADER) else {
        return Err(SealError::Damaged(match text.strip_prefix(HEADER.trim_end()) {
            Some(rest) if rest.starts_with("\r\n") => "its lines end with CRLF instead of LF",
            _ => "it does not begin with `-----BEGIN SSH SIGNATURE-----`",
        }));
    };
    let Some((body, after)) = text.split_once(FOOTER) else {
        return Err(SealError::Damaged("it does not end with `-----END SSH SIGNATURE-----`"));
    };
    if !after.trim_ascii().is_empty() {
        return Err(SealError::Damaged("text follows its last line"));
    }
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let body: Vec<u8> = body.bytes().filter(|&byte| !is_blank(byte)).collect();
    STANDARD.decode(body).map_err(|_| SealError::Damaged("its base64 is broken"))
}

fn hash_algorithm(name: &[u8]) -> Result<HashAlg, SealError> {
    match name {
        b"sha256" => Ok(HashAlg::Sha256),
        b"sha512" => Ok(HashAlg::Sha512),
        other => Err(SealError::Unsupported(format!("hash `{}`", shown(other)))),
    }
}

/// Reads the inner signature: its algorithm, its data, and for security keys flags and counter (PROTOCOL.u2f).
fn read_signature(blob: &[u8], key: &PublicKey) -> Result<Signature, SealError> {
    const BROKEN: SealError = SealError::Damaged("its inner signature is broken");
    let mut fields = Fields::new(blob);
    let algorithm = signature_algorithm(fields.string().ok_or(BROKEN)?, key)?;
    let mut data = fields.string().ok_or(BROKEN)?.to_vec();
    match key.key_data() {
        KeyData::Rsa(rsa) => pad_to_modulus(&mut data, rsa).ok_or(BROKEN)?,
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            let flags_and_counter = fields.take(5).ok_or(BROKEN)?;
            if flags_and_counter[0] & USER_PRESENT == 0 {
                return Err(SealError::UserAbsent);
            }
            data.extend_from_slice(flags_and_counter);
        }
        _ => {}
    }
    if !fields.is_empty() {
        return Err(BROKEN);
    }
    Signature::new(algorithm, data).map_err(|_| BROKEN)
}

fn signature_algorithm(name: &[u8], key: &PublicKey) -> Result<Algorithm, SealError> {
    match (key.algorithm(), name) {
        (Algorithm::Rsa { .. }, b"rsa-sha2-256") => Ok(Algorithm::Rsa { hash: Some(HashAlg::Sha256) }),
        (Algorithm::Rsa { .. }, b"rsa-sha2-512") => Ok(Algorithm::Rsa { hash: Some(HashAlg::Sha512) }),
        (Algorithm::Rsa { .. }, b"ssh-rsa") => Err(SealError::Unsupported("signature algorithm `ssh-rsa` (SHA-1)".to_owned())),
        (own, name) if name == own.as_str().as_bytes() => Ok(own),
        (_, name) if is_supported_key_type(name) || name.starts_with(b"rsa-sha2-") => {
            Err(SealError::Damaged("its key and its inner signature are of different kinds"))
        }
        (_, other) => Err(SealError::Unsupported(format!("signature algorithm `{}`", shown(other)))),
    }
}

fn check_rsa(key: &RsaPublicKey) -> Result<(), SealError> {
    let modulus = key.n.as_positive_bytes().unwrap_or_default();
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(SealError::Unsupported(format!("an RSA key of {bits} bits")));
    }
    if !small_number(&key.e).is_some_and(|exponent| (2..=RSA_LARGEST_EXPONENT).contains(&exponent)) {
        return Err(SealError::Unsupported("an RSA key with this exponent".to_owned()));
    }
    Ok(())
}

fn small_number(number: &Mpint) -> Option<u64> {
    let bytes = number.as_positive_bytes()?;
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// Gives back the leading zeros that some signers leave out (RFC 8332 § 3 allows it to verifiers, OpenSSH does it).
fn pad_to_modulus(data: &mut Vec<u8>, key: &RsaPublicKey) -> Option<()> {
    let length = key.n.as_positive_bytes()?.len();
    let missing = length.checked_sub(data.len())?;
    data.splice(0..0, std::iter::repeat_n(0, missing));
    Some(())
}

/// A name from a signature, fit to be shown: at most 64 bytes of it, escaped.
fn shown(name: &[u8]) -> String {
    name[..name.len().min(64)].escape_ascii().to_string()
}
