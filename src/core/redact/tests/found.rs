//! What is found: one secret in each text, and exactly that is replaced.

use super::super::KINDS;
use super::{armor, capitals, drawn, gitlab, hex, jwt, letters, plain, private_key, redacted};

struct Case {
    kind: &'static str,
    before: String,
    secret: String,
    after: &'static str,
}

fn case(kind: &'static str, before: impl Into<String>, secret: impl Into<String>, after: &'static str) -> Case {
    Case { kind, before: before.into(), secret: secret.into(), after }
}

fn check(cases: Vec<Case>) {
    for Case { kind, before, secret, after } in cases {
        assert!(KINDS.contains(&kind), "{kind}");
        let text = format!("{before}{secret}{after}");
        let result = plain().redact(&text);
        assert_eq!(result.text, format!("{before}[redacted:{kind}]{after}"), "{text}");
        let kinds: Vec<&str> = result.hits.iter().map(|hit| hit.kind.as_str()).collect();
        assert_eq!(kinds, [kind], "{text}");
        assert_eq!(plain().finds(&text).as_deref(), Some(kind), "{text}");
    }
}

#[test]
fn gitlab_tokens() {
    let kind = "gitlab-token";
    let mut cases: Vec<Case> =
        ["pat-", "oas-", "dt-", "rt-", "rtr-", "ptt-", "ft-", "imt-", "agent-", "soat-", "ffct-", "wt-", "cbt-64_", "rt-t1_"]
            .iter()
            .map(|prefix| {
                let token = ["gl", prefix, &drawn("abcdefXYZ0189_-", 25), "9"].concat();
                case(kind, "the token ", token, " was used")
            })
            .collect();
    let routable = ["gl", "pat-", &letters(27), ".01.12", &hex(7)].concat();
    let older = ["gl", "rt-", "t3_", &letters(40), ".1a", &hex(7)].concat();
    let job = ["gl", "cbt-", &jwt()].concat();
    cases.extend([
        case(kind, "", ["GR1348", "941", &letters(20)].concat(), ""),
        case(kind, "routable: ", routable, "."),
        case(kind, "(", older, ")"),
        case(kind, "job token ", job, ", of GitLab 19"),
        case(kind, "`", gitlab(), "`"),
        case(kind, "**", gitlab(), "**"),
        case(kind, "\"", gitlab(), "\", and"),
        case(kind, "TOKEN=", gitlab(), "\nnext line"),
        case(kind, "TOKEN=", gitlab(), "\r\nnext line"),
        case(kind, "Zürich:", gitlab(), "…"),
        case(kind, "of an instance with prefix: acme-", gitlab(), "!"),
        case(kind, "https://gitlab.acme.example/?a=b&private_token=", gitlab(), "&c=d"),
        case(kind, "https://oauth2:", gitlab(), "@gitlab.acme.example/a/b.git"),
        case(kind, "https://", gitlab(), ":@gitlab.acme.example/a/b.git"),
        case(kind, "https://", gitlab(), "@gitlab.acme.example/a/b.git"),
        case(kind, "PRIVATE-TOKEN: ", gitlab(), ""),
        case(kind, "Cookie: _gitlab_session=", hex(32), "; path=/"),
    ]);
    check(cases);
}

#[test]
fn aws_keys() {
    let kind = "aws-access-key";
    let id = |prefix: &str| [prefix, &capitals(16)].concat();
    let secret = || [&letters(19), "/", &letters(10), "+", &letters(9)].concat();
    check(vec![
        case(kind, "id ", id("AKIA"), "."),
        case(kind, "'", id("ASIA"), "'"),
        case(kind, "AWS_ACCESS_KEY_ID=", id("AKIA"), "\n"),
        case(kind, "s3://bucket/?X-Amz-Credential=", id("AKIA"), "%2F20261120"),
        case(kind, "key_", id("AKIA"), "_"),
        case(kind, "aws_secret_access_key = ", secret(), "\n"),
        case(kind, "AWS_SECRET_ACCESS_KEY=", secret(), ""),
        case(kind, "\"SecretAccessKey\": \"", secret(), "\","),
        case(kind, "{\\\"secretAccessKey\\\":\\\"", secret(), "\\\"}"),
        case(kind, "secret access key: ", secret(), ", keep it"),
        case(kind, "<SecretAccessKey>", secret(), "</SecretAccessKey>"),
        case(kind, "aws_session_token=", letters(300), "\n"),
    ]);
}

#[test]
fn tokens_of_other_services() {
    let mut cases: Vec<Case> = ["p", "o", "u", "s", "r"]
        .iter()
        .map(|letter| {
            let token = ["gh", letter, "_", &letters(36)].concat();
            case("github-token", "GITHUB_TOKEN: ", token, "\n")
        })
        .collect();
    let fine = ["github", "_pat_", &letters(22), "_", &letters(59)].concat();
    cases.push(case("github-token", "with ", fine, ""));
    let slack = |prefix: &str| [prefix, "123456789012-", "1234567890123-", &letters(24)].concat();
    for prefix in ["xoxa-", "xoxb-", "xoxp-", "xoxo-", "xoxs-", "xoxr-"] {
        cases.push(case("slack-token", "'", slack(prefix), "'"));
    }
    let stripe = |prefix: &str, mode: &str| [prefix, "k_", mode, "_", &letters(24)].concat();
    cases.extend([
        case("slack-token", "", ["xapp-", "1-A01-", &hex(64)].concat(), ""),
        case("slack-token", "", ["xoxe.", "xoxp-", "1-", &letters(80)].concat(), "."),
        case("slack-token", "<https://hooks.slack.com/services/T01AB/B02CD/", letters(24), "|here>"),
        case("slack-token", "\"https:\\/\\/hooks.slack.com\\/services\\/T01AB\\/B02CD\\/", letters(24), "\""),
        case("stripe-key", "key=", stripe("s", "live"), ";"),
        case("stripe-key", "key=", stripe("s", "test"), ";"),
        case("stripe-key", "\"", stripe("r", "live"), "\""),
        case("stripe-key", "", ["whsec", "_", &letters(32)].concat(), ""),
        case("jwt", "an ID token ", jwt(), "."),
        case("jwt", "?jwt=", jwt(), "&x=1"),
        case("jwt", "cut off: ", jwt().rsplit_once('.').expect("it has dots").0, " "),
    ]);
    check(cases);
}

#[test]
fn private_keys() {
    let kind = "private-key";
    let mut cases: Vec<Case> = ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "]
        .iter()
        .map(|label| case(kind, "before\n", private_key(label), "\nafter\n"))
        .collect();
    let written_out = private_key("RSA ").replace('\n', "\\n");
    let twice = private_key("").replace('\n', "\\\\n");
    let carriage = private_key("").replace('\n', "\r\n");
    let one_line = private_key("OPENSSH ").replace('\n', " ");
    let indented = private_key("OPENSSH ").replace('\n', "\n    ");
    let pgp = private_key("PGP ").replace("KEY-----", "KEY BLOCK-----");
    let headers = private_key("RSA ").replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n", 1);
    let (whole, end) = (private_key("RSA "), armor("END", "RSA "));
    let no_end = whole.trim_end_matches(&end).trim_end();
    let no_start = whole.split_once('\n').expect("it has lines").1;
    let headers_no_end = headers.trim_end_matches(&end).trim_end();
    let age = ["AGE-", "SECRET-", "KEY-1", &capitals(58)].concat();
    cases.extend([
        case(kind, "{\"key\":\"", written_out.clone(), "\\n\"}"),
        case(kind, "key: ", twice, ""),
        case(kind, "key: ", carriage, "\r\nafter"),
        case(kind, "key=\"", one_line, "\""),
        case(kind, "key: |\n    ", indented, "\nnext: 1"),
        case(kind, "", pgp, ""),
        case(kind, "", headers.clone(), ""),
        case(kind, "cut off: ", no_end, ""),
        case(kind, "cut off: ", no_end, "\n\n# what follows"),
        case(kind, "cut off: ", headers_no_end, "\n\n# what follows"),
        case(kind, "cut off in the line: ", &no_end[..150], "… (cut)"),
        case(kind, "cut off, one line: ", written_out.trim_end_matches(&end).trim_end_matches("\\n"), "\", then"),
        case(kind, "… ", no_start, "\nafter"),
        case(kind, "identity ", age, "\n"),
    ]);
    check(cases);
}

#[test]
fn base64_of_private_keys() {
    for label in ["", "RSA ", "EC ", "OPENSSH "] {
        let encoded = super::super::spellings::of(&private_key(label))
            .into_iter()
            .filter(|spelling| spelling.starts_with(&["LS0tLS1", "CRUdJTi"].concat()))
            .max_by_key(String::len)
            .expect("base64 is one of the spellings");
        assert_eq!(redacted(&format!("SSH_KEY: {encoded}\nnext")), "SSH_KEY: [redacted:private-key]\nnext");
        let wrapped: Vec<&str> =
            encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
        let rest = redacted(&format!("key:\n{}\n", wrapped.join("\n")));
        assert!(rest.starts_with("key:\n[redacted:private-key]"), "{rest}");
        assert!(rest.len() < 80, "{rest}");
    }
}

#[test]
fn passwords_in_urls() {
    let kind = "url-password";
    check(vec![
        case(kind, "https://bob:", "hunter2", "@acme.example/x"),
        case(kind, "HTTPS://BOB:", "HUNTER2", "@ACME.EXAMPLE"),
        case(kind, "postgres://app:", "p%40ss%3Aword", "@db:5432/app?a=b"),
        case(kind, "redis://:", "sesame", "@cache:6379/0"),
        case(kind, "mongodb+srv://u:", "pw", "@cluster.acme.example"),
        case(kind, "amqp://guest:", "12345", "@mq"),
        case(kind, "git clone 'https://ci:", "s3cr3t!$&()*+;=", "@git.acme.example/a.git'"),
        case(kind, "[link](https://bob:", "a@b@c", "@acme.example)"),
        case(kind, "two@ats https://bob:", "pass,word", "@acme.example, done"),
        case(kind, "https://bob:", "pa/ss?wo#rd", "@acme.example/x"),
        case(kind, "https:\\/\\/bob:", "hunter2", "@acme.example\\/x"),
        case(kind, "?next=https%3A%2F%2Fbob%3A", "hunter2", "%40acme.example"),
        case(kind, "https://", letters(30), ":@acme.example"),
        case(kind, "https://", letters(40), ":x-oauth-basic@acme.example"),
        case(kind, "https://", hex(32), "@errors.acme.example/1"),
        case(kind, "https://a.example/?job_token=", letters(20), "&x=1"),
        case(kind, "https://a.example/?a=b&ACCESS_TOKEN=", letters(20), "#x"),
        case(kind, "curl -d private_token=", "correcthorsebattery", " https"),
        case(kind, "'https://a.example/?access_token=", letters(40), "'."),
        case(kind, "https://a.example/?sv=2020&sig=", "aB3%2Bd9%2Fxyz%3D", "&se=1"),
        case(kind, "jdbc:postgresql://h/db?user=u&password=", "hunter2", "&ssl=1"),
        case(kind, "jdbc:sqlserver://h;user=sa;password=", "Zürich1", ";x=1"),
        case(kind, "//npm.acme.example/:_authToken=", letters(36), "\n"),
    ]);
}

#[test]
fn headers() {
    let kind = "authorization";
    check(vec![
        case(kind, "Authorization: Bearer ", letters(24), ""),
        case(kind, "authorization: bearer ", hex(40), "\r\nHost: a"),
        case(kind, "AUTHORIZATION: BASIC ", "dXNlcjpwYXNzd29yZA==", "\n"),
        case(kind, "-H 'Authorization: Basic ", "dXNlcjpwdw==", "' https://a"),
        case(kind, "Proxy-Authorization: Basic ", "dXNlcjpwdw==", ""),
        case(kind, "{\"Authorization\": \"token ", letters(40), "\"}"),
        case(kind, "\"{\\\"Authorization\\\":\\\"Bearer ", letters(40), "\\\"}\""),
        case(kind, "authorization=Bearer%20", letters(30), ""),
        case(kind, "Authorization: Bearer ", "correcthorsebattery", "\nx"),
        case(kind, "Authorization: ", letters(32), ""),
        case(kind, "with bearer ", letters(32), ", it said"),
        case(kind, "PRIVATE-TOKEN: ", letters(20), ""),
        case(kind, "private-token:", letters(20), "."),
        case(kind, "--header \"JOB-TOKEN: ", letters(20), "\" https"),
        case(kind, "Job-Token=", letters(20), " "),
        case(kind, "Deploy-Token: ", letters(20), "\n"),
        case(kind, "X-Vault-Token: ", "s.abcd1234", "\n"),
        case(kind, "{\"access_token\":\"", letters(24), "\"}"),
        case(kind, "clientSecret: ", letters(24), "\n"),
        case(kind, "X-API-Key: ", letters(32), "\n"),
    ]);
}

#[test]
fn several_secrets_each_become_one_marker() {
    let text = format!("{} and {},{}\n", gitlab(), gitlab(), jwt());
    let result = plain().redact(&text);
    assert_eq!(result.text, "[redacted:gitlab-token] and [redacted:gitlab-token],[redacted:jwt]\n");
    assert_eq!(result.hits.len(), 3);
}

#[test]
fn a_secret_in_a_secret_leaves_no_remainder() {
    let text = format!("postgres://app:x{}y@db", jwt());
    assert_eq!(redacted(&text), "postgres://app:[redacted:url-password]@db");
}
