//! Ways by which somebody who may push, comment and start pipelines tries to get a sensitive change past the approvers.

use crate::gate::rig::{Team, codes};
use crate::merge_requests::{ANN, CHEN, DANA, EVE, NOTE, POLICY, merged, team};
use crate::support::git_server::{self, GitServer};
use serde_json::json;

/// Goes to a new branch from this place.
fn branch(team: &Team, name: &str, from: &str) {
    team.env.git(&["checkout", "--quiet", "-b", name, from]);
}

/// Merges into the branch at hand; what git does not take over by itself stays as it is.
fn merge(team: &Team, name: &str, more: &[&str]) {
    team.env.git(&[&["merge", "--quiet", "--no-ff", "-m", "Merge"], more, &[name]].concat());
}

fn head(team: &Team) -> String {
    team.env.git(&["rev-parse", "HEAD"])
}

/// `main` is put at the branch at hand, as a fast-forward merge of !131 does.
fn fast_forward(team: &mut Team, server: &GitServer) -> String {
    let sha = head(team);
    team.env.git(&["checkout", "--quiet", "-B", "main"]);
    server.gitlab(|gitlab| {
        gitlab.merge_request(131, ANN).sha = sha.clone();
        gitlab.merge(131, EVE, &sha);
        gitlab.merge_request_mut(131).merge_commit_sha = None;
    });
    team.push()
}

#[test]
fn a_branch_that_merged_main_does_not_hide_what_main_got_before() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let base = head(&team);
    merged(&mut team, &server, 120, "billing/tax.rs");
    branch(&team, "docs", &base);
    team.commit(&[("README.md", "1")], "Words");
    merge(&team, "main", &[]);
    // of !131, GitLab shows the words alone
    fast_forward(&mut team, &server);
    server.gitlab(|gitlab| gitlab.note(131, CHEN, NOTE));
    let found = team.check(1, &[]);
    assert!(codes(&found).contains(&"approval-missing"), "{found}");
}

#[test]
fn a_merge_that_brings_more_than_its_merge_request_is_not_covered_by_it() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let base = head(&team);
    branch(&team, "change-120", &base);
    let approved = team.commit(&[("billing/tax.rs", "120")], "Change 120");
    server.gitlab(|gitlab| {
        gitlab.merge_request(120, ANN).sha = approved;
        gitlab.note(120, CHEN, NOTE);
    });
    branch(&team, "more", "change-120");
    team.commit(&[("billing/vat.rs", "666")], "More");
    team.env.git(&["checkout", "--quiet", "main"]);
    merge(&team, "more", &[]);
    // GitLab finds that !120 was merged by hand, by this commit
    let sha = team.push();
    server.gitlab(|gitlab| gitlab.merge(120, EVE, &sha));
    let found = team.check(1, &[]);
    assert!(codes(&found).contains(&"direct-push"), "{found}");
}

#[test]
fn a_merge_that_changes_more_than_it_merges_is_not_covered() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    branch(&team, "change-120", "main");
    let approved = team.commit(&[("billing/tax.rs", "120")], "Change 120");
    server.gitlab(|gitlab| {
        gitlab.merge_request(120, ANN).sha = approved;
        gitlab.note(120, CHEN, NOTE);
    });
    team.env.git(&["checkout", "--quiet", "main"]);
    team.env.git(&["merge", "--quiet", "--no-ff", "--no-commit", "change-120"]);
    let sha = team.commit(&[("billing/vat.rs", "666")], "Merge");
    server.gitlab(|gitlab| gitlab.merge(120, EVE, &sha));
    let found = team.check(1, &[]);
    assert!(codes(&found).contains(&"direct-push"), "{found}");
}

/// Lines that are far enough from one another to be merged by themselves.
fn lines(changed: &[usize]) -> String {
    (0..40).map(|line| format!("let tax_{line} = {};\n", if changed.contains(&line) { 2 } else { 1 })).collect()
}

#[test]
fn what_git_merges_by_itself_is_covered() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    team.commit(&[("billing/tax.rs", &lines(&[]))], "Tax");
    team.approve_as("chen", &[]).expect(0);
    team.deploy("1.1", &[]).expect(0);
    for (iid, line) in [(120, 3), (121, 30)] {
        branch(&team, &format!("change-{iid}"), "main");
        let sha = team.commit(&[("billing/tax.rs", &lines(&[line]))], "A line");
        server.gitlab(|gitlab| gitlab.merge_request(iid, ANN).sha = sha);
        team.env.git(&["checkout", "--quiet", "main"]);
    }
    // a third one gives the file another name
    branch(&team, "change-122", "main");
    team.env.git(&["mv", "billing/tax.rs", "billing/vat.rs"]);
    let sha = team.commit(&[], "Another name");
    server.gitlab(|gitlab| gitlab.merge_request(122, ANN).sha = sha);
    for iid in [120, 122, 121] {
        crate::merge_requests::merge(&mut team, &server, iid);
        server.gitlab(|gitlab| gitlab.note(iid, CHEN, NOTE));
    }
    team.check(0, &[]);
}

#[test]
fn what_is_undone_on_the_way_is_accounted_for_beside_what_is_approved() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let base = head(&team);
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| gitlab.note(120, CHEN, NOTE));
    team.deploy("1.1", &[]).expect(0);
    // a branch from before goes on without what runs there now; its merge request into `main` shows nothing of it
    branch(&team, "docs", &base);
    merged_from(&mut team, &server, 121, "billing/vat.rs", "docs");
    server.gitlab(|gitlab| gitlab.note(121, CHEN, NOTE));
    team.env.git(&["checkout", "--quiet", "docs"]);
    merge(&team, "main", &["--strategy", "ours"]);
    fast_forward(&mut team, &server);
    assert!(!team.env.path().join("billing/tax.rs").exists());
    let found = team.check(1, &[]);
    assert!(found.to_string().contains("!131"), "{found}");
}

/// As [`merged`], into another branch.
fn merged_from(team: &mut Team, server: &GitServer, iid: u64, file: &str, target: &str) {
    branch(team, &format!("change-{iid}"), target);
    let sha = team.commit(&[(file, &format!("{iid}"))], &format!("Change {iid}"));
    team.env.git(&["checkout", "--quiet", target]);
    merge(team, &format!("change-{iid}"), &[]);
    let merge = team.push();
    server.gitlab(|gitlab| {
        let request = gitlab.merge_request(iid, ANN);
        (request.sha, request.target_branch) = (sha, target.to_owned());
        gitlab.merge(iid, EVE, &merge);
    });
}

#[test]
fn a_small_diff_against_another_branch_stands_for_nothing_more() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    branch(&team, "mine", "main");
    team.commit(&[("billing/tax.rs", "666")], "Mine");
    branch(&team, "words", "main");
    merge(&team, "mine", &[]);
    let sha = team.commit(&[("README.md", "1")], "Words");
    // the first is into `mine`, where all but the words is already; the other one would show everything
    server.gitlab(|gitlab| {
        let request = gitlab.merge_request(140, ANN);
        (request.sha, request.target_branch) = (sha.clone(), "mine".to_owned());
        gitlab.note(140, CHEN, NOTE);
    });
    let found = team.check(1, &[]);
    assert!(codes(&found).contains(&"direct-push"), "{found}");
    // and the same with the merge itself as the newest commit
    branch(&team, "words-2", "HEAD~1");
    let sha = team.push();
    server.gitlab(|gitlab| gitlab.merge_request_mut(140).sha = sha);
    let found = team.check(1, &[]);
    assert!(codes(&found).contains(&"direct-push"), "{found}");
}

#[test]
fn a_job_that_deploys_does_not_say_that_it_does_not() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let (sha, job) = (head(&team), team.job_number());
    server.gitlab(|gitlab| gitlab.deployment("production", &sha, job, ANN, "running"));
    team.env.set("CI_ENVIRONMENT_NAME", "production");
    for action in ["stop", "verify", "x"] {
        team.env.set("CI_ENVIRONMENT_ACTION", action);
        for command in [&["run", "--", "touch", "ran-x"][..], &["check"], &["start"]] {
            team.run(command).expect(2).says("ci-contradiction");
        }
    }
    assert!(!team.ran("x"));
}

#[test]
fn an_environment_is_found_among_many_deployments() {
    let server = GitServer::http();
    let policy = POLICY.replace("sensitive:", "  staging: { approval_for: never }\nsensitive:");
    let mut team = team(&server, &policy);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let (sha, job) = (head(&team), team.job_number());
    server.gitlab(|gitlab| {
        gitlab.deployment("production", &sha, job, ANN, "running");
        for other in 0..40 {
            gitlab.deployment("review/mine", &sha, 7000 + other, ANN, "running");
        }
    });
    team.env.set("CI_ENVIRONMENT_NAME", "staging");
    team.run(&["run", "--", "touch", "ran-x"]).expect(2).says("deploys to `production`");
    assert!(!team.ran("x"));
}

/// What GitLab says of the job at hand, for a branch.
fn job(team: &Team, branch: &str) -> serde_json::Value {
    let mut job = git_server::job(&head(team));
    job["id"] = json!(team.job_number());
    job["ref"] = json!(branch);
    job["web_url"] = json!(format!("https://gitlab.example/grp/app/-/jobs/{}", team.job_number()));
    job
}

#[test]
fn a_branch_that_is_left_unsaid_is_the_one_that_gitlab_names() {
    let server = GitServer::http();
    let policy = format!("{POLICY}emergency: {{ branches: [\"hotfix/*\"] }}\n");
    let mut team = team(&server, &policy);
    branch(&team, "hotfix/mine", "main");
    team.commit(&[("main.rs", "2")], "Mine");
    server.set_job(job(&team, "hotfix/mine"));
    assert_eq!(team.check(1, &[])["class"]["name"], "emergency");
    // the runner's checkout has no branch
    team.env.git(&["checkout", "--quiet", "--detach"]);
    team.env.git(&["branch", "--quiet", "-D", "hotfix/mine"]);
    team.env.set("CI_COMMIT_BRANCH", "");
    let output = team.run(&["check", "-e", "production", "--format", "json"]);
    assert!(output.code == 2 || output.stdout.contains("\"emergency\""), "{}", output.stdout);
}

#[test]
fn a_branch_that_is_left_unsaid_is_not_protected_by_a_variable() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    server.gitlab(|gitlab| gitlab.project.unprotected.push("main".to_owned()));
    server.set_job(job(&team, "main"));
    team.deploy("1.1", &[]).expect(2).says("not protected");
    team.env.set("CI_COMMIT_BRANCH", "");
    team.deploy("1.1", &[]).expect(2);
    assert!(!team.ran("1.1"));
}

#[test]
fn the_jobs_name_and_page_are_those_that_gitlab_has() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    server.set_job(job(&team, "main"));
    team.env.set("CI_JOB_NAME", "mine");
    let output = team.deploy("1.1", &[]);
    assert!(output.code == 2 || team.newest()["job"]["name"] == "deploy", "{}", team.newest());
    team.env.set("CI_JOB_NAME", "deploy");
    team.env.set("CI_JOB_URL", "https://evil.example/grp/app/-/jobs/302");
    team.next_job();
    server.set_job(job(&team, "main"));
    merged(&mut team, &server, 121, "billing/tax.rs");
    server.set_job(job(&team, "main"));
    let output = team.run(&["check", "-e", "production"]);
    assert!(!output.stderr.contains("evil.example"), "{}", output.stderr);
}

#[test]
fn every_approval_that_counted_is_looked_at_again() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    merged(&mut team, &server, 121, "billing/vat.rs");
    let first = server.gitlab(|gitlab| {
        let first = gitlab.note(120, CHEN, NOTE);
        gitlab.note(121, DANA, NOTE);
        first
    });
    team.run(&["start", "-e", "production", "--version", "1.1"]).expect(0);
    server.gitlab(|gitlab| gitlab.delete_note(first));
    team.run(&["finish", "-e", "production", "--status", "success"]).expect(0);
    assert!(codes(&team.newest()).contains(&"approval-gone"), "{}", team.newest());
}

#[test]
fn what_a_comment_says_does_nothing_to_a_terminal() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| {
        gitlab.note(120, EVE, "Deploy-Approval: \u{1b}[31mproduction\u{202e}\u{7}");
        gitlab.note(120, EVE, "Deploy-Approval: production\nService: \u{1b}]0;x\u{7}");
        gitlab.note(120, CHEN, "Deploy-Approval: production\nReason: \u{1b}[2Jx\nFollow-up: \u{1b}[2J");
        gitlab.merge_request_mut(120).title = "\u{1b}[31m".to_owned();
    });
    for format in ["table", "json", "markdown"] {
        let output = team.run(&["check", "-e", "production", "-v", "--format", format]);
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(!all.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{all:?}");
    }
}

#[test]
fn strangers_do_not_crowd_out_the_approver() {
    let server = GitServer::http();
    let policy = POLICY.replace("approvers: [dana, chen]", "approvers: [dana, chen], minimum_access: developer");
    let mut team = Team::job(&server, &policy);
    let token = server.gitlab(|gitlab| {
        gitlab.member(CHEN, 30);
        gitlab.access_token(CHEN, &["read_api", "write_repository"])
    });
    team.env.set("DEPLOY_RECORD_TOKEN", &token);
    team.deploy("1.0", &[]).expect(0);
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| {
        for number in 0..25 {
            gitlab.user(100 + number, &format!("a{number}"));
            gitlab.note(120, 100 + number, NOTE);
        }
        gitlab.note(120, CHEN, NOTE);
    });
    team.check(0, &[]);
}

#[test]
fn many_merge_requests_of_one_commit_stop_nobody() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let direct = team.commit(&[("billing/vat.rs", "1")], "Straight to main");
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| {
        for iid in 1000..1101 {
            gitlab.merge_request(iid, ANN).commits.push(direct.clone());
        }
    });
    // what can't be told of one commit is said of that one
    let found = team.check(1, &[]);
    assert!(codes(&found).contains(&"direct-push"), "{found}");
}

/// The checkout knows nothing before its newest commit, as with GIT_DEPTH 1.
fn make_shallow(team: &Team) {
    std::fs::write(team.env.path().join(".git/shallow"), format!("{}\n", head(team))).expect("written");
}

#[test]
fn a_long_branch_is_read_to_its_beginning_from_a_shallow_clone() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    branch(&team, "change-120", "main");
    for number in 0..70 {
        team.env.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("Step {number}")]);
    }
    let sha = team.commit(&[("billing/tax.rs", "120")], "Change 120");
    server.gitlab(|gitlab| gitlab.merge_request(120, ANN).sha = sha);
    crate::merge_requests::merge(&mut team, &server, 120);
    server.gitlab(|gitlab| gitlab.note(120, CHEN, NOTE));
    make_shallow(&team);
    team.check(0, &[]);
}

#[test]
fn the_first_deployment_of_a_shallow_clone_is_approved_by_a_comment() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    make_shallow(&team);
    server.gitlab(|gitlab| gitlab.note(120, CHEN, NOTE));
    team.check(0, &[]);
}

#[test]
fn a_merge_request_that_is_closed_or_not_yet_merged_stands_for_no_direct_push() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let sha = team.commit(&[("billing/tax.rs", "1")], "Straight to main");
    server.gitlab(|gitlab| {
        let request = gitlab.merge_request(120, ANN);
        (request.sha, request.state) = (sha.clone(), "closed".to_owned());
        gitlab.note(120, CHEN, NOTE);
    });
    assert!(codes(&team.check(1, &[])).contains(&"direct-push"));
    // of an open one, GitLab names the commit by which it tried whether it can be merged
    server.gitlab(|gitlab| {
        let request = gitlab.merge_request_mut(120);
        (request.sha, request.state) = ("1".repeat(40), "opened".to_owned());
        request.merge_commit_sha = Some(sha.clone());
    });
    assert!(codes(&team.check(1, &[])).contains(&"direct-push"));
    server.gitlab(|gitlab| gitlab.merge_request_mut(120).sha = sha);
    team.check(0, &[]);
}

#[test]
fn of_two_merge_requests_with_one_commit_the_one_into_the_branch_counts() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    let sha = team.commit(&[("billing/tax.rs", "1")], "By both");
    server.gitlab(|gitlab| {
        for (iid, target) in [(120, "mine"), (121, "main")] {
            let request = gitlab.merge_request(iid, ANN);
            (request.sha, request.target_branch) = (sha.clone(), target.to_owned());
            gitlab.merge(iid, EVE, &sha);
        }
        gitlab.note(120, CHEN, NOTE);
    });
    team.check(1, &[]);
    server.gitlab(|gitlab| gitlab.note(121, CHEN, NOTE));
    assert_eq!(team.check(0, &[])["approval"]["covers"], json!([121]));
}

#[test]
fn a_record_job_names_nobody_for_what_has_not_begun_or_is_of_another_commit() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    let (sha, before) = (head(&team), team.env.git(&["rev-parse", "HEAD~1"]));
    server.gitlab(|gitlab| {
        gitlab.deployment("production", &before, 700, DANA, "success");
        gitlab.deployment("production", &sha, 701, DANA, "created");
        gitlab.deployment("production", &sha, 702, DANA, "blocked");
    });
    team.next_job();
    team.run(&["record", "-e", "production", "--version", "1.1", "--status", "success"]).expect(0);
    assert_eq!(team.newest()["actor"]["login"], "ann");
}
