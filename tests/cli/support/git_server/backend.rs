//! The real git behind the server: bare repositories on disk, served by `git http-backend` (CGI).
//!
//! git sees no configuration but the repositories' own. Each repository has a `pre-receive` hook in plain
//! `sh`, told what to refuse by two environment variables, so pushes to the folder itself are not refused.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;

use super::http::{Head, Response};
use super::lock;

const INSTALL: &str = "install git with its HTTP backend \
    (Debian, Ubuntu: `apt-get install git`; Fedora: `dnf install git`; Alpine: `apk add git git-daemon`)";

const MESSAGES: &str = "backend.log";

const CONFIG: &str = "\
[receive]
\tdenyNonFastForwards = true
\tdenyDeletes = true
\tadvertisePushOptions = true
\tautoGC = false
[http]
\treceivepack = true
[uploadpack]
\tallowAnySHA1InWant = true
\tallowReachableSHA1InWant = true
\tallowFilter = true
[gc]
\tauto = 0
";

const PRE_RECEIVE: &str = r#"#!/bin/sh
if [ -n "${GIT_SERVER_DECLINE+set}" ]; then
    printf '%s\n' "$GIT_SERVER_DECLINE" >&2
    exit 1
fi
newline='
'
while read -r old new reference; do
    case "$newline$GIT_SERVER_PROTECTED$newline" in
    *"$newline$reference$newline"*)
        echo "GitLab: You are not allowed to push code to protected branches on this project." >&2
        exit 1
        ;;
    esac
done
"#;

/// The folder of the repositories and the program that serves them.
pub struct Backend {
    program: PathBuf,
    root: PathBuf,
    repositories: Mutex<HashSet<String>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    stopped: bool,
    groups: HashSet<u32>,
}

/// One request for git.
pub struct Call<'a> {
    /// Method, path, query and headers.
    pub head: &'a Head,
    /// The body, without its chunks.
    pub body: &'a [u8],
    /// The authenticated user.
    pub user: &'a str,
    /// What the hook prints if it has to refuse.
    pub decline: Option<&'a str>,
    /// Full names of the branches that the hook refuses, one a line.
    pub protected: &'a str,
}

impl Backend {
    /// Finds `git http-backend`; repositories will be below `root`.
    ///
    /// # Panics
    /// If git or its HTTP backend is not installed.
    pub fn new(root: &Path) -> Backend {
        let output = git(root).arg("--exec-path").output();
        let output = output.unwrap_or_else(|error| panic!("cannot run `git`: {error}; {INSTALL}"));
        let folder = String::from_utf8_lossy(&output.stdout);
        let program = Path::new(folder.trim()).join("git-http-backend");
        assert!(program.is_file(), "`{}` is missing; {INSTALL}", program.display());
        Backend { program, root: root.to_owned(), repositories: Mutex::default(), running: Mutex::default() }
    }

    /// Makes an empty bare repository with the default branch `main`.
    ///
    /// # Panics
    /// If git or the file system refuses.
    pub fn add_repository(&self, path: &str) -> PathBuf {
        let folder = self.root.join(path);
        let mut init = git(&self.root);
        init.args(["init", "--quiet", "--bare", "--template="]).arg("--initial-branch=main").arg(&folder);
        let status = init.status().expect("running `git init`");
        assert!(status.success(), "`git init --bare {path}` failed");
        configure(&folder).expect("configuring the bare repository");
        lock(&self.repositories).insert(path.to_owned());
        folder
    }

    /// Whether there is a repository of that path, such as `grp/app.git`.
    pub fn has(&self, path: &str) -> bool {
        lock(&self.repositories).contains(path)
    }

    /// Lets git answer a request and waits until git is done.
    ///
    /// # Errors
    /// If git cannot be started, the server stops meanwhile, or git's answer is malformed.
    pub fn run(&self, call: &Call) -> io::Result<Response> {
        let mut child = self.command(call)?.spawn()?;
        let group = child.id();
        let is_stopped = {
            let mut running = lock(&self.running);
            running.groups.insert(group);
            running.stopped
        };
        if is_stopped {
            kill(&[group]);
        }
        let output = converse(&mut child, call.body);
        lock(&self.running).groups.remove(&group);
        child.wait()?;
        Response::from_cgi(&output?)
    }

    /// Ends the programs that still run, and those that start later.
    pub fn stop(&self) {
        let mut running = lock(&self.running);
        running.stopped = true;
        let groups: Vec<u32> = running.groups.iter().copied().collect();
        kill(&groups);
    }

    /// All that the git processes wrote to their standard error.
    pub fn messages(&self) -> String {
        fs::read_to_string(self.root.join(MESSAGES)).unwrap_or_default()
    }

    fn command(&self, call: &Call) -> io::Result<Command> {
        let messages = self.root.join(MESSAGES);
        let messages = OpenOptions::new().create(true).append(true).open(messages)?;
        let mut command = Command::new(&self.program);
        isolate(&mut command, &self.root);
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(messages)
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &call.head.method)
            .env("PATH_INFO", call.head.path())
            .env("QUERY_STRING", call.head.query())
            .env("CONTENT_LENGTH", call.body.len().to_string())
            .env("REMOTE_USER", call.user)
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("GIT_SERVER_PROTECTED", call.protected);
        for (variable, header) in
            [("CONTENT_TYPE", "Content-Type"), ("HTTP_CONTENT_ENCODING", "Content-Encoding"), ("GIT_PROTOCOL", "Git-Protocol")]
        {
            if let Some(value) = call.head.header(header) {
                command.env(variable, value);
            }
        }
        if let Some(text) = call.decline {
            command.env("GIT_SERVER_DECLINE", text);
        }
        Ok(command)
    }
}

/// A `git` command in a folder, that sees no configuration but the repository's.
pub fn git(folder: &Path) -> Command {
    let mut command = Command::new(git_path());
    isolate(&mut command, folder);
    command.current_dir(folder);
    command
}

/// Git's own path. To look for it in a PATH of its own, a child is forked, which takes long where the process is large, as in a bench.
fn git_path() -> &'static Path {
    static GIT: LazyLock<PathBuf> = LazyLock::new(|| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&folders).map(|folder| folder.join("git")).find(|path| path.is_file());
        found.unwrap_or_else(|| PathBuf::from("git"))
    });
    &GIT
}

fn isolate(command: &mut Command, home: &Path) {
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", home)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
}

fn configure(repository: &Path) -> io::Result<()> {
    let config = repository.join("config");
    let mut config = OpenOptions::new().append(true).open(config)?;
    config.write_all(CONFIG.as_bytes())?;
    let hook = repository.join("hooks").join("pre-receive");
    fs::create_dir_all(repository.join("hooks"))?;
    let mut file = File::create(hook)?;
    file.write_all(PRE_RECEIVE.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o755))
}

/// Writes and reads at the same time, since git may answer before it has read everything.
fn converse(child: &mut Child, body: &[u8]) -> io::Result<Vec<u8>> {
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut answer = Vec::new();
    thread::scope(|scope| {
        // git closes its input early when it refuses a request: not an error here.
        scope.spawn(move || input.write_all(body).is_ok());
        output.read_to_end(&mut answer)
    })?;
    Ok(answer)
}

/// Ends process groups; each leader is a child not waited for yet, so its number is still its own.
fn kill(groups: &[u32]) {
    if groups.is_empty() {
        return;
    }
    let groups = groups.iter().map(|group| format!("-{group}"));
    let status = Command::new("sh").args(["-c", "kill -s KILL -- \"$@\" 2>/dev/null", "sh"]).args(groups).status();
    if let Err(error) = status {
        eprintln!("cannot run `sh` to end git: {error}");
    }
}
