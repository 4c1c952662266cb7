//! What holds for every text.

use super::super::{KINDS, Redactor};
use super::{capitals, gitlab, hex, jwt, letters, plain, private_key, with};
use proptest::prelude::*;
use std::borrow::Cow;
use std::time::{Duration, Instant};

const VALUE: &str = "Wq7-zR4_nB2!";

fn secrets() -> Vec<String> {
    vec![
        gitlab(),
        ["gl", "cbt-", &jwt()].concat(),
        ["AKIA", &capitals(16)].concat(),
        ["gh", "p_", &letters(36)].concat(),
        ["xoxb", "-12345-", &letters(24)].concat(),
        ["sk", "_live_", &letters(24)].concat(),
        jwt(),
        private_key("OPENSSH "),
        VALUE.to_owned(),
    ]
}

/// Parts that the rules look for, so that texts made of them come near to secrets.
fn parts() -> Vec<String> {
    let mut parts: Vec<String> = [
        "glpat-",
        "GR1348941",
        "AKIA",
        "ghp_",
        "github_pat_",
        "xoxb-",
        "hooks.slack.com/services/",
        "sk_live_",
        "whsec_",
        "eyJ",
        ".",
        "-----",
        "-----BEGIN RSA ",
        "-----END RSA ",
        "PRIVATE KEY-----",
        "://",
        ":",
        "@",
        "/",
        "?",
        "=",
        "&",
        "%",
        "%40",
        "%3A",
        "%C3%A4",
        "\\n",
        "\n",
        " ",
        "\"",
        "'",
        "[",
        "]",
        "[redacted:",
        "[redacted:jwt]",
        "variable:A_TOKEN]",
        "jwt]",
        "authorization",
        "Bearer ",
        "private_token=",
        "PRIVATE-TOKEN: ",
        "secret_key=",
        "password=",
        "LS0tLS1CRUdJTi",
        "https",
        "ä",
        "🚀",
        "$TOKEN",
        "Wq7-",
        "zR4_nB2!",
        "a",
        "B",
        "7",
    ]
    .map(str::to_owned)
    .to_vec();
    parts.extend(secrets());
    parts.extend(KINDS.map(str::to_owned));
    parts.extend([letters(20), hex(40), letters(64), capitals(16)]);
    parts
}

fn composed() -> impl Strategy<Value = String> {
    let part = prop_oneof![proptest::sample::select(parts()), "\\PC{0,6}", "[a-zA-Z0-9+/=]{0,40}"];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn redactor() -> Redactor {
    with(&[("A_TOKEN", VALUE), ("B_SECRET", "abcabcabcabc"), ("C_PASSWORD", "gitlab-token"), ("D_KEY", "jwt]äö[redacted:")])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn redacting_twice_changes_nothing_more(text in composed()) {
        let redactor = redactor();
        let once = redactor.redact(&text).text.into_owned();
        let twice = redactor.redact(&once);
        prop_assert_eq!(&twice.text, &once);
        prop_assert!(twice.hits.is_empty());
        prop_assert_eq!(redactor.finds(&once), None);
        prop_assert_eq!(redactor.finds(&text).is_some(), once != text);
    }

    #[test]
    fn no_value_survives(before in composed(), after in composed()) {
        let text = format!("{before}{VALUE}{after}");
        let redactor = redactor();
        let result = redactor.redact(&text);
        prop_assert!(!result.text.contains(VALUE), "{}", result.text);
        prop_assert!(!result.hits.is_empty());
        for hit in &result.hits {
            prop_assert!(KINDS.contains(&hit.kind.as_str()) || hit.kind.starts_with("variable:"));
        }
    }

    #[test]
    fn no_token_survives(
        before in "\\PC*",
        secret in proptest::sample::select(secrets()),
        after in "\\PC*",
    ) {
        let text = format!("{before} {secret} {after}");
        let result = redactor().redact(&text).text.into_owned();
        for part in secret.as_bytes().windows(12) {
            let part = std::str::from_utf8(part).expect("the secrets are ASCII");
            prop_assert!(!result.contains(part), "{} in {}", part, result);
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged(text in "[a-zäöü ,.;()\r\n]*") {
        let result = plain().redact(&text);
        prop_assert!(matches!(result.text, Cow::Borrowed(_)));
        prop_assert_eq!(&result.text, &text);
    }
}

/// The same part again and again, of the kind that makes a careless search quadratic.
#[test]
fn hostile_texts_take_linear_time() {
    let size = if cfg!(debug_assertions) { 300_000 } else { 10_000_000 };
    let redactor = redactor();
    let mut parts = parts();
    parts.extend(
        [
            "eyJaaaaaaaa.",
            "://a:",
            "://a:b@",
            "://a:b/",
            "glpat-a.",
            "glpat-....",
            "x ",
            "\\\\",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----AAAAAAAAAAAAAAAA ",
            "abc",
            "authorization:        ",
            "bearer ",
            "private_token=$A",
            "AAAAAAAAAAAAAAAA ",
            "%25",
            "AAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-",
            "xoxb-xoxb-",
            "Wq7-zR4_nB2",
            "%57q7-zR4",
        ]
        .map(str::to_owned),
    );
    for part in parts {
        let text = part.repeat(size / part.len() + 1);
        let start = Instant::now();
        redactor.redact(&text);
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(5), "{taken:?} for {part}");
    }
}
