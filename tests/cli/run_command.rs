//! `deploy-record run -- CMD…` as a process among processes: signals, terminal, streams, dispositions.
//!
//! Every test starts the program in a repository of its own and lets the command say in files what it saw. The command's
//! `$PPID` is the program, so a command can signal it, and a test knows whom to signal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A command that notes the named signals in `signals` and goes on until the file `end` is there, or the
/// whole folder gone.
const LISTENER: &str = r#"
    for name in HUP INT QUIT TERM USR1 USR2; do trap "echo $name >>signals" $name; done
    echo $PPID >parent.new; mv parent.new parent
    while [ -e parent ] && [ ! -e end ]; do sleep 0.02; done
    exit 7
"#;

/// Starts the rest of its arguments with the default dispositions and an open mask, however the tests themselves were started:
/// a script's `&` ignores SIGINT, some supervisors block signals.
const UNTOUCHED: [&str; 4] = [
    "perl",
    "-e",
    "use POSIX; $SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT TERM USR1 USR2 CHLD); \
     sigprocmask(SIG_SETMASK, POSIX::SigSet->new()) or die; exec @ARGV",
    "--",
];

struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// A repository with one commit, and nothing of the surroundings' CI variables.
    fn new() -> Scratch {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch { folder };
        let commit = "git init -q -b main && git -c user.name=Chen -c user.email=chen@acme.example \
                      commit -q --allow-empty -m first";
        let mut shell = Command::new("sh");
        let status = scratch.place(&mut shell).args(["-c", commit]).status();
        assert!(status.unwrap().success(), "install git: apt-get install git");
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let ci = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name == "CI" || name.starts_with("CI_") || name.starts_with("DEPLOY_RECORD_")
        });
        for (name, _) in ci {
            command.env_remove(name);
        }
        let place = command.current_dir(self.folder.path());
        place.stdin(Stdio::null()).stderr(Stdio::null())
    }

    /// `deploy-record run -- CMD…`, to be started by itself or within a wrapper such as `nohup`.
    fn run(&self, wrapper: &[&str], command: &[&str]) -> Command {
        let line = words(&[&UNTOUCHED, wrapper].concat(), command);
        let mut process = Command::new(&line[0]);
        self.place(process.args(&line[1..]));
        process
    }

    fn listener(&self, wrapper: &[&str]) -> (Child, String) {
        let child = self.run(wrapper, &["sh", "-c", LISTENER]).spawn().unwrap();
        (child, self.content("parent"))
    }

    /// The content of a file, once a command has written it.
    fn content(&self, name: &str) -> String {
        let path = self.path(name);
        until(name, || fs::metadata(&path).is_ok_and(|file| file.len() > 0));
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// What the newest record says, in the words of its commit.
    fn recorded(&self) -> String {
        let mut git = Command::new("git");
        let log = ["log", "-1", "--format=%s", "deploy-log"];
        let output = self.place(git.args(log)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn has(&self, name: &str, line: &str) -> bool {
        let content = fs::read_to_string(self.path(name)).unwrap_or_default();
        content.lines().any(|other| other == line)
    }
}

fn words(wrapper: &[&str], command: &[&str]) -> Vec<String> {
    let program = [env!("CARGO_BIN_EXE_deploy-record"), "run", "--environment", "production", "--"];
    let words = [wrapper, &program, command].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// The command line for a shell, every word quoted.
fn line(command: &[&str]) -> String {
    let quoted = words(&[], command).into_iter();
    let quoted = quoted.map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited for {what} in vain");
        sleep(Duration::from_millis(10));
    }
}

fn end(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the end of the process", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

fn send(signal: &str, pid: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
    assert!(status.unwrap().success(), "kill -{signal} {pid}");
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let scratch = Scratch::new();
    let cases: [(&[&str], i32); 6] = [
        (&["true"], 0),
        (&["sh", "-c", "exit 41"], 41),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "kill -PIPE $$"], 141),
        (&["no-such-program-here"], 127),
        (&["/"], 126),
    ];
    for (command, code) in cases {
        let output = scratch.run(&[], command).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{command:?}");
    }
}

#[test]
fn streams_are_the_commands_own() {
    let scratch = Scratch::new();
    fs::write(scratch.path("in"), "typed").unwrap();
    let script = "cat; echo told >&2; seen=$(readlink /proc/$$/fd/0 /proc/$$/fd/1); echo \"$seen\" >descriptors";
    let mut process = scratch.run(&[], &["sh", "-c", script]);
    let out = scratch.path("out");
    process.stdin(fs::File::open(scratch.path("in")).unwrap());
    process.stdout(fs::File::create(&out).unwrap());
    let output = process.stderr(Stdio::piped()).output().unwrap();

    assert!(output.status.success());
    assert_eq!(fs::read_to_string(&out).unwrap(), "typed");
    assert!(String::from_utf8_lossy(&output.stderr).contains("told\n"));
    if cfg!(target_os = "linux") {
        let inherited = [scratch.path("in"), out].map(|path| path.canonicalize().unwrap());
        let inherited = inherited.map(|path| path.display().to_string());
        assert_eq!(scratch.content("descriptors"), inherited.join("\n"));
    }
}

#[test]
fn signals_from_a_process_are_passed_on_once() {
    for name in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"] {
        let scratch = Scratch::new();
        let (mut child, program) = scratch.listener(&[]);
        send(name, &program);
        assert_eq!(scratch.content("signals"), name);
        // The program lives on and passes on the next one too.
        send("USR1", &program);
        until("SIGUSR1", || scratch.has("signals", "USR1"));
        fs::write(scratch.path("end"), "").unwrap();
        assert_eq!(end(&mut child).code(), Some(7), "{name}");
        let expected = if name == "USR1" { 2 } else { 1 };
        let seen = fs::read_to_string(scratch.path("signals")).unwrap();
        assert_eq!(seen.lines().filter(|line| *line == name).count(), expected);
    }
}

#[test]
fn a_command_may_signal_the_program() {
    let scratch = Scratch::new();
    let status = scratch.run(&[], &["sh", "-c", "kill -TERM $PPID; sleep 30"]).status();
    assert_eq!(status.unwrap().code(), Some(143));
}

#[test]
fn a_signal_during_the_start_is_not_lost() {
    let ended_early = |delay| {
        let scratch = Scratch::new();
        let mut child = scratch.run(&[], &["sleep", "60"]).spawn().unwrap();
        sleep(delay);
        send("TERM", &child.id().to_string());
        !end(&mut child).success()
    };
    std::thread::scope(|scope| {
        let delays = (0..24).map(|step| Duration::from_millis(step * step / 2));
        let started: Vec<_> = delays.map(|delay| scope.spawn(move || (delay, ended_early(delay)))).collect();
        for thread in started {
            let (delay, ended) = thread.join().unwrap();
            assert!(ended, "after {delay:?}");
        }
    });
}

#[test]
fn signals_after_the_commands_end_do_not_stop_the_recording() {
    let scratch = Scratch::new();
    let script = r#"
        parent=$PPID
        ( sleep 0.1; for i in 1 2 3 4 5 6 7 8 9 10; do
            for name in TERM INT HUP QUIT; do kill -$name $parent 2>/dev/null && echo sent >>sent; done; sleep 0.01
        done ) &
        exit 5
    "#;
    let status = scratch.run(&[], &["sh", "-c", script]).status().unwrap();
    assert_eq!(status.code(), Some(5));
    assert!(scratch.recorded().ends_with("failed"));
}

/// Runs the rest of its arguments with SIGCHLD ignored, as some supervisors leave it.
const CHILDREN_IGNORED: &[&str] = &["perl", "-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV", "--"];

#[test]
#[cfg(target_os = "linux")]
fn the_command_starts_with_default_dispositions_and_an_open_mask() {
    for wrapper in [&[], CHILDREN_IGNORED] {
        let scratch = Scratch::new();
        let mut cat = scratch.run(wrapper, &["cat", "/proc/self/status"]);
        let status = String::from_utf8(cat.output().unwrap().stdout).unwrap();
        for name in ["SigBlk:", "SigIgn:", "SigCgt:"] {
            let mut lines = status.lines();
            let mask = lines.find_map(|line| line.strip_prefix(name)).unwrap();
            let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
            // Signals 1 to 31; the C library keeps some of the others for itself.
            assert_eq!(mask & 0x7fff_ffff, 0, "{name} {mask:x} {wrapper:?}");
        }
    }
}

#[test]
fn what_the_parent_did_to_sigchld_does_not_matter() {
    let blocked = "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD)) or die; exec @ARGV";
    for wrapper in [CHILDREN_IGNORED, &["perl", "-e", blocked, "--"]] {
        let scratch = Scratch::new();
        let mut child = scratch.run(wrapper, &["sh", "-c", "exit 9"]).spawn().unwrap();
        assert_eq!(end(&mut child).code(), Some(9), "{wrapper:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn nohup_still_protects_the_command() {
    let scratch = Scratch::new();
    let (mut child, program) = scratch.listener(&["nohup"]);
    send("HUP", &program);
    send("USR2", &program);
    until("SIGUSR2", || scratch.has("signals", "USR2"));
    fs::write(scratch.path("end"), "").unwrap();
    assert_eq!(end(&mut child).code(), Some(7));
    assert!(!scratch.has("signals", "HUP"));
}

/// The same on a terminal, which util-linux's `script` provides.
#[cfg(target_os = "linux")]
mod terminal {
    use super::*;

    use std::io::Write;

    fn on_terminal(scratch: &Scratch, command: &str) -> Child {
        let mut script = Command::new(UNTOUCHED[0]);
        scratch.place(&mut script);
        script.args(&UNTOUCHED[1..]).args(["script", "-qec", command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
        script.spawn().expect("install script: apt-get install bsdutils")
    }

    fn press_control_c(terminal: &mut Child) {
        let keys = terminal.stdin.as_mut().unwrap();
        keys.write_all(b"\x03").unwrap();
        keys.flush().unwrap();
    }

    /// Gone, or waiting for a first process that does not reap orphans, as in some containers.
    fn has_ended(process: &str) -> bool {
        let status = fs::read_to_string(Path::new("/proc").join(process).join("status"));
        status.map_or(true, |status| status.contains("State:\tZ"))
    }

    #[test]
    fn the_command_keeps_the_terminal() {
        let scratch = Scratch::new();
        let seen = "for i in 0 1 2; do test -t $i && echo $i >>seen; done; exit 0";
        let mut terminal = on_terminal(&scratch, &line(&["sh", "-c", seen]));
        assert!(end(&mut terminal).success());
        assert_eq!(scratch.content("seen"), "0\n1\n2");
    }

    #[test]
    fn control_c_reaches_the_command_and_the_program_survives_it() {
        let scratch = Scratch::new();
        let command = format!("{}; echo $? >code", line(&["sh", "-c", LISTENER]));
        // The shell between terminal and program ignores what the program must survive.
        let mut terminal = on_terminal(&scratch, &format!("trap : INT; {command}"));
        scratch.content("parent");
        press_control_c(&mut terminal);
        assert_eq!(scratch.content("signals"), "INT");
        fs::write(scratch.path("end"), "").unwrap();
        assert_eq!(scratch.content("code"), "7");
        end(&mut terminal);
        assert!(scratch.recorded().ends_with("canceled"));
    }

    #[test]
    fn control_c_is_not_passed_on_a_second_time() {
        let scratch = Scratch::new();
        // In a session of its own the command gets nothing from the terminal: what it gets was passed on.
        let command = line(&["setsid", "sh", "-c", LISTENER]);
        let mut terminal = on_terminal(&scratch, &format!("trap : INT; {command}; echo $? >code"));
        let program = scratch.content("parent");
        press_control_c(&mut terminal);
        sleep(Duration::from_millis(300));
        send("USR1", &program);
        until("SIGUSR1", || scratch.has("signals", "USR1"));
        assert_eq!(scratch.content("signals"), "USR1");
        fs::write(scratch.path("end"), "").unwrap();
        assert_eq!(scratch.content("code"), "7");
        end(&mut terminal);
    }

    #[test]
    fn a_hangup_reaches_the_command_of_a_session_leader() {
        let scratch = Scratch::new();
        let command = format!("exec {}", line(&["sh", "-c", LISTENER]));
        let mut terminal = on_terminal(&scratch, &command);
        let program = scratch.content("parent");
        terminal.kill().unwrap();
        terminal.wait().unwrap();
        assert_eq!(scratch.content("signals"), "HUP");
        fs::write(scratch.path("end"), "").unwrap();
        until("the end of the program", || has_ended(&program));
    }
}
