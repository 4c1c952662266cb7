//! What others do to the log between our fetch and our push, and pushes whose answer comes too late.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

fn record(env: &TestEnv, version: &str, options: &[&str]) -> Output {
    let record = ["record", "-e", "production", "--version", version, "--status", "success"];
    env.deploy_record(&[&record, options].concat())
}

/// A job whose log has two records.
fn job(server: &GitServer) -> TestEnv {
    let env = TestEnv::gitlab_job(server);
    record(&env, "1", &[]).expect(0);
    record(&env, "2", &[]).expect(0);
    env
}

/// Calls the actions one after the other, one for each push.
fn at_pushes(server: &GitServer, actions: Vec<Box<dyn Fn() + Send + Sync>>) {
    before(server, Step::Push, actions);
}

fn before(server: &GitServer, step: Step, actions: Vec<Box<dyn Fn() + Send + Sync>>) {
    let next = AtomicUsize::new(0);
    server.before(step, move || {
        if let Some(action) = actions.get(next.fetch_add(1, Ordering::SeqCst)) {
            action();
        }
    });
}

fn git(repository: &Path, arguments: &[&str]) {
    let status = Command::new("git").arg("-C").arg(repository).args(arguments).status().expect("git");
    assert!(status.success(), "git {arguments:?}");
}

fn moves(repository: PathBuf, arguments: &'static [&'static str]) -> Box<dyn Fn() + Send + Sync> {
    Box::new(move || git(&repository, arguments))
}

fn waits(seconds: f64) -> Box<dyn Fn() + Send + Sync> {
    Box::new(move || sleep(Duration::from_secs_f64(seconds)))
}

#[test]
fn a_push_that_lands_after_its_answer_was_given_up_is_found() {
    let server = GitServer::http();
    let env = job(&server);
    // the first is given up after three seconds and lands after four, while the second is on its way
    at_pushes(&server, vec![waits(4.0), waits(2.0)]);
    record(&env, "3", &["--timeout", "9"]).expect(0).says("record 3:");
    let versions: Vec<_> = env.records(server.repository()).iter().map(|record| record["version"].to_string()).collect();
    assert_eq!(versions, ["\"1\"", "\"2\"", "\"3\""]);
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn a_push_that_may_still_land_is_never_called_lost() {
    let server = GitServer::http();
    let env = job(&server);
    at_pushes(&server, vec![waits(4.0)]);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| record(&env, "3", &["--timeout", "9"]));
        sleep(Duration::from_secs(2));
        // while the first push is under way, the token loses its right
        let failure = Failure::Status(403, "You are not allowed to push code.".to_owned());
        server.inject(Fault { step: Step::RefsForPush, failure, times: usize::MAX });
        let output = run.join().expect("a run");
        output.expect(3).says("it may be in the log or not").says("look for the id");
    });
    sleep(Duration::from_secs(3));
    assert_eq!(env.records(server.repository()).len(), 3);
}

#[test]
fn a_branch_that_goes_away_meanwhile_is_not_made_anew() {
    // before the push is offered, when libgit2 would make the branch anew, and right before it is sent
    for step in [Step::RefsForPush, Step::Push] {
        let server = GitServer::http();
        let env = job(&server);
        let repository = server.repository().to_path_buf();
        before(&server, step, vec![moves(repository, &["update-ref", "-d", "refs/heads/deploy-log"])]);
        record(&env, "3", &[]).expect(3).says("does not exist now: it was rewound or deleted");
        let branches = env.git(&["-C", &server.repository().display().to_string(), "branch", "--list", "deploy-log"]);
        assert_eq!(branches, "", "{step:?}");
    }
}

#[test]
fn a_branch_that_is_rewound_meanwhile_is_not_gone_on_with() {
    let server = GitServer::http();
    let env = job(&server);
    let repository = server.repository().to_path_buf();
    at_pushes(&server, vec![moves(repository, &["update-ref", "refs/heads/deploy-log", "deploy-log~1"])]);
    record(&env, "3", &[]).expect(3).says("had record 2 when it was seen last, and ends with record 1 now");
    assert_eq!(env.records(server.repository()).len(), 1);
}

#[test]
fn a_log_that_was_rewound_during_the_command_does_not_take_its_outcome() {
    let server = GitServer::http();
    let env = job(&server);
    let rewind = format!("git -C {} update-ref refs/heads/deploy-log deploy-log~1", server.repository().display());
    let output = env.deploy_record(&["run", "-e", "production", "--", "sh", "-c", &rewind]);
    output.expect(0).says("as an open start").says("SPOOLED");
    env.deploy_record(&["run", "--strict", "-e", "production", "--", "sh", "-c", &rewind]).expect(3);
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn first_records_of_many_writers_are_one_log() {
    let env = TestEnv::new();
    let versions: Vec<_> = (0..8).map(|number| number.to_string()).collect();
    std::thread::scope(|scope| {
        for version in &versions {
            let env = &env;
            scope.spawn(move || record(env, version, &["--service", version]).expect(0).code);
        }
    });
    assert_eq!(env.records(&env.path()).len(), 8);
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("verified: 8 records");
}

#[test]
fn a_lock_that_was_left_behind_is_named() {
    let env = TestEnv::new();
    record(&env, "1", &[]).expect(0);
    std::fs::write(env.path().join(".git/refs/heads/deploy-log.lock"), "").expect("a lock");
    record(&env, "2", &["--timeout", "1"]).expect(3).says("deploy-log.lock");
}

#[test]
fn a_run_that_waits_for_the_server_can_be_stopped() {
    let server = GitServer::http();
    let env = job(&server);
    server.inject(Fault { step: Step::Any, failure: Failure::Hang, times: usize::MAX });
    let run = ["run", "-e", "production", "--", "touch", "ran"];
    let mut child = env.command(env!("CARGO_BIN_EXE_deploy-record").as_ref(), &run).spawn().expect("a child");
    sleep(Duration::from_secs(1));
    let begin = std::time::Instant::now();
    assert_eq!(env.run("kill".as_ref(), &["-TERM", &child.id().to_string()], b"").code, 0);
    assert_eq!(child.wait().expect("an end").code(), Some(143));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(!env.path().join("ran").exists());
}

#[test]
fn an_answer_on_the_way_back_does_not_hide_what_the_server_did() {
    for status in [403, 404, 408, 429] {
        let server = GitServer::http();
        let env = job(&server);
        // the push goes through, and somebody between answers with this status
        server.inject(Fault { step: Step::Push, failure: Failure::StatusAfter(status), times: 1 });
        record(&env, "3", &[]).expect(0).says("record 3:");
        assert_eq!(env.records(server.repository()).len(), 3, "{status}");
        env.deploy_record(&["verify"]).expect(0);
    }
}
