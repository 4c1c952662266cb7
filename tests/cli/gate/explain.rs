//! `explain`: what the policy makes of a deployment, and made of one.

use super::rig::{POLICY, Team, codes};
use serde_json::{Value, json};

fn json_of(team: &Team, arguments: &[&str]) -> Value {
    let output = team.run(&[&["explain", "--format", "json"], arguments].concat());
    output.expect(0);
    serde_json::from_str(&output.stdout).expect("JSON")
}

#[test]
fn the_commit_at_hand_and_the_rules_that_count_there() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    team.run(&["explain", "-e", "production"])
        .expect(0)
        .shows("decision     refused")
        .shows("billing: billing/tax.rs")
        .shows("approvers    dana, chen")
        .shows("7 days; in an emergency, 24 hours")
        .says("deploy-record approve --environment production --commit");
    let told = json_of(&team, &["-e", "production"]);
    assert_eq!((&told["allowed"], &told["class"]["name"]), (&json!(false), &json!("sensitive")));
    assert_eq!(told["class"]["because"], json!(["billing: billing/tax.rs"]));
    assert_eq!(told["rules"]["four eyes"], "another person approves beforehand");
    assert_eq!(codes(&told), ["approval-missing", "sensitive"]);
    assert!(told["policy"]["sha256"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));
}

#[test]
fn what_was_decided_stays_as_it_was_when_the_policy_changes() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    team.deploy("2", &[]).expect(1);
    team.approve_as("dana", &[]).expect(0);
    team.deploy("2", &[]).expect(0);
    team.commit(&[(".deploy-record.yml", "service: other\n")], "Away with it");
    team.run(&["explain", "--record", "3"])
        .expect(0)
        .shows("record    3, refusal")
        .shows("class     sensitive")
        .shows("because   billing: billing/tax.rs")
        .shows("findings  approval-missing: ");
    team.run(&["explain", "--record", "6"]).expect(0).shows("record    6, deployment").shows("dana").shows("looked at it");
    let told = json_of(&team, &["--record", "5"]);
    assert_eq!((&told["seq"], &told["approval"]["seq"]), (&json!(5), &json!(4)));
    assert_eq!(told["policy"], json_of(&team, &["--record", "3"])["policy"]);
    assert_eq!(codes(&json_of(&team, &["--record", "3"])), ["approval-missing"]);
    team.run(&["explain", "--record", "4"]).expect(2).says("is of kind `approval`");
    team.run(&["explain", "--record", "9"]).expect(2).says("holds no record 9");
    team.run(&["explain", "--record", "3", "-e", "production"]).expect(2);
}
