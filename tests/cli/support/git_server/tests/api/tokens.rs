//! Who may call what, with which token.

use super::Client;
use super::clients::NO_TOKEN;
use crate::support::git_server::{Failure, Fault, GitServer, Step, job};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn server() -> GitServer {
    let server = GitServer::http();
    server.set_job(job(&"a".repeat(40)));
    server.gitlab(|gitlab| {
        gitlab.member(7, 30);
        gitlab.merge_request(1, 7);
        gitlab.note(1, 8, "Looks good");
        gitlab.deployment("production", &"a".repeat(40), 302, 7, "success");
        gitlab.issue("Review it", 8);
        gitlab.release("v1", 7, "");
    });
    server
}

#[test]
fn each_endpoint_takes_the_tokens_that_gitlabs_takes() {
    let server = server();
    let sha = "0".repeat(39) + "1";
    // path; status for a job's token, one on an older GitLab, a user's, and none
    let cases = [
        ("/job", [200, 200, 404, 401]),
        ("/user", [401, 401, 200, 401]),
        ("/users?username=chen", [403, 403, 200, 403]),
        ("/users/8", [403, 403, 200, 403]),
        ("/groups/grp/members/all", [401, 401, 200, 401]),
        ("/projects/42", [404, 404, 200, 404]),
        ("/projects/42/members/all", [401, 401, 200, 401]),
        ("/projects/42/members/all/7", [401, 401, 200, 401]),
        ("/projects/42/merge_requests", [200, 404, 200, 404]),
        ("/projects/42/merge_requests/1", [200, 404, 200, 404]),
        ("/projects/42/merge_requests/1/notes", [200, 401, 200, 401]),
        ("/projects/42/merge_requests/1/notes/301", [200, 401, 200, 401]),
        ("/projects/42/merge_requests/1/approvals", [404, 404, 200, 404]),
        (&format!("/projects/42/repository/commits/{sha}/merge_requests"), [200, 404, 200, 404]),
        ("/projects/42/deployments", [200, 200, 200, 401]),
        ("/projects/42/deployments/41", [200, 200, 200, 401]),
        ("/projects/42/deployments/41/merge_requests", [200, 200, 200, 401]),
        ("/projects/42/environments", [200, 200, 200, 401]),
        ("/projects/42/issues", [404, 404, 200, 404]),
        ("/projects/42/issues/1", [404, 404, 200, 404]),
        ("/projects/42/releases", [200, 200, 200, 404]),
        ("/projects/grp%2Fapp/releases/v1", [200, 200, 200, 404]),
        ("/projects/43/releases/v1", [404, 404, 404, 404]),
    ];
    let (job, user) = (Client::job(&server), Client::user(&server, 8, &["read_api"]));
    let nobody = Client::new(&server, NO_TOKEN.0, NO_TOKEN.1);
    for (path, expected) in cases {
        let newer = job.get(path).status;
        server.gitlab(|gitlab| gitlab.job_token_reads_merge_requests = false);
        let older = job.get(path).status;
        server.gitlab(|gitlab| gitlab.job_token_reads_merge_requests = true);
        assert_eq!([newer, older, user.get(path).status, nobody.get(path).status], expected, "{path}");
    }
}

#[test]
fn only_the_scope_api_writes_and_a_jobs_token_writes_releases_alone() {
    let server = server();
    let clients = [Client::job(&server), Client::user(&server, 7, &["read_api"]), Client::user(&server, 7, &["api"])];
    let cases = [
        ("POST", "/projects/42/merge_requests/1/notes", json!({ "body": "Hello" }), [401, 403, 201]),
        ("PUT", "/projects/42/merge_requests/1/notes/302", json!({ "body": "Hello again" }), [401, 403, 200]),
        ("DELETE", "/projects/42/merge_requests/1/notes/302", Value::Null, [401, 403, 204]),
        ("POST", "/projects/42/issues", json!({ "title": "Look" }), [401, 403, 201]),
        ("PUT", "/projects/42/issues/2", json!({ "state_event": "close" }), [401, 403, 200]),
        ("PUT", "/projects/42/releases/v1", json!({ "name": "One" }), [200, 403, 200]),
    ];
    for (method, path, body, expected) in cases {
        let statuses = clients.each_ref().map(|client| client.send(method, path, &body).status);
        assert_eq!(statuses, expected, "{method} {path}");
    }
    let refused = clients[1].send("POST", "/projects/42/issues", &json!({ "title": "Look" })).body();
    assert_eq!(refused["error"], "insufficient_scope");
    let reader = Client::user(&server, 7, &["read_repository"]);
    reader.get("/projects/42/deployments").expect(403);
    Client::user(&server, 7, &["read_user"]).get("/users/8").expect(200);
}

#[test]
fn tokens_that_are_not_known_and_users_that_are_blocked_get_nothing() {
    let server = server();
    for header in ["JOB-TOKEN", "PRIVATE-TOKEN"] {
        let answer = Client::new(&server, header, "made-up").get("/projects/42/releases").expect(401);
        assert_eq!(answer.body(), json!({ "message": "401 Unauthorized" }));
    }
    // a job's token is no access token, nor the other way round
    Client::new(&server, "PRIVATE-TOKEN", server.job_token()).get("/job").expect(401);
    let token = server.gitlab(|gitlab| gitlab.access_token(8, &["api"]));
    Client::new(&server, "JOB-TOKEN", &token).get("/user").expect(401);
    let user = Client::new(&server, "PRIVATE-TOKEN", &token);
    assert_eq!(user.get("/user").json()["username"], "chen");
    Client::new(&server, "Authorization", &format!("Bearer {token}")).get("/user").expect(200);
    server.gitlab(|gitlab| gitlab.block(8));
    user.get("/user").expect(403);
    server.gitlab(|gitlab| gitlab.revoke(&token));
    user.get("/user").expect(401);
}

#[test]
fn users_and_members_tell_who_is_what() {
    let server = server();
    server.gitlab(|gitlab| {
        gitlab.user(99, "project_42_bot_4f").bot = true;
        gitlab.member(8, 20);
        gitlab.group_member("grp", 8, 40);
        gitlab.group_member("grp", 9, 30);
        gitlab.group_member("other", 10, 50);
        gitlab.block(9);
    });
    let user = Client::user(&server, 7, &["read_api"]);
    assert_eq!(user.get("/users/99").json()["bot"], true);
    assert_eq!(user.get("/users/8").json()["bot"], false);
    assert_eq!(user.get("/users/9").json()["state"], "blocked");
    assert_eq!(user.get("/users/11").expect(404).body(), json!({ "message": "404 User Not Found" }));
    assert_eq!(user.get("/users?username=CHEN").each("id"), [8]);
    // the highest of the project's own level and those of the groups above it
    for (id, status, level) in [(7, 200, 30), (8, 200, 40), (9, 200, 30), (10, 404, 0)] {
        let answer = user.get(&format!("/projects/42/members/all/{id}")).expect(status);
        assert_eq!(answer.body()["access_level"].as_u64().unwrap_or_default(), level, "{id}");
    }
    assert_eq!(user.get("/projects/42/members/all").each("id"), [7, 8, 9]);
    assert_eq!(user.get("/projects/42/members/all?user_ids[]=8&user_ids[]=10").each("id"), [8]);
    assert_eq!(user.get("/groups/grp/members/all").each("id"), [8, 9]);
    assert_eq!(user.get("/groups/other/members/all/10").json()["access_level"], 50);
    user.get("/groups/other/members/all/8").expect(404);
    user.get("/groups/none/members/all").expect(404);
}

#[test]
fn a_project_that_moved_redirects_and_a_busy_server_says_when() {
    let server = server();
    server.gitlab(|gitlab| gitlab.project.former_paths = vec!["old/app".to_owned()]);
    let job = Client::job(&server);
    let moved = job.get("/projects/old%2Fapp/releases/v1%2E0").expect(301);
    let there = format!("{}/api/v4/projects/42/releases/v1%2E0", server.url());
    assert_eq!(moved.header("Location"), Some(there.as_str()));
    server.gitlab(|gitlab| (gitlab.rate_limit, gitlab.throttles) = (Some(1), 2));
    let answers = [(); 4].map(|()| job.get("/projects/42/releases"));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 429, 429, 200]);
    assert_eq!((answers[1].header("Retry-After"), answers[1].text.trim()), (Some("1"), "Retry later"));
}

#[test]
fn failures_meet_the_requests_that_are_meant() {
    let server = server();
    let user = Client::user(&server, 8, &["api"]);
    let inject = |text, failure| server.inject(Fault { step: Step::ApiCall(text), failure, times: 1 });
    inject("POST /api/v4/projects/42/merge_requests/1/notes", Failure::CutAfter);
    let notes = "/projects/42/merge_requests/1/notes";
    user.get(notes).expect(200);
    assert!(user.try_to("POST", notes, &json!({ "body": "Done, though nobody hears of it" })).is_none());
    assert_eq!(user.get(notes).json()[0]["body"], "Done, though nobody hears of it");
    inject("/issues", Failure::Slow(Duration::from_millis(300)));
    let start = Instant::now();
    user.get(notes).expect(200);
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    user.get("/projects/42/issues").expect(200);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    let asked: Vec<_> = server.api_requests().into_iter().map(|seen| (seen.method, seen.status)).collect();
    let expected = [("GET", Some(200)), ("POST", None), ("GET", Some(200)), ("GET", Some(200)), ("GET", Some(200))];
    assert_eq!(asked, expected.map(|(method, status)| (method.to_owned(), status)));
    assert!(server.requests().is_empty());
    // an answer that is late does not hold the server up when it stops
    inject("/issues", Failure::Slow(Duration::from_secs(60)));
    let (url, token) = (server.url(), server.gitlab(|gitlab| gitlab.access_token(8, &["api"])));
    let late =
        std::thread::spawn(move || super::clients::exchange(&url, "PRIVATE-TOKEN", &token, "GET", "/projects/42/issues", ""));
    while server.api_requests().len() < 6 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let start = Instant::now();
    drop(server);
    late.join().expect("a thread");
    assert!(start.elapsed() < Duration::from_secs(5), "slow to stop");
}
