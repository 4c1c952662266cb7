//! What was recorded meanwhile, and by whom, does not lose what waits in a spool, and does not write it twice.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use crate::support::history::{PastLog, name};
use deploy_record::core::log::late::Claim;
use deploy_record::core::record::{Digest, Status};
use deploy_record::recorder::random_id;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

fn down(server: &GitServer, step: Step) {
    server.inject(Fault { step, failure: Failure::HtmlError(503), times: usize::MAX });
}

fn record(env: &TestEnv, version: &str) -> Output {
    env.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success", "--timeout", "3"])
}

fn start(env: &TestEnv) -> Output {
    env.deploy_record(&["start", "-e", "production", "--version", "1", "--timeout", "3"])
}

fn finish(env: &TestEnv, status: &str) -> Output {
    env.deploy_record(&["finish", "-e", "production", "--status", status, "--timeout", "3"])
}

fn spool(env: &TestEnv) -> PathBuf {
    env.path().join(".deploy-record/spool")
}

/// The claims that wait, a job's or a person's, the starts first.
fn claims(env: &TestEnv) -> Vec<PathBuf> {
    let directories = [spool(env), env.path().join(".git/deploy-record/spool")];
    let entries = directories.iter().flat_map(|directory| std::fs::read_dir(directory).into_iter().flatten().flatten());
    let paths = entries.map(|entry| entry.path());
    let mut claims: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    claims.sort_by_key(|path| !std::fs::read_to_string(path).expect("a claim").contains("\"running\""));
    claims
}

fn copy(claim: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let name = claim.file_name().expect("a name");
    std::fs::copy(claim, to.join(name)).expect("copied");
    std::fs::copy(claim.with_extension("json.sig"), to.join(name).with_extension("json.sig")).expect("copied");
}

fn sign(env: &TestEnv, key: &Path, claim: &Path) {
    let (key, claim) = (key.display().to_string(), claim.display().to_string());
    let arguments = ["-q", "-Y", "sign", "-n", "deploy-record-spool", "-f", &key, &claim];
    assert_eq!(env.run(OsStr::new("ssh-keygen"), &arguments, b"").code, 0);
}

/// The same place, worked in by hand: the log is named, and the project is known by its path alone.
fn by_hand(server: &GitServer, env: &mut TestEnv) -> Job {
    let job = env.leave_job();
    env.set("DEPLOY_RECORD_LOG", &server.project_url());
    env.set("DEPLOY_RECORD_TOKEN", server.job_token());
    env.set("DEPLOY_RECORD_PRINCIPAL", "ci:main");
    job
}

/// What GitLab sets in a job.
type Job = std::collections::BTreeMap<String, String>;

fn in_job(env: &mut TestEnv, job: Job) {
    env.enter_job(job);
    env.unset("DEPLOY_RECORD_LOG");
}

const BY_HAND: [&str; 6] = ["-e", "production", "--project", "grp/app", "--timeout", "3"];

#[test]
fn a_record_that_was_passed_over_does_not_count_as_being_there() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    record(&env, "1").expect(0);
    down(&server, Step::Any);
    record(&env, "2").expect(3).says("SPOOLED");
    server.clear_faults();
    copy(&claims(&env)[0], &env.beside("copy"));
    env.deploy_record(&["replay", &env.beside("copy").display().to_string()]).expect(0).shows("record 2");
    // the branch was rewound, went on otherwise, and somebody put the commit of record 2 on top of that
    let repository = server.repository().display().to_string();
    let git = |arguments: &[&str]| env.git(&[&["-C", &repository], arguments].concat());
    let (tree, message) = (git(&["rev-parse", "deploy-log^{tree}"]), git(&["log", "-1", "--format=%B", "deploy-log"]));
    git(&["update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    record(&env, "3").expect(0);
    let commit = git(&["commit-tree", &tree, "-p", "deploy-log", "-m", &message]);
    git(&["update-ref", "refs/heads/deploy-log", &commit]);
    env.deploy_record(&["recover", "--reason", "a mirror pushed back"]).expect(0).says("record 3: recovery");
    env.deploy_record(&["replay"]).expect(0).shows("record 4");
    assert!(claims(&env).is_empty());
    env.deploy_record(&["verify"]).expect(0).shows("verified: 4 records");
}

#[test]
fn a_claim_is_not_looked_for_across_damage() {
    let log = PastLog::new();
    log.append(10, log.done("production", "1", Status::Success, 10));
    log.forge_with(9, log.done("production", "2", Status::Success, 9), |record| record.prev = Digest::of(b"another"));
    log.append(8, log.done("production", "3", Status::Success, 8));
    let mut record = log.done("production", "4", Status::Success, 7);
    (record.id, record.signer, record.recorded_at) = (random_id().expect("an id"), name("ci:main"), log.ago(7));
    let claim = log.env.beside("4.json");
    std::fs::write(&claim, Claim::bytes_of(&record)).expect("written");
    sign(&log.env, Path::new(&log.key_of("ci:main")), &claim);
    let key = log.key_of("ci:main");
    let replay = ["replay", &claim.display().to_string(), "--key", &key, "--principal", "ci:main"];
    log.run(&replay).expect(3).shows("LEFT").shows("is not what it should be");
    let output = log.run(&[&replay[..], &["--format", "json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&output.expect(3).stdout).expect("JSON");
    assert_eq!((&told[0]["claim"], &told[0]["result"], &told[0]["seq"]), (&"4.json".into(), &"left".into(), &().into()));
    assert!(told[0]["problem"].as_str().is_some_and(|problem| problem.contains("is not what it should be")), "{told}");
    assert!(claim.exists());
}

#[test]
fn an_end_is_the_end_of_its_start_though_the_projects_number_is_known_by_now() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    let job = by_hand(&server, &mut env);
    env.deploy_record(&[&["start", "--version", "1"], &BY_HAND[..]].concat()).expect(0).shows("record 1");
    down(&server, Step::RefsForPush);
    let end = [&["finish", "--status", "success"], &BY_HAND[..]].concat();
    env.deploy_record(&end).expect(3).says("SPOOLED");
    server.clear_faults();
    in_job(&mut env, job);
    env.deploy_record(&["record", "-e", "staging", "--version", "1", "--status", "success"]).expect(0);
    by_hand(&server, &mut env);
    env.deploy_record(&["replay"]).expect(0).shows("record 3");
    let records = env.records(server.repository());
    assert_eq!((&records[1]["project"]["id"], &records[2]["finishes"]), (&42.into(), &1.into()));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn an_end_says_of_its_place_what_the_start_says_that_waited_with_it() {
    for is_replayed in [false, true] {
        let server = GitServer::http();
        let mut env = TestEnv::gitlab_job(&server);
        let job = by_hand(&server, &mut env);
        down(&server, Step::Any);
        env.deploy_record(&[&["start", "--version", "1"], &BY_HAND[..]].concat()).expect(0).shows("spooled");
        let end = [&["finish", "--status", "success"], &BY_HAND[..]].concat();
        server.clear_faults();
        in_job(&mut env, job);
        env.deploy_record(&["record", "-e", "staging", "--version", "1", "--status", "success"]).expect(0);
        by_hand(&server, &mut env);
        if is_replayed {
            copy(&claims(&env)[0], &env.beside("copy"));
            env.deploy_record(&["replay", &env.beside("copy").display().to_string()]).expect(0).shows("record 2");
        }
        env.deploy_record(&end).expect(0).says("record 3:");
        let records = env.records(server.repository());
        assert_eq!((&records[1]["project"]["id"], &records[2]["finishes"]), (&42.into(), &2.into()));
        assert!(claims(&env).is_empty());
        env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
    }
}

#[test]
fn an_end_that_was_replayed_before_its_start_is_found_when_it_is_told_again() {
    for (status, code) in [("success", 0), ("failed", 2)] {
        let server = GitServer::http();
        let env = TestEnv::gitlab_job(&server);
        down(&server, Step::Any);
        start(&env).expect(0).shows("spooled");
        finish(&env, "success").expect(3).says("SPOOLED");
        server.clear_faults();
        let end = claims(&env)[1].clone();
        env.deploy_record(&["replay", &end.display().to_string()]).expect(0).shows("record 1");
        finish(&env, status).expect(code).says(if code == 0 { "recorded before: record 1" } else { "as success in record 1" });
        assert!(claims(&env).is_empty());
        assert_eq!(env.records(server.repository()).len(), 1);
        // a retried job deploys again
        start(&env).expect(0).shows("record 2");
        env.deploy_record(&["verify"]).expect(0).shows("0 errors");
    }
}

#[test]
fn an_end_that_was_told_again_after_its_start_was_replayed_is_not_replayed() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    by_hand(&server, &mut env);
    down(&server, Step::Any);
    start(&env).expect(0).shows("spooled");
    finish(&env, "success").expect(3).says("SPOOLED");
    server.clear_faults();
    let start = claims(&env)[0].clone();
    env.deploy_record(&["replay", &start.display().to_string()]).expect(0).shows("record 1");
    finish(&env, "success").expect(0).says("record 2:");
    env.deploy_record(&["replay"]).expect(0).shows("already record 2");
    assert_eq!(env.records(server.repository()).len(), 2);
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn a_claim_of_a_clock_that_is_far_ahead_waits_until_it_can_be_told_from_its_copies() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server, Step::Any);
    record(&env, "1").expect(3).says("SPOOLED");
    server.clear_faults();
    let claim = claims(&env)[0].clone();
    let original = std::fs::read_to_string(&claim).expect("a claim");
    let sign_as_of = |days: i64| {
        let at = chrono::Utc::now() + chrono::TimeDelta::days(days);
        let line = format!("  \"recorded_at\": \"{}\",", at.format("%Y-%m-%dT%H:%M:%SZ"));
        let is_time = |text: &str| text.starts_with("  \"recorded_at\"");
        let lines = original.lines().map(|text| if is_time(text) { line.clone() } else { text.to_owned() });
        std::fs::write(&claim, lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
        std::fs::remove_file(claim.with_extension("json.sig")).expect("removed");
        sign(&env, &env.beside("ci"), &claim);
    };
    sign_as_of(400);
    env.deploy_record(&["replay"]).expect(3).shows("LEFT").shows("the clock is wrong").shows("can be replayed from");
    assert_eq!(claims(&env).len(), 1);
    sign_as_of(20);
    copy(&claim, &env.beside("copy"));
    env.deploy_record(&["replay"]).expect(0).shows("record 1");
    env.deploy_record(&["replay", &env.beside("copy").display().to_string()]).expect(0).shows("already record 1");
    env.deploy_record(&["verify"]).expect(0).shows("verified: 1 record");
}

#[test]
fn a_start_that_is_told_twice_can_be_ended_while_the_log_is_down() {
    for is_note_lost in [false, true] {
        let server = GitServer::http();
        let env = TestEnv::gitlab_job(&server);
        start(&env).expect(0).shows("record 1");
        if is_note_lost {
            std::fs::remove_file(spool(&env).join("1.started")).expect("a note");
        }
        start(&env).expect(0).shows("record 1");
        down(&server, Step::Any);
        finish(&env, "success").expect(3).says("SPOOLED");
        server.clear_faults();
        env.deploy_record(&["replay"]).expect(0).shows("record 2");
        assert_eq!(env.records(server.repository())[1]["finishes"], 1);
        env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
    }
}

#[test]
fn a_start_that_another_process_works_on_is_not_taken_for_missing() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server, Step::Any);
    start(&env).expect(0).shows("spooled");
    server.clear_faults();
    let claim = std::fs::File::open(&claims(&env)[0]).expect("a claim");
    claim.lock().expect("locked");
    finish(&env, "success").expect(3).says("another process is working on it").says("try again");
    start(&env).expect(3).says("another process is working on it").says("try again");
    drop(claim);
    finish(&env, "success").expect(0).says("record 2:");
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn what_is_no_file_in_a_spool_holds_nobody_up() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    down(&server, Step::Any);
    record(&env, "1").expect(3).says("SPOOLED");
    let claim = claims(&env)[0].clone();
    let pipe = |path: &Path| assert_eq!(env.run(OsStr::new("mkfifo"), &[&path.display().to_string()], b"").code, 0);
    std::fs::copy(&claim, spool(&env).join("a.json")).expect("copied");
    for name in ["a.json.sig", "b.json", "7.started"] {
        pipe(&spool(&env).join(name));
    }
    finish(&env, "success").expect(3);
    server.clear_faults();
    env.deploy_record(&["replay"]).expect(3).shows("is no file").shows("record 1");
    env.deploy_record(&["replay", &spool(&env).join("b.json").display().to_string()]).expect(3).says("can't read");
    assert_eq!(env.records(server.repository()).len(), 1);
}

#[test]
fn a_record_of_a_clock_that_was_ahead_is_told_and_can_be_taken_off_visibly() {
    let log = PastLog::new();
    log.append(10, log.done("production", "1", Status::Success, 10));
    log.append(-4, log.done("production", "2", Status::Success, 9));
    log.run(&["verify"]).expect(0).shows("0 notices");
    log.append(-3000, log.done("production", "3", Status::Success, 8));
    log.run(&["verify"]).expect(0).shows("time-ahead record 3").shows("0 errors, 1 notice");
    let key = log.key_of("ci:main");
    let by = |arguments: &[&str]| log.run(&[arguments, &["--key", &key, "--principal", "ci:main"]].concat());
    by(&["record", "-e", "production", "--version", "4", "--status", "success"])
        .expect(3)
        .says("here or where record 3 was made")
        .says("recover --accept-loss 3..3")
        .says("SPOOLED");
    log.env.git(&["update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    by(&["recover", "--reason", "its clock was ahead", "--accept-loss", "3..3"]).expect(0).says("record 3: recovery");
    by(&["replay"]).expect(0).shows("record 4");
    log.run(&["verify"]).expect(0).shows("records 3 to 3 are lost");
}
