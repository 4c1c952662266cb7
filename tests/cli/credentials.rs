//! HTTPS on a laptop: git's own credential helpers against a server that wants a token.

use crate::support::env::{Output, TestEnv, write_script};
use crate::support::git_server::GitServer;
use std::time::{Duration, Instant};

fn record(env: &TestEnv, version: &str, options: &[&str]) -> Output {
    let record = ["record", "-e", "production", "--version", version, "--status", "success"];
    env.deploy_record(&[&record, options].concat())
}

/// A repository with a key that signs, whose log is on that server.
fn laptop(server: &GitServer) -> TestEnv {
    let mut env = TestEnv::new();
    let key = env.key("ann", "ed25519");
    env.commit_trust_root("ann", &key);
    env.set("DEPLOY_RECORD_KEY", &key.display().to_string());
    env.set("DEPLOY_RECORD_LOG", &server.project_url());
    if let Some(ca_file) = server.ca_file() {
        env.set("GIT_SSL_CAINFO", &ca_file.display().to_string());
    }
    env
}

/// A helper that gives this password, and writes down what it is asked and told.
fn helper(env: &TestEnv, password: &str) {
    let path = env.beside("helper");
    let seen = env.beside("seen").display().to_string();
    let answer = format!("[ $1 = get ] && printf 'username=oauth2\\npassword={password}\\n'");
    write_script(&path, &format!("echo $1 >> {seen}\ncat >> {seen}\n{answer}"));
    env.git(&["config", "credential.helper", &path.display().to_string()]);
}

fn seen(env: &TestEnv) -> String {
    let path = env.beside("seen");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::remove_file(path).ok();
    text
}

#[test]
fn gits_own_store_logs_in_and_nobody_else_sees_the_token() {
    for server in [GitServer::http(), GitServer::https()] {
        let env = laptop(&server);
        let store = env.beside("store");
        let (scheme, host) =
            server.project_url().split_once("://").map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned())).expect("a URL");
        let host = host.split('/').next().expect("a host");
        std::fs::write(&store, format!("{scheme}://oauth2:{}@{host}\n", server.job_token())).expect("a store");
        env.git(&["config", "credential.helper", &format!("store --file={}", store.display())]);
        let run = ["run", "-v", "-e", "production", "--", "env"];
        let output = env.deploy_record(&run);
        output.expect(0).says("record 2:");
        env.deploy_record(&["verify"]).expect(0).shows("verified: 2 records");
        let records = format!("{:?}", env.records(server.repository()));
        for text in [&output.stdout, &output.stderr, &records] {
            assert!(!text.contains(server.job_token()), "{text}");
        }
        // the first request is anonymous, as git's own is
        let users: Vec<_> = server.requests().into_iter().map(|request| request.user).collect();
        assert_eq!((&users[0], users[1].as_deref()), (&None, Some("oauth2")));
    }
}

#[test]
fn helpers_hear_what_was_right_and_what_was_wrong() {
    let server = GitServer::http();
    let env = laptop(&server);
    helper(&env, server.job_token());
    record(&env, "1", &[]).expect(0);
    let host = server.url().replace("http://", "host=");
    let text = seen(&env);
    assert_eq!(text.lines().filter(|line| *line == "get").count(), 1, "asked once, however many requests: {text}");
    assert!(text.contains(&host) && text.contains("store\n") && !text.contains("erase") && !text.contains("path="), "{text}");
    env.git(&["config", "credential.useHttpPath", "true"]);
    record(&env, "2", &[]).expect(0);
    assert!(seen(&env).contains("path=grp/app.git\n"));
    helper(&env, "wrong-wrong-wrong");
    let begin = Instant::now();
    let output = record(&env, "3", &[]);
    output.expect(3).says("the token is wrong, expired, or missing").says("credential helpers");
    assert!(!output.stderr.contains("wrong-wrong-wrong") && begin.elapsed() < Duration::from_secs(10));
    let text = seen(&env);
    assert!(text.contains("erase\n") && text.contains("password=wrong-wrong-wrong") && !text.contains("store"), "{text}");
    assert_eq!(env.records(server.repository()).len(), 2);
}

#[test]
fn a_token_that_is_given_comes_first_and_a_job_asks_no_helper() {
    let server = GitServer::http();
    let env = laptop(&server);
    helper(&env, "wrong-wrong-wrong");
    record(&env, "1", &["--token", server.job_token()]).expect(0);
    let address = server.project_url().replace("://", &format!("://oauth2:{}@", server.job_token().replace('_', "%5f")));
    record(&env, "2", &["--log", &address]).expect(0);
    assert_eq!(seen(&env), "");
    let mut job = TestEnv::gitlab_job(&server);
    helper(&job, server.job_token());
    job.unset("CI_JOB_TOKEN");
    record(&job, "3", &[]).expect(3).says("the token is wrong, expired, or missing");
    assert_eq!(seen(&job), "");
}

#[test]
fn the_user_of_the_address_is_the_one_who_is_asked_for() {
    let server = GitServer::http();
    let env = laptop(&server);
    helper(&env, server.job_token());
    record(&env, "1", &["--log", &server.project_url().replace("://", "://oauth2@")]).expect(0);
    assert!(seen(&env).contains("username=oauth2\n"));
}

#[test]
fn no_address_brings_lines_of_its_own_into_the_question() {
    let server = GitServer::http();
    let env = laptop(&server);
    helper(&env, server.job_token());
    let address = format!("{}/a%0ahost=gitlab.example/app.git", server.url());
    record(&env, "1", &["--log", &address]).expect(3).says("the token is wrong, expired, or missing");
    assert_eq!(seen(&env), "");
}

#[test]
fn nobody_who_could_be_asked_is_a_clear_error() {
    let server = GitServer::http();
    let mut env = laptop(&server);
    // no helper, and no terminal
    record(&env, "1", &[]).expect(3).says("the token is wrong, expired, or missing");
    // a helper that hangs
    helper(&env, server.job_token());
    write_script(&env.beside("helper"), "exec sleep 600");
    let begin = Instant::now();
    record(&env, "1", &["--timeout", "3"]).expect(3);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // no git at all
    env.set("PATH", "/nonexistent");
    record(&env, "1", &[]).expect(3).says("the token is wrong, expired, or missing");
}
