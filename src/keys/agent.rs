//! An SSH agent (draft-ietf-sshm-ssh-agent): which keys it holds, and signing with one of them.
//!
//! It is asked over its socket, within a time limit, and nothing that it says is believed: a signature counts once it was
//! checked against the key.

use super::KeyError;
use crate::core::seal::{self, wire::Fields};
use ssh_key::{Algorithm, PublicKey};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an agent may take to list its keys.
const LONGEST_LIST: Duration = Duration::from_secs(10);
/// The most that an answer may hold, in bytes: OpenSSH's own limit.
const LARGEST_ANSWER: usize = 256 * 1024;
/// The most keys that are looked at.
const MOST_KEYS: u32 = 2048;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// RSA signs with SHA-512, not with SHA-1.
const RSA_SHA2_512: u32 = 4;

/// An agent, by its socket.
#[derive(Debug, Clone)]
pub struct Agent {
    socket: PathBuf,
    patience: Duration,
}

impl Agent {
    /// The agent behind this socket; a signature may take so long, since a person may have to confirm it.
    pub fn new(socket: PathBuf, patience: Duration) -> Self {
        Agent { socket, patience }
    }

    /// The keys that it holds, but for kinds that can't be checked here, such as certificates.
    ///
    /// # Errors
    /// Where it does not answer, or nonsense.
    pub fn keys(&self) -> Result<Vec<PublicKey>, KeyError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], LONGEST_LIST)?;
        let mut fields = Fields::new(&answer);
        if fields.take(1) != Some(&[IDENTITIES_ANSWER]) {
            return Err(KeyError::Agent("it does not tell which keys it holds".to_owned()));
        }
        let nonsense = || KeyError::Agent("its answer makes no sense".to_owned());
        let count = fields.number().ok_or_else(nonsense)?;
        let mut keys = Vec::new();
        for _ in 0..count.min(MOST_KEYS) {
            let (key, _comment) = (fields.string().ok_or_else(nonsense)?, fields.string().ok_or_else(nonsense)?);
            keys.extend(seal::public_key(key));
        }
        Ok(keys)
    }

    /// Whether it holds this key.
    pub fn holds(&self, key: &PublicKey) -> bool {
        self.keys().is_ok_and(|keys| keys.iter().any(|held| held.key_data() == key.key_data()))
    }

    /// The bytes of a signature over these, unchecked.
    pub(super) fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        let flags = if matches!(key.algorithm(), Algorithm::Rsa { .. }) { RSA_SHA2_512 } else { 0 };
        let mut request = vec![SIGN_REQUEST];
        for part in [&key.to_bytes().map_err(|_| KeyError::Unencodable)?, data] {
            request.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            request.extend(part);
        }
        request.extend(flags.to_be_bytes());
        let answer = self.ask(&request, self.patience)?;
        let mut fields = Fields::new(&answer);
        match (fields.take(1), fields.string()) {
            (Some(&[SIGN_RESPONSE]), Some(signature)) if fields.is_empty() => Ok(signature.to_vec()),
            (Some(&[FAILURE]), _) => Err(KeyError::AgentRefuses(seal::fingerprint(key))),
            _ => Err(KeyError::Agent("its answer makes no sense".to_owned())),
        }
    }

    fn ask(&self, request: &[u8], limit: Duration) -> Result<Vec<u8>, KeyError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => KeyError::Agent("it does not answer in time".to_owned()),
            _ => KeyError::Agent(error.to_string()),
        };
        let end = Instant::now() + limit;
        let mut stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream.set_write_timeout(Some(limit)).map_err(failed)?;
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        stream.write_all(&[&length.to_be_bytes(), request].concat()).map_err(failed)?;
        let length = read_exactly(&mut stream, 4, end).map_err(failed)?;
        let length = Fields::new(&length).number().and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        if length == 0 || length > LARGEST_ANSWER {
            return Err(KeyError::Agent("its answer makes no sense".to_owned()));
        }
        read_exactly(&mut stream, length, end).map_err(failed)
    }
}

/// Reads so many bytes; the limit is for all of them together.
fn read_exactly(stream: &mut UnixStream, count: usize, end: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hangs up")),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
