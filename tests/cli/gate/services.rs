//! Several services in one repository, and what counts as a change of them.

use super::rig::Team;
use crate::support::git_server::GitServer;
use serde_json::{Value, json};

const POLICY: &str = r#"
services:
  api: { paths: ["api/**", "!api/docs/"] }
  web: { paths: ["web/**"] }
environments:
  production: { tier: production }
sensitive:
  billing: { paths: ["**/billing/**"] }
  database: { paths: ["migrations/**"] }
approval: { approvers: [dana, chen] }
people: { ann: { git: ["ann@acme.example"] } }
"#;

/// A repository in which both services run, with files that are sensitive and some that are not.
fn team() -> Team {
    let mut team = Team::laptop(POLICY);
    let files = ["api/billing/tax.rs", "web/billing/pay.js", "api/main.rs", "web/main.js", "migrations/1.sql"];
    team.commit(&files.map(|path| (path, "1")), "All of it");
    for service in ["api", "web"] {
        team.run(&["record", "-e", "production", "--service", service, "--version", "1", "--status", "success"]).expect(0);
    }
    team
}

/// What is sensitive in that service.
#[track_caller]
fn because(team: &Team, service: &str) -> Value {
    let output = team.run(&["explain", "-e", "production", "--service", service, "--format", "json"]);
    output.expect(0);
    let told: Value = serde_json::from_str(&output.stdout).expect("JSON");
    // where there is nothing to say, the field is left out
    told["class"]["because"].as_array().cloned().unwrap_or_default().into()
}

#[test]
fn a_service_must_be_one_of_those_that_the_policy_names() {
    let team = team();
    for command in [&["check"][..], &["approve", "--reason", "x"], &["start"]] {
        let line = [command, &["-e", "production"]].concat();
        team.run(&line).expect(2).says("which service? --service is missing").says("api, web");
        team.run(&[&line[..], &["--service", "wep"]].concat()).expect(2).says("did you mean `web`?");
    }
    team.deploy("2", &["--service", "API"]).expect(2).says("`API` is none of api, web");
    assert!(!team.ran("2"));
    assert_eq!(team.records().len(), 2);
}

#[test]
fn each_service_is_judged_by_its_own_paths_and_by_those_of_none() {
    let mut team = team();
    // path, and whether it makes api and web sensitive
    for (path, api, web) in [
        ("api/main.rs", false, false),
        ("web/billing/pay.js", false, true),
        ("api/billing/tax.rs", true, false),
        ("api/docs/billing/a.md", true, true),
        ("tools/billing/b.rs", true, true),
        ("migrations/2.sql", true, true),
    ] {
        let before = team.env.git(&["rev-parse", "HEAD"]);
        team.commit(&[(path, "2")], "A change");
        for (service, is_sensitive) in [("api", api), ("web", web)] {
            let name = if path.starts_with("migrations") { "database" } else { "billing" };
            let expected = if is_sensitive { json!([format!("{name}: {path}")]) } else { json!([]) };
            assert_eq!(because(&team, service), expected, "{path}, {service}");
        }
        team.env.git(&["reset", "--quiet", "--hard", &before]);
    }
}

#[test]
fn what_goes_out_of_a_sensitive_folder_or_away_counts_as_well() {
    let mut team = team();
    for (what, change) in [
        ("moved", &["mv", "api/billing/tax.rs", "api/tax.rs"][..]),
        ("deleted", &["rm", "--quiet", "api/billing/tax.rs"]),
        ("its mode", &["update-index", "--chmod=+x", "api/billing/tax.rs"]),
    ] {
        let before = team.env.git(&["rev-parse", "HEAD"]);
        team.env.git(change);
        team.commit(&[], what);
        assert_eq!(because(&team, "api"), json!(["billing: api/billing/tax.rs"]), "{what}");
        assert_eq!(because(&team, "web"), json!([]), "{what}");
        team.env.git(&["reset", "--quiet", "--hard", &before]);
    }
    // into it, and what a merge brings
    team.branch("topic");
    team.env.git(&["mv", "api/main.rs", "api/billing/main.rs"]);
    team.commit(&[], "Moved in");
    team.env.git(&["checkout", "--quiet", "main"]);
    team.commit(&[("web/main.js", "3")], "Another");
    team.env.git(&["merge", "--quiet", "--no-ff", "-m", "Merge it", "topic"]);
    assert_eq!(because(&team, "api"), json!(["billing: api/billing/main.rs"]));
}

#[test]
fn an_approval_of_one_service_is_none_of_another() {
    let mut team = team();
    let sha = team.commit(&[("migrations/2.sql", "2")], "A column");
    let line = format!("deploy-record approve --environment production --service web --commit {sha}");
    team.deploy("2", &["--service", "web"]).expect(1).says(&line);
    team.approve_as("dana", &["--service", "api"]).expect(0);
    team.deploy("2", &["--service", "web"]).expect(1).says("it is for the service api (approval-other-service)");
    assert!(!team.ran("2"));
    team.deploy("3", &["--service", "api"]).expect(0).says("approved: by dana");
    team.approve_as("chen", &["--service", "web"]).expect(0);
    team.deploy("2", &["--service", "web"]).expect(0).says("approved: by chen");
}

/// A job on a clone of depth 1, after commits of which one in the middle touched billing, with an approval of dana's.
fn shallow(server: &GitServer) -> Team {
    let mut team = Team::job(server, super::rig::POLICY);
    team.deploy("1", &[]).expect(0);
    for (path, text) in [("main.rs", "2"), ("billing/tax.rs", "2"), ("main.rs", "3"), ("main.rs", "4")] {
        team.commit(&[(path, text)], "A change");
    }
    let own = team.env.path();
    let url = server.project_url().replace("http://", &format!("http://oauth2:{}@", server.job_token()));
    std::fs::remove_dir_all(&own).and_then(|()| std::fs::create_dir(&own)).expect("an empty folder");
    team.env.git(&["clone", "--quiet", "--depth", "1", "--branch", "main", &url, "."]);
    team.env.git(&["remote", "set-url", "origin", &server.project_url()]);
    assert_eq!(team.env.git(&["rev-list", "--count", "HEAD"]), "1");
    team
}

#[test]
fn a_shallow_clone_hides_no_path() {
    let server = GitServer::http();
    let team = shallow(&server);
    let told = team.check(1, &[]);
    assert_eq!(told["class"]["because"], json!(["billing: billing/tax.rs"]));
    team.approve_as("dana", &[]).expect(0);
    team.deploy("2", &[]).expect(0).says("approved: by dana");
    assert_eq!(team.newest()["changes"]["commits"], 4);
}

#[test]
fn history_that_can_not_be_had_counts_as_sensitive_and_proves_nothing() {
    let server = GitServer::http();
    let team = shallow(&server);
    team.approve_as("dana", &[]).expect(0);
    let config = ["-C", &server.repository().display().to_string(), "config"].map(str::to_owned);
    let config: Vec<_> = config.iter().map(String::as_str).collect();
    for name in ["allowAnySHA1InWant", "allowReachableSHA1InWant", "allowTipSHA1InWant"] {
        team.env.git(&[&config[..], &[&format!("uploadpack.{name}"), "false"]].concat());
    }
    let run = team.deploy("2", &[]);
    run.expect(1).says("can't fetch more history").says("(approval-not-proven)").says("(approval-missing)");
    assert!(!team.ran("2"));
    let refusal = team.newest();
    assert_eq!(refusal["class"]["name"], "sensitive");
    let because = refusal["class"]["because"][0].as_str().expect("a reason");
    assert!(because.starts_with("what is new can't be told: "), "{because}");
    assert_eq!(super::rig::codes(&team.check(1, &[]))[..2], ["approval-missing", "approval-not-proven"]);
}
