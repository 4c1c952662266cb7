//! The server, with real git as its client.

mod api;
mod faults;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::backend::git;
use super::*;

/// A repository with one commit, and git as its user runs it.
struct Client {
    folder: TempDir,
    ca_file: Option<PathBuf>,
}

struct Outcome {
    success: bool,
    output: String,
}

impl Client {
    fn new(server: &GitServer) -> Client {
        let client = Client { folder: TempDir::new().unwrap(), ca_file: server.ca_file().map(Path::to_owned) };
        client.done(&["init", "--quiet", "--initial-branch=main", "."]);
        client.commit("first");
        client
    }

    /// Runs git, which gives up after a minute without a byte.
    fn git(&self, arguments: &[&str]) -> Outcome {
        let output = git(self.folder.path())
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"])
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@acme.example")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@acme.example")
            .envs(self.ca_file.as_ref().map(|file| ("GIT_SSL_CAINFO", file)))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        Outcome { success: output.status.success(), output: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Runs git, which has to succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.git(arguments);
        assert!(outcome.success, "git {arguments:?}: {}", outcome.output);
        outcome.output.trim().to_owned()
    }

    /// Runs git, which has to succeed if nothing is expected, else to fail with this text.
    fn judge(&self, arguments: &[&str], expected: &str) {
        let outcome = self.git(arguments);
        let case = format!("git {arguments:?}: {}", outcome.output);
        assert_eq!(outcome.success, expected.is_empty(), "{case}");
        assert!(outcome.output.contains(expected), "{case}");
    }

    fn commit(&self, message: &str) {
        self.done(&["commit", "--quiet", "--allow-empty", "-m", message]);
    }
}

fn url(server: &GitServer, user: &str, token: &str, path: &str) -> String {
    let origin = server.url().replace("://", &format!("://{user}:{token}@"));
    format!("{origin}/{path}")
}

fn job_url(server: &GitServer) -> String {
    url(server, "gitlab-ci-token", server.job_token(), PROJECT)
}

fn tip(repository: &Path, branch: &str) -> Option<String> {
    let reference = format!("refs/heads/{branch}");
    let mut git = git(repository);
    git.args(["rev-parse", "--quiet", "--verify", &reference]);
    let output = git.output().unwrap();
    let tip = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| tip.trim().to_owned())
}

#[test]
fn clones_and_pushes() {
    for server in [GitServer::http(), GitServer::https()] {
        let client = Client::new(&server);
        for (user, branch) in [("gitlab-ci-token", "main"), ("oauth2", "other")] {
            let url = url(&server, user, server.job_token(), PROJECT);
            let target = format!("HEAD:refs/heads/{branch}");
            client.done(&["push", "-o", "ci.skip", "-o", "x=1 2", &url, &target]);
            assert_eq!(tip(server.repository(), branch), Some(client.done(&["rev-parse", "HEAD"])));
            client.done(&["clone", "--quiet", "--branch", branch, &url, branch]);

            let requests = server.requests();
            let push = requests.iter().rfind(|seen| seen.step == Some(Step::Push));
            let push = push.unwrap();
            assert_eq!(push.method, "POST");
            assert_eq!(push.target, format!("/{PROJECT}/git-receive-pack"));
            assert_eq!(push.user.as_deref(), Some(user));
            assert!(push.user_agent.as_ref().unwrap().starts_with("git/"));
            assert_eq!(push.status, Some(200));
            assert_eq!(push.failure, None);
            assert_eq!(push.references, [format!("refs/heads/{branch}")]);
            assert_eq!(push.push_options, ["ci.skip", "x=1 2"]);
        }
        let fetches = server.requests().into_iter();
        let fetches = fetches.filter(|seen| seen.step == Some(Step::Fetch)).count();
        assert_eq!(fetches, 4, "two in protocol version 2 for each clone");
        let first = &server.requests()[0];
        assert_eq!((first.user.as_ref(), first.status), (None, Some(401)));
        assert_eq!(first.step, Some(Step::RefsForPush));
    }
}

#[test]
fn gives_any_commit() {
    let server = GitServer::http();
    let (client, other) = (Client::new(&server), Client::new(&server));
    let url = job_url(&server);
    client.commit("second");
    client.done(&["push", &url, "HEAD:main"]);
    let commit = client.done(&["rev-parse", "HEAD^"]);
    for version in ["0", "1", "2"] {
        let version = format!("protocol.version={version}");
        other.done(&["-c", &version, "fetch", "--depth=1", &url, &commit]);
    }
}

#[test]
fn takes_large_pushes_in_chunks() {
    let server = GitServer::http();
    let client = Client::new(&server);
    let mut noise = vec![0; 3 << 20];
    getrandom::fill(&mut noise).unwrap();
    fs::write(client.folder.path().join("noise"), noise).unwrap();
    client.done(&["add", "noise"]);
    client.commit("large");
    server.inject(Fault { step: Step::Push, failure: Failure::Decline("GitLab: not the probe".to_owned()), times: 1 });
    client.judge(&["push", &job_url(&server), "HEAD:main"], "GitLab: not the probe");
    client.done(&["push", &job_url(&server), "HEAD:main"]);
    client.done(&["clone", "--quiet", &job_url(&server), "clone"]);
    let pushes = server.requests().into_iter();
    let pushes = pushes.filter(|seen| !seen.references.is_empty()).count();
    assert_eq!(pushes, 2);
}

#[test]
fn checks_who_asks() {
    let server = GitServer::http();
    let client = Client::new(&server);
    client.done(&["push", &job_url(&server), "HEAD:main"]);
    client.commit("second");
    let (write, read) = (server.job_token(), server.read_only_token());
    let denied = "HTTP Basic: Access denied";
    let upload = "remote: You are not allowed to upload code.";
    let missing = "could not be found";
    let cases = [
        ("gitlab-ci-token", "wrong", PROJECT, denied, denied),
        ("gitlab-ci-token", "", PROJECT, denied, denied),
        ("someone", write, PROJECT, denied, denied),
        ("gitlab-ci-token", read, PROJECT, "", upload),
        ("oauth2", read, PROJECT, "", upload),
        ("oauth2", write, "grp/none.git", missing, missing),
        ("oauth2", write, "grp", missing, missing),
        ("oauth2", write, "grp/app.git/..", missing, missing),
        ("oauth2", read, "grp/none.git", missing, missing),
        ("oauth2", write, PROJECT, "", ""),
    ];
    for (user, token, path, on_fetch, on_push) in cases {
        let url = url(&server, user, token, path);
        client.judge(&["ls-remote", &url], on_fetch);
        client.judge(&["push", &url, "HEAD:main"], on_push);
    }
    client.judge(&["ls-remote", &server.project_url()], "terminal prompts disabled");
}

#[test]
fn refuses_the_post_too() {
    let server = GitServer::http();
    let post = |token: &str, path: &str| {
        let credentials = STANDARD.encode(format!("oauth2:{token}"));
        let head = format!(
            "POST /{path}/git-receive-pack HTTP/1.1\r\nAuthorization: Basic {credentials}\r\n\
             Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        let mut stream = TcpStream::connect(server.address).unwrap();
        let limit = Duration::from_secs(20);
        stream.set_read_timeout(Some(limit)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"00000").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status).into_owned()
    };
    assert_eq!(post("wrong", PROJECT), "HTTP/1.1 401");
    assert_eq!(post(server.read_only_token(), PROJECT), "HTTP/1.1 403");
    assert_eq!(post(server.job_token(), "grp/none.git"), "HTTP/1.1 404");
}

#[test]
fn protects_branches_and_history() {
    let server = GitServer::http();
    let client = Client::new(&server);
    let url = job_url(&server);
    server.protect("release/1");
    let protected = "remote: GitLab: You are not allowed to push code to protected branches";
    let cases = [
        ("HEAD:refs/heads/release/1", protected),
        ("HEAD:refs/heads/release/12", ""),
        ("HEAD:refs/tags/release/1", ""),
        ("HEAD:refs/heads/main", ""),
        ("+HEAD^:refs/heads/main", "(non-fast-forward)"),
        (":refs/heads/main", "(deletion prohibited)"),
    ];
    client.commit("second");
    for (refspec, expected) in cases {
        client.judge(&["push", &url, refspec], expected);
    }
    assert_eq!(tip(server.repository(), "release/1"), None);
    let local = server.repository().display().to_string();
    client.done(&["push", &local, "HEAD:refs/heads/release/1"]);
}

#[test]
fn needs_its_authority_trusted() {
    let (server, other) = (GitServer::https(), GitServer::https());
    let mut client = Client::new(&server);
    let url = job_url(&server);
    client.done(&["push", &url, "HEAD:main"]);
    client.done(&["ls-remote", &url.replace("127.0.0.1", "localhost")]);
    client.ca_file = other.ca_file().map(Path::to_owned);
    client.judge(&["ls-remote", &url], "certificate");
    client.ca_file = None;
    client.judge(&["ls-remote", &url], "certificate");
}

#[test]
fn serves_twenty_pushes_at_once() {
    const CLIENTS: usize = 20;
    let server = GitServer::https();
    let client = Client::new(&server);
    let url = job_url(&server);
    (1..CLIENTS).for_each(|number| client.commit(&number.to_string()));
    let all_here = Arc::new(Barrier::new(CLIENTS));
    server.before(Step::Push, move || {
        all_here.wait();
    });
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let refspec = format!("HEAD~{number}:refs/heads/b{number}");
            let (client, url) = (&client, &url);
            scope.spawn(move || client.done(&["push", "--quiet", url, &refspec]));
        }
    });
    let refs = client.done(&["ls-remote", "--heads", &url]);
    assert_eq!(refs.lines().count(), CLIENTS);
    // Twenty different commits wanted: git sends this request as gzip.
    client.done(&["clone", "--quiet", "--mirror", &url, "mirror"]);
}
