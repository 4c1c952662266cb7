//! `approve --comment`: the approval as a comment that the gate takes.

use super::{ANN, CHEN, DANA, EVE, POLICY, merged, team};
use crate::gate::rig::{Team, on_terminal};
use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use serde_json::Value;

/// At somebody's own machine the project is known by its path.
const POST: Step = Step::ApiCall("POST /api/v4/projects/grp%2Fapp/merge_requests");
const REASON: &str = "looked at the tax change";

/// Somebody's own machine, with their own access token.
fn machine(team: &Team, server: &GitServer, person: &str, user: u64) -> TestEnv {
    let mut env = team.machine_of(person);
    let token = server.gitlab(|gitlab| {
        gitlab.member(user, 30);
        gitlab.access_token(user, &["api"])
    });
    env.set("DEPLOY_RECORD_TOKEN", &token);
    env
}

fn comment(env: &TestEnv, more: &[&str]) -> Output {
    let line = ["approve", "-e", "production", "--comment", "--reason", REASON, "--yes"];
    env.deploy_record(&[&line[..], more].concat())
}

fn bodies(server: &GitServer) -> Vec<(u64, u64, String)> {
    server.gitlab(|gitlab| {
        let written = gitlab.notes.iter().filter(|note| !note.system);
        written.map(|note| (note.merge_request, note.author, note.body.clone())).collect()
    })
}

#[test]
fn it_stands_in_the_newest_and_covers_the_others() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    for (iid, file) in [(120, "billing/tax.rs"), (121, "main.rs"), (123, "billing/vat.rs")] {
        merged(&mut team, &server, iid, file);
    }
    let chen = machine(&team, &server, "chen", CHEN);
    let shown = comment(&chen, &["--dry-run", "--follow-up", "dana looks at it"]);
    let text = format!("Deploy-Approval: production\nReason: {REASON}\nCovers: !120\nFollow-up: dana looks at it");
    assert_eq!(shown.expect(0).stdout.trim_end(), text);
    assert!(bodies(&server).is_empty());
    let posted = comment(&chen, &["--follow-up", "dana looks at it"]);
    posted.expect(0).says("a comment of `chen` on !123");
    assert_eq!(bodies(&server), [(123, CHEN, text)]);
    let note = server.gitlab(|gitlab| gitlab.notes.last().expect("a note").id);
    assert_eq!(posted.stdout.trim_end(), format!("{}/grp/app/-/merge_requests/123#note_{note}", server.url()));
    let allowed = team.check(0, &[]);
    assert_eq!(
        (&allowed["approval"]["note_id"], &allowed["approval"]["covers"]),
        (&note.into(), &serde_json::json!([123, 120]))
    );
    team.deploy("1.1", &[]).expect(0);
}

#[test]
fn it_can_name_the_merge_request() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    merged(&mut team, &server, 123, "billing/vat.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    comment(&chen, &["--merge-request", "121"]).expect(2).says("!121 is none of those that need an approval: !120, !123");
    let posted = comment(&chen, &["--merge-request", "120", "--format", "json"]);
    posted.expect(0).says("this approves !120 alone, and !123 need");
    let told: Value = serde_json::from_str(&posted.stdout).expect("JSON");
    assert_eq!(told[0]["merge_request"], 120);
    team.check(1, &[]);
    comment(&chen, &[]).expect(0);
    team.check(0, &[]);
}

#[test]
fn an_emergency_of_later_is_approved_where_it_is_named() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    comment(&chen, &[]).expect(2).says("asks for no approval").says("--merge-request");
    comment(&chen, &["--merge-request", "120"]).expect(0).says("is called an emergency");
    team.check(0, &["--emergency", "card payments fail"]);
    server.gitlab(|gitlab| gitlab.merge_request_mut(120).author = CHEN);
    comment(&chen, &["--merge-request", "120"]).expect(1).says("approval-by-author");
}

/// None of this may end the approval, cover more, or be done by GitLab.
#[test]
fn a_reason_says_nothing_else() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    merged(&mut team, &server, 123, "billing/vat.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    let hostile = ["fine\n\nnot fine", "a\n> b", "```\ncode", "x\nCovers: !999", "x\n/approve\n/close", "/approve", "<!-- x"];
    for reason in hostile {
        let line = ["approve", "-e", "production", "--comment", "--yes", "--reason", reason];
        chen.deploy_record(&line).expect(0);
        let (_, _, body) = bodies(&server).pop().expect("a comment");
        let flat = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(body, format!("Deploy-Approval: production\nReason: {flat}\nCovers: !120"));
        let allowed = team.check(0, &[]);
        assert_eq!(allowed["approval"]["covers"], serde_json::json!([123, 120]), "{reason:?}");
    }
    assert!(
        server.gitlab(|gitlab| gitlab.merge_requests.iter().all(|request| request.approvals.is_empty())),
        "no quick action"
    );
    // nor is a secret told
    let token = server.gitlab(|gitlab| gitlab.access_token(CHEN, &["api"]));
    let mut chen = chen;
    chen.set("DEPLOY_RECORD_TOKEN", &token);
    comment(&chen, &["--follow-up", &format!("use {token}")]).expect(0);
    assert!(bodies(&server).iter().all(|(_, _, body)| !body.contains(&token)));
}

#[test]
fn a_lost_answer_is_looked_for_and_nothing_is_posted_twice() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    // the same words, by oneself before and by somebody else, are not what was posted now
    let text = format!("Deploy-Approval: production\nReason: {REASON}");
    server.gitlab(|gitlab| (gitlab.note(120, CHEN, &text), gitlab.note(120, EVE, &text)));
    for failure in [Failure::CutAfter, Failure::StatusAfter(502), Failure::CutResponse] {
        let before = bodies(&server).len();
        server.inject(Fault { step: POST, failure: failure.clone(), times: 1 });
        let posted = comment(&chen, &[]);
        assert_eq!(bodies(&server).len(), before + 1, "{failure:?}");
        let met = server.api_requests().iter().filter(|request| request.failure == Some(failure.clone())).count();
        assert_eq!(met, 1, "{failure:?}");
        let note = server.gitlab(|gitlab| gitlab.notes.last().expect("a note").id);
        posted.expect(0).shows(&format!("/-/merge_requests/120#note_{note}"));
    }
    let before = bodies(&server).len();
    server.inject(Fault { step: POST, failure: Failure::CutBefore, times: 1 });
    comment(&chen, &[]).expect(3).says("it is not known whether the comment on !120 was posted").says("before you try again");
    assert_eq!(bodies(&server).len(), before);
}

#[test]
fn it_is_asked_for_on_a_terminal_and_nowhere_else() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    let line = ["approve", "-e", "production", "--comment", "--reason", "fine"];
    chen.deploy_record(&line).expect(2).says("--yes").says("--dry-run");
    chen.deploy_record(&["approve", "-e", "production", "--comment", "--yes"]).expect(2).says("--reason is missing");
    let line = "deploy-record approve -e production --comment";
    on_terminal(&chen, line, "seen it\nn\n").expect(1).shows("Deploy-Approval: production").shows("nothing was posted");
    assert!(bodies(&server).is_empty());
    on_terminal(&chen, line, "seen it\ny\n").expect(0).shows("#note_");
    assert_eq!(bodies(&server), [(120, CHEN, "Deploy-Approval: production\nReason: seen it".to_owned())]);
}

#[test]
fn what_could_not_count_is_not_posted() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let machines = [("eve", EVE, "approval-not-approver"), ("ann", ANN, "approval-not-approver")];
    for (person, user, code) in machines {
        comment(&machine(&team, &server, person, user), &[]).expect(1).says(code);
    }
    let chen = machine(&team, &server, "chen", CHEN);
    server.gitlab(|gitlab| gitlab.merge_request_mut(120).merge_user = Some(CHEN));
    comment(&chen, &[]).expect(1).says("approval-by-author").says("!120");
    server.gitlab(|gitlab| gitlab.merge_request_mut(120).merge_user = Some(EVE));
    server.gitlab(|gitlab| gitlab.user_mut(CHEN).bot = true);
    comment(&chen, &[]).expect(1).says("approval-by-bot");
    server.gitlab(|gitlab| gitlab.user_mut(CHEN).bot = false);
    // what was pushed directly no comment covers
    team.commit(&[("billing/direct.rs", "1")], "Straight to main");
    chen.git(&["pull", "--quiet"]);
    comment(&chen, &[]).expect(1).says("direct-push").says("without --comment");
    team.commit(&[(".deploy-record.yml", &POLICY.replace("approval: {", "approval: { accept: [signed],"))], "Signed only");
    chen.git(&["pull", "--quiet"]);
    comment(&chen, &[]).expect(1).says("approval-not-accepted");
    assert!(bodies(&server).is_empty());
}

#[test]
fn it_takes_the_persons_own_token() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let bare = team.machine_of("chen");
    comment(&bare, &[]).expect(2).says("DEPLOY_RECORD_TOKEN").says("scope `api`");
    comment(&team.env, &[]).expect(2).says("GitLab takes no comment by a job's token");
    let mut poor = bare;
    let token = server.gitlab(|gitlab| gitlab.access_token(CHEN, &["read_api", "read_repository"]));
    poor.set("DEPLOY_RECORD_TOKEN", &token);
    comment(&poor, &[]).expect(2).says("lacks a scope; make one with the scope `api`");
    assert!(bodies(&server).is_empty());
    for line in [&["--merge-request", "120"][..], &["--yes"], &["--comment", "--valid-for", "2 hours"]] {
        poor.deploy_record(&[&["approve", "-e", "production", "--reason", "x"][..], line].concat()).expect(2);
    }
}

#[test]
fn it_is_withdrawn_where_it_stands() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    merged(&mut team, &server, 123, "billing/vat.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    let withdraw = ["approve", "-e", "production", "--comment", "--withdraw", "--yes"];
    chen.deploy_record(&withdraw).expect(2).says("no comment of yours approves this for production (looked at !120, !123)");
    comment(&chen, &["--merge-request", "120"]).expect(0);
    server.gitlab(|gitlab| gitlab.note(123, DANA, "Deploy-Approval: production"));
    server.gitlab(|gitlab| gitlab.note(123, CHEN, "Deploy-Approval: staging"));
    team.check(0, &[]);
    chen.deploy_record(&withdraw).expect(0).shows("/-/merge_requests/120#note_");
    assert_eq!(bodies(&server).last(), Some(&(120, CHEN, "Deploy-Approval: withdrawn".to_owned())));
    team.check(1, &[]);
    chen.deploy_record(&withdraw).expect(2).says("no comment of yours");
}

#[test]
fn a_project_that_was_renamed_takes_it_all_the_same() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let chen = machine(&team, &server, "chen", CHEN);
    server.gitlab(|gitlab| {
        gitlab.project.former_paths.push("grp/app".to_owned());
        gitlab.project.path = "grp/renamed".to_owned();
    });
    comment(&chen, &[]).expect(0);
    assert_eq!(bodies(&server).len(), 1);
}
