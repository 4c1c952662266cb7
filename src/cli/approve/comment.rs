//! `deploy-record approve --comment`: the approval as a comment on the merge request, by the approver's own account.
//!
//! Which merge requests need one, the gate says. The comment is posted once: where the answer is lost, it is looked for.

use super::{Approve, refuse_what_can_not_count, refuse_what_is_not_here, tell};
use crate::cli::capture::{Delivery, SaidArgs};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::person::Act;
use crate::cli::settings::Settings;
use crate::cli::{Format, check, gate};
use crate::core::escape::terminal_lines;
use crate::core::gate::requests::{Saying, Words, approving, page_of, read, withdrawing};
use crate::core::gate::{Code, Decision, Effect, Needed, is_same_person};
use crate::core::policy::FourEyes;
use crate::core::record::{ApprovalSource, Link, Person, Text};
use crate::gitlab::{ApiError, Gitlab, Note, User};
use crate::http::Deadline;
use crate::ui::json::json_pretty;
use anyhow::anyhow;
use serde_json::json;
use std::time::Duration;

/// How long GitLab is asked for one thing at most.
const LONGEST: Duration = Duration::from_secs(30);

/// A comment that is to be posted.
struct Comment {
    iid: u64,
    page: Option<Link>,
    text: String,
}

/// Posts it.
pub fn run(args: &Approve, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let gitlab = gitlab(ctx, &settings)?;
    let delivery = Delivery::gather(&args.named(), &SaidArgs::default(), ctx, &settings)?;
    let commit = args.commit_of(&delivery)?;
    refuse_what_is_not_here(args, &delivery, &settings)?;
    let decision = check::decide(&delivery, ctx, &settings)?;
    let approver = Approver { args, ctx, settings: &settings, gitlab, delivery: &delivery, decision: &decision };
    let user = gitlab.own_user(approver.deadline()).map_err(failure)?;
    tell(ctx, &delivery, &commit, &decision);
    let comments = if args.withdraw { approver.withdrawals(&user)? } else { vec![approver.approval(&user)?] };
    for comment in &comments {
        ctx.ui.say(&format!("a comment of `{}` on !{}:\n{}", user.username, comment.iid, comment.text));
    }
    if args.dry_run {
        let texts: Vec<_> = comments.iter().map(|comment| terminal_lines(&comment.text)).collect();
        ctx.ui.result(&texts.join("\n\n"));
        return Ok(Exit::Done);
    }
    if !approver.may_post()? {
        ctx.ui.say("nothing was posted");
        return Ok(Exit::No);
    }
    let posted = comments.iter().map(|comment| Ok((comment, approver.post(comment, &user)?)));
    let posted = posted.collect::<Result<Vec<_>, Failure>>()?;
    ctx.ui.result(&shown(&posted, args.format));
    Ok(Exit::Done)
}

/// The API with the person's own token.
fn gitlab<'a>(ctx: &Context, settings: &'a Settings) -> Result<&'a Gitlab, Failure> {
    let gitlab = settings.gitlab.as_deref().filter(|gitlab| gitlab.has_access_token());
    let token = "your own access token, with the scope `api`, by the variable DEPLOY_RECORD_TOKEN or --token";
    gitlab.ok_or_else(|| match (settings.ci.is_some(), ctx.global.token.is_some()) {
        (true, _) => Failure::usage(anyhow!("GitLab takes no comment by a job's token, and a comment is its author's word"))
            .hint(format!("approve at your own machine, with {token}")),
        (false, false) => {
            Failure::usage(anyhow!("a comment is posted with an access token, and there is none")).hint(format!("give {token}"))
        }
        (false, true) => Failure::usage(anyhow!("it can't be told which GitLab the access token is for"))
            .hint("it is that of `origin`; with a log on another server (--log, `log.url`), the token is that one's"),
    })
}

struct Approver<'a> {
    args: &'a Approve,
    ctx: &'a Context,
    settings: &'a Settings,
    gitlab: &'a Gitlab,
    delivery: &'a Delivery,
    decision: &'a Decision,
}

impl Approver<'_> {
    fn deadline(&self) -> Deadline {
        Deadline::after(LONGEST.min(self.ctx.global.timeout))
    }

    fn approval(&self, user: &User) -> Result<Comment, Failure> {
        let person = person(user)?;
        let (target, covers) = self.target()?;
        self.refuse_what_can_not_count(&person, covers.iter().chain([&target]))?;
        let reason = Act::words(self.ctx, self.args.reason.as_ref(), "Why may it go ahead? ", "--reason")?;
        let service = self.delivery.service().filter(|_| gate::has_services(self.settings));
        let words = Words {
            environment: self.delivery.environment().to_string(),
            service: service.map(ToString::to_string),
            reason: self.scrubbed(&reason),
            covers: covers.iter().map(|needed| needed.iid).collect(),
            follow_up: self.args.follow_up.as_deref().and_then(Text::clean).and_then(|text| self.scrubbed(&text)),
        };
        let text = approving(&words).map_err(|problem| Failure::usage(anyhow!(problem)))?;
        Ok(Comment { iid: target.iid, page: target.url, text })
    }

    /// Without what is secret here: a comment is read by others.
    fn scrubbed(&self, text: &Text) -> Option<Text> {
        let redactor = self.ctx.redactor(&self.settings.config.redact.allow);
        Text::clean(&redactor.redact(text.as_str()).text)
    }

    /// Where the comment stands, and which others it covers: all that need an approval, if it stands in the newest of them.
    fn target(&self) -> Result<(Needed, Vec<Needed>), Failure> {
        let needed = &self.decision.requests;
        match (needed.split_last(), self.args.merge_request) {
            (None, None) => Err(self.nowhere()),
            (None, Some(iid)) if !self.decision.needs_approval => Ok((self.unneeded(iid)?, Vec::new())),
            (None, Some(_)) => Err(self.nowhere()),
            (Some((newest, others)), named) if named.is_none_or(|iid| iid == newest.iid) => {
                Ok((newest.clone(), others.to_vec()))
            }
            (Some((_, others)), named) => {
                let iid = named.unwrap_or_default();
                let one = others.iter().find(|needed| needed.iid == iid).ok_or_else(|| {
                    Failure::usage(anyhow!("!{iid} is none of those that need an approval: {}", list(needed.iter())))
                })?;
                let rest = list(needed.iter().filter(|needed| needed.iid != iid));
                self.ctx.ui.warn(&format!("this approves !{iid} alone, and {rest} need an approval, too"));
                Ok((one.clone(), Vec::new()))
            }
        }
    }

    /// One that needs no approval as things are: it does once somebody calls the deployment an emergency.
    fn unneeded(&self, iid: u64) -> Result<Needed, Failure> {
        let request = self.gitlab.merge_request(iid, self.deadline()).map_err(failure)?;
        if !["merged", "opened"].contains(&request.state.as_str()) {
            return Err(Failure::usage(anyhow!("!{iid} is {}, so nothing comes of an approval of it", request.state)));
        }
        self.ctx.ui.warn(&format!("it counts where the deployment of what !{iid} brings is called an emergency"));
        let made = [&request.author, &request.merge_user];
        let makers = made.into_iter().flatten().filter_map(|user| user.person().ok()).collect();
        let url = request.web_url.as_deref().and_then(|url| Link::new(url).ok());
        Ok(Needed { iid, url, makers, approved_by: None })
    }

    /// That no merge request needs an approval: why.
    fn nowhere(&self) -> Failure {
        let why = [Code::RequestsUnknown, Code::DirectPush, Code::LogUnreachable];
        let found = self.decision.findings.iter().find(|finding| why.contains(&finding.code));
        match found {
            Some(finding) => {
                let failure = Failure::no(anyhow!("no comment can approve it: {} ({})", finding.message, finding.code));
                finding
                    .advice
                    .iter()
                    .fold(failure, |failure, advice| failure.hint(advice))
                    .hint("`approve` without --comment signs one")
            }
            None if self.decision.needs_approval => {
                Failure::no(anyhow!("no comment can approve it: no merge request is known that brought it"))
                    .hint("`approve` without --comment signs one")
            }
            None => Failure::usage(anyhow!("the policy asks for no approval of this, so no merge request needs a comment"))
                .hint("--merge-request names the one that is to be deployed as an emergency"),
        }
    }

    fn refuse_what_can_not_count<'n>(&self, person: &Person, covered: impl Iterator<Item = &'n Needed>) -> Result<(), Failure> {
        let rules = &self.settings.config.rules;
        if !rules.approval.accept.contains(&ApprovalSource::MergeRequestNote) {
            return Err(Failure::no(anyhow!("refused: the policy accepts no approvals by comment (approval-not-accepted)"))
                .hint("`approve` without --comment signs one"));
        }
        refuse_what_can_not_count(self.ctx, self.settings, self.delivery, person)?;
        let is_maker = |needed: &&Needed| needed.makers.iter().any(|maker| is_same_person(maker, person) == Some(true));
        let mut own = covered.filter(is_maker).filter(|_| rules.approval.four_eyes == FourEyes::Before);
        if let Some(needed) = own.next() {
            return Err(Failure::no(anyhow!(
                "refused: an approval by you would not count: you wrote or merged !{} (approval-by-author)",
                needed.iid
            )));
        }
        let mut refusing = self.decision.findings.iter().filter(|finding| finding.effect == Effect::Refuses);
        match refusing.find(|finding| finding.code == Code::DirectPush) {
            Some(finding) => Err(Failure::no(anyhow!("refused: {} ({})", finding.message, finding.code))
                .hint("`approve` without --comment signs one of the whole commit")),
            None => Ok(()),
        }
    }

    /// One on each merge request where an approval of this user for this environment stands.
    fn withdrawals(&self, user: &User) -> Result<Vec<Comment>, Failure> {
        let needed: Vec<_> = self.decision.requests.iter().map(|needed| (needed.iid, needed.url.clone())).collect();
        let places = match self.args.merge_request {
            Some(iid) => vec![needed.into_iter().find(|(known, _)| *known == iid).map_or_else(|| self.named(iid), Ok)?],
            None => needed,
        };
        let reason = self.args.reason.as_deref().and_then(Text::clean).and_then(|text| self.scrubbed(&text));
        let text = withdrawing(reason.as_ref());
        let mut comments = Vec::new();
        for (iid, page) in &places {
            let notes = self.gitlab.notes(*iid, self.deadline()).map_err(failure)?;
            if self.stands(&notes, user) {
                comments.push(Comment { iid: *iid, page: page.clone(), text: text.clone() });
            }
        }
        if comments.is_empty() {
            let where_ = places.iter().map(|(iid, _)| format!("!{iid}")).collect::<Vec<_>>().join(", ");
            let where_ = if where_.is_empty() { String::new() } else { format!(" (looked at {where_})") };
            let environment = self.delivery.environment();
            return Err(Failure::usage(anyhow!("no comment of yours approves this for {environment}{where_}"))
                .hint("--merge-request names another one"));
        }
        Ok(comments)
    }

    fn named(&self, iid: u64) -> Result<(u64, Option<Link>), Failure> {
        let request = self.gitlab.merge_request(iid, self.deadline()).map_err(failure)?;
        Ok((iid, request.web_url.as_deref().and_then(|url| Link::new(url).ok())))
    }

    /// Whether the last word of this user about this environment is an approval.
    fn stands(&self, notes: &[Note], user: &User) -> bool {
        let environment = self.delivery.environment().as_str();
        let own = notes.iter().filter(|note| is_by(note, user));
        own.fold(false, |stands, note| match read(&note.body) {
            Saying::Approves(words) => stands || words.environment == environment,
            Saying::Withdraws => false,
            Saying::Nothing | Saying::Malformed(_) => stands,
        })
    }

    /// Whether the person at the terminal wants it.
    fn may_post(&self) -> Result<bool, Failure> {
        if self.args.yes {
            return Ok(true);
        }
        if !self.ctx.ui.has_person() {
            return Err(Failure::usage(anyhow!("nobody is there to say whether it may be posted"))
                .hint("--yes posts it without asking; --dry-run only shows it"));
        }
        let answer = self.ctx.ui.ask("Post it? [y/N] ").map_err(Failure::unable)?;
        Ok(answer.is_some_and(|answer| ["y", "yes"].contains(&answer.to_lowercase().as_str())))
    }

    /// Posts it, once; gives its number.
    fn post(&self, comment: &Comment, user: &User) -> Result<u64, Failure> {
        let before = self.gitlab.notes(comment.iid, self.deadline()).map_err(failure)?;
        let newest = before.last().map_or(0, |note| note.id);
        let error = match self.gitlab.add_note(comment.iid, &comment.text, self.deadline()) {
            Ok(note) => return Ok(note.id),
            Err(error) => error,
        };
        if !error.may_be_done() {
            return Err(failure(error));
        }
        self.ctx.ui.verbose(&error.to_string());
        let is_it = |note: &&Note| note.id > newest && is_by(note, user) && is_same_text(&note.body, &comment.text);
        let notes = self.gitlab.notes(comment.iid, self.deadline());
        if let Some(note) = notes.iter().flatten().find(is_it) {
            return Ok(note.id);
        }
        let page = comment.page.as_ref().map(|page| format!(": {page}")).unwrap_or_default();
        let unknown = Failure::unable(anyhow!("it is not known whether the comment on !{} was posted: {error}", comment.iid));
        Err(unknown.hint(format!("look at the merge request before you try again{page}")))
    }
}

fn person(user: &User) -> Result<Person, Failure> {
    user.person().map_err(|problem| Failure::no(anyhow!("no record could name you as the approver: {problem}")))
}

fn is_by(note: &Note, user: &User) -> bool {
    !note.system && note.author.as_ref().is_some_and(|author| author.id == user.id)
}

fn is_same_text(one: &str, other: &str) -> bool {
    one.lines().map(str::trim_end).eq(other.lines().map(str::trim_end))
}

fn list<'n>(needed: impl Iterator<Item = &'n Needed>) -> String {
    needed.map(|needed| format!("!{}", needed.iid)).collect::<Vec<_>>().join(", ")
}

/// The comments' addresses, a line each.
fn shown(posted: &[(&Comment, u64)], format: Format) -> String {
    let url = |comment: &Comment, note: u64| comment.page.as_ref().and_then(|page| page_of(page, note));
    if format == Format::Json {
        let one = |(comment, note): &(&Comment, u64)| {
            let url = url(comment, *note);
            json!({ "merge_request": comment.iid, "note": note, "url": url.as_ref().map(Link::as_str) })
        };
        return json_pretty(&posted.iter().map(one).collect::<Vec<_>>().into());
    }
    let line = |(comment, note): &(&Comment, u64)| {
        url(comment, *note).map_or_else(|| format!("comment {note} on !{}", comment.iid), |url| url.to_string())
    };
    posted.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What GitLab turned down is for the person to mend; what can't be reached may go well in a moment.
fn failure(error: ApiError) -> Failure {
    let (advice, is_unreachable) = (error.advice(None), error.is_unreachable());
    let is_ours = matches!(error, ApiError::NoToken { .. } | ApiError::Untold { .. });
    let failure = match (is_unreachable, is_ours) {
        (true, _) => Failure::passing(error),
        (false, true) => Failure::usage(error),
        (false, false) => Failure::unable(error),
    };
    advice.into_iter().fold(failure, Failure::hint)
}
