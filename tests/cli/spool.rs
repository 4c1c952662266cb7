//! What can't be appended waits in the spool, and is appended once.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use std::path::{Path, PathBuf};

const RUN: [&str; 8] = ["run", "-e", "production", "--timeout", "3", "--", "touch", "ran"];

fn down(server: &GitServer) {
    server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
}

fn record(env: &TestEnv, version: &str) -> Output {
    env.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success", "--timeout", "3"])
}

fn spool(env: &TestEnv) -> PathBuf {
    env.path().join(".deploy-record/spool")
}

fn claims(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
}

fn result(env: &TestEnv) -> String {
    std::fs::read_to_string(env.path().join("deploy-record.env")).expect("a dotenv file")
}

#[test]
fn a_deployment_goes_ahead_while_the_log_is_down_and_is_recorded_later() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server);
    env.deploy_record(&RUN).expect(0).says("SPOOLED").says("going on, since this is a routine deployment");
    assert!(env.path().join("ran").exists());
    assert_eq!((claims(&spool(&env)), result(&env)), (2, "DEPLOY_RECORD_RESULT=spooled\n".to_owned()));
    env.deploy_record(&["run", "--strict", "-e", "production", "--timeout", "3", "--", "true"]).expect(3);
    env.deploy_record(&["replay", "--timeout", "3"]).expect(3);
    assert_eq!(claims(&spool(&env)), 4);

    server.clear_faults();
    env.deploy_record(&["replay"]).expect(0).shows("record 4");
    assert_eq!(claims(&spool(&env)), 0);
    let records = env.records(server.repository());
    let told: Vec<_> =
        records.iter().map(|record| (record["status"].as_str().expect("a status"), &record["finishes"])).collect();
    assert_eq!(told.iter().filter(|(status, _)| *status == "running").count(), 2);
    assert_eq!(records.iter().filter(|record| record["finishes"].is_u64()).count(), 2, "{told:?}");
    assert!(records.iter().all(|record| record["late"]["signer"] == "ci:main" && record["previous"].is_null()));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
    env.deploy_record(&["replay"]).expect(0).says("nothing waits");
    env.deploy_record(&["status"]).expect(0).shows("production");
}

#[test]
fn a_deployment_that_cleans_its_checkout_loses_nothing() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server);
    let run = ["run", "-e", "production", "--timeout", "3", "--", "rm", "-r", ".deploy-record/spool"];
    env.deploy_record(&run).expect(0).says("can't be used any more").says("SPOOLED");
    server.clear_faults();
    env.deploy_record(&["replay"]).expect(0).shows("record 1");
    let records = env.records(server.repository());
    assert_eq!((records.len(), &records[0]["status"]), (1, &"success".into()));
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn the_configuration_can_stop_it() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    std::fs::write(env.path().join(".deploy-record.yml"), "log_unreachable: { routine: stop }\n").expect("written");
    env.git(&["add", ".deploy-record.yml"]);
    env.commit("Stop");
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    server.inject(Fault { step: Step::RefsForPush, failure: Failure::Status(503, "no".to_owned()), times: usize::MAX });
    env.deploy_record(&RUN).expect(3).says("stops a routine deployment");
    assert!(!env.path().join("ran").exists());
    assert_eq!(claims(&spool(&env)), 0);
    // what has happened is kept whatever the configuration says
    record(&env, "1").expect(3).says("SPOOLED");
    assert_eq!(claims(&spool(&env)), 1);
}

#[test]
fn a_server_that_is_back_at_the_end_gets_both_records_at_once() {
    let server = std::sync::Arc::new(GitServer::http());
    let env = TestEnv::gitlab_job(&server);
    let faults = env.path().join("up");
    down(&server);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let wait = format!("touch {0}.started; until [ -e {0} ]; do sleep 0.1; done", faults.display());
            env.deploy_record(&["run", "-e", "production", "--timeout", "3", "--", "sh", "-c", &wait])
        });
        while !faults.with_extension("started").exists() && !run.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // as long as the deployment runs, nobody else appends its start
        env.deploy_record(&["replay", "--timeout", "3", &spool(&env).display().to_string()]).expect(3);
        server.clear_faults();
        env.deploy_record(&["replay"]).expect(3).shows("another process is working on it");
        std::fs::write(&faults, "").expect("written");
        run.join().expect("a run").expect(0).says("record 1:").says("record 2:");
    });
    assert_eq!((claims(&spool(&env)), result(&env)), (0, "DEPLOY_RECORD_RESULT=recorded\nDEPLOY_RECORD_SEQ=2\n".to_owned()));
    assert_eq!(env.records(server.repository())[1]["finishes"], 1);
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn a_claim_that_several_people_replay_lands_once() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server);
    for version in ["1", "2", "3"] {
        record(&env, version).expect(3);
        let _ = env.deploy_record(&["run", "-e", "staging", "--version", version, "--timeout", "2", "--", "true"]);
    }
    server.clear_faults();
    let copies: Vec<_> = (0..4).map(|number| env.beside(&format!("copy-{number}"))).collect();
    for copy in &copies {
        std::fs::create_dir(copy).expect("a folder");
        for entry in std::fs::read_dir(spool(&env)).expect("a spool").flatten() {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
        }
    }
    std::thread::scope(|scope| {
        for copy in &copies {
            scope.spawn(|| env.deploy_record(&["replay", &copy.display().to_string()]).expect(0).code);
        }
    });
    let records = env.records(server.repository());
    assert_eq!(records.len(), 9, "{records:#?}");
    assert!(copies.iter().all(|copy| claims(copy) == 0));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
    // the spool itself still has them
    env.deploy_record(&["replay"]).expect(0).shows("already record");
    assert_eq!(env.records(server.repository()).len(), 9);
}

#[test]
fn an_end_whose_start_is_lost_is_told_and_a_start_that_turns_up_later_is_not_told_again() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server);
    env.deploy_record(&RUN).expect(0);
    server.clear_faults();
    let mut paths: Vec<_> = std::fs::read_dir(spool(&env)).expect("a spool").flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort_by_key(|path| std::fs::read_to_string(path).expect("a claim").contains("\"running\""));
    let end = paths[0].display().to_string();
    env.deploy_record(&["replay", &end]).expect(0).shows("record 1");
    env.deploy_record(&["replay"]).expect(0).shows("already record 1");
    assert_eq!(env.records(server.repository()).len(), 1);
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn what_is_wrong_with_a_claim_is_said_and_the_others_go_on() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    down(&server);
    record(&env, "1").expect(3);
    record(&env, "2").expect(3);
    let stranger = env.key("stranger", "ed25519");
    let claim = std::fs::read_dir(spool(&env)).expect("a spool").flatten().map(|entry| entry.path());
    let claim = claim.filter(|path| path.extension().is_some_and(|extension| extension == "json")).min().expect("a claim");
    let text = std::fs::read_to_string(&claim).expect("a claim");
    std::fs::write(spool(&env).join("changed.json"), text.replace("\"1\"", "\"9\"")).expect("written");
    std::fs::copy(claim.with_extension("json.sig"), spool(&env).join("changed.json.sig")).expect("copied");
    std::fs::write(spool(&env).join("junk.json"), [0xff; 100]).expect("written");
    std::fs::write(spool(&env).join("junk.json.sig"), "junk").expect("written");
    std::fs::write(spool(&env).join("lonely.json"), &text).expect("written");
    std::fs::write(spool(&env).join("foreign.json"), &text).expect("written");
    let foreign = spool(&env).join("foreign.json").display().to_string();
    let arguments = ["-q", "-Y", "sign", "-n", "deploy-record-spool", "-f", &stranger.display().to_string(), &foreign];
    assert_eq!(env.run(std::ffi::OsStr::new("ssh-keygen"), &arguments, b"").code, 0);
    server.clear_faults();
    let output = env.deploy_record(&["replay"]);
    output.expect(3).shows("record 2").shows("does not fit").shows("no strict JSON").shows("can't be read");
    output.shows("the key is not in allowed_signers");
    assert_eq!(env.records(server.repository()).len(), 2);
    assert_eq!(claims(&spool(&env)), 4);
    env.deploy_record(&["verify"]).expect(0);

    // the end of a start that is not in the log any more stays
    env.set("DEPLOY_RECORD_TIMEOUT", "3");
    let delete = format!("git -C {} update-ref -d refs/heads/deploy-log", server.repository().display());
    env.deploy_record(&["run", "-e", "production", "--", "sh", "-c", &delete]).expect(0).says("SPOOLED");
    env.deploy_record(&["replay"]).expect(3).shows("LEFT");
}

#[test]
fn a_full_or_read_only_place_loses_nothing_silently() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    std::fs::write(env.path().join(".deploy-record/spool"), "in the way").expect("written");
    record(&env, "1").expect(0).says("record 1:");
    down(&server);
    record(&env, "2").expect(3).says("could not be put into the spool either");
    env.deploy_record(&RUN).expect(3).says("could not be put into the spool either");
    assert!(!env.path().join("ran").exists());
    server.clear_faults();
    env.deploy_record(&["verify"]).expect(0).shows("verified: 1 record");
}

#[test]
fn a_claim_that_can_never_land_is_set_aside_and_kept() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server);
    record(&env, "1").expect(3);
    server.clear_faults();
    let left = spool(&env).join("lonely.json");
    std::fs::write(&left, "{}").expect("written");
    env.deploy_record(&["replay"]).expect(3).shows("LEFT").shows("record 1").says("replay --set-aside CLAIM --reason TEXT");
    let set_aside = |claim: &str| env.deploy_record(&["replay", "--set-aside", claim, "--reason", "made by a broken disk"]);
    for nothing in ["other.json", "../../.git/config"] {
        set_aside(nothing).expect(2).says("can't set");
    }
    env.deploy_record(&["replay", "--set-aside", "lonely.json"]).expect(2).says("--reason");
    set_aside("lonely.json").expect(0).says("no record tells of it");
    env.deploy_record(&["replay"]).expect(0).says("1 claim was set aside, and not recorded").says("nothing waits");
    let aside = spool(&env).join("set-aside/lonely.json");
    assert_eq!(std::fs::read_to_string(&aside).expect("kept"), "{}");
    assert_eq!(std::fs::read_to_string(aside.with_extension("json.reason")).expect("kept"), "made by a broken disk\n");
    // it can still be replayed by its path, such as by somebody who has what was missing
    env.deploy_record(&["replay", &aside.display().to_string()]).expect(3).shows("LEFT");
    down(&server);
    record(&env, "2").expect(3);
    let claim = std::fs::read_dir(spool(&env)).expect("a spool").flatten().map(|entry| entry.path());
    let claim = claim.filter(|path| path.extension().is_some_and(|kind| kind == "json")).max().expect("a claim");
    server.clear_faults();
    set_aside(&claim.display().to_string()).expect(0);
    let kept = spool(&env).join("set-aside").display().to_string();
    env.deploy_record(&["replay", &kept]).expect(3).shows("record 2");
    env.deploy_record(&["verify"]).expect(0).shows("verified: 2 records");
}
