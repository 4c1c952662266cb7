//! Homes that can't be written to, keys that are not trusted any more, looks that leave nothing behind.

use crate::support::env::TestEnv;
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use crate::support::history::PastLog;
use deploy_record::core::record::Status;
use std::ffi::OsStr;
use std::path::Path;

const RECORD: [&str; 7] = ["record", "-e", "production", "--version", "1", "--status", "success"];

/// A person outside of any repository, with a log on that server and a home in which nothing can be made.
fn without_home(server: &GitServer, home: Option<&Path>) -> TestEnv {
    let mut env = TestEnv::without_repository();
    let key = env.key("ann", "ed25519");
    let signers = env.trust("ann", &key);
    for (name, value) in [
        ("LOG", server.project_url()),
        ("TOKEN", server.job_token().to_owned()),
        ("ALLOWED_SIGNERS", signers),
        ("KEY", key.display().to_string()),
    ] {
        env.set(&format!("DEPLOY_RECORD_{name}"), &value);
    }
    match home {
        Some(home) => env.set("HOME", &home.display().to_string()),
        None => env.unset("HOME"),
    }
    env
}

#[test]
fn without_a_home_to_write_to_records_are_made_and_read_and_what_is_not_kept_is_said() {
    // below a file nobody can make a folder, not even root, whom no mode stops
    let file = tempfile::NamedTempFile::new().expect("a file");
    let nowhere = file.path().join("home");
    for home in [Some(nowhere.as_path()), None] {
        let server = GitServer::http();
        let env = without_home(&server, home);
        let record = [&RECORD[..], &["--project", "grp/app", "--timeout", "5"]].concat();
        let output = env.deploy_record(&record);
        output.expect(0).says("record 1:");
        for command in ["log", "status", "verify"] {
            env.deploy_record(&[command, "-v"]).expect(0).says("no copy of the log is kept on this machine");
        }
        server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
        let lost = [&RECORD[..], &["--project", "grp/app", "--timeout", "1"]].concat();
        let lost = env.deploy_record(&lost);
        lost.expect(3).says("could not be put into the spool either");
        assert_eq!(lost.stderr.contains("HOME is not set"), home.is_none(), "{}", lost.stderr);
    }
}

#[test]
fn a_key_that_the_trust_root_lost_appends_nothing_and_verify_names_its_records() {
    let log = PastLog::new();
    log.append(20, log.done("production", "1", Status::Success, 20));
    log.append_as("chen", 10, log.done("production", "2", Status::Success, 10));
    log.append(5, log.done("staging", "1", Status::Success, 5));
    let key = log.key_of("chen");
    let record = [&RECORD[..], &["--key", &key, "--principal", "chen"]].concat();
    let root = log.env.path().join(".deploy-record/allowed_signers");
    let all = std::fs::read_to_string(&root).expect("a trust root");
    let commit = |text: &str| {
        std::fs::write(&root, text).expect("written");
        log.env.git(&["add", ".deploy-record"]);
        log.env.commit("Change whom to trust");
    };
    let without: Vec<_> = all.lines().filter(|line| !line.starts_with("chen ")).collect();
    commit(&without.join("\n"));
    log.run(&record).expect(2).says("add this line to `.deploy-record/allowed_signers`");
    log.run(&["verify"]).expect(1).shows("signer-unknown").shows("record 2");

    commit(&all);
    let fingerprint = log.env.run(OsStr::new("ssh-keygen"), &["-l", "-f", &key], b"").stdout;
    let fingerprint = fingerprint.split(' ').nth(1).expect("a fingerprint");
    let revoke = format!("signers: {{ revoked: [{{ key: \"{fingerprint}\", after: 1 }}] }}\n");
    std::fs::write(log.env.path().join(".deploy-record.yml"), revoke).expect("written");
    log.run(&record).expect(2).says("revoked");
    log.run(&["verify"]).expect(1).shows("signer-revoked").shows("record 2");
    assert_eq!(log.env.records(&log.env.path()).len(), 3);
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let server = GitServer::http();
    let mut env = TestEnv::new();
    let key = env.key("ann", "ed25519");
    env.commit_trust_root("ann", &key);
    for (name, value) in [("LOG", server.project_url()), ("TOKEN", server.job_token().to_owned())] {
        env.set(&format!("DEPLOY_RECORD_{name}"), &value);
    }
    env.set("DEPLOY_RECORD_KEY", &key.display().to_string());
    env.deploy_record(&RECORD).expect(0);
    for command in [
        &[&RECORD[..], &["--dry-run"]].concat()[..],
        &["start", "-e", "production", "--dry-run"],
        &["run", "-e", "production", "--dry-run", "--", "true"],
    ] {
        env.deploy_record(command).expect(0).shows("\"previous\"");
        assert!(!env.path().join(".git/deploy-record/cache").exists(), "{command:?}");
    }
    assert_eq!(env.records(server.repository()).len(), 1);
}
