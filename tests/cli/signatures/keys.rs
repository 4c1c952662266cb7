//! Key files: what `ssh-keygen` writes is read, and what is written here `ssh-keygen` reads.

use super::rig::{MESSAGE, Rig, Verdict, question_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deploy_record::core::seal::{self, NAMESPACE_RECORD};
use deploy_record::keys::{self, KeyError};
use std::fs;

#[test]
fn new_keys_are_used_by_ssh_keygen() {
    let rig = Rig::new();
    for (name, passphrase) in [("open", None), ("locked", Some("correct horse"))] {
        let key = keys::generate("deploys of acme").expect("a key");
        keys::write_new(&rig.path(name), &key, passphrase).expect("written");
        let printed = rig.ssh_keygen(&["-y", "-P", passphrase.unwrap_or(""), "-f", name], b"");
        assert_eq!(printed, fs::read(rig.path(&format!("{name}.pub"))).expect("the public key"));
        assert!(String::from_utf8_lossy(&printed).ends_with(" deploys of acme\n"));
        if passphrase.is_some() {
            assert!(!rig.try_ssh_keygen(&["-y", "-P", "", "-f", name], b"").status.success());
            rig.ssh_keygen(&["-q", "-p", "-P", "correct horse", "-N", "", "-f", name], b"");
        }
        let signature = String::from_utf8(rig.sign(name, NAMESPACE_RECORD, MESSAGE)).expect("text");
        question_of(key.public_key(), NAMESPACE_RECORD, &signature, MESSAGE).ask(&rig, name, Verdict::Good);
        assert_eq!(rig.load(name, None).ok(), Some(key));
    }
}

#[test]
fn a_key_on_one_line_is_base64_of_its_file() {
    let rig = Rig::new();
    let key = keys::generate("deploy-record").expect("a key");
    let line = keys::one_line(&key).expect("a line");
    rig.write("key", &STANDARD.decode(line.as_bytes()).expect("base64"));
    keys::write_new(&rig.path("same"), &key, None).expect("written");
    assert_eq!(fs::read(rig.path("key")).ok(), fs::read(rig.path("same")).ok());
}

#[test]
fn keys_locked_with_every_cipher_open() {
    let rig = Rig::new();
    let ciphers = [
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
        "aes256-cbc",
        "aes192-cbc",
        "aes128-cbc",
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ];
    rig.make_key("key", &["-t", "ed25519"]);
    let mut passphrase = String::new();
    for cipher in ciphers {
        rig.ssh_keygen(&["-q", "-p", "-P", &passphrase, "-N", cipher, "-Z", cipher, "-a", "1", "-f", "key"], b"");
        passphrase = cipher.to_owned();
        let key = rig.load("key", Some(cipher)).unwrap_or_else(|error| panic!("{cipher}: {error}"));
        assert_eq!(key.public_key(), &rig.public_key("key"), "{cipher}");
        assert!(matches!(rig.load("key", Some("wrong")), Err(KeyError::WrongPassphrase)), "{cipher}");
    }
    rig.ssh_keygen(&["-q", "-p", "-P", &passphrase, "-N", "secret", "-Z", "3des-cbc", "-a", "1", "-f", "key"], b"");
    assert!(matches!(rig.load("key", Some("secret")), Err(KeyError::UnsupportedCipher)));
    rig.ssh_keygen(&["-q", "-p", "-P", "secret", "-N", "secret", "-Z", "aes256-ctr", "-a", "1", "-f", "key"], b"");
    assert!(rig.load("key", Some("secret")).is_ok(), "after doing what the error says");
}

#[test]
fn an_ecdsa_key_with_a_short_private_number_is_read_locked_or_not() {
    let rig = Rig::new();
    // one P-521 key in four has such a number; the library alone does not read those
    let is_short = |name: &str| {
        rig.make_key(name, &["-t", "ecdsa", "-b", "521"]);
        ssh_key::PrivateKey::from_openssh(fs::read(rig.path(name)).expect("text")).is_err()
    };
    let names = (0..100).map(|number| format!("key{number}"));
    let name = names.into_iter().find(|name| is_short(name)).expect("one in four");
    let key = rig.load(&name, None).expect("a key");
    assert_eq!(key.public_key(), &rig.public_key(&name));
    rig.ssh_keygen(&["-q", "-p", "-P", "", "-N", "secret", "-a", "1", "-f", &name], b"");
    assert_eq!(rig.load(&name, Some("secret")).ok(), Some(key));
    assert!(matches!(rig.load(&name, Some("wrong")), Err(KeyError::WrongPassphrase)));
}

#[test]
fn keys_that_cannot_sign_from_a_file_say_so() {
    let rig = Rig::new();
    rig.make_key("rsa", &["-t", "rsa", "-b", "2048"]);
    assert!(matches!(rig.load("rsa", None), Err(KeyError::Rsa)));
    let text = fs::read_to_string(rig.path("rsa")).expect("text");
    let library = ssh_key::PrivateKey::from_openssh(&text).expect("a key");
    assert_eq!(seal::sign(&library, NAMESPACE_RECORD, MESSAGE), Err(seal::SealError::RsaKeyFile));
    rig.ssh_keygen(&["-q", "-p", "-P", "", "-N", "secret", "-a", "1", "-f", "rsa"], b"");
    assert!(matches!(rig.load("rsa", None), Err(KeyError::Rsa)), "told before a passphrase is asked for");
    assert!(matches!(rig.load("rsa.pub", None), Err(KeyError::PublicKey)));
}

#[test]
fn other_formats_are_read_after_the_conversion_that_the_error_names() {
    let rig = Rig::new();
    for (name, format) in [("pem", "PEM"), ("pkcs8", "PKCS8")] {
        rig.make_key(name, &["-t", "ecdsa", "-m", format]);
        let error = rig.load(name, None).map(|_| ()).expect_err(name);
        assert!(matches!(error, KeyError::OtherFormat(_)), "{name}: {error}");
        assert!(error.to_string().contains("ssh-keygen -p -f KEY"), "{error}");
        rig.ssh_keygen(&["-q", "-p", "-P", "", "-N", "", "-f", name], b"");
        let key = rig.load(name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.public_key().key_data(), rig.public_key(name).key_data());
    }
}
