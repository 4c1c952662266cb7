//! Values of variables: which names and values count, in which spellings they are found, and how they are shown.

use super::super::{Hit, Redactor};
use super::{gitlab, letters, plain, private_key, with};

fn is_taken(name: &str, value: &str) -> bool {
    let found = with(&[(name, value)]).finds(&format!("a {} b", value.trim()));
    found == Some(format!("variable:{name}"))
}

#[test]
fn names_of_secrets() {
    let names = [
        "CI_JOB_TOKEN",
        "ci_job_token",
        "dbPassword",
        "PGPASSWORD",
        "DB_PASSWD",
        "MY_SECRET",
        "KEY_PASSPHRASE",
        "PRIVATE_VALUE",
        "AWS_CREDENTIALS",
        "API_KEY",
        "NPM_APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "DOCKER_AUTH_CONFIG",
        "AUTHORIZATION",
        "OAUTH",
        "SIGNING_KEY",
        "DB_PASS",
        "SSHPASS",
        "MYSQL_PWD",
        "GITLAB_PAT",
        "SENTRY_DSN",
        "DEPLOY_JWT",
        "MATTERMOST_WEBHOOK_URL",
        "TOKENS",
        "Api_Key",
    ];
    for name in names {
        assert!(is_taken(name, "Wq7-zR4_nB2!"), "{name}");
    }
}

#[test]
fn names_of_other_things() {
    let names = [
        "PATH",
        "HOME",
        "CI_COMMIT_AUTHOR",
        "GIT_AUTHOR_NAME",
        "XAUTHORITY",
        "KEYBOARD",
        "MONKEY",
        "SSH_PUBLIC_KEY",
        "CI_COMMIT_SHA",
        "CI_PIPELINE_ID",
        "COMPASS",
        "XPATH",
        "PWD",
        "OLDPWD",
        "GITLAB_USER_LOGIN",
        "",
    ];
    for name in names {
        assert!(!is_taken(name, "Wq7-zR4_nB2!"), "{name}");
    }
}

#[test]
fn values_that_count() {
    let values = [
        "12345678",
        "hunter2hunter2",
        "supersecret",
        "changeme",
        "  Wq7-zR4_nB2!\n",
        "päss wörd!",
        "/9j4AAQSkZJRgABA/QEAYABgAAD",
        "$ecret-word",
        "/hunter2hunter2",
    ];
    for value in values {
        assert!(is_taken("DB_PASSWORD", value), "{value}");
    }
    let hook = ["https://chat.acme.example/hooks/", "abc"].concat();
    assert!(is_taken("CHAT_WEBHOOK", &hook));
    let address = format!("https://acme.example/x/{}", letters(26));
    assert!(is_taken("SECRET_URL", &address));
    assert!(is_taken("SIGNING_KEY", "correct-horse-battery"));
}

#[test]
fn values_that_would_only_do_harm() {
    let values = [
        "",
        "short",
        "seven77",
        "          ",
        "true",
        "false",
        "disabled",
        "Required",
        "undefined",
        "********",
        "xxxxxxxxxxxx",
        "$CI_JOB_TOKEN",
        "${CI_JOB_TOKEN}",
        "[MASKED]",
        "/run/secrets/database",
        "/builds/acme/app.tmp/DEPLOY_KEY",
        "https://login.acme.example/oauth/token",
        "A_TOKEN",
    ];
    for value in values {
        assert!(!is_taken("A_TOKEN", value), "{value}");
    }
    assert!(!is_taken("AUTH_MODE", "kubernetes"));
    assert!(!is_taken("CACHE_KEY", "production"));
    assert!(!is_taken("REDACTED_SECRET", "redacted"));
}

#[test]
fn eight_bytes_are_the_least() {
    assert!(!is_taken("A_TOKEN", "aB3dE6g"));
    assert!(is_taken("A_TOKEN", "aB3dE6gH"));
}

#[test]
fn spellings_of_a_value() {
    let redactor = with(&[("DB_PASSWORD", "p\"ä/ss+w%rd: 1 x~!")]);
    // Made with Python: urllib.parse.quote, quote_plus, json.dumps(ensure_ascii=False), base64.
    let spellings = [
        "p\"ä/ss+w%rd: 1 x~!",
        "p%22%C3%A4%2Fss%2Bw%25rd%3A%201%20x~%21",
        "p%22%c3%a4%2fss%2bw%25rd%3a%201%20x~%21",
        "p%22%C3%A4/ss%2Bw%25rd%3A%201%20x~!",
        "p%22ä/ss+w%25rd:%201%20x~!",
        "p%22%C3%A4%2Fss%2Bw%25rd%3A+1+x~%21",
        "%70%22%C3%A4%2F%73%73%2B%77%25%72%64%3A%20%31%20%78%7E%21",
        "p\\\"ä/ss+w%rd: 1 x~!",
        "cCLDpC9zcyt3JXJkOiAxIHh+IQ==",
        "cCLDpC9zcyt3JXJkOiAxIHh+IQ",
        "cCLDpC9zcyt3JXJkOiAxIHh-IQ==",
    ];
    for spelling in spellings {
        let text = format!("is <{spelling}>");
        let expected = "is <[redacted:variable:DB_PASSWORD]>";
        assert_eq!(redactor.redact(&text).text, expected, "{spelling}");
    }
}

#[test]
fn base64_of_a_value_among_others() {
    let redactor = with(&[("DB_PASSWORD", "Wq7-zR4_nB2!")]);
    // base64 of `u:`, `bo:`, `bob:` and the value, with and without a line end: every alignment.
    let texts = [
        "dTpXcTctelI0X25CMiE=",
        "Ym86V3E3LXpSNF9uQjIh",
        "Ym9iOldxNy16UjRfbkIyIQ==",
        "dTpXcTctelI0X25CMiEK",
        "Ym9iOldxNy16UjRfbkIyIQo=",
    ];
    for text in texts {
        let result = redactor.redact(text);
        assert_eq!(result.hits.len(), 1, "{text}");
        assert!(result.text.len() < 45, "{}", result.text);
    }
}

#[test]
fn lines_of_a_value() {
    let key = private_key("OPENSSH ");
    let redactor = with(&[("SSH_PRIVATE_KEY", &key)]);
    let marker = "[redacted:variable:SSH_PRIVATE_KEY]";
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert_eq!(redactor.redact(line).text, marker);
        assert_eq!(redactor.redact(&format!("1 {line}!")).text, format!("1 {marker}!"));
    }
    assert_eq!(redactor.redact(&key).text, marker);
    assert_eq!(redactor.redact(&key.replace('\n', "\r\n")).hits.len(), 1);
    for armor in key.lines().filter(|line| line.starts_with('-')) {
        assert_eq!(redactor.redact(armor).text, armor);
    }
}

#[test]
fn written_out_line_ends_are_line_ends() {
    let lines = [letters(30), letters(40)];
    let redactor = with(&[("MY_SECRET", &lines.join("\\n"))]);
    let text = lines.join("\n");
    let marker = "[redacted:variable:MY_SECRET]";
    assert_eq!(redactor.redact(&text).text, format!("{marker}\n{marker}"));
}

#[test]
fn overlapping_values_leave_no_remainder() {
    let redactor = with(&[
        ("A_TOKEN", "alpha-12345678"),
        ("LONGER_TOKEN", "alpha-12345678-omega"),
        ("OTHER_TOKEN", "12345678-omega-psi"),
        ("ECHO_TOKEN", "abcdabcdab"),
    ]);
    let cases = [
        ("x alpha-12345678 y", "x [redacted:variable:A_TOKEN] y"),
        ("alpha-12345678-omega", "[redacted:variable:LONGER_TOKEN]"),
        ("alpha-12345678-omega-psi", "[redacted:variable:LONGER_TOKEN]"),
        ("(abcdabcdabcdabcdab)", "([redacted:variable:ECHO_TOKEN])"),
    ];
    for (text, expected) in cases {
        assert_eq!(redactor.redact(text).text, expected);
    }
}

#[test]
fn a_variable_names_the_secret_rather_than_its_format() {
    let token = gitlab();
    let redactor = with(&[("CI_DEPENDENCY_PROXY_PASSWORD", &token), ("CI_JOB_TOKEN", &token)]);
    let text = format!("https://gitlab-ci-token:{token}@gitlab.acme.example/a.git");
    assert_eq!(
        redactor.redact(&text).text,
        "https://gitlab-ci-token:[redacted:variable:CI_JOB_TOKEN]@gitlab.acme.example/a.git"
    );
}

#[test]
fn names_cannot_break_the_marker() {
    let redactor = with(&[("A[B]\nTOKEN", "Wq7-zR4_nB2!")]);
    let result = redactor.redact("Wq7-zR4_nB2!");
    assert_eq!(result.text, "[redacted:variable:A_B__TOKEN]");
    assert_eq!(redactor.redact(&result.text).text, result.text);
}

#[test]
fn markers_are_not_searched_for_values() {
    let redactor = with(&[("A_TOKEN", "gitlab-token"), ("B_TOKEN", "variable:A_TOKEN")]);
    for text in ["[redacted:gitlab-token]", "[redacted:variable:A_TOKEN]"] {
        assert_eq!(redactor.redact(text).text, text);
        assert_eq!(redactor.finds(text), None);
    }
    assert_eq!(redactor.redact("[redacted:no-such-gitlab-token]").hits.len(), 1);
}

#[test]
fn allowed_kinds_are_left_alone() {
    let variables = || [("A_TOKEN", "Wq7-zR4_nB2!"), ("B_TOKEN", "otherValue99")];
    let owned = || variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = format!("{} Wq7-zR4_nB2! otherValue99", gitlab());
    let cases: [(&[&str], &[&str]); 4] = [
        (&[], &["gitlab-token", "variable:A_TOKEN", "variable:B_TOKEN"]),
        (&["gitlab-token"], &["variable:A_TOKEN", "variable:B_TOKEN"]),
        (&["variable:A_TOKEN"], &["gitlab-token", "variable:B_TOKEN"]),
        (&["gitlab-token", "variable:A_TOKEN", "variable:B_TOKEN"], &[]),
    ];
    for (allow, expected) in cases {
        let allow: Vec<String> = allow.iter().map(|kind| (*kind).to_owned()).collect();
        let hits = Redactor::new(owned(), &allow).redact(&text).hits;
        let hit = |kind: &&str| Hit { kind: (*kind).to_owned() };
        assert_eq!(hits, expected.iter().map(hit).collect::<Vec<_>>());
    }
}

#[test]
fn debug_shows_no_value() {
    let redactor = with(&[("A_TOKEN", "Wq7-zR4_nB2!"), ("HOME", "/home/bob")]);
    let shown = format!("{redactor:?} {:#?}", redactor.redact("Wq7-zR4_nB2!"));
    assert!(shown.contains("variable:A_TOKEN"));
    assert!(!shown.contains("Wq7"), "{shown}");
    assert!(!shown.contains("HOME"), "{shown}");
    assert!(!format!("{:?}", plain()).is_empty());
}
