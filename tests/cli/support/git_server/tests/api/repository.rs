//! What comes from the real repository.

use super::Client;
use crate::support::git_server::GitServer;
use crate::support::git_server::tests::{Client as Git, job_url, url};
use serde_json::json;

#[test]
fn files_and_commits_are_those_of_the_repository() {
    let server = GitServer::http();
    let git = Git::new(&server);
    std::fs::create_dir(git.folder.path().join("docs")).unwrap();
    std::fs::write(git.folder.path().join("docs/a b.md"), "one\ntwo\n").unwrap();
    git.done(&["add", "."]);
    git.commit("Docs: two lines");
    let sha = git.done(&["rev-parse", "HEAD"]);
    git.done(&["push", "--quiet", &job_url(&server), "HEAD:main", "HEAD~1:refs/heads/feature/old"]);

    let job = Client::job(&server);
    let file = "/projects/42/repository/files/docs%2Fa%20b.md/raw";
    assert_eq!(job.get(file).expect(200).text, "one\ntwo\n");
    assert_eq!(job.get(&format!("{file}?ref=main")).expect(200).text, "one\ntwo\n");
    assert_eq!(job.get(&format!("{file}?ref={sha}")).expect(200).header("X-Gitlab-Commit-Id"), Some(sha.as_str()));
    let missing = job.get(&format!("{file}?ref=feature%2Fold")).expect(404);
    assert_eq!(missing.body(), json!({ "message": "404 File Not Found" }));
    job.get(&format!("{file}?ref=none")).expect(404);
    job.get("/projects/42/repository/files/docs/raw").expect(404);

    let commit = job.get(&format!("/projects/42/repository/commits/{sha}")).json();
    assert_eq!(
        (&commit["id"], &commit["title"], &commit["author_name"]),
        (&json!(sha), &json!("Docs: two lines"), &json!("Ada"))
    );
    assert_eq!(commit["stats"], json!({ "additions": 2, "deletions": 0, "total": 2 }));
    assert_eq!(commit["parent_ids"].as_array().unwrap().len(), 1);
    let old = job.get("/projects/42/repository/commits/feature%2Fold?stats=false").json();
    assert_eq!((&old["title"], old.get("stats")), (&json!("first"), None));
    let missing = job.get(&format!("/projects/42/repository/commits/{}", "f".repeat(40))).expect(404);
    assert_eq!(missing.body(), json!({ "message": "404 Commit Not Found" }));
    assert_eq!(Client::user(&server, 7, &["read_api"]).get("/projects/grp%2Fapp").json()["default_branch"], "main");
}

#[test]
fn a_commit_leads_to_the_merge_requests_that_brought_it() {
    let server = GitServer::http();
    let git = Git::new(&server);
    git.done(&["push", "--quiet", &job_url(&server), "HEAD:main"]);
    let sha = git.done(&["rev-parse", "HEAD"]);
    let [merged, squashed, head, within] = ["a", "b", "c", "d"].map(|digit| digit.repeat(40));
    server.gitlab(|gitlab| {
        gitlab.merge_request(1, 7).sha = head.clone();
        gitlab.merge(1, 8, &merged);
        gitlab.merge_request_mut(1).squash_commit_sha = Some(squashed.clone());
        gitlab.merge_request(2, 7).commits = vec![within.clone(), merged.clone()];
    });
    let job = Client::job(&server);
    let found = |sha: &str, parameters: &str| {
        job.get(&format!("/projects/42/repository/commits/{sha}/merge_requests{parameters}")).each("iid")
    };
    assert_eq!(found(&merged, ""), [2, 1]);
    assert_eq!(found(&merged, "?state=merged"), [1]);
    assert_eq!([found(&squashed, ""), found(&head, "")], [[1], [1]]);
    assert_eq!(found(&within, ""), [2]);
    // what was pushed to the branch without one
    assert!(found(&sha, "").is_empty());
    job.get(&format!("/projects/42/repository/commits/{}/merge_requests", "f".repeat(40))).expect(404);
}

#[test]
fn access_tokens_are_gits_passwords_too() {
    let server = GitServer::http();
    let git = Git::new(&server);
    server.gitlab(|gitlab| gitlab.member(8, 30).expires_at = None);
    let (denied, no_upload) = ("HTTP Basic: Access denied", "remote: You are not allowed to upload code.");
    for (user, scopes, on_fetch, on_push) in [
        (8, &["write_repository"][..], "", ""),
        (8, &["read_api", "read_repository"], "", no_upload),
        (8, &["read_api"], denied, denied),
        (9, &["api"], "", no_upload),
        (8, &["api"], "", ""),
    ] {
        let token = server.gitlab(|gitlab| gitlab.access_token(user, scopes));
        let url = url(&server, "chen", &token, "grp/app.git");
        git.judge(&["ls-remote", &url], on_fetch);
        git.judge(&["push", "--quiet", &url, "HEAD:main"], on_push);
        server.gitlab(|gitlab| gitlab.revoke(&token));
        git.judge(&["ls-remote", &url], denied);
    }
}
