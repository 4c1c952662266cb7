//! `deploy-record start`: record that a deployment begins.

use super::capture::{Delivery, DeliveryArgs, SaidArgs, not_recorded};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::starting::{self, Begin, Begun};
use super::writer::LogWriter;
use super::{Format, follow_up, tokens};
use crate::ui::json::json_pretty;
use clap::Args;
use serde_json::json;

/// Record that a deployment begins; `finish` records how it ended.
///
/// The two are what `run` does in one step, for jobs that deploy in a script of their own: `start` in before_script, `finish` in
/// after_script, in separate jobs, or from a hook. A step that is tried again is not recorded again.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record start --environment production\n  deploy-record start -e production --version 1.4.2 --format json"
)]
pub struct Start {
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    said: SaidArgs,
    /// Show what would be recorded; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Records it.
pub fn run(args: &Start, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load_to_keep(ctx)?;
    if let Some(reason) = not_recorded(&args.delivery, ctx, &settings)? {
        ctx.ui.warn(&format!("not recorded, and not asked of the gate: {reason}"));
        return Ok(Exit::Done);
    }
    tokens::refuse_missing(ctx, &settings)?;
    let delivery = Delivery::gather(&args.delivery, &args.said, ctx, &settings)?;
    if args.dry_run {
        return starting::show(ctx, &settings, &delivery);
    }
    let writer = LogWriter::open(ctx, settings, Some(delivery.environment()))?;
    match starting::begin(ctx, &writer, &delivery, Begin::Once)? {
        Begun::InLog { seq, record } => {
            let is_whole = record.seq == seq;
            if writer.settings.ci.is_some()
                && is_whole
                && let Err(error) = writer.spool.note_start(seq, &record.to_bytes())
            {
                ctx.ui.verbose(&format!("can't note the start in {}: {error}", writer.spool.directory().display()));
            }
            // what it says of the issue, `finish` finds again
            follow_up::with_issue(ctx, &writer, seq, &record.id.clone(), *record);
            ctx.ui.result(&result(args.format, &format!("record {seq}"), json!({ "seq": seq, "spooled": null })));
        }
        Begun::InSpool { held, .. } => {
            let path = held.path().display().to_string();
            ctx.ui.result(&result(args.format, &format!("spooled {path}"), json!({ "seq": null, "spooled": path })));
        }
    }
    Ok(Exit::Done)
}

fn result(format: Format, words: &str, value: serde_json::Value) -> String {
    if format == Format::Json { json_pretty(&value) } else { words.to_owned() }
}
