use super::*;
use ssh_key::private::{Ed25519Keypair, KeypairData};

const MESSAGE: &[u8] = b"message\n";
/// What `ssh-keygen -Y sign -n deploy-record` makes of the message with the key of seed 7.
const GOLDEN: &str = "\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg6kpsY+KcUgq+9VB7Ey7F+ZVHdq
6+vnuSQh7qaRRG0iwAAAANZGVwbG95LXJlY29yZAAAAAAAAAAGc2hhNTEyAAAAUwAAAAtz
c2gtZWQyNTUxOQAAAECLsknvgoZKbVGNfkcJRKNgIuAUOdrU2jaq8uykkcryXoOG6kMa+h
fp2//Ef8oBRdnxMIM0Tx/L4WyNJW6L0Y0H
-----END SSH SIGNATURE-----
";

fn key(seed: u8) -> PrivateKey {
    let pair = Ed25519Keypair::from_seed(&[seed; 32]);
    PrivateKey::new(KeypairData::from(pair), "").expect("key")
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

fn strings(fields: &[&[u8]]) -> Vec<u8> {
    fields.iter().flat_map(|field| string(field)).collect()
}

fn armor(blob: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(blob);
    let lines: Vec<_> = body.as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line)).collect();
    format!("{HEADER}{}{FOOTER}\n", lines.join("\n")).into_bytes()
}

/// The fields of a good signature, to be replaced one by one.
struct Parts {
    version: u32,
    key: Vec<u8>,
    namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash: Vec<u8>,
    signature: Vec<u8>,
    after: Vec<u8>,
}

impl Parts {
    fn good() -> Self {
        let blob = remove_armor(GOLDEN.as_bytes()).expect("armor");
        let envelope = Envelope::read(&blob).expect("envelope");
        Parts {
            version: 1,
            key: envelope.key.to_vec(),
            namespace: envelope.namespace.to_vec(),
            reserved: Vec::new(),
            hash: envelope.hash.to_vec(),
            signature: envelope.signature.to_vec(),
            after: Vec::new(),
        }
    }

    fn open(&self) -> Result<PublicKey, SealError> {
        let fields = strings(&[&self.key, &self.namespace, &self.reserved, &self.hash, &self.signature]);
        let blob = [MAGIC, &self.version.to_be_bytes(), &fields, &self.after].concat();
        open(&armor(&blob), NAMESPACE_RECORD, MESSAGE)
    }
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    strings(&[b"ssh-rsa", exponent, &[&[0], modulus].concat()])
}

#[test]
fn a_signature_is_laid_out_as_ssh_keygen_does_it() {
    assert_eq!(sign(&key(7), NAMESPACE_RECORD, MESSAGE).as_deref(), Ok(GOLDEN));
    let signer = open(GOLDEN.as_bytes(), NAMESPACE_RECORD, MESSAGE).expect("good");
    assert_eq!(signer.key_data(), key(7).public_key().key_data());
    assert_eq!(fingerprint(&signer), "SHA256:z/fSv0Z0RZS+Lccbc6ZoOWwt/fbj1VFJGSBKQbo4icE");
}

#[test]
fn every_length_of_message_comes_back() {
    for length in [0, 1, 63, 64, 65, 100_000] {
        let message = vec![b'x'; length];
        for namespace in [NAMESPACE_RECORD, NAMESPACE_SPOOL, NAMESPACE_GIT] {
            let signature = sign(&key(3), namespace, &message).expect("signed");
            assert!(signature.ends_with("-----END SSH SIGNATURE-----\n"));
            assert!(signature.lines().all(|line| line.len() <= 70));
            assert!(open(signature.as_bytes(), namespace, &message).is_ok());
        }
    }
}

/// A name of a case, how it is made of a good signature, and what `open` has to say.
type Case = (&'static str, fn(&mut Parts), SealError);

fn check(cases: Vec<Case>) {
    for (name, change, expected) in cases {
        let mut parts = Parts::good();
        change(&mut parts);
        assert_eq!(parts.open().map(|_| ()), Err(expected), "{name}");
    }
}

fn unsupported(what: &str) -> SealError {
    SealError::Unsupported(what.to_owned())
}

fn other_namespace(found: &str) -> SealError {
    SealError::OtherNamespace { expected: NAMESPACE_RECORD.to_owned(), found: found.to_owned() }
}

#[test]
fn what_ssh_keygen_ignores_is_ignored() {
    let mut parts = Parts::good();
    assert!(parts.open().is_ok());
    parts.reserved = b"later".to_vec();
    assert!(parts.open().is_ok());
    // stricter: no signature covers the version, so that any other one is a changed byte that nobody else would find
    parts.version = 0;
    assert_eq!(parts.open(), Err(SealError::Damaged("its version is none that there ever was")));
}

#[test]
fn what_does_not_belong_is_wrong() {
    let good = GOLDEN.as_bytes();
    assert_eq!(open(good, NAMESPACE_RECORD, b"message"), Err(SealError::Wrong));
    assert_eq!(open(good, NAMESPACE_RECORD, b""), Err(SealError::Wrong));
    assert_eq!(open(good, NAMESPACE_RECORD, b"message\r\n"), Err(SealError::Wrong));
    check(vec![
        ("other key", |it| it.key = key(8).public_key().to_bytes().expect("key"), SealError::Wrong),
        ("relabelled hash", |it| it.hash = b"sha256".to_vec(), SealError::Wrong),
        ("zeros", |it| it.signature = strings(&[b"ssh-ed25519", &[0; 64]]), SealError::Wrong),
    ]);
    let spool = sign(&key(7), NAMESPACE_SPOOL, MESSAGE).expect("signed");
    let relabelled = Envelope::read(&remove_armor(spool.as_bytes()).expect("armor")).expect("envelope").signature.to_vec();
    let mut parts = Parts::good();
    parts.signature = relabelled;
    assert_eq!(parts.open(), Err(SealError::Wrong));
}

#[test]
fn another_namespace_is_named() {
    check(vec![
        ("git", |it| it.namespace = b"git".to_vec(), other_namespace("git")),
        ("empty", |it| it.namespace.clear(), other_namespace("")),
        ("longer", |it| it.namespace.push(0), other_namespace("deploy-record\\x00")),
        ("hostile", |it| it.namespace = b"\x1b".repeat(9000), other_namespace(&"\\x1b".repeat(64))),
    ]);
}

#[test]
fn what_cannot_be_checked_is_never_called_wrong() {
    check(vec![
        ("version", |it| it.version = 2, unsupported("signature format 2")),
        ("hash", |it| it.hash = b"sha1".to_vec(), unsupported("hash `sha1`")),
        ("webauthn", |it| it.signature = strings(&[b"webauthn-sk", b"x"]), unsupported("signature algorithm `webauthn-sk`")),
        ("DSA", |it| it.key = strings(&[b"ssh-dss", b"p", b"q"]), unsupported("key type `ssh-dss`")),
        (
            "certificate",
            |it| it.key = strings(&[b"ssh-ed25519-cert-v01@openssh.com", b"x"]),
            unsupported("key type `ssh-ed25519-cert-v01@openssh.com`"),
        ),
        (
            "SHA-1",
            |it| {
                it.key = rsa_key(&[0xc1; 256], &[1, 0, 1]);
                it.signature = strings(&[b"ssh-rsa", &[1; 256]]);
            },
            unsupported("signature algorithm `ssh-rsa` (SHA-1)"),
        ),
        ("small RSA", |it| it.key = rsa_key(&[0xc1; 128], &[1, 0, 1]), unsupported("an RSA key of 1024 bits")),
        ("large RSA", |it| it.key = rsa_key(&[0xc1; 513], &[1, 0, 1]), unsupported("an RSA key of 4104 bits")),
        ("exponent 1", |it| it.key = rsa_key(&[0xc1; 256], &[1]), unsupported("an RSA key with this exponent")),
        ("long exponent", |it| it.key = rsa_key(&[0xc1; 256], &[1; 200]), unsupported("an RSA key with this exponent")),
    ]);
}

#[test]
fn broken_fields_are_damage() {
    const KEY: SealError = SealError::Damaged("its public key is broken");
    const INNER: SealError = SealError::Damaged("its inner signature is broken");
    const KINDS: SealError = SealError::Damaged("its key and its inner signature are of different kinds");
    check(vec![
        ("bytes after", |it| it.after.push(0), SealError::Damaged("bytes follow its end")),
        ("bytes after the key", |it| it.key.push(0), KEY),
        ("long key", |it| it.key = strings(&[b"ssh-ed25519", &[1; 33]]), KEY),
        ("key with a false length", |it| it.key[18] += 1, KEY),
        ("short key", |it| it.key = strings(&[b"ssh-ed25519", &[1; 31]]), KEY),
        ("no key", |it| it.key.clear(), KEY),
        ("key of another curve", |it| it.key = strings(&[b"ecdsa-sha2-nistp256", b"nistp384", &[4; 97]]), KEY),
        ("RSA modulus with zeros", |it| it.key = rsa_key(&[0; 256], &[3]), KEY),
        ("bytes after the inner one", |it| it.signature.push(0), INNER),
        ("no inner one", |it| it.signature.clear(), INNER),
        ("short inner one", |it| it.signature = strings(&[b"ssh-ed25519", &[1; 63]]), INNER),
        ("long inner one", |it| it.signature = strings(&[b"ssh-ed25519", &[1; 65]]), INNER),
        ("inner one of ECDSA", |it| it.signature = strings(&[b"ecdsa-sha2-nistp256", b"x"]), KINDS),
        ("inner one of RSA", |it| it.signature = strings(&[b"rsa-sha2-512", b"x"]), KINDS),
        (
            "RSA signature longer than its key",
            |it| {
                it.key = rsa_key(&[0xc1; 256], &[1, 0, 1]);
                it.signature = strings(&[b"rsa-sha2-512", &[1; 257]]);
            },
            INNER,
        ),
    ]);
}

#[test]
fn armor_is_read_as_ssh_keygen_reads_it_and_nothing_may_follow() {
    let body = GOLDEN.strip_prefix(HEADER).and_then(|rest| rest.strip_suffix(&format!("{FOOTER}\n"))).expect("armor");
    let wrapped = |body: &str| format!("{HEADER}{body}{FOOTER}\n");
    let good = [
        wrapped(&body.replace('\n', "")),
        wrapped(&body.replace('\n', " \t\r\n\x0b\x0c")),
        GOLDEN.trim_end().to_owned(),
        format!("{GOLDEN} \r\n\n"),
    ];
    for text in good {
        assert!(open(text.as_bytes(), NAMESPACE_RECORD, MESSAGE).is_ok(), "{text:?}");
    }
    let bad = [
        ("", "does not begin"),
        (HEADER, "does not end"),
        (&format!("x\n{GOLDEN}"), "does not begin"),
        (&format!("\u{feff}{GOLDEN}"), "does not begin"),
        (&format!("{GOLDEN}{GOLDEN}"), "text follows"),
        (&format!("{GOLDEN}x"), "text follows"),
        (&GOLDEN.replace('\n', "\r\n"), "CRLF"),
        (&GOLDEN.replace('\n', ""), "does not begin"),
        (&GOLDEN[..GOLDEN.len() - 3], "does not end"),
        (&wrapped(""), "something else"),
        (&wrapped("U1NIU0lH"), "ends too early"),
        (&wrapped("QUJDREVGRw=="), "something else"),
        (&wrapped(&body[..body.len() - 1]), "base64"),
        (&wrapped(&format!("{body}=")), "base64"),
        (&wrapped(&body.replacen('A', "-", 1)), "base64"),
        (&wrapped(&body.replacen('A', "ä", 1)), "base64"),
        (&wrapped(&body[4..]), "something else"),
    ];
    for (text, reason) in bad {
        let error = open(text.as_bytes(), NAMESPACE_RECORD, MESSAGE).expect_err(text);
        assert!(matches!(&error, SealError::Damaged(found) if found.contains(reason)), "{text:?}: {error}");
    }
    let binary = open(b"\xff\xfe", NAMESPACE_RECORD, MESSAGE);
    assert_eq!(binary, Err(SealError::Damaged("it is not text")));
    let huge = vec![b'A'; LARGEST_SIGNATURE + 1];
    assert_eq!(open(&huge, NAMESPACE_RECORD, MESSAGE), Err(SealError::TooLarge(huge.len())));
}

#[test]
fn no_changed_byte_and_no_cut_passes() {
    let blob = remove_armor(GOLDEN.as_bytes()).expect("armor");
    for place in 0..blob.len() {
        let mut changed = blob.clone();
        changed[place] ^= 0x80;
        let result = open(&armor(&changed), NAMESPACE_RECORD, MESSAGE);
        assert!(result.is_err(), "byte {place}");
        assert!(open(&armor(&blob[..place]), NAMESPACE_RECORD, MESSAGE).is_err(), "cut at {place}");
    }
}

#[test]
fn keys_that_cannot_sign_say_so() {
    let locked = key(7)
        .encrypt_with(ssh_key::Cipher::Aes256Ctr, ssh_key::Kdf::Bcrypt { salt: vec![1; 16], rounds: 1 }, 1, "secret")
        .expect("locked");
    assert_eq!(sign(&locked, NAMESPACE_GIT, MESSAGE), Err(SealError::Locked));
    assert!(matches!(sign(&key(7), "", MESSAGE), Err(SealError::CannotSign(_))));
}
