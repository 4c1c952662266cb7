//! Issues.

use super::Client;
use crate::support::git_server::GitServer;
use serde_json::{Value, json};

#[test]
fn issues_are_made_found_and_closed() {
    let server = GitServer::http();
    let ann = Client::user(&server, 7, &["api"]);
    let path = "/projects/42/issues";
    let made = ann.send(
        "POST",
        path,
        &json!({
            "title": "Review the emergency deployment", "description": "Marker: record-7", "labels": "deploy-review,pay",
            "assignee_ids": [8, 9], "due_date": "2031-02-03",
        }),
    );
    let made = made.expect(201).body();
    assert_eq!((&made["iid"], &made["state"], &made["due_date"]), (&json!(1), &json!("opened"), &json!("2031-02-03")));
    assert_eq!((&made["labels"], &made["author"]["id"]), (&json!(["deploy-review", "pay"]), &json!(7)));
    // one on Free
    assert_eq!(made["assignees"].as_array().unwrap().len(), 1);
    assert_eq!(made["web_url"], format!("{}/grp/app/-/issues/1", server.url()));
    server.gitlab(|gitlab| (gitlab.is_premium, gitlab.is_described) = (true, false));
    let second = json!({ "title": "Another", "assignee_ids": [8, 9, 77], "due_date": "soon" });
    let second = ann.send("POST", path, &second).expect(201).body();
    assert_eq!((second["assignees"].as_array().unwrap().len(), &second["due_date"]), (2, &Value::Null));
    assert_eq!(ann.send("POST", path, &json!({})).expect(400).body(), json!({ "error": "title is missing" }));
    server.gitlab(|gitlab| {
        gitlab.is_described = true;
        gitlab.issues.truncate(1);
        gitlab.issue("Another", 10).confidential = true;
    });
    let found = |parameters: &str| ann.get(&format!("{path}?{parameters}")).each("iid");
    for (parameters, expected) in [
        ("", &[1][..]),
        ("state=opened&labels=deploy-review&search=record-7&in=description", &[1]),
        ("search=record-7&in=title", &[]),
        ("labels=deploy-review,other", &[]),
        ("state=closed", &[]),
        ("assignee_id=8", &[1]),
    ] {
        assert_eq!(found(parameters), expected, "{parameters}");
    }
    server.gitlab(|gitlab| gitlab.member(7, 20).expires_at = None);
    assert_eq!(found("sort=asc"), [1, 2]);
    let closed = ann.send("PUT", "/projects/42/issues/1", &json!({ "state_event": "close", "add_labels": "done" })).json();
    assert_eq!((&closed["state"], &closed["closed_by"]["id"]), (&json!("closed"), &json!(7)));
    assert_eq!(found("state=closed&labels=done"), [1]);
    let reopened = ann.send("PUT", "/projects/42/issues/1", &json!({ "state_event": "reopen" })).json();
    assert_eq!((&reopened["state"], &reopened["closed_at"]), (&json!("opened"), &Value::Null));
    assert_eq!(server.gitlab(|gitlab| gitlab.issues[0].labels.clone()), ["deploy-review", "pay", "done"]);
}

#[test]
fn issues_are_not_everybodys() {
    let server = GitServer::http();
    server.gitlab(|gitlab| {
        gitlab.issue("Ann's", 7);
        gitlab.issue("Secret", 7).confidential = true;
    });
    let eve = Client::user(&server, 10, &["api"]);
    eve.send("PUT", "/projects/42/issues/1", &json!({ "state_event": "close" })).expect(403);
    eve.send("PUT", "/projects/42/issues/2", &json!({ "state_event": "close" })).expect(404);
    eve.get("/projects/42/issues/2").expect(404);
    eve.get("/projects/42/issues/3").expect(404);
    let ann = Client::user(&server, 7, &["api"]);
    let problem = ann.send("PUT", "/projects/42/issues/1", &json!({})).expect(400).body();
    assert!(problem["error"].as_str().unwrap().ends_with("at least one parameter must be provided"));
}
