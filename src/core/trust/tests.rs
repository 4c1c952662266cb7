use super::*;
use ssh_key::PrivateKey;
use ssh_key::private::{Ed25519Keypair, KeypairData};

const OPTIONS: &str = "namespaces=\"git,deploy-record\"";

fn key(seed: u8) -> PublicKey {
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&[seed; 32]));
    PrivateKey::new(pair, "").expect("key").public_key().clone()
}

fn text_of(seed: u8) -> String {
    key(seed).to_string()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("time")
}

fn parse(text: &str) -> Result<AllowedSigners, TrustError> {
    AllowedSigners::parse(text)
}

#[test]
fn lines_are_read_with_all_that_they_say() {
    let text = format!(
        "# people\r\n\n \t \nalice {OPTIONS} {}\n\t\"ci:my runner\"\tnamespaces=\"git,deploy-record,deploy-record-spool,x\",valid-after=\"20260102Z\",\
         valid-before=\"20270304050607Z\"  {}  laptop of alice \r\nci:main valid-before=\"202801020304Z\",{OPTIONS} {}",
        text_of(1),
        text_of(2).replace(' ', "\t"),
        text_of(3)
    );
    let signers = parse(&text).expect("good");
    let [alice, runner, main] = signers.entries() else { panic!("{signers:?}") };
    assert_eq!((alice.line, alice.principal.as_str(), &alice.key), (4, "alice", &key(1)));
    assert_eq!(alice.namespaces, ["git", "deploy-record"]);
    assert_eq!((alice.valid_after, alice.valid_before), (None, None));
    assert_eq!((runner.line, runner.principal.as_str(), runner.key.comment()), (5, "ci:my runner", "laptop of alice"));
    assert_eq!(runner.namespaces, ["git", "deploy-record", "deploy-record-spool", "x"]);
    assert_eq!(runner.valid_after, Some(time("2026-01-02T00:00:00Z")));
    assert_eq!(runner.valid_before, Some(time("2027-03-04T05:06:07Z")));
    assert_eq!(main.valid_before, Some(time("2028-01-02T03:04:00Z")));
    assert_eq!(signers.principals_of(&key(2)), Some("ci:my runner"));
    assert_eq!(signers.principals_of(&key(9)), None);
    for empty in ["", "\n\n", "# nobody", "\r\n#\r\n"] {
        assert_eq!(parse(empty).map(|signers| signers.entries().len()), Ok(0));
    }
}

#[test]
fn a_broken_rule_is_named_with_its_line_and_what_to_write() {
    let key = text_of(1);
    let other = text_of(2);
    let (_, base64) = key.split_once(' ').expect("two words");
    let with = |options: &str| format!("alice {options} {key}");
    let window = |window: &str| with(&format!("{OPTIONS},{window}"));
    let long = "x".repeat(256);
    let cases: Vec<(String, Problem)> = vec![
        (format!("\u{feff}alice {OPTIONS} {key}"), Problem::ByteOrderMark),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(), Problem::PrivateKey),
        (format!("alice {OPTIONS} b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"), Problem::PrivateKey),
        ("LS0tLS1CRUdJTiBPUEVOU1NI".to_owned(), Problem::PrivateKey),
        (key.clone(), Problem::NoPrincipal),
        (format!("* {OPTIONS} {key}"), Problem::Wildcard),
        (format!("ci:* {OPTIONS} {key}"), Problem::Wildcard),
        (format!("ci:? {OPTIONS} {key}"), Problem::Wildcard),
        (format!("!bob {OPTIONS} {key}"), Problem::Wildcard),
        (format!("alice,bob {OPTIONS} {key}"), Problem::SeveralPrincipals),
        (format!("\"alice {OPTIONS} {key}"), Problem::Principal("holds `=`".to_owned())),
        (format!("\"alice {key}"), Problem::OpenQuote),
        (format!("\"\" {OPTIONS} {key}"), Problem::Principal("is empty".to_owned())),
        (format!("\" alice\" {OPTIONS} {key}"), Problem::Principal("begins or ends".to_owned())),
        (format!("alice@acme.example {OPTIONS} {key}"), Problem::Principal("holds `@`".to_owned())),
        (format!("älice {OPTIONS} {key}"), Problem::Principal("holds `ä`".to_owned())),
        (format!("{long} {OPTIONS} {key}"), Problem::Principal("is 256".to_owned())),
        (with("cert-authority"), Problem::CertAuthority),
        (window("cert-authority"), Problem::CertAuthority),
        (with(""), Problem::NoNamespaces),
        (with("valid-after=\"20260101Z\""), Problem::NoNamespaces),
        (with("namespaces=\"git\""), Problem::NamespaceLacking("deploy-record")),
        (with("namespaces=\"deploy-record\""), Problem::NamespaceLacking("git")),
        (with("namespaces=\"gits,deploy-records\""), Problem::NamespaceLacking("git")),
        (with("namespaces=\"*\""), Problem::Namespaces),
        (with("namespaces=\"git,deploy-record,!x\""), Problem::Namespaces),
        (with("namespaces=\"git, deploy-record\""), Problem::Namespaces),
        (with("namespaces=\"git,,deploy-record\""), Problem::Namespaces),
        (with("namespaces=\"\""), Problem::Namespaces),
        (with("namespaces=git,deploy-record"), Problem::NotQuoted("namespaces")),
        (with("namespaces"), Problem::NotQuoted("namespaces")),
        (with("namespaces=\"git,deploy-record\"x"), Problem::NotQuoted("namespaces")),
        (with("namespaces=\"git,deploy-record"), Problem::OpenQuote),
        (window(OPTIONS), Problem::OptionTwice("namespaces")),
        (window("valid-after=\"20260101Z\",valid-after=\"20260101Z\""), Problem::OptionTwice("valid-after")),
        (with("Namespaces=\"git,deploy-record\""), Problem::UnknownOption("before the key".to_owned())),
        (window("no-touch=\"x\""), Problem::UnknownOption("`no-touch`".to_owned())),
        (window(""), Problem::UnknownOption("before the key".to_owned())),
        (with(&format!("{OPTIONS}, valid-after=\"20260101Z\"")), Problem::UnknownOption("before the key".to_owned())),
        (window("valid-after=\"20260101\""), Problem::NoZone("valid-after")),
        (window("valid-before=\"202601010000\""), Problem::NoZone("valid-before")),
        (window("valid-before=\"20260101000000\""), Problem::NoZone("valid-before")),
        (window("valid-before=\"20260101z\""), Problem::Time("valid-before")),
        (window("valid-before=\"20260101UTC\""), Problem::Time("valid-before")),
        (window("valid-before=\"2026-01-01Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"20260229Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"20261301Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"202601012400Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"20260101000060Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"2026010100Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"+2026011Z\""), Problem::Time("valid-before")),
        (window("valid-before=\"Z\""), Problem::Time("valid-before")),
        (window("valid-after=\"19700101Z\""), Problem::Time("valid-after")),
        (window("valid-after=\"20260102Z\",valid-before=\"20260102Z\""), Problem::NeverValid),
        (window("valid-after=\"20260103Z\",valid-before=\"20260102Z\""), Problem::NeverValid),
        ("alice".to_owned(), Problem::NoKey),
        (format!("alice {OPTIONS}"), Problem::NoKey),
        (format!("alice {OPTIONS} ssh-ed25519"), Problem::NoKey),
        (format!("alice {OPTIONS} {base64}"), Problem::NoKey),
        (format!("alice {OPTIONS} {base64} x"), Problem::BrokenKey),
        (format!("alice {OPTIONS} {}", &key[..key.len() - 1]), Problem::BrokenKey),
        (format!("alice {OPTIONS} {}", &key[..key.len() - 4]), Problem::BrokenKey),
        (format!("alice {OPTIONS} {key}AAAA"), Problem::BrokenKey),
        (format!("alice {OPTIONS} ssh-rsa {base64}"), Problem::BrokenKey),
        (format!("alice {OPTIONS} ssh-dss {base64}"), Problem::UnsupportedKey("key type `ssh-dss`".to_owned())),
        (
            format!("alice {OPTIONS} ssh-ed25519-cert-v01@openssh.com {base64}"),
            Problem::UnsupportedKey("key type `ssh-ed25519-cert-v01@openssh.com`".to_owned()),
        ),
        (format!("bob {OPTIONS} {other}"), Problem::KeyOfAnother { line: 2, principal: "carol".to_owned() }),
    ];
    for (line, expected) in cases {
        let is_first = expected == Problem::ByteOrderMark;
        let before = if is_first { String::new() } else { format!("# people\ncarol {OPTIONS} {other}\r\n") };
        let error = parse(&format!("{before}{line}\ndave {OPTIONS} {}\n", text_of(4))).expect_err(&line);
        assert_eq!(error.line, if is_first { 1 } else { 3 }, "{line}");
        match (&expected, &error.problem) {
            (Problem::Principal(start), Problem::Principal(found)) => {
                assert!(found.starts_with(start), "{line}: {found}")
            }
            (expected, found) => assert_eq!(found, expected, "{line}"),
        }
        let shown = format!("{error} {error:?}");
        assert!(shown.starts_with(&format!("allowed_signers line {}: ", error.line)), "{shown}");
        assert!(!shown.contains(&base64[30..]) && !shown.contains("b3BlbnN"), "{shown}");
    }
}

#[test]
fn the_nearest_reason_is_given() {
    let spool = "namespaces=\"git,deploy-record,deploy-record-spool\"";
    let text = format!(
        "alice {OPTIONS},valid-after=\"20260101Z\",valid-before=\"20260201Z\" {one}\n\
         alice {OPTIONS},valid-after=\"20260401Z\",valid-before=\"20260501Z\" {one}\n\
         alice {spool},valid-before=\"20260115Z\" {one}\n\
         alice {OPTIONS} {two}\n",
        one = text_of(1),
        two = text_of(2)
    );
    let signers = parse(&text).expect("good");
    let (january, april) = (time("2026-01-01T00:00:00Z"), time("2026-04-01T00:00:00Z"));
    let (february, may) = (time("2026-02-01T00:00:00Z"), time("2026-05-01T00:00:00Z"));
    let middle = time("2026-01-15T00:00:00Z");
    let cases = [
        ("alice", 1, "git", "2026-02-01T00:00:00Z", Ok(())),
        ("alice", 1, "git", "2026-02-01T00:00:00.900Z", Ok(())),
        ("alice", 1, "git", "2026-02-01T00:00:01Z", Err(Distrust::Expired { at: february })),
        ("alice", 1, "git", "2026-03-31T23:59:59Z", Err(Distrust::Expired { at: february })),
        ("alice", 1, "git", "2026-04-01T00:00:00Z", Ok(())),
        ("alice", 1, "git", "2026-05-01T00:00:01Z", Err(Distrust::Expired { at: may })),
        ("alice", 1, "deploy-record", "2025-12-31T23:59:59Z", Ok(())),
        ("alice", 1, "deploy-record-spool", "2026-01-15T00:00:00Z", Ok(())),
        ("alice", 1, "deploy-record-spool", "2026-01-15T00:00:01Z", Err(Distrust::Expired { at: middle })),
        ("alice", 1, "file", "2026-01-15T00:00:00Z", Err(Distrust::Namespace)),
        ("alice", 2, "git", "1999-01-01T00:00:00Z", Ok(())),
        ("Alice", 2, "git", "2026-01-01T00:00:00Z", Err(Distrust::OtherPrincipal { listed: "alice".to_owned() })),
        ("", 2, "git", "2026-01-01T00:00:00Z", Err(Distrust::OtherPrincipal { listed: "alice".to_owned() })),
        ("alice", 3, "git", "2026-01-01T00:00:00Z", Err(Distrust::UnknownKey)),
    ];
    for (principal, seed, namespace, at, expected) in cases {
        assert_eq!(signers.check(principal, &key(seed), namespace, time(at)), expected, "{principal} {seed} {namespace} {at}");
    }
    let two_windows: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    let signers = parse(&two_windows).expect("good");
    let early = signers.check("alice", &key(1), "git", january - chrono::TimeDelta::seconds(1));
    assert_eq!(early, Err(Distrust::NotYetValid { from: january }));
    assert_eq!(
        early.map_err(|distrust| distrust.to_string()),
        Err("the key counts only from 2026-01-01T00:00:00Z on".to_owned())
    );
    let later: String = two_windows.lines().skip(1).collect();
    let early = parse(&later).expect("good").check("alice", &key(1), "git", january);
    assert_eq!(early, Err(Distrust::NotYetValid { from: april }));
}

#[test]
fn the_comment_of_a_key_makes_no_difference() {
    let signers = parse(&format!("alice {OPTIONS} {} a\nalice {OPTIONS} {} b\n", text_of(1), text_of(1))).expect("good");
    let mut commented = key(1);
    commented.set_comment("c");
    assert_eq!(signers.check("alice", &commented, "git", time("2026-01-01T00:00:00Z")), Ok(()));
}

#[test]
fn the_line_to_add_can_be_added() {
    for principal in ["alice", "ci:main", "ci:my runner"] {
        let mut commented = key(1);
        commented.set_comment("alice@acme.example\nmallory x");
        let line = line_to_add(principal, &commented);
        let signers = parse(&line).expect("good");
        assert_eq!(signers.principals_of(&key(1)), Some(principal));
        assert!(!line.contains("acme") && !line.contains('\n'), "{line}");
    }
    let plain = format!("alice {OPTIONS} {}", text_of(1));
    assert_eq!(line_to_add("alice", &key(1)), plain);
}

#[test]
fn a_revocation_counts_from_the_next_record_on() {
    let revocations = [("SHA256:a", 5), ("SHA256:b", 0), ("SHA256:a", 9)]
        .map(|(fingerprint, after)| Revocation { fingerprint: fingerprint.to_owned(), after });
    let cases = [
        ("SHA256:a", 5, false),
        ("SHA256:a", 6, true),
        ("SHA256:b", 0, false),
        ("SHA256:b", 1, true),
        ("SHA256:c", u64::MAX, false),
        ("SHA256:A", 6, false),
        ("", 6, false),
    ];
    for (fingerprint, seq, expected) in cases {
        assert_eq!(revoked(&revocations, fingerprint, seq), expected, "{fingerprint} {seq}");
    }
    assert!(!revoked(&[], "SHA256:a", 1));
}
