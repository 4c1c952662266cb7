//! `deploy-record resolve`: lift a hold.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::log::no_log;
use super::person::{Act, Original};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::record::Kind;
use crate::core::state::Mark;
use crate::recorder::Known;
use anyhow::anyhow;
use clap::Args;

/// Lift the hold that a rollback put on an environment, with a note that says why it is safe to go on.
///
/// Without N it is the only hold there is, in --environment where that is given. Signed with your own key.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record resolve 130 --note '1.4.3 fixes the rounding, tested on staging'\n  deploy-record resolve --environment production --note 'cause found, PAY-11'"
)]
pub struct Resolve {
    /// The number of the rollback's record.
    #[arg(value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    seq: Option<u64>,
    /// The environment whose hold it is.
    #[arg(short, long, value_parser = super::non_empty, value_name = "NAME", conflicts_with = "seq")]
    environment: Option<String>,
    /// Why it is safe to go on.
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
pub fn run(args: &Resolve, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let seq = args.seq.map(|seq| seq.to_string()).unwrap_or_default();
    let act = Act { what: "a resolution", command: format!("resolve {seq}").trim_end().to_owned() };
    act.refuse_own_key(ctx, &settings)?;
    let hold = find(args, ctx, &settings)?;
    let original = Original::find(hold.seq, ctx, &settings)?;
    let writer = LogWriter::open(ctx, settings, original.environment())?;
    let person = act.signer(ctx, &writer)?;
    let note = Act::words(ctx, args.note.as_ref(), "Why is it safe to go on? ", "--note")?;
    let mut draft = original.draft(Kind::Resolution);
    draft.by = Some(person);
    draft.note = Some(note);
    if args.dry_run {
        ctx.ui.result(&view::draft(&draft, &writer.redactor));
        return Ok(Exit::Done);
    }
    act.append(ctx, &writer, args.format, draft)
}

/// The hold that is meant.
fn find(args: &Resolve, ctx: &Context, settings: &Settings) -> Result<Mark, Failure> {
    let store = settings.open_log_to_append(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
    let state = known.state().ok_or_else(|| no_log(&store))?;
    let is_meant = |hold: &&Mark| match (args.seq, &args.environment) {
        (Some(seq), _) => hold.seq == seq || hold.start == Some(seq),
        (None, Some(environment)) => hold.environment.as_str() == environment,
        (None, None) => true,
    };
    let holds: Vec<_> = state.holds.iter().filter(is_meant).collect();
    match holds[..] {
        [hold] => Ok(hold.clone()),
        [] => Err(Failure::usage(anyhow!("there is no such hold")).hint("`deploy-record status` shows what is on hold")),
        _ => {
            let list: Vec<_> = holds.iter().map(|hold| format!("{} ({})", hold.seq, hold.environment)).collect();
            Err(Failure::usage(anyhow!("several holds are on: {}", list.join(", "))).hint("name one of the records"))
        }
    }
}
