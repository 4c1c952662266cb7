//! Programs that we run for ourselves (git, ssh, ssh-keygen): always within a time limit, and only what is ours is ended.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a program may take to end once it was told to.
const LONGEST_END: Duration = Duration::from_millis(500);
/// How long its last words are waited for: a process that it left behind may keep its output open.
const LONGEST_LAST_WORDS: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(5);
/// The most that is kept of what is printed on standard error, in bytes: its end.
const LONGEST_REMARKS: usize = 2048;

/// What a program gave.
pub struct Output {
    /// Whether it ended with success.
    pub is_success: bool,
    /// The end of its standard output.
    pub stdout: Zeroizing<Vec<u8>>,
    /// The end of what it printed on standard error.
    pub remarks: String,
}

/// Runs a program with this input to its end. At most `most` bytes of its output are kept.
///
/// # Errors
/// Where it can't be started, or did not end in time ([`io::ErrorKind::TimedOut`]).
pub fn run(command: &mut Command, input: &[u8], most: usize, limit: Duration) -> io::Result<Output> {
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = Zeroizing::new(input.to_vec());
        // one that reads nothing closes its end, or is ended below
        thread::spawn(move || stdin.write_all(&input).is_ok());
    }
    let output = child.stdout.take().map(|stdout| Tail::of(stdout, most));
    let remarks = child.stderr.take().map(|stderr| Tail::of(stderr, LONGEST_REMARKS));
    let Some(status) = ended_within(&mut child, limit.saturating_sub(begin.elapsed())) else {
        end(&mut child);
        return Err(io::ErrorKind::TimedOut.into());
    };
    let stdout = output.map(|output| output.bytes()).unwrap_or_default();
    let remarks = remarks.map(|remarks| remarks.text()).unwrap_or_default();
    Ok(Output { is_success: status.success(), stdout, remarks })
}

/// How a child ended; `None` where it still runs when the time is over.
pub fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if begin.elapsed() < limit => thread::sleep(STEP),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}

/// Asks a child to end, so that it puts the terminal back in order, and ends it if it does not.
pub fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // the child was not reaped yet, so that this is still its id
        kill_process(pid, Signal::TERM).ok();
    }
    if ended_within(child, LONGEST_END).is_none() && child.kill().is_ok() {
        child.wait().ok();
    }
}

/// The end of what comes out of a pipe, read as it comes.
pub struct Tail {
    bytes: Arc<Mutex<Zeroizing<Vec<u8>>>>,
    end: Receiver<()>,
}

impl Tail {
    /// Of standard error.
    pub fn remarks(pipe: impl Read + Send + 'static) -> Self {
        Tail::of(pipe, LONGEST_REMARKS)
    }

    fn of(mut pipe: impl Read + Send + 'static, most: usize) -> Self {
        let bytes = Arc::new(Mutex::new(Zeroizing::new(Vec::new())));
        let (sender, end) = channel::<()>();
        let kept = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut buffer = Zeroizing::new([0; 1024]);
            while let Ok(read @ 1..) = pipe.read(&mut *buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..read]);
                let excess = kept.len().saturating_sub(most);
                kept.drain(..excess);
            }
            drop(sender);
        });
        Tail { bytes, end }
    }

    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        // the other end hangs up when everything was read
        let _ = self.end.recv_timeout(LONGEST_LAST_WORDS);
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// On one line, without what says nothing.
    pub fn text(&self) -> String {
        let text =
            String::from_utf8_lossy(&self.bytes()).replace(|character: char| character.is_control() && character != '\n', " ");
        let says_something = |line: &&str| {
            let words = line.trim().trim_start_matches("remote:").trim();
            !words.chars().all(|character| "@=*-".contains(character)) && !words.starts_with("Warning: Permanently added")
        };
        text.lines().filter(says_something).map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_is_fed_and_heard() {
        let output = run(&mut shell("cat; echo no >&2; exit 3"), b"input", 100, Duration::from_secs(20)).expect("output");
        assert_eq!((&**output.stdout, output.remarks.as_str(), output.is_success), (&b"input"[..], "no", false));
    }

    #[test]
    fn only_the_end_of_much_is_kept() {
        let script = "head -c 100000 /dev/zero; printf end; yes word | head -n 9999 >&2";
        let output = run(&mut shell(script), b"", 10, Duration::from_secs(20)).expect("output");
        assert_eq!((&output.stdout[7..], output.stdout.len()), (&b"end"[..], 10));
        assert!(output.remarks.len() <= LONGEST_REMARKS);
    }

    #[test]
    fn what_does_not_end_is_ended() {
        for script in ["exec sleep 600", "trap '' TERM; while :; do sleep 0.1; done"] {
            let begin = Instant::now();
            let result = run(&mut shell(script), b"", 10, Duration::from_millis(300));
            assert!(result.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut), "{script}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{script}");
        }
    }

    #[test]
    fn an_output_that_stays_open_is_not_waited_for() {
        let begin = Instant::now();
        let output = run(&mut shell("sleep 20 & echo done"), b"", 100, Duration::from_secs(20)).expect("output");
        assert_eq!(&**output.stdout, b"done\n");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
