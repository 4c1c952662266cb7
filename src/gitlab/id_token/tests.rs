//! Tokens that are GitLab's, and tokens that are almost.

use super::*;
use jwks::{TokenKey, encoded, sign_with_secret, unsigned};
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256};
use serde_json::json;
use std::sync::LazyLock;

#[path = "../../../tests/cli/support/git_server/jwks.rs"]
mod jwks;

static KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::generate("key-1"));
static OTHER: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::generate("key-2"));

const NOW: i64 = 1_795_183_511;
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

const JOB: JobVariables = JobVariables {
    server_url: "https://gitlab.example",
    project_id: Some(42),
    project_path: Some("grp/app"),
    pipeline_id: Some(574),
    job_id: Some(302),
    sha: SHA,
    branch: Some("main"),
    tag: None,
    user_id: Some(7),
    user_login: Some("ann"),
    environment: Some("production"),
};

/// As GitLab writes them: almost all of them texts.
fn claims() -> Value {
    json!({
        "namespace_id": "72", "namespace_path": "grp", "project_id": "42", "project_path": "grp/app",
        "user_id": "7", "user_login": "ann", "user_email": "ann@acme.example", "user_access_level": "developer",
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
        "ref_path": "refs/heads/main", "ref_protected": "true", "environment": "production", "environment_protected": "false",
        "deployment_tier": "production", "runner_id": 1, "runner_environment": "self-hosted", "sha": SHA,
        "ci_config_ref_uri": "gitlab.example/grp/app//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": SHA,
        "project_visibility": "private", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b", "iat": NOW - 60, "nbf": NOW - 65,
        "exp": NOW + 3600, "iss": "https://gitlab.example", "sub": "anything", "aud": "deploy-record",
    })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    let (Some(object), Value::Object(changes)) = (claims.as_object_mut(), changes) else { panic!("objects") };
    for (name, value) in changes {
        object.insert(name, value);
    }
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name).expect("a claim");
    claims
}

fn set(keys: &[Value]) -> KeySet {
    KeySet { keys: keys.to_vec() }
}

fn own_keys() -> KeySet {
    set(&[KEY.jwk()])
}

fn check(token: &str) -> Result<Claims, IdTokenError> {
    verify(token, &own_keys(), &JOB, NOW)
}

#[track_caller]
fn refused(claims: &Value, words: &str) {
    let error = check(&KEY.sign(claims)).expect_err(words).to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_token_of_gitlab_is_taken() {
    let expected = Claims {
        project_id: 42,
        project_path: "grp/app".to_owned(),
        pipeline_id: 574,
        pipeline_source: Some("push".to_owned()),
        job_id: 302,
        sha: SHA.to_owned(),
        reference: "main".to_owned(),
        is_tag: false,
        is_protected: Some(true),
        user_id: 7,
        user_login: "ann".to_owned(),
        environment: Some("production".to_owned()),
        ci_config_sha: Some(SHA.to_owned()),
    };
    assert_eq!(check(&KEY.sign(&claims())), Ok(expected.clone()));
    let numbers = json!({ "project_id": 42, "pipeline_id": 574, "job_id": 302, "user_id": 7, "ref_protected": true });
    assert_eq!(check(&KEY.sign(&with(numbers))), Ok(expected));
}

#[test]
fn what_variables_and_claims_do_not_say_contradicts_nothing() {
    let silent = JobVariables {
        server_url: "https://gitlab.example/",
        project_id: None,
        project_path: None,
        pipeline_id: None,
        job_id: None,
        sha: SHA,
        branch: None,
        tag: None,
        user_id: None,
        user_login: None,
        environment: None,
    };
    assert!(verify(&KEY.sign(&claims()), &own_keys(), &silent, NOW).is_ok());
    for name in ["environment", "ref_protected", "ci_config_sha", "pipeline_source", "sub", "jti"] {
        check(&KEY.sign(&without(name))).expect(name);
    }
    let bare =
        check(&KEY.sign(&with(json!({ "ci_config_sha": null, "environment": "", "ref_protected": "false" })))).expect("claims");
    assert_eq!((bare.ci_config_sha, bare.environment, bare.is_protected), (None, None, Some(false)));
    // GitLab's paths are the same in any case
    check(&KEY.sign(&with(json!({ "project_path": "Grp/App" })))).expect("the same path");
}

#[test]
fn whoever_else_signs_is_refused() {
    let forged = TokenKey::generate("key-1").sign(&claims());
    assert_eq!(check(&forged), Err(IdTokenError::Signature("key-1".to_owned())));
    assert_eq!(check(&OTHER.sign(&claims())), Err(IdTokenError::UnknownKey("key-2".to_owned())));
}

#[test]
fn each_part_is_signed() {
    let (token, other) = (KEY.sign(&claims()), KEY.sign(&with(json!({ "user_login": "dana" }))));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (own, others) = (parts(&token), parts(&other));
    let header = encoded(json!({ "alg": "RS256", "kid": "key-1" }).to_string().as_bytes());
    for changed in [
        format!("{}.{}.{}", own[0], others[1], own[2]),
        format!("{}.{}.{}", own[0], own[1], others[2]),
        format!("{header}.{}.{}", own[1], own[2]),
        format!("{}.{}.{}", own[0], own[1], encoded(&[0; 256])),
        format!("{}.{}.", own[0], own[1]),
        format!("{}.{}.{}", own[0], own[1], encoded(&[1; 255])),
    ] {
        assert_eq!(check(&changed), Err(IdTokenError::Signature("key-1".to_owned())), "{changed}");
    }
}

#[test]
fn other_algorithms_are_refused_before_any_key_is_looked_at() {
    let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "key-1", "typ": "JWT" });
    let mut tokens = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "RS512", "HS512", "EdDSA"] {
        tokens.push(format!("{}.", unsigned(&header(none), &claims())));
        // what else is right does not help
        tokens.push(KEY.sign_as(&header(none), &claims(), &RSA_PKCS1_SHA256));
    }
    let jwk = KEY.jwk();
    let modulus = jwk["n"].as_str().expect("a modulus");
    let pem = KEY.pem();
    for secret in [modulus.as_bytes(), &decoded(modulus).expect("a modulus"), pem.as_bytes(), pem.trim().as_bytes()] {
        tokens.push(sign_with_secret("key-1", &claims(), secret));
    }
    tokens.push(KEY.sign_as(&header("RS384"), &claims(), &RSA_PKCS1_SHA384));
    tokens.push(KEY.sign_as(&header("PS256"), &claims(), &RSA_PSS_SHA256));
    tokens.push(ecdsa(&header("ES256")));
    for token in tokens {
        let error = verify(&token, &set(&[]), &JOB, NOW).expect_err(&token);
        assert!(matches!(error, IdTokenError::Algorithm(_)), "{error}: {token}");
    }
    for header in
        [json!({ "kid": "key-1" }), json!({ "alg": null, "kid": "key-1" }), json!({ "alg": ["RS256"], "kid": "key-1" })]
    {
        let error = check(&KEY.sign_as(&header, &claims(), &RSA_PKCS1_SHA256)).expect_err("no algorithm");
        assert!(matches!(error, IdTokenError::Algorithm(_)), "{error}");
    }
    // RS256 by name, and something else by nature
    for encoding in [&RSA_PKCS1_SHA384 as &'static dyn signature::RsaEncoding, &RSA_PSS_SHA256] {
        let error = check(&KEY.sign_as(&header("RS256"), &claims(), encoding)).expect_err("another signature");
        assert!(matches!(error, IdTokenError::Signature(_)), "{error}");
    }
}

fn ecdsa(header: &Value) -> String {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).expect("a key");
    let signed = unsigned(header, &claims());
    let signature = key.sign(&random, signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", encoded(signature.as_ref()))
}

#[test]
fn the_token_does_not_choose_its_key() {
    let stranger = TokenKey::generate("key-1");
    let bring = |name: &str, value: Value| {
        let mut header = json!({ "alg": "RS256", "kid": "key-1" });
        header[name] = value;
        stranger.sign_as(&header, &claims(), &RSA_PKCS1_SHA256)
    };
    for token in [
        bring("jwk", stranger.jwk()),
        bring("jku", json!("https://evil.example/keys")),
        bring("x5u", json!("https://evil.example/chain")),
        bring("x5c", json!(["MIIB"])),
    ] {
        assert_eq!(check(&token), Err(IdTokenError::Signature("key-1".to_owned())));
    }
    for header in [
        json!({ "alg": "RS256", "jwk": stranger.jwk() }),
        json!({ "alg": "RS256", "kid": 1 }),
        json!({ "alg": "RS256", "kid": null }),
    ] {
        assert_eq!(check(&stranger.sign_as(&header, &claims(), &RSA_PKCS1_SHA256)), Err(IdTokenError::NoKeyId));
    }
    let critical = json!({ "alg": "RS256", "kid": "key-1", "crit": ["exp"] });
    assert_eq!(check(&KEY.sign_as(&critical, &claims(), &RSA_PKCS1_SHA256)), Err(IdTokenError::Critical));
}

#[test]
fn while_keys_change_both_count() {
    let keys = set(&[json!({ "kty": "EC", "kid": "other" }), KEY.jwk(), OTHER.jwk()]);
    for key in [&*KEY, &*OTHER] {
        verify(&key.sign(&claims()), &keys, &JOB, NOW).expect("one of both");
    }
    // the name of one, the signature of the other
    let mixed = OTHER.sign_as(&json!({ "alg": "RS256", "kid": "key-1" }), &claims(), &RSA_PKCS1_SHA256);
    assert_eq!(verify(&mixed, &keys, &JOB, NOW), Err(IdTokenError::Signature("key-1".to_owned())));
    // two keys of one name
    let mut namesake = OTHER.jwk();
    namesake["kid"] = json!("key-1");
    for keys in [[KEY.jwk(), namesake.clone()], [namesake.clone(), KEY.jwk()]] {
        verify(&KEY.sign(&claims()), &set(&keys), &JOB, NOW).expect("either");
    }
    assert!(matches!(verify(&KEY.sign(&claims()), &set(&[]), &JOB, NOW), Err(IdTokenError::UnknownKey(_))));
}

#[test]
fn a_key_that_is_for_something_else_is_refused() {
    let small = encoded(&[0x80; 128]);
    let large = encoded(&[0x80; 1025]);
    let leading = encoded(&[&[0][..], &[0x80; 255]].concat());
    for (name, value, words) in [
        ("kty", json!("EC"), "no RSA key"),
        ("kty", json!("oct"), "no RSA key"),
        ("kty", json!(null), "no RSA key"),
        ("use", json!("enc"), "something else"),
        ("alg", json!("RS512"), "something else"),
        ("alg", json!(1), "something else"),
        ("key_ops", json!(["encrypt"]), "not meant for verifying"),
        ("key_ops", json!("verify"), "not meant for verifying"),
        ("n", json!(small), "2048 to 8192 bits"),
        ("n", json!(large), "2048 to 8192 bits"),
        ("n", json!(leading), "2048 to 8192 bits"),
        ("n", json!(""), "2048 to 8192 bits"),
        ("n", json!("!"), "not base64url"),
        ("e", json!(65537), "not base64url"),
        ("e", json!(null), "not base64url"),
        ("e", json!(encoded(&[1])), "did not sign it"),
        ("e", json!(""), "did not sign it"),
    ] {
        let mut key = KEY.jwk();
        key[name] = value;
        let error = verify(&KEY.sign(&claims()), &set(&[key]), &JOB, NOW).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut bare = KEY.jwk();
    for name in ["use", "alg"] {
        bare.as_object_mut().expect("a key").remove(name);
    }
    bare["key_ops"] = json!(["verify"]);
    verify(&KEY.sign(&claims()), &set(&[bare]), &JOB, NOW).expect("a key that says no more than it must");
}

#[test]
fn it_counts_from_its_beginning_to_its_end_and_a_minute_more() {
    let at = |iat: i64, nbf: i64, exp: i64| check(&KEY.sign(&with(json!({ "iat": iat, "nbf": nbf, "exp": exp }))));
    at(NOW, NOW, NOW - 59).expect("ended a moment ago");
    at(NOW + 60, NOW + 60, NOW + 61).expect("begins in a moment");
    assert!(matches!(at(NOW, NOW, NOW - 60), Err(IdTokenError::Expired { .. })));
    assert!(matches!(at(NOW, NOW, 0), Err(IdTokenError::Expired { .. })));
    assert!(matches!(at(NOW, NOW + 61, NOW + 99), Err(IdTokenError::NotYet { claim: "nbf", .. })));
    assert!(matches!(at(NOW + 61, NOW, NOW + 99), Err(IdTokenError::NotYet { claim: "iat", .. })));
    assert!(matches!(at(i64::MAX, i64::MAX, i64::MAX), Err(IdTokenError::NotYet { .. })));
    at(0, 0, i64::MAX).expect("for ever");
    let error = at(NOW, NOW, NOW - 60).expect_err("expired").to_string();
    assert_eq!(error, "it expired at 2026-11-20T14:04:11Z, and it is 2026-11-20T14:05:11Z here");
    // what has expired is right otherwise
    let stale = with(json!({ "exp": NOW - 999, "user_id": "8" }));
    assert!(matches!(check(&KEY.sign(&stale)), Err(IdTokenError::Contradiction { .. })));
}

#[test]
fn it_is_of_this_server_and_for_this_audience_alone() {
    for issuer in ["https://gitlab.example/", "https://gitlab.example"] {
        for server_url in ["https://gitlab.example/", "https://gitlab.example"] {
            let token = KEY.sign(&with(json!({ "iss": issuer })));
            verify(&token, &own_keys(), &JobVariables { server_url, ..JOB }, NOW).expect(issuer);
        }
    }
    for issuer in [
        "https://gitlab.example.evil.example",
        "http://gitlab.example",
        "https://gitlab.example:443",
        "https://gitlab.example//",
        "gitlab.example",
        "https://GITLAB.example",
        "https://gitlab.example/gitlab",
    ] {
        refused(&with(json!({ "iss": issuer })), &format!("`{issuer}`, and the server's address is `https://gitlab.example`"));
    }
    for audience in [
        json!("https://vault.example"),
        json!("deploy-record/"),
        json!("Deploy-Record"),
        json!(["deploy-record", "vault"]),
        json!([]),
        json!(["vault"]),
        json!({ "deploy-record": 1 }),
        json!([["deploy-record"]]),
        json!(null),
    ] {
        refused(&with(json!({ "aud": audience })), "its audience (`aud`) is ");
    }
    check(&KEY.sign(&with(json!({ "aud": ["deploy-record"] })))).expect("one audience");
}

#[test]
fn a_variable_that_says_otherwise_is_named_with_both_values() {
    let other = "f".repeat(40);
    for (claim, value, variable, is) in [
        ("project_id", "43", "CI_PROJECT_ID", "42"),
        ("project_path", "grp/other", "CI_PROJECT_PATH", "grp/app"),
        ("pipeline_id", "575", "CI_PIPELINE_ID", "574"),
        ("job_id", "303", "CI_JOB_ID", "302"),
        ("sha", &other, "CI_COMMIT_SHA", SHA),
        ("ref", "hotfix/pay", "CI_COMMIT_BRANCH", "main"),
        ("user_id", "8", "GITLAB_USER_ID", "7"),
        ("user_login", "dana", "GITLAB_USER_LOGIN", "ann"),
        ("environment", "staging", "CI_ENVIRONMENT_NAME", "production"),
    ] {
        let words = format!("{variable} is `{is}`, but GitLab's ID token says that it is `{value}`");
        refused(&with(json!({ claim: value })), &words);
    }
    refused(
        &with(json!({ "ref_type": "tag" })),
        "CI_COMMIT_BRANCH is `main`, but GitLab's ID token says that it is `tag main`",
    );
    let tagged = JobVariables { branch: None, tag: Some("v1.4.2"), ..JOB };
    let tag = |name: &str| with(json!({ "ref": name, "ref_type": "tag" }));
    verify(&KEY.sign(&tag("v1.4.2")), &own_keys(), &tagged, NOW).expect("the tag");
    for (claims, told) in [(tag("v1.4.1"), "v1.4.1"), (with(json!({ "ref": "v1.4.2" })), "branch v1.4.2")] {
        let error = verify(&KEY.sign(&claims), &own_keys(), &tagged, NOW).expect_err(told).to_string();
        assert_eq!(error, format!("CI_COMMIT_TAG is `v1.4.2`, but GitLab's ID token says that it is `{told}`"));
    }
}

#[test]
fn in_the_pipeline_of_a_merge_request_the_job_has_a_project_of_its_own() {
    let job = JobVariables { branch: None, ..JOB };
    let of_fork = json!({
        "pipeline_source": "merge_request_event", "project_id": "77", "project_path": "dana/app", "ref": "fix",
        "job_project_id": "42", "job_project_path": "grp/app",
    });
    let verify = |claims: &Value| verify(&KEY.sign(claims), &own_keys(), &job, NOW);
    let claims = verify(&with(of_fork.clone())).expect("a merge request of a fork");
    assert_eq!((claims.project_id, claims.is_of_merge_request()), (42, true));
    let mut old = of_fork.clone();
    for name in ["job_project_id", "job_project_path"] {
        old.as_object_mut().expect("claims").remove(name);
    }
    assert_eq!(verify(&with(old.clone())), Err(IdTokenError::SourceProject("dana/app".to_owned())));
    // only merge requests come from elsewhere
    old["pipeline_source"] = json!("push");
    assert!(matches!(verify(&with(old)), Err(IdTokenError::Contradiction { variable: "CI_PROJECT_ID", .. })));
    let mut elsewhere = of_fork;
    elsewhere["job_project_id"] = json!("78");
    assert!(matches!(verify(&with(elsewhere)), Err(IdTokenError::Contradiction { variable: "CI_PROJECT_ID", .. })));
    verify(&with(json!({ "pipeline_source": "merge_request_event", "ref": "fix" }))).expect("one of the project itself");
}

#[test]
fn what_must_be_there_is_there_and_makes_sense() {
    for name in [
        "iss",
        "aud",
        "exp",
        "nbf",
        "iat",
        "project_id",
        "project_path",
        "pipeline_id",
        "job_id",
        "sha",
        "ref",
        "ref_type",
        "user_id",
        "user_login",
    ] {
        refused(&without(name), &format!("no claim `{name}`"));
    }
    refused(&with(json!({ "user_id": "" })), "no claim `user_id`");
    for (name, value) in [
        ("exp", json!("soon")),
        ("exp", json!(1e300)),
        ("nbf", json!(-1)),
        ("iat", json!(u64::MAX)),
        ("job_id", json!("302x")),
        ("job_id", json!(302.5)),
        ("user_id", json!(["7"])),
        ("user_login", json!({})),
        ("ref_type", json!("head")),
        ("ref_protected", json!("yes")),
        ("job_project_id", json!("x")),
    ] {
        refused(&with(json!({ name: value })), &format!("`{name}` makes no sense"));
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let token = KEY.sign(&claims());
    let malformed = |token: &str| {
        let error = check(token).expect_err(token);
        assert!(matches!(error, IdTokenError::Malformed(_)), "{error}: {token}");
    };
    let header = encoded(br#"{"alg":"RS256","kid":"key-1"}"#);
    for text in ["", ".", "..", "...", "a.b", "not a token", "a.b.c", "é.é.é"] {
        malformed(text);
    }
    malformed(&format!("{token}."));
    malformed(&format!(".{token}"));
    malformed(&format!("{token}.{}", encoded(b"more")));
    malformed(&format!("{token}="));
    malformed(&format!(" {token}"));
    malformed(&format!("{token}\n"));
    malformed(&format!("{header}.{}.***", encoded(b"{}")));
    malformed(&format!("{}.e30.AA", encoded(b"[]")));
    malformed(&format!("{}.e30.AA", encoded(&[b'['; 10_000])));
    malformed(&KEY.sign(&json!(["no", "claims"])));
    malformed(&KEY.sign(&json!(null)));
    // the last character has two bits that say nothing: only one spelling counts
    let (rest, last) = token.split_at(token.len() - 1);
    let next = |letter: u8| char::from(if letter == b'A' { b'B' } else { letter + 1 });
    malformed(&format!("{rest}{}", next(last.as_bytes()[0])));
    let long = KEY.sign(&with(json!({ "groups_direct": "g".repeat(LONGEST) })));
    assert_eq!(check(&long), Err(IdTokenError::TooLong));
    check(&KEY.sign(&with(json!({ "groups_direct": "g".repeat(8 * 1024) })))).expect("long, but not too long");
}

#[test]
fn no_error_shows_the_token_or_strange_characters() {
    let mut tokens =
        vec![KEY.sign_as(&json!({ "alg": "RS256", "kid": "\u{1b}[2J\n".repeat(200) }), &claims(), &RSA_PKCS1_SHA256)];
    tokens.push(KEY.sign(&with(json!({ "iss": "\u{1b}[31m".repeat(400) }))));
    tokens.push(KEY.sign(&with(json!({ "user_login": "\u{202e}ann\r" }))));
    tokens.push(format!("{}.", unsigned(&json!({ "alg": "\u{7}".repeat(300) }), &claims())));
    tokens.push(KEY.sign(&with(json!({ "sha": "0" }))));
    for token in tokens {
        let error = check(&token).expect_err("an error").to_string();
        assert!(!error.chars().any(char::is_control) && error.chars().count() < 2500, "{error}");
        assert!(!token.split('.').any(|part| part.len() > 20 && error.contains(part)), "{error}");
    }
}

#[test]
fn key_sets_of_all_kinds_are_read() {
    for text in [r#"{"keys":[]}"#, r#"{"keys":[1,null,"x",{}]}"#, r#"{"keys":[],"more":1}"#] {
        let keys = KeySet::parse(text.as_bytes()).expect(text);
        assert!(matches!(verify(&KEY.sign(&claims()), &keys, &JOB, NOW), Err(IdTokenError::UnknownKey(_))));
    }
    for text in ["{}", "[]", "<html>", r#"{"keys":{}}"#, ""] {
        assert!(KeySet::parse(text.as_bytes()).is_none(), "{text}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{1,25}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
}

const READ: &[&str] = &[
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "project_id",
    "project_path",
    "job_project_id",
    "job_project_path",
    "pipeline_id",
    "pipeline_source",
    "job_id",
    "sha",
    "ref",
    "ref_type",
    "ref_protected",
    "user_id",
    "user_login",
    "environment",
    "ci_config_sha",
];

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        prop_assert!(check(&text).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5)) {
        let token = parts.iter().map(|part| encoded(part)).collect::<Vec<_>>().join(".");
        prop_assert!(check(&token).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unseen(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        static TOKEN: LazyLock<String> = LazyLock::new(|| KEY.sign(&claims()));
        let mut changed = TOKEN.clone().into_bytes();
        let place = place.index(changed.len());
        prop_assume!(changed[place] != byte);
        changed[place] = byte;
        prop_assert!(check(&String::from_utf8_lossy(&changed)).is_err());
    }

    #[test]
    fn no_claim_makes_it_panic(name in prop::sample::select(READ), value in any_json()) {
        // an error is an answer, too
        let _ = check(&KEY.sign(&with(json!({ name: value }))));
    }

    #[test]
    fn no_key_makes_it_panic(name in prop::sample::select(&["kty", "use", "alg", "key_ops", "n", "e", "kid"][..]), value in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        let token = KEY.sign(&claims());
        for value in [value, Value::from(encoded(&bytes))] {
            let mut key = KEY.jwk();
            key[name] = value;
            let _ = verify(&token, &set(&[key]), &JOB, NOW);
        }
    }
}
