//! What the static binary needs of the machine that it runs on: nothing. `benches/static-build` builds it and runs this.
//!
//! It runs the daily commands in a root folder with nothing in it but the binary, a checkout, and the files that they name:
//! no shell, no git, no libraries, no certificate store, no /tmp. And it prints how long the binary takes to start.

#[path = "../speed/measure.rs"]
#[allow(dead_code, reason = "the other bench uses all of it")]
mod measure;
#[path = "../../tests/cli/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use all of it")]
mod support;

use measure::{find, in_turns, time};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::env::{Output, TestEnv};
use support::git_server::GitServer;

const RECORD: [&str; 7] = ["record", "-e", "production", "--version", "1.4.2", "--status", "success"];
const RUNS: usize = 200;

fn main() -> ExitCode {
    let binary = std::env::args().skip(1).find(|argument| argument != "--bench").map(PathBuf::from);
    let Some(binary) = binary.filter(|path| path.is_file()) else {
        eprintln!("name the static binary, as `benches/static-build` does");
        return ExitCode::from(2);
    };
    let binary = binary.canonicalize().expect("its whole path");
    on_this_machine(&binary);
    in_a_job(&binary);
    print_start(&binary);
    ExitCode::SUCCESS
}

/// A folder that is the root for what runs in it, with the checkout as `/app`.
struct EmptyRoot {
    env: TestEnv,
    folder: PathBuf,
}

impl EmptyRoot {
    /// Takes a checkout and the files that its commands name, each under its new name.
    fn new(binary: &Path, mut env: TestEnv, files: &[(&Path, &str)]) -> Self {
        let folder = env.beside("root");
        std::fs::create_dir(&folder).expect("the root");
        std::fs::rename(env.path(), folder.join("app")).expect("the checkout");
        std::fs::create_dir(env.path()).expect("a folder to start from");
        for (file, name) in [(binary, "deploy-record")].iter().chain(files) {
            std::fs::copy(file, folder.join(name)).expect("a file");
        }
        for (name, value) in [("HOME", "/"), ("TMPDIR", "/"), ("PATH", "/"), ("CI_PROJECT_DIR", "/app")] {
            env.set(name, value);
        }
        let root = EmptyRoot { env, folder };
        println!("in a root with {}:", root.entries().join(", "));
        root
    }

    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).expect("the root").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.display().to_string()).collect();
        names.sort();
        names
    }

    /// Runs the binary in there, which has to end with this code.
    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> Output {
        let mut all = match rustix::process::geteuid().is_root() {
            true => Vec::new(),
            false => vec!["--map-root-user"],
        };
        let root = self.folder.display().to_string();
        all.extend(["--root", &root, "--wd", "/app", "/deploy-record"]);
        all.extend(arguments);
        let output = self.env.run(find("unshare").as_os_str(), &all, b"");
        assert!(
            !output.stderr.starts_with("unshare:"),
            "can't run anything in another root: be root, or allow user namespaces to everybody\n{}",
            output.stderr
        );
        output.expect(code);
        println!("  deploy-record {}: exit code {code}", arguments.join(" "));
        output
    }
}

fn on_this_machine(binary: &Path) {
    let root = EmptyRoot::new(binary, TestEnv::new(), &[]);
    root.run(0, &["--version"]).shows(env!("CARGO_PKG_VERSION"));
    root.run(0, &["keygen", "--principal", "ci:main", "-o", "/key"]).shows("ci:main");
    assert!(root.folder.join("key").is_file(), "keygen made no key");
    root.run(0, &RECORD).says("made a signing key").says("record 1");
    // the only program that there is to run
    root.run(0, &["run", "-e", "staging", "--", "/deploy-record", "--version"]).says("record 3:");
    root.run(0, &["verify", "--deep"]).shows("verified: 3 records");
    root.run(0, &["log"]).shows("1.4.2");
    root.run(0, &["show", "1"]).shows("1.4.2");
    root.run(0, &["status"]).shows("production");
}

fn in_a_job(binary: &Path) {
    let server = GitServer::https();
    let env = TestEnv::gitlab_job(&server);
    let (key, ca_file) = (env.beside("ci"), server.ca_file().expect("HTTPS").to_owned());
    let mut root = EmptyRoot::new(binary, env, &[(&key, "key"), (&ca_file, "ca.pem")]);
    root.env.set("DEPLOY_RECORD_KEY", "/key");

    root.env.unset("CI_SERVER_TLS_CA_FILE");
    root.run(3, &["verify"]).says("no certificate store");
    root.env.set("CI_SERVER_TLS_CA_FILE", "/ca.pem");
    root.run(0, &RECORD).says("record 1");
    root.run(0, &["verify"]).shows("verified: 1 record");
    root.run(0, &["log"]).shows("1.4.2");
    root.run(0, &["show", "1"]).shows("1.4.2");
    root.run(0, &["status"]).shows("production");
    assert_eq!(TestEnv::new().records(server.repository()).len(), 1, "the server's log");
    println!("  over {}, which has one record now", server.project_url());
}

/// How fast it starts is printed only: on a busy machine it says nothing.
fn print_start(binary: &Path) {
    let env = TestEnv::new();
    let program = binary.display().to_string();
    let [own, git] = in_turns(RUNS, |_| time(&env, &program, &["--version"]), |_| time(&env, "git", &["--version"]));
    let ratio = own.median() / git.median();
    println!("--version, {RUNS} runs in turns: {own}; `git --version` {git}; ratio {ratio:.2} of at most 0.50");
}
