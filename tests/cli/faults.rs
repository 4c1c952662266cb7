//! What can go wrong with each request of an append, and what becomes of the record then.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use serde_json::Value;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const STEPS: [Step; 4] = [Step::RefsForFetch, Step::Fetch, Step::RefsForPush, Step::Push];

/// How many cells are tried at once: most of their time goes by waiting.
const AT_ONCE: usize = 12;

/// After how many cells each log is verified.
const BETWEEN_CHECKS: usize = 6;

/// How often the failure meets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    ForEver,
}

/// Which command meets it, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Record,
    Run,
    /// `run`, whose start went well.
    Outcome,
    Start,
}

#[derive(Debug, Clone)]
struct Cell {
    step: Step,
    failure: Failure,
    times: Times,
    command: Command,
}

#[test]
fn whatever_fails_a_record_is_in_the_log_once_or_waits_or_nothing_ran() {
    let cells = cells();
    let next = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let server = GitServer::http();
                let mut env = TestEnv::gitlab_job(&server);
                env.deploy_record(&["record", "-e", "staging", "--version", "0", "--status", "success"]).expect(0);
                let note = |problem: String| problems.lock().expect("no panic").push(problem);
                let next = || {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    cells.get(number).map(|cell| (number, cell))
                };
                let mut tried = Vec::new();
                while let Some((number, cell)) = next() {
                    env.set("CI_JOB_ID", &(1000 + number).to_string());
                    if let Err(problem) = cell.check(&env, &server) {
                        note(format!("{}: {problem}", cell.name()));
                    }
                    tried.push(cell.name());
                    // what does not verify stays so: it is named a few cells later, with all that may have done it
                    if tried.len() == BETWEEN_CHECKS {
                        check_log(&env, &server, &tried).unwrap_or_else(note);
                        tried.clear();
                    }
                }
                check_log(&env, &server, &tried).unwrap_or_else(note);
            });
        }
    });
    let problems = problems.into_inner().expect("no panic");
    assert!(problems.is_empty(), "{} of {} cells:\n{}", problems.len(), cells.len(), problems.join("\n"));
}

/// The log verifies, and a second replay changes nothing.
fn check_log(env: &TestEnv, server: &GitServer, tried: &[String]) -> Result<(), String> {
    let before = tip(env, server);
    let again = env.deploy_record(&["replay"]);
    if again.code != 0 || tip(env, server) != before {
        return Err(format!("{tried:?}: expected that a second replay changes nothing: {}", again.stderr));
    }
    let verified = env.deploy_record(&["verify", "--deep"]);
    if verified.code != 0 || !verified.stdout.contains("0 errors") {
        return Err(format!("{tried:?}: expected a log that verifies: {}{}", verified.stdout, verified.stderr));
    }
    Ok(())
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for step in STEPS {
        for failure in failures(step) {
            for times in [Times::Once, Times::ForEver] {
                for command in commands(&failure) {
                    cells.push(Cell { step, failure: failure.clone(), times, command: *command });
                }
            }
        }
    }
    cells
}

/// Statuses that are treated alike are tried with one command.
fn commands(failure: &Failure) -> &'static [Command] {
    match failure {
        Failure::Status(404, _) | Failure::HtmlError(500 | 502) => &[Command::Record],
        _ => &[Command::Record, Command::Run, Command::Outcome, Command::Start],
    }
}

fn failures(step: Step) -> Vec<Failure> {
    let status = |code| Failure::Status(code, "no".to_owned());
    let mut failures = vec![
        status(401),
        status(403),
        status(404),
        status(429),
        Failure::HtmlError(500),
        Failure::HtmlError(502),
        Failure::HtmlError(503),
        Failure::Hang,
        Failure::CutBefore,
        Failure::CutRequest,
        Failure::CutAfter,
        Failure::StatusAfter(502),
        Failure::StatusAfter(403),
        Failure::CutResponse,
        Failure::Garbage,
    ];
    if step == Step::Push {
        failures.push(Failure::Decline("GitLab: You are not allowed to push code.".to_owned()));
        failures.push(Failure::Decline("GitLab: Internal API unreachable".to_owned()));
        failures.push(Failure::Decline("no".to_owned()));
    }
    failures
}

impl Cell {
    fn name(&self) -> String {
        format!("{:?}, {:?} at {:?} {:?}", self.command, self.failure, self.step, self.times)
    }

    fn check(&self, env: &TestEnv, server: &GitServer) -> Result<(), String> {
        for name in ["ran", "go"] {
            std::fs::remove_file(env.path().join(name)).ok();
        }
        let base = tip(env, server);
        let times = if self.times == Times::Once { 1 } else { usize::MAX };
        let fault = Fault { step: self.step, failure: self.failure.clone(), times };
        let output = self.meet(env, server, fault);
        let log = records_since(&base, env, server);
        let spool = env.path().join(".deploy-record/spool");
        let waiting = claims(&spool).len();
        let found = format!("exit {}, {} in the log, {waiting} claims", output.code, log.len());
        let problem = |words: &str| Err(format!("{words}; found: {found}\n{}", output.stderr));
        let ran = env.path().join("ran").exists();

        let (expected, is_done) = self.expected(&output, ran);
        if !expected {
            return problem("the exit code, or what ran, is not as expected");
        }
        if !told_truly(&output, &log) {
            return problem("it names a record that is not there");
        }
        if is_done && log.len() + waiting == 0 {
            return problem("expected the record in the log or in the spool");
        }
        server.clear_faults();
        let replayed = env.deploy_record(&["replay"]);
        if replayed.code != 0 {
            return problem(&format!("expected replay to go well: {}{}", replayed.stdout, replayed.stderr));
        }
        let log = records_since(&base, env, server);
        let starts = log.iter().filter(|record| record["status"] == "running").count();
        let (expected_starts, expected_ends) = match self.command {
            Command::Record => (0, 1),
            Command::Start => (usize::from(is_done), 0),
            Command::Run | Command::Outcome => (usize::from(ran), usize::from(ran)),
        };
        // a start that was refused may have landed: it stands open
        let is_open_start = !is_done && self.command != Command::Record && starts == 1 && log.len() == 1;
        if (starts, log.len() - starts) != (expected_starts, expected_ends) && !is_open_start {
            return problem(&format!("expected {expected_starts} starts and {expected_ends} ends after replay, found {log:?}"));
        }
        if !claims(&spool).is_empty() {
            return problem("expected that nothing waits after replay");
        }
        Ok(())
    }

    /// Runs the command so that it meets the failure.
    fn meet(&self, env: &TestEnv, server: &GitServer, fault: Fault) -> Output {
        let common = ["-e", "production", "--version", "1", "--timeout", "3"];
        match self.command {
            Command::Record => {
                server.inject(fault);
                env.deploy_record(&[&["record", "--status", "success"], &common[..]].concat())
            }
            Command::Start => {
                server.inject(fault);
                env.deploy_record(&[&["start"], &common[..]].concat())
            }
            Command::Run => {
                server.inject(fault);
                env.deploy_record(&[&["run"], &common[..], &["--", "touch", "ran"]].concat())
            }
            Command::Outcome => std::thread::scope(|scope| {
                let script = "touch ran; until [ -e go ]; do sleep 0.05; done";
                let run = scope.spawn(|| env.deploy_record(&[&["run"], &common[..], &["--", "sh", "-c", script]].concat()));
                while !env.path().join("ran").exists() && !run.is_finished() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                server.inject(fault);
                std::fs::write(env.path().join("go"), "").expect("written");
                run.join().expect("a run")
            }),
        }
    }

    /// Whether the exit code fits what ran, and whether something has to be in the log or the spool.
    fn expected(&self, output: &Output, ran: bool) -> (bool, bool) {
        match self.command {
            // what has happened is recorded or waits
            Command::Record => (matches!(output.code, 0 | 3), true),
            // the command has run: its exit code counts
            Command::Outcome => (output.code == 0 && ran, true),
            Command::Run => (if ran { output.code == 0 } else { output.code == 3 }, ran),
            Command::Start => (matches!(output.code, 0 | 3), output.code == 0),
        }
    }
}

fn tip(env: &TestEnv, server: &GitServer) -> String {
    env.git(&["-C", &server.repository().display().to_string(), "rev-parse", "deploy-log"])
}

fn records_since(base: &str, env: &TestEnv, server: &GitServer) -> Vec<Value> {
    env.records_of(server.repository(), &format!("{base}..deploy-log"))
}

/// Whether each record that is named on stderr is there.
fn told_truly(output: &Output, log: &[Value]) -> bool {
    let told = output.stderr.lines().filter_map(|line| line.strip_prefix("deploy-record: record ")?.split_once(':'));
    told.filter_map(|(seq, _)| seq.parse::<u64>().ok()).all(|seq| log.iter().any(|record| record["seq"] == seq))
}

fn claims(spool: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(spool).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.ends_with(".json")).collect()
}
