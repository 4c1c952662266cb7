//! A log behind SSH: a real sshd, and stand-ins for ssh where something must go wrong at a certain moment.

use crate::support::env::{Output, TestEnv, write_script};
use crate::support::ssh_server::SshServer;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn record(env: &TestEnv, version: &str, options: &[&str]) -> Output {
    let record = ["record", "-e", "production", "--version", version, "--status", "success"];
    env.deploy_record(&[&record, options].concat())
}

/// A clone with a key that signs and is trusted on its default branch.
fn laptop() -> TestEnv {
    let mut env = TestEnv::new();
    let key = env.key("ann", "ed25519");
    env.commit_trust_root("ann", &key);
    env.set("DEPLOY_RECORD_KEY", &key.display().to_string());
    env
}

/// Such a clone of the server's repository, whose log has two records; `origin` is behind SSH.
fn laptop_of(server: &SshServer) -> TestEnv {
    let env = laptop();
    env.git(&["remote", "add", "origin", &server.url()]);
    env.git(&["config", "core.sshCommand", &server.command()]);
    env.git(&["push", "--quiet", "origin", "main"]);
    record(&env, "1", &["--log", &server.url()]).expect(0).says("record 1:");
    env.git(&["fetch", "--quiet", "origin"]);
    record(&env, "2", &[]).expect(0).says("record 2:");
    env
}

#[test]
fn a_log_behind_ssh_is_appended_to_and_read() {
    let server = SshServer::start();
    let env = laptop_of(&server);
    env.deploy_record(&["run", "-e", "staging", "--", "echo", "hello"]).expect(0).shows("hello").says("record 4:");
    assert_eq!(env.records(&server.repository()).len(), 4);
    env.deploy_record(&["log"]).expect(0).shows("staging").shows("success");
    env.deploy_record(&["status"]).expect(0).shows("production");
    env.deploy_record(&["show", "2"]).expect(0).shows(&format!("git fetch {} deploy-log", server.url()));
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("verified: 4 records");
    // nothing was pushed that git itself would not fetch and trust
    env.git(&["fetch", "--quiet", "origin"]);
    assert_eq!(
        env.git(&["rev-parse", "origin/deploy-log"]),
        env.git(&["-C", &server.repository().display().to_string(), "rev-parse", "deploy-log"])
    );
}

#[test]
fn addresses_are_those_that_git_makes_of_them() {
    let server = SshServer::start();
    let env = laptop_of(&server);
    let folder = server.repository().parent().expect("a folder").display().to_string();
    // a shorthand for all of it
    env.git(&["remote", "set-url", "origin", "work:app.git"]);
    env.git(&["config", &format!("url.{}.insteadOf", server.url_of("")), "work:"]);
    record(&env, "3", &[]).expect(0).says("record 3:");
    // fetched from one address, pushed to another
    env.git(&["remote", "set-url", "origin", &format!("https://127.0.0.1:1{folder}/app.git")]);
    env.git(&["config", &format!("url.{}.pushInsteadOf", server.url_of("")), &format!("https://127.0.0.1:1{folder}/")]);
    record(&env, "4", &[]).expect(0).says("record 4:");
    // where it is read nobody answers
    let verify = env.deploy_record(&["verify", "--timeout", "2"]);
    verify.expect(0).shows("https://127.0.0.1:1/").says("offline (no connection").says("`git fetch origin` brought");
    // scp's way to write it, with the port in ssh's own configuration
    let port = server.url().split(':').nth(2).and_then(|rest| rest.split('/').next().map(str::to_owned)).expect("a port");
    env.git(&["config", "core.sshCommand", &format!("{} -p {port}", server.command())]);
    let scp = format!("127.0.0.1:{}", server.repository().display());
    env.deploy_record(&["verify", "--log", &scp]).expect(0).shows("verified: 4 records");
}

#[test]
fn ssh_says_what_is_wrong_and_so_do_we() {
    let server = SshServer::start();
    let mut env = laptop_of(&server);
    let run = ["run", "-e", "production", "--timeout", "20", "--", "touch", "ran"];
    let begin = Instant::now();
    env.set("GIT_SSH_COMMAND", &server.command_with("stranger"));
    env.deploy_record(&run).expect(3).says("the SSH login is refused").says("Permission denied (publickey)").says("ssh-add -l");
    server.trust_host("stranger.pub");
    env.set("GIT_SSH_COMMAND", &server.command());
    env.deploy_record(&run).expect(3).says("ssh does not trust the host").says("Host key verification failed");
    server.trust_host("host.pub");
    let missing = ["status", "--log", &server.url_of("none.git")];
    env.deploy_record(&missing).expect(3).says("no such repository").says("check the address");
    env.set("GIT_SSH_COMMAND", "no-such-ssh-here");
    env.deploy_record(&run).expect(3).says("no-such-ssh-here");
    env.unset("GIT_SSH_COMMAND");
    env.git(&["config", "--unset", "core.sshCommand"]);
    env.set("GIT_SSH", "/no/such/ssh");
    env.deploy_record(&run).expect(3).says("can't run `/no/such/ssh`").says("openssh-client");
    assert!(begin.elapsed() < Duration::from_secs(15), "none of this gets better by waiting: {:?}", begin.elapsed());
    for address in ["ssh://-oProxyCommand=touch ran/app.git", "-oProxyCommand=touch ran:app.git", "host:-app.git"] {
        env.deploy_record(&["status", &format!("--log={address}")]).expect(2).says("could pass for an option");
    }
    assert!(!env.path().join("ran").exists());
    assert_eq!(env.records(&server.repository()).len(), 2);
}

#[test]
fn a_host_that_is_not_there_is_not_asked_for_a_minute() {
    let mut env = laptop();
    env.set("GIT_SSH_COMMAND", "ssh -F none -o BatchMode=yes");
    let begin = Instant::now();
    env.deploy_record(&["status", "--log", "ssh://127.0.0.1:1/app.git"])
        .expect(3)
        .says("no connection")
        .says("Connection refused");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_hooks_refusal_is_passed_on() {
    let server = SshServer::start();
    let env = laptop_of(&server);
    server
        .hook("pre-receive", "echo 'GitLab: You are not allowed to push code to protected branches on this project.'; exit 1");
    record(&env, "3", &[]).expect(3).says("You are not allowed to push code").says("the branch is protected");
    assert_eq!(env.records(&server.repository()).len(), 2);
}

#[test]
fn a_push_starts_no_pipeline_where_the_server_takes_options() {
    let server = SshServer::start();
    let env = laptop_of(&server);
    let seen = env.beside("options");
    server.hook("pre-receive", &format!("echo \"$GIT_PUSH_OPTION_0\" >> {}", seen.display()));
    record(&env, "3", &[]).expect(0);
    env.git(&["-C", &server.repository().display().to_string(), "config", "receive.advertisePushOptions", "false"]);
    record(&env, "4", &[]).expect(0);
    assert_eq!(std::fs::read_to_string(seen).expect("options"), "ci.skip\n\n");
}

/// A bare repository on this machine that is reached through a stand-in for ssh.
struct StandIn {
    env: TestEnv,
    repository: PathBuf,
}

impl StandIn {
    /// With a log of two records.
    fn new() -> Self {
        let mut env = laptop();
        let repository = env.beside("app.git");
        env.git(&["init", "--quiet", "--bare", "--initial-branch=main", &repository.display().to_string()]);
        let ssh = env.beside("ssh");
        env.set("GIT_SSH", &ssh.display().to_string());
        env.set("DEPLOY_RECORD_LOG", &format!("git@gitlab.example:{}", repository.display()));
        let stand_in = StandIn { env, repository };
        stand_in.behave("");
        record(&stand_in.env, "1", &[]).expect(0);
        record(&stand_in.env, "2", &[]).expect(0);
        stand_in
    }

    /// What it does before it runs what it was given, which is the variable `service`.
    fn behave(&self, script: &str) {
        let run = "for last; do service=$last; done\nshift $#\n";
        let pid = self.env.beside("pid").display().to_string();
        write_script(&self.env.beside("ssh"), &format!("{run}echo $$ > {pid}\n{script}\neval \"exec $service\""));
    }

    /// A hook of the repository that does something once, in a push.
    fn once_in(&self, hook: &str, script: &str) {
        let once = self.env.beside("once");
        std::fs::write(&once, "").expect("a file");
        let script = format!("[ -e {0} ] || exit 0\n{script}\nrm -f {0}", once.display());
        std::fs::create_dir_all(self.repository.join("hooks")).expect("hooks");
        write_script(&self.repository.join("hooks").join(hook), &script);
    }

    fn kill(&self) -> String {
        format!("rm {}; kill -9 $(cat {})", self.env.beside("once").display(), self.env.beside("pid").display())
    }

    fn records(&self) -> Vec<serde_json::Value> {
        self.env.records(&self.repository)
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.env.git(&[&["-C", &self.repository.display().to_string()], arguments].concat())
    }
}

#[test]
fn a_connection_that_breaks_in_the_push_leaves_the_record_there_once() {
    // before git took it, and after it did but before it said so
    let moments = [("pre-receive", ""), ("reference-transaction", "[ \"$1\" = committed ] || exit 0\n")];
    for (hook, condition) in moments {
        let log = StandIn::new();
        log.once_in(hook, &format!("{condition}{}", log.kill()));
        record(&log.env, "3", &["--timeout", "20"]).expect(0).says("record 3:");
        let versions: Vec<_> = log.records().iter().map(|record| record["version"].to_string()).collect();
        assert_eq!(versions, ["\"1\"", "\"2\"", "\"3\""], "{hook}");
        assert!(!log.env.beside("once").exists(), "{hook}: it was not cut");
        log.env.deploy_record(&["verify"]).expect(0);
    }
}

#[test]
fn a_push_whose_answer_never_comes_is_not_called_lost() {
    let log = StandIn::new();
    // the push lands, and from then on ssh reaches nothing
    let gone = "echo 'ssh: connect to host gitlab.example port 22: Connection refused' >&2; exit 255";
    let off = log.env.beside("off");
    log.behave(&format!("[ -e {} ] && {{ {gone}; }}", off.display()));
    log.once_in("reference-transaction", &format!("[ \"$1\" = committed ] || exit 0\ntouch {}\n{}", off.display(), log.kill()));
    record(&log.env, "3", &["--timeout", "3"]).expect(3).says("it may be in the log or not").says("look for the id");
    assert_eq!(log.records().len(), 3);
}

#[test]
fn who_is_faster_goes_first() {
    let log = StandIn::new();
    record(&log.env, "3", &["--service", "other"]).expect(0);
    let theirs = log.git(&["rev-parse", "deploy-log"]);
    let moves = format!("git -C {} update-ref refs/heads/deploy-log {theirs}", log.repository.display());
    let back = || log.git(&["update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    // before the push is offered
    back();
    let once = log.env.beside("moved");
    log.behave(&format!("case $service in git-receive-pack*) [ -e {0} ] || {{ touch {0}; {moves}; }} ;; esac", once.display()));
    record(&log.env, "4", &[]).expect(0).says("record 4:");
    log.git(&["update-ref", "refs/heads/deploy-log", &theirs]);
    // after it was offered
    back();
    log.behave("");
    log.once_in("pre-receive", &format!("unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY; {moves}"));
    record(&log.env, "5", &[]).expect(0).says("record 4:");
    let services: Vec<_> = log.records().iter().map(|record| record["service"].to_string()).collect();
    assert_eq!(services[2], "\"other\"");
    log.env.deploy_record(&["verify"]).expect(0).shows("verified: 4 records");
}

#[test]
fn an_ssh_that_hangs_is_ended_within_the_time_limit() {
    // before anything, after the offer, and in spite of being asked to end
    let hangs = [
        "exec sleep 600",
        "case $service in git-receive-pack*) eval \"git receive-pack --advertise-refs ${service#git-receive-pack }\"; exec sleep 600 ;; esac",
        "trap '' TERM; while :; do sleep 1; done",
    ];
    for hang in hangs {
        let log = StandIn::new();
        log.behave(hang);
        let begin = Instant::now();
        record(&log.env, "3", &["--timeout", "4"]).expect(3);
        let limit = Duration::from_secs(4 + 5 + 5);
        assert!(begin.elapsed() < limit, "{hang}: {:?}", begin.elapsed());
        let pid = std::fs::read_to_string(log.env.beside("pid")).expect("a process id");
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{hang}: it still runs");
        assert_eq!(log.records().len(), 2);
    }
}

#[test]
fn what_ssh_prints_is_cut_and_harmless_and_it_sees_no_secret() {
    let log = StandIn::new();
    let seen = log.env.beside("environment");
    log.behave(&format!(
        "env > {}; yes 'much to say' | head -n 100000 >&2; printf '\\033[2Jboo\\n' >&2; exit 3",
        seen.display()
    ));
    let output = record(&log.env, "3", &["--timeout", "5"]);
    output.expect(3).says("the server refuses").says("boo");
    assert!(output.stderr.len() < 8000 && !output.stderr.contains('\u{1b}'), "{}", output.stderr);
    let environment = std::fs::read_to_string(seen).expect("an environment");
    assert!(environment.contains("PATH=") && !environment.contains("DEPLOY_RECORD_KEY="), "{environment}");
}
