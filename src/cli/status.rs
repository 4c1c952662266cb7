//! `deploy-record status`: what runs where.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::log::no_log;
use super::settings::Settings;
use super::{Format, view};
use crate::core::log::page;
use crate::core::record::shape::FieldType as _;
use crate::core::state::{Mark, Place, State};
use crate::core::time::{ago, readable};
use crate::recorder::Known;
use crate::ui::json::json_pretty;
use crate::ui::table::Table;
use chrono::{DateTime, Utc};
use clap::Args;

/// Show what runs in each environment, and what somebody has to come back to: holds, reviews, missing reasons.
///
/// It reads the newest commit of the log, whose state `verify` computes again from all records.
#[derive(Args)]
#[command(after_help = "Examples:\n  deploy-record status\n  deploy-record status --format json")]
pub struct Status {
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Shows it.
pub fn run(args: &Status, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
    let tip = known.tip.as_ref().ok_or_else(|| no_log(&store))?;
    let text = match args.format {
        Format::Json => json_pretty(&tip.state.write()),
        format => {
            let mut text = view::table(&places(&known, &tip.state, ctx.now())?, format, &ctx.ui);
            if format != Format::Csv {
                text.push_str(&debts(&tip.state));
            }
            text
        }
    };
    ctx.ui.result(&text);
    if settings.trust.signers.is_none() {
        ctx.ui.warn("nobody vouches for this: there is no trust root");
        return Ok(Exit::Unable);
    }
    Ok(Exit::Done)
}

fn places(known: &Known, state: &State, now: DateTime<Utc>) -> Result<Table, Failure> {
    let has_projects = state.has_several_projects();
    let mut header = vec!["environment", "service", "runs", "commit", "since", "by", "#", "begun, no end"];
    if has_projects {
        header.insert(0, "project");
    }
    let mut table = Table::new(&header).right_aligned(&[6 + usize::from(has_projects)]);
    for place in known.places()?.iter().rev() {
        let mut row = cells(place, now);
        if has_projects {
            row.insert(0, state.project_name(place.project, place.path.as_ref()));
        }
        table.row(row);
    }
    Ok(table)
}

fn cells(place: &Place, now: DateTime<Utc>) -> Vec<String> {
    let runs = place.runs.as_ref();
    let open = place.open.iter().map(|open| format!("{} (record {})", open.version, open.seq));
    vec![
        place.environment.to_string(),
        place.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        runs.map_or("nothing yet".to_owned(), |runs| runs.version.to_string()),
        runs.and_then(|runs| runs.sha.as_ref()).map(|sha| sha.short().to_owned()).unwrap_or_default(),
        runs.map(|runs| format!("{}, {}", readable(runs.at.utc()), ago(runs.at.utc(), now))).unwrap_or_default(),
        page::person(runs.and_then(|runs| runs.actor.as_ref())),
        runs.map(|runs| runs.seq.to_string()).unwrap_or_default(),
        open.collect::<Vec<_>>().join(", "),
    ]
}

fn debts(state: &State) -> String {
    let mut text = String::new();
    let mark = |words: &str, mark: &Mark| {
        format!("{words}: {} in {}, record {}, since {}\n", mark.version, mark.environment, mark.seq, readable(mark.at.utc()))
    };
    state.holds.iter().for_each(|hold| text.push_str(&mark("hold", hold)));
    for review in &state.reviews {
        let due = review.due.map(|due| readable(due.utc())).unwrap_or_default();
        text.push_str(&format!(
            "review owed: {} in {}, record {}, due {due}\n",
            review.version, review.environment, review.seq
        ));
    }
    state.missing_reasons.iter().for_each(|missing| text.push_str(&mark("reason missing", missing)));
    if !text.is_empty() {
        text.insert(0, '\n');
    }
    crate::core::escape::terminal_lines(&text).into_owned()
}
