//! A key that signs: one whose private half is here, one that an agent holds, or one on a security key.

use super::KeyError;
use super::agent::Agent;
use crate::child;
use crate::core::seal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey, SshSig};
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How long a person may take to touch a security key, or to type its PIN.
const LONGEST_TOUCH: Duration = Duration::from_secs(120);

/// Told what the person has to do.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    public: PublicKey,
    way: Way,
    notice: Option<Notice>,
}

#[derive(Clone)]
enum Way {
    Here(Arc<PrivateKey>),
    Agent(Agent),
    Keygen(PathBuf, &'static [&'static str]),
}

impl From<PrivateKey> for SigningKey {
    /// The key must be unlocked.
    fn from(key: PrivateKey) -> Self {
        SigningKey { public: key.public_key().clone(), way: Way::Here(Arc::new(key)), notice: None }
    }
}

impl SigningKey {
    /// A key that an agent holds.
    pub fn of_agent(public: PublicKey, agent: Agent, notice: Notice) -> Self {
        SigningKey { public, way: Way::Agent(agent), notice: Some(notice) }
    }

    /// A security key's file, with which only `ssh-keygen` can sign; it does not get the `hidden` variables.
    pub fn of_security_key(public: PublicKey, file: PathBuf, hidden: &'static [&'static str], notice: Notice) -> Self {
        SigningKey { public, way: Way::Keygen(file, hidden), notice: Some(notice) }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Whether it is on a security key, so that each signature costs a person a touch.
    pub fn wants_touch(&self) -> bool {
        matches!(self.public.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
    }

    /// Signs; gives the armored signature, which was checked.
    ///
    /// # Errors
    /// Where the key, the agent or the security key does not sign.
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, KeyError> {
        if let Some(notice) = self.notice.as_ref().filter(|_| self.wants_touch()) {
            let what = match namespace {
                seal::NAMESPACE_GIT => "commit",
                seal::NAMESPACE_SPOOL => "claim that waits in the spool",
                _ => "record",
            };
            notice(&format!("touch your security key to sign the {what}"));
        }
        let armored = match &self.way {
            Way::Here(key) => return seal::sign(key, namespace, message).map_err(|error| KeyError::Sign(error.to_string())),
            Way::Agent(agent) => {
                let data = SshSig::signed_data(namespace, HashAlg::Sha512, message).map_err(|_| KeyError::Unencodable)?;
                armored(&self.public, namespace, &agent.sign(&self.public, &data)?)?
            }
            Way::Keygen(file, hidden) => signed_by_keygen(file, hidden, namespace, message)?,
        };
        match seal::open(armored.as_bytes(), namespace, message) {
            Ok(key) if key.key_data() == self.public.key_data() => Ok(armored),
            Ok(_) => Err(KeyError::Sign("another key signed than the one that was meant".to_owned())),
            Err(error) => Err(KeyError::Sign(error.to_string())),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "SigningKey({})", seal::fingerprint(&self.public))
    }
}

fn signed_by_keygen(file: &PathBuf, hidden: &[&str], namespace: &str, message: &[u8]) -> Result<String, KeyError> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", namespace, "-f"]).arg(file);
    for name in hidden {
        command.env_remove(name);
    }
    let output = child::run(&mut command, message, seal::LARGEST_SIGNATURE, LONGEST_TOUCH)
        .map_err(|error| KeyError::Keygen(error.to_string()))?;
    match String::from_utf8(output.stdout.to_vec()) {
        Ok(armored) if output.is_success => Ok(armored),
        _ => Err(KeyError::Keygen(output.remarks)),
    }
}

/// An SSH signature (PROTOCOL.sshsig) around what an agent gave.
fn armored(key: &PublicKey, namespace: &str, signature: &[u8]) -> Result<String, KeyError> {
    let key = key.to_bytes().map_err(|_| KeyError::Unencodable)?;
    let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
    for part in [&key, namespace.as_bytes(), b"", b"sha512", signature] {
        blob.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        blob.extend(part);
    }
    let text = STANDARD.encode(blob);
    let lines: Vec<_> = text.as_bytes().chunks(70).map(String::from_utf8_lossy).collect();
    Ok(format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n")))
}
