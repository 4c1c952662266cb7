//! What the state makes of a sequence of records.

use super::*;
use crate::core::record::shape::FieldType as _;
use crate::core::record::tests::example;
use crate::core::record::{Commit, Line, Outcome, Rollback, Time};

fn deployment(seq: u64, version: &str, status: Status, finishes: Option<u64>) -> Record {
    let mut record = example(Kind::Deployment);
    (record.seq, record.finishes, record.status) = (seq, finishes, Some(status));
    (record.version, record.finishes_id) = (Line::clean(version), None);
    (record.follow_up, record.prev_here) = (None, None);
    if let Some(job) = &mut record.job {
        job.id = Some(1000 + seq);
    }
    if status == Status::Running {
        record.finished_at = None;
    }
    record
}

fn after(records: &[Record]) -> State {
    let mut state = None;
    for record in records {
        state = Some(State::after(state.take(), record, Digest::of(&record.to_bytes())));
    }
    state.expect("at least one record")
}

fn runs(state: &State) -> Option<&str> {
    state.places[0].runs.as_ref().map(|runs| runs.version.as_str())
}

#[test]
fn what_runs_is_the_success_with_the_latest_start() {
    let start = |seq, version| deployment(seq, version, Status::Running, None);
    let end = |seq, version, status, of| deployment(seq, version, status, Some(of));
    let state = after(&[start(1, "a"), start(2, "b"), end(3, "b", Status::Success, 2), end(4, "a", Status::Success, 1)]);
    assert_eq!(runs(&state), Some("b"));
    let state = after(&[start(1, "a"), end(2, "a", Status::Success, 1), start(3, "b"), end(4, "b", Status::Failed, 3)]);
    assert_eq!(runs(&state), Some("a"));
    assert_eq!(state.places[0].good.len(), 1);
    let state = after(&[start(1, "a")]);
    assert_eq!((runs(&state), state.places[0].open.len()), (None, 1));
}

#[test]
fn a_late_record_displaces_nothing_that_finished_later() {
    let now = deployment(1, "now", Status::Success, None);
    let mut late = deployment(2, "late", Status::Success, None);
    late.started_at = "2026-11-20T13:00:00Z".parse().ok();
    late.finished_at = "2026-11-20T13:01:00Z".parse().ok();
    assert_eq!(runs(&after(&[now.clone(), late.clone()])), Some("now"));
    // clocks differ a little: what was recorded promptly is newer, whatever its clock said
    late.recorded_at = "2026-11-20T13:05:00Z".parse().expect("time");
    assert_eq!(runs(&after(&[now.clone(), late.clone()])), Some("late"));
    late.late = example(Kind::Deployment).late.or_else(|| {
        let late = br#"{"at":"2026-11-20T13:01:00Z","signer":"ci:main","claim":"e30=","sig":"x"}"#;
        crate::core::record::Late::read(json::read(late).ok()?).ok()
    });
    assert_eq!(runs(&after(&[now, late])), Some("now"));
}

#[test]
fn a_finish_replaces_its_start_among_the_recent() {
    let mut records = vec![deployment(1, "a", Status::Running, None), deployment(2, "a", Status::Success, Some(1))];
    assert_eq!(after(&records).recent.len(), 1);
    assert_eq!(after(&records).recent[0].seq, 2);
    records.extend((3..60).map(|seq| deployment(seq, "b", Status::Failed, None)));
    let state = after(&records);
    assert_eq!((state.recent.len(), state.recent[0].seq), (20, 59));
}

#[test]
fn places_jobs_and_approvals_are_limited_and_debts_are_not() {
    let mut records = Vec::new();
    for seq in 1..=300 {
        let mut record = deployment(seq, "a", Status::Success, None);
        if let Some(environment) = &mut record.environment {
            environment.name = Name::new(format!("review/{seq}")).expect("name");
        }
        record.follow_up = example(Kind::Deployment).follow_up;
        records.push(record);
    }
    let state = after(&records);
    assert_eq!((state.places.len(), state.jobs.len(), state.reviews.len()), (200, 64, 300));
    assert_eq!(state.places[0].environment.as_str(), "review/101");
    assert!(state.has_dropped_places());
    assert_eq!(State::parse(&state.to_bytes()), Ok(state));
}

#[test]
fn approvals_end_with_success_or_time() {
    let mut approval = example(Kind::Approval);
    approval.seq = 1;
    let failed = deployment(2, "a", Status::Failed, None);
    let success = deployment(3, "a", Status::Success, None);
    assert_eq!(after(&[approval.clone(), failed.clone()]).approvals.len(), 1);
    assert_eq!(after(&[approval.clone(), failed.clone(), success]).approvals.len(), 0);
    let mut later = failed;
    later.recorded_at = "2026-12-20T00:00:00Z".parse().expect("time");
    assert_eq!(after(&[approval, later]).approvals.len(), 0);
}

#[test]
fn a_person_takes_back_what_they_approved_and_nothing_else() {
    let mut approval = example(Kind::Approval);
    approval.seq = 1;
    let mut withdrawal = Record { seq: 2, withdrawn: Some(true), ..approval.clone() };
    assert_eq!(after(&[approval.clone(), withdrawal.clone()]).approvals.len(), 0);
    withdrawal.approver = Some(Person { login: Name::new("dana").ok(), ..Person::default() });
    assert_eq!(after(&[approval.clone(), withdrawal]).approvals.len(), 1);
    let mut elsewhere = Record { seq: 2, withdrawn: Some(true), ..approval.clone() };
    elsewhere.service = None;
    assert_eq!(after(&[approval, elsewhere]).approvals.len(), 1);
}

#[test]
fn an_approval_that_knows_the_project_by_its_path_is_used_up_too() {
    let mut approval = example(Kind::Approval);
    (approval.seq, approval.project) = (1, Some(Project { path: Line::clean("grp/app"), ..Project::default() }));
    let success = deployment(2, "a", Status::Success, None);
    assert_eq!(after(&[approval.clone(), success.clone()]).approvals.len(), 0);
    approval.project = Some(Project { path: Line::clean("grp/other"), ..Project::default() });
    assert_eq!(after(&[approval, success]).approvals.len(), 1);
}

#[test]
fn nobody_reviews_their_own() {
    let mut emergency = deployment(1, "a", Status::Success, None);
    emergency.follow_up = example(Kind::Deployment).follow_up;
    let review = |login: &str| {
        let mut record = example(Kind::Review);
        (record.seq, record.of) = (2, Some(1));
        record.reviewer = Some(Person { login: Name::new(login).ok(), ..Person::default() });
        record
    };
    for own in ["ann", "Ann"] {
        assert_eq!(after(&[emergency.clone(), review(own)]).reviews.len(), 1, "{own}");
    }
    assert_eq!(after(&[emergency.clone(), review("chen")]).reviews.len(), 0);
    let rejected = Record { outcome: Some(Outcome::Rejected), ..review("chen") };
    assert_eq!(after(&[emergency, rejected]).reviews.len(), 1);
}

#[test]
fn of_two_versions_the_one_that_went_well_there_first_is_older() {
    let sha = |record: Record, digit: &str| {
        let commit =
            record.commit.clone().map(|commit| Commit { sha: CommitId::new(digit.repeat(40)).expect("an id"), ..commit });
        Record { commit, ..record }
    };
    let version = |seq, version| deployment(seq, version, Status::Success, None);
    let state = after(&[sha(version(1, "a"), "a"), sha(version(2, "b"), "b"), sha(version(3, "a"), "a")]);
    let good: Vec<_> = state.places[0].good.iter().map(|good| (good.version.as_str(), good.seq, good.first)).collect();
    assert_eq!(good, [("a", 3, 1), ("b", 2, 2)]);
    // under another name it is the same version
    let named = [sha(version(1, "a"), "a"), sha(version(2, "b"), "b"), sha(version(3, "v1-2-gaaaa"), "a")];
    let state = after(&named);
    let good: Vec<_> = state.places[0].good.iter().map(|good| (good.version.as_str(), good.first)).collect();
    assert_eq!(good, [("v1-2-gaaaa", 1), ("b", 2)]);
}

#[test]
fn a_version_that_had_gone_out_and_is_put_back_is_no_newer_than_those_that_are_here() {
    let versions = ["a", "b", "c", "d", "e", "f", "g"];
    let of = |seq, version: &str| {
        let mut record = deployment(seq, version, Status::Success, None);
        record.commit = None;
        record
    };
    let mut records: Vec<_> = (1..).zip(versions).map(|(seq, version)| of(seq, version)).collect();
    let back = Record { kind: Kind::Rollback, ..of(8, "a") };
    let first_of_a = |records: &[Record]| after(records).places[0].good[0].first;
    records.push(back.clone());
    assert_eq!(first_of_a(&records), 3, "c is the oldest that is here");
    *records.last_mut().expect("one") = Record { kind: Kind::Deployment, ..back };
    assert_eq!(first_of_a(&records), 8, "deployed forward, it is new");
}

#[test]
fn holds_reviews_and_reasons_end_by_their_records() {
    let mut rollback = deployment(1, "a", Status::Success, None);
    rollback.kind = Kind::Rollback;
    rollback.follow_up = example(Kind::Deployment).follow_up;
    rollback.rollback = Some(Rollback { hold: Some(true), reason_missing: Some(true), ..Rollback::default() });
    let count = |state: State| (state.holds.len(), state.reviews.len(), state.missing_reasons.len());
    assert_eq!(count(after(std::slice::from_ref(&rollback))), (1, 1, 1));
    let about = |kind, seq| {
        let mut record = example(kind);
        (record.seq, record.of) = (seq, Some(1));
        record.outcome = record.outcome.map(|_| Outcome::Approved);
        record
    };
    let records = [rollback, about(Kind::Resolution, 2), about(Kind::Review, 3), about(Kind::Annotation, 4)];
    assert_eq!(count(after(&records[..2])), (0, 1, 1));
    assert_eq!(count(after(&records[..3])), (0, 0, 1));
    assert_eq!(count(after(&records)), (0, 0, 0));
}

#[test]
fn a_job_is_remembered_by_all_that_tells_its_records_apart() {
    let record = deployment(1, "a", Status::Success, None);
    let state = after(std::slice::from_ref(&record));
    assert_eq!(state.recorded_by_job(&record), Some(1));
    let mut other = record.clone();
    other.status = Some(Status::Failed);
    assert_eq!(state.recorded_by_job(&other), None);
    let mut other = record.clone();
    other.job.as_mut().expect("job").attempt = Some(9);
    assert_eq!(state.recorded_by_job(&other), None);
    let mut other = record;
    other.job = None;
    assert_eq!(state.recorded_by_job(&other), None);
}

#[test]
fn a_state_of_another_format_is_refused() {
    let state = after(&[deployment(1, "a", Status::Success, None)]);
    let text = String::from_utf8(state.to_bytes()).expect("text");
    assert!(matches!(
        State::parse(text.replace("deploy-state/v1", "deploy-state/v2").as_bytes()),
        Err(ParseError::Newer { .. })
    ));
    assert!(State::parse(text.trim_end().as_bytes()).is_err());
    assert!(State::parse(b"{}").is_err());
    let _: Time = state.since;
}

fn elsewhere(seq: u64) -> Record {
    let mut record = deployment(seq, "x", Status::Success, None);
    if let Some(environment) = &mut record.environment {
        environment.name = Name::new(format!("review/{seq}")).expect("name");
    }
    record
}

#[test]
fn a_start_that_went_out_can_still_be_finished() {
    let mut records: Vec<_> = (1..=25).map(|seq| deployment(seq, "a", Status::Running, None)).collect();
    records.push(deployment(26, "a", Status::Failed, Some(25)));
    let state = after(&records);
    let key = PlaceKey::of(&records[0]).expect("a place");
    assert_eq!((state.places[0].open.len(), state.places[0].forgotten), (19, Some(5)));
    assert!((1..=5).chain(6..25).all(|start| state.may_finish(&key, start)));
    assert!(!state.may_finish(&key, 25) && !state.may_finish(&key, 26));
    records.push(deployment(27, "a", Status::Success, Some(3)));
    assert_eq!(runs(&after(&records)), Some("a"));
}

#[test]
fn a_place_that_comes_back_knows_what_it_has_forgotten() {
    let mut records = vec![deployment(1, "old", Status::Running, None), deployment(2, "new", Status::Success, None)];
    records.extend((3..=202).map(elsewhere));
    assert!(!after(&records).places.iter().any(|place| place.environment.as_str() == "production"));
    let before = after(&records[..2]);
    let mut back = deployment(203, "next", Status::Failed, None);
    back.prev_here = Some(Pointer::to(2, Digest::of(b"2")));
    records.push(back);
    // the old one ends now: it began before what ran when the place went out, and must not take its place
    records.push(deployment(204, "old", Status::Success, Some(1)));
    let state = after(&records);
    let mut place = state.places.last().expect("a place").clone().into_inner();
    assert_eq!((place.forgotten, place.earlier.as_ref().map(|pointer| pointer.seq)), (Some(2), Some(2)));
    place.join_earlier(before.places[0].clone().into_inner());
    assert_eq!(place.runs.map(|runs| runs.version.to_string()).as_deref(), Some("new"));
    assert_eq!(place.earlier, None);
    // what begins and goes well from now on needs no look back
    records.push(deployment(205, "next", Status::Success, None));
    let state = after(&records);
    assert_eq!(state.places.last().expect("a place").earlier, None);
    assert!(state.may_finish(&PlaceKey::of(&records[0]).expect("a place"), 1));
}

#[test]
fn projects_without_a_number_are_told_apart_by_their_path() {
    let of = |seq: u64, path: &str| {
        let mut record = deployment(seq, path, Status::Success, None);
        record.project = Some(Project { path: Line::clean(path), ..Project::default() });
        record
    };
    let mut approval = example(Kind::Approval);
    approval.project = Some(Project { path: Line::clean("grp/a"), ..Project::default() });
    approval.seq = 1;
    let state = after(&[approval, of(2, "grp/b")]);
    assert_eq!((state.approvals.len(), state.places.len()), (1, 2));
    assert_eq!(state.recent[0].path, Line::clean("grp/b"));
    assert!(state.has_several_projects());
    assert_eq!(state.project_name(None, state.places[0].path.as_ref()), "grp/a");
}
