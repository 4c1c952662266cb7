//! `deploy-record review`: close the review that is owed after an emergency.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::person::{Act, Original};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::gate::is_same_person;
use crate::core::policy::FourEyes;
use crate::core::record::{Kind, Name, Outcome, Person};
use crate::repo::default_ticket_pattern;
use anyhow::anyhow;
use clap::Args;

/// Close the review that a deployment owes: you looked at it afterwards, and this is what you say.
///
/// Another person than those who ran and wrote it reviews it, unless the policy has four eyes off. One that rejects is on record,
/// and the review stays owed until another one approves. Signed with your own key.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record review 124 --note 'the fix is right; tests follow in PAY-9'\n  deploy-record review 124 --outcome rejected --note 'it must be done differently, see PAY-10'"
)]
pub struct Review {
    /// The number of the deployment's record.
    #[arg(value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    seq: u64,
    /// What you make of it.
    #[arg(long, value_parser = super::word_of::<Outcome>(Outcome::ALL, Outcome::as_str), default_value = "approved", value_name = "OUTCOME")]
    outcome: Outcome,
    /// Why.
    #[arg(long, visible_alias = "reason", allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    note: Option<String>,
    /// Show what would be recorded; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Appends it.
pub fn run(args: &Review, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let act = Act { what: "a review", command: format!("review {}", args.seq) };
    act.refuse_own_key(ctx, &settings)?;
    let original = Original::find(args.seq, ctx, &settings)?;
    if !original.named.is_delivery() {
        let kind = original.named.kind;
        return Err(Failure::usage(anyhow!("record {} is of kind `{kind}`; a review is about a deployment", args.seq)));
    }
    if let Some(done) = original.about(Kind::Review).next() {
        ctx.ui.warn(&format!("it was reviewed before, in record {}; this one is added to it", done.seq));
    } else if original.halves().all(|half| half.follow_up.is_none()) {
        ctx.ui.warn(&format!("record {} owes no review; this one is recorded all the same", args.seq));
    }
    let writer = LogWriter::open(ctx, settings, original.environment())?;
    let reviewer = act.signer(ctx, &writer)?;
    refuse_own_work(ctx, &original, &reviewer, &writer.settings)?;
    let is_closed = original.about(Kind::Review).any(|review| review.outcome == Some(Outcome::Approved));
    if args.outcome == Outcome::Rejected && !is_closed {
        ctx.ui.say("a review that rejects is on record, and the review stays owed until one approves");
    }
    let note = Act::words(ctx, args.note.as_ref(), "What did you find? ", "--note")?;
    let mut draft = original.draft(Kind::Review);
    draft.reviewer = Some(reviewer);
    draft.outcome = Some(args.outcome);
    draft.note = Some(note);
    if args.dry_run {
        ctx.ui.result(&view::draft(&draft, &writer.redactor));
        return Ok(Exit::Done);
    }
    act.append(ctx, &writer, args.format, draft)
}

/// Nobody reviews what they ran or wrote themselves.
fn refuse_own_work(ctx: &Context, original: &Original, reviewer: &Person, settings: &Settings) -> Result<(), Failure> {
    if settings.config.rules.approval.four_eyes == FourEyes::Off {
        return Ok(());
    }
    let seq = original.named.seq;
    let other = "ask somebody else whom the trust root names";
    if let Some(actor) = original.halves().find_map(|half| half.actor.as_ref()) {
        match is_same_person(actor, reviewer) {
            Some(true) => {
                let who = view::person(actor);
                return Err(Failure::no(anyhow!(
                    "refused: {who} ran record {seq}, and another person reviews it (review-by-actor)"
                ))
                .hint(other));
            }
            Some(false) => {}
            None => ctx.ui.warn(&format!(
                "record {seq} names who ran it as `{}` only; that you are another person is your word",
                view::person(actor)
            )),
        }
    }
    let wrote_it = |login: Name| is_same_person(&Person { login: Some(login), ..Person::default() }, reviewer) == Some(true);
    if authors(original, settings).into_iter().any(wrote_it) {
        return Err(Failure::no(anyhow!(
            "refused: you wrote what record {seq} deployed, and another person reviews it (review-by-author)"
        ))
        .hint(other));
    }
    Ok(())
}

/// Who wrote what was new, as far as the repository at hand and the policy's `people` tell.
fn authors(original: &Original, settings: &Settings) -> Vec<Name> {
    let Some(checkout) = &settings.checkout else { return Vec::new() };
    let Some(commit) = original.named.commit.as_ref().map(|commit| &commit.sha) else { return Vec::new() };
    let previous = original.halves().find_map(|half| half.previous.as_ref()?.sha.as_ref());
    let pattern = default_ticket_pattern();
    let compared = previous.and_then(|previous| checkout.compare(previous, commit, pattern, None).ok());
    let addresses = compared.map(|compared| compared.addresses).filter(|addresses| !addresses.is_empty());
    let addresses = addresses.unwrap_or_else(|| checkout.addresses(commit));
    addresses.iter().filter_map(|address| settings.config.rules.people.login(address)).collect()
}
