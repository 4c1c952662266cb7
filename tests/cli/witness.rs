//! Who runs a job is what GitLab says, not what a variable says.

use crate::support::env::TestEnv;
use crate::support::git_server::{self, Failure, Fault, GitServer, Step};
use serde_json::{Value, json};

const RUN: [&str; 6] = ["run", "-e", "production", "--", "touch", "ran"];

fn job(server: &GitServer) -> TestEnv {
    let env = TestEnv::gitlab_job(server);
    server.set_job(git_server::job(&env.git(&["rev-parse", "HEAD"])));
    env
}

#[test]
fn what_gitlab_tells_is_marked_as_fetched() {
    let server = GitServer::https();
    let env = job(&server);
    env.deploy_record(&RUN).expect(0);
    let record = &env.records(server.repository())[0];
    assert_eq!(record["actor"], json!({ "login": "ann", "id": 7, "name": "Ann Ö." }));
    let strength = |group: &str| record["provenance"][group].as_str().map(str::to_owned);
    assert_eq!(
        ["actor", "job", "commit", "environment"].map(strength),
        ["fetched", "fetched", "fetched", "asserted"].map(|word| Some(word.to_owned()))
    );
}

#[test]
fn a_variable_that_says_otherwise_is_refused_with_both_values() {
    let server = GitServer::http();
    let mut env = job(&server);
    let (sha, other) = (env.git(&["rev-parse", "HEAD"]), "0".repeat(40));
    for (variable, value, told) in [
        ("GITLAB_USER_LOGIN", "dana", "ann"),
        ("GITLAB_USER_ID", "8", "7"),
        ("CI_COMMIT_SHA", other.as_str(), sha.as_str()),
        ("CI_PIPELINE_ID", "575", "574"),
        ("CI_JOB_ID", "303", "302"),
        ("CI_JOB_NAME", "migrate", "deploy"),
        ("CI_PROJECT_ID", "43", "42"),
        ("CI_COMMIT_BRANCH", "hotfix/pay", "main"),
    ] {
        env.set(variable, value);
        for command in [&RUN[..], &["check", "-e", "production"], &["start", "-e", "production"]] {
            let output = env.deploy_record(command);
            output.expect(2).says("ci-contradiction").says(&format!("{variable} is `{value}`")).says(told);
        }
        assert!(!env.path().join("ran").exists(), "{variable}");
        env.set(variable, told);
    }
    env.set("CI_COMMIT_TAG", "v9");
    env.deploy_record(&RUN).expect(2).says("ci-contradiction: CI_COMMIT_TAG is `v9`").says("`branch main`");
    env.unset("CI_COMMIT_TAG");
    env.deploy_record(&RUN).expect(0);
}

#[test]
fn a_token_that_gitlab_does_not_know_is_refused() {
    let server = GitServer::http();
    let mut env = job(&server);
    env.set("DEPLOY_RECORD_TOKEN", server.job_token());
    env.set("CI_JOB_TOKEN", "made-up");
    env.deploy_record(&RUN).expect(2).says("ci-contradiction").says("CI_JOB_TOKEN");
}

#[test]
fn a_gitlab_that_does_not_tell_leaves_the_variables_word() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    env.deploy_record(&RUN).expect(0);
    assert_eq!(env.records(server.repository())[0]["provenance"]["actor"], "asserted");
    server.set_job(git_server::job(&env.git(&["rev-parse", "HEAD"])));
    for failure in [
        Failure::Status(403, "{\"message\":\"403 Forbidden\"}".to_owned()),
        Failure::HtmlError(502),
        Failure::Garbage,
        Failure::CutResponse,
        Failure::Hang,
    ] {
        server.clear_faults();
        server.inject(Fault { step: Step::Api, failure: failure.clone(), times: usize::MAX });
        let output = env.deploy_record(&["run", "-e", "staging", "--timeout", "8", "--", "touch", "ran"]);
        assert_eq!(output.code, 0, "{failure:?}: {}", output.stderr);
        assert!(!output.stderr.contains(server.job_token()), "{failure:?}");
    }
}

#[test]
fn a_busy_gitlab_is_asked_again() {
    let server = GitServer::http();
    let env = job(&server);
    server.inject(Fault { step: Step::Api, failure: Failure::Status(429, "Retry later".to_owned()), times: 1 });
    server.inject(Fault { step: Step::Api, failure: Failure::HtmlError(503), times: 1 });
    env.deploy_record(&RUN).expect(0);
    assert_eq!(env.records(server.repository())[0]["provenance"]["actor"], "fetched");
}

#[test]
fn bots_and_schedules_are_no_persons_hand() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let with = |pointer: &str, value: Value| {
        let mut job = git_server::job(&env.git(&["rev-parse", "HEAD"]));
        *job.pointer_mut(pointer).expect("a field") = value;
        server.set_job(job);
        env.deploy_record(&RUN).expect(0);
        env.records(server.repository()).last().expect("a record")["actor"].clone()
    };
    assert_eq!(with("/user/bot", json!(true))["automated"], true);
    assert_eq!(with("/pipeline/source", json!("schedule"))["automated"], true);
}
