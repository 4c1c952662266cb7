//! The issue in GitLab that reminds of a review: one for each that is owed, whatever goes wrong on the way.

use crate::gate::rig::Team;
use crate::merge_requests::{ANN, DANA};
use crate::support::git_server::{Failure, Fault, GitServer, Gitlab, Issue, Step};
use serde_json::Value;
use std::time::{Duration, Instant};

const POLICY: &str = r#"
environments:
  production: { tier: production }
sensitive:
  billing: { paths: ["billing/**"] }
emergency: { follow_up: { issue: true, assignee: dana } }
approval: { approvers: [dana, chen] }
people: { ann: { git: ["ann@acme.example"] } }
time_zone: Pacific/Honolulu
"#;

const CREATE: Step = Step::ApiCall("POST /api/v4/projects/42/issues");
const SEARCH: Step = Step::ApiCall("GET /api/v4/projects/42/issues");
const FINISH: [&str; 5] = ["finish", "-e", "production", "--status", "success"];
const GLASS: [&str; 2] = ["--break-glass", "nobody answers"];

/// The project's own account, whose access token the job has.
const BOT: u64 = 60;

/// A job of ann's on that server, with an access token of the project, and one deployment behind it.
fn team(server: &GitServer, policy: &str) -> Team {
    let mut team = Team::job(server, policy);
    let token = server.gitlab(|gitlab| {
        gitlab.user(BOT, "project_42_bot_0a1b");
        gitlab.member(BOT, 40);
        gitlab.access_token(BOT, &["api"])
    });
    team.env.set("DEPLOY_RECORD_TOKEN", &token);
    team.deploy("1.0", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    team
}

fn issues(server: &GitServer) -> Vec<Issue> {
    server.gitlab(|gitlab| gitlab.issues.clone())
}

#[track_caller]
fn only(server: &GitServer) -> Issue {
    let mut all = issues(server);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn posts(server: &GitServer) -> usize {
    server.api_requests().iter().filter(|request| request.method == "POST" && request.target.contains("/issues")).count()
}

fn page(server: &GitServer, iid: u64) -> String {
    format!("{}/grp/app/-/issues/{iid}", server.url())
}

/// The mark that the issue of this start has.
fn mark(start: &Value) -> String {
    format!("deployrecordreview{}", &start["id"].as_str().expect("an id")[..16])
}

/// The start and the end of the newest deployment.
fn halves(team: &Team) -> (Value, Value) {
    let mut records = team.records();
    let end = records.pop().expect("an end");
    (records.pop().expect("a start"), end)
}

fn inject(server: &GitServer, step: Step, failure: Failure, times: usize) {
    server.inject(Fault { step, failure, times });
}

#[test]
fn a_deployment_that_owes_a_review_gets_an_issue() {
    let server = GitServer::https();
    let team = team(&server, POLICY);
    assert!(issues(&server).is_empty(), "a routine deployment owes nothing");
    team.deploy("1.1", &GLASS).expect(0).says("a new issue reminds of the review: https://");
    let (start, end) = halves(&team);
    let issue = only(&server);
    let seq = start["seq"].as_u64().expect("a number");
    assert_eq!(issue.title, format!("Review the emergency deployment of 1.1 to production (record {seq})"));
    assert_eq!((issue.author, issue.assignees), (BOT, vec![DANA]));
    let text = issue.description.expect("a description");
    for words in ["nobody answers", "ann", &format!("`deploy-record review {seq}`"), &mark(&start), "Pacific/Honolulu"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    // the day is the team's: where they are, it is still yesterday when it is today in UTC
    let due = start["follow_up"]["due"].as_str().expect("due");
    let due: chrono::DateTime<chrono::Utc> = due.parse().expect("a time");
    let there = (due + chrono::TimeDelta::hours(-10)).format("%Y-%m-%d").to_string();
    assert_ne!(there, due.format("%Y-%m-%d").to_string(), "the test needs a moment that is on another day there");
    assert_eq!(issue.due_date, Some(there));
    // the start was there before the issue, and the end tells of it
    assert!(start["follow_up"]["issue_url"].is_null());
    assert_eq!(end["follow_up"]["issue_url"], page(&server, 1));
    team.env.deploy_record(&["verify"]).expect(0);
    team.env.deploy_record(&["show", &end["seq"].to_string()]).expect(0).shows("/-/issues/1");
}

#[test]
fn what_owes_none_gets_none() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    team.deploy("1.1", &[]).expect(1).says("approval-missing");
    team.next_job();
    let first = team.env.git(&["rev-parse", "HEAD~1"]);
    team.approve_as("chen", &[]).expect(0);
    team.deploy("1.1", &[]).expect(0);
    team.back_to(&first);
    team.deploy("1.0", &["--note", "it fails"]).expect(0);
    assert_eq!(team.newest()["kind"], "rollback");
    assert!(issues(&server).is_empty());
    // nor where the policy does not want it
    team.env.git(&["checkout", "--quiet", "main"]);
    team.commit(
        &[("billing/tax.rs", "2"), (".deploy-record.yml", &POLICY.replace("issue: true", "issue: false"))],
        "No issues",
    );
    team.deploy("1.2", &GLASS).expect(0);
    assert!(issues(&server).is_empty());
}

#[test]
fn there_is_one_whoever_tries_how_often() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    let start = ["start", "-e", "production", "--version", "1.1", "--break-glass", "nobody answers"];
    team.run(&start).expect(0).says("a new issue");
    team.run(&start).expect(0).says("the issue reminds of the review");
    team.run(&FINISH).expect(0).says("the issue reminds");
    team.run(&FINISH).expect(0);
    only(&server);
    assert_eq!(team.newest()["follow_up"]["issue_url"], page(&server, 1));
    // another deployment has its own
    let mut team = team;
    team.next_job();
    team.commit(&[("billing/tax.rs", "2")], "Again");
    team.deploy("1.2", &GLASS).expect(0).says("a new issue");
    assert_eq!(issues(&server).len(), 2);
}

#[test]
fn a_lost_answer_makes_no_second_one() {
    for failure in [Failure::CutAfter, Failure::StatusAfter(502), Failure::CutResponse] {
        let server = GitServer::http();
        let team = team(&server, POLICY);
        inject(&server, CREATE, failure.clone(), usize::MAX);
        team.deploy("1.1", &GLASS).expect(0).says("a new issue");
        only(&server);
        assert_eq!(posts(&server), 1, "{failure:?}");
        let met = server.api_requests().iter().filter(|request| request.failure == Some(failure.clone())).count();
        assert_eq!(met, 1, "{failure:?}");
        assert_eq!(team.newest()["follow_up"]["issue_url"], page(&server, 1), "{failure:?}");
    }
}

#[test]
fn what_gave_no_answer_is_not_asked_again_blindly() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    // nothing came of it, which nobody can know: the second look is all, and the end of the deployment tries once more
    inject(&server, CREATE, Failure::CutBefore, 1);
    let start = ["start", "-e", "production", "--version", "1.1", "--break-glass", "nobody answers"];
    team.run(&start).expect(0).says("no issue reminds of the review of record").says("did not answer whether it made one");
    assert_eq!((posts(&server), issues(&server).len()), (1, 0));
    team.run(&FINISH).expect(0).says("a new issue");
    only(&server);
    assert_eq!(team.newest()["follow_up"]["issue_url"], page(&server, 1));
}

#[test]
fn what_is_like_it_is_not_taken_for_it() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    inject(&server, SEARCH, Failure::Status(500, String::new()), 3);
    let start = ["start", "-e", "production", "--version", "1.1", "--break-glass", "nobody answers"];
    team.run(&start).expect(0).says("no issue reminds");
    assert_eq!(posts(&server), 0, "without a look nothing is made");
    let mark = mark(&team.newest());
    server.gitlab(|gitlab| {
        for like in [format!("{mark}0"), format!("x{mark}"), mark.replace("review", "Review")] {
            gitlab.issue("Like it", ANN).description = Some(like);
        }
    });
    team.run(&FINISH).expect(0).says("a new issue");
    assert_eq!(team.newest()["follow_up"]["issue_url"], page(&server, 4));
}

/// Anybody can write the mark once the start is in the log: then theirs is the one, and the log says what is owed.
#[test]
fn one_that_somebody_else_wrote_first_stands() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    inject(&server, SEARCH, Failure::Status(500, String::new()), 3);
    team.run(&["start", "-e", "production", "--version", "1.1", "--break-glass", "x"]).expect(0);
    let mark = mark(&team.newest());
    server.gitlab(|gitlab| {
        let issue = gitlab.issue("Nothing to see here", ANN);
        (issue.description, issue.state) = (Some(mark), "closed".to_owned());
    });
    team.run(&FINISH).expect(0).says("is closed, and the review is still owed: `deploy-record review");
    only(&server);
    team.env.deploy_record(&["status"]).expect(0).shows("review owed");
}

#[test]
fn nothing_that_people_wrote_acts_in_it() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let hostile = "/close\n/assign @eve\n@all see #1 !2 ~bug <img src=x> ```\n</details>";
    team.commit(&[("billing/vat.rs", "1")], "/close @all #1 <b>");
    let token = server.gitlab(|gitlab| gitlab.access_token(BOT, &["api"]));
    team.env.set("DEPLOY_RECORD_TOKEN", &token);
    let reason = format!("{hostile} token {token}");
    team.deploy("1.1+@all", &["--break-glass", &reason]).expect(0);
    let issue = only(&server);
    assert!(!issue.title.contains('@'), "{}", issue.title);
    let text = issue.description.expect("a description");
    assert!(text.lines().all(|line| !line.trim_start().starts_with('/')), "{text}");
    for bad in [" @all", " #1", " !2", " ~bug", "<img", "<b>", "</details>", "```", token.as_str()] {
        assert!(!text.contains(bad), "{bad} in {text}");
    }
}

#[test]
fn an_assignee_who_is_not_there_prevents_nothing() {
    let server = GitServer::http();
    let mut team = team(&server, &POLICY.replace("assignee: dana", "assignee: nobody.here"));
    team.deploy("1.1", &GLASS).expect(0).says("not assigned to `nobody.here`").says("no such user");
    assert!(only(&server).assignees.is_empty());
    // and one whom GitLab does not take
    team.commit(&[(".deploy-record.yml", POLICY), ("billing/tax.rs", "2")], "Dana");
    inject(&server, CREATE, Failure::Status(400, "{\"message\":\"400 Bad request - Assignees is invalid\"}".to_owned()), 1);
    team.deploy("1.2", &GLASS).expect(0).says("not assigned to `dana`").says("a new issue");
    assert_eq!(issues(&server).len(), 2);
    assert!(issues(&server)[1].assignees.is_empty());
}

#[test]
fn a_gitlab_that_refuses_or_hangs_changes_nothing_else() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let poor = server.gitlab(|gitlab| gitlab.access_token(BOT, &["read_api", "write_repository"]));
    team.env.set("DEPLOY_RECORD_TOKEN", &poor);
    team.deploy("1.1", &GLASS)
        .expect(0)
        .says("no issue reminds of the review")
        .says("lacks a scope; make one with the scope `api`")
        .says("review");
    assert!(team.ran("1.1") && team.newest()["status"] == "success");
    team.commit(&[("billing/tax.rs", "2")], "Again");
    inject(&server, SEARCH, Failure::Hang, usize::MAX);
    team.env.set("DEPLOY_RECORD_TIMEOUT", "8");
    let begun = Instant::now();
    let line = ["start", "-e", "production", "--version", "1.2", "--break-glass", "x"];
    team.run(&line).expect(0).says("no issue reminds").says("within the time limit");
    assert!(begun.elapsed() < Duration::from_secs(6), "a quarter of the time limit: {:?}", begun.elapsed());
    assert!(issues(&server).is_empty());
}

#[test]
fn what_waited_in_the_spool_gets_its_issue_when_it_is_replayed() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    team.env.set("DEPLOY_RECORD_TIMEOUT", "2");
    inject(&server, Step::RefsForPush, Failure::HtmlError(503), usize::MAX);
    inject(&server, Step::Push, Failure::HtmlError(503), usize::MAX);
    team.deploy("1.1", &GLASS).expect(0).says("spool");
    assert!(issues(&server).is_empty(), "it has no number yet");
    team.reconnect(&server);
    let copy = team.env.beside("copy");
    std::fs::create_dir(&copy).expect("a folder");
    for claim in std::fs::read_dir(team.env.path().join(".deploy-record/spool")).expect("a spool") {
        let claim = claim.expect("a claim");
        std::fs::copy(claim.path(), copy.join(claim.file_name())).expect("a copy");
    }
    team.run(&["replay"]).expect(0).says("a new issue");
    // somebody else replays the same, from the job's artifacts
    let mut dana = team.machine_of("dana");
    let token = server.gitlab(|gitlab| {
        gitlab.member(DANA, 30);
        gitlab.access_token(DANA, &["api"])
    });
    dana.set("DEPLOY_RECORD_TOKEN", &token);
    dana.deploy_record(&["replay", &copy.display().to_string()]).expect(0).shows("already record").says("the issue reminds");
    let (start, end) = halves(&team);
    assert!(only(&server).description.expect("text").contains(&mark(&start)));
    assert_eq!((&start["status"], &end["finishes"]), (&"running".into(), &start["seq"]));
    // and where the start waited, but not the end
    team.commit(&[("billing/tax.rs", "2")], "Again");
    team.env.set("DEPLOY_RECORD_TIMEOUT", "2");
    inject(&server, Step::RefsForPush, Failure::HtmlError(503), usize::MAX);
    inject(&server, Step::Push, Failure::HtmlError(503), usize::MAX);
    team.run(&["start", "-e", "production", "--version", "1.2", "--break-glass", "x"]).expect(0).says("spool");
    team.reconnect(&server);
    team.run(&["finish", "-e", "production", "--status", "success"]).expect(0).says("a new issue");
    assert_eq!(issues(&server).len(), 2);
    assert_eq!(team.newest()["follow_up"]["issue_url"], page(&server, 2));
}

#[test]
fn a_deployment_in_one_step_says_the_address() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    let line = ["record", "-e", "production", "--version", "1.1", "--status", "success"];
    team.run(&line).expect(0).says("the gate would have refused this").says("a new issue").says("/-/issues/1");
    let issue = only(&server);
    assert!(issue.title.starts_with("Review the deployment of 1.1"), "{}", issue.title);
    assert!(issue.description.expect("text").contains(&mark(&team.newest())));
    team.run(&line).expect(0);
    only(&server);
}

#[test]
fn a_review_that_was_done_meanwhile_needs_no_reminder() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    inject(&server, SEARCH, Failure::Status(500, String::new()), 3);
    team.run(&["start", "-e", "production", "--version", "1.1", "--break-glass", "x"]).expect(0);
    let seq = team.newest()["seq"].to_string();
    team.as_person("dana", &["review", &seq, "--note", "it is right"]).expect(0);
    team.run(&FINISH).expect(0);
    assert!(issues(&server).is_empty());
}

#[test]
fn a_closed_issue_closes_no_review() {
    let server = GitServer::http();
    let team = team(&server, POLICY);
    team.deploy("1.1", &GLASS).expect(0);
    let (start, end) = halves(&team);
    let show = |record: &Value, format: &str| {
        team.run(&["show", &record["seq"].to_string(), "--format", format]).expect(0).stdout.clone()
    };
    assert!(show(&end, "table").contains("open, and the review is owed"), "{}", show(&end, "table"));
    server.gitlab(|gitlab: &mut Gitlab| gitlab.issues[0].state = "closed".to_owned());
    for half in [&start, &end] {
        let words =
            format!("closed, but the review is still owed; `{} review {}`", env!("CARGO_BIN_EXE_deploy-record"), start["seq"]);
        assert!(show(half, "table").contains(&words), "{}", show(half, "table"));
        let told: Value = serde_json::from_str(&show(half, "json")).expect("JSON");
        assert_eq!((&told["issue"]["state"], &told["issue"]["url"]), (&"closed".into(), &page(&server, 1).into()));
    }
    team.env.deploy_record(&["status"]).expect(0).shows("review owed");
    team.as_person("dana", &["review", &start["seq"].to_string(), "--note", "it is right"]).expect(0);
    assert!(!show(&end, "table").contains("still owed"));
    // silence where GitLab can't be asked
    inject(&server, Step::Api, Failure::HtmlError(503), usize::MAX);
    assert!(!show(&end, "table").contains("still owed"));
}

#[test]
fn a_missing_token_stops_what_is_gated_and_nothing_else() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    team.deploy("1.1", &GLASS).expect(0);
    let token = server.job_token().to_owned();
    for value in [None, Some(token.as_str())] {
        team.env.unset("DEPLOY_RECORD_TOKEN");
        value.iter().for_each(|value| team.env.set("DEPLOY_RECORD_TOKEN", value));
        for command in [
            &["check", "-e", "production"][..],
            &["start", "-e", "production"],
            &["run", "-e", "production", "--", "touch", "ran-1.2"],
        ] {
            let output = team.run(command);
            output.expect(2).says("emergency.follow_up.issue").says("DEPLOY_RECORD_TOKEN").says("the scope `api`");
        }
    }
    team.env.unset("DEPLOY_RECORD_TOKEN");
    assert!(!team.ran("1.2"));
    team.commit(&[("billing/tax.rs", "2")], "Again");
    team.run(&["record", "-e", "production", "--version", "1.2", "--status", "success"]).expect(0).says("no issue reminds");
    for command in [
        &["status"][..],
        &["log"],
        &["verify"],
        &["replay"],
        &["show", "1"],
        &["finish", "--record", "3", "--status", "success"],
    ] {
        let output = team.run(command);
        assert!(!output.stderr.contains("takes an access token, and"), "{command:?}: {}", output.stderr);
    }
    // at a laptop, nobody has to have one for that
    let laptop = Team::laptop(POLICY);
    laptop.deploy("1.0", &[]).expect(0);
}

#[test]
fn what_only_gitlab_tells_takes_a_token() {
    for (policy, key) in [
        (POLICY.replace("approval: {", "approval: { groups: [grp/ops],"), "approval.groups"),
        (POLICY.replace("approval: {", "approval: { minimum_access: maintainer,"), "approval.minimum_access"),
    ] {
        let policy = policy.replace("issue: true", "issue: false");
        let server = GitServer::http();
        let mut team = Team::job(&server, &policy);
        team.run(&["check", "-e", "production"]).expect(2).says(key).says("DEPLOY_RECORD_TOKEN").says("`read_api`");
        let token = server.gitlab(|gitlab| gitlab.access_token(DANA, &["read_api", "read_repository"]));
        team.env.set("DEPLOY_RECORD_TOKEN", &token);
        assert_ne!(team.run(&["check", "-e", "production"]).code, 2, "{key}");
        Team::laptop(&policy).run(&["check", "-e", "production"]).expect(2).says(key);
    }
    let labels = POLICY.replace("issue: true", "issue: false").replace("emergency: {", "emergency: { labels: [hotfix],");
    Team::laptop(&labels).run(&["check", "-e", "production"]).expect(2).says("labels").says("--token");
    let server = GitServer::http();
    assert_ne!(Team::job(&server, &labels).run(&["check", "-e", "production"]).code, 2, "a job's token reads them");
}
