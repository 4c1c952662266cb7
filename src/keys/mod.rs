//! Signing keys: finding, reading, making and storing them.
//!
//! A key comes as a file, as its own text, or as base64 of that text on one line (a masked CI variable). What a variable does
//! to line ends is repaired where only one reading is possible; everything else is explained. Only OpenSSH's own format
//! (PROTOCOL.key) is read, and only keys that can sign by themselves. No error and no debug output holds any part of a key.

mod agent;
mod generate;
mod load;
mod look;
mod openssh;
mod signing;
#[cfg(test)]
mod tests;
mod text;

pub use agent::Agent;
pub use generate::{generate, one_line, write_new};
pub use load::{FileMode, load};
pub use look::{Found, look};
pub use openssh::AskPassphrase;
pub use signing::{Notice, SigningKey};

use crate::core::escape::shell_quoted;
use std::io;
use std::path::PathBuf;

/// Whether a value is a key itself, in whichever form, and not the path of one.
pub fn is_text(value: &str) -> bool {
    text::is_meant_as_key(text::trimmed(value)) || !text::is_harmless_path(value)
}

/// Why a key can't be read, made or stored.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nothing but blanks.
    #[error("the key is empty; give a key file's path, the key's text, or its base64")]
    Empty,
    /// Neither a file nor anything like a key. The value itself is not shown: it may be a part of one.
    #[error("the key ({0} characters) is neither the path of a file nor an OpenSSH private key nor base64 of one")]
    NotAKey(usize),
    /// A file of something else.
    #[error("the file `{0}` holds no OpenSSH private key; give another file, or make a key with `deploy-record keygen`")]
    NotAKeyFile(PathBuf),
    /// No such file.
    #[error("the key file `{0}` does not exist; check the path, or make a key with `deploy-record keygen`")]
    Missing(PathBuf),
    /// A folder.
    #[error("the key `{0}` is a directory; give the path of the key file in it")]
    Directory(PathBuf),
    /// The system refuses to read it.
    #[error("cannot read the key file `{path}`: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the key file `{path}` is open to other users (mode {mode:04o}); run `chmod 600 {quoted}`", quoted = shell_quoted(&.path.display().to_string()))]
    Unprotected {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Far more than a key.
    #[error("the key is longer than {0} bytes; no key is")]
    TooLarge(usize),
    /// The public half.
    #[error("this is a public key; give the private key: the file without `.pub`")]
    PublicKey,
    /// A private key in another format.
    #[error(
        "this is a key in {0} format; convert a copy with `ssh-keygen -p -f KEY`, or make an ed25519 key with `deploy-record keygen`"
    )]
    OtherFormat(&'static str),
    /// A PuTTY key.
    #[error("this is a PuTTY key; export it with `puttygen KEY.ppk -O private-openssh-new -o KEY`")]
    Putty,
    /// Something else in armor.
    #[error("this is no private key but {0}; give an OpenSSH private key")]
    OtherArmor(&'static str),
    /// Base64 that is damaged, or of something else.
    #[error("this looks like base64 of a key, but {0}; make it again with `base64 -w0 KEY`")]
    NotBase64(&'static str),
    /// An OpenSSH private key that is damaged beyond repair.
    #[error("the OpenSSH private key is damaged: {0}; copy the whole file again, best as base64 (`base64 -w0 KEY`)")]
    Damaged(&'static str),
    /// A kind of key that can't sign here.
    #[error("the key is an RSA key, which signs only through an SSH agent: add it with `ssh-add`, or use an ed25519 key")]
    Rsa,
    /// A FIDO key.
    #[error("the key belongs to a security key (`sk-`): give the path of its file, or add it to an SSH agent with `ssh-add`")]
    SecurityKey,
    /// Something after `key::` that is no public key.
    #[error("what follows `key::` is no public key")]
    NotAPublicKey,
    /// Only the public half is at hand.
    #[error("no private key is at hand for the public key {0}: add it to the SSH agent with `ssh-add`, or give its file")]
    OnlyPublic(String),
    /// The agent can't be asked, or makes no sense.
    #[error("the SSH agent (SSH_AUTH_SOCK) can't be used: {0}")]
    Agent(String),
    /// The agent says no.
    #[error("the SSH agent does not sign with the key {0}: see `ssh-add -l`; it may be locked, or wait for a confirmation")]
    AgentRefuses(String),
    /// `ssh-keygen` does not sign with a security key.
    #[error("`ssh-keygen -Y sign` does not sign: {0}")]
    Keygen(String),
    /// A signature can't be made, or does not hold.
    #[error("can't sign: {0}")]
    Sign(String),
    /// Another kind of key.
    #[error("keys of type `{0}` are not supported; use an ed25519 key")]
    UnsupportedType(String),
    /// A cipher that isn't known.
    #[error("the key is locked with a cipher that is not supported; lock it anew with `ssh-keygen -p -Z aes256-ctr -f KEY`")]
    UnsupportedCipher,
    /// The key is locked and nobody gave a passphrase.
    #[error(
        "the key is locked by a passphrase, and none was given; give it as DEPLOY_RECORD_KEY_PASSPHRASE, or run where it can be asked for"
    )]
    PassphraseNeeded,
    /// It doesn't open the key.
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// Asking for it failed.
    #[error("cannot ask for the key's passphrase: {0}")]
    Passphrase(#[source] io::Error),
    /// A new key with an empty passphrase.
    #[error("the new key's passphrase is empty; give one, or ask for a key without")]
    EmptyPassphrase,
    /// The comment doesn't fit on a line.
    #[error("the key's comment holds a line end or control character; use one line of text")]
    Comment,
    /// The system has no randomness.
    #[error("cannot make a key: the system gives no random numbers ({0})")]
    Random(getrandom::Error),
    /// A file that is never overwritten.
    #[error("`{0}` exists already and is not overwritten; choose another path")]
    Exists(PathBuf),
    /// Writing failed.
    #[error("cannot write the key file `{path}`: {source}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A key that can't be encoded.
    #[error("the key cannot be written in OpenSSH's format")]
    Unencodable,
}
