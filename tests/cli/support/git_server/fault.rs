//! Failures on demand: a queue of set ones, and random ones that a seed makes reproducible.
//!
//! Only requests with accepted credentials meet a failure, so the first, anonymous try of a git client
//! does not use one up. The short `0000` request with which git probes before a large upload is no push
//! or fetch either. Queued failures come before random ones; a request that meets one draws no random one.

use std::time::Duration;

/// A part of a fetch or a push, by the request that does it (gitprotocol-http).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `GET info/refs?service=git-upload-pack`
    RefsForFetch,
    /// `POST git-upload-pack`; in protocol version 2 a fetch has several.
    Fetch,
    /// `GET info/refs?service=git-receive-pack`
    RefsForPush,
    /// `POST git-receive-pack`
    Push,
    /// All of these.
    Any,
    /// A request of the REST API.
    Api,
    /// A request of the REST API whose method and target, such as `POST /api/v4/projects/42/issues`, contain this. Faults only.
    ApiCall(&'static str),
    /// `GET /oauth/discovery/keys`, which anybody may ask.
    Keys,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An answer with this status and this text; git does not see the request.
    Status(u16, String),
    /// An HTML page with this status, as a proxy in front of GitLab sends it.
    HtmlError(u16),
    /// The request is read and never answered; ends when the client gives up or the server stops.
    Hang,
    /// The request is read, then the connection is closed; git does not see it.
    CutBefore,
    /// Half of the request's body is read, then the connection is closed; git does not see it.
    CutRequest,
    /// git does what was asked, then the connection is closed without an answer.
    CutAfter,
    /// git does what was asked, and something between answers with this status.
    StatusAfter(u16),
    /// git does what was asked, half of its answer is sent, then the connection is closed.
    CutResponse,
    /// Status 200 and the content type that git asked for, with a body that is not git's.
    Garbage,
    /// Status 302 to this URL.
    RedirectTo(String),
    /// What was asked is done, and answered so much later.
    Slow(Duration),
    /// The `pre-receive` hook prints this and refuses. Meets [`Step::Push`] only.
    Decline(String),
}

/// A failure for the next requests of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which requests meet it.
    pub step: Step,
    /// What goes wrong.
    pub failure: Failure,
    /// How many requests meet it; `usize::MAX`: all.
    pub times: usize,
}

/// The failures that are to come.
#[derive(Default)]
pub struct Faults {
    queue: Vec<Fault>,
    refusals: Option<(u8, Generator)>,
    cuts: Option<(u8, u8, Generator)>,
}

impl Faults {
    /// Forgets what is queued.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Adds a failure behind those already queued.
    pub fn push(&mut self, fault: Fault) {
        self.queue.push(fault);
    }

    /// Sets how many percent of the pushes the hook refuses.
    pub fn set_refusals(&mut self, percent: u8, seed: u64) {
        assert!(percent <= 100, "a percentage above 100");
        self.refusals = Some((percent, Generator(seed)));
    }

    /// Sets how many percent of the pushes are cut before and after git saw them.
    pub fn set_cuts(&mut self, before: u8, after: u8, seed: u64) {
        let sum = before.checked_add(after);
        assert!(sum.is_some_and(|sum| sum <= 100), "percentages above 100");
        self.cuts = Some((before, before + after, Generator(seed)));
    }

    /// Takes the failure that the next request of this step meets, with its method and target.
    pub fn take(&mut self, step: Step, line: &str) -> Option<Failure> {
        self.take_queued(step, line).or_else(|| (step == Step::Push).then(|| self.draw()).flatten())
    }

    fn take_queued(&mut self, step: Step, line: &str) -> Option<Failure> {
        let at = self.queue.iter().position(|fault| fault.meets(step, line))?;
        let fault = &mut self.queue[at];
        let failure = fault.failure.clone();
        if fault.times != usize::MAX {
            fault.times -= 1;
        }
        if fault.times == 0 {
            self.queue.remove(at);
        }
        Some(failure)
    }

    fn draw(&mut self) -> Option<Failure> {
        let refused = match &mut self.refusals {
            Some((percent, generator)) => generator.percent() < *percent,
            None => false,
        };
        if let Some((before, either, generator)) = &mut self.cuts {
            let drawn = generator.percent();
            if drawn < *before {
                return Some(Failure::CutBefore);
            }
            if drawn < *either {
                return Some(Failure::CutAfter);
            }
        }
        refused.then(|| Failure::Decline("GitLab: Internal API error (500)".to_owned()))
    }
}

impl Fault {
    fn meets(&self, step: Step, line: &str) -> bool {
        let is_step = match self.step {
            Step::Any => true,
            Step::ApiCall(text) => step == Step::Api && line.contains(text),
            wanted => wanted == step,
        };
        let fits = step == Step::Push || !matches!(self.failure, Failure::Decline(_));
        self.times > 0 && is_step && fits
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Generator(u64);

impl Generator {
    /// The next number from 0 to 99.
    fn percent(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % 100) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, refuse: u8, before: u8, after: u8) -> Vec<Option<Failure>> {
        let mut faults = Faults::default();
        faults.set_refusals(refuse, seed);
        faults.set_cuts(before, after, seed + 1);
        assert_eq!(faults.take(Step::Fetch, ""), None);
        (0..1000).map(|_| faults.take(Step::Push, "")).collect()
    }

    #[test]
    fn draws_as_often_as_told_and_again_the_same() {
        let drawn = draw(7, 20, 10, 30);
        assert_eq!(drawn, draw(7, 20, 10, 30));
        assert_ne!(drawn, draw(8, 20, 10, 30));
        let count = |name: &str| {
            let names = drawn.iter().flatten().map(|failure| format!("{failure:?}"));
            names.filter(|found| found.starts_with(name)).count()
        };
        assert!((70..130).contains(&count("CutBefore")));
        assert!((250..350).contains(&count("CutAfter")));
        assert!((90..150).contains(&count("Decline")));
        assert!(draw(1, 0, 0, 0).iter().all(Option::is_none));
        assert!(draw(1, 100, 0, 0).iter().all(Option::is_some));
    }

    #[test]
    fn takes_from_the_queue_in_order() {
        let decline = || Failure::Decline("GitLab: no".to_owned());
        let mut faults = Faults::default();
        for (step, failure, times) in [
            (Step::Fetch, Failure::Hang, 0),
            (Step::Any, decline(), 1),
            (Step::Fetch, Failure::CutAfter, 2),
            (Step::Any, Failure::Garbage, usize::MAX),
        ] {
            faults.push(Fault { step, failure, times });
        }
        let cases = [
            (Step::Fetch, Failure::CutAfter),
            (Step::RefsForPush, Failure::Garbage),
            (Step::Fetch, Failure::CutAfter),
            (Step::Push, decline()),
            (Step::Fetch, Failure::Garbage),
            (Step::Push, Failure::Garbage),
        ];
        for (number, (step, failure)) in cases.into_iter().enumerate() {
            assert_eq!(faults.take(step, ""), Some(failure), "request {number}");
        }
    }
}
