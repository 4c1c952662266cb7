//! Git's protocol over SSH for libgit2: one run of the person's ssh is one connection (gitprotocol-pack(5)).
//!
//! Its pipes are read and written without blocking, so that the time limit holds whatever happens at the other end. What ssh
//! and the server print on standard error is kept and tells what went wrong.

use super::route::Route;
use super::smart_http::LARGEST_OFFER;
use super::ssh::{Ssh, SshAddress};
use crate::child::{self, Tail};
use crate::http::RemoteError;
use git2::Error;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

/// How long ssh may take to end by itself once everything is said.
const LONGEST_GOODBYE: Duration = Duration::from_secs(2);

/// The way to one repository over SSH.
#[derive(Debug)]
pub struct SshWay {
    address: SshAddress,
    ssh: Ssh,
}

impl SshWay {
    /// The way to this address by this program.
    pub fn new(address: SshAddress, ssh: Ssh) -> Self {
        SshWay { address, ssh }
    }
}

/// Asks libgit2's questions over SSH.
pub struct SmartSsh {
    route: Arc<Route>,
    way: Arc<SshWay>,
}

impl SmartSsh {
    /// For one remote of libgit2.
    pub fn new(route: Arc<Route>, way: Arc<SshWay>) -> Self {
        SmartSsh { route, way }
    }

    fn connect(&self, service: &'static str) -> Result<Connection, RemoteError> {
        if self.route.deadline().has_passed() {
            return Err(RemoteError::Timeout);
        }
        let program = self.way.ssh.name().to_owned();
        let missing = |error: io::Error| RemoteError::SshMissing { program, problem: error.to_string() };
        let mut child = self.way.ssh.command(&self.way.address, service).spawn().map_err(missing)?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(RemoteError::Here("ssh has no pipes".to_owned()));
        };
        let is_push = service == "git-receive-pack";
        let (route, remarks) = (Arc::clone(&self.route), Tail::remarks(errors));
        let connection =
            Connection { route, child, input: Some(input), output, remarks, is_push, offer: LARGEST_OFFER, has_ended: false };
        connection.set_nonblocking().map_err(|error| RemoteError::Here(error.to_string()))?;
        Ok(connection)
    }
}

impl SmartSubtransport for SmartSsh {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let service = match action {
            Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
            Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
        };
        match self.connect(service) {
            Ok(connection) => Ok(Box::new(connection)),
            Err(error) => {
                self.route.fail(&error);
                Err(Error::from_str(&error.to_string()))
            }
        }
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A run of ssh.
struct Connection {
    route: Arc<Route>,
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    remarks: Tail,
    is_push: bool,
    /// What the server may still offer, in bytes; nothing is counted once we answer.
    offer: usize,
    has_ended: bool,
}

impl Connection {
    fn set_nonblocking(&self) -> Result<(), Errno> {
        if let Some(input) = &self.input {
            ioctl_fionbio(input, true)?;
        }
        ioctl_fionbio(&self.output, true)
    }

    /// Waits until a pipe is ready, or the time is over.
    fn wait(&self, pipe: &impl AsFd, flags: PollFlags) -> io::Result<()> {
        let left = self.route.deadline().remaining();
        let limit = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pipe, flags)], Some(&limit)) {
            _ if left.is_zero() => Err(self.failed(RemoteError::Timeout)),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(self.failed(RemoteError::Here(error.to_string()))),
        }
    }

    fn failed(&self, error: RemoteError) -> io::Error {
        self.route.fail(&error);
        io::Error::other(error)
    }

    /// Nothing more comes: why, if that was too early, is for libgit2 to judge.
    fn note_end(&mut self) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        self.input = None;
        let status = child::ended_within(&mut self.child, LONGEST_GOODBYE.min(self.route.deadline().remaining()));
        self.route.fail(&explain(status, &self.remarks.text()));
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.output.read(buffer) {
                Ok(0) => {
                    self.note_end();
                    return Ok(0);
                }
                Ok(read) => {
                    self.offer = self.offer.checked_sub(read).ok_or_else(|| {
                        self.failed(RemoteError::Nonsense("it lists more references than any repository has".to_owned()))
                    })?;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(&self.output, PollFlags::IN)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(RemoteError::Broken(error.to_string()))),
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // a flush packet alone says goodbye; whatever else goes to `git-receive-pack` may change something there
        if self.is_push && bytes != b"0000" {
            self.route.note_push();
        }
        self.offer = usize::MAX;
        loop {
            let Some(input) = &mut self.input else { return Err(io::Error::from(ErrorKind::BrokenPipe)) };
            match input.write(bytes) {
                Ok(written) => return Ok(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(input) = &self.input {
                        self.wait(input, PollFlags::OUT)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.note_end();
                    return Err(error);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Connection {
    /// Lets ssh end by itself where everything went well, else ends it.
    fn drop(&mut self) {
        self.input = None;
        let patience = if self.route.failure().is_none() { LONGEST_GOODBYE } else { Duration::ZERO };
        if child::ended_within(&mut self.child, patience.min(self.route.deadline().remaining())).is_none() {
            child::end(&mut self.child);
        }
    }
}

/// Words of OpenSSH, of the shell at the other end, and of GitLab's and git's own, in lower case.
const NOT_TRUSTED: &[&str] = &["host key verification failed", "remote host identification has changed"];
const REFUSED_LOGINS: &[&str] = &["permission denied (", "too many authentication failures", "no more authentication methods"];
const NO_CONNECTIONS: &[&str] = &[
    "could not resolve hostname",
    "connection refused",
    "connection timed out",
    "operation timed out",
    "no route to host",
    "network is unreachable",
    "network is down",
];
const NO_REPOSITORIES: &[&str] =
    &["could not be found or you don't have permission", "does not appear to be a git repository", "repository not found"];
const PASSING: &[&str] = &["internal api", "unavailable", "unreachable", "temporar"];

/// What went wrong, from ssh's exit code (255: it itself failed; else the command at the other end) and the last words.
fn explain(status: Option<ExitStatus>, words: &str) -> RemoteError {
    let lower = words.to_lowercase();
    let has = |list: &[&str]| list.iter().any(|word| lower.contains(word));
    let or = |words: &str, otherwise: &str| if words.is_empty() { otherwise.to_owned() } else { words.to_owned() };
    let code = status.and_then(|status| status.code());
    match code {
        _ if has(NOT_TRUSTED) => RemoteError::SshHostKey(words.to_owned()),
        _ if has(REFUSED_LOGINS) => RemoteError::SshLogin(words.to_owned()),
        _ if has(NO_CONNECTIONS) => RemoteError::Connect(words.to_owned()),
        _ if has(NO_REPOSITORIES) => RemoteError::NoRepository(words.to_owned()),
        Some(1..255) if !has(PASSING) => RemoteError::SshRefused(or(words, "it gives no reason")),
        _ => RemoteError::Broken(or(words, "the connection ends too early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn what_went_wrong_is_told_apart() {
        let of = |code: i32, words: &str| explain(Some(ExitStatus::from_raw(code << 8)), words);
        assert!(matches!(of(255, "git@host: Permission denied (publickey)."), RemoteError::SshLogin(_)));
        assert!(matches!(of(255, "Host key verification failed."), RemoteError::SshHostKey(_)));
        assert!(matches!(of(255, "ssh: Could not resolve hostname x: Name or service not known"), RemoteError::Connect(_)));
        assert!(matches!(of(255, "kex_exchange_identification: Connection closed by remote host"), RemoteError::Broken(_)));
        let gitlab = "ERROR: The project you were looking for could not be found or you don't have permission to view it.";
        assert!(matches!(of(128, gitlab), RemoteError::NoRepository(_)));
        assert!(matches!(
            of(1, "GitLab: Failed to authorize your Git request: internal API unreachable"),
            RemoteError::Broken(_)
        ));
        assert!(matches!(of(127, "git-upload-pack: command not found"), RemoteError::SshRefused(_)));
        assert!(matches!(of(0, ""), RemoteError::Broken(_)));
        assert!(matches!(explain(None, ""), RemoteError::Broken(_)));
        assert!(of(255, "Connection closed").is_transient() && !of(255, "Host key verification failed.").is_transient());
    }
}
