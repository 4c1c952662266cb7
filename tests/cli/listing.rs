//! `log`: every filter, pairs of start and end, and records of every kind.

use crate::support::env::TestEnv;
use crate::support::history::{PastLog, environment, person, sha, text};
use deploy_record::core::record::{
    Access, Approval, ApprovalSource, Class, ClassName, Finding, Kind, Line, Name, Outcome, Person, Record, Status,
};
use serde_json::Value;

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// The numbers of the rows, the newest first.
#[track_caller]
fn numbers(log: &PastLog, filters: &[&str]) -> Vec<u64> {
    let rows = log.cells(&[&["log", "--all"], filters].concat());
    let numbers: Vec<u64> = rows.iter().map(|row| row[0].parse().expect("a number")).collect();
    // every form shows the same
    let json = log.run(&[&["log", "--all", "--format", "json"], filters].concat());
    let of_json = json.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(of_json.map(|row| row["record"]["seq"].as_u64().expect("a number")).collect::<Vec<_>>(), numbers);
    for format in ["table", "markdown"] {
        let text = log.run(&[&["log", "--all", "--format", format], filters].concat());
        let header = if format == "table" { 1 } else { 2 };
        assert_eq!(text.expect(0).stdout.lines().count(), header + numbers.len(), "{}", text.stdout);
    }
    numbers
}

fn json(log: &PastLog, filters: &[&str]) -> Vec<Value> {
    let output = log.run(&[&["log", "--format", "json"], filters].concat());
    output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn results(log: &PastLog, filters: &[&str]) -> Vec<String> {
    log.cells(&[&["log", "--all"], filters].concat()).iter().map(|row| format!("{} {}", row[0], row[8])).collect()
}

fn classed(mut record: Record, class: ClassName) -> Record {
    record.class = Some(Class { name: class, because: Vec::new(), newer: Default::default() });
    record
}

/// Ten days of two services in two environments.
fn busy_log() -> PastLog {
    let log = PastLog::new();
    let mut one = classed(log.done("production", "1.0.0", Status::Success, 10 * DAY), ClassName::Routine);
    one.actor = person("chen");
    log.append(10 * DAY, PastLog::with_tickets(one, &["PAY-7", "OPS-1"]));
    let mut start = log.start("production", "1.1.0", 5 * DAY);
    start.actor = Some(Person { name: Line::clean("Dana Ölmez"), ..Person::default() });
    start = classed(PastLog::with_tickets(start, &["PAY-8"]), ClassName::Sensitive);
    let two = log.append(5 * DAY, start.clone());
    let mut web = log.done("staging", "1.1.0", Status::Failed, 5 * DAY - 10);
    web.service = Name::new("web").ok();
    log.append(5 * DAY - 10, web);
    // the end tells less than the start
    let mut end = log.end(two, &start, Status::Success, 5 * DAY - 30);
    (end.actor, end.changes, end.class) = (None, None, None);
    log.append(5 * DAY - 31, end);
    let mut emergency = classed(log.done("production", "1.2.0-hotfix.1", Status::Canceled, 2 * HOUR), ClassName::Emergency);
    emergency.approval = Some(Approval {
        source: ApprovalSource::Signed,
        approver: person("dana").expect("a person"),
        at: None,
        note: None,
        url: None,
        note_id: None,
        note_sha256: None,
        seq: None,
        sha256: None,
        commit: None,
        covers: Vec::new(),
        before_start: None,
        expires_at: None,
        newer: Default::default(),
    });
    log.append(2 * HOUR, emergency);
    log
}

#[test]
fn each_filter_works_in_every_form_and_with_the_others() {
    let log = busy_log();
    for (filters, expected) in [
        (&[][..], &[5, 4, 3, 1][..]),
        (&["--environment", "production"], &[5, 4, 1]),
        (&["-e", "production", "-e", "staging"], &[5, 4, 3, 1]),
        (&["--environment", "prod"], &[]),
        (&["--service", "web"], &[3]),
        (&["--project", "GRP/app"], &[5, 4, 3, 1]),
        (&["--project", "42", "--service", "web"], &[3]),
        (&["--project", "grp/other"], &[]),
        (&["--version", "1.1.0"], &[4, 3]),
        (&["--version", "1.1"], &[]),
        (&["--version", "1.0.0", "--version", "1.2.0-hotfix.1"], &[5, 1]),
        (&["--commit", sha("1.0.0").as_str()], &[1]),
        (&["--commit", &sha("1.0.0").as_str()[..4].to_uppercase()], &[1]),
        (&["--ticket", "pay-7"], &[1]),
        (&["--ticket", "PAY"], &[]),
        (&["--ticket", "PAY-8"], &[4]),
        (&["--person", "Chen"], &[1]),
        (&["--person", "dana ölmez"], &[4]),
        (&["--person", "dana"], &[5]),
        (&["--person", "ci:main"], &[5, 4, 3, 1]),
        (&["--person", "ci"], &[]),
        (&["--class", "sensitive"], &[4]),
        (&["--class", "emergency", "--class", "routine"], &[5, 1]),
        (&["--status", "success"], &[4, 1]),
        (&["--status", "failed", "--status", "canceled"], &[5, 3]),
        (&["--status", "running"], &[]),
        (&["--kind", "deployment"], &[5, 4, 3, 1]),
        (&["--kind", "rollback"], &[]),
        (&["--since", "3h"], &[5]),
        (&["--until", "1w"], &[1]),
        (&["--since", "2w", "--until", "3h"], &[4, 3, 1]),
        (&["--status", "success", "--ticket", "PAY-8", "--person", "Dana Ölmez", "-e", "production"], &[4]),
        (&["--status", "failed", "--ticket", "PAY-8"], &[]),
    ] {
        assert_eq!(numbers(&log, filters), expected, "{filters:?}");
    }
}

#[test]
fn wrong_values_are_told_with_the_flag_and_what_is_allowed() {
    let log = busy_log();
    for (filters, words) in [
        (["--environment", "a;b"], &["--environment", "a name has letters"][..]),
        (["--service", ""], &["--service", "is empty"]),
        (["--version", " "], &["--version", "it is empty"]),
        (["--commit", "abc"], &["--commit", "4 to 64 hexadecimal digits"]),
        (["--commit", "v1.0.0"], &["--commit", "4 to 64 hexadecimal digits"]),
        (["--person", ""], &["--person", "it is empty"]),
        (["--class", "urgent"], &["--class", "routine, sensitive, emergency"]),
        (["--status", "ok"], &["--status", "running, success, failed, canceled, unknown"]),
        (["--kind", "deploy"], &["--kind", "deployment, rollback, refusal, approval"]),
        (["--since", "yesterday"], &["--since", "7d, 12h, 30m, 2w, 2026-11-20 or 2026-11-20T14:05:11Z"]),
        (["--until", "2026-11-31"], &["--until", "2026-11-20T14:05:11Z"]),
        (["--last", "0"], &["--last"]),
    ] {
        let output = log.run(&[&["log"], &filters[..]].concat());
        output.expect(2);
        for words in words {
            output.says(words);
        }
    }
    log.run(&["log", "--since", "1d", "--until", "2d"]).expect(2).says("--since is not before --until");
}

#[test]
fn what_was_searched_is_told_when_nothing_fits() {
    let log = busy_log();
    log.run(&["log", "--version", "9"]).expect(0).says("nothing fits; 5 records were searched, all since the log began");
    let recent = log.run(&["log", "--since", "1h"]);
    recent.expect(0).says("nothing fits; 2 records were searched, back to");
    let json = log.run(&["log", "--version", "9", "--format", "json"]);
    assert_eq!(json.stdout, "");
}

#[test]
fn days_are_whole_days_in_utc() {
    let log = busy_log();
    let day = |minutes| log.ago(minutes).to_string()[..10].to_owned();
    assert_eq!(numbers(&log, &["--since", &day(10 * DAY), "--until", &day(10 * DAY)]), [1]);
    assert_eq!(numbers(&log, &["--since", &log.ago(10 * DAY).to_string(), "--until", &day(10 * DAY)]), [1]);
    assert_eq!(numbers(&log, &["--until", &log.ago(10 * DAY).to_string()]), Vec::<u64>::new());
}

#[test]
fn a_start_and_its_end_are_one_row_whatever_lies_between() {
    let log = PastLog::new();
    let (one, two) = (log.start("production", "1", 300), log.start("staging", "2", 290));
    log.append(300, one.clone());
    log.append(290, two.clone());
    log.append(280, log.done("production", "3", Status::Failed, 280));
    log.append(270, log.end(2, &two, Status::Success, 271));
    log.append(260, log.done("production", "4", Status::Failed, 260));
    log.append(250, log.end(1, &one, Status::Canceled, 251));
    assert_eq!(results(&log, &[]), ["6 canceled", "5 failed", "4 success", "3 failed"]);
    let rows = log.cells(&["log"]);
    assert_eq!((rows[0][1].as_str(), rows[2][1].as_str()), ("1", "2"));
    assert_eq!((rows[0][2].clone(), rows[0][9].as_str()), (log.ago(300).to_string(), "2940"));
    // the newest row is the oldest start
    let last = json(&log, &["--last", "1"]);
    assert_eq!((last.len(), &last[0]["record"]["seq"], &last[0]["start"]["seq"]), (1, &6.into(), &1.into()));
    assert_eq!((&last[0]["status"], &last[0]["verified"]), (&"canceled".into(), &true.into()));
    assert_eq!(json(&log, &["--last", "3"]).len(), 3);
    // between start and end
    assert_eq!(numbers(&log, &["--since", "255m"]), [6]);
    assert_eq!(numbers(&log, &["--until", "295m"]), [6]);
    assert_eq!(numbers(&log, &["--since", "4h", "--until", "1h"]), Vec::<u64>::new());
    assert_eq!(json(&log, &["--since", "255m"])[0]["start"]["seq"], 1);
    log.run(&["verify"]).expect(0);
}

#[test]
fn a_start_is_found_however_long_before_its_end_it_was() {
    let log = PastLog::new();
    let one = log.start("production", "1", 5 * DAY);
    log.append(5 * DAY, one.clone());
    log.append(4 * DAY, log.done("staging", "2", Status::Failed, 4 * DAY));
    log.append(3 * DAY, log.done("staging", "3", Status::Failed, 3 * DAY));
    log.append(30, log.end(1, &one, Status::Success, 30));
    let rows = json(&log, &["--since", "1h"]);
    assert_eq!((rows.len(), &rows[0]["record"]["seq"], &rows[0]["start"]["seq"]), (1, &4.into(), &1.into()));
    log.run(&["log", "--since", "1h", "--version", "2"]).expect(0).says("4 records were searched");
    // one that is not wanted is not waited for
    log.run(&["log", "--since", "1h", "-e", "staging"]).expect(0).says("2 records were searched");
}

#[test]
fn a_start_without_an_end_runs_until_it_hardly_can() {
    let log = PastLog::new();
    log.append(3 * DAY, log.start("testing", "0", 3 * DAY));
    log.append(100, log.start("production", "1", 100));
    log.append(90, log.start("production", "2", 90));
    log.append(80, log.start("staging", "3", 80));
    // elsewhere, and of earlier times: it does not follow
    log.append(70, log.done("staging", "4", Status::Success, 85));
    log.append_late(75, 60, log.done("staging", "5", Status::Failed, 95));
    assert_eq!(
        results(&log, &[]),
        ["6 failed", "5 success", "4 running", "3 running", "2 unknown outcome", "1 unknown outcome"]
    );
    assert_eq!(numbers(&log, &["--status", "running"]), [4, 3]);
    assert_eq!(numbers(&log, &["--status", "unknown"]), [2, 1]);
    assert_eq!(numbers(&log, &["--since", "65m"]), [4, 3], "what runs has not ended");
    // an end of an earlier start is none of a later deployment
    log.append(50, log.end(2, &log.start("production", "1", 100), Status::Success, 51));
    assert_eq!(numbers(&log, &["--status", "running"]), [4, 3]);
    log.append(40, log.done("staging", "6", Status::Failed, 41));
    assert_eq!(numbers(&log, &["--status", "running"]), [3]);
    log.run(&["log"]).expect(0).shows("unknown outcome").shows("running");
}

#[test]
fn an_end_that_is_none_closes_nothing() {
    let log = PastLog::new();
    let start = log.start("production", "1", 100);
    log.append(100, start.clone());
    log.append(90, log.end(1, &start, Status::Success, 91));
    log.forge(80, log.end(1, &start, Status::Failed, 81));
    log.forge(70, log.end(2, &start, Status::Failed, 71));
    log.forge(60, log.end(1, &log.start("production", "2", 100), Status::Failed, 61));
    let output = log.run(&["log", "--format", "json"]);
    let rows: Vec<Value> = output.expect(1).stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let codes: Vec<_> = rows
        .iter()
        .map(|row| (row["record"]["seq"].as_u64().unwrap_or_default(), row["findings"][0]["code"].as_str().unwrap_or("fine")))
        .collect();
    assert_eq!(codes, [(5, "finish-unpaired"), (4, "finish-unpaired"), (3, "finish-twice"), (2, "fine")]);
    assert_eq!((&rows[3]["start"]["seq"], &rows[0]["verified"]), (&1.into(), &false.into()));
    log.run(&["log"]).expect(1).shows("NOT VERIFIED: finish-twice");
}

#[test]
fn every_kind_is_listed() {
    let log = PastLog::new();
    log.append(100, log.done("production", "1", Status::Success, 100));
    let mut refusal = log.start("production", "2", 90);
    (refusal.kind, refusal.status, refusal.started_at) = (Kind::Refusal, None, None);
    refusal.findings = vec![Finding {
        code: Line::clean("approval-missing").expect("a line"),
        message: Line::clean("nobody approved it").expect("a line"),
        newer: Default::default(),
    }];
    log.append(90, refusal);
    let mut approval = Record::draft(Kind::Approval);
    (approval.environment, approval.approver, approval.reason) = (environment("production"), person("dana"), text("hotfix"));
    approval.commit = log.start("production", "2", 0).commit;
    log.append_as("dana", 80, approval);
    log.append(70, log.rollback("production", "1", None, 70));
    let mut annotation = Record::draft(Kind::Annotation);
    (annotation.of, annotation.by, annotation.note) = (Some(4), person("chen"), text("cache was stale"));
    annotation.environment = environment("production");
    log.append_as("chen", 60, annotation);
    let mut review = Record::draft(Kind::Review);
    (review.of, review.reviewer, review.outcome) = (Some(1), person("chen"), Some(Outcome::Approved));
    log.append_as("chen", 50, review);
    let mut resolution = Record::draft(Kind::Resolution);
    (resolution.of, resolution.by, resolution.note) = (Some(4), person("dana"), text("fixed forward"));
    log.append_as("dana", 40, resolution);
    let mut access = Record::draft(Kind::Access);
    access.environment = environment("production");
    access.who = vec![Access {
        login: Name::new("chen").expect("a name"),
        id: None,
        name: None,
        via: None,
        level: None,
        bot: None,
        expires_at: None,
        newer: Default::default(),
    }];
    log.append(30, access);
    let mut recovery = Record::draft(Kind::Recovery);
    (recovery.reason, recovery.by) = (text("a foreign commit"), person("chen"));
    log.append(20, recovery);
    log.append_late(30, 10, log.done("production", "3", Status::Success, 95));
    for (kind, number) in [
        ("refusal", 2),
        ("approval", 3),
        ("rollback", 4),
        ("annotation", 5),
        ("review", 6),
        ("resolution", 7),
        ("access", 8),
        ("recovery", 9),
    ] {
        assert_eq!(numbers(&log, &["--kind", kind]), [number], "{kind}");
    }
    assert_eq!(numbers(&log, &["--kind", "deployment"]), [10, 1]);
    assert_eq!(numbers(&log, &["--kind", "review", "--kind", "refusal", "--since", "2h"]), [6, 2]);
    assert_eq!(numbers(&log, &["--person", "dana"]), [7, 3]);
    assert_eq!(numbers(&log, &["--commit", sha("2").as_str()]), [3, 2]);
    let table = log.run(&["log"]);
    for words in [
        "refused",
        "nobody approved it",
        "rollback success",
        "reason missing; annotated by chen in record 5: cache was stale",
        "of record 4: cache was stale",
        "review: approved",
        "of record 4: fixed forward",
        "1 account can deploy",
        "a foreign commit",
        "recorded late, claimed at",
    ] {
        table.expect(0).shows(words);
    }
    // a status is a deployment's
    assert_eq!(numbers(&log, &["--status", "success"]), [10, 4, 1]);
    // late words count from when they were first told, a deployment from when it was
    assert_eq!(numbers(&log, &["--since", "15m"]), Vec::<u64>::new());
    assert_eq!(numbers(&log, &["--until", "93m"]), [10, 1]);
    let rows = json(&log, &["--kind", "rollback"]);
    assert_eq!(rows[0]["annotations"][0]["note"], "cache was stale");
    assert_eq!(rows[0]["annotations"][0]["seq"], 5);
}

#[test]
fn the_reading_stops_where_nothing_older_matters() {
    let log = PastLog::new();
    log.append(20 * DAY, log.done("production", "1", Status::Success, 20 * DAY));
    log.append(10 * DAY, log.done("production", "2", Status::Success, 10 * DAY));
    log.append(9 * DAY, log.done("production", "3", Status::Success, 9 * DAY));
    let first = log.env.git(&["rev-list", "--max-parents=0", "deploy-log"]);
    let object = log.env.path().join(format!(".git/objects/{}/{}", &first[..2], &first[2..]));
    std::fs::remove_file(object).expect("a commit less");
    log.run(&["log", "--all"]).expect(3).says("is not here");
    log.run(&["log", "--last", "2"]).expect(0).says("the newest 2");
    log.run(&["log", "--since", "228h"]).expect(0).shows("3");
    log.run(&["log", "--since", "15d"]).expect(3);
    log.run(&["log", "--last", "1", "--version", "1"]).expect(3);
}

#[test]
fn twenty_rows_come_unasked_and_all_with_a_time() {
    let log = PastLog::new();
    for number in 0..22 {
        log.append(100, log.done("production", &format!("1.{number}"), Status::Success, 100));
    }
    assert_eq!(log.cells(&["log"]).len(), 20);
    log.run(&["log"]).says("these are the newest 20");
    assert_eq!(log.cells(&["log", "--since", "1d"]).len(), 22);
    assert_eq!(log.cells(&["log", "--since", "1d", "--last", "3"]).len(), 3);
    assert_eq!(log.cells(&["log", "--last", "22"]).len(), 22);
}

#[test]
fn hostile_words_do_nothing() {
    let env = TestEnv::new();
    let version = "=cmd|' /C calc'!A0\u{1b}[31m\u{202e}";
    let note = "@SUM(1)\n| <img src=x> [a](javascript:b)";
    let record = ["record", "-e", "production", "--status", "success", "--version", version, "--note", note];
    env.deploy_record(&record).expect(0);
    for format in ["table", "json", "csv", "markdown"] {
        let output = env.deploy_record(&["log", "--format", format]);
        output.expect(0);
        assert!(!output.stdout.contains(['\u{1b}', '\u{202e}']), "{}", output.stdout);
        let cells = output.stdout.split([',', '\n']);
        assert!(format != "csv" || !cells.clone().any(|cell| cell.starts_with(['=', '@'])), "{}", output.stdout);
        assert!(format != "markdown" || !output.stdout.contains("<img"), "{}", output.stdout);
    }
    assert_eq!(env.deploy_record(&["log", "--format", "table"]).stdout.lines().count(), 2);
}
