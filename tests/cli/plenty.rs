//! Much of it: hundreds of environments, a spool of a thousand claims.

use crate::support::history::PastLog;
use deploy_record::core::record::{Record, Status};
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

fn record(log: &PastLog, number: i64) -> crate::support::env::Output {
    let arguments = ["record", "-e", &place(number), "--project", "grp/app", "--version", "2", "--status", "success"];
    log.run_as_pipeline(&arguments)
}

#[test]
fn a_place_that_went_out_of_the_state_comes_back_with_its_history() {
    let log = PastLog::new();
    fill(&log, 0..PLACES);
    log.run(&["verify", "--deep"]).expect(0).shows("verified: 300 records").shows("0 errors, 0 notices");
    let shown = log.cells(&["status"]);
    assert_eq!(shown.len(), 200);
    assert!(shown.iter().any(|line| line.contains(&place(PLACES - 1))), "{shown:?}");
    record(&log, 0).expect(0).says("record 301:");
    record(&log, 0).expect(0).says("record 302:");
    record(&log, PLACES).expect(0).says("record 303:");
    let records = log.env.records(&log.env.path());
    assert_eq!((&records[300]["prev_here"]["seq"], &records[300]["previous"]["seq"]), (&1.into(), &1.into()));
    assert_eq!((&records[301]["prev_here"]["seq"], &records[301]["previous"]["seq"]), (&301.into(), &301.into()));
    assert!(records[302]["prev_here"].is_null());
    assert!(log.cells(&["status"]).iter().any(|line| line.contains(&place(0)) && line.contains(&"2".to_owned())));
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
        record(&log, 200).expect(0).says("record 204:");
        record(&log, 0).expect(3).says("is not what it should be").says("SPOOLED");
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
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // fewer files may be open at once than there are claims
    let program = env!("CARGO_BIN_EXE_deploy-record");
    let replay = format!("ulimit -n 128; exec {program} replay --key {} --principal ci:main", log.key_of("ci:main"));
    let began = Instant::now();
    let output = log.env.run(OsStr::new("sh"), &["-c", &replay], b"");
    output.expect(0).shows(".json and 999 more").shows("records 3 to 1002");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert!(output.stdout.lines().count() < 5 && output.stderr.lines().count() < 5, "{output:?}");
    assert_eq!(waiting(&spool), 0);
    log.run(&["verify"]).expect(0).shows("verified: 1002 records").shows("0 errors, 0 notices");

    let began = Instant::now();
    log.run_as_pipeline(&["replay", &copy]).expect(0).shows(".json and 999 more").shows("recorded before");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert_eq!(log.env.git(&["rev-list", "--count", "deploy-log"]), "1002");
}
