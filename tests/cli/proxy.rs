//! A log that is reached through a proxy, as the environment or git's configuration name it.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::GitServer;
use crate::support::proxy::Proxy;

fn record(env: &TestEnv) -> Output {
    env.deploy_record(&["record", "-e", "production", "--version", "1", "--status", "success", "--timeout", "6"])
}

/// A repository with a key that signs, and a token for that server; the server's authority is not known yet.
fn laptop(server: &GitServer) -> TestEnv {
    let mut env = TestEnv::new();
    let key = env.key("ann", "ed25519");
    env.commit_trust_root("ann", &key);
    env.set("DEPLOY_RECORD_KEY", &key.display().to_string());
    env.set("DEPLOY_RECORD_LOG", &server.project_url());
    env.set("DEPLOY_RECORD_TOKEN", server.job_token());
    env
}

fn trust_server(env: &TestEnv, server: &GitServer) {
    if let Some(ca_file) = server.ca_file() {
        env.git(&["config", &format!("http.{}.sslCAInfo", server.url()), &ca_file.display().to_string()]);
    }
}

#[test]
fn the_environments_proxies_are_taken() {
    for server in [GitServer::http(), GitServer::https()] {
        let is_https = server.url().starts_with("https");
        let mut env = laptop(&server);
        trust_server(&env, &server);
        let names = if is_https { ["HTTPS_PROXY", "ALL_PROXY"] } else { ["http_proxy", "ALL_PROXY"] };
        for name in names {
            let proxy = Proxy::start(Some("ann:pass-of-the-proxy"));
            env.set(name, &format!("http://ann:pass-of-the-proxy@{}", proxy.place()));
            record(&env).expect(0).says("record ");
            let seen = proxy.seen();
            let begins = if is_https { "CONNECT 127.0.0.1:" } else { "GET http://127.0.0.1:" };
            assert!(seen.first().is_some_and(|line| line.starts_with(begins)), "{name}: {seen:?}");
            // that the server is on this machine makes no exception; NO_PROXY does
            env.set("NO_PROXY", "127.0.0.1");
            record(&env).expect(0);
            assert_eq!(proxy.seen(), Vec::<String>::new(), "{name}");
            env.unset("NO_PROXY");
            env.unset(name);
        }
    }
}

#[test]
fn gits_own_proxy_comes_first() {
    let server = GitServer::https();
    let (proxy, other) = (Proxy::start(None), Proxy::start(None));
    let mut env = laptop(&server);
    trust_server(&env, &server);
    env.set("HTTPS_PROXY", &format!("http://{}", other.place()));
    env.git(&["config", "http.proxy", &proxy.place()]);
    record(&env).expect(0);
    assert!(!proxy.seen().is_empty() && other.seen().is_empty());
    env.set("NO_PROXY", "127.0.0.1");
    record(&env).expect(0);
    env.unset("NO_PROXY");
    env.git(&["config", &format!("http.{}.proxy", server.url()), ""]);
    record(&env).expect(0);
    assert!(proxy.seen().is_empty() && other.seen().is_empty());
    // a job asks its environment alone
    let server = GitServer::https();
    let mut job = TestEnv::gitlab_job(&server);
    job.git(&["config", "http.proxy", &proxy.place()]);
    job.set("HTTPS_PROXY", &format!("http://{}", other.place()));
    record(&job).expect(0);
    assert!(proxy.seen().is_empty() && !other.seen().is_empty());
}

#[test]
fn a_proxy_that_does_not_help_is_named_and_its_password_is_not() {
    for server in [GitServer::http(), GitServer::https()] {
        let proxy = Proxy::start(Some("ann:pass-of-the-proxy"));
        let mut env = laptop(&server);
        trust_server(&env, &server);
        for address in
            [format!("http://ann:wrong-password@{}", proxy.place()), "http://ann:wrong-password@127.0.0.1:1".to_owned()]
        {
            for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
                env.set(name, &address);
            }
            let output = record(&env);
            let words = if address.ends_with(":1") { "no connection" } else { "the proxy wants a login" };
            output.expect(3).says(words);
            assert!(!output.stderr.contains("wrong-password") && server.requests().is_empty(), "{}", output.stderr);
        }
        env.git(&["config", "http.proxy", "http://ann:wrong-password@[::1/"]);
        let output = record(&env);
        output.expect(3).says("the proxy's address makes no sense").says("git config --show-origin");
        assert!(!output.stderr.contains("wrong-password"), "{}", output.stderr);
    }
}

#[test]
fn gits_own_authorities_are_trusted() {
    let (server, other) = (GitServer::https(), GitServer::https());
    let mut env = laptop(&server);
    record(&env).expect(3).says("TLS failed");
    let ca_file = server.ca_file().expect("an authority");
    std::fs::copy(ca_file, env.beside("home").join("ca.pem")).expect("a copy");
    env.git(&["config", "http.sslCAInfo", "~/ca.pem"]);
    record(&env).expect(0);
    env.git(&["config", &format!("http.{}.sslCAInfo", server.url()), &other.ca_file().expect("CA").display().to_string()]);
    record(&env).expect(3).says("TLS failed");
    env.set("GIT_SSL_CAINFO", &ca_file.display().to_string());
    record(&env).expect(0);
    // what is not checked proves nothing
    env.unset("GIT_SSL_CAINFO");
    env.git(&["config", "http.sslVerify", "false"]);
    record(&env).expect(3).says("TLS failed");
}
