//! A place of its own for each test: its own home, environment, repository.

use super::git_server::GitServer;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// A temporary home with a repository, and the environment in which the program runs there.
pub struct TestEnv {
    root: TempDir,
    variables: Mutex<BTreeMap<String, String>>,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Output {
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        assert!(self.stderr.contains(words), "expected `{words}` in stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    #[track_caller]
    pub fn shows(&self, words: &str) -> &Self {
        assert!(self.stdout.contains(words), "expected `{words}` in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl TestEnv {
    /// A repository with two commits and no remote.
    pub fn new() -> Self {
        let env = Self::without_repository();
        env.git(&["init", "--quiet", "--initial-branch=main", "."]);
        env.commit("First commit");
        env.commit("Round half up, PAY-7");
        env
    }

    /// An empty folder.
    pub fn without_repository() -> Self {
        let root = tempfile::Builder::new().prefix("deploy-record-test.").tempdir().expect("a temporary folder");
        let mut env = TestEnv { root, variables: Mutex::default() };
        std::fs::create_dir(env.root.path().join("home")).expect("home");
        std::fs::create_dir(env.path()).expect("work");
        for (name, value) in [
            ("PATH", std::env::var("PATH").expect("PATH")),
            ("HOME", env.root.path().join("home").display().to_string()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
            ("GIT_TERMINAL_PROMPT", "0".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ] {
            env.set(name, &value);
        }
        env
    }

    /// Where the repository is, and where the program runs.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// A folder beside the repository.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables().insert(name.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, name: &str) {
        self.variables().remove(name);
    }

    pub fn has(&self, name: &str) -> bool {
        self.variables().contains_key(name)
    }

    /// The names of the variables that are set.
    #[allow(dead_code, reason = "the bench of the log's speed asks")]
    pub fn names(&self) -> impl Iterator<Item = String> + use<> {
        self.variables().keys().cloned().collect::<Vec<_>>().into_iter()
    }

    fn variables(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.variables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away all that GitLab sets in a job; gives it, for [`TestEnv::enter_job`].
    pub fn leave_job(&mut self) -> BTreeMap<String, String> {
        let is_gitlabs = |name: &str| name.starts_with("CI_") || name.starts_with("GITLAB_");
        let (job, rest) = std::mem::take(&mut *self.variables()).into_iter().partition(|(name, _)| is_gitlabs(name));
        *self.variables() = rest;
        job
    }

    pub fn enter_job(&mut self, job: BTreeMap<String, String>) {
        self.variables().extend(job);
    }

    pub fn commit(&self, message: &str) {
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        if self.variables().contains_key("CI_COMMIT_SHA") {
            // the job is for what it has checked out
            let sha = self.git(&["rev-parse", "HEAD"]);
            self.variables().insert("CI_COMMIT_SHA".to_owned(), sha);
        }
    }

    /// Runs real git in the repository; gives its output.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, b"")
    }

    #[track_caller]
    pub fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
        let identity = ["-c", "user.name=Ann Ö.", "-c", "user.email=ann@acme.example"];
        let output = self.run(OsStr::new("git"), &[&identity, arguments].concat(), input);
        assert_eq!(output.code, 0, "git {arguments:?}: {}", output.stderr);
        output.stdout.trim_end().to_owned()
    }

    /// Runs the program.
    pub fn deploy_record(&self, arguments: &[&str]) -> Output {
        self.run(OsStr::new(env!("CARGO_BIN_EXE_deploy-record")), arguments, b"")
    }

    pub fn deploy_record_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.run(OsStr::new(env!("CARGO_BIN_EXE_deploy-record")), arguments, input)
    }

    /// The program, ready to be started.
    pub fn command(&self, program: &OsStr, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&*self.variables()).current_dir(self.path());
        command
    }

    pub fn run(&self, program: &OsStr, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(program, arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("can't run {}: {error}; install it", program.display()));
        child.stdin.take().expect("stdin").write_all(input).ok();
        let output = child.wait_with_output().expect("output");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Makes this the checkout of a job of `grp/app` on that server, with a key that the default branch trusts.
    pub fn gitlab_job(server: &GitServer) -> Self {
        let mut env = TestEnv::new();
        let key = env.key("ci", "ed25519");
        env.commit_trust_root("ci:main", &key);
        env.git(&["push", "--quiet", &server.repository().display().to_string(), "HEAD:main"]);
        env.git(&["remote", "add", "origin", &server.project_url()]);
        let sha = env.git(&["rev-parse", "HEAD"]);
        for (name, value) in [
            ("GITLAB_CI", "true"),
            ("CI_SERVER_URL", &server.url()),
            ("CI_PROJECT_URL", server.project_url().trim_end_matches(".git")),
            ("CI_PROJECT_PATH", "grp/app"),
            ("CI_PROJECT_ID", "42"),
            ("CI_PROJECT_DIR", &env.path().display().to_string()),
            ("CI_COMMIT_SHA", &sha),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_COMMIT_REF_PROTECTED", "true"),
            ("CI_COMMIT_MESSAGE", "pay ${CI_JOB_TOKEN}"),
            ("CI_JOB_ID", "302"),
            ("CI_JOB_NAME", "deploy"),
            ("CI_JOB_TOKEN", server.job_token()),
            ("CI_PIPELINE_ID", "574"),
            ("CI_PIPELINE_SOURCE", "push"),
            ("GITLAB_USER_LOGIN", "ann"),
            ("GITLAB_USER_ID", "7"),
            ("DEPLOY_RECORD_KEY", &key.display().to_string()),
        ] {
            env.set(name, value);
        }
        if let Some(ca_file) = server.ca_file() {
            env.set("CI_SERVER_TLS_CA_FILE", &ca_file.display().to_string());
        }
        env
    }

    /// A key made by `ssh-keygen`, beside the repository.
    pub fn key(&self, name: &str, kind: &str) -> PathBuf {
        let path = self.beside(name);
        let arguments = ["-q", "-t", kind, "-N", "", "-C", name, "-f", &path.display().to_string()];
        let output = self.run(OsStr::new("ssh-keygen"), &arguments, b"");
        assert_eq!(output.code, 0, "{}", output.stderr);
        path
    }

    /// A trust root beside the repository in which this key is that principal's; its path.
    pub fn trust(&self, principal: &str, key: &Path) -> String {
        let path = self.beside(&format!("{}.signers", principal.replace(':', "-")));
        std::fs::write(&path, Self::line_of(principal, key)).expect("a trust root");
        path.display().to_string()
    }

    /// Commits such a trust root on the branch at hand.
    pub fn commit_trust_root(&self, principal: &str, key: &Path) {
        std::fs::create_dir_all(self.path().join(".deploy-record")).expect("a folder");
        std::fs::write(self.path().join(".deploy-record/allowed_signers"), Self::line_of(principal, key))
            .expect("a trust root");
        self.git(&["add", ".deploy-record"]);
        self.commit("Trust the pipeline's key");
    }

    fn line_of(principal: &str, key: &Path) -> String {
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("a public key");
        let words: Vec<_> = public.split_whitespace().take(2).collect();
        format!("{principal} namespaces=\"git,deploy-record\" {}\n", words.join(" "))
    }

    /// The records of a log branch in a repository, the oldest first.
    pub fn records(&self, repository: &Path) -> Vec<serde_json::Value> {
        self.records_of(repository, "deploy-log")
    }

    /// The records of these commits, the oldest first.
    pub fn records_of(&self, repository: &Path, commits: &str) -> Vec<serde_json::Value> {
        let repository = repository.display().to_string();
        let commits = self.git(&["-C", &repository, "rev-list", "--reverse", commits]);
        let names: String = commits.lines().map(|commit| format!("{commit}:record.json\n")).collect();
        let blobs = self.git_with(&["-C", &repository, "cat-file", "--batch"], names.as_bytes());
        // each blob comes after a line with its name and size
        let mut rest = blobs.as_str();
        let mut records = Vec::new();
        while let Some((line, blob)) = rest.split_once('\n') {
            let size: usize = line.rsplit(' ').next().and_then(|size| size.parse().ok()).expect("a record's size");
            let size = size.min(blob.len());
            records.push(serde_json::from_str(&blob[..size]).expect("a record"));
            rest = blob[size..].trim_start_matches('\n');
        }
        records
    }
}

/// A shell script that can be run.
pub fn write_script(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
}
