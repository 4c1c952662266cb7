//! Those who ask, over a connection of their own each time.

use crate::support::git_server::GitServer;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// Asks without a token.
pub const NO_TOKEN: (&str, &str) = ("X-Nothing", "");

/// A server and the header with which it is asked.
pub struct Client<'a> {
    pub server: &'a GitServer,
    header: &'static str,
    token: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    head: String,
    pub text: String,
}

impl<'a> Client<'a> {
    pub fn new(server: &'a GitServer, header: &'static str, token: &str) -> Client<'a> {
        Client { server, header, token: token.to_owned() }
    }

    /// A job of ann's.
    pub fn job(server: &'a GitServer) -> Client<'a> {
        Client::new(server, "JOB-TOKEN", server.job_token())
    }

    /// A user with a new token.
    pub fn user(server: &'a GitServer, user: u64, scopes: &[&str]) -> Client<'a> {
        let token = server.gitlab(|gitlab| gitlab.access_token(user, scopes));
        Client::new(server, "PRIVATE-TOKEN", &token)
    }

    pub fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &Value::Null)
    }

    /// Sends a request with a body in JSON; without one where it is null.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answered {
        self.try_to(method, path, body).expect("an answer")
    }

    /// `None` where the connection ends without an answer.
    pub fn try_to(&self, method: &str, path: &str, body: &Value) -> Option<Answered> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        exchange(&self.server.url(), self.header, &self.token, method, path, &body)
    }
}

/// One request; `None` where the connection ends without an answer.
pub fn exchange(origin: &str, header: &str, token: &str, method: &str, path: &str, body: &str) -> Option<Answered> {
    let mut stream = TcpStream::connect(origin.replace("http://", "")).expect("a connection");
    let request = format!(
        "{method} /api/v4{path} HTTP/1.1\r\nConnection: close\r\n{header}: {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Some(Answered { status, head: head.to_owned(), text: text.to_owned() })
}

impl Answered {
    #[track_caller]
    pub fn expect(self, status: u16) -> Answered {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text);
        self
    }

    /// The body of an answer with status 200.
    #[track_caller]
    pub fn json(self) -> Value {
        self.expect(200).body()
    }

    #[track_caller]
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A field of each element of a list.
    #[track_caller]
    pub fn each(self, field: &str) -> Vec<Value> {
        let body = self.json();
        body.as_array().expect("a list").iter().map(|element| element[field].clone()).collect()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Where a link of the list leads, below `/api/v4`.
    pub fn link(&self, rel: &str) -> Option<String> {
        let links = self.header("Link")?.split(", ");
        let mut fitting = links.filter(|link| link.ends_with(&format!("; rel=\"{rel}\"")));
        let target = fitting.next()?.split(['<', '>']).nth(1)?;
        target.split_once("/api/v4").map(|(_, path)| path.to_owned())
    }
}
