//! OpenSSH's private key format (PROTOCOL.key): from its bytes to a key that can sign.
//!
//! The envelope is opened here, and the library gets each key unlocked and in the one spelling that it takes. Its own reader
//! stumbles over ECDSA keys whose private number is short: OpenSSH leaves leading zero bytes out, as happens to a quarter of
//! all P-521 keys and one in 512 of the others.

use super::KeyError;
use crate::core::seal::wire::Fields;
use crate::core::seal::{self, NAMESPACE_GIT};
use ssh_key::{Algorithm, Cipher, EcdsaCurve, Kdf, PrivateKey, PublicKey};
use std::io;
use zeroize::Zeroizing;

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// OpenSSH's own default is 16 to 24 rounds; far more is damage, and would take hours.
const MOST_ROUNDS: u32 = 10_000;
/// Unlocked keys are padded to multiples of this.
const BLOCK: usize = 8;
/// The largest block of any cipher.
const LARGEST_BLOCK: usize = 16;
/// The private number of a P-521 key, in bytes.
const LONGEST_NUMBER: usize = 66;
const SHORT: KeyError = KeyError::Damaged("it ends too early");
const UNFIT: KeyError = KeyError::Damaged("its fields do not fit together");

/// How a passphrase is asked for: it is called at most once, and `None` means that nobody can be asked.
pub type AskPassphrase<'a> = &'a mut dyn FnMut() -> io::Result<Option<Zeroizing<String>>>;

/// Reads a key, unlocks it where it is locked, and makes sure that it signs.
pub(super) fn read(bytes: &[u8], passphrase: AskPassphrase) -> Result<PrivateKey, KeyError> {
    let envelope = Envelope::read(bytes)?;
    let algorithm = own_algorithm(envelope.public)?;
    let key = match envelope.cipher {
        b"none" => rebuilt(envelope.public, envelope.private, &algorithm)?,
        _ => {
            let lock = Lock::read(&envelope)?;
            let passphrase = passphrase().map_err(KeyError::Passphrase)?.ok_or(KeyError::PassphraseNeeded)?;
            let private = lock.open(envelope.private, &passphrase)?;
            rebuilt(envelope.public, &private, &algorithm)?
        }
    };
    let signature = seal::sign(&key, NAMESPACE_GIT, b"").map_err(|_| UNFIT)?;
    let signer = seal::open(signature.as_bytes(), NAMESPACE_GIT, b"").map_err(|_| UNFIT)?;
    (signer.key_data() == key.public_key().key_data()).then_some(key).ok_or(UNFIT)
}

/// The public half of a private key, and whether the private one is locked.
pub(super) fn public_half(bytes: &[u8]) -> Result<(PublicKey, bool), KeyError> {
    let envelope = Envelope::read(bytes)?;
    let name = Fields::new(envelope.public).string().ok_or(SHORT)?;
    if !seal::is_supported_key_type(name) {
        return Err(KeyError::UnsupportedType(name[..name.len().min(64)].escape_ascii().to_string()));
    }
    let key = seal::public_key(envelope.public).map_err(|_| UNFIT)?;
    Ok((key, envelope.cipher != b"none"))
}

/// The fields of PROTOCOL.key § 1.
struct Envelope<'a> {
    cipher: &'a [u8],
    kdf: &'a [u8],
    kdf_options: &'a [u8],
    public: &'a [u8],
    private: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, KeyError> {
        let mut fields = Fields::new(bytes);
        if fields.take(MAGIC.len()) != Some(MAGIC) {
            return Err(KeyError::Damaged("its content is something else"));
        }
        let cipher = fields.string().ok_or(SHORT)?;
        let kdf = fields.string().ok_or(SHORT)?;
        let kdf_options = fields.string().ok_or(SHORT)?;
        if fields.number().ok_or(SHORT)? != 1 {
            return Err(KeyError::Damaged("it does not hold exactly one key"));
        }
        let public = fields.string().ok_or(SHORT)?;
        let private = fields.string().ok_or(SHORT)?;
        Ok(Envelope { cipher, kdf, kdf_options, public, private, tag: fields.rest() })
    }
}

/// The kind of key, where it can sign without an agent.
fn own_algorithm(public: &[u8]) -> Result<Algorithm, KeyError> {
    let name = Fields::new(public).string().ok_or(SHORT)?;
    let name = std::str::from_utf8(name).map_err(|_| UNFIT)?;
    match Algorithm::new(name).map_err(|_| UNFIT)? {
        own @ (Algorithm::Ed25519 | Algorithm::Ecdsa { .. }) => Ok(own),
        Algorithm::Rsa { .. } => Err(KeyError::Rsa),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => Err(KeyError::SecurityKey),
        Algorithm::Dsa => Err(KeyError::UnsupportedType("ssh-dss".to_owned())),
        _ => Err(UNFIT),
    }
}

/// What a passphrase opens.
struct Lock<'a> {
    cipher: Cipher,
    kdf: Kdf,
    tag: &'a [u8],
}

impl<'a> Lock<'a> {
    fn read(envelope: &Envelope<'a>) -> Result<Self, KeyError> {
        let cipher = match envelope.cipher {
            b"aes128-cbc" => Cipher::Aes128Cbc,
            b"aes192-cbc" => Cipher::Aes192Cbc,
            b"aes256-cbc" => Cipher::Aes256Cbc,
            b"aes128-ctr" => Cipher::Aes128Ctr,
            b"aes192-ctr" => Cipher::Aes192Ctr,
            b"aes256-ctr" => Cipher::Aes256Ctr,
            b"aes128-gcm@openssh.com" => Cipher::Aes128Gcm,
            b"aes256-gcm@openssh.com" => Cipher::Aes256Gcm,
            b"chacha20-poly1305@openssh.com" => Cipher::ChaCha20Poly1305,
            _ => return Err(KeyError::UnsupportedCipher),
        };
        if envelope.kdf != b"bcrypt" {
            return Err(KeyError::UnsupportedCipher);
        }
        let mut options = Fields::new(envelope.kdf_options);
        let salt = options.string().ok_or(SHORT)?.to_vec();
        let rounds = options.number().ok_or(SHORT)?;
        if salt.is_empty() || !(1..=MOST_ROUNDS).contains(&rounds) {
            return Err(UNFIT);
        }
        Ok(Lock { cipher, kdf: Kdf::Bcrypt { salt, rounds }, tag: envelope.tag })
    }

    fn open(&self, locked: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let tag = match self.cipher.has_tag() {
            true => Some(self.tag.try_into().map_err(|_| UNFIT)?),
            false => None,
        };
        let (key, iv) = self.kdf.derive_key_and_iv(self.cipher, passphrase).map_err(|_| KeyError::WrongPassphrase)?;
        let mut private = Zeroizing::new(locked.to_vec());
        self.cipher.decrypt(&key, &iv, &mut private, tag).map_err(|_| KeyError::WrongPassphrase)?;
        let mut numbers = Fields::new(&private);
        match (numbers.number(), numbers.number()) {
            (Some(one), Some(other)) if one == other => Ok(private),
            _ => Err(KeyError::WrongPassphrase),
        }
    }
}

/// Gives the library this key unlocked, with an ECDSA key's private number in full length.
fn rebuilt(public: &[u8], private: &[u8], algorithm: &Algorithm) -> Result<PrivateKey, KeyError> {
    let mut fields = Fields::new(private);
    // room for everything from the start: growing would leave copies of the key behind
    let mut key = Zeroizing::new(Vec::with_capacity(2 * private.len() + 2 * LONGEST_NUMBER));
    key.extend_from_slice(fields.take(8).ok_or(SHORT)?);
    // ECDSA: type, curve, point, number; ed25519: type, public key, private key
    for _ in 0..3 {
        append(&mut key, 0, fields.string().ok_or(SHORT)?);
    }
    if let Algorithm::Ecdsa { curve } = algorithm {
        let number = fields.string().ok_or(SHORT)?;
        let missing = number_length(*curve).saturating_sub(number.len());
        append(&mut key, missing, number);
    }
    let comment = String::from_utf8_lossy(fields.string().ok_or(SHORT)?);
    append(&mut key, 0, comment.as_bytes());
    let padding = fields.rest();
    if padding.len() >= LARGEST_BLOCK || !(1..).zip(padding).all(|(expected, &found): (u8, _)| expected == found) {
        return Err(UNFIT);
    }
    let missing = key.len().next_multiple_of(BLOCK) - key.len();
    key.extend((1..).take(missing));
    let mut bytes = Zeroizing::new(Vec::with_capacity(key.len() + public.len() + 64));
    bytes.extend_from_slice(MAGIC);
    append(&mut bytes, 0, b"none");
    append(&mut bytes, 0, b"none");
    append(&mut bytes, 0, b"");
    bytes.extend(1u32.to_be_bytes());
    append(&mut bytes, 0, public);
    append(&mut bytes, 0, &key);
    PrivateKey::from_bytes(&bytes).map_err(|_| UNFIT)
}

fn number_length(curve: EcdsaCurve) -> usize {
    match curve {
        EcdsaCurve::NistP256 => 32,
        EcdsaCurve::NistP384 => 48,
        EcdsaCurve::NistP521 => LONGEST_NUMBER,
    }
}

/// Appends a string (RFC 4251 § 5) of so many zero bytes and then these.
fn append(bytes: &mut Vec<u8>, zeros: usize, string: &[u8]) {
    let length = u32::try_from(zeros + string.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.resize(bytes.len() + zeros, 0);
    bytes.extend_from_slice(string);
}
