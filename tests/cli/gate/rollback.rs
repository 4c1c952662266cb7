//! Putting back what ran before is stopped by nothing; going forward again is.

use super::rig::{POLICY, Team, codes, down, on_terminal, printed};
use crate::support::env::TestEnv;
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use chrono::{Days, Utc};
use serde_json::Value;

/// With holds, and a freeze that is on.
fn policy(is_frozen: bool) -> String {
    let day = |days| Utc::now().date_naive() - Days::new(1) + Days::new(days);
    let freeze = if is_frozen { format!("freeze: [{{ from: {}, to: {} }}]\n", day(0), day(3)) } else { String::new() };
    format!("{POLICY}rollback: {{ hold: true }}\n{freeze}")
}

/// 1.4.2, which changed billing, runs after 1.4.0 and 1.4.1, while there is a hold; their commits.
fn bad_release(team: &mut Team) -> [String; 3] {
    let shas = [("1.4.0", "main.rs"), ("1.4.1", "lib.rs"), ("1.4.2", "billing/tax.rs")].map(|(version, file)| {
        let sha = team.commit(&[(file, version)], version);
        record(team, version, &sha);
        if version == "1.4.1" {
            let before = team.env.git(&["rev-parse", "HEAD~1"]);
            team.run(&[
                "record",
                "-e",
                "production",
                "--version",
                "1.4.0",
                "--commit",
                &before,
                "--status",
                "success",
                "--reason",
                "x",
            ])
            .expect(0)
            .shows("rollback");
        }
        sha
    });
    team.run(&["status"]).expect(0).shows("1.4.2").shows("hold");
    shas
}

/// What has happened, whatever the gate would have said.
fn record(team: &Team, version: &str, sha: &str) {
    team.run(&["record", "-e", "production", "--version", version, "--commit", sha, "--status", "success"]).expect(0);
}

/// The start of the newest rollback: that its reason is owed, and then is not any more.
fn owed_and_given(team: &Team, version: &str) -> Value {
    let rollback = team.records().into_iter().rfind(|record| record["kind"] == "rollback").expect("a rollback");
    assert_eq!((&rollback["version"], &rollback["rollback"]["reason_missing"]), (&version.into(), &true.into()));
    let seq = rollback["seq"].to_string();
    let dana = team.machine_of("dana");
    let is_owed =
        || dana.deploy_record(&["status"]).expect(0).stdout.contains(&format!("reason missing: rollback to {version}"));
    assert!(is_owed(), "{}", dana.deploy_record(&["status"]).stdout);
    dana.deploy_record(&["annotate", &seq, "--reason", "card payments failed"]).expect(0);
    assert!(!is_owed());
    dana.deploy_record(&["verify"]).expect(0).shows("0 errors");
    rollback
}

#[test]
fn with_the_log_at_hand_it_goes_over_a_hold_a_freeze_and_what_is_sensitive() {
    let server = GitServer::http();
    let mut team = Team::job(&server, &policy(true));
    let [_, good, _] = bad_release(&mut team);
    team.back_to(&good);
    assert_eq!(team.check(0, &[])["direction"], "back");
    let run = team.deploy("1.4.1", &[]);
    run.expect(0).says("rollback: 1.4.1 went well there before").says("hold: ").says("freeze: ");
    run.says("reason-missing: the reason of the rollback is owed");
    assert!(team.ran("1.4.1"));
    let rollback = owed_and_given(&team, "1.4.1");
    assert_eq!(
        (&rollback["rollback"]["from"]["version"], &rollback["rollback"]["to"]["version"]),
        (&"1.4.2".into(), &"1.4.1".into())
    );
    assert_eq!((&rollback["class"]["name"], &rollback["rollback"]["hold"]), (&"sensitive".into(), &true.into()));
    assert!(["hold", "freeze"].iter().all(|code| codes(&rollback).contains(code)), "{rollback:#}");
    assert!(rollback["approval"].is_null() && rollback["break_glass"].is_null() && rollback["overrides"].is_null());
}

#[test]
fn with_the_log_out_of_reach_and_a_copy_of_it_it_goes_at_once() {
    let server = GitServer::http();
    let mut team = Team::job(&server, &policy(true));
    let [_, good, bad] = bad_release(&mut team);
    let ann = team.machine_of("ann");
    ann.deploy_record(&["status"]).expect(0);
    ann.git(&["checkout", "--quiet", &good]);
    down(&server);
    let run = deploy(&ann, "1.4.1", "touch ran; exit 7");
    run.expect(7).says("rollback: 1.4.1 went well there before").says("reason-missing").says("SPOOLED");
    run.says("going on, since this puts back what ran before");
    assert!(ann.path().join("ran").exists());
    // what goes forward stops: with the copy, it is known what runs, but not who approved it
    ann.git(&["checkout", "--quiet", &bad]);
    ann.commit("Something new");
    deploy(&ann, "1.4.3", "touch ran-new").expect(1).says("(log-unreachable)").says("(freeze)");
    assert!(!ann.path().join("ran-new").exists());
    server.clear_faults();
    ann.deploy_record(&["replay"]).expect(0).shows("record");
    let rollback = owed_and_given(&team, "1.4.1");
    assert_eq!((&rollback["status"], &rollback["rollback"]["to"]["version"]), (&"failed".into(), &"1.4.1".into()));
}

fn deploy(env: &TestEnv, version: &str, script: &str) -> crate::support::env::Output {
    env.deploy_record(&["run", "-e", "production", "--version", version, "--timeout", "2", "--", "sh", "-c", script])
}

#[test]
fn in_a_job_without_a_copy_an_older_commit_goes_at_once_and_is_looked_at_later() {
    let server = GitServer::http();
    let mut team = Team::job(&server, &policy(true));
    let [_, good, bad] = bad_release(&mut team);
    team.back_to(&good);
    // the runner fetched the branch; GitLab's Rollback button then runs the old job, on the old commit
    team.env.git(&["update-ref", "refs/remotes/origin/main", &bad]);
    team.cut_off(&server);
    let run = team.deploy("1.4.1", &[]);
    run.expect(0).says("rollback-not-proven").says("reason-missing").says("review-due").says("SPOOLED");
    assert!(team.ran("1.4.1"));
    team.back_to(&bad);
    team.deploy("1.4.2", &[]).expect(1).says("(log-unreachable)").says("(freeze)");
    assert!(!team.ran("1.4.2"));
    team.reconnect(&server);
    team.run(&["replay"]).expect(0);
    team.run(&["status"]).expect(0).shows("review owed: 1.4.1");
    let rollback = owed_and_given(&team, "1.4.1");
    assert!(codes(&rollback).contains(&"rollback-not-proven") && codes(&rollback).contains(&"log-unreachable"));
    assert_eq!(rollback["late"]["signer"], "ci:main");
}

#[test]
fn a_log_that_refuses_stops_what_goes_forward_and_no_rollback() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    let shas = ["1", "2"].map(|version| {
        let sha = team.commit(&[("main.rs", version)], version);
        record(&team, version, &sha);
        sha
    });
    let refuse = Failure::Decline("GitLab: You are not allowed to push code to protected branches on this project.".to_owned());
    server.inject(Fault { step: Step::Push, failure: refuse, times: usize::MAX });
    team.commit_here("Another");
    team.env.set("DEPLOY_RECORD_TIMEOUT", "5");
    team.deploy("3", &[]).expect(3);
    team.back_to(&shas[0]);
    team.env.git(&["update-ref", "refs/remotes/origin/main", &shas[1]]);
    team.deploy("1", &[]).expect(0).says("SPOOLED").says("reason-missing");
    assert!(team.ran("1") && !team.ran("3"));
}

#[test]
fn a_version_that_is_older_than_the_last_five_is_found_in_the_history() {
    let mut team = Team::laptop(&policy(true));
    let shas: Vec<_> = (0..8)
        .map(|number| {
            let sha = team.commit(&[("billing/tax.rs", &number.to_string())], "More");
            record(&team, &number.to_string(), &sha);
            sha
        })
        .collect();
    // one that never ran there is no rollback, however old it is
    let never = team.env.git(&["rev-parse", &format!("{}~1", shas[0])]);
    team.back_to(&never);
    team.deploy("never", &[]).expect(1).says("(approval-missing)").says("(freeze)");
    team.back_to(&shas[1]);
    team.deploy("1", &[]).expect(0).says("rollback: 1 went well there before");
    assert!(team.ran("1") && !team.ran("never"));
    let records = team.records();
    let rollback = &records[records.len() - 2];
    assert_eq!((&rollback["kind"], &rollback["rollback"]["reason_missing"]), (&"rollback".into(), &true.into()));
    assert_eq!((&rollback["rollback"]["to"]["seq"], &rollback["rollback"]["to"]["sha"]), (&2.into(), &shas[1].as_str().into()));
    // what is between is not gone back to by that: it is forward again
    team.back_to(&shas[5]);
    team.deploy("5", &[]).expect(1).says("(hold)");
}

#[test]
fn the_bad_version_comes_back_only_after_the_hold_is_lifted() {
    let server = GitServer::http();
    let mut team = Team::job(&server, &policy(false));
    let [_, good, bad] = bad_release(&mut team);
    team.back_to(&good);
    team.deploy("1.4.1", &["--reason", "card payments failed"]).expect(0);
    assert_eq!(team.newest()["rollback"]["reason"], "card payments failed");
    team.back_to(&bad);
    team.approve_as("dana", &[]).expect(0);
    let refused = team.deploy("1.4.2", &[]);
    refused.expect(1).says("(hold)").says("whoever knows that it is safe to go on lifts the hold");
    assert!(!team.ran("1.4.2"));
    assert_eq!(codes(&team.newest()), ["hold", "hold"], "one for each rollback");
    let lines = printed(&refused, "resolve");
    let chen = team.machine_of("chen");
    for (index, line) in lines.iter().enumerate() {
        team.next_job();
        team.deploy("1.4.2", &[]).expect(1);
        on_terminal(&chen, line, "fixed\n").expect(0).shows("Why is it safe to go on?");
        assert_eq!(codes(&team.check(if index == 0 { 1 } else { 0 }, &[])).contains(&"hold"), index == 0);
    }
    team.next_job();
    team.deploy("1.4.2", &[]).expect(0).says("approved: by dana");
    assert!(team.ran("1.4.2"));
    assert!(!team.run(&["status"]).stdout.contains("hold"));
}
