//! A team: `ann` writes and deploys, `chen` and `dana` may approve, and a policy stands on the default branch.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What most of it is about; `ann` is the author of all commits.
pub const POLICY: &str = r#"
environments:
  production: { tier: production }
sensitive:
  billing: { paths: ["billing/**"] }
emergency: { branches: ["hotfix/*"] }
approval: { approvers: [dana, chen] }
people: { ann: { git: ["ann@acme.example"] } }
"#;

const PEOPLE: [&str; 4] = ["ann", "chen", "dana", "eve"];

/// Their repository, and where they deploy from: a laptop, or a job.
pub struct Team {
    pub env: TestEnv,
    /// The repository that has the log.
    pub log: PathBuf,
    /// From where others clone.
    origin: String,
    is_job: bool,
    jobs: u64,
}

impl Team {
    /// At ann's laptop, with the log in the repository.
    pub fn laptop(policy: &str) -> Team {
        let env = TestEnv::new();
        let (log, origin) = (env.path(), env.path().display().to_string());
        let mut team = Team { env, log, origin, is_job: false, jobs: 302 };
        let pipeline = team.env.key("ci", "ed25519");
        team.set_up(policy, &pipeline);
        team
    }

    /// In a job that ann's push started, with the log at the server.
    pub fn job(server: &GitServer, policy: &str) -> Team {
        let env = TestEnv::gitlab_job(server);
        let origin = server.project_url().replace("http://", &format!("http://oauth2:{}@", server.job_token()));
        let mut team = Team { env, log: server.repository().to_owned(), origin, is_job: true, jobs: 302 };
        let pipeline = team.env.beside("ci");
        team.set_up(policy, &pipeline);
        team
    }

    fn set_up(&mut self, policy: &str, pipeline: &Path) {
        let people = PEOPLE.map(|name| (name, self.env.key(name, "ed25519")));
        let all = people.iter().map(|(name, key)| (*name, key.as_path())).chain([("ci:main", pipeline)]);
        let lines: String =
            all.map(|(name, key)| std::fs::read_to_string(self.env.trust(name, key)).expect("a line")).collect();
        self.write(".deploy-record/allowed_signers", &lines);
        self.write("main.rs", "1");
        self.commit(&[(".deploy-record.yml", policy)], "The policy");
        if !self.is_job {
            std::fs::write(self.env.path().join(".git/info/exclude"), "ran*\n").expect("written");
        }
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.env.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("written");
        self.env.git(&["add", "--", path]);
    }

    /// Commits these files; in a job, the commit is pushed, and the next job is for it.
    pub fn commit(&mut self, files: &[(&str, &str)], message: &str) -> String {
        files.iter().for_each(|(path, text)| self.write(path, text));
        self.env.commit(message);
        self.push()
    }

    /// Commits nothing new, and does not push it: the next job is for it all the same.
    pub fn commit_here(&mut self, message: &str) {
        self.env.commit(message);
        let sha = self.env.git(&["rev-parse", "HEAD"]);
        self.env.set("CI_COMMIT_SHA", &sha);
        self.next_job();
    }

    /// Brings what was committed by hand to the server, for the next job.
    pub fn push(&mut self) -> String {
        let sha = self.env.git(&["rev-parse", "HEAD"]);
        if self.is_job {
            let branch = self.env.git(&["branch", "--show-current"]);
            self.env.git(&["push", "--quiet", &self.log.display().to_string(), &format!("+HEAD:{branch}")]);
            self.env.set("CI_COMMIT_SHA", &sha);
            self.env.set("CI_COMMIT_BRANCH", &branch);
            self.next_job();
        }
        sha
    }

    /// Commits a file on the default branch at the server, as somebody else does; the job's own checkout stays as it is.
    pub fn write_to_main(&self, path: &str, text: &str) {
        let other = TestEnv::without_repository();
        other.git(&["clone", "--quiet", &self.origin, "."]);
        std::fs::write(other.path().join(path), text).expect("written");
        other.git(&["commit", "--quiet", "--all", "-m", "Meanwhile"]);
        other.git(&["push", "--quiet", &self.log.display().to_string(), "HEAD:main"]);
    }

    /// Takes over what others brought to the server's default branch.
    pub fn pull(&self) {
        self.env.git(&["pull", "--quiet", "--rebase", &self.log.display().to_string(), "main"]);
    }

    /// From now on the server answers nothing, and nobody waits for it.
    pub fn cut_off(&mut self, server: &GitServer) {
        down(server);
        self.env.set("DEPLOY_RECORD_TIMEOUT", "2");
    }

    /// The server is back.
    pub fn reconnect(&mut self, server: &GitServer) {
        server.clear_faults();
        self.env.unset("DEPLOY_RECORD_TIMEOUT");
    }

    /// Goes to another branch, made where it is not there.
    pub fn branch(&mut self, name: &str) {
        self.env.git(&["checkout", "--quiet", "-B", name]);
    }

    /// Goes to an earlier commit, as GitLab's Rollback button does.
    pub fn back_to(&mut self, sha: &str) {
        self.env.git(&["checkout", "--quiet", "--detach", sha]);
        if self.is_job {
            self.env.set("CI_COMMIT_SHA", sha);
            self.next_job();
        }
    }

    /// What Retry on a job does: a new job.
    pub fn next_job(&mut self) {
        self.jobs += 1;
        if self.env.has("GITLAB_CI") {
            self.env.set("CI_JOB_ID", &self.jobs.to_string());
        }
    }

    /// The number of the job at hand.
    pub fn job_number(&self) -> u64 {
        self.jobs
    }

    pub fn key_of(&self, person: &str) -> String {
        self.env.beside(person).display().to_string()
    }

    /// Runs the program as the one who deploys: ann's key, or the pipeline's.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let (line, command) = arguments.split_at(arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len()));
        let key = self.key_of("ann");
        let own: &[&str] = if self.is_job { &[] } else { &["--key", &key] };
        self.env.deploy_record(&[line, own, command].concat())
    }

    /// Deploys a version to production, with further arguments; the command leaves a file `ran-VERSION`.
    pub fn deploy(&self, version: &str, more: &[&str]) -> Output {
        let mark = format!("ran-{version}");
        let line = ["run", "-e", "production", "--version", version];
        self.run(&[&line[..], more, &["--", "touch", &mark]].concat())
    }

    /// Whether the command of that deployment ran.
    pub fn ran(&self, version: &str) -> bool {
        self.env.path().join(format!("ran-{version}")).exists()
    }

    /// What `check` decides, with the exit code.
    #[track_caller]
    pub fn check(&self, code: i32, more: &[&str]) -> Value {
        let line = ["check", "-e", "production", "--format", "json"];
        let output = self.run(&[&line[..], more].concat());
        output.expect(code);
        serde_json::from_str(&output.stdout).expect("JSON")
    }

    /// Approves the commit at hand for production as somebody, at their own machine where this is a job.
    pub fn approve_as(&self, person: &str, more: &[&str]) -> Output {
        let sha = self.env.git(&["rev-parse", "HEAD"]);
        let line = ["approve", "-e", "production", "--commit", &sha, "--reason", "looked at it"];
        self.as_person(person, &[&line[..], more].concat())
    }

    /// Runs the program as somebody else, in the repository at hand or a clone.
    pub fn as_person(&self, person: &str, arguments: &[&str]) -> Output {
        if self.is_job {
            return self.machine_of(person).deploy_record(arguments);
        }
        self.env.deploy_record(&[arguments, &["--key", &self.key_of(person)]].concat())
    }

    /// Somebody's own machine: a clone, their key as git's signing key, and the program on the PATH.
    pub fn machine_of(&self, person: &str) -> TestEnv {
        let mut env = TestEnv::without_repository();
        env.git(&["clone", "--quiet", &self.origin, "."]);
        for (name, value) in [("gpg.format", "ssh"), ("user.signingkey", &self.key_of(person)), ("user.name", person)] {
            env.git(&["config", name, value]);
        }
        let program = Path::new(env!("CARGO_BIN_EXE_deploy-record")).parent().expect("a folder");
        let path = std::env::var("PATH").expect("PATH");
        env.set("PATH", &format!("{}:{path}", program.display()));
        env
    }

    /// The records of the log, the oldest first.
    pub fn records(&self) -> Vec<Value> {
        self.env.records(&self.log)
    }

    /// The newest record.
    #[track_caller]
    pub fn newest(&self) -> Value {
        self.records().pop().expect("a record")
    }
}

/// Runs a line, as it was printed, on a terminal where this is typed.
pub fn on_terminal(env: &TestEnv, line: &str, typed: &str) -> Output {
    env.run(OsStr::new("script"), &["-q", "-e", "-c", line, "/dev/null"], typed.as_bytes())
}

/// The lines that were printed to be pasted, of this command.
pub fn printed(output: &Output, command: &str) -> Vec<String> {
    let all = output.stderr.lines().chain(output.stdout.lines()).map(str::trim);
    all.filter(|line| line.starts_with(&format!("deploy-record {command}"))).map(str::to_owned).collect()
}

/// The codes of findings, of a record or of what `check` says.
pub fn codes(value: &Value) -> Vec<&str> {
    let findings = value["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}

/// The server answers nothing any more.
pub fn down(server: &GitServer) {
    server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
}
