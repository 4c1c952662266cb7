//! Ways around the gate that were tried, and that lead nowhere.

use super::rig::{POLICY, Team, codes};
use crate::support::git_server::{self, GitServer};
use serde_json::json;

/// A team with version 1 in production, and a change of billing checked out.
fn in_job(server: &GitServer) -> Team {
    let mut team = Team::job(server, POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "2")], "Round half up");
    team
}

#[test]
fn a_job_that_denies_to_be_one_is_refused() {
    let server = GitServer::http();
    let mut team = in_job(&server);
    for value in ["false", "1", "TRUE", ""] {
        team.env.set("GITLAB_CI", value);
        team.env.set("DEPLOY_RECORD_LOG", "local");
        team.deploy("2", &[]).expect(2).says("GITLAB_CI").says("this is a GitLab job");
    }
    assert!(!team.ran("2"));
}

#[test]
fn a_commit_that_may_go_ahead_lets_no_other_one_through() {
    let server = GitServer::http();
    let mut team = in_job(&server);
    let runs = team.env.git(&["rev-parse", "HEAD~1"]);
    team.env.set("CI_COMMIT_SHA", &runs);
    team.deploy("2", &[]).expect(2).says("ci-contradiction").says(&runs);
    assert!(!team.ran("2"));
}

#[test]
fn a_job_that_says_it_deploys_nothing_is_asked_all_the_same_where_it_names_an_environment_of_the_policy() {
    let server = GitServer::http();
    let mut team = in_job(&server);
    for (name, value) in [("CI_ENVIRONMENT_NAME", "production"), ("CI_ENVIRONMENT_ACTION", "stop")] {
        team.env.set(name, value);
    }
    team.deploy("2", &[]).expect(1).says("(approval-missing)");
    assert!(!team.ran("2"));
    // without a name it is what GitLab says, and the answer tells so
    let output = team.run(&["check", "--format", "json"]);
    assert!(output.expect(0).says("not gated").stdout.contains("\"gated\": false"), "{}", output.stdout);
}

#[test]
fn a_schedule_that_the_approver_started_is_their_own_run() {
    let server = GitServer::http();
    let mut team = in_job(&server);
    team.approve_as("dana", &[]).expect(0);
    team.env.set("GITLAB_USER_LOGIN", "dana");
    team.env.set("CI_PIPELINE_SOURCE", "schedule");
    team.deploy("2", &[]).expect(1).says("(approval-by-actor)");
}

#[test]
fn who_runs_it_is_not_a_variables_word_where_gitlab_tells() {
    let server = GitServer::http();
    let mut team = in_job(&server);
    team.approve_as("dana", &[]).expect(0);
    let mut job = git_server::job(&team.env.git(&["rev-parse", "HEAD"]));
    job["user"] = json!({ "id": 8, "username": "dana", "name": "Dana", "bot": false });
    job["id"] = json!(team.job_number());
    server.set_job(job);
    // dana runs it, and sets the variable to ann
    team.deploy("2", &[]).expect(2).says("GITLAB_USER_ID is `7`").says("`8`");
    team.env.set("GITLAB_USER_ID", "8");
    team.deploy("2", &[]).expect(2).says("GITLAB_USER_LOGIN is `ann`").says("`dana`");
    team.env.set("GITLAB_USER_LOGIN", "dana");
    team.deploy("2", &[]).expect(1).says("(approval-by-actor)");
    assert!(!team.ran("2"));
}

#[test]
fn an_approval_that_was_used_up_in_one_project_does_not_come_back_in_another() {
    let server = GitServer::http();
    let mut team = in_job(&server);
    team.approve_as("dana", &[]).expect(0);
    team.deploy("2", &[]).expect(0);
    let records = team.records();
    let approval = records.iter().find(|record| record["kind"] == "approval").expect("an approval");
    assert_eq!(approval["project"]["id"], 42, "it is about the project that the log knows");
    team.next_job();
    team.env.set("CI_PROJECT_ID", "98");
    team.deploy("2", &[]).expect(1).says("(approval-missing)");
}

#[test]
fn what_is_recorded_past_the_gate_is_loud_and_owes_a_review() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "2")], "Round half up");
    let line = ["record", "-e", "production", "--version", "2", "--status", "success"];
    team.run(&line).expect(0).says("the gate would have refused this").says("approval-missing");
    let record = team.newest();
    assert!(codes(&record).contains(&"approval-missing") && record["follow_up"]["due"].is_string(), "{record:#}");
    team.run(&["status"]).expect(0).shows("review owed: 2");
}

#[test]
fn a_submodule_or_a_link_in_place_of_a_watched_folder_is_a_change_of_it() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    std::os::unix::fs::symlink("elsewhere", team.env.path().join("billing")).expect("a link");
    team.env.git(&["add", "billing"]);
    team.commit(&[], "A link");
    team.deploy("2", &[]).expect(1).says("sensitive: billing: billing/");
    let sha = team.env.git(&["rev-parse", "HEAD"]);
    team.env.git(&["rm", "--quiet", "billing"]);
    team.env.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{sha},billing")]);
    team.commit(&[], "A submodule");
    team.deploy("3", &[]).expect(1).says("sensitive: billing: billing/");
}

#[test]
fn an_emergency_branch_is_one_however_it_is_checked_out() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.branch("Hotfix/pay");
    let sha = team.commit(&[("main.rs", "2")], "Fix it");
    let emergency = |more: &[&str]| team.check(1, more)["class"]["name"].clone();
    assert_eq!(emergency(&[]), "emergency");
    assert_eq!(emergency(&["--commit", "HEAD"]), "emergency");
    team.env.git(&["checkout", "--quiet", "--detach", &sha]);
    assert_eq!(emergency(&[]), "emergency");
}

#[test]
fn nobody_reviews_what_they_wrote_and_a_rejection_closes_nothing() {
    let policy = POLICY.replace("people: {", "people: { chen: { git: [\"chen@acme.example\"] },");
    let team = Team::laptop(&policy);
    team.deploy("1", &[]).expect(0);
    std::fs::write(team.env.path().join("main.rs"), "2").expect("written");
    team.env.git(&["commit", "--quiet", "--all", "--author", "Chen <chen@acme.example>", "-m", "Fix it"]);
    team.deploy("2", &["--break-glass", "nobody answers"]).expect(0);
    let start = (team.records().len() - 1).to_string();
    team.as_person("chen", &["review", &start, "--note", "fine"]).expect(1).says("review-by-author");
    team.as_person("ann", &["review", &start, "--note", "fine"]).expect(1).says("review-by-actor");
    team.as_person("dana", &["review", &start, "--note", "no", "--outcome", "rejected"]).expect(0).says("stays owed");
    team.run(&["status"]).expect(0).shows("review owed: 2");
    team.as_person("dana", &["review", &start, "--note", "better now"]).expect(0);
    let status = team.run(&["status"]);
    assert!(!status.expect(0).stdout.contains("review owed"), "{}", status.stdout);
}

#[test]
fn a_broken_glass_goes_on_over_a_damaged_log_and_nothing_else_does() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("main.rs", "2")], "Harmless");
    team.env.git(&["branch", "--force", "deploy-log", "main"]);
    team.deploy("2", &[]).expect(3);
    assert!(!team.ran("2"));
    team.deploy("2", &["--break-glass", "nobody answers"]).expect(0).says("SPOOLED");
    assert!(team.ran("2"));
}
