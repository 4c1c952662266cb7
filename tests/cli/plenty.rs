//! Much of it: hundreds of environments, a spool of a thousand claims.

use crate::support::history::PastLog;
use deploy_record::core::record::{Record, Status};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

const PLACES: i64 = 300;

fn place(number: i64) -> String {
    format!("production-{number}")
}

/// One deployment in each of the places from this one to that one, a minute after the other.
fn fill(log: &PastLog, places: std::ops::Range<i64>) {
    let done = |number| log.done(&place(number), "1", Status::Success, PLACES + 100 - number);
    log.append_all(places.map(|number| (PLACES + 100 - number, done(number))));
}

fn record(log: &PastLog, number: i64, status: &str) -> crate::support::env::Output {
    let place = place(number);
    log.run_as_pipeline(&["record", "-e", &place, "--project", "grp/app", "--version", "2", "--status", status])
}

#[test]
fn a_place_that_went_out_of_the_state_comes_back_with_its_history() {
    let log = PastLog::new();
    fill(&log, 0..PLACES);
    log.run(&["verify", "--deep"]).expect(0).shows("verified: 300 records").shows("0 errors, 0 notices");
    let runs = |number: i64| {
        let shown = log.cells(&["status"]);
        assert_eq!(shown.len(), 200);
        let line = shown.into_iter().find(|line| line.contains(&place(number)));
        line.map(|line| line.contains(&"1".to_owned()))
    };
    assert_eq!((runs(0), runs(PLACES - 1)), (None, Some(true)));
    let dry = ["record", "-e", &place(0), "--project", "grp/app", "--version", "2", "--status", "success", "--dry-run"];
    log.run_as_pipeline(&dry).expect(0).shows("\"previous\"").shows("\"seq\": 1");
    record(&log, 0, "failed").expect(0).says("record 301:");
    assert_eq!(runs(0), Some(true));
    record(&log, 0, "success").expect(0).says("record 302:");
    assert_eq!(runs(0), Some(false));
    record(&log, PLACES, "success").expect(0).says("record 303:");
    let records = log.env.records(&log.env.path());
    let earlier = |seq: usize| (&records[seq - 1]["prev_here"]["seq"], &records[seq - 1]["previous"]["seq"]);
    let nothing = serde_json::Value::Null;
    assert_eq!(
        [earlier(301), earlier(302), earlier(303)],
        [(&1.into(), &1.into()), (&301.into(), &1.into()), (&nothing, &nothing)]
    );
    log.run(&["verify", "--deep"]).expect(0).shows("verified: 303 records").shows("0 errors, 0 notices");
}

#[test]
fn a_place_that_went_out_is_not_looked_up_across_a_forged_record() {
    let forgeries: [fn(&mut Record); 2] = [
        |record| record.prev = deploy_record::core::record::Digest::of(b"another"),
        |record| record.signer = crate::support::history::name("chen"),
    ];
    for forgery in forgeries {
        let log = PastLog::new();
        fill(&log, 0..2);
        log.forge_with(PLACES, log.done("staging", "1", Status::Success, PLACES), forgery);
        fill(&log, 100..PLACES);
        // what the state still has is gone on with, as ever
        record(&log, 200, "success").expect(0).says("record 204:");
        record(&log, 0, "success").expect(3).says("is not what it should be").says("SPOOLED");
        assert_eq!(log.env.git(&["rev-list", "--count", "deploy-log"]), "204");
    }
}

const CLAIMS: i64 = 1_000;

fn waiting(spool: &Path) -> usize {
    let entries = std::fs::read_dir(spool).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
}

#[test]
fn a_thousand_claims_are_replayed_in_seconds_and_told_of_in_a_few_lines() {
    let log = PastLog::new();
    log.append(3_000, log.done("production", "0", Status::Success, 3_000));
    (0..CLAIMS).for_each(|number| {
        let made = 2_000 - number;
        log.spool(made, log.done("production", &number.to_string(), Status::Success, made));
    });
    let spool = log.env.path().join(".git/deploy-record/spool");
    let copy = log.env.beside("copy").display().to_string();
    assert_eq!(log.env.run(OsStr::new("cp"), &["-r", &spool.display().to_string(), &copy], b"").code, 0);

    let began = Instant::now();
    let beside = log.run_as_pipeline(&["record", "-e", "staging", "--version", "1", "--status", "success"]);
    beside.expect(0).says("record 2:");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    // fewer files may be open at once than there are claims
    let program = env!("CARGO_BIN_EXE_deploy-record");
    let replay = format!("ulimit -n 128; exec {program} replay --key {} --principal ci:main", log.key_of("ci:main"));
    let output = log.env.run(OsStr::new("sh"), &["-c", &replay], b"");
    output.expect(0).shows(".json and 999 more").shows("records 3 to 1002");
    assert!(output.stdout.lines().count() < 5 && output.stderr.lines().count() < 5, "{output:?}");
    assert_eq!(waiting(&spool), 0);
    log.run(&["verify"]).expect(0).shows("verified: 1002 records").shows("0 errors, 0 notices");

    let again = log.env.beside("again").display().to_string();
    assert_eq!(log.env.run(OsStr::new("cp"), &["-r", &copy, &again], b"").code, 0);
    log.run_as_pipeline(&["replay", &copy]).expect(0).shows(".json and 999 more").shows("recorded before");
    // programs are told of each
    let output = log.run_as_pipeline(&["replay", &again, "--format", "json"]);
    let told: Vec<Value> = serde_json::from_str(&output.expect(0).stdout).expect("JSON");
    let numbers: BTreeSet<_> =
        told.iter().filter(|told| told["result"] == "already").map(|told| told["seq"].as_u64()).collect();
    assert_eq!((told.len(), numbers.len()), (1_000, 1_000));
    assert_eq!(log.run_as_pipeline(&["replay", &again, "--format", "json"]).expect(0).stdout.trim(), "[]");
    assert_eq!(log.env.git(&["rev-list", "--count", "deploy-log"]), "1002");
}

#[test]
fn the_log_is_read_once_for_all_claims_that_are_looked_for_in_it() {
    let log = PastLog::new();
    let done = |number: i64| log.done("production", "1", Status::Success, 2_000 - number);
    log.append_all((0..1_500).map(|number| (2_000 - number, done(number))));
    let replay = |claims: i64| {
        (0..claims).for_each(|number| log.spool(200 - number, done(1_800 + number)));
        let began = Instant::now();
        log.run_as_pipeline(&["replay"]).expect(0);
        began.elapsed()
    };
    let (one, many) = (replay(1), replay(100));
    assert!(many < 25 * one, "{one:?} for one, {many:?} for 100");
}
