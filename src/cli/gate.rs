//! What the gate decided, in words, for programs, and as a failure that says what to do next.

use super::capture::Delivery;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::view::Rows;
use crate::core::escape::shell_quoted;
use crate::core::gate::{Code, Decision, Direction, Effect, Finding, Needed, is_same_person, may_approve};
use crate::core::policy::FourEyes;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{ApprovalSource, Name, Person};
use crate::core::time::readable;
use anyhow::anyhow;
use serde_json::{Value, json};

/// Says on stderr what a person should know of a deployment that goes ahead.
pub fn say(ctx: &Context, decision: &Decision) {
    let quiet = [Code::NoPolicy, Code::Approved, Code::Sensitive, Code::Rollback, Code::ReviewDue];
    for finding in &decision.findings {
        let words = format!("{}: {}", finding.code, finding.message);
        match (finding.effect, quiet.contains(&finding.code)) {
            (Effect::Says, true) if finding.code == Code::NoPolicy => ctx.ui.verbose(&words),
            (Effect::Says, true) => ctx.ui.say(&words),
            _ => ctx.ui.warn(&words),
        }
    }
}

/// Says loudly what would have turned away a deployment that has happened.
pub fn say_what_refused(ctx: &Context, decision: &Decision) {
    let refusing = decision.findings.iter().filter(|finding| finding.effect == Effect::Refuses);
    let words: Vec<_> = refusing.map(|finding| format!("{} ({})", finding.message, finding.code)).collect();
    ctx.ui.loud(&format!("the gate would have refused this; a review by another person is due: {}", words.join("; ")));
}

/// The failure of a deployment that is turned away: why, who can help, and how.
pub fn turned_away(ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision) -> Failure {
    let mut refusing = decision.findings.iter().filter(|finding| finding.effect == Effect::Refuses);
    let error = match refusing.next() {
        Some(first) => anyhow!("refused: {} ({})", first.message, first.code),
        None => anyhow!("refused"),
    };
    let failure = if decision.is_unreachable() { Failure::unable(error) } else { Failure::no(error) };
    let because = decision.class.because.iter().map(|reason| format!("{}: {reason}", decision.class.name));
    let others = refusing.map(|finding| format!("{} ({})", finding.message, finding.code));
    let hints = because.chain(others).chain(remedies(ctx, settings, delivery, decision));
    hints.fold(failure, Failure::hint)
}

/// What to do about everything that refuses, each once, in lines that are ready to paste.
pub fn remedies(ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision) -> Vec<String> {
    let refusing = decision.findings.iter().filter(|finding| finding.effect == Effect::Refuses);
    let mut lines: Vec<String> = Vec::new();
    for line in refusing.flat_map(|finding| remedy(finding, ctx, settings, delivery, decision)) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if !lines.is_empty() {
        lines.push(match settings.ci.as_ref().map(|_| delivery.job_page()) {
            Some(Some(url)) => format!("then press Retry on this job: {url}"),
            Some(None) => "then press Retry on this job".to_owned(),
            None => "then run it again".to_owned(),
        });
        let words = "where nobody is there to help, `--break-glass WHY` goes ahead without, on record; a review is due then";
        lines.push(words.to_owned());
    }
    lines
}

fn remedy(finding: &Finding, ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision) -> Vec<String> {
    let seq = finding.seq.unwrap_or_default();
    let command = |arguments: String| format!("  {}", ctx.command_line_elsewhere(&arguments));
    if let Some(advice) = &finding.advice {
        return vec![advice.clone()];
    }
    match finding.code {
        Code::ApprovalMissing => approve(ctx, settings, delivery, decision),
        Code::ApprovalNotProven if delivery.change_here(ctx, settings).lacks_authors => vec![
            "give the job the history since what runs there: `GIT_DEPTH: 0`, or a token that may read the repository".to_owned(),
        ],
        Code::ApprovalNotProven => vec![
            "the deployment must say who runs it: by a key of that person, or by `people` in the policy, which names the addresses \
             that git has for each"
                .to_owned(),
        ],
        Code::Hold => vec![format!("whoever knows that it is safe to go on lifts the hold:\n{}", command(format!("resolve {seq}")))],
        Code::Freeze => {
            let words = "wait until the freeze is over; what can't wait is an emergency: `--emergency WHY`, with an approval";
            vec![words.to_owned()]
        }
        Code::ReviewOverdue => {
            let words = "another person than the one who ran it reviews it:";
            vec![format!("{words}\n{}", command(format!("review {seq}")))]
        }
        Code::LogUnreachable | Code::GitlabUnreachable => vec![format!(
            "`log_unreachable` in the policy stops a {} deployment while the log or GitLab can't be reached; try again later",
            decision.class.name
        )],
        _ => Vec::new(),
    }
}

/// Who may approve, where, and with which words.
fn approve(ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision) -> Vec<String> {
    let accepts = |source| settings.config.rules.approval.accept.contains(&source);
    let has_uncovered = decision.findings.iter().any(|finding| finding.code == Code::DirectPush);
    let by_comment = accepts(ApprovalSource::MergeRequestNote) && !decision.requests.is_empty() && !has_uncovered;
    let comment = by_comment.then(|| comment(ctx, settings, delivery, decision));
    let signed = accepts(ApprovalSource::Signed).then(|| sign(ctx, settings, delivery, decision, by_comment));
    comment.into_iter().chain(signed).collect()
}

/// By a comment on a merge request.
fn comment(ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision) -> String {
    let (newest, others) = match decision.requests.as_slice() {
        [others @ .., newest] => (newest, others),
        [] => return String::new(),
    };
    let who = approvers(ctx, settings, delivery, decision, &|_| true);
    let who = who.unwrap_or_else(|| "another person who may approve".to_owned());
    let page = newest.url.as_ref().map(|url| format!(": {url}")).unwrap_or_default();
    let words = words_of_approval(delivery.environment(), delivery.service().filter(|_| has_services(settings)), others);
    let words: String = words.lines().map(|line| format!("\n  {line}")).collect();
    format!("{who} can approve it by a new comment on the merge request !{}{page}{words}", newest.iid)
}

/// The comment that approves; `others` are covered besides the merge request in which it stands.
pub fn words_of_approval(environment: &Name, service: Option<&Name>, others: &[Needed]) -> String {
    let covers: Vec<_> = others.iter().map(|needed| format!("!{}", needed.iid)).collect();
    let service = service.map(|service| format!("\nService: {service}")).unwrap_or_default();
    let covers = if covers.is_empty() { String::new() } else { format!("\nCovers: {}", covers.join(" ")) };
    format!("Deploy-Approval: {environment}\nReason: WHY{service}{covers}")
}

/// Whether the policy tells services apart.
pub fn has_services(settings: &Settings) -> bool {
    !settings.config.rules.services.is_empty()
}

/// By a record that the approver signs.
fn sign(ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision, is_second: bool) -> String {
    let has_key = |login: &Name| settings.trust.signers.as_ref().is_some_and(|signers| signers.names(login.as_str()));
    let named = approvers(ctx, settings, delivery, decision, &has_key);
    let who = match (&named, settings.config.rules.approval.approvers.is_empty()) {
        (Some(named), _) => named.as_str(),
        (None, true) => "another person whom the trust root names",
        (None, false) => {
            "another approver than those in the policy, who run or wrote this themselves or have no key in the trust root,"
        }
    };
    let command = ctx.command_line_elsewhere(&format!("approve {}", approve_arguments(settings, delivery)));
    // a clone from before the log was begun does not know it
    let is_shared = settings.ci.is_some() || settings.location.address().is_some();
    let fetch = if is_shared { "\n  git fetch" } else { "" };
    let or = if is_second { "or " } else { "" };
    format!("{or}{who} can approve it, in a clone of the repository:{fetch}\n  {command}")
}

/// Those whom the policy names, but for whom it would not help; `None` where nobody is left.
fn approvers(
    ctx: &Context,
    settings: &Settings,
    delivery: &Delivery,
    decision: &Decision,
    can: &dyn Fn(&Name) -> bool,
) -> Option<String> {
    let rules = &settings.config.rules;
    let change = delivery.change_here(ctx, settings);
    let helps = |login: &&Name| {
        let person = Person { login: Some((*login).clone()), ..Person::default() };
        let made = decision.requests.iter().flat_map(|needed| &needed.makers).chain(delivery.actor());
        let is_one = made.into_iter().any(|maker| is_same_person(maker, &person) == Some(true));
        let is_other = !is_one || rules.approval.four_eyes != FourEyes::Before;
        is_other && can(login) && may_approve(&person, &change, rules).is_ok()
    };
    let names: Vec<_> = rules.approval.approvers.iter().filter(helps).map(Name::as_str).collect();
    match names.as_slice() {
        [] => None,
        [only] => Some((*only).to_owned()),
        [first @ .., last] => Some(format!("{} or {last}", first.join(", "))),
    }
}

fn approve_arguments(settings: &Settings, delivery: &Delivery) -> String {
    let mut arguments = vec![format!("--environment {}", shell_quoted(delivery.environment().as_str()))];
    let service = delivery.service().filter(|service| Some(*service) != settings.config.service.as_ref());
    arguments.extend(service.map(|service| format!("--service {}", shell_quoted(service.as_str()))));
    arguments.extend(delivery.named_project().map(|path| format!("--project {}", shell_quoted(path.as_str()))));
    arguments.extend(delivery.sha().map(|sha| format!("--commit {sha}")));
    arguments.join(" ")
}

/// How a command ends that only asks.
pub fn exit(decision: &Decision) -> Exit {
    match (decision.is_allowed(), decision.is_unreachable()) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Unable,
        (false, false) => Exit::No,
    }
}

/// It for people.
pub fn rows(delivery: &Delivery, decision: &Decision, settings: &Settings) -> Rows {
    let answer = if decision.is_allowed() { "allowed" } else { "refused" };
    let service = delivery.service().map(|service| format!(", service {service}")).unwrap_or_default();
    let commit = delivery.sha().map(|sha| format!(" ({})", sha.short())).unwrap_or_default();
    let mut rows = vec![
        ("decision", answer.to_owned()),
        ("environment", format!("{}{service}", delivery.environment())),
        ("version", format!("{}{commit}, {}", delivery.version(), direction(decision.direction))),
        ("class", class(decision)),
        ("approval", approval(decision)),
    ];
    // what the class and the approval say is not said again
    let is_told =
        |finding: &&Finding| [Code::Sensitive, Code::Emergency, Code::ChangeUnknown, Code::Approved].contains(&finding.code);
    let findings = decision.findings.iter().filter(|finding| !is_told(finding));
    let findings: Vec<_> = findings.map(|finding| format!("{}: {}", finding.code, finding.message)).collect();
    if !findings.is_empty() {
        rows.push(("findings", findings.join("\n")));
    }
    let policy = settings.policy.as_ref().map(|policy| format!("{}, {}", policy.reference, policy.sha256));
    rows.push(("policy", policy.unwrap_or_else(|| "none".to_owned())));
    rows
}

fn class(decision: &Decision) -> String {
    let because: Vec<_> = decision.class.because.iter().map(ToString::to_string).collect();
    let name = decision.class.name;
    if because.is_empty() { name.to_string() } else { format!("{name}\n{}", because.join("\n")) }
}

fn approval(decision: &Decision) -> String {
    match (&decision.approval, decision.needs_approval) {
        (Some(approval), _) => {
            let who = approval.approver.short().map(|name| name.to_string()).unwrap_or_default();
            let record = approval.seq.map(|seq| format!(", record {seq}")).unwrap_or_default();
            let at = approval.at.map(|at| format!(", {}", readable(at.utc()))).unwrap_or_default();
            format!("by {who}{at}{record}")
        }
        (None, true) => "needed".to_owned(),
        (None, false) => "not needed".to_owned(),
    }
}

/// Where it goes, in words.
fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::First => "the first one there",
        Direction::Forward => "forward",
        Direction::Again => "which runs there now",
        Direction::Back => "back to what went well there",
        Direction::MaybeBack => "back to an older commit",
        Direction::Unknown => "from what is not known",
    }
}

/// It for programs.
pub fn as_json(decision: &Decision, settings: &Settings) -> Value {
    let findings: Vec<_> = decision.findings.iter().map(finding).collect();
    json!({
        "allowed": decision.is_allowed(),
        "class": decision.class.write(),
        "direction": word(decision.direction),
        "needs_approval": decision.needs_approval,
        "findings": findings,
        "approval": decision.approval.as_ref().map(|approval| approval.write()),
        "break_glass": decision.break_glass.as_ref().map(|glass| glass.write()),
        "overrides": decision.overrides.iter().map(|rule| rule.write()).collect::<Vec<_>>(),
        "follow_up": decision.follow_up.as_ref().map(|follow_up| follow_up.write()),
        "policy": settings.policy.as_ref().map(|policy| policy.write()),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code.as_str(),
        "effect": finding.effect.as_str(),
        "record": finding.seq,
        "message": finding.message,
    })
}

/// Where it goes, for programs.
fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::First => "first",
        Direction::Forward => "forward",
        Direction::Again => "again",
        Direction::Back => "back",
        Direction::MaybeBack => "maybe-back",
        Direction::Unknown => "unknown",
    }
}
