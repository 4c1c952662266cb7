//! The same in a GitLab job: a real git server over HTTP(S), and everything that can go wrong on the way.

use crate::support::env::TestEnv;
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use std::collections::BTreeSet;

const RECORD: [&str; 7] = ["record", "-e", "production", "--version", "1.4.2", "--status", "success"];

fn inject(server: &GitServer, step: Step, failure: Failure, times: usize) {
    server.inject(Fault { step, failure, times });
}

#[test]
fn a_job_appends_to_its_own_project() {
    for server in [GitServer::http(), GitServer::https()] {
        let env = TestEnv::gitlab_job(&server);
        env.deploy_record(&["run", "-e", "production", "--", "echo", "hello"]).expect(0).shows("hello").says("record 2:");
        let records = env.records(server.repository());
        assert_eq!(records.len(), 2);
        assert_eq!((&records[1]["actor"]["login"], &records[1]["project"]["id"]), (&"ann".into(), &42.into()));
        assert_eq!(records[1]["provenance"]["commit"], "observed");
        env.deploy_record(&["verify", "--deep"]).expect(0).shows("verified: 2 records").shows("trust root: main at");
        env.deploy_record(&["status"]).expect(0).shows("production");
        let pushes: Vec<_> = server.requests().into_iter().filter(|request| request.step == Some(Step::Push)).collect();
        assert!(pushes.iter().all(|push| push.push_options == ["ci.skip"]), "{pushes:?}");
    }
}

#[test]
fn a_job_records_the_same_once_and_a_second_run_is_a_second_attempt() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    env.deploy_record(&RECORD).expect(0);
    env.deploy_record(&RECORD).expect(0).says("already recorded by this job: record 1");
    let run = ["run", "-e", "staging", "--", "true"];
    env.deploy_record(&run).expect(0);
    env.deploy_record(&run).expect(0);
    let records = env.records(server.repository());
    assert_eq!(records.len(), 5);
    assert_eq!((&records[3]["job"]["attempt"], &records[4]["job"]["attempt"]), (&2.into(), &2.into()));
}

#[test]
fn refusals_say_what_to_do_and_the_command_does_not_run() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    let run = ["run", "-e", "production", "--timeout", "5", "--", "touch", "ran"];
    for (status, words) in [(401, "the token is wrong"), (403, "Allow Git push requests"), (404, "no such repository")] {
        inject(&server, Step::RefsForPush, Failure::Status(status, "no".to_owned()), usize::MAX);
        env.deploy_record(&run).expect(3).says(words);
        return_to_normal(&server);
    }
    server.protect("deploy-log");
    env.deploy_record(&run).expect(3).says("the branch is protected");
    env.set("CI_JOB_TOKEN", server.read_only_token());
    env.deploy_record(&run).expect(3).says("Allow Git push requests");
    env.set("CI_JOB_TOKEN", "wrong-token-wrong-token");
    env.deploy_record(&run).expect(3).says("the token is wrong");
    assert!(!env.path().join("ran").exists());
    let branches = env.git(&["-C", &server.repository().display().to_string(), "branch", "--list"]);
    assert!(!branches.contains("deploy-log"), "{branches}");
}

/// The server forgets the faults that are still queued.
fn return_to_normal(server: &GitServer) {
    server.clear_faults();
}

#[test]
fn a_server_with_an_unknown_ca_or_none_that_answers() {
    let server = GitServer::https();
    let mut env = TestEnv::gitlab_job(&server);
    let other = GitServer::https();
    env.set("CI_SERVER_TLS_CA_FILE", &other.ca_file().expect("CA").display().to_string());
    env.deploy_record(&RECORD).expect(3).says("TLS failed").says("CI_SERVER_TLS_CA_FILE");
    env.set("CI_SERVER_TLS_CA_FILE", &server.ca_file().expect("CA").display().to_string());
    let record = ["record", "-e", "production", "--version", "1", "--status", "success", "--timeout", "3"];
    inject(&server, Step::Any, Failure::Hang, usize::MAX);
    env.deploy_record(&record).expect(3).says("time limit");
    drop(server);
    env.set("CI_SERVER_TLS_CA_FILE", &other.ca_file().expect("CA").display().to_string());
    env.deploy_record(&record).expect(3).says("no connection");
    env.set("CI_PROJECT_URL", "https://gitlab-ci-token:secret-secret@127.0.0.1:1/x");
    let output = env.deploy_record(&record);
    assert!(!output.stderr.contains("secret-secret"), "{}", output.stderr);
}

#[test]
fn whatever_is_cut_the_record_is_there_once() {
    let failures = [
        Failure::CutBefore,
        Failure::CutRequest,
        Failure::CutAfter,
        Failure::CutResponse,
        Failure::Garbage,
        Failure::HtmlError(502),
    ];
    for step in [Step::RefsForFetch, Step::Fetch, Step::RefsForPush, Step::Push] {
        for failure in &failures {
            let server = GitServer::http();
            let env = TestEnv::gitlab_job(&server);
            env.deploy_record(&RECORD).expect(0);
            inject(&server, step, failure.clone(), 1);
            let record = ["record", "-e", "staging", "--version", "1", "--status", "success"];
            let output = env.deploy_record(&record);
            let records = env.records(server.repository());
            let said = output.stderr.contains("record 2:");
            assert_eq!(said, output.code == 0, "{step:?} {failure:?}: {}", output.stderr);
            assert_eq!(records.len(), 1 + usize::from(said), "{step:?} {failure:?}: {}", output.stderr);
            if matches!(step, Step::RefsForPush | Step::Push) {
                output.expect(0);
            }
            env.deploy_record(&["verify"]).expect(0);
        }
    }
}

#[test]
fn twenty_writers_make_one_chain() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    env.deploy_record(&RECORD).expect(0);
    server.set_refuse_percent(20, 7);
    server.set_cut_percent(5, 5, 11);
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..20 {
            let env = &env;
            scope.spawn(move || {
                let service = format!("service-{writer}");
                env.deploy_record(&[&RECORD[..], &["--service", &service]].concat()).expect(0);
            });
        }
    });
    println!("20 writers: {:.1} s", begin.elapsed().as_secs_f64());
    server.set_refuse_percent(0, 0);
    server.set_cut_percent(0, 0, 0);
    let records = env.records(server.repository());
    let services: BTreeSet<_> = records.iter().filter_map(|record| record["service"].as_str()).collect();
    let ids: BTreeSet<_> = records.iter().map(|record| record["id"].to_string()).collect();
    assert_eq!((records.len(), services.len(), ids.len()), (21, 20, 21));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("verified: 21 records");
}

#[test]
fn listing_fetches_no_more_of_the_log_than_it_shows() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    for version in ["1", "2", "3", "4", "5", "6"] {
        env.deploy_record(&[&RECORD[..], &["--service", version]].concat()).expect(0);
    }
    // whoever asks for the first record does not get it
    let repository = server.repository().display().to_string();
    let first = env.git(&["-C", &repository, "rev-parse", "deploy-log~5:record.json"]);
    std::fs::remove_file(server.repository().join("objects").join(&first[..2]).join(&first[2..])).expect("a loose object");
    env.deploy_record(&["log", "--last", "2"]).expect(0).says("these are the newest 2");
    env.deploy_record(&["show", "4"]).expect(0);
    env.deploy_record(&["status"]).expect(0).shows("production");
    env.deploy_record(&["log", "--all", "--timeout", "5"]).expect(3);
}

#[test]
fn a_repeat_is_the_same_delivery_and_nothing_else_is_swallowed() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    env.deploy_record(&RECORD).expect(0);
    let again = env.deploy_record(&[&RECORD[..], &["--format", "json"]].concat());
    assert_eq!(again.expect(0).stdout, "{\n  \"seq\": 1,\n  \"already\": true\n}\n");
    let other = ["record", "-e", "production", "--version", "9.9.9", "--status", "success"];
    env.deploy_record(&other).expect(0).says("record 2:");
    assert_eq!(env.records(server.repository()).len(), 2);
}

#[test]
fn the_pipelines_key_does_not_sign_on_an_unprotected_ref() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.set("CI_COMMIT_REF_PROTECTED", "false");
    env.deploy_record(&["run", "-e", "production", "--", "touch", "ran"])
        .expect(2)
        .says("is not protected")
        .says("unprotected:");
    assert!(!env.path().join("ran").exists());
    std::fs::write(env.path().join(".deploy-record.yml"), "signers: { unprotected: [staging] }\n").expect("config");
    env.git(&["add", ".deploy-record.yml"]);
    env.commit("Let feature branches deploy to staging");
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    env.deploy_record(&["run", "-e", "production", "--", "true"]).expect(2);
    env.deploy_record(&["run", "-e", "staging", "--", "true"]).expect(0);
}

#[test]
fn a_pinned_log_is_that_log_and_no_other() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let new = env.deploy_record(&RECORD);
    let pin = new.expect(0).stderr.lines().find_map(|line| line.split_once("log: {")).expect("a hint").1.to_owned();
    let configure = |text: &str| {
        std::fs::write(env.path().join(".deploy-record.yml"), text).expect("config");
        env.git(&["add", ".deploy-record.yml"]);
        env.commit("Pin the log");
        env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    };
    let staging = ["record", "-e", "staging", "--version", "1", "--status", "success"];
    configure(&format!("log: {{{pin}\n"));
    env.deploy_record(&staging).expect(0).says("record 2:");
    let digest = pin.split('"').nth(3).expect("a digest");
    configure(&format!("log: {{{}\n", pin.replace(digest, &format!("sha256:{}", "0".repeat(64)))));
    env.deploy_record(&staging).expect(3).says("first-record");
    env.deploy_record(&["verify"]).expect(1).shows("first-record record 1");
    configure(&format!("log: {{{pin}\n"));
    env.git(&["-C", &server.repository().display().to_string(), "update-ref", "-d", "refs/heads/deploy-log"]);
    env.deploy_record(&staging).expect(3).says("does not exist, but the configuration names its id");
}

#[test]
fn a_server_that_is_down_for_a_moment_is_asked_again() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    inject(&server, Step::RefsForFetch, Failure::Status(503, "later".to_owned()), 2);
    env.deploy_record(&RECORD).expect(0);
    inject(&server, Step::Any, Failure::CutBefore, 2);
    env.deploy_record(&["status"]).expect(0);
    inject(&server, Step::RefsForFetch, Failure::HtmlError(200), usize::MAX);
    let begin = std::time::Instant::now();
    env.deploy_record(&["status"]).expect(3).says("is this a git repository's address?");
    assert!(begin.elapsed().as_secs() < 20, "an address that is none is not asked for a minute");
}

#[test]
fn no_credential_goes_to_another_host() {
    let (server, other) = (GitServer::http(), GitServer::http());
    let mut env = TestEnv::gitlab_job(&server);
    // a server that points elsewhere
    let elsewhere = format!("{}/info/refs?service=git-upload-pack", other.project_url());
    inject(&server, Step::RefsForFetch, Failure::RedirectTo(elsewhere), usize::MAX);
    env.deploy_record(&RECORD).expect(3).says("the server redirects to").says("give its new address");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
    return_to_normal(&server);
    // a log on another server than the job's: a variable can't name it, the default branch can, and no job token goes there
    env.set("DEPLOY_RECORD_LOG", &other.project_url());
    env.set("DEPLOY_RECORD_TOKEN", server.job_token());
    env.deploy_record(&RECORD).expect(2).says("named by no flag or variable");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
    env.unset("DEPLOY_RECORD_LOG");
    env.unset("DEPLOY_RECORD_TOKEN");
    std::fs::write(env.path().join(".deploy-record.yml"), format!("log: {{ url: \"{}\" }}\n", other.project_url()))
        .expect("config");
    env.git(&["add", ".deploy-record.yml"]);
    env.commit("Keep the log elsewhere");
    let push = || env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    push();
    env.deploy_record(&RECORD).expect(3).says("the token is wrong, expired, or missing");
    assert!(!other.requests().is_empty() && other.requests().iter().all(|request| request.user.is_none()));
    env.git(&["rm", "--quiet", ".deploy-record.yml"]);
    env.commit("Keep the log here again");
    push();
    // a redirect within the same server is followed
    let moved = server.add_repository("grp/moved.git");
    env.git(&["push", "--quiet", &moved.display().to_string(), "HEAD:main"]);
    let there = format!("{}/grp/moved.git/info/refs?service=git-upload-pack", server.url());
    inject(&server, Step::RefsForFetch, Failure::RedirectTo(there), 1);
    env.deploy_record(&["log"]).expect(3).says("there is no log");
}

#[test]
fn the_default_branch_decides() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    std::fs::write(env.path().join(".deploy-record.yml"), "service: api\n").expect("config");
    env.git(&["add", ".deploy-record.yml"]);
    env.commit("Configure");
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    for (name, value) in [
        ("DEPLOY_RECORD_LOG", "/tmp"),
        ("DEPLOY_RECORD_BRANCH", "x"),
        ("DEPLOY_RECORD_CONFIG", "/dev/null"),
        ("DEPLOY_RECORD_ALLOWED_SIGNERS", "/dev/null"),
    ] {
        env.set(name, value);
        env.deploy_record(&RECORD).expect(2).says("policy-override").says(name);
        env.unset(name);
    }
    env.deploy_record(&RECORD).expect(0);
    let records = env.records(server.repository());
    assert_eq!(records[0]["service"], "api");
    assert!(records[0]["policy"]["ref"].as_str().is_some_and(|reference| reference.starts_with("main at ")));
    let stranger = env.key("stranger", "ed25519");
    env.set("DEPLOY_RECORD_KEY", &stranger.display().to_string());
    env.deploy_record(&RECORD).expect(2).says("add this line");
    env.unset("DEPLOY_RECORD_KEY");
    env.deploy_record(&RECORD).expect(2).says("there is no signing key");
}
