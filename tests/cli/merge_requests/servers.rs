//! Servers that are old, down, slow or large, and tokens that may not read.

use super::{ANN, CHEN, EVE, NOTE, POLICY, merged, team};
use crate::gate::rig::{Team, codes};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use std::time::{Duration, Instant};

fn sensitive(server: &GitServer, policy: &str) -> Team {
    let mut team = team(server, policy);
    merged(&mut team, server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| gitlab.note(120, CHEN, NOTE));
    team
}

#[test]
fn an_old_gitlab_is_named_with_what_helps() {
    let server = GitServer::http();
    let mut team = sensitive(&server, POLICY);
    server.gitlab(|gitlab| gitlab.job_token_reads_merge_requests = false);
    team.env.set("CI_SERVER_VERSION", "17.5.1-ee");
    let refused = team.run(&["check", "-e", "production"]);
    refused.expect(1).shows("merge-requests-unknown").says("since about GitLab 18.4, and this one is 17.5.1-ee");
    refused.says("DEPLOY_RECORD_TOKEN").says("`read_api`");
    // an access token reads what the job's token may not
    let token = server.gitlab(|gitlab| {
        gitlab.member(CHEN, 30);
        gitlab.access_token(CHEN, &["read_api", "write_repository"])
    });
    team.env.set("DEPLOY_RECORD_TOKEN", &token);
    let record_log = team.run(&["check", "-e", "production", "-v"]);
    record_log.expect(0);
    assert!(!record_log.stderr.contains(&token), "{}", record_log.stderr);
    // one that has expired says so
    server.gitlab(|gitlab| gitlab.revoke(&token));
    team.run(&["check", "-e", "production"]).expect(3).says("wrong, expired, or missing");
}

#[test]
fn a_token_that_lacks_the_scope_is_told_which() {
    let server = GitServer::http();
    let mut team = sensitive(&server, POLICY);
    server.gitlab(|gitlab| gitlab.job_token_reads_merge_requests = false);
    let token = server.gitlab(|gitlab| {
        gitlab.member(CHEN, 30);
        gitlab.access_token(CHEN, &["write_repository"])
    });
    team.env.set("DEPLOY_RECORD_TOKEN", &token);
    team.run(&["check", "-e", "production"])
        .expect(1)
        .says("lacks a scope; make one with the scopes `read_api` and `write_repository`");
}

/// What stands between the client and GitLab's answer.
fn failures() -> Vec<Failure> {
    vec![
        Failure::HtmlError(502),
        Failure::Status(503, "{\"message\":\"503 Service Unavailable\"}".to_owned()),
        Failure::Garbage,
        Failure::CutBefore,
        Failure::CutResponse,
        Failure::Hang,
        Failure::Slow(Duration::from_secs(30)),
    ]
}

#[test]
fn a_gitlab_that_is_down_or_slow_is_waited_for_and_never_passed_over() {
    let server = GitServer::http();
    let mut team = sensitive(&server, POLICY);
    team.env.set("DEPLOY_RECORD_TIMEOUT", "6");
    for failure in failures() {
        for call in ["/merge_requests?", "/merge_requests/120/notes"] {
            server.inject(Fault { step: Step::ApiCall(call), failure: failure.clone(), times: usize::MAX });
            let begun = Instant::now();
            let check = team.run(&["check", "-e", "production"]);
            let took = begun.elapsed();
            server.clear_faults();
            check.expect(3).shows("gitlab-unreachable").says("`log_unreachable`");
            assert!(took < Duration::from_secs(15), "{failure:?} of {call}: {took:?}");
        }
    }
    team.check(0, &[]);
}

#[test]
fn what_goes_on_meanwhile_is_by_class() {
    let server = GitServer::http();
    let mut team = sensitive(&server, POLICY);
    server.gitlab(|gitlab| gitlab.notes.clear());
    server.inject(Fault { step: Step::Api, failure: Failure::HtmlError(503), times: usize::MAX });
    team.env.set("DEPLOY_RECORD_TIMEOUT", "8");
    team.deploy("1.1", &[]).expect(3).says("gitlab-unreachable");
    assert!(!team.ran("1.1"));
    team.next_job();
    team.deploy("1.1", &["--emergency", "payments fail"]).expect(0).says("approval-not-checked").says("review-due");
    let record = team.newest();
    assert_eq!(record["class"]["name"], "emergency");
    assert!(record["approval"].is_null() && record["follow_up"].is_object());
    assert!(codes(&record).contains(&"approval-not-checked"), "{record}");
    // a routine one goes on without a word
    team.commit(&[("main.rs", "5")], "Routine");
    team.deploy("1.2", &[]).expect(0);
    assert_eq!(team.newest()["class"]["name"], "routine");
}

#[test]
fn a_busy_gitlab_is_asked_again_as_it_says() {
    let server = GitServer::http();
    let team = sensitive(&server, POLICY);
    server.gitlab(|gitlab| (gitlab.rate_limit, gitlab.throttles) = (Some(2), 2));
    let begun = Instant::now();
    team.check(0, &[]);
    assert!(begun.elapsed() >= Duration::from_secs(2), "it did not wait as `Retry-After` says");
}

#[test]
fn whoever_asks_too_often_gets_through_nothing_by_that() {
    let server = GitServer::http();
    let mut team = sensitive(&server, POLICY);
    let failure = Failure::Status(429, "Retry later".to_owned());
    server.inject(Fault { step: Step::ApiCall("/notes"), failure, times: usize::MAX });
    for more in [&[][..], &["--emergency", "payments fail"]] {
        team.deploy("1.1", more).expect(1).says("approval-not-told").says("limits how often it may be asked");
    }
    assert!(!team.ran("1.1"));
    server.clear_faults();
    team.next_job();
    team.deploy("1.1", &[]).expect(0);
}

#[test]
fn a_token_of_somebody_who_may_not_see_the_project_is_told_what_it_takes() {
    let server = GitServer::http();
    let mut team = sensitive(&server, POLICY);
    let token = server.gitlab(|gitlab| {
        gitlab.member(CHEN, 30);
        gitlab.access_token(CHEN, &["read_api", "write_repository"])
    });
    team.env.set("DEPLOY_RECORD_TOKEN", &token);
    let failure = Failure::Status(404, "{\"message\":\"404 Project Not Found\"}".to_owned());
    server.inject(Fault { step: Step::ApiCall("/merge_requests"), failure, times: usize::MAX });
    let check = team.run(&["check", "-e", "production"]);
    check.expect(1).shows("merge-requests-unknown").says("must be a member of the project, with the role Reporter");
}

#[test]
fn a_renamed_project_is_followed_on_the_same_server_only() {
    let server = GitServer::http();
    let team = sensitive(&server, POLICY);
    let elsewhere = GitServer::http();
    for call in ["/merge_requests?", "/notes"] {
        let failure = Failure::RedirectTo(format!("{}/api/v4/projects/42/merge_requests", elsewhere.url()));
        server.inject(Fault { step: Step::ApiCall(call), failure, times: usize::MAX });
        let check = team.run(&["check", "-e", "production"]);
        check.expect(1).shows("redirects to");
        server.clear_faults();
    }
    assert!(elsewhere.api_requests().is_empty());
}

#[test]
fn thirty_merge_requests_with_two_thousand_comments_cost_few_requests() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    for iid in 101..=130 {
        merged(&mut team, &server, iid, &format!("billing/{iid}.rs"));
    }
    server.gitlab(|gitlab| {
        for number in 0..2000_u64 {
            let on = if number < 1000 { 101 } else { 101 + number % 30 };
            gitlab.note(on, [ANN, EVE][usize::try_from(number % 2).expect("0 or 1")], "What about the tests?");
        }
        let covers: Vec<_> = (101..130).map(|iid| format!("!{iid}")).collect();
        gitlab.note(130, CHEN, &format!("{NOTE}\nCovers: {}", covers.join(" ")));
    });
    let before = server.api_requests().len();
    let check = team.run(&["check", "-e", "production", "--format", "json", "-v"]);
    check.expect(0);
    let asked = server.api_requests().len() - before;
    let told: serde_json::Value = serde_json::from_str(&check.stdout).expect("JSON");
    assert_eq!(told["gitlab_requests"], asked);
    check.says(&format!("GitLab was asked {asked} times"));
    println!("30 merge requests with 2,000 comments: {asked} requests");
    // its job, deployments, the merged ones, and the pages of each one's comments
    assert!(asked <= 3 + 1 + 30 + 20, "{asked} requests");
}

#[test]
fn what_an_error_says_is_shown_without_its_secrets_and_with_gitlabs_number_for_it() {
    let server = GitServer::http();
    let team = sensitive(&server, POLICY);
    let body = format!("{{\"message\":\"{} is not welcome\u{1b}[31m {}\"}}", server.job_token(), "x".repeat(5000));
    server.inject(Fault { step: Step::ApiCall("/notes"), failure: Failure::Status(400, body), times: usize::MAX });
    let check = team.run(&["check", "-e", "production", "-v"]);
    let all = format!("{}{}", check.stdout, check.stderr);
    check.expect(1).shows("HTTP 400").shows("is not welcome").shows("[redacted:");
    assert!(!all.contains(server.job_token()) && !all.contains('\u{1b}') && !all.contains(&"x".repeat(300)), "{all}");
    let told = check.stderr.lines().find(|line| line.contains("/notes")).expect("a line for the request");
    assert!(told.contains("400 in ") && told.contains(", request "), "{told}");
}
