//! `start` and `finish`: which end belongs to which start.

use crate::support::env::TestEnv;
use crate::support::git_server::{Failure, Fault, GitServer, Step};

#[test]
fn a_job_starts_and_finishes_once_however_often_its_steps_are_tried() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    let start = ["start", "-e", "production"];
    env.deploy_record(&start).expect(0).shows("record 1");
    env.deploy_record(&start).expect(0).shows("record 1");
    env.set("CI_JOB_STATUS", "success");
    let finish = ["finish", "-e", "production"];
    env.deploy_record(&finish).expect(0).shows("success").says("checkpoint:");
    env.deploy_record(&finish).expect(0).says("recorded before: record 2");
    env.deploy_record(&["finish", "-e", "production", "--status", "failed"])
        .expect(2)
        .says("record 1 ended as success in record 2")
        .says("annotate 2");
    // after it ended, the same job may deploy again
    env.deploy_record(&start).expect(0).shows("record 3");
    env.set("CI_JOB_STATUS", "timedout");
    env.deploy_record(&finish).expect(0);
    let records = env.records(server.repository());
    let told: Vec<_> =
        records.iter().map(|record| (&record["status"], &record["finishes"], &record["job"]["attempt"])).collect();
    assert_eq!(told[1], (&"success".into(), &1.into(), &serde_json::Value::Null));
    assert_eq!(told[3], (&"failed".into(), &3.into(), &2.into()));
    assert_eq!(records[1]["provenance"]["status"], "asserted");
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn a_hook_names_the_start_and_needs_nothing_else() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.deploy_record(&["start", "-e", "production", "--version", "1.4.2", "--note", "faster"]).expect(0);
    env.set("CI_JOB_ID", "999");
    env.unset("CI_COMMIT_BRANCH");
    env.deploy_record(&["finish", "--record", "1", "--status", "success", "--check", "smoke=passed"]).expect(0);
    let records = env.records(server.repository());
    assert_eq!((&records[1]["version"], &records[1]["job"]["id"]), (&"1.4.2".into(), &302.into()));
    assert_eq!((&records[1]["checks"][0]["name"], &records[1]["change_note"]["summary"]), (&"smoke".into(), &"faster".into()));
    env.deploy_record(&["finish", "--start", "1", "--status", "success"]).expect(0).says("before: record 2");
    env.deploy_record(&["finish", "--record", "2", "--status", "success"]).expect(2).says("is no start");
    env.deploy_record(&["finish", "--record", "7", "--status", "success"]).expect(2).says("holds no record 7");
    env.deploy_record(&["finish", "--record", "1"]).expect(2).says("--status is missing");
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn the_pipeline_and_commit_tell_where_the_job_does_not() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.deploy_record(&["start", "-e", "production"]).expect(0);
    env.set("CI_JOB_ID", "303");
    env.deploy_record(&["start", "-e", "production"]).expect(0).says("record 1:").says("has no end");
    env.set("CI_JOB_ID", "304");
    env.deploy_record(&["finish", "-e", "production", "--status", "success"])
        .expect(2)
        .says("several starts are open that it could be: record 1")
        .says("--record");
    env.deploy_record(&["finish", "--record", "1", "--status", "unknown"]).expect(0);
    env.deploy_record(&["finish", "-e", "production", "--status", "canceled"]).expect(0);
    env.deploy_record(&["start", "-e", "production"]).expect(0);
    env.set("CI_PIPELINE_ID", "575");
    env.set("CI_JOB_ID", "305");
    let other = env.deploy_record(&["finish", "-e", "production", "--status", "success"]);
    other.expect(2).says("no start is open in production").says("deploy-record record");
    env.deploy_record(&["finish", "-e", "staging", "--status", "success"]).expect(2).says("no start is open in staging");
    let records = env.records(server.repository());
    assert_eq!((&records[2]["finishes"], &records[3]["finishes"]), (&1.into(), &2.into()));
    env.deploy_record(&["verify"]).expect(0).shows("0 errors");
}

#[test]
fn services_and_environments_of_one_job_do_not_mix() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let places = [("staging", "api"), ("staging", "web"), ("production", "api")];
    for (environment, service) in places {
        env.deploy_record(&["start", "-e", environment, "--service", service]).expect(0);
    }
    for (environment, service) in places {
        env.deploy_record(&["finish", "-e", environment, "--service", service, "--status", "success"]).expect(0);
    }
    let finishes: Vec<_> = env.records(server.repository()).iter().filter_map(|record| record["finishes"].as_u64()).collect();
    assert_eq!(finishes, [1, 2, 3]);
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn an_end_without_the_log_waits_with_its_start_or_after_it() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.set("DEPLOY_RECORD_TIMEOUT", "2");
    let down = || server.inject(Fault { step: Step::Any, failure: Failure::CutBefore, times: usize::MAX });
    // the start is in the log, and `start` left a note of it
    env.deploy_record(&["start", "-e", "production"]).expect(0);
    down();
    env.deploy_record(&["finish", "-e", "production", "--status", "success"]).expect(3).says("SPOOLED");
    // both wait
    env.set("CI_JOB_ID", "303");
    env.deploy_record(&["start", "-e", "staging"]).expect(0).shows("spooled");
    env.deploy_record(&["finish", "-e", "staging", "--status", "failed"]).expect(3).says("SPOOLED");
    // which start it is can't be told
    env.set("CI_JOB_ID", "304");
    env.deploy_record(&["finish", "-e", "review", "--status", "failed"]).expect(3).says("nothing was recorded");
    server.clear_faults();
    env.deploy_record(&["replay"]).expect(0);
    let records = env.records(server.repository());
    let told: Vec<_> = records.iter().map(|record| (record["status"].as_str(), record["finishes"].as_u64())).collect();
    assert_eq!(told, [(Some("running"), None), (Some("success"), Some(1)), (Some("running"), None), (Some("failed"), Some(3))]);
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
    env.deploy_record(&["finish", "-e", "production", "--status", "success"]).expect(2);
}

#[test]
fn by_hand_on_a_laptop() {
    let env = TestEnv::new();
    env.deploy_record(&["start", "-e", "staging", "--format", "json"]).expect(0).shows("\"seq\": 1");
    env.deploy_record(&["finish", "-e", "staging"]).expect(2).says("--status is missing");
    env.deploy_record(&["finish", "-e", "staging", "--status", "timedout", "--format", "json"]).expect(0).shows("\"failed\"");
    env.deploy_record(&["finish", "-e", "staging", "--status", "over"]).expect(2).says("timedout");
    env.deploy_record(&["verify"]).expect(0).shows("verified: 2 records");
}

#[test]
fn an_outcome_waits_where_the_server_refuses_to_be_read_or_the_log_is_damaged() {
    for step in [Step::RefsForFetch, Step::Fetch] {
        for status in [401, 403, 404] {
            let server = GitServer::http();
            let env = TestEnv::gitlab_job(&server);
            env.deploy_record(&["start", "-e", "production", "--version", "1"]).expect(0).shows("record 1");
            server.inject(Fault { step, failure: Failure::Status(status, "no".to_owned()), times: usize::MAX });
            let finish = ["finish", "-e", "production", "--status", "failed", "--timeout", "3"];
            env.deploy_record(&finish).expect(3).says(&format!("HTTP {status}")).says("SPOOLED");
            server.clear_faults();
            env.deploy_record(&["replay"]).expect(0).shows("record 2");
            let end = &env.records(server.repository())[1];
            assert_eq!((&end["finishes"], &end["status"]), (&1.into(), &"failed".into()));
            env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
        }
    }
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    env.deploy_record(&["start", "-e", "production", "--version", "1"]).expect(0).shows("record 1");
    let repository = server.repository().display().to_string();
    let git = |arguments: &[&str]| env.git(&[&["-C", &repository], arguments].concat());
    let tip = git(&["rev-parse", "deploy-log"]);
    let foreign = git(&["commit-tree", "deploy-log^{tree}", "-p", "deploy-log", "-m", "edited"]);
    git(&["update-ref", "refs/heads/deploy-log", &foreign]);
    env.deploy_record(&["finish", "-e", "production", "--status", "success"]).expect(3).says("SPOOLED");
    git(&["update-ref", "refs/heads/deploy-log", &tip]);
    env.deploy_record(&["replay"]).expect(0).shows("record 2");
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn an_outcome_waits_where_something_else_is_checked_out_by_now() {
    for status in [503, 403] {
        let server = GitServer::http();
        let mut env = TestEnv::gitlab_job(&server);
        env.deploy_record(&["start", "-e", "production", "--version", "1"]).expect(0).shows("record 1");
        // a commit without a trust root
        env.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
        server.inject(Fault { step: Step::Any, failure: Failure::Status(status, "no".to_owned()), times: usize::MAX });
        let finish = ["finish", "-e", "production", "--status", "failed", "--timeout", "3"];
        // the pipeline's key signs nothing here, not even a claim
        env.set("CI_COMMIT_REF_PROTECTED", "false");
        env.deploy_record(&finish).expect(3).says("only on a protected branch");
        let spool = std::fs::read_dir(env.path().join(".deploy-record/spool")).expect("a spool").flatten();
        let names: Vec<_> = spool.map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["1.started"]);
        env.set("CI_COMMIT_REF_PROTECTED", "true");
        env.deploy_record(&finish).expect(3).says("SPOOLED");
        server.clear_faults();
        env.deploy_record(&["replay"]).expect(0).shows("record 2");
        let records = env.records(server.repository());
        assert_eq!((records.len(), &records[1]["finishes"], &records[1]["status"]), (2, &1.into(), &"failed".into()));
        env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
    }
}

#[test]
fn what_comes_out_after_an_unknown_outcome_is_recorded_once() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let finish = |status: &str| env.deploy_record(&["finish", "-e", "production", "--status", status, "--timeout", "3"]);
    env.deploy_record(&["start", "-e", "production", "--version", "1"]).expect(0).shows("record 1");
    // the outcome waits, and somebody takes the job for dead meanwhile
    server.inject(Fault { step: Step::Fetch, failure: Failure::Status(403, "no".to_owned()), times: usize::MAX });
    finish("success").expect(3).says("SPOOLED");
    server.clear_faults();
    env.deploy_record(&["finish", "--record", "1", "--status", "unknown"]).expect(0).says("record 2:");
    env.deploy_record(&["replay"]).expect(0).shows("record 3");
    finish("success").expect(0).says("recorded before: record 3");
    env.deploy_record(&["finish", "--record", "1", "--status", "success"]).expect(0).says("recorded before: record 3");
    finish("failed").expect(2).says("ended as success in record 3");
    let records = env.records(server.repository());
    assert_eq!((records.len(), &records[2]["finishes_id"]), (3, &records[0]["id"]));
    env.deploy_record(&["log"]).expect(0).shows("success").shows("unknown");
    env.deploy_record(&["show", "3"]).expect(0).shows("success");
    env.deploy_record(&["status"]).expect(0).shows("production");
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
}
