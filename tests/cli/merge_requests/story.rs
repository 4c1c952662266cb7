//! A comment lets a deployment through.

use super::{ANN, CHEN, DANA, EVE, NOTE, POLICY, merge, merged, team};
use crate::gate::rig::codes;
use crate::support::git_server::{GitServer, Gitlab};
use serde_json::json;

#[test]
fn the_approvers_comment_is_the_approval() {
    let server = GitServer::https();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let refused = team.deploy("1.1", &[]);
    refused.expect(1).says("approval-missing").says("!120").says("Deploy-Approval: production").says("dana or chen");
    assert!(!team.ran("1.1"));
    let note = server.gitlab(|gitlab| gitlab.note(120, CHEN, &format!("{NOTE}\nFollow-up: dana looks at it")));
    team.next_job();
    team.deploy("1.1", &[]).expect(0);
    assert!(team.ran("1.1"));
    let record = team.newest();
    let approval = &record["approval"];
    assert_eq!(approval["source"], "merge-request-note");
    assert_eq!((&approval["approver"]["login"], &approval["approver"]["id"]), (&json!("chen"), &json!(8)));
    assert_eq!((&approval["note_id"], &approval["covers"]), (&json!(note), &json!([120])));
    let page = format!("{}/grp/app/-/merge_requests/120#note_{note}", server.url());
    assert_eq!(approval["url"], json!(page));
    assert!(approval["note"].as_str().expect("its text").contains("with eve"));
    assert_eq!(record["provenance"]["approval"], "fetched");
    let request = &record["changes"]["merge_requests"][0];
    let people = ["author", "merged_by"].map(|role| request[role]["login"].as_str());
    assert_eq!((request["iid"].as_u64(), people), (Some(120), [Some("ann"), Some("eve")]));
    assert_eq!(request["approved_by"][0]["login"], "chen");
    team.env.deploy_record(&["verify"]).expect(0);
    team.env.deploy_record(&["show", &record["seq"].to_string()]).expect(0).shows("chen").shows("!120");
}

#[test]
fn gitlabs_own_approval_counts_until_it_is_taken_back() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| gitlab.approve(120, CHEN));
    assert_eq!(team.check(0, &[])["approval"]["source"], "merge-request-approval");
    server.gitlab(|gitlab| gitlab.unapprove(120, CHEN));
    assert!(codes(&team.check(1, &[])).contains(&"approval-withdrawn"));
    server.gitlab(|gitlab| gitlab.approve(120, CHEN));
    team.deploy("1.1", &[]).expect(0);
    assert_eq!(team.newest()["approval"]["approver"]["login"], "chen");
}

#[test]
fn each_sensitive_merge_request_needs_one_and_one_may_cover_all() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    merged(&mut team, &server, 121, "main.rs");
    merged(&mut team, &server, 123, "billing/vat.rs");
    server.gitlab(|gitlab| gitlab.note(123, CHEN, NOTE));
    let refused = team.check(1, &[]);
    assert!(codes(&refused).contains(&"approval-not-covering"), "{refused}");
    // on each of them
    let own = server.gitlab(|gitlab| gitlab.note(120, DANA, NOTE));
    let allowed = team.check(0, &[]);
    assert_eq!((&allowed["approval"]["note_id"], &allowed["approval"]["covers"]), (&json!(own), &json!([120])));
    server.gitlab(|gitlab| gitlab.delete_note(own));
    team.check(1, &[]);
    // one in the newest that names the other
    let all = server.gitlab(|gitlab| gitlab.note(123, CHEN, &format!("{NOTE}\nCovers: !120")));
    let allowed = team.check(0, &[]);
    assert_eq!((&allowed["approval"]["note_id"], &allowed["approval"]["covers"]), (&json!(all), &json!([123, 120])));
    team.deploy("1.1", &[]).expect(0);
    let record = team.newest();
    let requests = record["changes"]["merge_requests"].as_array().expect("requests");
    let approved: Vec<_> =
        requests.iter().map(|request| (request["iid"].as_u64(), request["approved_by"].is_array())).collect();
    assert_eq!(approved, [(Some(120), true), (Some(121), false), (Some(123), true)]);
}

#[test]
fn squashed_and_fast_forwarded_merge_requests_are_found() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let squashed = team.commit(&[("billing/a.rs", "1")], "Squashed");
    let first = team.commit(&[("billing/b.rs", "1")], "One of two");
    let second = team.commit(&[("billing/c.rs", "1")], "Two of two");
    server.gitlab(|gitlab| {
        gitlab.merge_request(130, ANN);
        gitlab.merge(130, EVE, &squashed);
        let request = gitlab.merge_request_mut(130);
        (request.squash_commit_sha, request.merge_commit_sha) = (Some(squashed.clone()), None);
        let request = gitlab.merge_request(131, ANN);
        (request.sha, request.commits) = (second.clone(), vec![first]);
        gitlab.merge(131, EVE, &second);
        gitlab.merge_request_mut(131).merge_commit_sha = None;
        gitlab.note(130, CHEN, NOTE);
    });
    let refused = team.check(1, &[]);
    assert!(refused.to_string().contains("!131") && !codes(&refused).contains(&"direct-push"), "{refused}");
    server.gitlab(|gitlab| gitlab.note(131, CHEN, NOTE));
    team.check(0, &[]);
}

#[test]
fn the_branch_of_an_open_merge_request_is_deployed_in_an_emergency() {
    let server = GitServer::http();
    let policy = format!("{POLICY}emergency: {{ direct_push: true }}\n");
    let mut team = team(&server, POLICY);
    let rule = team.commit(&[(".deploy-record.yml", &policy)], "Direct pushes are emergencies");
    server.gitlab(|gitlab| {
        gitlab.merge_request(139, ANN);
        gitlab.merge(139, EVE, &rule);
    });
    team.env.git(&["checkout", "--quiet", "-b", "change-140"]);
    let head = team.commit(&[("main.rs", "2")], "Mend it");
    server.gitlab(|gitlab| gitlab.merge_request(140, ANN).sha = head.clone());
    let refused = team.check(1, &[]);
    assert_eq!(refused["class"]["name"], "emergency", "{refused}");
    server.gitlab(|gitlab| gitlab.note(140, CHEN, NOTE));
    team.check(0, &[]);
    // what is pushed after the approval is not what was approved
    let newer = team.commit(&[("main.rs", "3")], "Mend it better");
    server.gitlab(|gitlab| gitlab.push(140, ANN, &newer));
    assert!(codes(&team.check(1, &[])).contains(&"approval-outdated"));
    // and the older commit stands for nothing any more
    team.back_to(&head);
    team.env.set("CI_COMMIT_BRANCH", "change-140");
    assert!(codes(&team.check(1, &[])).contains(&"direct-push"));
    // merged, it is no emergency any more, and the approval of before the merge still counts for nothing
    server.gitlab(|gitlab| gitlab.note(140, CHEN, NOTE));
    merge(&mut team, &server, 140);
    assert_eq!(team.check(0, &[])["class"]["name"], "routine");
}

#[test]
fn labels_make_it_sensitive_or_an_emergency() {
    let server = GitServer::http();
    let policy =
        POLICY.replace("approval:", "  permissions: { labels: [security] }\nemergency: { labels: [hotfix] }\napproval:");
    let mut team = team(&server, &policy);
    merged(&mut team, &server, 120, "main.rs");
    let class = |label: &str| {
        server.gitlab(|gitlab| gitlab.merge_request_mut(120).labels = vec![label.to_owned()]);
        let output = team.run(&["check", "-e", "production", "--format", "json"]);
        let decision: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        (output.code, decision["class"]["name"].as_str().expect("a class").to_owned(), decision["class"].to_string())
    };
    assert_eq!(class("docs").0, 0);
    let (code, name, because) = class("security");
    assert!((code, name.as_str()) == (1, "sensitive") && because.contains("permissions: label security (!120)"), "{because}");
    let (code, name, because) = class("hotfix");
    assert!((code, name.as_str()) == (1, "emergency") && because.contains("label hotfix (!120)"), "{because}");
    server.gitlab(|gitlab| gitlab.note(120, CHEN, NOTE));
    assert_eq!(class("hotfix").0, 0);
    // what can't be told is not taken for harmless
    server.gitlab(|gitlab| gitlab.job_token_reads_merge_requests = false);
    let (code, name, because) = class("docs");
    assert!((code, name.as_str()) == (1, "sensitive") && because.contains("can't be told"), "{because}");
}

/// What happens to the comment, the finding that it comes to, and how it is made.
type Case = (&'static str, &'static str, fn(&mut Gitlab, u64));

#[test]
fn an_approval_that_changes_while_the_deployment_runs_is_on_record() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let cases: [Case; 4] = [
        ("untouched", "", |_, _| {}),
        ("edited", "approval-edited", |gitlab, note| {
            gitlab.edit_note(note, "Deploy-Approval: production\nReason: another one");
        }),
        ("withdrawn", "approval-withdrawn", |gitlab, _| {
            gitlab.note(gitlab.merge_requests.last().expect("one").iid, CHEN, "Deploy-Approval: withdrawn");
        }),
        ("deleted", "approval-gone", |gitlab, note| gitlab.delete_note(note)),
    ];
    for (at, (what, code, change)) in cases.into_iter().enumerate() {
        let iid = 120 + at as u64;
        merged(&mut team, &server, iid, &format!("billing/{what}.rs"));
        let note = server.gitlab(|gitlab| gitlab.note(iid, CHEN, NOTE));
        team.run(&["start", "-e", "production", "--version", what]).expect(0);
        server.gitlab(|gitlab| change(gitlab, note));
        let end = team.run(&["finish", "-e", "production", "--status", "success"]);
        end.expect(0);
        let record = team.newest();
        assert_eq!(codes(&record), if code.is_empty() { vec![] } else { vec![code] }, "{what}: {}", end.stderr);
        assert_eq!(end.stderr.contains("does not stand any more"), !code.is_empty(), "{what}");
    }
}
