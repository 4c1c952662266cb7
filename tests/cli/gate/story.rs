//! An emergency hotfix that skipped review: refused without a note, approved by another person, reviewed afterwards.

use super::rig::{POLICY, Team, codes, on_terminal, printed};
use crate::support::git_server::GitServer;
use chrono::{DateTime, Datelike as _, TimeDelta, Utc, Weekday};
use serde_json::Value;

/// From the refusal to the review, with the very lines that the program prints.
fn tell(team: &mut Team) {
    team.deploy("1.4.0", &[]).expect(0);
    team.branch("hotfix/pay");
    let sha = team.commit(&[("main.rs", "2")], "Fix card payments");

    let refused = team.deploy("1.4.1", &[]);
    refused
        .expect(1)
        .says("(approval-missing)")
        .says("emergency: branch hotfix/pay (hotfix/*)")
        .says("dana or chen can approve it");
    assert!(!team.ran("1.4.1"));
    let refusal = team.newest();
    assert_eq!((&refusal["kind"], &refusal["commit"]["sha"]), (&"refusal".into(), &sha.as_str().into()));
    assert_eq!((&refusal["class"]["name"], codes(&refusal)[0]), (&"emergency".into(), "approval-missing"));
    assert!(refusal["status"].is_null() && refusal["started_at"].is_null());

    let line = printed(&refused, "approve").pop().expect("a line to paste");
    assert_eq!(line, format!("deploy-record approve --environment production --commit {sha}"));
    let dana = team.machine_of("dana");
    let approved = on_terminal(&dana, &line, "EU cards are declined\n");
    approved.expect(0).shows("Why may it go ahead?").shows("Fix card payments");
    by_hand(team);

    team.next_job();
    team.deploy("1.4.1", &[]).expect(0).says("approved: by dana").says("review-due: a review by another person is due");
    assert!(team.ran("1.4.1"));
    let records = team.records();
    let [approval, start, end] = &records[records.len() - 3..] else { panic!("{records:#?}") };
    assert_eq!((&approval["kind"], &approval["signer"]), (&"approval".into(), &"dana".into()));
    for half in [start, end] {
        let noted = &half["approval"];
        assert_eq!((&noted["approver"]["login"], &noted["source"]), (&"dana".into(), &"signed".into()));
        assert_eq!((&noted["note"], &noted["at"]), (&approval["reason"], &approval["recorded_at"]));
        assert_eq!((&noted["seq"], &noted["before_start"]), (&approval["seq"], &true.into()));
        assert_eq!(half["provenance"]["approval"], "observed");
    }
    assert_eq!(approval["reason"], "EU cards are declined");
    assert_eq!(start["follow_up"]["due"], next_business_day(&start["started_at"]));
    reviewed(team, &start["seq"].to_string());
}

/// The approval's own signature, checked as format.md says.
fn by_hand(team: &Team) {
    let log = team.log.display().to_string();
    let files = [("record.json", "r"), ("record.json.sig", "s"), ("allowed_signers", "allowed_signers")];
    for (name, file) in files {
        let what = match name {
            "allowed_signers" => "main:.deploy-record/allowed_signers".to_owned(),
            name => format!("deploy-log:{name}"),
        };
        let text = team.env.git(&["-C", &log, "cat-file", "blob", &what]) + "\n";
        std::fs::write(team.env.beside(file), text).expect("written");
    }
    let record = std::fs::read(team.env.beside("r")).expect("a record");
    let at = team.newest()["recorded_at"].as_str().expect("a time").replace(['-', ':', 'T'], "");
    let [signers, signature] = ["allowed_signers", "s"].map(|name| team.env.beside(name).display().to_string());
    let keygen = |who: &str, record: &[u8]| {
        let time = format!("verify-time={at}");
        let line = ["-Y", "verify", "-O", &time, "-f", &signers, "-I", who, "-n", "deploy-record", "-s", &signature];
        team.env.run("ssh-keygen".as_ref(), &line, record).code
    };
    assert_eq!((keygen("dana", &record), keygen("chen", &record)), (0, 255));
    let changed = String::from_utf8(record).expect("text").replace("EU cards", "UK cards");
    assert_eq!(keygen("dana", changed.as_bytes()), 255);
}

fn reviewed(team: &Team, seq: &str) {
    let chen = team.machine_of("chen");
    chen.deploy_record(&["status"]).expect(0).shows("review owed: 1.4.1").shows(&format!("record {seq}, due "));
    let review = ["review", seq, "--note", "the fix is right"];
    team.machine_of("ann").deploy_record(&review).expect(1).says("another person reviews it (review-by-actor)");
    chen.deploy_record(&["status"]).shows("review owed: 1.4.1");
    chen.deploy_record(&review).expect(0).says(&format!("review of record {seq}"));
    assert!(!chen.deploy_record(&["status"]).expect(0).stdout.contains("review owed"));
    chen.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors, 0 notices");
    assert!(team.records().iter().all(|record| record["reviewer"]["login"] != "ann"));
}

/// The end of the first day after this moment that is neither Saturday nor Sunday.
fn next_business_day(moment: &Value) -> String {
    let moment: DateTime<Utc> = moment.as_str().expect("a time").parse().expect("a time");
    let days = (1..).map(|days| moment + TimeDelta::days(days));
    let is_workday = |day: &DateTime<Utc>| ![Weekday::Sat, Weekday::Sun].contains(&day.weekday());
    days.into_iter().find(is_workday).expect("a day").format("%Y-%m-%dT23:59:59Z").to_string()
}

#[test]
fn a_hotfix_from_a_laptop_needs_another_person_and_a_review() {
    tell(&mut Team::laptop(POLICY));
}

#[test]
fn a_hotfix_in_a_job_is_approved_from_a_clone_and_goes_through_on_retry() {
    let server = GitServer::http();
    tell(&mut Team::job(&server, POLICY));
}

#[test]
fn the_clone_of_the_approver_may_be_older_than_the_log() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    let dana = team.machine_of("dana");
    team.branch("hotfix/pay");
    let sha = team.commit(&[("main.rs", "2")], "Fix card payments");
    let output = team.deploy("1", &[]);
    let line = printed(output.expect(1).says("  git fetch\n"), "approve").pop().expect("a line to paste");
    let refused = on_terminal(&dana, &line, "so be it\n");
    refused.expect(2).shows("is not in the repository at hand").shows("`git fetch` brings what is new");
    // as the line before it says; then git names the commit by itself
    dana.git(&["fetch", "--quiet"]);
    on_terminal(&dana, &line, "so be it\n").expect(0);
    assert_eq!(team.newest()["commit"]["sha"], sha);
    team.next_job();
    team.deploy("1", &[]).expect(0);
}
