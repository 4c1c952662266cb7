//! How long `check` takes on a large repository: `cargo bench --locked --bench gate`.
//!
//! It makes a repository of 100,000 commits and 20,000 files with `git fast-import`, measures whole processes of the program as it
//! is released, and prints one row for each question. Exit code 1: a deployment of 5,000 changed files takes a second or more.

#[path = "../speed/measure.rs"]
#[allow(dead_code, reason = "the bench of the log's speed uses all of it")]
mod measure;
#[path = "../../tests/cli/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use all of it")]
mod support;

use measure::Times;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;
use support::env::TestEnv;

const COMMITS: usize = 100_000;
const FILES: usize = 20_000;
const CHANGED: usize = 5_000;
const RUNS: usize = 9;
/// In milliseconds.
const BAR: f64 = 1000.0;

const POLICY: &str = r#"
environments:
  one-commit: { tier: production }
sensitive:
  billing: { paths: ["folder-007/**", "migrations/**"] }
  permissions: { paths: ["**/authz/**", "*.pem"] }
approval: { approvers: [chen, dana] }
people: { ann: { git: ["ann@acme.example"] } }
"#;

fn main() -> ExitCode {
    eprintln!("making a repository of {COMMITS} commits …");
    let env = TestEnv::without_repository();
    let key = env.key("ann", "ed25519").display().to_string();
    let trust = std::fs::read_to_string(env.trust("ann", &env.beside("ann"))).expect("a trust root");
    env.git(&["init", "--quiet", "--initial-branch=main", "."]);
    env.git_with(&["fast-import", "--quiet"], history(&trust).as_bytes());
    env.git(&["reset", "--quiet", "--hard", "main"]);
    // environment, what runs there, and what is deployed
    let questions = [
        ("one-commit", Some("main~1".to_owned()), "main", "5,000 changed files in one commit", true),
        ("many-commits", Some(format!("main~{}", CHANGED + 1)), "main~1", "5,000 changed files in 5,000 commits", true),
        ("nothing-yet", None, "main", "the first one: all of 20,000 files", false),
        ("old", Some(format!("main~{COMMITS}")), "main~1", "all of 100,000 commits", false),
    ];
    let mut is_missed = false;
    println!("| `check`, where it deploys | bar | measured, median (least to most) | |\n| --- | --- | --- | --- |");
    for (environment, runs, commit, what, has_bar) in &questions {
        if let Some(runs) = runs {
            let line = ["record", "-e", environment, "--commit", runs, "--version", "1", "--status", "success", "--key", &key];
            assert_eq!(env.deploy_record(&line).code, 0);
        }
        let line = ["check", "-e", environment, "--commit", commit, "--key", &key];
        let mut times = Times::default();
        for _ in 0..RUNS {
            let begin = Instant::now();
            let output = env.deploy_record(&line);
            times.add(begin.elapsed());
            assert!(output.code == 1 && output.stdout.contains("billing: "), "it is sensitive: {output:?}");
        }
        let is_held = times.median() < BAR;
        is_missed |= *has_bar && !is_held;
        let (bar, verdict) = match (has_bar, is_held) {
            (false, _) => ("–", ""),
            (true, true) => ("under 1 s", "held"),
            (true, false) => ("under 1 s", "MISSED"),
        };
        println!("| {what} | {bar} | {times} | {verdict} |");
    }
    if is_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A stream for git-fast-import(1): one commit with all files, many that change one file each, and one that changes many.
fn history(trust: &str) -> String {
    let mut stream = String::new();
    let mut commit = |number: usize, files: &mut dyn Iterator<Item = (String, String)>| {
        let message = format!("Change {number}, PAY-{}\n", number % 5000 + 1);
        let when = 1_600_000_000 + number * 60;
        let (length, who) = (message.len(), "Ann <ann@acme.example>");
        write!(stream, "commit refs/heads/main\ncommitter {who} {when} +0000\ndata {length}\n{message}").expect("a text");
        for (path, text) in files {
            write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).expect("a text");
        }
        stream.push('\n');
    };
    let path = |file: usize| format!("folder-{:03}/part-{}/file-{}.rs", file % 200, file % 7, file);
    let set_up = [(".deploy-record.yml", POLICY), (".deploy-record/allowed_signers", trust)];
    let set_up = set_up.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    commit(0, &mut (0..FILES).map(|file| (path(file), "0\n".to_owned())).chain(set_up));
    for number in 1..=COMMITS {
        commit(number, &mut [(path(number % FILES), format!("{number}\n"))].into_iter());
    }
    commit(COMMITS + 1, &mut (0..CHANGED).map(|file| (path(file), "new\n".to_owned())));
    stream
}
