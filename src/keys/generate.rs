//! Making and storing signing keys.

use super::KeyError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{Cipher, Kdf, LineEnding, PrivateKey};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Rounds of bcrypt that guard a passphrase, as `ssh-keygen` has them.
const ROUNDS: u32 = 16;

/// Makes an ed25519 key from the system's random numbers.
///
/// # Errors
/// The system has none, or the comment holds a line end or control character.
pub fn generate(comment: &str) -> Result<PrivateKey, KeyError> {
    if comment.chars().any(char::is_control) {
        return Err(KeyError::Comment);
    }
    let seed = Zeroizing::new(random::<32>()?);
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, comment).map_err(|_| KeyError::Unencodable)
}

/// Writes a key to a new file (mode 0600), locked where there is a passphrase, and its public half beside it (`.pub`, mode
/// 0644). Nothing is ever overwritten, and each file appears complete or not at all.
///
/// # Errors
/// One of the two files exists, or can't be written; then neither is left behind.
pub fn write_new(path: &Path, key: &PrivateKey, passphrase: Option<&str>) -> Result<(), KeyError> {
    let public_path = public_path(path);
    for path in [path, &public_path] {
        if path.symlink_metadata().is_ok() {
            return Err(KeyError::Exists(path.to_owned()));
        }
    }
    let locked = passphrase.map(|passphrase| lock(key, passphrase)).transpose()?;
    let private_text = locked.as_ref().unwrap_or(key).to_openssh(LineEnding::LF).map_err(|_| KeyError::Unencodable)?;
    let public_text = key.public_key().to_openssh().map_err(|_| KeyError::Unencodable)?;
    let private = prepare(path, private_text.as_bytes())?;
    let public = prepare(&public_path, format!("{public_text}\n").as_bytes())?;
    set_mode(&public, 0o644).map_err(|error| unwritable(&public_path, error))?;
    put_in_place(private, path)?;
    put_in_place(public, &public_path).inspect_err(|_| {
        // the first error is the one to tell
        let _ = std::fs::remove_file(path);
    })
}

/// The key as base64 on one line, which is what GitLab can mask in a variable: no blanks, one line, only base64's characters.
///
/// # Errors
/// The key can't be encoded.
pub fn one_line(key: &PrivateKey) -> Result<Zeroizing<String>, KeyError> {
    let text = key.to_openssh(LineEnding::LF).map_err(|_| KeyError::Unencodable)?;
    Ok(Zeroizing::new(STANDARD.encode(text.as_bytes())))
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], KeyError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

fn lock(key: &PrivateKey, passphrase: &str) -> Result<PrivateKey, KeyError> {
    if passphrase.is_empty() {
        return Err(KeyError::EmptyPassphrase);
    }
    let kdf = Kdf::Bcrypt { salt: random::<16>()?.to_vec(), rounds: ROUNDS };
    let check = u32::from_be_bytes(random()?);
    key.encrypt_with(Cipher::Aes256Ctr, kdf, check, passphrase).map_err(|_| KeyError::Unencodable)
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

/// Writes a file (mode 0600) beside the place where it is to stand; it goes away by itself until it is put there.
fn prepare(path: &Path, content: &[u8]) -> Result<NamedTempFile, KeyError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error| unwritable(path, error))
}

fn put_in_place(file: NamedTempFile, path: &Path) -> Result<(), KeyError> {
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Err(KeyError::Exists(path.to_owned())),
        Err(failed) => Err(unwritable(path, failed.error)),
    }
}

#[cfg(unix)]
fn set_mode(file: &NamedTempFile, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_file: &NamedTempFile, _mode: u32) -> io::Result<()> {
    Ok(())
}

fn unwritable(path: &Path, source: io::Error) -> KeyError {
    KeyError::Unwritable { path: path.to_owned(), source }
}
