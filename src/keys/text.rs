//! From whatever text a key came as to the bytes of OpenSSH's format. Pure.
//!
//! Base64 and armor hold no blanks that matter, so all of them go before anything is compared: lost, doubled and foreign line
//! ends need no guessing.

use super::KeyError;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Armor, without blanks.
const BEGIN: &str = "-----BEGINOPENSSHPRIVATEKEY-----";
const END_OF_ANY: &str = "-----END";
const END_OF_OURS: &str = "OPENSSHPRIVATEKEY-----";
const PUTTY: &str = "PuTTY-User-Key-File";
/// How base64 of any armor begins, and how base64 of an OpenSSH private key's bytes begins.
const BASE64_OF_ARMOR: &str = "LS0tLS1CRUdJTi";
const BASE64_OF_BYTES: &str = "b3BlbnNzaC1rZXktdjE";
/// Shorter texts of base64's characters are taken for file names; the shortest key has over 500.
const SHORTEST_BASE64: usize = 300;

const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Takes byte order marks, blanks and quotes off both ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || "\u{feff}\"'`".contains(character))
}

/// Whether a value is meant as a key, in whichever form, and not as a path.
pub(super) fn is_meant_as_key(text: &str) -> bool {
    text.contains(['\n', '\r'])
        || is_armored(text)
        || text.starts_with(PUTTY)
        || is_public_key(text)
        || text.starts_with(BASE64_OF_ARMOR)
        || text.starts_with(BASE64_OF_BYTES)
        || (text.len() >= SHORTEST_BASE64 && !text.starts_with(['/', '.', '~']) && is_base64(text))
}

/// Whether a path may be shown. A value that was meant as a key, but is too damaged to be seen as one, must not be.
pub(super) fn is_harmless_path(value: &str) -> bool {
    let is_key_like = |word: &str| {
        word.len() >= 20
            && word.contains(|character: char| character.is_ascii_uppercase())
            && word.contains(|character: char| character.is_ascii_lowercase())
            && word.contains(|character: char| character.is_ascii_digit())
    };
    let is_private = |word: &str| word.starts_with("b3Blbn") || word.starts_with("LS0tLS");
    value.len() <= 255
        && !value.contains("PRIVATE KEY")
        && !value.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| is_key_like(word) || is_private(word))
}

/// The bytes of the OpenSSH private key in this text: armored, as base64 of the armor, or as the armor's content alone.
pub(super) fn private_key_bytes(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = trimmed(text);
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if let Some(bytes) = from_plain(text) {
        return bytes;
    }
    let compact = without_blanks(text);
    let is_whole = compact.starts_with(BASE64_OF_BYTES);
    let is_meant = is_whole || compact.starts_with(BASE64_OF_ARMOR);
    if !is_meant && (compact.len() < SHORTEST_BASE64 || !is_base64(&compact)) {
        return Err(KeyError::NotAKey(text.chars().count()));
    }
    if !is_base64(&compact) {
        return Err(KeyError::NotBase64("it holds characters that base64 does not have"));
    }
    let bytes = decoded(&compact).ok_or(KeyError::NotBase64("it is cut off or damaged"))?;
    if is_whole {
        return Ok(bytes);
    }
    std::str::from_utf8(&bytes)
        .ok()
        .and_then(|inner| from_plain(trimmed(inner)))
        .unwrap_or(Err(KeyError::NotBase64("it holds something else")))
}

/// Reads what is known by its beginning; `None` for anything else.
fn from_plain(text: &str) -> Option<Result<Zeroizing<Vec<u8>>, KeyError>> {
    if is_armored(text) {
        Some(remove_armor(text))
    } else if is_public_key(text) {
        Some(Err(KeyError::PublicKey))
    } else if text.starts_with(PUTTY) {
        Some(Err(KeyError::Putty))
    } else {
        None
    }
}

fn is_armored(text: &str) -> bool {
    text.contains("-----BEGIN") || text.starts_with("---- BEGIN")
}

/// Whether a text begins as a public key does.
pub(super) fn is_public_key(text: &str) -> bool {
    let kinds = ["ssh-ed25519 ", "ssh-rsa ", "ssh-dss ", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    kinds.iter().any(|kind| text.starts_with(kind)) && text.contains(" AAAA")
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
}

/// The text without blanks and line ends, be they real or written as `\n` and `\r`.
fn without_blanks(text: &str) -> Zeroizing<String> {
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\' && characters.next_if(|&next| next == 'n' || next == 'r').is_some() {
            continue;
        }
        if !character.is_whitespace() && character != '\u{feff}' {
            compact.push(character);
        }
    }
    compact
}

fn remove_armor(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let compact = without_blanks(text);
    let Some(body) = compact.strip_prefix(BEGIN) else {
        return Err(other_armor(&compact));
    };
    let (body, after) = body.split_once(END_OF_ANY).ok_or(KeyError::Damaged("its end is missing"))?;
    if after != END_OF_OURS {
        return Err(KeyError::Damaged(match after.contains("-----BEGIN") {
            true => "there is more than one key",
            false => "its last line is not `-----END OPENSSH PRIVATE KEY-----`",
        }));
    }
    if !body.starts_with(BASE64_OF_BYTES) {
        return Err(KeyError::Damaged("its beginning is missing"));
    }
    decoded(body).ok_or(KeyError::Damaged("a part is missing, or characters were changed"))
}

fn other_armor(compact: &str) -> KeyError {
    const ARMORS: [(&str, KeyError); 9] = [
        ("-----BEGINRSAPRIVATEKEY-----", KeyError::OtherFormat("PEM")),
        ("-----BEGINECPRIVATEKEY-----", KeyError::OtherFormat("PEM")),
        ("-----BEGINECPARAMETERS-----", KeyError::OtherFormat("PEM")),
        ("-----BEGINDSAPRIVATEKEY-----", KeyError::OtherFormat("PEM")),
        ("-----BEGINPRIVATEKEY-----", KeyError::OtherFormat("PKCS#8")),
        ("-----BEGINENCRYPTEDPRIVATEKEY-----", KeyError::OtherFormat("PKCS#8")),
        ("-----BEGINSSHSIGNATURE-----", KeyError::OtherArmor("a signature")),
        ("-----BEGINCERTIFICATE-----", KeyError::OtherArmor("a certificate")),
        ("-----BEGINPGP", KeyError::OtherArmor("something of OpenPGP's")),
    ];
    let public = ["----BEGINSSH2PUBLICKEY----", "-----BEGINPUBLICKEY-----", "-----BEGINRSAPUBLICKEY-----"];
    if public.iter().any(|start| compact.starts_with(start)) {
        return KeyError::PublicKey;
    }
    if let Some((_, error)) = ARMORS.into_iter().find(|(start, _)| compact.starts_with(start)) {
        return error;
    }
    match compact.starts_with("-----BEGIN") {
        true => KeyError::OtherArmor("something else in armor"),
        false => KeyError::Damaged("there is text before `-----BEGIN`"),
    }
}

/// Decodes base64 of either alphabet, with or without padding.
fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let byte = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let standard: Zeroizing<Vec<u8>> = Zeroizing::new(text.bytes().map(byte).collect());
    LENIENT.decode(&*standard).ok().map(Zeroizing::new)
}
