//! What only a terminal shows. The terminal is the one of script(1).

use crate::support::env::TestEnv;
use std::ffi::OsStr;

/// What a terminal gets to see of a run of the program.
fn on_terminal(env: &TestEnv, arguments: &str) -> String {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_deploy-record"));
    env.run(OsStr::new("script"), &["-q", "-e", "-c", &line, "/dev/null"], b"").expect(0).stdout.clone()
}

fn log() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("TERM", "xterm");
    env.deploy_record(&["record", "-e", "production", "--version", "1", "--status", "success"]).expect(0);
    env
}

#[test]
fn progress_is_shown_on_a_terminal_and_erased_at_its_end() {
    let seen = on_terminal(&log(), "verify");
    let (before, after) = seen.rsplit_once("\r\u{1b}[K").expect("an erased line");
    assert!(before.ends_with(" …") && before.contains("fetching the log …"), "{seen:?}");
    assert!(after.contains("verified: 1 record") && !after.contains('…'), "{seen:?}");
}

#[test]
fn no_progress_is_shown_elsewhere() {
    let mut env = log();
    let output = env.deploy_record(&["verify"]);
    assert!(!output.stderr.contains(['…', '\r']), "{}", output.stderr);
    env.set("NO_COLOR", "1");
    assert!(!on_terminal(&env, "verify").contains('…'));
}
