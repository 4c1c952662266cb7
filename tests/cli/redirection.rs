//! A variable that names another server or project: nothing is sent there, and nothing is said to be recorded.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};

const RUN: [&str; 8] = ["run", "-e", "production", "--timeout", "3", "--", "touch", "ran"];

struct Job {
    server: GitServer,
    evil: GitServer,
    env: TestEnv,
}

impl Job {
    /// A job, and another server whose project has all that a log needs.
    fn new() -> Self {
        let (server, evil) = (GitServer::http(), GitServer::http());
        let mut env = TestEnv::gitlab_job(&server);
        env.set("DEPLOY_RECORD_TOKEN", server.job_token());
        env.git(&["push", "--quiet", &evil.repository().display().to_string(), "HEAD:main"]);
        Job { server, evil, env }
    }

    fn origin(&self, url: &str) {
        self.env.git(&["config", "remote.origin.url", url]);
    }

    fn server_is(&mut self, url: &str, path: &str) {
        self.env.set("CI_SERVER_URL", url);
        self.env.set("CI_PROJECT_PATH", path);
        self.env.set("CI_PROJECT_URL", &format!("{url}/{path}"));
    }

    /// Nothing is sent, nothing runs, and no token is shown.
    #[track_caller]
    fn refuses(&self) -> Output {
        let before = self.server.requests().len();
        let output = self.env.deploy_record(&RUN);
        output.expect(2).says("ci-contradiction");
        assert!(!self.env.path().join("ran").exists());
        assert_eq!((self.evil.requests().len(), self.server.requests().len()), (0, before), "{:?}", self.evil.requests());
        assert!(!output.stderr.contains(self.server.job_token()), "{}", output.stderr);
        let spool = std::fs::read_dir(self.env.path().join(".deploy-record/spool")).into_iter().flatten().flatten();
        assert_eq!(spool.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "json")).count(), 0);
        output
    }
}

#[test]
fn one_variable_that_names_another_server_is_refused() {
    let mut job = Job::new();
    for url in [&format!("{}/grp/app", job.evil.url()), "nowhere", "ssh://git@127.0.0.1/grp/app", "https://127.0.0.1:1/grp/app"]
    {
        job.env.set("CI_PROJECT_URL", url);
        let expected = format!("make `{}/grp/app`", job.server.url());
        job.refuses().says(url.rsplit('@').next().expect("a part")).says(&expected);
    }
    job.env.set("CI_PROJECT_URL", &format!("{}/grp/other", job.server.url()));
    job.refuses();
    job.env.set("CI_PROJECT_URL", &format!("{}/grp/app", job.server.url()));
    job.env.set("CI_SERVER_URL", &job.evil.url());
    job.refuses();
}

#[test]
fn variables_that_agree_are_held_against_the_checkout() {
    let mut job = Job::new();
    let (evil, own) = (job.evil.url(), job.server.url());
    job.server_is(&evil, "grp/app");
    job.refuses().says(&format!("at `{evil}/grp/app.git`")).says(&format!("`origin` is `{own}/grp/app.git`"));
    // a folder that is no checkout does not hide it
    let empty = job.env.beside("empty");
    std::fs::create_dir(&empty).expect("a folder");
    job.env.set("CI_PROJECT_DIR", &empty.display().to_string());
    job.refuses();
    job.server_is(&own, "grp/other");
    job.refuses();
    job.server_is(&own, "grp/app");
    job.env.deploy_record(&RUN).expect(0).says("record 2:");
    assert!(job.evil.requests().is_empty());
}

#[test]
fn an_origin_with_a_token_counts_and_is_not_shown() {
    let mut job = Job::new();
    let (host, token) = (job.server.url().replace("http://", ""), job.server.job_token().to_owned());
    job.origin(&format!("http://gitlab-ci-token:{token}@{host}/grp/app.git"));
    job.env.deploy_record(&RUN).expect(0).says("record 2:");
    std::fs::remove_file(job.env.path().join("ran")).expect("it ran");
    // a password that no variable has is not told from what is no secret but by its place
    job.origin(&format!("http://ann:pass-word?x@{host}/grp/other.git"));
    let output = job.refuses();
    assert!(!output.says(&format!("http://{host}/grp/other.git")).stderr.contains("pass-word"), "{}", output.stderr);
    job.env.set("CI_PROJECT_URL", &format!("http://ann:pass-word@{host}/grp/app"));
    assert!(!job.refuses().stderr.contains("pass-word"));
}

#[test]
fn an_origin_over_ssh_has_the_same_host_and_project() {
    let job = Job::new();
    for origin in ["git@127.0.0.1:grp/app.git", "ssh://git@127.0.0.1:2222/grp/App"] {
        job.origin(origin);
        job.env.deploy_record(&RUN).expect(0);
    }
    std::fs::remove_file(job.env.path().join("ran")).expect("it ran");
    for origin in
        ["git@localhost:grp/app.git", "git@127.0.0.1:grp/other.git", "git://127.0.0.1/grp/app.git", "http://127.0.0.1/grp/app"]
    {
        job.origin(origin);
        job.refuses().says("git remote set-url origin");
    }
}

#[test]
fn a_relative_url_root_and_a_checkout_without_origin_are_as_good() {
    let mut job = Job::new();
    let repository = job.server.add_repository("gitlab/grp/app.git");
    job.env.git(&["push", "--quiet", &repository.display().to_string(), "HEAD:main"]);
    let url = format!("{}/gitlab", job.server.url());
    job.server_is(&format!("{url}/"), "grp/app");
    job.env.set("CI_PROJECT_URL", &format!("{url}/grp/app"));
    for origin in [&format!("{url}/grp/app.git"), "git@127.0.0.1:grp/app.git", "/srv/mirror.git"] {
        job.origin(origin);
        job.env.deploy_record(&RUN).expect(0);
    }
    job.env.git(&["remote", "remove", "origin"]);
    job.env.deploy_record(&RUN).expect(0);
    assert_eq!(job.env.records(&repository).len(), 8);
    std::fs::remove_file(job.env.path().join("ran")).expect("it ran");
    job.env.git(&["remote", "add", "origin", &job.server.project_url()]);
    job.refuses();
    job.env.set("CI_PROJECT_PATH", "../../x");
    job.refuses();
}

/// Commits this configuration.
fn configure(env: &TestEnv, text: &str) {
    std::fs::write(env.path().join(".deploy-record.yml"), text).expect("a configuration");
    env.git(&["add", ".deploy-record.yml"]);
    env.commit("Configure");
}

#[test]
fn a_configuration_that_a_variable_names_sends_no_token_elsewhere() {
    let mut job = Job::new();
    let config = job.env.beside("config.yml");
    std::fs::write(&config, format!("log: {{ url: \"{}\" }}\n", job.evil.project_url())).expect("written");
    job.env.set("DEPLOY_RECORD_CONFIG", &config.display().to_string());
    job.env.deploy_record(&RUN).expect(2).says("policy-override");
    assert!(job.evil.requests().is_empty(), "{:?}", job.evil.requests());
}

#[test]
fn while_the_server_is_down_a_commit_weakens_nothing() {
    let mut job = Job::new();
    let evil = format!("log: {{ url: \"{}\" }}\nlog_unreachable: {{ routine: go }}\n", job.evil.project_url());
    let of_main = job.env.git(&["rev-parse", "HEAD"]);
    configure(&job.env, &evil);
    let of_branch = job.env.git(&["rev-parse", "HEAD"]);
    job.server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
    let ran = job.env.path().join("ran");

    // a commit that is not checked out, or that anybody may have pushed, decides nothing at all
    job.env.git(&["checkout", "--quiet", &of_main]);
    job.env.set("CI_COMMIT_SHA", &of_branch);
    job.env.deploy_record(&RUN).expect(2).says("ci-contradiction").says(&of_branch).says(&of_main);
    job.env.git(&["checkout", "--quiet", &of_branch]);
    job.env.set("CI_COMMIT_REF_PROTECTED", "false");
    job.env.deploy_record(&RUN).expect(3).says("only on a protected branch");
    assert!(!ran.exists());

    // one that is: not where the log is, nor is there anything beside it that does
    job.env.set("CI_COMMIT_REF_PROTECTED", "true");
    for name in ["DEPLOY_RECORD_LOG", "DEPLOY_RECORD_BRANCH", "DEPLOY_RECORD_CONFIG", "DEPLOY_RECORD_ALLOWED_SIGNERS"] {
        job.env.set(name, &job.evil.project_url());
        job.env.deploy_record(&RUN).expect(2).says("policy-override").says("could not be reached");
        job.env.unset(name);
    }
    assert!(!ran.exists());
    job.env.deploy_record(&RUN).expect(0).says("SPOOLED");
    assert!(job.evil.requests().is_empty(), "{:?}", job.evil.requests());
    assert!(ran.exists());
}

#[test]
fn what_the_server_did_not_decide_is_not_appended() {
    let job = Job::new();
    configure(&job.env, "service: api\n");
    job.env.git(&["push", "--quiet", &job.server.repository().display().to_string(), "HEAD:main"]);
    let mut env = job.env;
    env.set("CI_COMMIT_SHA", &env.git(&["rev-parse", "HEAD"]));
    // down while it is asked what decides, and there again a moment later
    job.server.inject(Fault { step: Step::RefsForFetch, failure: Failure::HtmlError(200), times: 3 });
    env.deploy_record(&["record", "-e", "production", "--version", "1", "--status", "success"]).expect(3).says("SPOOLED");
    env.deploy_record(&["replay"]).expect(0).shows("record 1");
}
