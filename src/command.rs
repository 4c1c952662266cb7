//! Runs the deploy command and passes signals on to it.
//!
//! The command gets our standard streams and environment as they are, but for the signing key and tokens, and signal
//! dispositions and mask as if it had been started in our place: the defaults, but for a signal that was ignored or blocked when
//! we were started, as by `nohup` or `&` in a script; that one stays so, for us and for the command (ignored ones: on Linux). A
//! signal that asks us to stop ends us before the command has started; after that it goes to the command and never ends us,
//! neither while it runs nor while its outcome is recorded: a deployment that was cut off is recorded as such. The command's
//! process id is used only until it is reaped.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;

#[cfg(test)]
mod tests;

/// Signals that ask us to stop.
const STOP: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Signals that mean nothing to us and are passed on all the same.
const USER: [i32; 2] = [SIGUSR1, SIGUSR2];

/// Variables that are for us and not for the command: what it prints of its environment must not give the key away.
pub const OWN_SECRETS: [&str; 4] =
    ["DEPLOY_RECORD_ID_TOKEN", "DEPLOY_RECORD_KEY", "DEPLOY_RECORD_KEY_PASSPHRASE", "DEPLOY_RECORD_TOKEN"];

/// The process's signal handlers and the thread that passes signals on.
///
/// To be installed before the start is recorded, so that a cancel during the network part is seen too. Handlers and
/// thread stay until the process ends: dropping this does not bring back the default dispositions.
#[derive(Debug)]
pub struct Signals {
    /// Number of the last stop signal, 0 for none; written by the signal handler itself.
    stop: Arc<AtomicUsize>,
    /// Whether we still prepare: until then a stop signal ends us, if need be in the midst of what we wait for.
    prepares: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Pid>>>,
}

impl Signals {
    /// Installs the handlers and starts the thread that passes signals on.
    ///
    /// # Errors
    /// When the system refuses a handler, the pipe between handlers and thread, or the thread.
    pub fn install() -> io::Result<Signals> {
        let stop = Arc::new(AtomicUsize::new(0));
        let prepares = Arc::new(AtomicBool::new(true));
        let child = Arc::new(Mutex::new(None));
        let handled = [&STOP[..], &USER[..]].concat();
        let ignored = ignored_signals();
        let handled = handled.iter().filter(|&&signal| !is_in(ignored, signal));

        for &signal in handled.clone().filter(|signal| STOP.contains(signal)) {
            flag::register_usize(signal, Arc::clone(&stop), signal as usize)?;
        }
        // With SIGCHLD ignored, as some parents leave it, the system would throw the command's exit status away.
        flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;

        let mut arriving = SignalsInfo::<WithOrigin>::new(handled)?;
        let (target, still_prepares) = (Arc::clone(&child), Arc::clone(&prepares));
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for origin in arriving.forever() {
                if STOP.contains(&origin.signal) && still_prepares.load(Ordering::SeqCst) {
                    end_unless_noticed(origin.signal, &still_prepares);
                }
                if is_for_us_alone(origin.signal, origin.process.is_some()) {
                    pass_on(&lock(&target), origin.signal);
                }
            }
        })?;
        Ok(Signals { stop, prepares, child })
    }

    /// Ends the preparation: from now on no stop signal ends us.
    pub fn end_preparation(&self) {
        self.prepares.store(false, Ordering::SeqCst);
    }

    /// The last signal that asked us to stop (SIGHUP, SIGINT, SIGQUIT or SIGTERM) since the handlers were installed.
    pub fn received(&self) -> Option<i32> {
        match self.stop.load(Ordering::SeqCst) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }
}

/// How long the preparation may take to notice a stop signal: the time of a push that is under way.
const NOTICE: Duration = Duration::from_secs(3);

/// Ends the process, as a shell tells it, unless the preparation comes to its end meanwhile and takes over. What was begun by then
/// is as after any other sudden end: a start that was recorded stays open.
fn end_unless_noticed(signal: i32, prepares: &AtomicBool) {
    let begin = Instant::now();
    while prepares.load(Ordering::SeqCst) {
        if begin.elapsed() > NOTICE {
            std::process::exit(128 + signal);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself.
    Exited {
        /// Its exit code, 0 to 255; 1 where the system does not tell.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It never ran.
    NotStarted {
        /// As a shell gives it: 127 not found, 126 found but not startable; 128 + signal where we were told to stop before.
        code: i32,
        /// What failed and what to do next; names the program, never its arguments.
        error: String,
    },
}

/// The outcome of [`run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How the command ended.
    pub ending: Ending,
    /// We were told to stop, and the command did not end with 0.
    pub canceled: bool,
}

impl Finished {
    /// The outcome of a command that was not started since this stop signal came before.
    fn not_started(signal: i32) -> Finished {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a stop signal");
        Finished {
            ending: Ending::NotStarted { code: 128 + signal, error: format!("{name} came before the command was started") },
            canceled: true,
        }
    }

    fn new(ending: Ending, signals: &Signals) -> Finished {
        let success = ending == Ending::Exited { code: 0 };
        Finished { canceled: !success && signals.received().is_some(), ending }
    }

    /// The exit code as a shell gives it: the command's own, or 128 + signal, or 126 or 127.
    pub fn exit_code(&self) -> i32 {
        match self.ending {
            Ending::Exited { code } | Ending::NotStarted { code, .. } => code,
            Ending::Killed { signal } => 128 + signal,
        }
    }

    /// Whether the command ran and ended with 0.
    pub fn success(&self) -> bool {
        self.exit_code() == 0
    }

    /// Why the command never ran; `None` where it did.
    pub fn problem(&self) -> Option<&str> {
        match &self.ending {
            Ending::NotStarted { error, .. } => Some(error),
            Ending::Exited { .. } | Ending::Killed { .. } => None,
        }
    }
}

/// Runs the command to its end and passes signals on to it.
///
/// The streams are inherited untouched. A command is not started any more once `signals` has received a stop signal.
/// Signals that the terminal sent to the whole foreground group, as for Ctrl-C, are not passed on a second time: many
/// deploy tools take a second one as an order to drop everything.
pub fn run(program: &OsStr, arguments: &[OsString], signals: &Signals) -> Finished {
    let mut target = lock(&signals.child);
    if let Some(signal) = signals.received() {
        return Finished::not_started(signal);
    }
    let mut command = Command::new(program);
    for name in OWN_SECRETS {
        command.env_remove(name);
    }
    let mut child = match command.args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => return Finished::new(not_started(program, &error), signals),
    };
    *target = Pid::from_raw(child.id().cast_signed());
    // The terminal's signal may have come just before the command was in its group: then only this brings it there.
    if let Some(signal @ (SIGINT | SIGQUIT)) = signals.received() {
        pass_on(&target, signal);
    }
    drop(target);

    let ending = wait_for_end(&mut child, &signals.child);
    Finished::new(ending, signals)
}

/// Waits until the command has ended, makes its process id unreachable for signals, and only then reaps it.
fn wait_for_end(child: &mut Child, target: &Mutex<Option<Pid>>) -> Ending {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // A failure here comes again in `wait`, which is the one to answer it.
        let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), ended));
    }
    *lock(target) = None;
    match child.wait() {
        Ok(status) => ending_of(status),
        Err(_) => Ending::Exited { code: 1 },
    }
}

fn ending_of(status: ExitStatus) -> Ending {
    match status.signal() {
        Some(signal) => Ending::Killed { signal },
        None => Ending::Exited { code: status.code().unwrap_or(1) },
    }
}

/// Shell conventions: POSIX, Shell Command Language, 2.8.2 "Exit Status for Commands".
fn not_started(program: &OsStr, error: &io::Error) -> Ending {
    let name = program.to_string_lossy();
    let is_path = name.contains('/');
    let (code, reason) = match error.kind() {
        io::ErrorKind::NotFound if is_path && Path::new(program).exists() => {
            (126, "the interpreter that its first line names, or its dynamic loader, was not found".to_owned())
        }
        io::ErrorKind::NotFound if is_path => (127, "no such file; check the path".to_owned()),
        io::ErrorKind::NotFound => (127, "not found in `PATH`; install it, or give its path".to_owned()),
        _ if is_path && Path::new(program).is_dir() => (126, "it is a directory".to_owned()),
        io::ErrorKind::PermissionDenied => (126, "permission denied; make it executable with `chmod +x`".to_owned()),
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            (126, "not a program of this system; a script needs a first line such as `#!/bin/sh`".to_owned())
        }
        _ => (126, error.to_string()),
    };
    Ending::NotStarted { code, error: format!("`{name}` can't be started: {reason}") }
}

/// Whether a signal came to us and not to the command as well.
///
/// The terminal signals its whole foreground group; Linux marks that with `SI_KERNEL`, macOS with no sender. Only its hangup
/// goes to the session's leader alone, and where the group had it too, a second one does no harm.
fn is_for_us_alone(signal: i32, sent_by_process: bool) -> bool {
    sent_by_process || signal == SIGHUP
}

fn pass_on(target: &MutexGuard<'_, Option<Pid>>, signal: i32) {
    if let (Some(pid), Some(signal)) = (**target, Signal::from_named_raw(signal)) {
        // It may have become another user's process (sudo); there is nobody else to tell.
        let _ = kill_process(pid, signal);
    }
}

fn lock(target: &Mutex<Option<Pid>>) -> MutexGuard<'_, Option<Pid>> {
    target.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals that are ignored as we were started, bit 0 for signal 1 (proc(5), `SigIgn`); none where the system does not tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_ignored(&status).unwrap_or(0)
}

fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}
