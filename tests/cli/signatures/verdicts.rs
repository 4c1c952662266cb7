//! Damaged, edited and foreign signatures.

use super::rig::{FOOTER, HEADER, MESSAGE, Question, Rig, Verdict, armored, blob_of, good_question, patched};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deploy_record::core::seal::{NAMESPACE_GIT, NAMESPACE_RECORD, NAMESPACE_SPOOL};

#[test]
fn verdicts_on_signatures_agree() {
    let rig = Rig::new();
    rig.make_key("key", &["-t", "ed25519"]);
    rig.make_key("other", &["-t", "ed25519"]);
    let base = good_question(&rig);
    let good = String::from_utf8(base.signature.clone()).expect("text");
    let body = good.strip_prefix(HEADER).and_then(|rest| rest.strip_suffix(FOOTER)).expect("armor").to_owned();
    let lines: Vec<&str> = good.lines().collect();
    let other = String::from_utf8(rig.sign("other", NAMESPACE_RECORD, MESSAGE)).expect("text");
    let spool = String::from_utf8(rig.sign("key", NAMESPACE_SPOOL, MESSAGE)).expect("text");
    let blob = blob_of(&good);
    let mut flipped = blob.clone();
    *flipped.last_mut().expect("bytes") ^= 1;
    let mut newer = blob.clone();
    newer[9] = 2;
    let mut older = blob.clone();
    older[9] = 0;
    use Verdict::{Bad, Good, Stricter};
    let damaged = Bad("no intact SSH signature");
    let cases: Vec<(&str, String, Verdict)> = vec![
        ("good", good.clone(), Good),
        ("key unknown", other, Bad("the key is not in allowed_signers")),
        ("other namespace", spool, Bad("for namespace `deploy-record-spool`")),
        ("one line", format!("{HEADER}{}\n{FOOTER}", body.replace('\n', "")), Good),
        ("no final line end", good.trim_end().to_owned(), Good),
        ("blanks in the base64", format!("{HEADER} \t\x0b\x0c\r\n{}{FOOTER}", body.replace('\n', " \n\n")), Good),
        ("CRLF", good.replace('\n', "\r\n"), Bad("CRLF")),
        ("CRLF after the first line", format!("{HEADER}{}{FOOTER}", body.replace('\n', "\r\n")), Good),
        ("empty", String::new(), damaged),
        ("other armor", good.replace("SSH SIGNATURE", "SIGNATURE"), damaged),
        ("byte order mark", format!("\u{feff}{good}"), damaged),
        ("blank before", format!("\n{good}"), damaged),
        ("text before", format!("x\n{good}"), damaged),
        ("blank after", format!("{good}\n \t\r\n"), Good),
        ("text after", format!("{good}x\n"), Stricter("text follows its last line")),
        ("twice", format!("{good}{good}"), Stricter("text follows its last line")),
        ("text after the last dash", format!("{}x\n", good.trim_end()), Stricter("text follows its last line")),
        ("indented", format!(" {}", lines.join("\n ")), damaged),
        ("no line ends", good.replace('\n', ""), damaged),
        ("no last line", good.replace(FOOTER, ""), damaged),
        ("no first line", body.clone() + FOOTER, damaged),
        ("last line glued on", good.replace("\n-----END", "-----END"), damaged),
        ("no base64", format!("{HEADER}{FOOTER}"), damaged),
        ("no base64 but a line", format!("{HEADER}\n{FOOTER}"), damaged),
        ("a line lost", good.replacen(&format!("{}\n", lines[2]), "", 1), damaged),
        ("a character lost", good.replacen(lines[2], &lines[2][1..], 1), damaged),
        ("a foreign character", good.replacen(lines[2], &format!("*{}", &lines[2][1..]), 1), damaged),
        ("base64 for URLs", format!("{HEADER}{}\n{FOOTER}", STANDARD.encode(&blob).replace('A', "-")), damaged),
        ("padding too much", good.replace("\n-----END", "====\n-----END"), damaged),
        ("one byte less", armored(&blob[..blob.len() - 1]), damaged),
        ("one bit changed", armored(&flipped), Bad("does not fit")),
        ("one byte more", armored(&[&blob[..], &[0]].concat()), damaged),
        ("cut in the middle", armored(&blob[..blob.len() / 2]), damaged),
        ("format 2", armored(&newer), Bad("signature format 2 is not supported")),
        ("format 0", armored(&older), Stricter("its version is none that there ever was")),
        ("hash relabelled", patched(&good, b"\0\0\0\x06sha512", b"\0\0\0\x06sha256"), Bad("does not fit")),
        ("hash unknown", patched(&good, b"\0\0\0\x06sha512", b"\0\0\0\x04sha1"), Bad("hash `sha1` is not supported")),
        ("something reserved", patched(&good, b"\0\0\0\0\0\0\0\x06sha512", b"\0\0\0\x01x\0\0\0\x06sha512"), Good),
        ("inner algorithm unknown", patched(&good, b"ssh-ed25519", b"ssh-ed25518"), Bad("`ssh-ed25518` is not supported")),
        ("inner algorithm of another key", patched(&good, b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x07ssh-rsa\0\0\0\0"), Bad("")),
    ];
    for (name, signature, verdict) in cases {
        let question = Question { signature: signature.into_bytes(), ..base.clone() };
        question.ask(&rig, name, verdict);
    }
    let with_crlf = String::from_utf8_lossy(MESSAGE).replace('\n', "\r\n").into_bytes();
    for (name, message) in
        [("edited", &b"{}"[..]), ("empty", b""), ("CRLF", &with_crlf), ("longer", &[MESSAGE, b"\n"].concat())]
    {
        let question = Question { message: message.to_vec(), ..base.clone() };
        question.ask(&rig, name, Bad("does not fit"));
    }
}

#[test]
fn bits_that_base64_leaves_over_must_be_zero() {
    let rig = Rig::new();
    rig.make_key("key", &["-t", "ed25519"]);
    let good = String::from_utf8(rig.sign("key", NAMESPACE_GIT, MESSAGE)).expect("text");
    let question =
        Question { namespace: NAMESPACE_GIT.to_owned(), signature: good.clone().into_bytes(), ..good_question(&rig) };
    question.ask(&rig, "good", Verdict::Good);
    let at = good.find("=\n").expect("padding") - 1;
    let mut changed = good.into_bytes();
    // the last character before one `=` holds four bits, so its number is a multiple of 4: the next one has a bit left over
    changed[at] = match changed[at] {
        b'8' => b'9',
        letter => letter + 1,
    };
    let question = Question { signature: changed, ..question };
    question.ask(&rig, "a bit left over", Verdict::Bad("base64"));
}
