//! `deploy-record review`: close the review that is owed after an emergency.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::person::{Act, Original};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::gate::is_same_person;
use crate::core::policy::FourEyes;
use crate::core::record::{Kind, Outcome, Person, Text};
use anyhow::anyhow;
use clap::Args;

/// Close the review that a deployment owes: you looked at it afterwards, and this is what you say.
///
/// Another person than the one who ran the deployment reviews it, unless the policy has four eyes off. Signed with your own key.
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
    refuse_own_work(&original, &reviewer, &writer.settings)?;
    let note = match &args.note {
        Some(note) => Some(note.clone()),
        None => ctx.ui.ask("What did you find? ").map_err(Failure::unable)?,
    };
    let mut draft = original.draft(Kind::Review);
    draft.reviewer = Some(reviewer);
    draft.outcome = Some(args.outcome);
    draft.note = note.as_deref().and_then(Text::clean);
    if args.dry_run {
        ctx.ui.result(&view::draft(&draft, &writer.redactor));
        return Ok(Exit::Done);
    }
    act.append(ctx, &writer, args.format, draft, &|_| Ok(()))
}

/// Nobody reviews what they ran themselves.
fn refuse_own_work(original: &Original, reviewer: &Person, settings: &Settings) -> Result<(), Failure> {
    if settings.config.rules.approval.four_eyes == FourEyes::Off {
        return Ok(());
    }
    let Some(actor) = original.halves().find_map(|half| half.actor.as_ref()) else { return Ok(()) };
    if is_same_person(actor, reviewer) != Some(true) {
        return Ok(());
    }
    let (seq, who) = (original.named.seq, view::person(actor));
    Err(Failure::no(anyhow!("refused: {who} ran record {seq}, and another person reviews it (review-by-actor)"))
        .hint("ask somebody else whom the trust root names"))
}
