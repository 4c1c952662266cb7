//! Reading a signing key from wherever it is: a file, a variable's text, a variable's base64.

use super::openssh::{self, AskPassphrase};
use super::{KeyError, text};
use ssh_key::PrivateKey;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The most that is read of a key file, in bytes.
const LARGEST_KEY: usize = 64 * 1024;

/// Who may read a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// Its owner alone, as ssh demands it.
    OwnerOnly,
    /// Anyone: for the file variables of a CI job, whose mode is the runner's choice.
    Any,
}

/// Reads a private key that can sign. `source` is a path, the key's own text, or base64 of it (either alphabet, padded or
/// not). The passphrase is asked for at most once, and only where the key is locked.
///
/// # Errors
/// What is wrong with the source, and what to give instead; never any part of a key.
pub fn load(source: &str, mode: FileMode, passphrase: AskPassphrase) -> Result<PrivateKey, KeyError> {
    let (content, file) = read_source(text::trimmed(source), mode)?;
    openssh::read(&private_key_of(&content, file.as_deref())?, passphrase)
}

/// The text that a trimmed value is, or that of the file that it names.
pub(super) fn read_source(value: &str, mode: FileMode) -> Result<(Zeroizing<Vec<u8>>, Option<PathBuf>), KeyError> {
    if value.is_empty() {
        return Err(KeyError::Empty);
    }
    if text::is_meant_as_key(value) {
        return Ok((Zeroizing::new(value.as_bytes().to_vec()), None));
    }
    let (content, metadata) = read_file(value)?;
    let is_public = std::str::from_utf8(&content).is_ok_and(|content| text::is_public_key(text::trimmed(content)));
    if mode == FileMode::OwnerOnly && !is_public && looks_private(&content) {
        check_owner_only(Path::new(value), &metadata)?;
    }
    Ok((content, Some(value.into())))
}

/// Who may read a file that is no key does not matter: that it is none does.
fn looks_private(content: &[u8]) -> bool {
    std::str::from_utf8(content).is_ok_and(|content| text::private_key_bytes(content).is_ok())
}

/// The bytes of the private key in a text.
pub(super) fn private_key_of(content: &[u8], file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let bytes = std::str::from_utf8(content).map_err(|_| KeyError::NotAKey(content.len())).and_then(text::private_key_bytes);
    bytes.map_err(|error| match (error, file) {
        (KeyError::NotAKey(_), Some(file)) => KeyError::NotAKeyFile(file.to_owned()),
        (other, _) => other,
    })
}

fn read_file(value: &str) -> Result<(Zeroizing<Vec<u8>>, Metadata), KeyError> {
    let path = Path::new(value);
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => KeyError::Unreadable { path: path.to_owned(), source },
        _ if !text::is_harmless_path(value) => KeyError::NotAKey(value.chars().count()),
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => KeyError::Unreadable { path: path.to_owned(), source },
    };
    // asked before it is opened: a pipe that nobody writes to would be waited for
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(KeyError::Directory(path.to_owned()));
    }
    if !metadata.is_file() {
        return Err(KeyError::NotAKeyFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut content = Zeroizing::new(Vec::with_capacity(LARGEST_KEY + 1));
    file.take(LARGEST_KEY as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > LARGEST_KEY {
        return Err(KeyError::TooLarge(LARGEST_KEY));
    }
    Ok((content, metadata))
}

#[cfg(unix)]
fn check_owner_only(path: &Path, metadata: &Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = metadata.mode() & 0o7777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(KeyError::Unprotected { path: path.to_owned(), mode }),
    }
}

#[cfg(not(unix))]
fn check_owner_only(_path: &Path, _metadata: &Metadata) -> Result<(), KeyError> {
    Ok(())
}
