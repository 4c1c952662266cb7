//! What is no secret and stays as it is, to the byte.

use super::{armor, capitals, hex, letters, plain, with};
use std::borrow::Cow;

fn check(texts: &[String]) {
    for text in texts {
        let result = plain().redact(text);
        assert_eq!(result.text, *text);
        assert!(matches!(result.text, Cow::Borrowed(_)), "{text}");
        assert!(result.hits.is_empty(), "{text}");
        assert_eq!(plain().finds(text), None, "{text}");
    }
}

#[test]
fn ordinary_texts() {
    let texts = [
        "",
        "\n",
        "\u{feff}Straße nach Zürich, 東京 🚀\r\n",
        "the token was rotated; see token, password and secret",
        "TOKEN=, PASSWORD= and SECRET: none",
        "glpat- alone, gldt-, GR1348941 and glrt-short1",
        "glpat-your-access-token-here and glpat-xxxxxxxxxxxxxxxxxxxx",
        "eyJ alone, eyJhbGciOiJub25lIn0 and eyJhbGci.txt",
        "risk_live_performance2026indicators and task_test_results2026forTeamA",
        "highs_and_lows_of_the_year_2026_in_review_by_the_team, ghp_short",
        "xoxb-your-token-here and xoxb-",
        "AKIA, AKIAVERYLONGNAMEOFSOMETHING and ASIA2026",
        "someone@acme.example, Bob <bob@acme.example>",
        "git@gitlab.acme.example:group/app.git",
        "deploy@host.acme.example:/srv/app/current",
        "ssh://git@gitlab.acme.example:2222/group/app.git@v1",
        "https://gitlab.acme.example/group/app/-/jobs/123?a=b#L4",
        "https://bob@acme.example/x and https://project_12_bot@acme.example",
        "http://localhost:8080/@scope/pkg@1.2.3 and http://[::1]:8080/@x",
        "http://localhost:PORT/@vite/client",
        "'http://h.example:80','bob@acme.example'",
        "http://h.example:80,bob@acme.example",
        "https://oauth2:${GITLAB_TOKEN}@acme.example and https://u:$TOKEN@acme.example",
        "https://user:<password>@acme.example, https://user:[MASKED]@acme.example",
        "https://user:****@acme.example, https://user:{{ pw }}@acme.example",
        "postgres://postgres:@localhost/app",
        "https://a.example/?private_token=$TOKEN&job_token=${CI_JOB_TOKEN}",
        "https://a.example/?private_token=<your_token>&token=short&x=1",
        "access_token: required, private_token: yes",
        "PRIVATE-TOKEN: <your_access_token>, JOB-TOKEN: $CI_JOB_TOKEN",
        "Authorization: Bearer <token>, Authorization: Bearer $TOKEN",
        "Authorization: Basic authentication is switched off for everyone",
        "Authorization: required; the bearer authentication-was-switched-off",
        "bearer tokens expire after two hours",
        "https://hooks.slack.com/services/ is the address",
        "aws_secret_access_key is rotated, secret key = none",
        "[redacted:jwt] and [redacted:gitlab-token] and [redacted:variable:TOKEN]",
        "[redacted:",
        "%, %%, %4, %zz, %C3%9C and 100%25 sure",
        "LS0tLS1CRUdJTi is how armor begins in base64",
    ];
    check(&texts.map(str::to_owned));
}

#[test]
fn digests_and_ids() {
    check(&[
        hex(40),
        hex(64),
        format!("sha256:{} and sha1 {}", hex(64), hex(40)),
        format!("commit {}\nAuthor: Bob", hex(40)),
        "3fa85f64-5717-4562-b3fc-2c963f66afa6".to_owned(),
        format!("registry.acme.example/app:v1@sha256:{}", hex(64)),
        format!("https://acme.example/app/-/commit/{}", hex(40)),
        format!("ssh-ed25519 {} bob@acme.example", letters(68)),
        format!("SHA256:{}", letters(43)),
        format!("id {}", capitals(20).replace('A', "B")),
        format!("pk_live_{}", letters(24)),
    ]);
}

#[test]
fn armor_without_a_private_key() {
    let public = ["-----BEGIN ", "PUBLIC KEY-----"].concat();
    let certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t".to_owned();
    check(&[
        format!("{public}\n{}\n-----END PUBLIC KEY-----", letters(64)),
        certificate + &letters(100),
        format!("a file with {} in it", armor("BEGIN", "RSA ")),
        format!("from {} to {}", armor("BEGIN", ""), armor("END", "")),
        format!("{}\n...\n{}", armor("BEGIN", ""), armor("END", "")),
        format!("up to the line {}", armor("END", "OPENSSH ")),
    ]);
}

#[test]
fn line_ends_and_white_space_stay() {
    let secret = letters(20);
    let redactor = with(&[("API_TOKEN", &secret)]);
    let text = format!("\r\n a\t{secret}\r\n\r{secret}\n\n ");
    assert_eq!(redactor.redact(&text).text, "\r\n a\t[redacted:variable:API_TOKEN]\r\n\r[redacted:variable:API_TOKEN]\n\n ");
}
