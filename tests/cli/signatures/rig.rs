//! The real `ssh-keygen` in a folder of its own, and the two verdicts side by side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use deploy_record::core::seal::{self, NAMESPACE_RECORD};
use deploy_record::core::trust::AllowedSigners;
use deploy_record::keys::{self, FileMode, KeyError};
use ssh_key::{PrivateKey, PublicKey};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// What most signatures here are about.
pub const MESSAGE: &[u8] = b"{\n  \"schema\": \"deploy-record/v1\"\n}\n";
/// The options of a line that allows everything.
pub const OPTIONS: &str = "namespaces=\"git,deploy-record,deploy-record-spool\"";
/// The first line of the armor.
pub const HEADER: &str = "-----BEGIN SSH SIGNATURE-----\n";
/// The last line of the armor.
pub const FOOTER: &str = "-----END SSH SIGNATURE-----\n";

/// A folder with keys, and `ssh-keygen` in it.
pub struct Rig {
    folder: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        Rig { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Runs `ssh-keygen` in the folder; whether it succeeded is in the output.
    pub fn try_ssh_keygen(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("DISPLAY")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run ssh-keygen ({error}): apt-get install openssh-client"));
        // it may end without reading
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
        child.wait_with_output().expect("its output")
    }

    /// Runs `ssh-keygen`, which must succeed; what it prints.
    pub fn ssh_keygen(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.try_ssh_keygen(arguments, input);
        assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Has `ssh-keygen` make a key file of this name, with further arguments.
    pub fn make_key(&self, name: &str, arguments: &[&str]) {
        self.ssh_keygen(&[&["-q", "-N", "", "-C", "a comment", "-f", name], arguments].concat(), b"");
    }

    /// Has `ssh-keygen` sign.
    pub fn sign(&self, name: &str, namespace: &str, message: &[u8]) -> Vec<u8> {
        self.ssh_keygen(&["-Y", "sign", "-f", name, "-n", namespace], message)
    }

    pub fn public_key(&self, name: &str) -> PublicKey {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).expect("a public key");
        PublicKey::from_openssh(&text).expect("a public key")
    }

    /// Type and base64 of a public key.
    pub fn public_text(&self, name: &str) -> String {
        PublicKey::from(self.public_key(name).key_data().clone()).to_openssh().expect("text")
    }

    pub fn load(&self, name: &str, passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
        let path = self.path(name);
        keys::load(path.to_str().expect("text"), FileMode::OwnerOnly, &mut || {
            Ok(passphrase.map(|text| Zeroizing::new(text.to_owned())))
        })
    }
}

/// A question for both: does this signature count?
#[derive(Clone)]
pub struct Question {
    pub allowed: String,
    pub principal: String,
    pub namespace: String,
    pub at: DateTime<Utc>,
    pub signature: Vec<u8>,
    pub message: Vec<u8>,
}

/// What both are to say.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// Both accept.
    Good,
    /// Both refuse; a part of what we say.
    Bad(&'static str),
    /// ssh-keygen accepts, we refuse on purpose; a part of what we say.
    Stricter(&'static str),
}

impl Question {
    /// What `ssh-keygen -Y verify` says.
    pub fn theirs(&self, rig: &Rig) -> bool {
        rig.write("allowed", self.allowed.as_bytes());
        rig.write("signature", &self.signature);
        let time = format!("verify-time={}", self.at.format("%Y%m%d%H%M%SZ"));
        let (principal, namespace) = (self.principal.as_str(), self.namespace.as_str());
        let arguments = ["-Y", "verify", "-O", &time, "-f", "allowed", "-I", principal, "-n", namespace, "-s", "signature"];
        rig.try_ssh_keygen(&arguments, &self.message).status.success()
    }

    /// What we say.
    pub fn ours(&self) -> Result<(), String> {
        let signers = AllowedSigners::parse(&self.allowed).map_err(|error| error.to_string())?;
        let key = seal::open(&self.signature, &self.namespace, &self.message).map_err(|error| error.to_string())?;
        signers.check(&self.principal, &key, &self.namespace, self.at).map_err(|error| error.to_string())
    }

    /// Asks both and compares.
    pub fn ask(&self, rig: &Rig, name: &str, verdict: Verdict) {
        let (theirs, ours) = (self.theirs(rig), self.ours());
        match (verdict, theirs, &ours) {
            (Verdict::Good, true, Ok(())) => {}
            (Verdict::Bad(part), false, Err(error)) | (Verdict::Stricter(part), true, Err(error)) if error.contains(part) => {}
            _ => panic!("{name}: expected {verdict:?}; ssh-keygen accepts: {theirs}; we say {ours:?}"),
        }
    }
}

/// A moment from its RFC 3339 text.
pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// A good question: alice's signature over the message, by the key in the file `key`.
pub fn good_question(rig: &Rig) -> Question {
    Question {
        allowed: format!("alice {OPTIONS} {}\n", rig.public_text("key")),
        principal: "alice".to_owned(),
        namespace: NAMESPACE_RECORD.to_owned(),
        at: time("2026-01-15T12:00:00Z"),
        signature: rig.sign("key", NAMESPACE_RECORD, MESSAGE),
        message: MESSAGE.to_vec(),
    }
}

/// The question whether `ci:main` signed this message with this key, which the trust root allows.
pub fn question_of(key: &PublicKey, namespace: &str, signature: &str, message: &[u8]) -> Question {
    Question {
        allowed: format!("ci:main {OPTIONS} {}\n", PublicKey::from(key.key_data().clone()).to_openssh().expect("text")),
        principal: "ci:main".to_owned(),
        namespace: namespace.to_owned(),
        at: time("2026-01-15T12:00:00Z"),
        signature: signature.as_bytes().to_vec(),
        message: message.to_vec(),
    }
}

/// The bytes in a signature's armor.
pub fn blob_of(signature: &str) -> Vec<u8> {
    let body = signature.strip_prefix(HEADER).and_then(|rest| rest.strip_suffix(FOOTER)).expect("armor");
    STANDARD.decode(body.replace('\n', "")).expect("base64")
}

/// Puts bytes into armor, on one line.
pub fn armored(blob: &[u8]) -> String {
    format!("{HEADER}{}\n{FOOTER}", STANDARD.encode(blob))
}

/// The signature with one piece of its bytes replaced by another of any length, without mending the lengths around.
pub fn patched(signature: &str, from: &[u8], to: &[u8]) -> String {
    let blob = blob_of(signature);
    let at = blob.windows(from.len()).rposition(|window| window == from).expect("the piece");
    armored(&[&blob[..at], to, &blob[at + from.len()..]].concat())
}
