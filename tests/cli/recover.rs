//! Damage is refused with what was found, and gone on over visibly.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::GitServer;
use std::path::Path;

fn record(env: &TestEnv, version: &str) -> Output {
    env.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success"])
}

fn job(server: &GitServer, records: usize) -> TestEnv {
    let env = TestEnv::gitlab_job(server);
    (1..=records).for_each(|version| _ = record(&env, &version.to_string()).expect(0));
    env
}

fn git(env: &TestEnv, repository: &Path, arguments: &[&str]) -> String {
    let repository = repository.display().to_string();
    env.git(&[&["-C", &repository], arguments].concat())
}

/// Puts a commit on the branch whose files are those of the tip, with one of them changed.
fn change(env: &TestEnv, repository: &Path, file: &str, parent: &str, content: &str) {
    let blob = env.git_with(&["-C", &repository.display().to_string(), "hash-object", "-w", "--stdin"], content.as_bytes());
    let tree = git(env, repository, &["ls-tree", "deploy-log"]);
    let line = |line: &str| if line.ends_with(file) { format!("100644 blob {blob}\t{file}") } else { line.to_owned() };
    let lines: Vec<_> = tree.lines().filter(|line| !line.ends_with(file)).map(str::to_owned).collect();
    let tree = [lines, vec![line(file)]].concat().join("\n");
    let tree = env.git_with(&["-C", &repository.display().to_string(), "mktree"], tree.as_bytes());
    let message = git(env, repository, &["log", "-1", "--format=%B", "deploy-log"]);
    let parent = git(env, repository, &["rev-parse", parent]);
    let commit = git(env, repository, &["commit-tree", &tree, "-p", &parent, "-m", &message]);
    git(env, repository, &["update-ref", "refs/heads/deploy-log", &commit]);
}

/// The branch has this many foreign commits on top.
fn foreign(env: &TestEnv, repository: &Path, number: usize) {
    for _ in 0..number {
        let tree = git(env, repository, &["rev-parse", "main^{tree}"]);
        let commit = git(env, repository, &["commit-tree", &tree, "-p", "deploy-log", "-m", "Oops"]);
        git(env, repository, &["update-ref", "refs/heads/deploy-log", &commit]);
    }
}

const RECOVER: [&str; 3] = ["recover", "--reason", "a script pushed to the wrong branch"];

#[test]
fn foreign_commits_are_refused_and_gone_on_over() {
    let server = GitServer::http();
    let env = job(&server, 2);
    foreign(&env, server.repository(), 3);
    record(&env, "3").expect(3).says("commit-foreign").says("deploy-record recover").says("SPOOLED");
    let run = env.deploy_record(&["run", "-e", "production", "--", "touch", "ran"]);
    run.expect(3).says("commit-foreign");
    assert!(!env.path().join("ran").exists());
    env.deploy_record(&["recover", "--dry-run"]).expect(0).says("is passed over: commit-foreign").says("nothing was written");
    env.deploy_record(&["recover"]).expect(2).says("--reason is missing");
    env.deploy_record(&["verify"]).expect(1);
    env.deploy_record(&RECOVER).expect(0).says("record 3: recovery");
    env.deploy_record(&["verify", "--deep"])
        .expect(0)
        .shows("recovery record 3: 3 commits were passed over: a script pushed to the wrong branch")
        .shows("the commit holds no `record.json`; record 3 went on over it")
        .shows("verified: 3 records");
    env.deploy_record(&["replay"]).expect(0).shows("record 4");
    env.deploy_record(&["run", "-e", "production", "--", "true"]).expect(0).says("record 6:");
    env.deploy_record(&["log", "--all"]).expect(0).shows("recovery");
    env.deploy_record(&["show", "1"]).expect(0);
    env.deploy_record(&["status"]).expect(0).shows("production");
    env.deploy_record(&["verify"]).expect(0).shows("verified: 6 records");
    env.deploy_record(&RECOVER).expect(0).says("nothing is damaged");
    assert_eq!(git(&env, server.repository(), &["rev-list", "--count", "deploy-log"]), "9");
}

#[test]
fn a_damaged_tip_is_passed_over_and_its_record_can_be_made_again() {
    let server = GitServer::http();
    let env = job(&server, 2);
    let text = git(&env, server.repository(), &["cat-file", "blob", "deploy-log:record.json"]);
    change(&env, server.repository(), "record.json", "deploy-log~1", &(text.replace("\"2\"", "\"9\"") + "\n"));
    record(&env, "3").expect(3).says("signature-wrong");
    env.deploy_record(&RECOVER).expect(0).says("signature-wrong").says("record 2: recovery");
    env.deploy_record(&["replay"]).expect(0).shows("record 3");
    env.deploy_record(&["verify"]).expect(0).shows("signature-wrong").shows("verified: 3 records");
}

#[test]
fn a_record_that_verifies_is_not_passed_over() {
    let server = GitServer::http();
    let env = job(&server, 2);
    let state = git(&env, server.repository(), &["cat-file", "blob", "deploy-log:state.json"]);
    change(&env, server.repository(), "state.json", "deploy-log~1", &(state.replace("\"2\"", "\"9\"") + "\n"));
    let then = env.records(server.repository())[1]["recorded_at"].as_str().expect("a time").to_owned();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    record(&env, "3").expect(3).says("state");
    env.deploy_record(&RECOVER).expect(0).says("record 2 counts").says("record 3: recovery");
    env.deploy_record(&["replay"]).expect(0).shows("record 4");
    env.deploy_record(&["verify"]).expect(0).shows("verified: 4 records").shows("record 3 went on over it");
    env.deploy_record(&["log"]).expect(0).shows(" 2 ");
    assert_eq!(env.records(server.repository()).len(), 4);
    env.deploy_record(&["status", "--at", &then]).expect(0).shows("production   2 ");
}

#[test]
fn a_merge_can_not_hide_records() {
    let server = GitServer::http();
    let env = job(&server, 3);
    for first in ["deploy-log~2", "main"] {
        let tip = git(&env, server.repository(), &["rev-parse", "deploy-log"]);
        let merge = ["commit-tree", "main^{tree}", "-p", first, "-p", "deploy-log", "-m", "merge"];
        let merge = git(&env, server.repository(), &merge);
        git(&env, server.repository(), &["update-ref", "refs/heads/deploy-log", &merge]);
        env.deploy_record(&["verify"]).expect(1).shows("commit-parents");
        env.deploy_record(&RECOVER).expect(3);
        record(&env, "4").expect(3).says("SPOOLED");
        git(&env, server.repository(), &["update-ref", "refs/heads/deploy-log", &tip]);
    }
    env.deploy_record(&["verify"]).expect(0).shows("verified: 3 records");
}

#[test]
fn a_commit_that_is_too_large_is_gone_on_over_like_any_other() {
    let server = GitServer::http();
    let env = job(&server, 1);
    let commit = ["-C", &server.repository().display().to_string(), "commit-tree", "main^{tree}", "-p", "deploy-log"];
    let commit = env.git_with(&commit, "x".repeat(70_000).as_bytes());
    git(&env, server.repository(), &["update-ref", "refs/heads/deploy-log", &commit]);
    record(&env, "2").expect(3).says("commit-foreign");
    env.deploy_record(&["verify"]).expect(1).shows("commit-foreign");
    env.deploy_record(&RECOVER).expect(0).says("record 2: recovery");
    env.deploy_record(&["verify"]).expect(0).shows("verified: 2 records");
}

#[test]
fn what_a_person_signs_afterwards_is_checked_across_the_damage() {
    let env = TestEnv::new();
    let key = env.key("chen", "ed25519");
    let trust = env.trust("chen", &key);
    let by = |arguments: &[&str]| {
        let options = ["--key", &key.display().to_string(), "--allowed-signers", &trust];
        env.deploy_record(&[arguments, &options].concat())
    };
    let record = |version: &str| by(&["record", "-e", "production", "--version", version, "--status", "success"]);
    record("1").expect(0);
    record("2").expect(0);
    let state = git(&env, &env.path(), &["cat-file", "blob", "deploy-log:state.json"]);
    change(&env, &env.path(), "state.json", "deploy-log~1", &(state.replace("\"2\"", "\"9\"") + "\n"));
    foreign(&env, &env.path(), 1);
    record("3").expect(3);
    by(&RECOVER).expect(0).says("record 3: recovery");
    by(&["replay"]).expect(0);
    record("4").expect(0).says("record 5:");
    by(&["status"]).expect(0).shows("4");
    by(&["verify"]).expect(0).shows("verified: 5 records").shows("1 signer");
    by(&["show", "3"]).expect(0).shows("chen");
    // what comes after the recovery is judged as ever
    foreign(&env, &env.path(), 1);
    by(&["verify"]).expect(1).shows("commit-foreign");
}

#[test]
fn records_that_are_gone_are_accepted_as_lost_by_their_numbers() {
    let server = GitServer::http();
    let env = job(&server, 3);
    let checkpoint = env.deploy_record(&["verify"]).stdout;
    let checkpoint = checkpoint.lines().find_map(|line| line.strip_prefix("checkpoint: ")).expect("a checkpoint").to_owned();
    git(&env, server.repository(), &["update-ref", "refs/heads/deploy-log", "deploy-log~2"]);
    let accept = |range: &str| env.deploy_record(&[&RECOVER[..], &["--accept-loss", range]].concat());
    accept("3..3").expect(2).says("begins with 2");
    accept("2").expect(2).says("expected numbers of records");
    accept("3..2").expect(2).says("expected numbers of records");
    accept("2..3").expect(0).says("record 2: recovery");
    env.deploy_record(&["verify"]).expect(0).shows("records 2 to 3 are lost");
    env.deploy_record(&["verify", "--checkpoint", &checkpoint]).expect(1).shows("checkpoint-");
}

#[test]
fn what_can_not_be_recovered_from_says_why() {
    let server = GitServer::http();
    let env = job(&server, 1);
    git(&env, server.repository(), &["update-ref", "refs/heads/deploy-log", "main"]);
    env.deploy_record(&RECOVER).expect(3).says("no record that can be reached from it verifies");
    git(&env, server.repository(), &["update-ref", "-d", "refs/heads/deploy-log"]);
    env.deploy_record(&RECOVER).expect(3).says("can bring it back");
}
