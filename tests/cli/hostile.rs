//! Machines and inputs that are against it: clear errors or correct records, and no hang.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const RECORD: [&str; 7] = ["record", "-e", "production", "--version", "1", "--status", "success"];

/// Runs the program where no file can become larger than this, as on a full disk.
fn with_full_disk(env: &TestEnv, blocks: u32, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_deploy-record");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    env.run(OsStr::new("sh"), &[&["-c", &script, program], arguments].concat(), b"")
}

#[track_caller]
fn claims_nothing(output: &Output) {
    output.expect(3);
    assert!(!output.stderr.contains("deploy-record: record "), "{}", output.stderr);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half() {
    let server = GitServer::http();
    let job = TestEnv::gitlab_job(&server);
    let local = TestEnv::new();
    local.deploy_record(&RECORD).expect(0);
    for env in [&job, &local] {
        for _ in 0..2 {
            claims_nothing(&with_full_disk(env, 0, &[&RECORD[..], &["--timeout", "3"]].concat()));
        }
        let ran = with_full_disk(env, 0, &["run", "-e", "production", "--timeout", "3", "--", "mkdir", "ran"]);
        claims_nothing(&ran);
        assert!(!env.path().join("ran").exists());
        env.deploy_record(&["replay"]).expect(0).says("nothing waits");
        env.deploy_record(&RECORD).expect(0);
        env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
    }
    local.git(&["fsck", "--strict"]);
}

#[test]
fn odd_things_in_a_spool_hold_nothing_up() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
    env.deploy_record(&[&RECORD[..], &["--timeout", "2"]].concat()).expect(3).says("SPOOLED");
    server.clear_faults();
    let spool = env.path().join(".deploy-record/spool");
    let odd = |name: &str| spool.join(name).display().to_string();
    std::fs::create_dir(odd("folder.json")).expect("a folder");
    std::os::unix::fs::symlink("loop.json", odd("loop.json")).expect("a loop");
    for pipe in ["pipe.json", "beside.json.sig", "7.started", ".writing-pipe"] {
        assert_eq!(env.run(OsStr::new("mkfifo"), &[&odd(pipe)], b"").code, 0);
    }
    std::fs::write(odd("beside.json"), "{}").expect("written");
    std::fs::File::create(odd("huge.json")).and_then(|file| file.set_len(1 << 40)).expect("a huge file");
    std::fs::write(odd("huge.json.sig"), "").expect("written");
    let begin = Instant::now();
    env.deploy_record(&["replay"]).expect(3).shows("record 1").shows("LEFT");
    env.deploy_record(&["start", "-e", "production", "--version", "2"]).expect(0);
    env.deploy_record(&["finish", "-e", "production", "--status", "success"]).expect(0);
    server.inject(Fault { step: Step::Any, failure: Failure::HtmlError(503), times: usize::MAX });
    env.deploy_record(&["finish", "-e", "production", "--status", "success", "--timeout", "2"]).expect(3);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn a_hostile_note_is_kept_and_harmless() {
    let env = TestEnv::new();
    let mut note =
        "\u{1b}]0;x\u{7}\u{202e}/close\n/label ~x\n<script>alert(1)</script> [x](javascript:x) | a | b |\r\n```\n".repeat(60);
    note.push_str(&"y".repeat(40_000));
    env.deploy_record(&[&RECORD[..], &["--note", &note]].concat()).expect(0);
    for command in [["show", "1"], ["log", "--format=table"], ["log", "--format=markdown"], ["log", "--format=csv"]] {
        let output = env.deploy_record(&command);
        output.expect(0);
        assert!(!output.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{command:?}");
    }
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
}

#[test]
fn a_record_from_the_future_is_not_followed() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    for offset in [-3600, 3600] {
        server.set_clock_offset(offset);
        env.deploy_record(&[&RECORD[..], &["--timeout", "3"]].concat()).expect(3).says("the clock is wrong").says("SPOOLED");
    }
    server.set_clock_offset(0);
    env.deploy_record(&["replay"]).expect(0).shows("record 1");
}

#[test]
fn much_between_two_deployments_takes_seconds() {
    let env = TestEnv::new();
    env.deploy_record(&RECORD).expect(0);
    let mut stream = String::new();
    for number in 0..2000 {
        let message = format!("Change {number}, PAY-{number}\n");
        let _ = write!(stream, "commit refs/heads/main\ncommitter A <a@acme.example> {} +0000\n", 1_790_000_000 + number);
        let _ = write!(stream, "data {}\n{message}", message.len());
        if number == 0 {
            stream.push_str("from refs/heads/main^0\n");
        }
        for file in 0..3 {
            let _ = write!(stream, "M 100644 inline d{number}/f{file}\ndata 2\nx\n\n");
        }
        stream.push('\n');
    }
    env.git_with(&["fast-import", "--quiet"], stream.as_bytes());
    let begin = Instant::now();
    env.deploy_record(&["record", "-e", "production", "--version", "2", "--status", "success"]).expect(0);
    println!("2000 commits and 6000 files: {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
}
