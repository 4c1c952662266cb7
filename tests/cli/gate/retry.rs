//! What a job does twice, and what a refusal leaves behind: nothing that is open.

use super::rig::{POLICY, Team, codes};
use crate::support::git_server::GitServer;

const START: [&str; 5] = ["start", "-e", "production", "--version", "1"];

#[test]
fn a_start_that_is_tried_again_is_not_judged_again() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    team.run(&START).expect(0).shows("record 1");
    // meanwhile the policy asks for more
    team.write_to_main(".deploy-record.yml", &POLICY.replace("tier: production", "approval_for: always"));
    team.run(&START).expect(0).shows("record 1");
    team.run(&["finish", "-e", "production", "--status", "success"]).expect(0);
    assert_eq!(team.records().len(), 2);
    team.pull();
    // one that begins now is judged by what counts now
    team.commit(&[("main.rs", "2")], "Another");
    team.run(&["start", "-e", "production", "--version", "2"]).expect(1).says("(approval-missing)");
}

#[test]
fn the_second_start_of_a_job_may_be_tried_again_too() {
    let server = GitServer::http();
    let team = Team::job(&server, POLICY);
    let finish = ["finish", "-e", "production", "--status", "failed"];
    for seq in [1, 3] {
        for _ in 0..2 {
            team.run(&START).expect(0).shows(&format!("record {seq}"));
        }
        team.run(&finish).expect(0);
    }
    assert_eq!(team.records()[2]["job"]["attempt"], 2);
    assert_eq!(team.records().len(), 4);
}

#[test]
fn a_start_that_was_refused_leaves_nothing_open() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    team.run(&START).expect(1).says("record 1: 1 to production refused");
    team.run(&START).expect(1).says("this refusal is on record: 1");
    team.run(&["run", "-e", "production", "--version", "1", "--", "touch", "ran"]).expect(1).says("on record: 1");
    assert_eq!(team.records().len(), 1);
    team.run(&["finish", "-e", "production", "--status", "failed"]).expect(2).says("no start is open in production");
    let status: serde_json::Value = serde_json::from_str(&team.run(&["status", "--format", "json"]).stdout).expect("JSON");
    assert!(status["places"][0]["open"].as_array().is_none_or(Vec::is_empty), "{status}");
    assert!(status["places"][0]["runs"].is_null());
    team.next_job();
    team.run(&START).expect(1).says("record 2: 1 to production refused");
    team.approve_as("dana", &[]).expect(0);
    team.run(&START).expect(0).shows("record 4");
    team.run(&["finish", "-e", "production", "--status", "success"]).expect(0);
    team.run(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn a_dry_run_and_a_check_show_the_refusal_and_write_nothing() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    let before = team.env.git(&["for-each-ref"]);
    let dry = team.deploy("2", &["--dry-run"]);
    dry.expect(1).shows("\"kind\": \"refusal\"").shows("\"code\": \"approval-missing\"").says("dana or chen can approve it");
    team.run(&["start", "-e", "production", "--dry-run"]).expect(1).shows("\"kind\": \"refusal\"").says("(approval-missing)");
    assert_eq!(codes(&team.check(1, &[])), ["approval-missing", "sensitive"]);
    team.run(&["gate", "-e", "production"]).expect(1).shows("decision     refused").says("deploy-record approve");
    assert!(!team.ran("2"));
    assert_eq!(team.env.git(&["for-each-ref"]), before);
    team.approve_as("chen", &[]).expect(0);
    team.deploy("2", &["--dry-run"]).expect(0).shows("\"kind\": \"deployment\"").shows("\"login\": \"chen\"");
    assert_eq!(team.check(0, &[])["approval"]["approver"]["login"], "chen");
    assert!(!team.ran("2"));
}
