//! SSH agents for tests: the real one, and stand-ins that hold a security key or misbehave.

use deploy_record::core::seal::wire::Fields;
use sha2::{Digest as _, Sha256};
use signature::Signer as _;
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData, SkEd25519};
use ssh_key::public::{KeyData, SkEcdsaSha2NistP256};
use ssh_key::{EcdsaCurve, LineEnding, PrivateKey, PublicKey};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

/// OpenSSH's own agent; it ends when dropped.
pub struct RealAgent {
    socket: PathBuf,
    agent: Child,
}

impl RealAgent {
    /// Starts it at this socket.
    pub fn start(socket: &Path) -> RealAgent {
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(socket).stdin(Stdio::null()).stdout(Stdio::null());
        let agent = command.spawn().unwrap_or_else(|error| panic!("can't run ssh-agent: {error}; install openssh-client"));
        while !socket.exists() {
            sleep(Duration::from_millis(10));
        }
        RealAgent { socket: socket.to_owned(), agent }
    }

    /// Runs `ssh-add`; `secret` is what it asks for.
    pub fn add(&self, arguments: &[&str], secret: &str) {
        let ask = self.socket.with_extension("ask");
        super::env::write_script(&ask, &format!("echo '{secret}'"));
        let mut command = Command::new("ssh-add");
        command.args(arguments).env("SSH_AUTH_SOCK", &self.socket);
        command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
        let output = command.output().expect("ssh-add");
        assert!(output.status.success(), "ssh-add: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        self.agent.kill().ok();
        self.agent.wait().ok();
    }
}

/// What stands in for a security key: it signs as one does (PROTOCOL.u2f), without being touched.
pub enum SecurityKey {
    Ed25519(Ed25519Keypair),
    Ecdsa(EcdsaKeypair),
}

const APPLICATION: &str = "ssh:";

impl SecurityKey {
    pub fn ed25519() -> SecurityKey {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("random bytes");
        SecurityKey::Ed25519(Ed25519Keypair::from_seed(&seed))
    }

    /// With an ECDSA key that `ssh-keygen` made.
    pub fn ecdsa(file: &Path) -> SecurityKey {
        let key = PrivateKey::read_openssh_file(file).expect("a key");
        let pair = key.key_data().ecdsa().expect("an ECDSA key").clone();
        assert_eq!(pair.curve(), EcdsaCurve::NistP256);
        SecurityKey::Ecdsa(pair)
    }

    pub fn public(&self) -> PublicKey {
        let data = match self {
            SecurityKey::Ed25519(pair) => KeyData::SkEd25519(ssh_key::public::SkEd25519::new(pair.public, APPLICATION)),
            SecurityKey::Ecdsa(pair) => {
                let ssh_key::public::EcdsaPublicKey::NistP256(point) = pair.into() else { panic!("another curve") };
                KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(point, APPLICATION))
            }
        };
        PublicKey::from(data)
    }

    /// The file that `ssh-keygen` would have written for it: it holds a handle, not the key.
    pub fn file(&self) -> String {
        let KeyData::SkEd25519(public) = self.public().key_data().clone() else { panic!("only for ed25519") };
        let pair = KeypairData::SkEd25519(SkEd25519::new(public, 1, b"a handle".to_vec()).expect("a key"));
        PrivateKey::new(pair, "").and_then(|key| key.to_openssh(LineEnding::LF)).expect("a file").to_string()
    }

    fn sign(&self, data: &[u8], counter: u32) -> Vec<u8> {
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.push(1);
        signed.extend(counter.to_be_bytes());
        signed.extend(Sha256::digest(data));
        let (name, signature) = match self {
            SecurityKey::Ed25519(pair) => ("sk-ssh-ed25519@openssh.com", pair.sign(&signed)),
            SecurityKey::Ecdsa(pair) => ("sk-ecdsa-sha2-nistp256@openssh.com", pair.sign(&signed)),
        };
        let mut blob = [string(name.as_bytes()), string(signature.as_bytes())].concat();
        blob.push(1);
        blob.extend(counter.to_be_bytes());
        blob
    }
}

/// How a stand-in answers requests to sign.
pub enum Answer {
    Signature,
    Failure,
    Nothing,
    HangUp,
    Garbage,
    TooMuch,
    OfOtherContent,
}

/// Starts an agent at this socket that holds one security key; it ends with the test's process.
pub fn stand_in(socket: &Path, key: SecurityKey, answer: Answer) -> Arc<AtomicU32> {
    let listener = UnixListener::bind(socket).expect("a socket");
    let signed = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&signed);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // an error is a client that went away
            serve(stream, &key, &answer, &counter).ok();
        }
    });
    signed
}

fn serve(mut stream: UnixStream, key: &SecurityKey, answer: &Answer, counter: &AtomicU32) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let mut fields = Fields::new(&request);
        let reply = match fields.take(1) {
            Some([11]) => {
                let key = key.public().to_bytes().expect("bytes");
                [&[12, 0, 0, 0, 1], &string(&key)[..], &string(b"a key")].concat()
            }
            Some([13]) => {
                let (_key, data) = (fields.string(), fields.string().expect("data"));
                let count = counter.fetch_add(1, Ordering::SeqCst) + 1;
                match answer {
                    Answer::Signature => [&[14], &string(&key.sign(data, count))[..]].concat(),
                    Answer::OfOtherContent => [&[14], &string(&key.sign(b"other", count))[..]].concat(),
                    Answer::Failure => vec![5],
                    Answer::Garbage => vec![14, 0, 0, 0, 9, 1],
                    Answer::Nothing => {
                        sleep(Duration::from_secs(600));
                        return Ok(());
                    }
                    Answer::HangUp => return Ok(()),
                    Answer::TooMuch => {
                        stream.write_all(&u32::MAX.to_be_bytes())?;
                        return Ok(());
                    }
                }
            }
            _ => vec![5],
        };
        stream.write_all(&string(&reply))?;
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a length").to_be_bytes()[..], bytes].concat()
}
