//! Failures and races, with real git as the client.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::*;

#[test]
fn fails_as_told() {
    let elsewhere = || Failure::RedirectTo("http://127.0.0.1:1/".to_owned());
    let busy = || Failure::Status(503, "too busy".to_owned());
    let no = || Failure::Decline("GitLab: no\nnot today".to_owned());
    let unexpected = "unexpected disconnect";
    // git goes by the last status it got, which is that of its anonymous try.
    let after_401 = "Authentication failed";
    // `true`: the reference has moved, though git says that the push failed.
    let cases = [
        (Step::RefsForPush, busy(), "remote: too busy", false),
        (Step::RefsForPush, Failure::HtmlError(502), "502", false),
        (Step::RefsForPush, Failure::Hang, after_401, false),
        (Step::RefsForPush, Failure::CutBefore, after_401, false),
        (Step::RefsForPush, Failure::CutResponse, "", false),
        (Step::RefsForPush, Failure::Garbage, "", false),
        (Step::RefsForPush, elsewhere(), "127.0.0.1", false),
        (Step::Push, busy(), "503", false),
        (Step::Push, Failure::HtmlError(500), "500", false),
        (Step::Push, Failure::Hang, "too slow", false),
        (Step::Push, Failure::CutBefore, unexpected, false),
        (Step::Push, Failure::CutRequest, unexpected, false),
        (Step::Push, Failure::CutAfter, unexpected, true),
        (Step::Push, Failure::CutResponse, "", true),
        (Step::Push, Failure::Garbage, "", false),
        (Step::Push, elsewhere(), "302", false),
        (Step::Push, no(), "remote: not today", false),
        (Step::Any, busy(), "remote: too busy", false),
        (Step::Any, no(), "pre-receive hook declined", false),
    ];
    for (step, failure, expected, moves) in cases {
        let server = GitServer::http();
        let client = Client::new(&server);
        let case = format!("{step:?} {failure:?}");
        server.inject(Fault { step, failure: failure.clone(), times: usize::MAX });
        let limit = if failure == Failure::Hang { 1 } else { 60 };
        let limit = format!("http.lowSpeedTime={limit}");
        let outcome = client.git(&["-c", &limit, "push", &job_url(&server), "HEAD:main"]);
        let case = format!("{case}: {}", outcome.output);
        assert!(!outcome.success, "{case}");
        assert!(outcome.output.contains(expected), "{case}");
        assert_eq!(tip(server.repository(), "main").is_some(), moves, "{case}");
        let requests = server.requests();
        let mut met = requests.iter().filter(|seen| seen.failure.is_some());
        assert_eq!(met.next().unwrap().failure, Some(failure), "{case}");
    }
}

#[test]
fn fails_fetches_as_told() {
    let cases = [
        (Step::RefsForFetch, Failure::Garbage, ""),
        (Step::RefsForFetch, Failure::HtmlError(503), "503"),
        (Step::Fetch, Failure::CutRequest, ""),
        (Step::Fetch, Failure::CutAfter, ""),
        (Step::Fetch, Failure::Status(429, String::new()), "429"),
    ];
    let server = GitServer::https();
    let client = Client::new(&server);
    client.done(&["push", &job_url(&server), "HEAD:main"]);
    for (step, failure, expected) in cases {
        let case = format!("{step:?} {failure:?}");
        server.inject(Fault { step, failure, times: usize::MAX });
        let outcome = client.git(&["fetch", &job_url(&server), "main"]);
        let case = format!("{case}: {}", outcome.output);
        assert!(!outcome.success && outcome.output.contains(expected), "{case}");
        *lock(&server.shared.faults) = Faults::default();
    }
    client.done(&["fetch", &job_url(&server), "main"]);
}

#[test]
fn fails_so_many_times_in_order() {
    let server = GitServer::http();
    let client = Client::new(&server);
    let fail = |step, status, times| {
        let failure = Failure::Status(status, String::new());
        server.inject(Fault { step, failure, times });
    };
    fail(Step::RefsForPush, 500, 1);
    fail(Step::Fetch, 501, 1);
    fail(Step::RefsForPush, 502, 2);
    fail(Step::RefsForPush, 505, 0);
    for expected in ["500", "502", "502"] {
        let expected = format!("returned error: {expected}");
        client.judge(&["push", &job_url(&server), "HEAD:main"], &expected);
    }
    client.done(&["push", &job_url(&server), "HEAD:main"]);
}

#[test]
fn redirects_to_another_repository() {
    let server = GitServer::http();
    let client = Client::new(&server);
    let other = server.add_repository("grp/sub/other.git");
    client.done(&["push", &other.display().to_string(), "HEAD:main"]);
    let refs = "grp/sub/other.git/info/refs?service=git-upload-pack";
    server.inject(Fault {
        step: Step::RefsForFetch,
        failure: Failure::RedirectTo(format!("{}/{refs}", server.url())),
        times: 1,
    });
    client.done(&["clone", "--quiet", &job_url(&server), "clone"]);
    let found = client.folder.path().join("clone/.git");
    assert_eq!(tip(&found, "main"), tip(&other, "main"));
}

#[test]
fn fails_at_random() {
    let server = GitServer::http();
    let client = Client::new(&server);
    let push = ["push", &job_url(&server), "HEAD:main"];
    server.set_refuse_percent(100, 1);
    client.judge(&push, "remote: GitLab: Internal API error (500)");
    server.set_cut_percent(100, 0, 1);
    client.judge(&push, "unexpected disconnect");
    assert_eq!(tip(server.repository(), "main"), None);
    server.set_cut_percent(0, 100, 1);
    client.judge(&push, "unexpected disconnect");
    assert!(tip(server.repository(), "main").is_some());
}

#[test]
fn calls_before_git_sees_a_push() {
    let server = GitServer::http();
    let client = Client::new(&server);
    let rival = server.repository().to_owned();
    let local = rival.display().to_string();
    client.done(&["push", &local, "HEAD:refs/heads/rival"]);
    let first = tip(&rival, "rival").unwrap();
    client.commit("second");
    server.before(Step::Push, move || {
        let mut git = git(&rival);
        git.args(["update-ref", "refs/heads/main", "rival"]);
        assert!(git.status().unwrap().success());
    });
    client.judge(&["push", &job_url(&server), "HEAD:main"], "[remote rejected]");
    assert_eq!(tip(server.repository(), "main"), Some(first));
}

#[test]
fn stops_while_requests_and_git_hang() {
    let server = GitServer::https();
    let client = Client::new(&server);
    let (address, repository) = (server.address, server.repository().to_owned());
    let hook = repository.join("hooks/update");
    fs::write(&hook, "#!/bin/sh\n: > started\nsleep 60\n").unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    server.inject(Fault { step: Step::RefsForFetch, failure: Failure::Hang, times: usize::MAX });
    let _idle = TcpStream::connect(address).unwrap();
    let url = job_url(&server);
    let hangs = |seen: &Request| seen.failure.is_some() && seen.status.is_none();
    thread::scope(|scope| {
        scope.spawn(|| client.judge(&["fetch", &url], "fatal"));
        scope.spawn(|| client.judge(&["push", &url, "HEAD:main"], "unexpected disconnect"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !repository.join("started").exists() || !server.requests().iter().any(hangs) {
            assert!(Instant::now() < deadline, "{:?}", server.requests());
            thread::sleep(Duration::from_millis(20));
        }
        let start = Instant::now();
        drop(server);
        assert!(start.elapsed() < Duration::from_secs(5), "slow to stop");
    });
    assert!(TcpStream::connect(address).is_err());
    assert!(!repository.exists());
}
