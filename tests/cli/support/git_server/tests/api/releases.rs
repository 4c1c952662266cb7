//! Releases.

use super::Client;
use crate::support::git_server::GitServer;
use crate::support::git_server::tests::{Client as Git, job_url, tip};
use serde_json::json;

const PATH: &str = "/projects/42/releases";

#[test]
fn releases_are_made_once_and_their_text_is_replaced_as_a_whole() {
    let server = GitServer::http();
    let git = Git::new(&server);
    git.done(&["push", "--quiet", &job_url(&server), "HEAD:main", "HEAD:refs/tags/v1"]);
    let sha = tip(server.repository(), "main").unwrap();
    server.gitlab(|gitlab| gitlab.member(7, 30).expires_at = None);
    let job = Client::job(&server);
    job.get(&format!("{PATH}/v1")).expect(404);
    let problem = job.send("PUT", &format!("{PATH}/v1"), &json!({ "description": "x" })).expect(403);
    assert_eq!(problem.body(), json!({ "message": "403 Forbidden" }));
    let made = job.send("POST", PATH, &json!({ "tag_name": "v1", "description": "By hand\r\n" })).expect(201).body();
    assert_eq!((&made["name"], &made["commit"]["id"], &made["author"]["id"]), (&json!("v1"), &json!(sha), &json!(7)));
    let again = job.send("POST", PATH, &json!({ "tag_name": "v1" })).expect(409).body();
    assert_eq!(again, json!({ "message": "Release already exists" }));
    let problem = job.send("POST", PATH, &json!({ "tag_name": "v2" })).expect(422).body();
    assert_eq!(problem, json!({ "message": "Ref is not specified" }));
    job.send("POST", PATH, &json!({ "tag_name": "v2", "ref": "nowhere" })).expect(400);
    job.send("POST", PATH, &json!({ "tag_name": "v2", "ref": "main" })).expect(201);
    assert_eq!(git.done(&["ls-remote", &job_url(&server), "refs/tags/v2"]), format!("{sha}\trefs/tags/v2"));

    let changed = job.send("PUT", &format!("{PATH}/v1"), &json!({ "description": "Changed" })).json();
    assert_eq!((&changed["description"], &changed["name"]), (&json!("Changed"), &json!("v1")));
    assert_eq!(job.send("PUT", &format!("{PATH}/v1"), &json!({})).expect(400).body(), json!({ "message": "params is empty" }));
    let long = job.send("PUT", &format!("{PATH}/v1"), &json!({ "description": "x".repeat(1_000_001) })).expect(400).body();
    assert_eq!(long, json!({ "message": { "description": ["is too long (maximum is 1000000 characters)"] } }));
    assert_eq!(server.gitlab(|gitlab| gitlab.releases[0].description.clone()), Some("Changed".to_owned()));
}

#[test]
fn the_list_of_releases_is_five_minutes_old() {
    let server = GitServer::http();
    server.gitlab(|gitlab| gitlab.release("v1", 7, "First").name = "One".to_owned());
    let job = Client::job(&server);
    assert_eq!(job.get(PATH).each("description"), ["First"]);
    server.gitlab(|gitlab| {
        gitlab.releases[0].description = Some("Second".to_owned());
        gitlab.release("v2", 7, "Other");
    });
    assert_eq!(job.get(&format!("{PATH}?sort=asc")).each("description"), ["First", "Other"]);
    assert_eq!(job.get(&format!("{PATH}/v1")).json()["description"], "Second");
    let other = Client::user(&server, 8, &["read_api"]);
    assert_eq!(other.get(&format!("{PATH}?sort=asc")).each("description"), ["Second", "Other"]);
    server.gitlab(|gitlab| gitlab.clock_offset = chrono::TimeDelta::minutes(6));
    assert_eq!(job.get(&format!("{PATH}?sort=asc")).each("description"), ["Second", "Other"]);
}

#[test]
fn releases_are_for_developers_and_those_of_protected_tags_for_maintainers() {
    let server = GitServer::http();
    server.gitlab(|gitlab| {
        gitlab.release("v1", 7, "");
        gitlab.release("next", 7, "");
        gitlab.project.protected_tags = vec!["v*".to_owned()];
    });
    let job = Client::job(&server);
    let change = |tag: &str| job.send("PUT", &format!("{PATH}/{tag}"), &json!({ "name": "New" })).status;
    for (level, expected) in [(20, [403, 403]), (30, [403, 200]), (40, [200, 200])] {
        server.gitlab(|gitlab| gitlab.member(7, level).expires_at = None);
        assert_eq!([change("v1"), change("next")], expected, "{level}");
    }
    server.gitlab(|gitlab| gitlab.member(7, 30).expires_at = None);
    let problem = job.send("POST", PATH, &json!({ "tag_name": "v2", "ref": "main" })).expect(403).body();
    assert_eq!(problem["message"], "You are not allowed to create this tag as it is protected.");
    server.gitlab(|gitlab| gitlab.remove_member(7));
    job.send("POST", PATH, &json!({ "tag_name": "next2", "ref": "main" })).expect(403);
}
