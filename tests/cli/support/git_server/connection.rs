//! One connection: reads requests, checks who asks, lets them meet their failures, answers.
//!
//! The order is GitLab's: 401 without accepted credentials, 404 for an unknown project, 403 for a push
//! without the right to push, then git. A failure comes right after the credentials.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::backend::Call;
use super::fault::{Failure, Step};
use super::http::{BodyLength, Head, Response};
use super::lock;
use super::log::Request;
use super::{Shared, api};

const DENIED: &str = "HTTP Basic: Access denied. If a password was provided for Git authentication, \
    the password was incorrect or you're required to use a token instead of a password. \
    If a token was provided, it was either incorrect, expired, or improperly scoped.\n";
const NO_UPLOAD: &str = "You are not allowed to upload code.\n";
const UNKNOWN: &str = "The project you were looking for could not be found \
    or you don't have permission to view it.\n";
/// Where the keys are that sign ID tokens.
const KEYS: &str = "/oauth/discovery/keys";
const NONSENSE: &str = "\u{1f98a} this is not what git says\n";

/// A connection's bytes, with or without TLS.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

type Reader = BufReader<Box<dyn Stream>>;

/// What the credentials allow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// A request, as far as its head tells.
struct Visit<'a> {
    shared: &'a Shared,
    head: Head,
    length: BodyLength,
    repository: String,
    step: Option<Step>,
    user: Option<String>,
    access: Option<Access>,
    is_probe: bool,
    failure: Option<Failure>,
    place: usize,
}

/// Answers requests until the client or a failure ends the connection.
///
/// # Errors
/// A broken connection or a malformed request.
pub fn serve(shared: &Shared, stream: Box<dyn Stream>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    while let Some(head) = Head::read(&mut reader)? {
        let is_last = head.has("Connection", "close");
        let flow = Visit::new(shared, head)?.answer(&mut reader)?;
        if is_last || flow.is_break() {
            break;
        }
    }
    Ok(())
}

impl<'a> Visit<'a> {
    fn new(shared: &'a Shared, head: Head) -> io::Result<Visit<'a>> {
        let length = head.body_length()?;
        let (repository, step) = route(&head);
        let credentials = credentials(&head);
        let access = match step {
            Some(Step::Api) => api::is_known(shared, &head).then_some(Access::Read),
            Some(Step::Keys) => Some(Access::Read),
            _ => credentials.as_ref().and_then(|(user, token)| access(shared, user, token)),
        };
        let is_probe = head.method == "POST" && length == BodyLength::Exactly(4);
        let failure = match step {
            Some(step) if access.is_some() && !is_probe => {
                let line = format!("{} {}", head.method, head.target);
                lock(&shared.faults).take(step, &line)
            }
            _ => None,
        };
        let user = credentials.map(|(user, _)| user);
        let place = shared.log.add(Request {
            method: head.method.clone(),
            target: head.target.clone(),
            step,
            user: user.clone(),
            user_agent: head.header("User-Agent").map(str::to_owned),
            status: None,
            objects: None,
            failure: failure.clone(),
            references: Vec::new(),
            push_options: Vec::new(),
        });
        Ok(Visit { shared, head, length, repository, step, user, access, is_probe, failure, place })
    }

    fn answer(self, reader: &mut Reader) -> io::Result<ControlFlow<()>> {
        if self.head.has("Expect", "100-continue") {
            send(reader, b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if self.failure == Some(Failure::CutRequest) {
            self.length.read_half(reader)?;
            return Ok(ControlFlow::Break(()));
        }
        let body = self.length.read(reader)?;
        if self.step == Some(Step::Push) {
            self.shared.log.set_push(self.place, &body);
        }
        if self.step == Some(Step::Api)
            && let Err(response) = api::check(self.shared, &self.head, &body)
        {
            return self.send(&response, reader);
        }
        match self.failure {
            Some(Failure::CutBefore) => Ok(ControlFlow::Break(())),
            Some(Failure::Hang) => {
                read_to_the_end(reader)?;
                Ok(ControlFlow::Break(()))
            }
            _ => self.reply(&body, reader),
        }
    }

    fn reply(&self, body: &[u8], reader: &mut Reader) -> io::Result<ControlFlow<()>> {
        let response = self
            .replacement()
            .unwrap_or_else(|| self.respond(body))
            .with("Date", &self.shared.date())
            .with("X-Request-Id", &format!("01J{:023}", self.place));
        if let Some(Failure::Slow(time)) = self.failure {
            self.shared.pause(time);
        }
        if self.failure == Some(Failure::CutAfter) {
            return Ok(ControlFlow::Break(()));
        }
        let response = match self.failure {
            Some(Failure::StatusAfter(status)) => Response::text(status, "not by us"),
            _ => response,
        };
        self.send(&response, reader)
    }

    fn send(&self, response: &Response, reader: &mut Reader) -> io::Result<ControlFlow<()>> {
        self.shared.log.set_answer(self.place, response.status, &response.body);
        let bytes = response.to_bytes();
        if self.failure == Some(Failure::CutResponse) {
            let half = bytes.len() - response.body.len().div_ceil(2);
            send(reader, &bytes[..half])?;
            return Ok(ControlFlow::Break(()));
        }
        send(reader, &bytes)?;
        Ok(ControlFlow::Continue(()))
    }

    /// The answer that a failure gives in git's place.
    fn replacement(&self) -> Option<Response> {
        match self.failure.as_ref()? {
            Failure::Status(status, text) => Some(Response::text(*status, text)),
            Failure::HtmlError(status) => Some(html_error(*status)),
            Failure::Garbage => Some(Response::new(200, self.content_type(), NONSENSE)),
            Failure::RedirectTo(url) => Some(Response::text(302, "").with("Location", url)),
            Failure::Hang
            | Failure::CutBefore
            | Failure::CutRequest
            | Failure::CutAfter
            | Failure::CutResponse
            | Failure::StatusAfter(_)
            | Failure::Slow(_)
            | Failure::Decline(_) => None,
        }
    }

    /// The answer of a server that is well.
    fn respond(&self, body: &[u8]) -> Response {
        if self.step == Some(Step::Api) {
            return api::respond(self.shared, &self.head, body);
        }
        if self.step == Some(Step::Keys) {
            return match lock(&self.shared.keys).as_ref() {
                Some(keys) => Response::new(200, "application/json", keys.to_string()),
                None => Response::text(404, ""),
            };
        }
        let (Some(user), Some(access)) = (&self.user, self.access) else {
            return Response::text(401, DENIED).with("WWW-Authenticate", "Basic realm=\"GitLab\"");
        };
        let Some(step) = self.step.filter(|_| self.shared.backend.has(&self.repository)) else {
            return Response::text(404, UNKNOWN);
        };
        let is_push = matches!(step, Step::Push | Step::RefsForPush);
        if is_push && access == Access::Read {
            return Response::text(403, NO_UPLOAD);
        }
        if !self.is_probe {
            self.shared.call_before(step);
        }
        let protected = lock(&self.shared.protected).join("\n");
        let call = Call {
            head: &self.head,
            body,
            user,
            decline: match &self.failure {
                Some(Failure::Decline(text)) => Some(text),
                _ => None,
            },
            protected: &protected,
        };
        match self.shared.backend.run(&call) {
            Ok(response) => response,
            Err(error) => {
                let messages = self.shared.backend.messages();
                Response::text(500, &format!("git http-backend: {error}\n{messages}"))
            }
        }
    }

    /// The content type that git sends for this request (gitprotocol-http).
    fn content_type(&self) -> &'static str {
        match self.step {
            Some(Step::RefsForFetch) => "application/x-git-upload-pack-advertisement",
            Some(Step::Fetch) => "application/x-git-upload-pack-result",
            Some(Step::RefsForPush) => "application/x-git-receive-pack-advertisement",
            Some(Step::Push) => "application/x-git-receive-pack-result",
            Some(Step::Api | Step::ApiCall(_) | Step::Keys) => "application/json",
            Some(Step::Any) | None => "application/octet-stream",
        }
    }
}

/// The repository's path and what is wanted of it.
fn route(head: &Head) -> (String, Option<Step>) {
    // below a relative URL root, too
    if head.path().contains(&format!("{}/", api::ROOT)) {
        return (String::new(), Some(Step::Api));
    }
    if head.path().ends_with(KEYS) {
        return (String::new(), Some(Step::Keys));
    }
    let path = head.path().trim_start_matches('/');
    let known = [
        ("GET", "/info/refs", "service=git-upload-pack", Step::RefsForFetch),
        ("GET", "/info/refs", "service=git-receive-pack", Step::RefsForPush),
        ("POST", "/git-upload-pack", "", Step::Fetch),
        ("POST", "/git-receive-pack", "", Step::Push),
    ];
    for (method, suffix, query, step) in known {
        if let Some(repository) = path.strip_suffix(suffix)
            && (head.method.as_str(), head.query()) == (method, query)
        {
            return (repository.to_owned(), Some(step));
        }
    }
    (path.to_owned(), None)
}

/// User and password (RFC 7617).
fn credentials(head: &Head) -> Option<(String, String)> {
    let (scheme, encoded) = head.header("Authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn access(shared: &Shared, user: &str, token: &str) -> Option<Access> {
    let is_job = matches!(user, "gitlab-ci-token" | "oauth2");
    if is_job && token == shared.job_token {
        Some(Access::Write)
    } else if is_job && token == shared.read_only_token {
        Some(Access::Read)
    } else {
        let may_push = lock(&shared.gitlab).may_push(token)?;
        Some(if may_push { Access::Write } else { Access::Read })
    }
}

fn html_error(status: u16) -> Response {
    let page = format!(
        "<!DOCTYPE html>\n<html>\n<head><title>{status}</title></head>\n\
         <body>\n<h1>{status}</h1>\n<p>The server is not available.</p>\n</body>\n</html>\n"
    );
    Response::new(status, "text/html; charset=utf-8", page)
}

fn send(reader: &mut Reader, bytes: &[u8]) -> io::Result<()> {
    let stream = reader.get_mut();
    stream.write_all(bytes)?;
    stream.flush()
}

fn read_to_the_end(reader: &mut Reader) -> io::Result<()> {
    while let read @ 1.. = reader.fill_buf()?.len() {
        reader.consume(read);
    }
    Ok(())
}
