//! What GitLab signed of a job outweighs what is said of it, and what somebody else signed is refused.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::jwks::{TokenKey, sign_with_secret, unsigned};
use crate::support::git_server::{self, Failure, Fault, GitServer, Step};
use chrono::Utc;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256};
use serde_json::{Value, json};
use std::sync::LazyLock;

const VARIABLE: &str = "DEPLOY_RECORD_ID_TOKEN";
const RUN: [&str; 6] = ["run", "-e", "production", "--", "touch", "ran"];
const RECORD: [&str; 5] = ["record", "-e", "production", "--status", "success"];

static KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::generate("key-1"));
static OTHER: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::generate("key-2"));

/// A job for production whose server tells of it, and has a key.
fn job(server: &GitServer) -> TestEnv {
    let mut env = TestEnv::gitlab_job(server);
    env.set("CI_ENVIRONMENT_NAME", "production");
    server.set_job(git_server::job(&env.git(&["rev-parse", "HEAD"])));
    server.set_keys(&[KEY.jwk()]);
    env
}

/// What GitLab signs of that job.
fn claims(server: &GitServer, env: &TestEnv) -> Value {
    let (now, sha) = (Utc::now().timestamp(), env.git(&["rev-parse", "HEAD"]));
    json!({
        "iss": server.url(), "aud": "deploy-record", "iat": now, "nbf": now - 5, "exp": now + 3600, "jti": "1", "sub": "x",
        "project_id": "42", "project_path": "grp/app", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
        "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "sha": sha, "runner_id": 1,
        "user_id": "7", "user_login": "ann", "environment": "production", "deployment_tier": "production", "ci_config_sha": sha,
    })
}

fn with(server: &GitServer, env: &TestEnv, changes: Value) -> Value {
    let mut claims = claims(server, env);
    for (name, value) in changes.as_object().expect("changes") {
        claims[name] = value.clone();
    }
    claims
}

fn newest(server: &GitServer, env: &TestEnv) -> Value {
    env.records(server.repository()).pop().expect("a record")
}

fn strengths(record: &Value) -> [&str; 4] {
    ["actor", "job", "commit", "environment"].map(|group| record["provenance"][group].as_str().unwrap_or_default())
}

/// Runs the deployment with this token: it must be refused, and nothing may have happened.
#[track_caller]
fn refused(env: &mut TestEnv, token: &str, words: &[&str]) {
    env.set(VARIABLE, token);
    for command in [&RUN[..], &["check", "-e", "production"], &["start", "-e", "production"], &RECORD] {
        let output = env.deploy_record(command);
        output.expect(2);
        words.iter().for_each(|words| {
            output.says(words);
        });
        shows_nothing_of(token, &output);
    }
    assert!(!env.path().join("ran").exists(), "{words:?}");
}

#[track_caller]
fn shows_nothing_of(token: &str, output: &Output) {
    for part in token.split('.').filter(|part| part.len() > 20) {
        assert!(!output.stderr.contains(part) && !output.stdout.contains(part), "{}", output.stderr);
    }
}

#[test]
fn what_gitlab_signed_is_marked_as_attested() {
    let server = GitServer::https();
    let mut env = job(&server);
    let token = KEY.sign(&claims(&server, &env));
    env.set(VARIABLE, &token);
    let output = env.deploy_record(&["run", "-e", "production", "--note", &token, "--", "touch", "ran"]);
    output.expect(0);
    shows_nothing_of(&token, &output);
    for record in env.records(server.repository()) {
        assert_eq!(strengths(&record), ["attested"; 4]);
        assert_eq!(record["actor"], json!({ "login": "ann", "id": 7, "name": "Ann Ö." }));
        assert_eq!((&record["job"]["id"], &record["job"]["pipeline_id"]), (&json!(302), &json!(574)));
        assert_eq!(record["job"]["ci_config_sha"], record["commit"]["sha"]);
        assert!(record["change_note"]["summary"].as_str().is_some_and(|note| note.starts_with("[redacted")), "{record}");
    }
    env.deploy_record(&["verify"]).expect(0);
    env.deploy_record(&["run", "-e", "staging", "--", "true"]).expect(0);
    assert_eq!(strengths(&newest(&server, &env)), ["attested", "attested", "attested", "asserted"]);
}

#[test]
fn a_gitlab_that_only_signs_is_enough() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    server.set_keys(&[OTHER.jwk(), KEY.jwk()]);
    for name in ["GITLAB_USER_LOGIN", "GITLAB_USER_ID", "CI_JOB_ID", "CI_PIPELINE_ID"] {
        env.set(name, "");
    }
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, json!({ "user_login": "group_3_bot", "pipeline_source": "schedule" }))));
    env.deploy_record(&RUN).expect(0);
    let record = newest(&server, &env);
    assert_eq!(record["actor"], json!({ "login": "group_3_bot", "id": 7, "bot": true, "automated": true }));
    assert_eq!((&record["job"]["id"], &record["job"]["source"]), (&json!(302), &json!("schedule")));
    assert_eq!(strengths(&record), ["attested"; 4]);
    // while keys change, the old one counts, too
    env.set(VARIABLE, &OTHER.sign(&claims(&server, &env)));
    env.deploy_record(&RUN).expect(0);
}

#[test]
fn a_variable_that_says_otherwise_is_refused_with_both_values() {
    let server = GitServer::http();
    let mut env = job(&server);
    let other = "f".repeat(40);
    let sha = env.git(&["rev-parse", "HEAD"]);
    for (claim, value, variable, is) in [
        ("project_id", "43", "CI_PROJECT_ID", "42"),
        ("project_path", "grp/other", "CI_PROJECT_PATH", "grp/app"),
        ("pipeline_id", "575", "CI_PIPELINE_ID", "574"),
        ("job_id", "303", "CI_JOB_ID", "302"),
        ("sha", &other, "CI_COMMIT_SHA", &sha),
        ("ref", "hotfix/pay", "CI_COMMIT_BRANCH", "main"),
        ("user_id", "8", "GITLAB_USER_ID", "7"),
        ("user_login", "dana", "GITLAB_USER_LOGIN", "ann"),
        ("environment", "staging", "CI_ENVIRONMENT_NAME", "production"),
    ] {
        let token = KEY.sign(&with(&server, &env, json!({ claim: value })));
        let words = format!("{variable} is `{is}`, but GitLab's ID token says that it is `{value}`");
        refused(&mut env, &token, &["ci-contradiction", &words]);
    }
    let good = KEY.sign(&claims(&server, &env));
    env.set("CI_COMMIT_TAG", "v9");
    refused(&mut env, &good, &["ci-contradiction", "CI_COMMIT_TAG is `v9`", "branch main"]);
    env.unset("CI_COMMIT_TAG");
    env.set(VARIABLE, &good);
    env.deploy_record(&RUN).expect(0);
}

#[test]
fn both_tokens_are_of_one_job() {
    let server = GitServer::http();
    let mut env = job(&server);
    for name in ["GITLAB_USER_LOGIN", "GITLAB_USER_ID", "CI_JOB_ID", "CI_PIPELINE_ID", "CI_COMMIT_BRANCH"] {
        env.unset(name);
    }
    let mut told = git_server::job(&env.git(&["rev-parse", "HEAD"]));
    // an older server, which does not tell whether the pipeline is a merge request's
    told["pipeline"]["source"] = Value::Null;
    let token = KEY.sign(&claims(&server, &env));
    for (pointer, value, signed, words) in [
        ("/id", json!(303), "the job is `302`", "`303`"),
        ("/pipeline/id", json!(575), "the pipeline is `574`", "`575`"),
        ("/user/id", json!(8), "the user is `7`", "`8`"),
        ("/user/username", json!("dana"), "the user's login is `ann`", "`dana`"),
        ("/ref", json!("hotfix/pay"), "the ref is `branch main`", "`branch hotfix/pay`"),
        ("/tag", json!(true), "the ref is `branch main`", "`tag main`"),
    ] {
        let mut told = told.clone();
        *told.pointer_mut(pointer).expect("a field") = value;
        server.set_job(told);
        refused(&mut env, &token, &["ci-contradiction: by the ID token", signed, words]);
    }
    // the job of a merge request has the merge request as its ref
    let mut of_merge_request = told;
    of_merge_request["ref"] = json!("refs/merge-requests/3/head");
    server.set_job(of_merge_request);
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, json!({ "pipeline_source": "merge_request_event", "ref": "fix" }))));
    env.deploy_record(&RUN).expect(0);
    assert_eq!(newest(&server, &env)["provenance"]["actor"], "attested");
}

#[test]
fn what_gitlab_did_not_sign_for_this_is_refused() {
    let server = GitServer::http();
    let mut env = job(&server);
    let own = claims(&server, &env);
    let now = Utc::now().timestamp();
    let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "key-1", "typ": "JWT" });
    let stranger = TokenKey::generate("key-1");
    let mut brings_its_key = header("RS256");
    brings_its_key["jwk"] = stranger.jwk();
    let mut asks = header("RS256");
    asks["crit"] = json!(["b64"]);
    let changed = |changes: Value| KEY.sign(&with(&server, &env, changes));
    let elsewhere = format!("{}.evil.example", server.url());
    let url = server.url();
    let cases = [
        (stranger.sign(&own), vec!["key `key-1` did not sign it"]),
        (stranger.sign_as(&brings_its_key, &own, &RSA_PKCS1_SHA256), vec!["key `key-1` did not sign it"]),
        (OTHER.sign(&own), vec!["the key `key-2`, which is none of the server's"]),
        (format!("{}.", unsigned(&header("none"), &own)), vec!["`none`", "`RS256`"]),
        (sign_with_secret("key-1", &own, KEY.pem().as_bytes()), vec!["`HS256`", "`RS256`"]),
        (KEY.sign_as(&header("RS384"), &own, &RSA_PKCS1_SHA384), vec!["`RS384`", "`RS256`"]),
        (KEY.sign_as(&header("PS256"), &own, &RSA_PSS_SHA256), vec!["`PS256`", "`RS256`"]),
        (KEY.sign_as(&asks, &own, &RSA_PKCS1_SHA256), vec!["`crit`"]),
        (changed(json!({ "iss": elsewhere })), vec![&elsewhere, &url]),
        (
            changed(json!({ "aud": "https://vault.example" })),
            vec!["`https://vault.example`", "`deploy-record` alone", "id_tokens: {"],
        ),
        (changed(json!({ "aud": ["deploy-record", "vault"] })), vec!["vault", "`deploy-record` alone"]),
        (changed(json!({ "nbf": now + 3000 })), vec!["by its `nbf`", "here"]),
        (changed(json!({ "exp": now - 3000, "user_id": "8" })), vec!["GITLAB_USER_ID is `7`", "`8`"]),
        (changed(json!({ "job_id": null })), vec!["no claim `job_id`"]),
        (changed(json!({ "groups_direct": "g".repeat(17_000) })), vec!["longer than 16384 bytes"]),
        ("not-a-token".to_owned(), vec!["it is no JWT"]),
        (String::new(), vec!["is empty"]),
    ];
    for (token, words) in cases {
        refused(&mut env, &token, &words);
    }
    server.set_keys(&[]);
    refused(&mut env, &KEY.sign(&own), &["the key `key-1`, which is none of the server's"]);
    let mut weak = KEY.jwk();
    weak["use"] = json!("enc");
    server.set_keys(&[weak]);
    refused(&mut env, &KEY.sign(&own), &["key `key-1` can't have signed it"]);
}

#[test]
fn without_the_keys_the_jobs_token_decides() {
    let (server, elsewhere) = (GitServer::http(), GitServer::http());
    let mut env = job(&server);
    elsewhere.set_keys(&[OTHER.jwk()]);
    let forged = OTHER.sign(&with(&server, &env, json!({ "user_id": "8", "user_login": "dana" })));
    env.set(VARIABLE, &forged);
    for failure in [
        Failure::Status(404, "{\"error\":\"404 Not Found\"}".to_owned()),
        Failure::Status(429, "Retry later".to_owned()),
        Failure::HtmlError(502),
        Failure::HtmlError(200),
        Failure::Garbage,
        Failure::CutResponse,
        Failure::RedirectTo(format!("{}/oauth/discovery/keys", elsewhere.url())),
        Failure::Hang,
    ] {
        server.clear_faults();
        server.inject(Fault { step: Step::Keys, failure: failure.clone(), times: usize::MAX });
        let output = env.deploy_record(&["run", "--timeout", "8", "--", "true"]);
        assert_eq!(output.code, 0, "{failure:?}: {}", output.stderr);
        output.says("can't be had").says(VARIABLE);
        shows_nothing_of(&forged, &output);
        let record = newest(&server, &env);
        assert_eq!(record["actor"]["login"], "ann", "{failure:?}");
        assert_eq!(strengths(&record), ["fetched", "fetched", "fetched", "asserted"], "{failure:?}");
    }
    server.clear_faults();
    server.inject(Fault { step: Step::Keys, failure: Failure::HtmlError(503), times: 2 });
    env.set(VARIABLE, &KEY.sign(&claims(&server, &env)));
    env.deploy_record(&RUN).expect(0);
    assert_eq!(strengths(&newest(&server, &env)), ["attested"; 4], "it is asked again");
}

#[test]
fn a_token_that_expired_meanwhile_stops_what_begins_and_loses_nothing_that_ended() {
    let server = GitServer::http();
    let mut env = job(&server);
    env.set(VARIABLE, &KEY.sign(&claims(&server, &env)));
    env.deploy_record(&["start"]).expect(0);
    let now = Utc::now().timestamp();
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, json!({ "iat": now - 400, "nbf": now - 405, "exp": now - 100 }))));
    env.deploy_record(&["finish", "--status", "success"]).expect(0);
    let end = newest(&server, &env);
    assert_eq!((&end["status"], strengths(&end)), (&json!("success"), ["attested"; 4]), "as the start has it");
    for command in [&RUN[..], &["check"], &["start"]] {
        env.deploy_record(command).expect(2).says("it expired at ").says("it is ").says("retry the job");
    }
    assert!(!env.path().join("ran").exists());
    env.deploy_record(&RECORD).expect(0).says("counts for nothing any more: it expired at ");
    assert_eq!(strengths(&newest(&server, &env)), ["fetched", "fetched", "fetched", "asserted"]);
    // the clocks may differ by a minute
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, json!({ "exp": now - 20 }))));
    env.deploy_record(&RUN).expect(0);
}

#[test]
fn on_a_ref_that_gitlab_signs_to_be_unprotected_the_pipelines_key_does_not_sign() {
    let server = GitServer::http();
    let mut env = job(&server);
    let unprotected = KEY.sign(&with(&server, &env, json!({ "ref_protected": "false" })));
    env.set(VARIABLE, &unprotected);
    for command in [&RUN[..], &["start", "-e", "production"], &RECORD] {
        env.deploy_record(command).expect(2).says("`ci:main` does not sign here").says("not protected");
    }
    assert!(!env.path().join("ran").exists());
    // either is enough
    env.set(VARIABLE, &KEY.sign(&claims(&server, &env)));
    env.set("CI_COMMIT_REF_PROTECTED", "false");
    env.deploy_record(&RUN).expect(2).says("does not sign here");
    env.set("CI_COMMIT_REF_PROTECTED", "true");
    std::fs::write(env.path().join(".deploy-record.yml"), "signers: { unprotected: [production] }\n").expect("a configuration");
    env.git(&["add", ".deploy-record.yml"]);
    env.commit("Production from anywhere");
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    server.set_job(git_server::job(&env.git(&["rev-parse", "HEAD"])));
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, json!({ "ref_protected": false }))));
    env.deploy_record(&RUN).expect(0);
}

#[test]
fn the_deployment_does_not_get_the_token() {
    let server = GitServer::http();
    let mut env = job(&server);
    env.set(VARIABLE, &KEY.sign(&claims(&server, &env)));
    let output = env.deploy_record(&["run", "--", "env"]);
    output.expect(0).shows("CI_JOB_ID");
    assert!(!output.stdout.contains(VARIABLE), "{}", output.stdout);
}

#[test]
fn from_a_fork_an_older_gitlab_signs_too_little() {
    let server = GitServer::http();
    let mut env = job(&server);
    env.unset("CI_COMMIT_BRANCH");
    let mut told = git_server::job(&env.git(&["rev-parse", "HEAD"]));
    told["pipeline"]["source"] = json!("merge_request_event");
    server.set_job(told);
    let mut of_fork =
        json!({ "pipeline_source": "merge_request_event", "project_id": "77", "project_path": "dana/app", "ref": "fix" });
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, of_fork.clone())));
    env.deploy_record(&RUN).expect(0).says("dana/app").says("GitLab 18.4");
    assert_eq!(newest(&server, &env)["provenance"]["actor"], "fetched");
    (of_fork["job_project_id"], of_fork["job_project_path"]) = (json!("42"), json!("grp/app"));
    env.set(VARIABLE, &KEY.sign(&with(&server, &env, of_fork)));
    env.deploy_record(&RUN).expect(0);
    assert_eq!(newest(&server, &env)["provenance"]["actor"], "attested");
}
