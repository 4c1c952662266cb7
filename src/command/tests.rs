use std::fs;

use super::*;

/// Signals that nobody sends: handlers of the test process stay as they are.
fn quiet() -> Signals {
    Signals { stop: Arc::default(), prepares: Arc::default(), child: Arc::default() }
}

fn shell(script: &str, signals: &Signals) -> Finished {
    run(OsStr::new("sh"), &["-c".into(), script.into()], signals)
}

#[test]
fn the_exit_code_is_the_one_a_shell_gives() {
    let cases = [
        ("exit 0", Ending::Exited { code: 0 }, 0),
        ("exit 1", Ending::Exited { code: 1 }, 1),
        ("exit 255", Ending::Exited { code: 255 }, 255),
        ("exit 143", Ending::Exited { code: 143 }, 143),
        ("kill -TERM $$", Ending::Killed { signal: 15 }, 143),
        ("kill -KILL $$", Ending::Killed { signal: 9 }, 137),
        // Rust ignores SIGPIPE in its own process; the command must not inherit that.
        ("kill -PIPE $$", Ending::Killed { signal: 13 }, 141),
        ("nothing-of-that-name", Ending::Exited { code: 127 }, 127),
    ];
    for (script, ending, code) in cases {
        let finished = shell(script, &quiet());
        assert_eq!(finished.ending, ending, "{script}");
        assert_eq!(finished.exit_code(), code, "{script}");
        assert_eq!(finished.success(), code == 0, "{script}");
        assert!(!finished.canceled, "{script}");
        assert_eq!(finished.problem(), None, "{script}");
    }
}

#[test]
fn a_command_that_cannot_start_is_126_or_127_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    // Another process writes it: a file that this one has open for writing while a test forks is "busy" for a moment.
    let file = |name: &str, text: &str, mode: &str| {
        let path = folder.path().join(name);
        let script = "printf '%s\\n' \"$1\" >\"$2\" && chmod \"$3\" \"$2\"";
        let mut write = Command::new("sh");
        write.args(["-c", script, "sh", text]).arg(&path).arg(mode);
        assert!(write.status().unwrap().success());
        path.into_os_string()
    };
    let nowhere = folder.path().join("nowhere").into_os_string();
    let no_loader = file("no-loader", "#!/nowhere/interpreter", "755");
    let cases = [
        ("no-such-program-here".into(), 127, "not found in `PATH`"),
        ("".into(), 127, "not found"),
        (nowhere, 127, "no such file"),
        (folder.path().into(), 126, "is a directory"),
        (file("plain", "#!/bin/sh", "644"), 126, "chmod +x"),
        (no_loader, 126, "interpreter"),
        (file("no-line", "echo hello", "755"), 126, "#!/bin/sh"),
        ("nul\0byte".into(), 126, "nul byte"),
    ];
    for (program, expected, text) in cases {
        let finished = run(&program, &["secret-argument".into()], &quiet());
        let Ending::NotStarted { code, error } = &finished.ending else {
            panic!("{program:?}: {finished:?}");
        };
        assert_eq!(*code, expected, "{program:?}");
        assert!(error.contains(text), "{program:?}: {error}");
        assert!(!error.contains("secret-argument"), "{error}");
        assert_eq!(finished.exit_code(), expected);
        assert!(!finished.success() && !finished.canceled);
    }
}

#[test]
fn a_cancel_before_the_start_keeps_the_command_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("ran");
    let signals = quiet();
    signals.stop.store(15, Ordering::SeqCst);

    let finished = run(OsStr::new("touch"), &[proof.clone().into()], &signals);

    assert_eq!(finished.exit_code(), 143);
    assert!(finished.canceled && !finished.success());
    let problem = "SIGTERM came before the command was started";
    assert_eq!(finished.problem(), Some(problem));
    assert!(!proof.exists());
}

#[test]
fn canceled_means_told_to_stop_and_not_ended_with_0() {
    let cases = [
        (0, Ending::Exited { code: 0 }, false),
        (0, Ending::Exited { code: 1 }, false),
        (0, Ending::Killed { signal: 15 }, false),
        (15, Ending::Exited { code: 0 }, false),
        (15, Ending::Exited { code: 1 }, true),
        (2, Ending::Killed { signal: 2 }, true),
    ];
    for (received, ending, canceled) in cases {
        let signals = quiet();
        signals.stop.store(received, Ordering::SeqCst);
        let finished = Finished::new(ending.clone(), &signals);
        assert_eq!(finished.canceled, canceled, "{received} {ending:?}");
    }
}

#[test]
fn after_its_end_the_command_is_reaped_and_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let signals = quiet();
    let script = format!("echo $$ >'{}'", file.display());
    assert!(shell(&script, &signals).success());

    let pid: i32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    assert_eq!(rustix::process::test_kill_process(pid), Err(Errno::SRCH));
    assert_eq!(*lock(&signals.child), None);
}

#[test]
fn only_what_the_terminal_sent_to_the_group_is_not_passed_on() {
    let cases = [
        // signal, sent by a process, for us alone
        (SIGINT, false, false),
        (SIGQUIT, false, false),
        (SIGHUP, false, true),
        (SIGINT, true, true),
        (SIGTERM, true, true),
        (SIGHUP, true, true),
    ];
    for (signal, process, expected) in cases {
        assert_eq!(is_for_us_alone(signal, process), expected, "{signal} {process}");
    }
}

#[test]
fn ignored_signals_are_read_from_the_status_file() {
    let status = "Name:\tsh\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
    let mask = parse_ignored(status).unwrap();
    for (signal, ignored) in [(SIGHUP, true), (SIGINT, true), (SIGQUIT, false), (SIGTERM, false)] {
        assert_eq!(is_in(mask, signal), ignored, "{signal}");
    }
    for broken in ["", "SigIgn:\tzz\n", "Name:\tSigIgn:\n"] {
        assert_eq!(parse_ignored(broken), None, "{broken}");
    }
}
