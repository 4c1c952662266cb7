//! Deployments and environments.

use super::Client;
use crate::support::git_server::GitServer;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn server() -> GitServer {
    let server = GitServer::http();
    server.gitlab(|gitlab| {
        gitlab.clock_offset = TimeDelta::days(-3);
        gitlab.deployment("production", &"a".repeat(40), 300, 7, "success");
        gitlab.clock_offset = TimeDelta::days(-2);
        gitlab.deployment("staging", &"b".repeat(40), 301, 7, "success");
        gitlab.clock_offset = TimeDelta::days(-1);
        gitlab.deployment("production", &"b".repeat(40), 302, 8, "failed");
        gitlab.clock_offset = TimeDelta::zero();
        gitlab.deployment("production", &"c".repeat(40), 303, 8, "success");
        gitlab.deployment("production", &"d".repeat(40), 304, 7, "running");
    });
    server
}

#[test]
fn deployments_are_found_by_environment_status_and_time() {
    let server = server();
    let job = Client::job(&server);
    let recent = (chrono::Utc::now() - TimeDelta::hours(36)).format("%Y-%m-%dT%H:%M:%SZ");
    for (parameters, expected) in [
        ("", &[41, 42, 43, 44, 45][..]),
        ("environment=production&status=success&order_by=id&sort=desc&per_page=2", &[44, 41]),
        ("environment=production&status=running", &[45]),
        ("environment=prod", &[]),
        (&format!("updated_after={recent}&order_by=updated_at&sort=desc"), &[45, 44, 43]),
        (&format!("finished_after={recent}&order_by=finished_at&status=success"), &[44]),
        (&format!("finished_before={recent}&order_by=finished_at&status=success&sort=desc"), &[42, 41]),
    ] {
        assert_eq!(job.get(&format!("/projects/42/deployments?{parameters}")).each("id"), expected, "{parameters}");
    }
    let refused = |parameters: &str| {
        let answer = job.get(&format!("/projects/42/deployments?{parameters}")).expect(400).body();
        answer["message"].as_str().unwrap().to_owned()
    };
    let paired = "`finished_at` filter and `finished_at` sorting must be paired";
    assert_eq!(refused("order_by=finished_at&status=success"), paired);
    assert_eq!(refused(&format!("finished_after={recent}&status=success")), paired);
    let with_success = "`finished_at` filter must be combined with `success` status filter.";
    assert_eq!(refused(&format!("finished_after={recent}&order_by=finished_at")), with_success);
    let both = "Both `updated_at` filter and `finished_at` filter can not be specified";
    assert_eq!(refused(&format!("finished_after={recent}&updated_after={recent}&order_by=finished_at&status=success")), both);
}

#[test]
fn a_deployment_tells_its_job_and_on_premium_who_approved_it() {
    let server = server();
    let job = Client::job(&server);
    server.gitlab(|gitlab| {
        gitlab.merge_request(1, 7);
        gitlab.merge_request(2, 7);
        let deployment = gitlab.deployment_mut(44);
        deployment.merge_requests = vec![2];
        deployment.required_approvals = 2;
        deployment.deployable.as_mut().unwrap().pipeline = 575;
        gitlab.approve_deployment(44, 9, "Looks good to me");
        gitlab.deployment_mut(41).deployable = None;
    });
    let one = job.get("/projects/42/deployments/44").json();
    assert_eq!((&one["sha"], &one["status"], &one["ref"]), (&json!("c".repeat(40)), &json!("success"), &json!("main")));
    assert_eq!((&one["environment"]["name"], &one["user"]["username"]), (&json!("production"), &json!("chen")));
    assert_eq!((&one["deployable"]["id"], &one["deployable"]["name"]), (&json!(303), &json!("deploy")));
    assert_eq!((&one["deployable"]["pipeline"]["id"], &one["deployable"]["user"]["bot"]), (&json!(575), &json!(false)));
    assert!(one.get("approvals").is_none());
    server.gitlab(|gitlab| gitlab.is_premium = true);
    let one = job.get("/projects/42/deployments/44").json();
    assert_eq!((&one["pending_approval_count"], &one["approvals"][0]["user"]["id"]), (&json!(1), &json!(9)));
    let rule = &one["approval_summary"]["rules"][0];
    assert_eq!(rule["deployment_approvals"][0]["comment"], "Looks good to me");
    assert_eq!(job.get("/projects/42/deployments/41").json()["deployable"], Value::Null);
    assert_eq!(job.get("/projects/42/deployments/44/merge_requests").each("iid"), [2]);
    job.get("/projects/42/deployments/46").expect(404);
}

#[test]
fn environments_are_guessed_from_their_names() {
    let server = server();
    server.gitlab(|gitlab| {
        gitlab.environment("review/pay");
        gitlab.environment("shop").tier = "production".to_owned();
    });
    let job = Client::job(&server);
    assert_eq!(job.get("/projects/42/environments").each("tier"), ["production", "staging", "development", "production"]);
    assert_eq!(job.get("/projects/42/environments?name=review%2Fpay").each("slug"), ["review-pay"]);
    assert_eq!(job.get("/projects/42/environments?search=stag").each("name"), ["staging"]);
    job.get("/projects/42/environments?search=st").expect(400);
    job.get("/projects/42/environments?name=a&search=prod").expect(400);
    assert_eq!(job.get("/projects/42/environments/9").json()["last_deployment"]["id"], 44);
    server.gitlab(|gitlab| gitlab.finish_deployment(45, "success"));
    assert_eq!(job.get("/projects/42/environments/9").json()["last_deployment"]["id"], 45);
}
