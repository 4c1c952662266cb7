//! What a server was asked, and what a push wanted.

use super::fault::{Failure, Step};
use super::lock;
use std::sync::Mutex;

/// A request as the server saw it, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// What the request does; `None` for anything but git's four requests.
    pub step: Option<Step>,
    /// The user name sent, whether or not it was accepted; `None` if there were no credentials.
    pub user: Option<String>,
    /// The `User-Agent` sent.
    pub user_agent: Option<String>,
    /// The status answered; `None` while there is no answer, or if none was sent.
    pub status: Option<u16>,
    /// The number of objects in the pack that was answered.
    pub objects: Option<u32>,
    /// The failure that the request met.
    pub failure: Option<Failure>,
    /// Full names of the references that a push wanted to move.
    pub references: Vec<String>,
    /// The push options (`git push -o`), in their order.
    pub push_options: Vec<String>,
}

/// All requests of a server, in the order in which their heads arrived.
#[derive(Default)]
pub struct Log(Mutex<Vec<Request>>);

impl Log {
    /// Adds a request and returns its place.
    pub fn add(&self, request: Request) -> usize {
        let mut requests = lock(&self.0);
        requests.push(request);
        requests.len() - 1
    }

    /// Notes what a push wants, from its body.
    pub fn set_push(&self, place: usize, body: &[u8]) {
        let (references, push_options) = read_push(body);
        if let Some(request) = lock(&self.0).get_mut(place) {
            request.references = references;
            request.push_options = push_options;
        }
    }

    /// Notes what is answered.
    pub fn set_answer(&self, place: usize, status: u16, body: &[u8]) {
        if let Some(request) = lock(&self.0).get_mut(place) {
            request.status = Some(status);
            request.objects = objects_of_pack(body);
        }
    }

    /// A copy of all requests.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.0).clone()
    }
}

/// The number of objects in a pack, as its head tells (gitformat-pack); `None` where there is no pack in the answer.
fn objects_of_pack(answer: &[u8]) -> Option<u32> {
    const HEAD: &[u8] = b"PACK\0\0\0\x02";
    let begin = answer.windows(HEAD.len()).position(|bytes| bytes == HEAD)? + HEAD.len();
    let count = answer.get(begin..begin + 4)?;
    Some(u32::from_be_bytes(count.try_into().ok()?))
}

/// Reads the references and the push options of a push (gitprotocol-pack, "Reference Update Request").
fn read_push(mut body: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut references = Vec::new();
    let mut has_options = false;
    while let Some(line) = take_packet(&mut body) {
        let (command, capabilities) = line.split_once('\0').unwrap_or((&line, ""));
        has_options |= capabilities.split(' ').any(|name| name == "push-options");
        references.extend(command.split(' ').nth(2).map(str::to_owned));
    }
    let mut options = Vec::new();
    while has_options && let Some(line) = take_packet(&mut body) {
        options.push(line);
    }
    (references, options)
}

/// Takes a packet line (gitprotocol-common, "pkt-line Format"); `None` on a flush packet or anything else.
fn take_packet(body: &mut &[u8]) -> Option<String> {
    let (length, rest) = body.split_at_checked(4)?;
    *body = rest;
    let length = usize::from_str_radix(std::str::from_utf8(length).ok()?, 16).ok()?;
    let (line, rest) = rest.split_at_checked(length.checked_sub(4)?)?;
    *body = rest;
    let line = String::from_utf8_lossy(line);
    Some(line.trim_end_matches('\n').to_owned())
}
