//! `status`: open starts, debts, filters, and what ran at an earlier moment.

use crate::support::history::{PastLog, name, person};
use deploy_record::core::record::{FollowUp, Kind, Record, Rollback, Status};
use serde_json::Value;

const DAY: i64 = 24 * 60;

fn json(log: &PastLog, arguments: &[&str]) -> Value {
    let output = log.run(&[&["status", "--format", "json"], arguments].concat());
    serde_json::from_str(&output.expect(0).stdout).expect("JSON")
}

/// Environment, what runs there, and what has begun; of this moment.
#[track_caller]
fn at(log: &PastLog, minutes: i64) -> Vec<String> {
    let rows = log.cells(&["status", "--at", &log.ago(minutes).to_string()]);
    rows.iter().map(|row| format!("{} {} {}", row[0], row[2], row[7].split(" (").next().unwrap_or_default())).collect()
}

fn in_service(mut record: Record, service: &str) -> Record {
    record.service = Some(name(service));
    record
}

#[test]
fn open_starts_tell_how_they_stand() {
    let log = PastLog::new();
    log.append(3 * DAY, log.start("testing", "0", 3 * DAY));
    log.append(100, log.start("production", "1", 100));
    log.append(90, log.start("production", "2", 90));
    log.append(80, log.start("staging", "3", 80));
    // another's end of earlier times, and one elsewhere, say nothing about it
    log.append_late(75, 70, log.done("staging", "4", Status::Failed, 85));
    log.append(60, in_service(log.done("staging", "5", Status::Failed, 60), "web"));
    let words = |seq: u64| {
        let places = json(&log, &[]);
        let all =
            places["places"].as_array().expect("places").iter().flat_map(|place| place["open"].as_array().cloned()).flatten();
        all.into_iter().find(|open| open["seq"] == seq).map(|open| open["status"].as_str().unwrap_or_default().to_owned())
    };
    let stands = [1, 2, 3, 4].map(|seq| words(seq).unwrap_or_default());
    assert_eq!(stands, ["unknown", "unknown", "running", "running"]);
    log.run(&["status"])
        .expect(0)
        .shows("0 (record 1, unknown outcome, began ")
        .shows(", 3 days ago)")
        .shows("1 (record 2, unknown outcome, began ")
        .shows("2 (record 3, running for 1 h 3");
    // a failed one that began later, however many records lie between
    log.append(50, log.done("staging", "6", Status::Failed, 50));
    for number in 0..25 {
        log.append(40, log.done("elsewhere", &number.to_string(), Status::Failed, 40));
    }
    assert_eq!(words(4), Some("unknown".to_owned()));
    assert_eq!(words(3), Some("running".to_owned()));
    // as `log` has it
    let listed = |status| log.cells(&["log", "--all", "--status", status]).iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(
        (listed("running"), listed("unknown")),
        (vec!["3".to_owned()], vec!["4".to_owned(), "2".to_owned(), "1".to_owned()])
    );
}

#[test]
fn debts_are_told_with_what_to_do() {
    let log = PastLog::new();
    let mut emergency = log.done("production", "1", Status::Success, 100);
    let due = |minutes| FollowUp { due: Some(log.ago(minutes)), assignee: Some(name("chen")), ..FollowUp::default() };
    emergency.follow_up = Some(due(60));
    log.append(100, emergency);
    let mut next = log.done("staging", "2", Status::Success, 90);
    next.follow_up = Some(due(-125));
    log.append(90, next);
    let mut back = log.rollback("production", "0", None, 80);
    back.rollback = Some(Rollback { reason_missing: Some(true), hold: Some(true), ..Rollback::default() });
    log.append(80, back);
    let status = log.run(&["status"]);
    status
        .expect(0)
        .shows("hold: nothing goes forward in production since the rollback to 0, record 3, ")
        .shows("review owed: 1 in production, record 1, OVERDUE since ")
        .shows(", 1 hour ago, by chen")
        .shows("review owed: 2 in staging, record 2, due ")
        .shows(", in 2 hours, by chen")
        .shows("reason missing: rollback to 0 in production, record 3, ")
        .shows("annotate 3 --reason TEXT");
    let staging = log.run(&["status", "-e", "staging"]);
    assert!(!staging.expect(0).shows("review owed: 2").stdout.contains("production"), "{}", staging.stdout);
    log.run(&["status", "--format", "markdown"]).expect(0).shows("\n- review owed");
    let csv = log.run(&["status", "--format", "csv"]);
    assert!(!csv.expect(0).says("reason missing").stdout.contains("review owed"));
    let value = json(&log, &["-e", "production"]);
    let count = |field: &str| value[field].as_array().map(Vec::len);
    assert_eq!(["holds", "reviews", "missing_reasons"].map(count), [Some(1), Some(1), Some(1)]);
    // then nothing was owed yet but the first
    let then = log.run(&["status", "--at", &log.ago(95).to_string()]);
    assert!(!then.expect(0).shows("review owed: 1 in production, record 1, due ").stdout.contains("hold"));
}

#[test]
fn places_can_be_picked() {
    let log = PastLog::new();
    for (environment, service) in [("production", "api"), ("production", "web"), ("staging", "web")] {
        log.append(100, in_service(log.done(environment, service, Status::Success, 100), service));
    }
    let places = |arguments: &[&str]| {
        let rows = log.cells(&[&["status"], arguments].concat());
        rows.iter().map(|row| format!("{} {}", row[0], row[1])).collect::<Vec<_>>()
    };
    assert_eq!(places(&["-e", "production"]), ["production web", "production api"]);
    assert_eq!(places(&["--service", "web"]), ["staging web", "production web"]);
    assert_eq!(places(&["--service", "web", "--environment", "staging", "-e", "testing"]), ["staging web"]);
    log.run(&["status", "-e", "prod"]).expect(0).says("nothing is known of such an environment");
    log.run(&["status", "-e", "a;b"]).expect(2).says("--environment").says("a name has letters");
}

#[test]
fn what_ran_then_is_told_by_what_is_known_now() {
    let log = PastLog::new();
    log.append(1000, log.done("production", "1", Status::Success, 1000));
    let two = log.start("production", "2", 900);
    log.append(900, two.clone());
    log.append(849, log.end(2, &two, Status::Success, 850));
    log.append(800, log.done("production", "3", Status::Failed, 800));
    log.append(700, log.rollback("production", "1", Some("slow"), 700));
    // told later: one that never runs any more, and one that did
    log.append_late(740, 600, log.done("staging", "7", Status::Success, 750));
    log.append_late(860, 590, log.done("production", "1.5", Status::Success, 870));
    let four = log.start("production", "4", 500);
    log.append(500, four.clone());
    log.append(400, log.done("staging", "8", Status::Success, 400));
    log.append(300, log.end(8, &four, Status::Canceled, 301));
    for (minutes, expected) in [
        (1001, &[][..]),
        (1000, &["production 1 "]),
        (901, &["production 1 "]),
        (899, &["production 1 2"]),
        (870, &["production 1.5 2"]),
        (850, &["production 2 "]),
        (849, &["production 2 "]),
        (799, &["production 2 "]),
        (751, &["production 2 "]),
        (749, &["staging 7 ", "production 2 "]),
        (700, &["staging 7 ", "production 1 "]),
        (595, &["staging 7 ", "production 1 "]),
        (499, &["production 1 4", "staging 7 "]),
        (399, &["staging 8 ", "production 1 4"]),
        (301, &["production 1 ", "staging 8 "]),
        (0, &["production 1 ", "staging 8 "]),
    ] {
        let mut found = at(&log, minutes);
        let mut expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{minutes} minutes ago");
    }
    // now and then agree where they meet
    let strip = |mut value: Value| {
        value["as_of"] = Value::Null;
        value
    };
    assert_eq!(strip(json(&log, &["--at", "0m"])), strip(json(&log, &[])));
    log.run(&["status", "--at", &log.ago(399).to_string()])
        .expect(0)
        .shows("4 (record 8, running for 1 h 41 min, ended later: canceled, record 10)")
        .says("as of ");
    log.run(&["status", "--at", &log.ago(2000).to_string()]).expect(0).says("nothing is known of that time: the log began at ");
    log.run(&["status", "--at", "2999-01-01"]).expect(2).says("--at is in the future");
    log.run(&["status", "--at", "noon"]).expect(2).says("--at").says("7d, 12h");
}

#[test]
fn a_deployment_of_one_record_had_begun_before_it_was_told() {
    let log = PastLog::new();
    log.append(1000, log.done("production", "1", Status::Success, 1000));
    let mut long = log.start("production", "2", 900);
    (long.status, long.finished_at) = (Some(Status::Success), Some(log.ago(600)));
    log.append(600, long);
    assert_eq!(at(&log, 700), ["production 1 2"]);
    assert_eq!(at(&log, 600), ["production 2 "]);
}

#[test]
fn a_start_that_never_ended_was_running_then_for_a_day() {
    let log = PastLog::new();
    log.append(5 * DAY, log.start("production", "1", 5 * DAY));
    log.append(2 * DAY, log.start("production", "2", 2 * DAY));
    let stands = |minutes: i64| {
        let value = json(&log, &["--at", &log.ago(minutes).to_string()]);
        let open = value["places"][0]["open"].as_array().cloned().unwrap_or_default();
        open.iter().map(|open| open["status"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(stands(5 * DAY - 60), ["running"]);
    assert_eq!(stands(4 * DAY - 60), ["unknown"]);
    assert_eq!(stands(2 * DAY - 60), ["unknown", "running"]);
    assert_eq!(stands(0), ["unknown", "unknown"]);
}

#[test]
fn what_is_known_to_have_ended_later_was_running_then() {
    let log = PastLog::new();
    let long = log.start("production", "1", 5 * DAY);
    log.append(5 * DAY, long.clone());
    log.append(DAY, log.end(1, &long, Status::Success, DAY));
    let then = log.run(&["status", "--at", &log.ago(2 * DAY).to_string()]);
    then.expect(0).shows("1 (record 1, running for 3 d, ended later: success, record 2)");
}

#[test]
fn a_place_that_the_state_let_go_is_known_of_then() {
    let log = PastLog::new();
    log.append(1000, log.done("rare", "1", Status::Success, 1000));
    for number in 0..200 {
        log.append(900, log.done(&format!("review/{number}"), "7", Status::Success, 900));
    }
    assert_eq!(log.cells(&["status", "-e", "rare", "--at", &log.ago(800).to_string()]), Vec::<Vec<String>>::new());
    log.run(&["status", "-e", "rare"]).expect(0).says("`deploy-record log` looks further back");
    log.append(600, log.done("rare", "2", Status::Success, 600));
    log.append_late(940, 500, log.done("rare", "3", Status::Failed, 950));
    let rows = log.cells(&["status", "-e", "rare", "--at", &log.ago(800).to_string()]);
    assert_eq!((rows.len(), rows[0][2].as_str()), (1, "1"));
}

#[test]
fn a_past_that_does_not_hang_together_is_not_told() {
    let log = PastLog::new();
    log.append(300, log.done("production", "1", Status::Success, 300));
    let junk = deploy_record::core::record::Digest::of(b"junk");
    log.forge_with(200, log.done("production", "2", Status::Success, 200), |record| record.prev = junk);
    log.append(100, log.done("production", "3", Status::Success, 100));
    log.run(&["status"]).expect(0);
    log.run(&["status", "--at", &log.ago(150).to_string()]).expect(0);
    log.run(&["status", "--at", &log.ago(250).to_string()]).expect(3).says("its `prev` is");
    log.run(&["annotate", "1", "--note", "x", "--key", &log.key_of("chen")]).expect(3).says("its `prev` is");
}

#[test]
fn a_past_that_does_not_verify_is_not_told() {
    let log = PastLog::new();
    for (version, minutes) in [("1", 300), ("2", 200), ("3", 100)] {
        log.append(minutes, log.done("production", version, Status::Success, minutes));
    }
    // a person's tip is held against what was before it, in the past as now
    let mut note = Record::draft(Kind::Annotation);
    (note.of, note.by) = (Some(1), person("chen"));
    note.note = deploy_record::core::record::Text::clean("x");
    log.append_as("chen", 50, note);
    assert_eq!(at(&log, 50), ["production 3 "]);
    assert_eq!(at(&log, 150), ["production 2 "]);
    let old = log.env.git(&["show", "HEAD:.deploy-record/allowed_signers"]);
    let (line, others) = old.split_once('\n').expect("lines");
    let ended = line.replacen(" ssh-", ",valid-before=\"20200101Z\" ssh-", 1);
    let key = log.env.key("new", "ed25519");
    let path = log.env.trust("ci:new", &key);
    let all = format!("{}{ended}\n{others}\n", std::fs::read_to_string(&path).expect("a line"));
    std::fs::write(&path, all).expect("a trust root");
    let then = log.ago(150).to_string();
    log.run(&["status", "--at", &then, "--allowed-signers", &path]).expect(3).says("signer-not-valid");
}
