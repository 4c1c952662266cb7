//! All ways to say that it is an emergency are equal, and so are those to go ahead without an approval.

use super::rig::{POLICY, Team, codes};
use crate::support::history::{PastLog, person};
use chrono::{Days, Utc};
use deploy_record::core::record::{CommitId, FollowUp, Status};
use serde_json::Value;

/// A way to say something of the commit that is deployed: the message of the commit, flags, and a variable.
struct Way<'a> {
    message: &'a str,
    flags: &'a [&'a str],
    variable: Option<(&'a str, &'a str)>,
    branch: &'a str,
    is_merged: bool,
}

const PLAIN: Way = Way { message: "Fix it", flags: &[], variable: None, branch: "main", is_merged: false };

/// What is deployed, said in this way.
fn said(policy: &str, way: &Way) -> Team {
    let mut team = Team::laptop(policy);
    team.run(&["record", "-e", "production", "--version", "1", "--status", "success"]).expect(0);
    if way.is_merged {
        team.branch("topic");
    } else {
        team.branch(way.branch);
    }
    team.commit(&[("main.rs", "2")], way.message);
    if way.is_merged {
        team.env.git(&["checkout", "--quiet", "main"]);
        team.env.git(&["merge", "--quiet", "--no-ff", "-m", "Merge branch 'topic'", "topic"]);
    }
    if let Some((name, value)) = way.variable {
        team.env.set(name, value);
    }
    team
}

#[test]
fn an_emergency_is_one_however_it_is_said() {
    let trailer = "Fix it\n\nSigned-off-by: Ann\nDeploy-Emergency: card payments fail";
    let ways = [
        ("--emergency", Way { flags: &["--emergency"], ..PLAIN }),
        ("--emergency: card payments fail", Way { flags: &["--emergency", "card payments fail"], ..PLAIN }),
        ("--emergency", Way { variable: Some(("DEPLOY_RECORD_EMERGENCY", "true")), ..PLAIN }),
        ("--emergency: it burns", Way { variable: Some(("DEPLOY_RECORD_EMERGENCY", "it burns")), ..PLAIN }),
        ("trailer Deploy-Emergency: card payments fail", Way { message: trailer, ..PLAIN }),
        ("trailer Deploy-Emergency: card payments fail", Way { message: trailer, is_merged: true, ..PLAIN }),
        ("branch hotfix/a/b (hotfix/*)", Way { branch: "hotfix/a/b", ..PLAIN }),
    ];
    for (because, way) in &ways {
        let team = said(POLICY, way);
        let told = team.check(1, way.flags);
        assert_eq!((&told["class"]["name"], &told["class"]["because"][0]), (&"emergency".into(), &(*because).into()));
        assert_eq!((codes(&told), &told["approval"]), (vec!["approval-missing", "emergency", "review-due"], &Value::Null));
        team.deploy("2", way.flags).expect(1).says("(approval-missing)").says(&format!("emergency: {because}"));
        assert!(!team.ran("2"), "{because}");
        team.approve_as("chen", &[]).expect(0);
        team.deploy("2", way.flags).expect(0).says("approved: by chen").says("review-due");
        let records = team.records();
        let start = &records[records.len() - 2];
        assert_eq!((&start["class"]["because"][0], codes(start)), (&(*because).into(), vec![]), "{start:#}");
        assert!(start["follow_up"]["due"].is_string() && start["approval"]["approver"]["login"] == "chen", "{start:#}");
    }
    // and what is none
    for way in [
        PLAIN,
        Way { flags: &["--emergency", "no"], ..PLAIN },
        Way { variable: Some(("DEPLOY_RECORD_EMERGENCY", "0")), ..PLAIN },
        Way { message: "Deploy-Emergency: in the title", ..PLAIN },
        Way { branch: "my-hotfix/a", ..PLAIN },
    ] {
        let team = said(POLICY, &way);
        assert_eq!(team.check(0, way.flags)["class"]["name"], "routine");
    }
    let way = Way { variable: Some(("DEPLOY_RECORD_EMERGENCY", "")), ..PLAIN };
    said(POLICY, &way).run(&["check", "-e", "production"]).expect(2).says("--emergency").says("it is empty");
}

#[test]
fn without_a_policy_an_emergency_still_needs_another_person() {
    let mut team = Team::laptop("people: { ann: { git: [ann@acme.example] } }\n");
    team.env.git(&["rm", "--quiet", ".deploy-record.yml"]);
    team.commit(&[("billing/tax.rs", "2")], "Round half up");
    let told = team.check(0, &[]);
    assert_eq!((&told["class"]["name"], codes(&told)), (&"routine".into(), vec!["no-policy"]));
    team.deploy("1", &["--emergency"]).expect(1).says("another person whom the trust root names can approve it");
    team.approve_as("ann", &[]).expect(0);
    team.deploy("1", &["--emergency"]).expect(1).says("(approval-by-actor)");
    team.approve_as("eve", &[]).expect(0);
    team.deploy("1", &["--emergency"]).expect(0).says("approved: by eve").says("review-due");
}

/// Nothing goes forward: a rollback put a hold on it, and there is a freeze.
fn closed() -> String {
    let day = |days| Utc::now().date_naive() - Days::new(1) + Days::new(days);
    format!("{POLICY}rollback: {{ hold: true }}\nfreeze: [{{ from: {}, to: {} }}]\n", day(0), day(3))
}

#[test]
fn breaking_the_glass_goes_over_all_and_is_on_record() {
    let ways = [
        Way { flags: &["--break-glass", "nobody answers"], ..PLAIN },
        Way { variable: Some(("DEPLOY_RECORD_BREAK_GLASS", "nobody answers")), ..PLAIN },
        Way { message: "Fix it\n\nDeploy-Break-Glass: nobody answers", ..PLAIN },
    ];
    for way in ways {
        let team = said(&closed(), &way);
        // 0 ran before 1, and is put back; what is at hand is neither
        for (version, commit) in [("0", "main~1"), ("1", "main"), ("0", "main~1")] {
            let commit = if way.is_merged || way.branch == "main" { format!("{commit}~1") } else { commit.to_owned() };
            let line = ["record", "-e", "production", "--version", version, "--commit", &commit, "--status", "success"];
            team.run(&line).expect(0);
        }
        team.run(&["status"]).expect(0).shows("hold");
        team.deploy("2", way.flags).expect(0).says("no prior approval (break-glass): nobody answers").says("review-due");
        assert!(team.ran("2"));
        let records = team.records();
        let start = &records[records.len() - 2];
        assert_eq!((&start["break_glass"]["reason"], &start["class"]["name"]), (&"nobody answers".into(), &"emergency".into()));
        assert!(start["approval"].is_null() && start["follow_up"]["due"].is_string(), "{start:#}");
        let overrides = start["overrides"].as_array().expect("overrides");
        for rule in ["hold", "freeze"] {
            assert_eq!(overrides.iter().find(|over| over["rule"] == rule).expect(rule)["reason"], "break-glass");
        }
        assert_eq!(codes(start), ["hold", "freeze", "approval-missing"]);
        team.run(&["status"]).expect(0).shows("review owed: 2").shows("hold");
        team.run(&["verify"]).expect(0).shows("0 errors");
    }
}

#[test]
fn who_writes_a_commit_that_is_merged_breaks_no_glass() {
    let way = Way { message: "Fix it\n\nDeploy-Break-Glass: nobody answers", is_merged: true, ..PLAIN };
    let team = said(&closed(), &way);
    team.deploy("2", &[]).expect(1).says("(freeze)");
    assert!(!team.ran("2"));
}

#[test]
fn where_only_a_freeze_stands_in_the_way_the_glass_is_broken_as_well() {
    let policy = closed().replace("tier: production", "approval_for: never");
    let team = said(&policy, &PLAIN);
    team.deploy("2", &[]).expect(1).says("(freeze)");
    let flags = ["--break-glass", "nobody answers"];
    team.deploy("2", &flags).expect(0).says("no prior approval (break-glass)").says("review-due");
    assert_eq!(team.newest()["break_glass"]["reason"], "nobody answers");
    // where nothing does, it is not
    let team = said(&POLICY.replace("tier: production", "approval_for: never"), &PLAIN);
    team.deploy("2", &flags).expect(0).says("nothing stood in the way");
    assert!(team.newest()["break_glass"].is_null() && team.newest()["follow_up"].is_null());
}

#[test]
fn an_approved_emergency_goes_through_a_freeze_and_not_over_a_hold() {
    let way = Way { flags: &["--emergency", "it burns"], ..PLAIN };
    let team = said(&closed(), &way);
    team.approve_as("dana", &[]).expect(0);
    assert_eq!(codes(&team.check(1, &[])), ["freeze", "approved"], "a routine one waits");
    team.deploy("2", way.flags).expect(0).says("freeze: ");
    let records = team.records();
    let start = &records[records.len() - 2];
    assert_eq!(start["overrides"][0]["rule"], "freeze");
    assert_eq!((&start["overrides"][0]["reason"], &start["break_glass"]), (&"it burns".into(), &Value::Null));
    // now 1 is put back, which sets a hold
    let line = ["record", "-e", "production", "--version", "1", "--commit", "main~1", "--status", "success"];
    team.run(&line).expect(0).shows("rollback");
    team.approve_as("dana", &[]).expect(0);
    team.deploy("2", way.flags).expect(1).says("(hold)");
}

#[test]
fn an_overdue_review_stops_all_but_emergencies_where_the_policy_says_so() {
    let log = PastLog::new();
    let env = &log.env;
    let policy = POLICY.replace("emergency: {", "emergency: { follow_up: { overdue: refuse },");
    std::fs::write(env.path().join(".deploy-record.yml"), &policy).expect("written");
    let mut record = log.done("production", "1", Status::Success, 5000);
    // a checkout without a remote knows no project
    record.project = None;
    let sha = CommitId::new(env.git(&["rev-parse", "HEAD"])).expect("a commit");
    record.commit.iter_mut().for_each(|commit| commit.sha = sha.clone());
    record.actor = person("ann");
    record.follow_up = Some(FollowUp { due: Some(log.ago(60)), ..FollowUp::default() });
    log.append(5000, record);
    env.commit("Another");
    let key = log.key_of("dana");
    let run = |flags: &[&str]| {
        let line = [&["run", "-e", "production", "--key", &key], flags, &["--", "touch", "ran"]].concat();
        log.run(&line)
    };
    run(&[]).expect(1).says("the review of record 1 (1) is overdue (review-overdue)").says("deploy-record review 1");
    assert_eq!(codes(&env.records(&env.path()).pop().expect("a record")), ["review-overdue"]);
    assert!(!env.path().join("ran").exists());
    let approve = |reason: &str| log.run(&["approve", "-e", "production", "--key", &log.key_of("chen"), "--reason", reason]);
    approve("it burns").expect(0);
    run(&["--emergency"]).expect(0).says("warning: review-overdue: ");
    // a sensitive one waits, too
    std::fs::create_dir(env.path().join("billing")).expect("a folder");
    std::fs::write(env.path().join("billing/tax.rs"), "2").expect("written");
    env.git(&["add", "billing"]);
    env.commit("Round half up");
    approve("looked at it").expect(0);
    run(&[]).expect(1).says("(review-overdue)");
    std::fs::write(env.path().join(".deploy-record.yml"), policy.replace("refuse", "warn")).expect("written");
    run(&[]).expect(0).says("review-overdue: ");
}
