//! Lines of `allowed_signers`: who, what for, from when, until when.

use super::rig::Verdict::{Bad, Good, Stricter};
use super::rig::{MESSAGE, OPTIONS, Question, Rig, Verdict, good_question, time};
use deploy_record::core::seal::{self, NAMESPACE_GIT, NAMESPACE_RECORD, NAMESPACE_SPOOL};
use deploy_record::core::trust::{self, AllowedSigners};

fn rig() -> Rig {
    let rig = Rig::new();
    rig.make_key("key", &["-t", "ed25519"]);
    rig.make_key("other", &["-t", "ecdsa"]);
    rig
}

#[test]
fn verdicts_on_lines_agree() {
    let rig = rig();
    let base = good_question(&rig);
    let (key, other) = (rig.public_text("key"), rig.public_text("other"));
    let tabs = format!("alice {OPTIONS} {key}").replace(' ', "\t");
    let cases: Vec<(&str, String, Verdict)> = vec![
        ("comments and blank lines", format!("# x\n\n \t\n  # y\nalice {OPTIONS} {key}\n"), Good),
        ("CRLF", format!("# x\r\n\r\nalice {OPTIONS} {key}\r\n"), Good),
        ("CRLF after a comment", format!("alice {OPTIONS} {key} laptop\r\n"), Good),
        ("no final line end", format!("alice {OPTIONS} {key}"), Good),
        ("a comment with blanks and signs", format!("alice {OPTIONS} {key} a \"b\", #c=*"), Good),
        ("tabs", tabs, Good),
        ("blanks at both ends", format!("  alice  {OPTIONS}   {key}  \n"), Good),
        ("quoted principal", format!("\"alice\" {OPTIONS} {key}\n"), Good),
        ("other principal", format!("bob {OPTIONS} {key}\n"), Bad("belongs to `bob`")),
        ("principal in capitals", format!("Alice {OPTIONS} {key}\n"), Bad("belongs to `Alice`")),
        ("longer principal", format!("alice2 {OPTIONS} {key}\n"), Bad("belongs to `alice2`")),
        ("other key", format!("alice {OPTIONS} {other}\n"), Bad("not in allowed_signers")),
        ("nobody", String::new(), Bad("not in allowed_signers")),
        ("commented out", format!("#alice {OPTIONS} {key}\n"), Bad("not in allowed_signers")),
        ("rotation, new key", format!("alice {OPTIONS} {other}\nalice {OPTIONS} {key}\n"), Good),
        ("rotation, old key", format!("alice {OPTIONS} {key}\nalice {OPTIONS} {other}\n"), Good),
        ("the same line twice", format!("alice {OPTIONS} {key}\nalice {OPTIONS} {key}\n"), Good),
        ("byte order mark", format!("\u{feff}alice {OPTIONS} {key}\n"), Bad("byte order mark")),
        ("no principal", format!("{key}\n"), Bad("no principal")),
        ("no key", format!("alice {OPTIONS}\n"), Bad("key is missing")),
        ("cut key", format!("alice {OPTIONS} {}\n", &key[..key.len() - 4]), Bad("key is broken")),
        ("key of another type", format!("alice {OPTIONS} {}\n", key.replace("ssh-ed25519", "ssh-rsa")), Bad("key is broken")),
        ("unquoted", format!("alice namespaces=git,deploy-record {key}\n"), Bad("in double quotes")),
        ("quote left open", format!("alice namespaces=\"git,deploy-record {key}\n"), Bad("not closed")),
        ("principal's quote left open", format!("\"alice {key}\n"), Bad("not closed")),
        ("unknown option", format!("alice {OPTIONS},x=\"y\" {key}\n"), Bad("`x` is unknown")),
        ("blank between options", format!("alice {OPTIONS}, valid-after=\"20200101Z\" {key}\n"), Bad("is unknown")),
        ("option twice", format!("alice {OPTIONS},{OPTIONS} {key}\n"), Bad("given twice")),
        (
            "never valid",
            format!("alice {OPTIONS},valid-after=\"20260101Z\",valid-before=\"20260101Z\" {key}\n"),
            Bad("later than"),
        ),
        ("no date", format!("alice {OPTIONS},valid-after=\"soon\" {key}\n"), Bad("is none")),
        ("first second", format!("alice {OPTIONS},valid-after=\"19700101Z\" {key}\n"), Bad("is none")),
        ("certificates only", format!("alice cert-authority,{OPTIONS} {key}\n"), Bad("`cert-authority`")),
        ("wildcard", format!("* {OPTIONS} {key}\n"), Stricter("are not allowed in a principal")),
        ("pattern", format!("al?ce {OPTIONS} {key}\n"), Stricter("are not allowed in a principal")),
        ("list", format!("bob,alice {OPTIONS} {key}\n"), Stricter("one principal")),
        ("no namespaces", format!("alice {key}\n"), Stricter("`namespaces` is missing")),
        ("one namespace", format!("alice namespaces=\"deploy-record\" {key}\n"), Stricter("lacks `git`")),
        ("any namespace", format!("alice namespaces=\"*\" {key}\n"), Stricter("without blanks and patterns")),
        (
            "option's name in capitals",
            format!("alice {} {key}\n", OPTIONS.replacen("namespaces", "NameSpaces", 1)),
            Stricter("is unknown"),
        ),
        ("local time", format!("alice {OPTIONS},valid-after=\"20200101\" {key}\n"), Stricter("add `Z`")),
        ("zone by name", format!("alice {OPTIONS},valid-after=\"20200101UTC\" {key}\n"), Stricter("is none")),
        ("zone in lower case", format!("alice {OPTIONS},valid-after=\"20200101z\" {key}\n"), Stricter("is none")),
        ("30 February", format!("alice {OPTIONS},valid-after=\"20200230Z\" {key}\n"), Stricter("is none")),
        ("leap second", format!("alice {OPTIONS},valid-after=\"20200101000060Z\" {key}\n"), Stricter("is none")),
        ("two principals", format!("bob {OPTIONS} {key}\nalice {OPTIONS} {key}\n"), Stricter("`bob`'s already (line 1)")),
        ("broken line elsewhere", format!("alice {OPTIONS} {key}\nnonsense\n"), Stricter("line 2: the key is missing")),
        (
            "private key elsewhere",
            format!("alice {OPTIONS} {key}\n-----BEGIN OPENSSH PRIVATE KEY-----\n"),
            Stricter("line 2: this is a private key"),
        ),
    ];
    for (name, allowed, verdict) in cases {
        Question { allowed, ..base.clone() }.ask(&rig, name, verdict);
    }
}

#[test]
fn verdicts_on_principals_agree() {
    let rig = rig();
    let base = good_question(&rig);
    let key = rig.public_text("key");
    let longest = "x".repeat(255);
    for principal in ["ci:main", "A.b_c:d/e-f", "-", "ci:my runner", "a  b", &longest] {
        let allowed = trust::line_to_add(principal, &rig.public_key("key"));
        let question = Question { allowed, principal: principal.to_owned(), ..base.clone() };
        question.ask(&rig, principal, Good);
        let other = Question { principal: format!("{principal}x"), ..question };
        other.ask(&rig, principal, Bad("belongs to"));
    }
    for principal in ["al*", "?lice", "*", "alice,bob", ""] {
        let question = Question { principal: principal.to_owned(), ..base.clone() };
        question.ask(&rig, principal, Bad("belongs to `alice`"));
    }
    let unquoted = Question { allowed: format!("ci:my runner {OPTIONS} {key}"), principal: "ci:my runner".to_owned(), ..base };
    unquoted.ask(&rig, "blank without quotes", Bad("is unknown"));
}

#[test]
fn verdicts_on_namespaces_agree() {
    let rig = rig();
    let base = good_question(&rig);
    let key = rig.public_text("key");
    let two = format!("alice namespaces=\"git,deploy-record\" {key}");
    let four = format!("alice namespaces=\"x,deploy-record-spool,deploy-record,git\" {key}");
    let refused = Bad("may not sign in this namespace");
    for (namespace, with_two, with_four) in [
        (NAMESPACE_RECORD, Good, Good),
        (NAMESPACE_GIT, Good, Good),
        (NAMESPACE_SPOOL, refused, Good),
        ("x", refused, Good),
        ("file", refused, refused),
        ("deploy", refused, refused),
        ("GIT", refused, refused),
    ] {
        let signature = rig.sign("key", namespace, MESSAGE);
        for (allowed, verdict) in [(&two, with_two), (&four, with_four)] {
            let question = Question {
                allowed: allowed.clone(),
                namespace: namespace.to_owned(),
                signature: signature.clone(),
                ..base.clone()
            };
            question.ask(&rig, namespace, verdict);
        }
    }
}

#[test]
fn verdicts_on_times_agree_to_the_second() {
    let rig = rig();
    let base = good_question(&rig);
    let key = rig.public_text("key");
    let line = |window: &str| format!("alice {OPTIONS},{window} {key}\n");
    let after = line("valid-after=\"20260110Z\"");
    let before = line("valid-before=\"202601201530Z\"");
    let both = line("valid-before=\"20260120000001Z\",valid-after=\"20260120000000Z\"");
    let gap = line("valid-before=\"20260110Z\"") + &line("valid-after=\"20260120Z\"");
    let (early, late) = (Bad("counts only from"), Bad("counts only up to"));
    let cases = [
        ("from its first second", &after, "2026-01-10T00:00:00Z", Good),
        ("not a second before", &after, "2026-01-09T23:59:59Z", early),
        ("long after", &after, "2037-12-31T00:00:00Z", Good),
        ("beyond 32 bits", &after, "2099-12-31T23:59:59Z", Good),
        ("up to its last second", &before, "2026-01-20T15:30:00Z", Good),
        ("not a second after", &before, "2026-01-20T15:30:01Z", late),
        ("long before", &before, "1999-01-01T00:00:00Z", Good),
        ("too early by one", &both, "2026-01-19T23:59:59Z", early),
        ("first of two seconds", &both, "2026-01-20T00:00:00Z", Good),
        ("last of two seconds", &both, "2026-01-20T00:00:01Z", Good),
        ("too late by one", &both, "2026-01-20T00:00:02Z", late),
        ("in the first window", &gap, "2026-01-10T00:00:00Z", Good),
        ("between two windows", &gap, "2026-01-10T00:00:01Z", late),
        ("still between", &gap, "2026-01-19T23:59:59Z", late),
        ("in the second window", &gap, "2026-01-20T00:00:00Z", Good),
    ];
    for (name, allowed, at, verdict) in cases {
        Question { allowed: allowed.clone(), at: time(at), ..base.clone() }.ask(&rig, name, verdict);
    }
}

#[test]
fn the_line_to_add_and_the_fingerprint_are_those_of_ssh_keygen() {
    let rig = rig();
    for name in ["key", "other"] {
        let key = rig.public_key(name);
        let printed = String::from_utf8(rig.ssh_keygen(&["-l", "-f", &format!("{name}.pub")], b"")).expect("text");
        assert_eq!(printed.split(' ').nth(1), Some(seal::fingerprint(&key).as_str()));
        let line = trust::line_to_add("ci:main", &key);
        let signers = AllowedSigners::parse(&line).expect("good");
        assert_eq!(signers.principals_of(&key), Some("ci:main"));
        rig.write("allowed", line.as_bytes());
        rig.write("signature", &rig.sign(name, NAMESPACE_GIT, MESSAGE));
        let found = rig.ssh_keygen(&["-Y", "find-principals", "-f", "allowed", "-s", "signature"], b"");
        assert_eq!(found, b"ci:main\n");
    }
}
