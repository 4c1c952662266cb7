//! Signatures of every kind: what we make and what others make.

use super::rig::{MESSAGE, Question, Rig, Verdict, blob_of, good_question, patched, question_of};
use super::vectors;
use deploy_record::core::seal::{self, NAMESPACE_GIT, NAMESPACE_RECORD, NAMESPACE_SPOOL};
use ssh_key::PublicKey;

/// Kinds of keys that can sign here: a name for each, and what `ssh-keygen` needs to make one.
const KINDS: [(&str, &[&str]); 4] = [
    ("ed25519", &["-t", "ed25519"]),
    ("p256", &["-t", "ecdsa", "-b", "256"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("p521", &["-t", "ecdsa", "-b", "521"]),
];

#[test]
fn ours_and_theirs_are_accepted_by_both() {
    let rig = Rig::new();
    for (name, arguments) in KINDS {
        rig.make_key(name, arguments);
        let key = rig.load(name, None).expect(name);
        for (namespace, message) in [(NAMESPACE_RECORD, MESSAGE), (NAMESPACE_SPOOL, b""), (NAMESPACE_GIT, &[0xff; 5000][..])] {
            let ours = seal::sign(&key, namespace, message).expect(name);
            let theirs = String::from_utf8(rig.sign(name, namespace, message)).expect("text");
            assert_eq!(ours == theirs, name == "ed25519", "ECDSA signatures are random, ed25519's are not");
            for (who, signature) in [("ours", &ours), ("theirs", &theirs)] {
                let question = question_of(key.public_key(), namespace, signature, message);
                question.ask(&rig, &format!("{who}, {name}, {namespace}"), Verdict::Good);
            }
        }
    }
}

#[test]
fn signatures_that_only_others_can_make_are_accepted_by_both() {
    let rig = Rig::new();
    rig.make_key("rsa", &["-t", "rsa", "-b", "2048"]);
    rig.make_key("ed25519", &["-t", "ed25519"]);
    let rsa = String::from_utf8(rig.sign("rsa", NAMESPACE_RECORD, MESSAGE)).expect("text");
    question_of(&rig.public_key("rsa"), NAMESPACE_RECORD, &rsa, MESSAGE).ask(&rig, "RSA", Verdict::Good);
    for name in ["rsa", "ed25519"] {
        let arguments = ["-Y", "sign", "-O", "hashalg=sha256", "-f", name, "-n", NAMESPACE_GIT];
        let short_hash = String::from_utf8(rig.ssh_keygen(&arguments, MESSAGE)).expect("text");
        question_of(&rig.public_key(name), NAMESPACE_GIT, &short_hash, MESSAGE).ask(&rig, "SHA-256", Verdict::Good);
    }
    let untouched = Verdict::Stricter("without its user's touch");
    for (name, signature, message, verdict) in [
        ("RSA without a zero byte", vectors::RSA_SHORT, vectors::RSA_SHORT_MESSAGE, Verdict::Good),
        ("sk-ed25519", vectors::SK_ED25519, vectors::MESSAGE, Verdict::Good),
        ("sk-ecdsa", vectors::SK_ECDSA, vectors::MESSAGE, Verdict::Good),
        ("sk-ed25519 untouched", vectors::SK_ED25519_UNTOUCHED, vectors::MESSAGE, untouched),
        ("sk-ecdsa untouched", vectors::SK_ECDSA_UNTOUCHED, vectors::MESSAGE, untouched),
    ] {
        let key = key_in(signature);
        question_of(&key, NAMESPACE_RECORD, signature, message).ask(&rig, name, verdict);
        let edited = [message, b"x"].concat();
        let refused = match verdict {
            Verdict::Good => "does not fit",
            _ => "without its user's touch",
        };
        question_of(&key, NAMESPACE_RECORD, signature, &edited).ask(&rig, name, Verdict::Bad(refused));
    }
}

/// The public key that a signature carries.
fn key_in(signature: &str) -> PublicKey {
    let blob = blob_of(signature);
    let length = u32::from_be_bytes(blob[10..14].try_into().expect("four bytes")) as usize;
    PublicKey::from_bytes(&blob[14..14 + length]).expect("a key")
}

#[test]
fn algorithms_that_are_not_supported_are_never_called_wrong() {
    let rig = Rig::new();
    rig.make_key("small", &["-t", "rsa", "-b", "1024"]);
    rig.make_key("rsa", &["-t", "rsa", "-b", "2048"]);
    rig.make_key("key", &["-t", "ed25519"]);
    rig.make_key("ca", &["-t", "ed25519"]);
    rig.ssh_keygen(&["-q", "-s", "ca", "-I", "id", "-n", "alice", "key.pub"], b"");
    let rsa = String::from_utf8(rig.sign("rsa", NAMESPACE_RECORD, MESSAGE)).expect("text");
    // shorter by five bytes, which the lengths around must know
    let sha1 = patched(&rsa, b"\0\0\x01\x14\0\0\0\x0crsa-sha2-512", b"\0\0\x01\x0f\0\0\0\x07ssh-rsa");
    let question = question_of(&rig.public_key("rsa"), NAMESPACE_RECORD, &sha1, MESSAGE);
    question.ask(&rig, "SHA-1", Verdict::Bad("`ssh-rsa` (SHA-1) is not supported"));
    let small = String::from_utf8(rig.sign("small", NAMESPACE_RECORD, MESSAGE)).expect("text");
    let question = question_of(&rig.public_key("small"), NAMESPACE_RECORD, &small, MESSAGE);
    question.ask(&rig, "small RSA", Verdict::Stricter("an RSA key of 1024 bits is not supported"));
    let small = seal::open(small.as_bytes(), NAMESPACE_RECORD, MESSAGE).map_err(|error| error.to_string());
    assert!(small.is_err_and(|error| error.contains("an RSA key of 1024 bits is not supported")));
    let certified = Question {
        allowed: format!("alice cert-authority {}\n", rig.public_text("ca")),
        signature: rig.sign("key-cert.pub", NAMESPACE_RECORD, MESSAGE),
        ..good_question(&rig)
    };
    certified.ask(&rig, "certificate", Verdict::Stricter("`cert-authority` is not allowed"));
    let certified = seal::open(&certified.signature, NAMESPACE_RECORD, MESSAGE).map_err(|error| error.to_string());
    assert!(certified.is_err_and(|error| error.contains("`ssh-ed25519-cert-v01@openssh.com` is not supported")));
}
