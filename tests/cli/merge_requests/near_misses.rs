//! What looks like an approval and is none, each with a finding of its own.

use super::{ANN, CHEN, DANA, EVE, NOTE, POLICY, merged, team};
use crate::gate::rig::{Team, codes};
use crate::support::git_server::{GitServer, Gitlab};
use chrono::TimeDelta;

/// What is wrong with it, the finding that it comes to, and how it is made on the merge request !120.
type Miss = (&'static str, &'static str, fn(&mut Gitlab));

const MISSES: &[Miss] = &[
    ("by nobody", "approval-missing", |_| {}),
    ("somebody who may not approve", "approval-not-approver", |gitlab| {
        gitlab.note(120, EVE, NOTE);
    }),
    ("the author, who runs it", "approval-by-author", |gitlab| {
        gitlab.merge_request_mut(120).author = CHEN;
        gitlab.note(120, CHEN, NOTE);
    }),
    ("who merged it", "approval-by-merger", |gitlab| {
        gitlab.merge_request_mut(120).merge_user = Some(CHEN);
        gitlab.note(120, CHEN, NOTE);
    }),
    ("a bot", "approval-by-bot", |gitlab| {
        gitlab.user(50, "project_42_bot_0a1b");
        gitlab.note(120, 50, NOTE);
    }),
    ("a service account", "approval-by-bot", |gitlab| {
        gitlab.user(51, "service_account_project_42_0a1b");
        gitlab.note(120, 51, NOTE);
    }),
    ("a blocked account", "approval-blocked-user", |gitlab| {
        gitlab.note(120, CHEN, NOTE);
        gitlab.block(CHEN);
    }),
    ("edited", "approval-edited", |gitlab| {
        let note = gitlab.note(120, CHEN, "LGTM");
        gitlab.edit_note(note, NOTE);
        let note = gitlab.note_mut(note);
        note.updated_at = note.created_at + TimeDelta::minutes(1);
    }),
    ("quoted", "approval-form", |gitlab| {
        gitlab.note(120, CHEN, &format!("> {}", NOTE.replace('\n', "\n> ")));
    }),
    ("quoted by a lazy line", "approval-form", |gitlab| {
        gitlab.note(120, CHEN, &format!("> they said\n{NOTE}"));
    }),
    ("in a code block", "approval-form", |gitlab| {
        gitlab.note(120, CHEN, &format!("```\n{NOTE}\n```"));
    }),
    ("hidden in an HTML comment", "approval-form", |gitlab| {
        gitlab.note(120, CHEN, &format!("<!--\n{NOTE}\n-->"));
    }),
    ("not in the first line", "approval-form", |gitlab| {
        gitlab.note(120, CHEN, &format!("Fine.\n{NOTE}"));
    }),
    ("for another environment", "approval-other-environment", |gitlab| {
        gitlab.note(120, CHEN, "Deploy-Approval: staging");
    }),
    ("for another service", "approval-other-service", |gitlab| {
        gitlab.note(120, CHEN, &format!("{NOTE}\nService: web"));
    }),
    ("older than the last push", "approval-outdated", |gitlab| {
        gitlab.note(120, CHEN, NOTE);
        let sha = gitlab.merge_request_mut(120).sha.clone();
        gitlab.push(120, ANN, &sha);
    }),
    ("of before another target branch", "approval-outdated", |gitlab| {
        gitlab.note(120, CHEN, NOTE);
        gitlab.system_note(120, ANN, "changed target branch from `dev` to `main`");
    }),
    ("withdrawn", "approval-withdrawn", |gitlab| {
        gitlab.note(120, CHEN, NOTE);
        gitlab.note(120, CHEN, "Deploy-Approval: withdrawn");
    }),
    ("imported", "approval-imported", |gitlab| {
        let note = gitlab.note(120, CHEN, NOTE);
        gitlab.note_mut(note).imported = true;
    }),
    ("internal", "approval-internal", |gitlab| {
        gitlab.member(ANN, 40);
        let note = gitlab.note(120, CHEN, NOTE);
        gitlab.note_mut(note).internal = true;
    }),
    ("dated back", "approval-backdated", |gitlab| {
        gitlab.note(120, EVE, "What about the tests?");
        let note = gitlab.note(120, CHEN, NOTE);
        let note = gitlab.note_mut(note);
        note.created_at -= TimeDelta::hours(2);
        note.updated_at = note.created_at;
    }),
    ("dated ahead", "approval-backdated", |gitlab| {
        let note = gitlab.note(120, CHEN, NOTE);
        let note = gitlab.note_mut(note);
        note.created_at += TimeDelta::days(2);
        note.updated_at = note.created_at;
    }),
    ("eight days old", "approval-too-old", |gitlab| {
        gitlab.notes.iter_mut().for_each(|note| note.created_at -= TimeDelta::days(9));
        let note = gitlab.note(120, CHEN, NOTE);
        let note = gitlab.note_mut(note);
        note.created_at -= TimeDelta::days(8);
        note.updated_at = note.created_at;
    }),
    ("the button, pressed before the last push", "approval-outdated", |gitlab| {
        gitlab.approve(120, CHEN);
        let sha = gitlab.merge_request_mut(120).sha.clone();
        gitlab.push(120, ANN, &sha);
    }),
    ("the button, reset by GitLab", "approval-withdrawn", |gitlab| {
        gitlab.approve(120, CHEN);
        gitlab.system_note(120, ANN, "reset approvals from @chen by pushing to the branch");
    }),
    ("the button of somebody who may not approve", "approval-not-approver", |gitlab| {
        gitlab.approve(120, EVE);
    }),
    ("the words of the button, typed", "approval-missing", |gitlab| {
        gitlab.note(120, CHEN, "approved this merge request");
    }),
];

#[test]
fn none_of_them_lets_it_through() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let clean = server.gitlab(|gitlab| (gitlab.notes.clone(), gitlab.merge_requests.clone()));
    for (what, code, make) in MISSES {
        server.gitlab(|gitlab| {
            (gitlab.notes, gitlab.merge_requests) = clean.clone();
            gitlab.user_mut(CHEN).state = "active".to_owned();
            make(gitlab);
        });
        let refused = refused(&team, what);
        assert!(codes(&refused).contains(code), "{what}: expected {code} in {refused}");
    }
    assert!(!team.ran("1.1"));
    // and without any flaw it does
    server.gitlab(|gitlab| {
        (gitlab.notes, gitlab.merge_requests) = clean.clone();
        gitlab.user_mut(CHEN).state = "active".to_owned();
        gitlab.note(120, CHEN, NOTE);
    });
    team.next_job();
    team.deploy("1.1", &[]).expect(0);
}

#[track_caller]
fn refused(team: &Team, what: &str) -> serde_json::Value {
    let output = team.run(&["check", "-e", "production", "--format", "json"]);
    assert_eq!(output.code, 1, "{what}: {}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("hint") || output.stderr.contains("can approve"), "{what}: {}", output.stderr);
    serde_json::from_str(&output.stdout).expect("JSON")
}

#[test]
fn the_one_who_runs_it_does_not_approve_it() {
    let server = GitServer::http();
    let mut team = team(&server, &POLICY.replace("[dana, chen]", "[dana, chen, ann]"));
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| {
        gitlab.merge_request_mut(120).author = DANA;
        gitlab.note(120, ANN, NOTE);
    });
    let found = refused(&team, "the actor");
    assert!(codes(&found).contains(&"approval-by-author"), "ann wrote the commits: {found}");
    let mut other = POLICY.replace("[dana, chen]", "[dana, chen, ann]");
    other = other.replace("people: { ann: { git: [\"ann@acme.example\"] } }\n", "");
    team.commit(&[(".deploy-record.yml", &other)], "Nobody's address");
    let found = refused(&team, "the actor, whose address nobody knows");
    assert!(codes(&found).contains(&"approval-by-actor"), "{found}");
}

#[test]
fn a_note_that_covers_stands_in_the_newest_after_the_last_was_merged() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| {
        gitlab.note(120, CHEN, &format!("{NOTE}\nCovers: !123"));
        gitlab.clock_offset = TimeDelta::seconds(2);
    });
    merged(&mut team, &server, 123, "billing/vat.rs");
    let found = refused(&team, "in the older one");
    assert!(codes(&found).contains(&"approval-too-early"), "{found}");
    server.gitlab(|gitlab| {
        gitlab.clock_offset = TimeDelta::seconds(4);
        gitlab.note(123, CHEN, &format!("{NOTE}\nCovers: !120"));
    });
    team.check(0, &[]);
    server.gitlab(|gitlab| gitlab.note(120, CHEN, "Deploy-Approval: withdrawn"));
    let found = refused(&team, "withdrawn in the one that was covered");
    assert!(codes(&found).contains(&"approval-withdrawn"), "{found}");
}

#[test]
fn what_was_pushed_directly_needs_an_approval_of_the_whole() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    server.gitlab(|gitlab| gitlab.note(120, CHEN, NOTE));
    team.check(0, &[]);
    team.commit(&[("billing/vat.rs", "1")], "Straight to main");
    let found = refused(&team, "a direct push");
    assert!(codes(&found).contains(&"direct-push"), "{found}");
    team.approve_as("chen", &[]).expect(0);
    team.check(0, &[]);
}
