//! Merge requests, their notes and approvals.

use super::Client;
use crate::support::git_server::GitServer;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn notes_of(client: &Client, parameters: &str) -> Vec<Value> {
    client.get(&format!("/projects/42/merge_requests/1/notes{parameters}")).each("id")
}

#[test]
fn a_list_comes_in_pages_with_links() {
    let server = GitServer::http();
    server.gitlab(|gitlab| {
        gitlab.merge_request(1, 7);
        for number in 0..45 {
            gitlab.note(1, 8, &format!("Note {number}"));
        }
    });
    let job = Client::job(&server);
    let path = "/projects/grp%2Fapp/merge_requests/1/notes";
    let first = job.get(&format!("{path}?sort=asc&order_by=created_at")).expect(200);
    let headers = ["X-Page", "X-Per-Page", "X-Prev-Page", "X-Next-Page", "X-Total", "X-Total-Pages"];
    let found = headers.map(|name| first.header(name));
    assert_eq!(found, ["1", "20", "", "2", "45", "3"].map(Some));
    assert_eq!(first.link("prev"), None);
    assert_eq!(first.link("last"), Some(format!("{path}?sort=asc&order_by=created_at&page=3&per_page=20")));
    let (mut seen, mut next) = (Vec::new(), Some(format!("{path}?sort=asc&order_by=created_at")));
    while let Some(path) = next {
        let answer = job.get(&path);
        next = answer.link("next");
        seen.extend(answer.each("id"));
    }
    assert_eq!(seen, (301..346).map(Value::from).collect::<Vec<_>>());
    assert_eq!(notes_of(&job, "?per_page=7&page=7"), [303, 302, 301]);
    assert!(notes_of(&job, "?page=4").is_empty());
    for bad in ["page=0", "per_page=many", "sort=up", "order_by=id"] {
        job.get(&format!("{path}?{bad}")).expect(400);
    }
    server.gitlab(|gitlab| {
        gitlab.sends_totals = false;
        for number in 0..60 {
            gitlab.note(1, 8, &format!("Note {number}"));
        }
    });
    let answer = job.get(&format!("{path}?per_page=500")).expect(200);
    assert_eq!((answer.header("X-Per-Page"), answer.header("X-Total")), (Some("100"), None));
    assert_eq!((answer.link("last"), answer.link("next").is_some()), (None, true));
    assert_eq!(answer.each("id").len(), 100);
}

#[test]
fn notes_tell_when_they_were_written_and_changed() {
    let server = GitServer::http();
    let job = Client::job(&server);
    let (first, system, second) = server.gitlab(|gitlab| {
        gitlab.merge_request(1, 7);
        let first = gitlab.note(1, 8, "Deploy-Approval: production");
        gitlab.push(1, 7, &"b".repeat(40));
        let system = gitlab.system_note(1, 9, "approved this merge request");
        gitlab.clock_offset = TimeDelta::hours(-1);
        (first, system, gitlab.note(1, 10, "An hour ago, it seems"))
    });
    // in the order of their numbers, whatever time they tell
    assert_eq!(notes_of(&job, "?sort=asc&order_by=created_at"), [first, first + 1, system, second]);
    assert_eq!(notes_of(&job, ""), [second, system, first + 1, first]);
    assert_eq!(notes_of(&job, "?activity_filter=only_activity"), [system, first + 1]);
    assert_eq!(notes_of(&job, "?activity_filter=only_comments"), [second, first]);
    server.gitlab(|gitlab| {
        gitlab.clock_offset = TimeDelta::zero();
        gitlab.edit_note(first, "Deploy-Approval: staging");
    });
    assert_eq!(notes_of(&job, "?order_by=updated_at")[0], first);
    let path = |id: u64| format!("/projects/42/merge_requests/1/notes/{id}");
    let note = job.get(&path(first)).json();
    assert_ne!(note["created_at"], note["updated_at"]);
    assert_eq!((&note["body"], &note["author"]["username"]), (&json!("Deploy-Approval: staging"), &json!("chen")));
    assert_eq!((&note["noteable_iid"], &note["internal"], &note["imported"]), (&json!(1), &json!(false), &json!(false)));
    let time = note["created_at"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    let pushed = job.get(&path(first + 1)).json();
    assert_eq!(pushed["system"], true);
    assert!(pushed["body"].as_str().unwrap().starts_with("added 1 commit\n\n<ul><li>bbbbbbbb - "));
    server.gitlab(|gitlab| gitlab.delete_note(first));
    job.get(&path(first)).expect(404);
    job.get("/projects/42/merge_requests/2/notes").expect(404);
}

#[test]
fn internal_notes_are_for_reporters_and_nobody_changes_what_others_wrote() {
    let server = GitServer::http();
    let [internal, chens, system] = server.gitlab(|gitlab| {
        gitlab.merge_request(1, 7);
        gitlab.member(9, 20);
        gitlab.member(8, 40);
        let internal = gitlab.note(1, 9, "Between us");
        gitlab.note_mut(internal).internal = true;
        [internal, gitlab.note(1, 8, "Mine"), gitlab.system_note(1, 8, "approved this merge request")]
    });
    let clients = [7, 8, 9].map(|user| Client::user(&server, user, &["api"]));
    let shown = clients.each_ref().map(|client| notes_of(client, "").len());
    assert_eq!(shown, [2, 3, 3]);
    let page = clients[0].get("/projects/42/merge_requests/1/notes?sort=asc&per_page=1");
    assert_eq!((page.link("next").is_some(), page.each("id").len()), (true, 0));
    let statuses = |id: u64| {
        let path = format!("/projects/42/merge_requests/1/notes/{id}");
        clients.each_ref().map(|client| client.send("PUT", &path, &json!({ "body": "Changed" })).status)
    };
    assert_eq!(statuses(internal), [404, 200, 200]);
    assert_eq!(statuses(chens), [403, 200, 403]);
    assert_eq!(statuses(system), [403, 403, 403]);
}

#[test]
fn quick_actions_leave_no_note_and_empty_ones_are_refused() {
    let server = GitServer::http();
    server.gitlab(|gitlab| gitlab.merge_request(1, 7).title = "Pay".to_owned());
    let user = Client::user(&server, 8, &["api"]);
    let path = "/projects/42/merge_requests/1/notes";
    let write = |body: &str| user.send("POST", path, &json!({ "body": body }));
    let answer = write("/approve\n").expect(202).body();
    assert_eq!(answer["commands_changes"], json!({ "approve": true }));
    assert_eq!(user.get(path).each("body"), ["approved this merge request"]);
    let note = write("Fine\n/label ~done").expect(201).body();
    assert_eq!(note["body"], "Fine");
    for bad in ["", " \n", &"x".repeat(1_000_001)] {
        let problem = write(bad).expect(400).body()["message"].as_str().unwrap().to_owned();
        assert!(problem.starts_with("400 Bad request - Note {"), "{problem}");
    }
    assert_eq!(user.send("POST", path, &json!({})).expect(400).body(), json!({ "error": "body is missing" }));
    let change = user.send("PUT", &format!("{path}/302"), &json!({ "body": "" })).expect(400);
    assert_eq!(change.body(), json!({ "error": "body is empty" }));
}

#[test]
fn approvals_come_and_go() {
    let server = GitServer::http();
    let user = Client::user(&server, 8, &["read_api"]);
    server.gitlab(|gitlab| {
        gitlab.merge_request(1, 7);
        gitlab.approve(1, 8);
        gitlab.approve(1, 9);
        gitlab.unapprove(1, 9);
    });
    let approvals = || user.get("/projects/42/merge_requests/1/approvals").json();
    assert_eq!(approvals()["approved_by"].as_array().unwrap().len(), 1);
    assert_eq!(approvals()["approved_by"][0]["user"]["id"], 8);
    assert!(approvals()["approved_by"][0]["approved_at"].is_string());
    assert_eq!(approvals()["user_has_approved"], true);
    server.gitlab(|gitlab| gitlab.push(1, 7, &"c".repeat(40)));
    assert_eq!(approvals()["approved_by"].as_array().unwrap().len(), 1);
    server.gitlab(|gitlab| {
        gitlab.resets_approvals = true;
        gitlab.push(1, 7, &"d".repeat(40));
    });
    assert_eq!((&approvals()["approved_by"], &approvals()["approved"]), (&json!([]), &json!(true)));
    let notes = user.get("/projects/42/merge_requests/1/notes").each("body");
    assert_eq!(notes[0], "reset approvals from @chen by pushing to the branch");
}

#[test]
fn merge_requests_are_found_by_what_they_are() {
    let server = GitServer::http();
    let merged = "e".repeat(40);
    server.gitlab(|gitlab| {
        gitlab.clock_offset = TimeDelta::days(-2);
        gitlab.merge_request(1, 7).labels = vec!["emergency".to_owned(), "pay".to_owned()];
        gitlab.clock_offset = TimeDelta::days(-1);
        gitlab.merge_request(2, 8).source_branch = "hotfix/pay".to_owned();
        gitlab.clock_offset = TimeDelta::hours(-1);
        gitlab.merge_request(3, 7).target_branch = "release".to_owned();
        gitlab.clock_offset = TimeDelta::zero();
        gitlab.merge(1, 9, &"e".repeat(40));
    });
    let job = Client::job(&server);
    let found = |parameters: &str| job.get(&format!("/projects/42/merge_requests?{parameters}")).each("iid");
    let yesterday = (chrono::Utc::now() - TimeDelta::hours(12)).format("%Y-%m-%dT%H:%M:%SZ");
    for (parameters, expected) in [
        ("", &[3, 2, 1][..]),
        ("sort=asc", &[1, 2, 3]),
        ("order_by=updated_at", &[1, 3, 2]),
        ("state=opened", &[3, 2]),
        ("state=merged&order_by=merged_at", &[1]),
        ("labels=pay,emergency", &[1]),
        ("labels=pay,other", &[]),
        ("source_branch=hotfix%2Fpay", &[2]),
        ("target_branch=main&sort=asc", &[1, 2]),
        ("author_id=8", &[2]),
        ("iids[]=2&iids[]=3", &[3, 2]),
        ("search=change%203&in=title", &[3]),
        (&format!("updated_after={yesterday}"), &[3, 1]),
        (&format!("updated_before={yesterday}"), &[2]),
        (&format!("created_after={yesterday}"), &[3]),
        ("view=simple&per_page=1", &[3]),
    ] {
        assert_eq!(found(parameters), expected, "{parameters}");
    }
    server.gitlab(|gitlab| gitlab.is_described = false);
    for (bad, problem) in [
        ("state=open", "state does not have a valid value"),
        ("order_by=id", "order_by does not have a valid value"),
        ("updated_after=yesterday", "updated_after is invalid"),
        ("author_id=chen", "author_id is invalid"),
    ] {
        let answer = job.get(&format!("/projects/42/merge_requests?{bad}")).expect(400);
        assert_eq!(answer.body(), json!({ "error": problem }));
    }
    let one = job.get("/projects/42/merge_requests/1").json();
    assert_eq!((&one["state"], &one["merge_commit_sha"]), (&json!("merged"), &json!(merged)));
    assert_eq!((&one["merge_user"]["id"], &one["merged_by"]["id"], &one["author"]["id"]), (&json!(9), &json!(9), &json!(7)));
    assert_eq!(one["web_url"], format!("{}/grp/app/-/merge_requests/1", server.url()));
    job.get("/projects/42/merge_requests/4").expect(404);
}
