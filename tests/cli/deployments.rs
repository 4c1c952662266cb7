//! What GitLab's own list of deployments tells: where a job deploys, who ran it, who approved it, and that the log lacks something.

use crate::gate::rig::{Team, codes};
use crate::merge_requests::{ANN, CHEN, DANA, EVE, POLICY, merged, team};
use crate::support::git_server::GitServer;
use serde_json::json;

/// A deployment by this job, as GitLab sees it from its beginning to its end.
fn deploy(team: &mut Team, server: &GitServer, version: &str) -> u64 {
    team.next_job();
    let (sha, job) = (team.env.git(&["rev-parse", "HEAD"]), team.job_number());
    let id = server.gitlab(|gitlab| gitlab.deployment("production", &sha, job, ANN, "running"));
    team.deploy(version, &[]).expect(0);
    end(server, id);
    id
}

fn end(server: &GitServer, id: u64) {
    server.gitlab(|gitlab| {
        let now = gitlab.now();
        let deployment = gitlab.deployment_mut(id);
        deployment.status = "success".to_owned();
        (deployment.updated_at, deployment.finished_at) = (now, Some(now));
    });
}

/// Two deployments, and the branch as it was before the second one.
fn with_two(server: &GitServer) -> (Team, String) {
    let mut team = team(server, POLICY);
    merged(&mut team, server, 120, "main.rs");
    deploy(&mut team, server, "1.1");
    let before = team.env.git(&["-C", &team.log.display().to_string(), "rev-parse", "deploy-log"]);
    merged(&mut team, server, 121, "main.rs");
    deploy(&mut team, server, "1.2");
    (team, before)
}

fn move_log(team: &Team, to: &str) {
    let folder = team.log.display().to_string();
    match to {
        "" => team.env.git(&["-C", &folder, "update-ref", "-d", "refs/heads/deploy-log"]),
        to => team.env.git(&["-C", &folder, "update-ref", "refs/heads/deploy-log", to]),
    };
}

#[test]
fn a_rewound_log_is_noticed_and_not_gone_on_with() {
    let server = GitServer::http();
    let (mut team, before) = with_two(&server);
    let first = team.env.git(&["rev-parse", "HEAD~2"]);
    let newest = team.env.git(&["-C", &team.log.display().to_string(), "rev-parse", "deploy-log"]);
    merged(&mut team, &server, 122, "main.rs");
    team.check(0, &[]);
    move_log(&team, &before);
    let check = team.run(&["check", "-e", "production"]);
    check.expect(3).says("it was rewound or deleted").says("push them back").says("deploy-record record");
    // whatever the job says that it is called
    team.env.set("CI_JOB_NAME", "mine");
    team.run(&["check", "-e", "production"]).expect(3);
    team.env.set("CI_JOB_NAME", "deploy");
    team.deploy("1.3", &[]).expect(3).says("it was rewound or deleted");
    assert!(!team.ran("1.3"));
    assert_eq!(team.env.git(&["-C", &team.log.display().to_string(), "rev-parse", "deploy-log"]), before);
    // a rollback is not stopped, and waits in the spool
    team.back_to(&first);
    team.deploy("1.0", &["--reason", "logins are slow"]).expect(0).says("SPOOLED");
    // whoever breaks the glass goes on, on record
    team.env.git(&["checkout", "--quiet", "main"]);
    team.push();
    team.deploy("1.3", &["--break-glass", "the site is down"]).expect(0).says("SPOOLED");
    move_log(&team, &newest);
    team.check(0, &[]);
}

#[test]
fn a_deleted_log_is_not_begun_anew() {
    let server = GitServer::http();
    let (mut team, _) = with_two(&server);
    merged(&mut team, &server, 122, "main.rs");
    move_log(&team, "");
    team.run(&["check", "-e", "production"]).expect(3).says("does not exist, but GitLab shows");
    let mut pipeline = |iid: u64, text: &str| {
        let sha = team.commit(&[(".gitlab-ci.yml", text)], "The pipeline");
        server.gitlab(|gitlab| {
            gitlab.merge_request(iid, ANN);
            gitlab.merge(iid, EVE, &sha);
            gitlab.deployment("production", &sha, 800 + iid, ANN, "success");
        });
        sha
    };
    // what was deployed before the pipeline had the program is no sign of a log
    pipeline(123, "deploy: { script: [ ./deploy.sh ] }");
    let sha = pipeline(124, "deploy: { script: [ deploy-record run -- ./deploy.sh ] }");
    merged(&mut team, &server, 125, "main.rs");
    let check = team.run(&["check", "-e", "production"]);
    check.expect(3).says("does not exist, but GitLab shows a deployment").says("job 924");
    team.deploy("1.3", &[]).expect(3);
    assert!(!team.ran("1.3"));
    // by hand it is begun anew on purpose: the job's deployment is on record then
    let mut laptop = team.machine_of("chen");
    laptop.set("DEPLOY_RECORD_TOKEN", server.job_token());
    let log = server.project_url();
    laptop
        .deploy_record(&[
            "--log",
            &log,
            "record",
            "-e",
            "production",
            "--commit",
            &sha,
            "--version",
            "1.2",
            "--status",
            "success",
        ])
        .expect(0)
        .says("new-log");
    team.deploy("1.3", &[]).expect(0);
}

#[test]
fn deployments_by_jobs_that_do_not_record_are_no_gap() {
    let server = GitServer::http();
    let (mut team, _) = with_two(&server);
    merged(&mut team, &server, 122, "main.rs");
    let sha = team.env.git(&["rev-parse", "HEAD"]);
    let id = server.gitlab(|gitlab| gitlab.deployment("production", &sha, 901, ANN, "success"));
    team.next_job();
    team.run(&["check", "-e", "production"]).expect(3).says("that deployment was not recorded");
    server.gitlab(|gitlab| {
        let job = gitlab.deployment_mut(id).deployable.as_mut().expect("a job");
        job.name = "migrate".to_owned();
    });
    team.check(0, &[]);
    server.gitlab(|gitlab| gitlab.deployment_mut(id).deployable = None);
    team.check(0, &[]);
}

#[test]
fn a_variable_that_names_another_environment_is_refused() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let (sha, job) = (team.env.git(&["rev-parse", "HEAD"]), team.job_number());
    server.gitlab(|gitlab| gitlab.deployment("production", &sha, job, ANN, "running"));
    team.env.set("CI_ENVIRONMENT_NAME", "staging");
    for command in [&["run", "--", "touch", "ran-x"][..], &["check"], &["start"]] {
        let output = team.run(command);
        output.expect(2).says("CI_ENVIRONMENT_NAME is `staging`").says("deploys to `production`");
    }
    assert!(!team.ran("x"));
    team.env.set("CI_ENVIRONMENT_NAME", "production");
    team.run(&["check"]).expect(1);
    team.env.set("CI_DEFAULT_BRANCH", "mine");
    team.run(&["check"]).expect(2).says("CI_DEFAULT_BRANCH is `mine`").says("default branch is `main`");
}

#[test]
fn a_job_that_only_records_names_who_pressed_play() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    let sha = team.env.git(&["rev-parse", "HEAD"]);
    team.next_job();
    let deployment = server.gitlab(|gitlab| {
        let id = gitlab.deployment("production", &sha, 700, ANN, "success");
        // the deployment keeps who started the pipeline; the job's user is who pressed Play
        gitlab.deployment_mut(id).deployable.as_mut().expect("a job").user = Some(DANA);
        id
    });
    let record = ["record", "-e", "production", "--version", "1.1", "--status", "success"];
    team.run(&record).expect(0);
    let newest = team.newest();
    assert_eq!((&newest["actor"]["login"], &newest["actor"]["id"]), (&json!("dana"), &json!(9)));
    assert_eq!((&newest["job"]["id"], &newest["provenance"]["actor"]), (&json!(700), &json!("fetched")));
    assert_eq!(newest["provenance"]["environment"], "fetched");
    // a retried step records the same job once
    team.next_job();
    team.run(&record).expect(0);
    assert_eq!(team.newest()["seq"], newest["seq"]);
    // another pipeline's is not taken for it
    team.next_job();
    server.gitlab(|gitlab| gitlab.deployment_mut(deployment).deployable.as_mut().expect("a job").pipeline = 1);
    team.run(&["record", "-e", "production", "--version", "1.1", "--status", "failed"]).expect(0);
    assert_eq!(team.newest()["actor"]["login"], "ann");
}

#[test]
fn approvers_of_a_protected_environment_are_heard() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "billing/tax.rs");
    let (sha, job) = (team.env.git(&["rev-parse", "HEAD"]), team.job_number());
    let id = server.gitlab(|gitlab| {
        gitlab.is_premium = true;
        gitlab.deployment("production", &sha, job, ANN, "running")
    });
    team.check(1, &[]);
    server.gitlab(|gitlab| gitlab.approve_deployment(id, EVE, "fine"));
    assert!(codes(&team.check(1, &[])).contains(&"approval-not-approver"));
    server.gitlab(|gitlab| gitlab.approve_deployment(id, CHEN, "looked at the tax change"));
    let allowed = team.check(0, &[]);
    assert_eq!(
        (&allowed["approval"]["source"], &allowed["approval"]["note"]),
        (&json!("deployment-approval"), &json!("looked at the tax change"))
    );
    // whoever rejects it is heard, too
    server.gitlab(|gitlab| {
        gitlab.approve_deployment(id, DANA, "not today");
        gitlab.deployment_mut(id).approvals.last_mut().expect("an approval").status = "rejected".to_owned();
    });
    assert!(codes(&team.check(1, &[])).contains(&"deployment-rejected"));
}

#[test]
fn a_variable_does_not_protect_a_branch() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    server.gitlab(|gitlab| gitlab.project.unprotected.push("main".to_owned()));
    team.deploy("1.1", &[]).expect(2).says("GitLab says that this branch or tag is not protected");
    let record = ["record", "-e", "production", "--version", "1.1", "--status", "success"];
    team.run(&record).expect(2).says("not protected");
    // a branch whose name begins like it is another one
    server.gitlab(|gitlab| gitlab.project.unprotected = vec!["mai".to_owned(), "main2".to_owned()]);
    team.deploy("1.1", &[]).expect(0);
    // of a tag pipeline it is the tag that counts
    team.env.git(&["tag", "v2"]);
    team.env.git(&["push", "--quiet", &team.log.display().to_string(), "v2"]);
    team.env.unset("CI_COMMIT_BRANCH");
    team.env.set("CI_COMMIT_TAG", "v2");
    server.gitlab(|gitlab| gitlab.project.unprotected = vec!["v2".to_owned()]);
    team.deploy("v2", &[]).expect(2).says("not protected");
}

#[test]
fn a_freeze_that_is_set_in_gitlab_counts() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    merged(&mut team, &server, 120, "main.rs");
    team.env.set("CI_DEPLOY_FREEZE", "true");
    assert!(codes(&team.check(1, &[])).contains(&"freeze"));
    team.check(0, &["--break-glass", "the site is down"]);
    team.env.set("CI_DEPLOY_FREEZE", "false");
    team.check(0, &[]);
}

#[test]
fn a_variable_does_not_make_production_another_tier() {
    let server = GitServer::http();
    let mut team = team(&server, "approval: { approvers: [chen] }");
    let (sha, job) = (team.env.git(&["rev-parse", "HEAD"]), team.job_number());
    server.gitlab(|gitlab| gitlab.deployment("production", &sha, job, ANN, "running"));
    team.env.set("CI_ENVIRONMENT_NAME", "production");
    team.env.set("CI_ENVIRONMENT_TIER", "development");
    let run = team.run(&["run", "--", "touch", "ran-x"]);
    run.expect(2).says("CI_ENVIRONMENT_TIER is `development`").says("of the tier `production`");
    assert!(!team.ran("x"));
    // a review app is none of those that are recorded, as GitLab says, too
    team.env.set("CI_ENVIRONMENT_NAME", "review/fix-1");
    server.gitlab(|gitlab| gitlab.deployments.clear());
    team.run(&["run", "--", "touch", "ran-x"]).expect(0).says("not recorded");
}

#[test]
fn what_ended_before_the_newest_record_or_began_before_the_log_is_no_sign_of_a_cut() {
    let server = GitServer::http();
    let mut team = team(&server, POLICY);
    // times on record are whole seconds
    std::thread::sleep(std::time::Duration::from_millis(1100));
    merged(&mut team, &server, 120, "main.rs");
    deploy(&mut team, &server, "1.1");
    merged(&mut team, &server, 121, "main.rs");
    let sha = team.env.git(&["rev-parse", "HEAD"]);
    let id = server.gitlab(|gitlab| gitlab.deployment("production", &sha, 901, ANN, "success"));
    team.next_job();
    team.run(&["check", "-e", "production"]).expect(3);
    let records = team.records();
    let at = |record: &serde_json::Value| record["recorded_at"].as_str().expect("a time").parse().expect("a time");
    let (first, last): (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>) =
        (at(&records[0]), at(records.last().expect("records")));
    let with = |began, ended| {
        server.gitlab(|gitlab| {
            let deployment = gitlab.deployment_mut(id);
            (deployment.created_at, deployment.updated_at) = (began, ended);
        });
        team.run(&["check", "-e", "production"]).code
    };
    let second = chrono::TimeDelta::seconds(1);
    assert_eq!(with(first, last), 3);
    assert_eq!(with(first, last - second), 0, "a later record was made since, so nothing was cut off");
    assert_eq!(with(first - second, last), 0, "there was no log yet");
}
