//! Steps that are tried again, before or after the log is back: each deployment is there once.

use crate::support::env::TestEnv;
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use serde_json::Value;

fn down(server: &GitServer) {
    server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
}

const PLACE: [&str; 6] = ["-e", "production", "--version", "1", "--timeout", "3"];

fn start(env: &TestEnv) {
    env.deploy_record(&[&["start"], &PLACE[..]].concat()).expect(0);
}

fn is_start(record: &Value) -> bool {
    record["status"] == "running"
}

#[track_caller]
fn one_deployment(env: &TestEnv, server: &GitServer) {
    let records = env.records(server.repository());
    assert_eq!(records.len(), 2, "{records:#?}");
    assert!(is_start(&records[0]) && records[1]["finishes"] == 1, "{records:#?}");
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
    env.deploy_record(&["replay"]).expect(0);
    assert_eq!(env.records(server.repository()).len(), 2);
}

#[test]
fn a_start_that_waits_is_the_one_that_a_second_try_means() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server);
    start(&env);
    start(&env);
    server.clear_faults();
    start(&env);
    start(&env);
    env.deploy_record(&["finish", "-e", "production", "--status", "success"]).expect(0).says("record 2:");
    one_deployment(&env, &server);
}

#[test]
fn a_finish_that_is_tried_again_while_the_log_is_down_or_back_lands_once() {
    for is_back in [false, true] {
        let server = GitServer::http();
        let env = TestEnv::gitlab_job(&server);
        start(&env);
        down(&server);
        let finish = ["finish", "-e", "production", "--status", "success", "--timeout", "3"];
        env.deploy_record(&finish).expect(3).says("SPOOLED");
        if is_back {
            server.clear_faults();
            env.deploy_record(&finish).expect(0).says("record 2:");
        }
        server.clear_faults();
        env.deploy_record(&["replay"]).expect(0);
        one_deployment(&env, &server);
    }
}

#[test]
fn two_runs_of_one_job_are_two_deployments_wherever_the_first_waited() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let run = [&["run"], &PLACE[..], &["--", "true"]].concat();
    down(&server);
    env.deploy_record(&run).expect(0).says("SPOOLED");
    server.clear_faults();
    env.deploy_record(&run).expect(0).says("record 2:");
    env.deploy_record(&["replay"]).expect(0);
    let records = env.records(server.repository());
    assert_eq!(records.len(), 4, "{records:#?}");
    assert_eq!((records[1]["finishes"].as_u64(), records[3]["finishes"].as_u64()), (Some(1), Some(3)));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
}

#[test]
fn what_was_recorded_directly_after_all_is_not_replayed_even_after_an_annotation() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    let ann = env.key("ann", "ed25519");
    let line = std::fs::read_to_string(env.trust("ann", &ann)).expect("a line");
    let trust_root = env.path().join(".deploy-record/allowed_signers");
    let text = std::fs::read_to_string(&trust_root).expect("a trust root") + &line;
    std::fs::write(&trust_root, text).expect("written");
    env.git(&["commit", "--quiet", "-am", "Trust Ann"]);
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    env.set("CI_COMMIT_SHA", &env.git(&["rev-parse", "HEAD"]));
    down(&server);
    let record = |service: &str, environment: &str| {
        let place = ["--service", service, "-e", environment, "--version", "1", "--timeout", "2"];
        env.deploy_record(&[&["record", "--status", "success"], &place[..]].concat())
    };
    let places = [("api", "production"), ("web", "production"), ("api", "staging")];
    for (service, environment) in places {
        record(service, environment).expect(3).says("SPOOLED");
    }
    server.clear_faults();
    record("api", "production").expect(0).says("record 1:");
    env.deploy_record(&["annotate", "1", "--note", "by hand after all", "--key", &ann.display().to_string()]).expect(0);
    record("web", "production").expect(0).says("record 3:");
    let replayed = env.deploy_record(&["replay"]);
    replayed.expect(0).shows("already record 1").shows("already record 3").shows("record 4");
    assert_eq!(env.records(server.repository()).len(), 4);
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
}

#[test]
fn a_claim_whose_key_is_no_longer_trusted_stays_and_says_why() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    down(&server);
    env.deploy_record(&[&["record", "--status", "success"], &PLACE[..]].concat()).expect(3).says("SPOOLED");
    server.clear_faults();
    let key = env.key("next", "ed25519");
    env.commit_trust_root("ci:main", &key);
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    env.set("DEPLOY_RECORD_KEY", &key.display().to_string());
    for _ in 0..2 {
        env.deploy_record(&["replay"]).expect(3).shows("LEFT").shows("the key is not in allowed_signers");
    }
    env.deploy_record(&[&["record", "--status", "success"], &PLACE[..]].concat()).expect(0).says("record 1:");
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn a_start_whose_push_lands_late_is_not_told_again_by_its_claim() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let is_first = std::sync::atomic::AtomicBool::new(true);
    server.before(Step::Push, move || {
        if is_first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_secs(6));
        }
    });
    std::thread::scope(|scope| {
        let run = scope.spawn(|| env.deploy_record(&[&["start"], &PLACE[..]].concat()));
        while server.requests().iter().all(|request| request.step != Some(Step::Push)) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        server.inject(Fault { step: Step::RefsForPush, failure: Failure::HtmlError(503), times: usize::MAX });
        run.join().expect("a start").expect(0).says("it may be in the log or not").says("SPOOLED");
    });
    server.clear_faults();
    std::thread::sleep(std::time::Duration::from_secs(6));
    env.deploy_record(&["replay"]).expect(0).shows("already record 1");
    assert_eq!(env.records(server.repository()).len(), 1);
}

#[test]
fn an_outcome_outside_of_jobs_that_was_told_twice_lands_once() {
    let env = TestEnv::new();
    start(&env);
    let lock = env.path().join(".git/refs/heads/deploy-log.lock");
    std::fs::write(&lock, "").expect("a lock");
    let finish = ["finish", "--record", "1", "--status", "success", "--timeout", "1"];
    env.deploy_record(&finish).expect(3).says("SPOOLED");
    std::fs::remove_file(&lock).expect("removed");
    env.deploy_record(&finish).expect(0).says("record 2:");
    env.deploy_record(&["replay"]).expect(0).shows("already record 2");
    assert_eq!(env.records(&env.path()).len(), 2);
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
}
