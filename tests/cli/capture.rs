//! What git knows of a deployment, from checkouts as they really are.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::GitServer;
use serde_json::{Value, json};

fn record(env: &TestEnv, options: &[&str]) -> Output {
    env.deploy_record(&[&["record", "-e", "production", "--status", "success"], options].concat())
}

/// What would be recorded now.
#[track_caller]
fn draft(env: &TestEnv, options: &[&str]) -> Value {
    let output = record(env, &[&["--dry-run"], options].concat());
    serde_json::from_str(&output.expect(0).stdout).expect("JSON")
}

#[test]
fn the_version_is_the_tag_or_its_description_or_the_short_commit() {
    let env = TestEnv::new();
    let sha = env.git(&["rev-parse", "HEAD"]);
    assert_eq!(draft(&env, &[])["version"], sha[..8]);
    env.git(&["tag", "v1.9.0"]);
    env.git(&["tag", "v1.10.0"]);
    assert_eq!(draft(&env, &[])["version"], "v1.10.0");
    env.git(&["tag", "-a", "-m", "the release", "v1.2.0"]);
    assert_eq!(draft(&env, &[])["version"], "v1.2.0");
    assert_eq!(draft(&env, &["--version", "7"])["version"], "7");
    env.commit("One more");
    let short = env.git(&["rev-parse", "--short=7", "HEAD"]);
    assert_eq!(draft(&env, &[])["version"], format!("v1.2.0-1-g{short}"));
    assert_eq!(draft(&env, &["--commit", "v1.9.0"])["version"], "v1.2.0");
}

#[test]
fn a_shallow_clone_does_not_describe_by_what_it_hides() {
    let origin = TestEnv::new();
    origin.git(&["tag", "v1.0.0", "HEAD~1"]);
    origin.git(&["tag", "v2.0.0", "HEAD"]);
    for title in ["Three", "Four", "Five"] {
        origin.commit(title);
    }
    let env = TestEnv::without_repository();
    let url = format!("file://{}", origin.path().display());
    env.git(&["clone", "--quiet", "--depth", "2", &url, "."]);
    let sha = origin.git(&["rev-parse", "HEAD"]);
    assert_eq!(draft(&env, &["--log", "local"])["version"], sha[..8]);
}

#[test]
fn a_detached_head_has_a_commit_and_no_branch() {
    let env = TestEnv::new();
    assert_eq!(draft(&env, &[])["commit"]["branch"], "main");
    env.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    let commit = draft(&env, &[])["commit"].clone();
    assert_eq!((&commit["title"], &commit["branch"]), (&json!("First commit"), &Value::Null));
    assert_eq!(commit["author"], "Ann Ö.");
}

#[test]
fn changes_are_those_since_what_runs_there() {
    let env = TestEnv::new();
    record(&env, &["--version", "1"]).expect(0);
    std::fs::write(env.path().join("a"), "a").expect("a file");
    std::fs::write(env.path().join("b"), "b").expect("a file");
    env.git(&["add", "."]);
    env.commit("Fix rounding (PAY-7)\n\nUTF-8 and ISO-8601 are no tickets, OPS-12 is.\n\nSee merge request grp/app!12");
    env.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--author=Chen W. <chen@acme.example>",
        "-m",
        "More\n\nSee merge request !13",
    ]);
    let changes = draft(&env, &["--ticket", "OPS-12"])["changes"].clone();
    assert_eq!((&changes["commits"], &changes["files"]), (&json!(2), &json!(2)));
    assert_eq!(changes["authors"], json!(["Chen W.", "Ann Ö."]));
    assert_eq!(changes["tickets"], json!(["OPS-12", "PAY-7"]));
    assert_eq!(changes["merge_requests"], json!([{ "iid": 12 }, { "iid": 13 }]));
    assert_eq!(changes["incomplete"], Value::Null);
    let text = env.deploy_record(&["record", "-e", "production", "--status", "success", "--dry-run"]).stdout;
    assert!(!text.contains("chen@acme.example"), "{text}");
}

#[test]
fn history_that_a_clone_lacks_is_fetched_or_marked() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    record(&env, &["--version", "1"]).expect(0);
    for number in 0..60 {
        env.commit(&format!("Change {number}, PAY-{}", number + 1));
    }
    env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
    let sha = env.git(&["rev-parse", "HEAD"]);
    let shallow = env.beside("shallow").display().to_string();
    env.git(&["clone", "--quiet", "--depth", "3", &format!("file://{}", server.repository().display()), &shallow]);
    env.set("CI_COMMIT_SHA", &sha);
    env.set("CI_PROJECT_DIR", &shallow);
    let deepened = draft(&env, &[]);
    assert_eq!((&deepened["changes"]["commits"], &deepened["changes"]["incomplete"]), (&json!(60), &Value::Null));
    assert_eq!(deepened["provenance"]["commit"], "observed");
    let count = env.git(&["-C", &shallow, "rev-list", "--count", "HEAD"]);
    assert_eq!(count, "3", "the job's checkout is not touched");

    // a previous version that the server does not have any more
    let stray = env.git_with(&["commit-tree", "HEAD^{tree}"], b"gone");
    record(&env, &["--version", "2", "--commit", &stray]).expect(0);
    let marked = record(&env, &["--dry-run"]);
    let marked: Value = serde_json::from_str(&marked.expect(0).says("can't fetch more history").stdout).expect("JSON");
    assert_eq!(marked["changes"]["incomplete"], true);
}

#[test]
fn a_job_without_a_checkout_records_what_its_variables_say() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    let empty = env.beside("empty");
    std::fs::create_dir(&empty).expect("a folder");
    env.set("CI_PROJECT_DIR", &empty.display().to_string());
    let found = draft(&env, &[]);
    assert_eq!(found["provenance"]["commit"], "asserted");
    assert_eq!((&found["commit"]["branch"], &found["commit"]["title"]), (&json!("main"), &Value::Null));
    assert_eq!((&found["job"]["id"], &found["job"]["pipeline_id"]), (&json!(302), &json!(574)));
    assert!(!found.to_string().contains("CI_JOB_TOKEN"), "{found}");
}

#[test]
fn a_checkout_at_another_commit_is_refused_unless_that_is_named() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let of_job = env.git(&["rev-parse", "HEAD"]);
    env.git(&["checkout", "--quiet", "HEAD~1"]);
    let head = env.git(&["rev-parse", "HEAD"]);
    record(&env, &["--dry-run"]).expect(2).says("ci-contradiction").says(&of_job).says(&head);
    let output = record(&env, &["--dry-run", "--commit", &head]);
    let found: Value = serde_json::from_str(&output.expect(0).stdout).expect("JSON");
    assert_eq!((&found["commit"]["sha"], &found["provenance"]["commit"]), (&json!(head), &json!("asserted")));
}

#[test]
fn tag_pipelines_schedules_and_bots_are_told_apart() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.unset("CI_COMMIT_BRANCH");
    env.set("CI_COMMIT_TAG", "v1.4.2");
    env.set("CI_PIPELINE_SOURCE", "schedule");
    let found = draft(&env, &[]);
    assert_eq!((&found["version"], &found["commit"]["tag"]), (&json!("v1.4.2"), &json!("v1.4.2")));
    assert_eq!(found["actor"], json!({ "login": "ann", "id": 7, "automated": true }));
    env.set("GITLAB_USER_LOGIN", "project_42_bot_abc");
    env.set("CI_PIPELINE_SOURCE", "push");
    assert_eq!(draft(&env, &[])["actor"]["bot"], true);
}

#[test]
fn what_is_no_deployment_is_not_recorded_and_still_run() {
    let server = GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    env.set("CI_ENVIRONMENT_NAME", "review/fix-1");
    env.set("CI_ENVIRONMENT_TIER", "development");
    let run = ["run", "--", "sh", "-c", "echo ran; exit 4"];
    env.deploy_record(&run).expect(4).shows("ran").says("not recorded");
    env.set("CI_ENVIRONMENT_TIER", "production");
    for action in ["stop", "prepare", "verify", "access"] {
        env.set("CI_ENVIRONMENT_ACTION", action);
        env.deploy_record(&run).expect(4).shows("ran").says(&format!("`{action}`"));
        env.deploy_record(&["run", "-e", "review/fix-1", "--", "true"]).expect(0).says("not recorded");
        env.deploy_record(&["record", "--status", "success"]).expect(0).says("not recorded");
        let dry = env.deploy_record(&["run", "--dry-run", "--", "echo", "really"]);
        assert!(!dry.expect(0).stdout.contains("really"), "a dry run runs nothing");
    }
    let branches = env.git(&["-C", &server.repository().display().to_string(), "branch", "--list", "deploy-log"]);
    assert_eq!(branches, "");
    env.set("CI_ENVIRONMENT_ACTION", "start");
    env.deploy_record(&run).expect(4).says("record 2:");
    assert_eq!(env.records(server.repository())[1]["environment"]["name"], "review/fix-1");
}

#[test]
fn another_projects_code_has_nothing_of_this_repository() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    record(&env, &["--version", "app-1"]).expect(0);
    let other = "0123456789abcdef0123456789abcdef01234567";
    record(&env, &["--project", "grp/other"]).expect(2).says("which version? There is no commit at hand");
    record(&env, &["--project", "grp/other", "--commit", "HEAD"]).expect(2).says("by its full id");
    record(&env, &["--project", "grp/other", "--commit", other]).expect(0);
    let records = env.records(server.repository());
    assert_eq!(records[1]["project"], json!({ "path": "grp/other" }));
    assert_eq!(records[1]["commit"], json!({ "sha": other }));
    assert_eq!((&records[1]["version"], &records[1]["job"]["project"]), (&json!("01234567"), &json!("grp/app")));
    assert_eq!((&records[1]["previous"], &records[1]["prev_here"]), (&Value::Null, &Value::Null));
    assert_eq!(records[1]["provenance"]["commit"], "asserted");
    let status = env.deploy_record(&["status"]);
    status.expect(0).shows("grp/other").shows("app-1");
    // a project that is known by its number is found by its path, too
    record(&env, &["--project", "grp/app", "--version", "app-2"]).expect(0);
    assert_eq!(env.records(server.repository())[2]["previous"]["version"], "app-1");
}

/// Lets a repository belong to somebody else: root can give its files away, others can only use what is root's as work tree.
fn give_away(env: &TestEnv) {
    let path = env.path().join(".git").display().to_string();
    if env.run("chown".as_ref(), &["-R", "12345:12345", &path], b"").code != 0 {
        env.git(&["config", "core.worktree", "/usr"]);
    }
}

#[test]
fn a_repository_of_another_owner_is_named_with_the_remedy_and_used_in_a_job() {
    let env = TestEnv::new();
    give_away(&env);
    record(&env, &[]).expect(2).says("belongs to another user").says("safe.directory");
    let server = GitServer::http();
    let job = TestEnv::gitlab_job(&server);
    give_away(&job);
    record(&job, &["--version", "1"]).expect(0);
    let server_side = TestEnv::new();
    assert_eq!(server_side.records(server.repository())[0]["commit"]["title"], "Trust the pipeline's key");
}
