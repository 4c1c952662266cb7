//! Outcomes whose starts a log does not have any more, and clocks that are wrong.

use crate::support::env::TestEnv;
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use crate::support::history::PastLog;
use crate::support::ssh_server::SshServer;
use deploy_record::core::record::Status;

const RECOVER: [&str; 3] = ["recover", "--reason", "the server was set back"];

fn record(env: &TestEnv, version: &str) -> crate::support::env::Output {
    env.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success", "--timeout", "3"])
}

/// A log of two records, the second of which is a start whose end waits in the spool.
fn end_that_waits(server: &GitServer) -> TestEnv {
    let env = TestEnv::gitlab_job(server);
    record(&env, "1").expect(0);
    env.deploy_record(&["start", "-e", "production", "--version", "2"]).expect(0).shows("record 2");
    server.inject(Fault { step: Step::RefsForPush, failure: Failure::HtmlError(503), times: usize::MAX });
    for _ in 0..2 {
        let finish = ["finish", "-e", "production", "--status", "success", "--timeout", "3"];
        env.deploy_record(&finish).expect(3).says("SPOOLED");
    }
    server.clear_faults();
    env
}

/// The outcome lands as record 3, once, and tells of the start that is not there.
fn lands_alone(env: &TestEnv, server: &GitServer, start: &serde_json::Value) {
    env.deploy_record(&["replay"]).expect(0).shows("record 3").shows("already record 3");
    let records = env.records(server.repository());
    let (end, id) = (records.last().expect("a record"), &start["id"]);
    assert_eq!((&end["finishes_id"], &end["finishes"], &end["status"]), (id, &serde_json::Value::Null, &"success".into()));
    assert_eq!((&end["version"], &end["started_at"]), (&start["version"], &start["started_at"]));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("verified: 3 records").shows("0 errors");
    env.deploy_record(&["status"]).expect(0).shows("production   2 ");
    env.deploy_record(&["replay"]).expect(0).says("nothing waits");
}

#[test]
fn an_end_whose_start_was_accepted_as_lost_lands_alone_and_not_before_that() {
    let server = GitServer::http();
    let env = end_that_waits(&server);
    let start = env.records(server.repository())[1].clone();
    let repository = server.repository().display().to_string();
    env.git(&["-C", &repository, "update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    env.deploy_record(&["replay"]).expect(3).shows("LEFT").shows("record 2").shows("cut off");
    env.deploy_record(&[&RECOVER[..], &["--accept-loss", "2..2"]].concat()).expect(0).says("record 2: recovery");
    lands_alone(&env, &server, &start);
}

#[test]
fn an_end_whose_start_was_damaged_and_passed_over_lands_alone() {
    let server = GitServer::http();
    let env = end_that_waits(&server);
    let start = env.records(server.repository())[1].clone();
    let repository = server.repository().display().to_string();
    let git = |arguments: &[&str]| env.git(&[&["-C", &repository], arguments].concat());
    // the record is gone from its commit
    let tree = git(&["ls-tree", "deploy-log"]);
    let tree = tree.lines().filter(|line| !line.ends_with("record.json")).collect::<Vec<_>>().join("\n");
    let tree = env.git_with(&["-C", &repository, "mktree"], tree.as_bytes());
    let commit = git(&["commit-tree", &tree, "-p", "deploy-log~1", "-m", "Oops"]);
    git(&["update-ref", "refs/heads/deploy-log", &commit]);
    env.deploy_record(&["replay"]).expect(3).shows("LEFT");
    env.deploy_record(&RECOVER).expect(0).says("record 2: recovery");
    env.deploy_record(&["replay"]).expect(0).shows("record 3");
    let records = env.deploy_record(&["log", "--format", "json"]);
    records.expect(0).shows(start["id"].as_str().expect("an id"));
    env.deploy_record(&["verify"]).expect(0).shows("verified: 3 records").shows("0 errors");
}

#[test]
fn an_end_is_still_its_starts_where_the_start_got_another_number() {
    let server = GitServer::http();
    let env = end_that_waits(&server);
    env.deploy_record(&["replay"]).expect(0).shows("record 3").shows("already record 3");
    let records = env.records(server.repository());
    assert_eq!((&records[2]["finishes"], &records[2]["finishes_id"]), (&2.into(), &records[1]["id"]));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
}

/// Where no server tells the time, a clock that is ahead can't be told from one that is right: the next right one shows it.
#[test]
fn a_clock_an_hour_off_is_told_where_no_server_has_the_time() {
    for is_remote in [false, true] {
        let (log, server) = (PastLog::new(), SshServer::start());
        log.append(10, log.done("production", "1", Status::Success, 10));
        log.append(-60, log.done("production", "2", Status::Success, 9));
        log.env.git(&["config", "core.sshCommand", &server.command()]);
        log.env.git(&["push", "--quiet", &server.url(), "main", "deploy-log"]);
        let at_server = (server.repository(), server.url());
        let (repository, place) = if is_remote { at_server } else { (log.env.path(), "local".to_owned()) };
        let run = |arguments: &[&str]| log.run_as_pipeline(&[arguments, &["--log", &place]].concat());
        run(&["verify"]).expect(0).shows("time-ahead record 2").shows("0 errors, 1 notice");
        // now an hour behind the newest record, whichever of the two clocks is wrong
        let record = ["record", "-e", "production", "--version", "3", "--status", "success"];
        run(&record).expect(3).says("here or where record 2 was made").says("recover --accept-loss 2..2").says("SPOOLED");
        assert_eq!(log.env.records(&repository).len(), 2);
        log.env.git(&["-C", &repository.display().to_string(), "update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
        run(&[&RECOVER[..], &["--accept-loss", "2..2"]].concat()).expect(0).says("record 2: recovery");
        run(&["replay"]).expect(0).shows("record 3");
        run(&["verify"]).expect(0).shows("verified: 3 records").shows("records 2 to 2 are lost");
    }
}
