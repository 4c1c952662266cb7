//! `annotate`, and how `show`, `log` and `status` tell of it.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use crate::support::history::PastLog;
use deploy_record::core::record::Status;
use serde_json::Value;

fn annotate(log: &PastLog, person: &str, arguments: &[&str]) -> Output {
    log.run(&[&["annotate"], arguments, &["--key", &log.key_of(person)]].concat())
}

/// A deployment of two records, and a rollback of two whose reason is missing.
fn log_with_rollback() -> PastLog {
    let log = PastLog::new();
    let start = log.start("production", "1.4.2", 100);
    log.append(100, start.clone());
    log.append(90, log.end(1, &start, Status::Success, 91));
    let back = log.rollback("production", "1.4.1", None, 80);
    let mut begun = back.clone();
    (begun.status, begun.finished_at) = (Some(Status::Running), None);
    log.append(80, begun);
    log.append(79, log.end(3, &back, Status::Success, 79));
    log
}

#[test]
fn a_note_stands_beside_the_record_and_changes_nothing() {
    let log = log_with_rollback();
    let before = log.run(&["status"]).stdout;
    annotate(&log, "chen", &["2", "--note", "the ticket is\nPAY-8"]).expect(0).says("record 5: annotation of record 2");
    let record = log.env.records(&log.env.path()).pop().expect("a record");
    assert_eq!((&record["kind"], &record["of"], &record["by"]["login"]), (&"annotation".into(), &2.into(), &"chen".into()));
    assert_eq!((&record["signer"], &record["note"]), (&"chen".into(), &"the ticket is\nPAY-8".into()));
    assert_eq!((&record["environment"]["name"], &record["project"]["id"]), (&"production".into(), &42.into()));
    assert_eq!(record["prev_here"]["seq"], 4, "it is linked to its place");
    log.run(&["verify"]).expect(0).shows("0 errors, 0 notices");
    assert_eq!(log.run(&["status"]).stdout, before);
    for number in ["1", "2"] {
        log.run(&["show", number]).expect(0).shows("by chen in record 5: the ticket is").shows("PAY-8");
        let json: Value = serde_json::from_str(&log.run(&["show", number, "--format", "json"]).stdout).expect("JSON");
        assert_eq!(json["annotations"][0]["seq"], 5);
    }
    assert!(!log.run(&["show", "4"]).stdout.contains("PAY-8"));
    log.run(&["show", "5"]).expect(0).shows("record 2").shows("PAY-8");
    log.run(&["log"]).expect(0).shows("annotated by chen in record 5: the ticket is PAY-8").shows("of record 2: the ticket is");
}

#[test]
fn what_was_said_while_it_ran_stands_beside_the_end_too() {
    let log = PastLog::new();
    let start = log.start("production", "1", 100);
    log.append(100, start.clone());
    annotate(&log, "chen", &["1", "--note", "slow today"]).expect(0);
    log.append(0, log.end(1, &start, Status::Success, 0));
    log.run(&["show", "3"]).expect(0).shows("by chen in record 2: slow today");
    log.run(&["show", "1"]).expect(0).shows("by chen in record 2: slow today").shows("the outcome, record 3");
    let rows = log.cells(&["log"]);
    assert_eq!((rows.len(), rows[0][14].as_str()), (2, "annotated by chen in record 2: slow today"));
}

#[test]
fn the_texts_that_a_rollback_lacks_are_given_once() {
    let log = log_with_rollback();
    log.run(&["status"]).expect(0).shows("reason missing");
    log.run(&["show", "4"]).expect(0).shows("reason missing");
    annotate(&log, "dana", &["4", "--note", "this is no reason"]).expect(0);
    log.run(&["status"]).expect(0).shows("reason missing");
    let texts =
        ["--reason", "payments failed", "--impact", "no checkout", "--incident", "INC-12", "--public-reason", "an error"];
    annotate(&log, "dana", &[&["4"], &texts[..]].concat()).expect(0).shows("payments failed").shows("INC-12");
    assert!(!log.run(&["status"]).stdout.contains("reason missing"));
    log.run(&["show", "4"])
        .expect(0)
        .shows("by dana in record 6: rolled back because: payments failed")
        .shows("impact: no checkout")
        .shows("told to customers: an error");
    log.run(&["show", "3"]).expect(0).shows("payments failed");
    for number in ["3", "4"] {
        annotate(&log, "chen", &[number, "--reason", "another"])
            .expect(2)
            .says("--reason: record 6 says that already")
            .says("--note");
        annotate(&log, "chen", &[number, "--incident", "INC-1"]).expect(2).says("--incident: record 6");
    }
    annotate(&log, "chen", &["3", "--resolution", "fixed in 1.4.3"]).expect(0);
    log.run(&["verify"]).expect(0);
    assert_eq!(log.env.records(&log.env.path()).len(), 7);
}

#[test]
fn it_must_be_there_and_be_what_the_flags_are_for() {
    let log = log_with_rollback();
    annotate(&log, "chen", &["9", "--note", "x"]).expect(2).says("holds no record 9: the newest is 4");
    annotate(&log, "chen", &["0", "--note", "x"]).expect(2);
    annotate(&log, "chen", &["2"]).expect(2).says("--note is missing");
    annotate(&log, "chen", &["2", "--note", ""]).expect(2).says("--note").says("it is empty");
    annotate(&log, "chen", &["2", "--impact", "x"])
        .expect(2)
        .says("--impact is for a rollback, and record 2 is of kind `deployment`");
    annotate(&log, "chen", &["2", "--note", "x", "--reason", "y"]).expect(2).says("are the same for record 2");
    annotate(&log, "chen", &["2", "--reason", "y", "--dry-run"])
        .expect(0)
        .shows("\"note\": \"y\"")
        .shows("\"login\": \"chen\"");
    assert_eq!(log.env.records(&log.env.path()).len(), 4);
    log.env.git(&["update-ref", "-d", "refs/heads/deploy-log"]);
    annotate(&log, "chen", &["1", "--note", "x"]).expect(3).says("there is no log");
}

#[test]
fn the_record_that_it_is_about_must_verify() {
    let log = PastLog::new();
    log.append(100, log.done("production", "1", Status::Success, 100));
    let stranger = log.env.key("stranger", "ed25519").display().to_string();
    let signers = log.env.trust("ci:other", &log.env.beside("stranger"));
    let record = ["record", "-e", "production", "--version", "2", "--status", "success"];
    let all = format!(
        "{}{}",
        std::fs::read_to_string(&signers).expect("a line"),
        log.env.git(&["show", "HEAD:.deploy-record/allowed_signers"])
    );
    std::fs::write(&signers, all).expect("a trust root");
    log.run(&[&record[..], &["--key", &stranger, "--allowed-signers", &signers]].concat()).expect(0);
    log.forge(0, log.done("production", "3", Status::Success, 0));
    annotate(&log, "chen", &["2", "--note", "x"]).expect(3).says("signer-unknown");
    annotate(&log, "chen", &["1", "--note", "x"]).expect(3).says("signer-unknown");
    annotate(&log, "chen", &["3", "--note", "x"]).expect(0);
}

#[test]
fn no_pipeline_and_no_repository_signs_for_a_person() {
    let log = log_with_rollback();
    annotate(&log, "ci:main", &["2", "--note", "x"])
        .expect(2)
        .says("the pipeline's key `ci:main` is not anybody's own")
        .says("keygen --principal YOUR-GITLAB-LOGIN")
        .says("annotate 2 --key YOUR-KEY");
    let alone = TestEnv::new();
    alone.deploy_record(&["record", "-e", "production", "--version", "1", "--status", "success"]).expect(0);
    alone
        .deploy_record(&["annotate", "1", "--note", "x"])
        .expect(2)
        .says("`ci:local` is the key of this repository")
        .says("keygen");
    assert_eq!(alone.records(&alone.path()).len(), 1);
    // nor is a key made where there is none
    let clone = TestEnv::without_repository();
    clone.git(&["clone", "--quiet", "--bare", &alone.path().display().to_string(), "log.git"]);
    let at = clone.path().join("log.git").display().to_string();
    clone.deploy_record(&["annotate", "1", "--note", "x", "--log", &at]).expect(2).says("without a trust root nobody is known");
}

#[test]
fn a_person_annotates_a_log_on_a_server_secrets_left_out() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.deploy_record(&["run", "-e", "production", "--", "true"]).expect(0);
    env.deploy_record(&["annotate", "2", "--note", "x"]).expect(2).says("the pipeline's key `ci:main`");
    // chen's own machine
    let chen = env.key("chen", "ed25519");
    let own = env.trust("chen", &chen);
    let all = format!(
        "{}{}",
        std::fs::read_to_string(&own).expect("a line"),
        env.git(&["show", "HEAD:.deploy-record/allowed_signers"])
    );
    std::fs::write(&own, all).expect("a trust root");
    env.leave_job();
    env.unset("DEPLOY_RECORD_KEY");
    let token = server.job_token().to_owned();
    let secret = ["glpat", "-", "Ab3dEf6hIj9lMn2pQr5t"].concat();
    let url = server.project_url();
    let flags = ["--log", &url, "--key", &chen.display().to_string(), "--allowed-signers", &own];
    env.set("DEPLOY_RECORD_TOKEN", &token);
    let note = format!("the token was {secret}");
    env.deploy_record(&[&["annotate", "2", "--note", &note], &flags[..]].concat()).expect(0).says("looks like a secret");
    let records = env.records(server.repository());
    assert_eq!((records.len(), &records[2]["signer"]), (3, &"chen".into()));
    assert!(!records[2]["note"].as_str().expect("a note").contains(&secret));
    env.deploy_record(&["verify", "--log", &url, "--allowed-signers", &own]).expect(0);
    // one that had to wait is still chen's, whoever appends it
    server.inject(Fault { step: Step::RefsForPush, failure: Failure::Status(503, "later".to_owned()), times: usize::MAX });
    env.deploy_record(&[&["annotate", "2", "--note", "waits", "--timeout", "2"], &flags[..]].concat())
        .expect(3)
        .says("SPOOLED");
    server.clear_faults();
    let pipeline = env.beside("ci").display().to_string();
    env.deploy_record(&["replay", "--log", &url, "--key", &pipeline, "--allowed-signers", &own]).expect(0).shows("record 4");
    env.deploy_record(&["verify", "--log", &url, "--allowed-signers", &own]).expect(0);
    let record = &env.records(server.repository())[3];
    assert_eq!((&record["signer"], &record["late"]["signer"]), (&"ci:main".into(), &"chen".into()));
}
