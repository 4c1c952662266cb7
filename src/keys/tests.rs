use super::*;
use crate::core::seal;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{Cipher, Kdf, LineEnding, PrivateKey};
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

fn key(seed: u8) -> PrivateKey {
    let pair = Ed25519Keypair::from_seed(&[seed; 32]);
    PrivateKey::new(KeypairData::from(pair), "a comment").expect("key")
}

fn text_of(key: &PrivateKey) -> String {
    key.to_openssh(LineEnding::LF).expect("text").to_string()
}

fn locked(key: &PrivateKey, passphrase: &str) -> PrivateKey {
    let kdf = Kdf::Bcrypt { salt: vec![5; 16], rounds: 1 };
    key.encrypt_with(Cipher::Aes256Ctr, kdf, 1, passphrase).expect("locked")
}

fn load_with(source: &str, passphrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    load(source, FileMode::OwnerOnly, &mut || Ok(passphrase.map(|text| Zeroizing::new(text.to_owned()))))
}

fn load_unasked(source: &str) -> Result<PrivateKey, KeyError> {
    load(source, FileMode::OwnerOnly, &mut || panic!("asked for a passphrase"))
}

fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    path.to_str().expect("text").to_owned()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

fn strings(fields: &[&[u8]]) -> Vec<u8> {
    fields.iter().flat_map(|field| string(field)).collect()
}

/// An unlocked key file's bytes of these public and private fields (PROTOCOL.key).
fn file_bytes(public: &[u8], private: &[u8]) -> Vec<u8> {
    let mut inner = [&[1; 8], private].concat();
    inner.extend((1..8).take(inner.len().next_multiple_of(8) - inner.len()));
    let head = strings(&[b"none", b"none", b""]);
    [&b"openssh-key-v1\0"[..], &head, &1u32.to_be_bytes(), &string(public), &string(&inner)].concat()
}

fn armored(bytes: &[u8]) -> String {
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", STANDARD.encode(bytes))
}

/// Every form in which a key can come through a variable.
fn forms(text: &str) -> Vec<(&'static str, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let body = lines[1..lines.len() - 1].join("");
    let shifted = text.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n\n");
    vec![
        ("as it is", text.to_owned()),
        ("no final line end", text.trim_end().to_owned()),
        ("CRLF", text.replace('\n', "\r\n")),
        ("CR", text.replace('\n', "\r")),
        ("escaped line ends", text.replace('\n', "\\n")),
        ("escaped CRLF", text.replace('\n', "\\r\\n")),
        ("spaces", text.replace('\n', " ")),
        ("no line ends", text.replace('\n', "")),
        ("no blanks at all", text.replace(['\n', ' '], "")),
        ("doubled line ends", text.replace('\n', "\n\n")),
        ("indented", text.replace('\n', "\n    ")),
        ("blank ends", format!(" \r\n\t{text} \n")),
        ("double quotes", format!("\"{text}\"")),
        ("quotes", format!(" '{}' ", text.trim_end())),
        ("one quote", format!("\"{text}")),
        ("byte order mark", format!("\u{feff}{text}")),
        ("quoted byte order mark", format!("\"\u{feff}{text}\"")),
        ("other width", format!("{}\n{body}\n{}", lines[0], lines[lines.len() - 1])),
        ("no padding", text.replace('=', "")),
        ("body alone", body),
        ("base64", STANDARD.encode(text)),
        ("base64 without padding", STANDARD_NO_PAD.encode(text)),
        ("base64 for URLs", URL_SAFE.encode(text)),
        ("base64 for URLs without padding", URL_SAFE_NO_PAD.encode(text)),
        ("base64 of CRLF", STANDARD.encode(text.replace('\n', "\r\n"))),
        ("base64 without final line end", STANDARD.encode(text.trim_end())),
        ("base64 of a byte order mark", STANDARD.encode(format!("\u{feff}{text}"))),
        ("base64 of blank ends", STANDARD.encode(format!("\n {text}\n"))),
        ("base64, other phase", STANDARD.encode(shifted)),
        ("wrapped base64", wrapped(&STANDARD.encode(text), "\n")),
        ("base64 wrapped by spaces", wrapped(&STANDARD.encode(text), " ")),
        ("base64 wrapped by escapes", wrapped(&STANDARD.encode(text), "\\n")),
        ("quoted base64", format!("\"{}\"\n", STANDARD.encode(text))),
    ]
}

fn wrapped(text: &str, between: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    lines.join(between)
}

#[test]
fn a_key_is_read_in_every_form() {
    let folder = tempfile::tempdir().expect("folder");
    for seed in 0..3 {
        let key = key(seed);
        for (name, form) in forms(&text_of(&key)) {
            assert_eq!(load_unasked(&form).map_err(|error| format!("{name}: {error}")).as_ref(), Ok(&key));
            let path = write(&folder.path().join("key"), &form, 0o600);
            assert_eq!(load_unasked(&path).map_err(|error| format!("{name}, in a file: {error}")).as_ref(), Ok(&key));
        }
    }
}

#[test]
fn a_key_reads_with_quotes_and_blanks_around_its_path() {
    let folder = tempfile::tempdir().expect("folder");
    let path = write(&folder.path().join("key"), text_of(&key(1)), 0o400);
    for source in [path.clone(), format!(" {path}\n"), format!("\"{path}\"")] {
        assert_eq!(load_unasked(&source).ok().as_ref(), Some(&key(1)), "{source}");
    }
}

#[test]
fn a_locked_key_needs_its_passphrase() {
    let text = text_of(&locked(&key(1), "correct horse"));
    for (name, form) in forms(&text) {
        assert_eq!(load_with(&form, Some("correct horse")).ok().as_ref(), Some(&key(1)), "{name}");
    }
    for wrong in ["", "correct", "correct horse ", "Correct horse"] {
        assert!(matches!(load_with(&text, Some(wrong)), Err(KeyError::WrongPassphrase)), "{wrong:?}");
    }
    assert!(matches!(load_with(&text, None), Err(KeyError::PassphraseNeeded)));
    let failing = load(&text, FileMode::OwnerOnly, &mut || Err(io::Error::other("no terminal")));
    assert!(matches!(failing, Err(KeyError::Passphrase(_))));
    let mut asked = 0;
    let counted = load(&text, FileMode::OwnerOnly, &mut || {
        asked += 1;
        Ok(Some(Zeroizing::new("wrong".to_owned())))
    });
    assert!(counted.is_err());
    assert_eq!(asked, 1);
}

#[test]
fn an_ecdsa_key_with_a_short_private_number_is_read() {
    // the private number 1, whose public point is the curve's generator (SEC 2)
    let p256 = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let p384 = "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f";
    let p521 = "0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650";
    for (curve, point) in [("nistp256", p256), ("nistp384", p384), ("nistp521", p521)] {
        let kind = format!("ecdsa-sha2-{curve}");
        let point: Vec<u8> =
            (0..point.len()).step_by(2).map(|at| u8::from_str_radix(&point[at..at + 2], 16).expect("hex")).collect();
        let public = strings(&[kind.as_bytes(), curve.as_bytes(), &point]);
        for number in [&[1][..], &[0, 0, 0, 1], &[&[0; 31][..], &[1]].concat()] {
            let private = strings(&[kind.as_bytes(), curve.as_bytes(), &point, number, b"comment"]);
            let key = load_unasked(&armored(&file_bytes(&public, &private))).expect(curve);
            assert_eq!((key.algorithm().as_str(), key.comment()), (kind.as_str(), "comment"));
            assert!(seal::sign(&key, "git", b"x").is_ok());
        }
        for number in [&[][..], &[0], &[2], &[1; 80]] {
            let private = strings(&[kind.as_bytes(), curve.as_bytes(), &point, number, b"comment"]);
            let error = load_unasked(&armored(&file_bytes(&public, &private))).map(|_| ()).expect_err(curve);
            assert!(matches!(error, KeyError::Damaged(_)), "{curve} {number:?}: {error}");
        }
    }
}

/// A source and the beginning of what is to be said about it.
fn wrong_sources() -> Vec<(String, &'static str)> {
    let text = text_of(&key(1));
    let base64 = STANDARD.encode(&text);
    let public = key(1).public_key().to_openssh().expect("text");
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMIIEpAIBAAKCAQEA\n-----END {label}-----\n");
    let changed = |from: &str, to: &str| text.replacen(from, to, 1);
    let of_type = |kind: &str| armored(&file_bytes(&strings(&[kind.as_bytes(), b"x"]), &strings(&[kind.as_bytes()])));
    let body_at = text.find('\n').expect("line") + 1;
    vec![
        (String::new(), "the key is empty"),
        (" \r\n\t\"\"".to_owned(), "the key is empty"),
        (public.clone(), "this is a public key"),
        (STANDARD.encode(&public), "the key ("),
        (format!("{public}\n"), "this is a public key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n".to_owned(), "this is a public key"),
        (pem("PUBLIC KEY"), "this is a public key"),
        (pem("RSA PRIVATE KEY"), "this is a key in PEM format"),
        (pem("EC PRIVATE KEY"), "this is a key in PEM format"),
        (pem("DSA PRIVATE KEY").replace('\n', " "), "this is a key in PEM format"),
        (pem("PRIVATE KEY"), "this is a key in PKCS#8 format"),
        (pem("ENCRYPTED PRIVATE KEY"), "this is a key in PKCS#8 format"),
        (STANDARD.encode(pem("PRIVATE KEY")), "this is a key in PKCS#8 format"),
        (pem("SSH SIGNATURE"), "this is no private key but a signature"),
        (pem("CERTIFICATE"), "this is no private key but a certificate"),
        (pem("PGP PRIVATE KEY BLOCK"), "this is no private key but something of OpenPGP's"),
        (pem("AGE KEY"), "this is no private key but something else in armor"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n".to_owned(), "this is a PuTTY key"),
        ("PuTTY-User-Key-File-2: ssh-rsa".to_owned(), "this is a PuTTY key"),
        (text[..text.len() - 40].to_owned(), "the OpenSSH private key is damaged: its end is missing"),
        (text[..text.len() - 10].to_owned(), "the OpenSSH private key is damaged: its last line"),
        (changed("-----END OPENSSH", "-----END RSA"), "the OpenSSH private key is damaged: its last line"),
        (format!("{text}{text}"), "the OpenSSH private key is damaged: there is more than one key"),
        (format!("{text}x"), "the OpenSSH private key is damaged: its last line"),
        (format!("KEY={text}"), "the OpenSSH private key is damaged: there is text before"),
        (format!("KEY={}", text.replace('\n', " ")), "the OpenSSH private key is damaged: there is text before"),
        (text.replace('\n', "n"), "the OpenSSH private key is damaged"),
        (
            format!("{}{}", &text[..body_at], &text[body_at + 1..]),
            "the OpenSSH private key is damaged: its beginning is missing",
        ),
        (
            format!("{}{}", &text[..body_at + 100], &text[body_at + 101..]),
            "the OpenSSH private key is damaged: it ends too early",
        ),
        (format!("{}{}", &text[..body_at + 100], &text[body_at + 104..]), "the OpenSSH private key is damaged"),
        (
            format!("{}*{}", &text[..body_at + 100], &text[body_at + 101..]),
            "the OpenSSH private key is damaged: a part is missing",
        ),
        (base64[..base64.len() - 7].to_owned(), "this looks like base64 of a key, but it is cut off"),
        (base64[..base64.len() - 40].to_owned(), "the OpenSSH private key is damaged"),
        (format!("{}*{}", &base64[..50], &base64[51..]), "this looks like base64 of a key, but it holds characters"),
        (base64[1..].to_owned(), "this looks like base64 of a key, but it is cut off"),
        (base64[8..].to_owned(), "this looks like base64 of a key, but it holds something else"),
        (STANDARD.encode([7; 400]), "this looks like base64 of a key, but it holds something else"),
        (STANDARD.encode("x".repeat(400)), "this looks like base64 of a key, but it holds something else"),
        ("A".repeat(401), "this looks like base64 of a key, but it is cut off"),
        (base64[300..].to_owned(), "the key ("),
        (base64[100..160].to_owned(), "the key ("),
        (format!("/{}", &base64[100..200]), "the key ("),
        ("hello\nworld".to_owned(), "the key (11 characters) is neither"),
        (of_type("ssh-rsa"), "the key is an RSA key"),
        (of_type("sk-ssh-ed25519@openssh.com"), "the key belongs to a security key"),
        (of_type("sk-ecdsa-sha2-nistp256@openssh.com"), "the key belongs to a security key"),
        (of_type("ssh-dss"), "keys of type `ssh-dss` are not supported"),
        (of_type("ssh-new"), "the OpenSSH private key is damaged: its fields"),
    ]
}

#[test]
fn what_is_no_key_is_explained_without_showing_it() {
    let folder = tempfile::tempdir().expect("folder");
    for (source, expected) in wrong_sources() {
        let error = load_unasked(&source).map(|_| ()).expect_err(expected);
        assert!(error.to_string().starts_with(expected), "{source}\n{error}");
        assert_shows_nothing_of(&source, &error);
        let path = write(&folder.path().join("key"), &source, 0o600);
        let in_file = load_unasked(&path).map(|_| ()).expect_err(expected);
        assert_shows_nothing_of(&source, &in_file);
    }
}

/// No eight characters of base64 in a row that stand in the source may stand in an error.
fn assert_shows_nothing_of(source: &str, error: &KeyError) {
    let shown = format!("{error} {error:?}");
    for piece in source.as_bytes().windows(8) {
        let piece = String::from_utf8_lossy(piece);
        let is_base64 = piece.chars().all(|character| character.is_ascii_alphanumeric() || "+/=".contains(character));
        assert!(!is_base64 || !shown.contains(&*piece), "{shown}\n{source}");
    }
}

#[test]
fn no_damage_makes_it_panic_or_read_another_key() {
    let good =
        STANDARD.decode(text_of(&key(1)).lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("base64");
    for place in 0..good.len() {
        let mut changed = good.clone();
        changed[place] ^= 0x41;
        if let Ok(read) = load_with(&armored(&changed), Some("x")) {
            assert_eq!(read.public_key().key_data(), key(1).public_key().key_data(), "byte {place}");
        }
        assert!(load_with(&armored(&good[..place]), Some("x")).is_err(), "cut at {place}");
    }
    let locked = locked(&key(1), "x").to_bytes().expect("bytes");
    for place in (0..locked.len()).step_by(5) {
        let mut changed = locked.to_vec();
        changed[place] ^= 0x80;
        if let Ok(read) = load_with(&armored(&changed), Some("x")) {
            assert_eq!(read.public_key().key_data(), key(1).public_key().key_data(), "byte {place}");
        }
    }
    let padded = file_bytes(b"", &[0; 600]);
    assert!(load_unasked(&armored(&padded)).is_err());
}

#[test]
fn halves_that_do_not_belong_together_are_damage() {
    let good = key(1).to_bytes().expect("bytes");
    let (own, other) = (key(1), key(2));
    let own = own.public_key().key_data().ed25519().expect("ed25519").0;
    let other = other.public_key().key_data().ed25519().expect("ed25519").0;
    let mut swapped = good.to_vec();
    for at in 0..swapped.len() - 32 {
        if swapped[at..at + 32] == own {
            swapped[at..at + 32].copy_from_slice(&other);
        }
    }
    assert_ne!(swapped, good.to_vec());
    assert!(matches!(load_unasked(&armored(&swapped)), Err(KeyError::Damaged(_))));
}

#[test]
fn files_that_cannot_be_used_are_explained() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let good = write(&at("good"), text_of(&key(1)), 0o600);
    let spaced = write(&at("it's a key"), text_of(&key(1)), 0o644);
    let fail = |source: &str| load_unasked(source).map(|_| ()).expect_err(source).to_string();
    let shown = folder.path().display().to_string();
    let cases = [
        (fail(&format!("{shown}/none")), format!("the key file `{shown}/none` does not exist")),
        (fail("no-such-key"), "the key file `no-such-key` does not exist".to_owned()),
        (fail(&shown), format!("the key `{shown}` is a directory")),
        (fail(&format!("{good}/x")), format!("cannot read the key file `{good}/x`: ")),
        (fail(&write(&at("empty"), "\n", 0o600)), "the key is empty".to_owned()),
        (fail(&write(&at("binary"), [0xff; 9], 0o600)), format!("the file `{shown}/binary` holds no OpenSSH private key")),
        (fail(&write(&at("text"), "hello", 0o600)), format!("the file `{shown}/text` holds no OpenSSH private key")),
        (fail(&write(&at("huge"), vec![b'x'; 70_000], 0o600)), "the key is longer than 65536 bytes".to_owned()),
        (fail(&write(&at("k.pub"), key(1).public_key().to_openssh().expect("text"), 0o644)), "this is a public key".to_owned()),
        (
            fail(&spaced),
            format!("the key file `{spaced}` is open to other users (mode 0644); run `chmod 600 '{shown}/it'\\''s a key'`"),
        ),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
}

#[test]
fn a_key_that_others_may_use_is_refused_where_that_matters() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("key");
    for (mode, is_refused) in [
        (0o600, false),
        (0o400, false),
        (0o700, false),
        (0o640, true),
        (0o604, true),
        (0o610, true),
        (0o602, true),
        (0o666, true),
    ] {
        let source = write(&path, text_of(&locked(&key(1), "x")), mode);
        let strict = load_with(&source, Some("x"));
        assert_eq!(matches!(strict, Err(KeyError::Unprotected { .. })), is_refused, "{mode:o}");
        assert!(strict.is_ok() != is_refused, "{mode:o}");
        let open = load(&source, FileMode::Any, &mut || Ok(Some(Zeroizing::new("x".to_owned()))));
        assert!(open.is_ok(), "{mode:o}");
    }
    let unasked = load_unasked(&write(&path, text_of(&locked(&key(1), "x")), 0o644));
    assert!(matches!(unasked, Err(KeyError::Unprotected { .. })));
}

#[test]
fn new_keys_differ_and_fit_into_a_masked_variable() {
    let (one, other) = (generate("deploy").expect("key"), generate("deploy").expect("key"));
    assert_ne!(one.public_key().key_data(), other.public_key().key_data());
    assert_eq!((one.algorithm().as_str(), one.comment()), ("ssh-ed25519", "deploy"));
    let line = one_line(&one).expect("line");
    assert!(line.len() > 500 && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)));
    assert_eq!(load_unasked(&line).ok(), Some(one));
    for comment in ["a\nb", "a\u{1b}[2J", "\0"] {
        assert!(matches!(generate(comment), Err(KeyError::Comment)), "{comment:?}");
    }
    assert!(generate("").is_ok_and(|key| load_unasked(&text_of(&key)).is_ok()));
}

#[test]
fn a_new_key_is_written_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("folder");
    let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("file").permissions().mode() & 0o7777;
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
        names.sort();
        names
    };
    let path = folder.path().join("key");
    write_new(&path, &key(1), None).expect("written");
    assert_eq!(names(), ["key", "key.pub"]);
    assert_eq!((mode("key"), mode("key.pub")), (0o600, 0o644));
    assert_eq!(load_unasked(path.to_str().expect("text")).ok(), Some(key(1)));
    let public = fs::read_to_string(folder.path().join("key.pub")).expect("text");
    assert_eq!(public, format!("{}\n", key(1).public_key().to_openssh().expect("text")));
    assert!(matches!(write_new(&path, &key(2), None), Err(KeyError::Exists(found)) if found == path));
    assert_eq!(load_unasked(path.to_str().expect("text")).ok(), Some(key(1)));
    fs::remove_file(&path).expect("removed");
    assert!(matches!(write_new(&path, &key(2), None), Err(KeyError::Exists(_))));
    assert_eq!(names(), ["key.pub"]);
    fs::remove_file(folder.path().join("key.pub")).expect("removed");
    std::os::unix::fs::symlink("nowhere", &path).expect("link");
    assert!(matches!(write_new(&path, &key(2), None), Err(KeyError::Exists(_))));
    fs::remove_file(&path).expect("removed");
    assert!(matches!(write_new(&path, &key(2), Some("")), Err(KeyError::EmptyPassphrase)));
    assert!(matches!(write_new(&folder.path().join("none/key"), &key(2), None), Err(KeyError::Unwritable { .. })));
    assert!(names().is_empty());
    write_new(&path, &key(2), Some("secret")).expect("written");
    assert!(matches!(load_with(path.to_str().expect("text"), None), Err(KeyError::PassphraseNeeded)));
    assert_eq!(load_with(path.to_str().expect("text"), Some("secret")).ok(), Some(key(2)));
}
