//! `deploy-record status`: what runs where, now or at an earlier moment.

mod debts;
mod picture;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::log::no_log;
use super::moment::Moment;
use super::outcome::{self, Open};
use super::settings::Settings;
use super::{Format, view};
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Name, Time};
use crate::core::state::{OpenStart, Place, State};
use crate::core::time::{ago, duration, readable};
use crate::recorder::Known;
use crate::ui::json::json_pretty;
use crate::ui::table::Table;
use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use picture::{Picture, is_wanted};
use serde_json::{Value, json};

/// Show what runs in each environment, and what somebody has to come back to: holds, reviews, missing reasons.
///
/// It reads the newest commit of the log, whose state `verify` computes again from all records; of earlier ones only as many as
/// the question needs.
#[derive(Args)]
#[command(after_help = after_help())]
pub struct Status {
    /// What ran then instead of now: 7d, 12h, 30m, 2w, 2026-11-20 (the end of that day, UTC) or 2026-11-20T14:05:11Z.
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// Only this environment; may be repeated.
    #[arg(short, long, value_name = "NAME")]
    environment: Vec<Name>,
    /// Only this service; may be repeated.
    #[arg(long, value_name = "NAME")]
    service: Vec<Name>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn after_help() -> String {
    format!(
        "What runs is the deployment or rollback that succeeded and whose start was recorded last; one that was recorded late never \
         displaces one that ended after it.\n\n\
         With --at, the same rule is applied to what the log had recorded by then, and to what it was told of that time afterwards: \
         of deployments, those that ended or began at or before TIME. Holds, reviews and missing reasons are those of then.\n\n{}\n\n\
         Examples:\n  deploy-record status\n  deploy-record status --environment production --at 2026-11-20\n  \
         deploy-record status --at 2026-11-20T14:05:11Z --format json",
        outcome::RULE
    )
}

/// Shows it.
pub fn run(args: &Status, ctx: &Context) -> Result<Exit, Failure> {
    let now = ctx.now();
    let at = args.at.map(|moment| moment_at(moment, now)).transpose()?;
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
    let tip = known.tip.as_ref().ok_or_else(|| no_log(&store))?;
    let wanted = |place: &Place| is_wanted(&args.environment, &args.service, &place.environment, place.service.as_ref());
    let picture = match at {
        None => Picture::now(&known, now, &wanted)?,
        Some(at) => Picture::at(&known, at, &wanted)?,
    };
    if let Some(at) = at {
        ctx.ui.say(&format!("as of {}", Time::new(at)));
    }
    if picture.state.is_none() {
        ctx.ui.say(&format!("nothing is known of that time: the log began at {}", tip.state.since));
    } else if picture.places.is_empty() {
        let may_be_older = picture.state.as_ref().is_some_and(State::has_dropped_places);
        ctx.ui.say(match may_be_older {
            true => "none of the most recent environments is such a one; `deploy-record log` looks further back",
            false => "nothing is known of such an environment or service",
        });
    }
    show(args, ctx, &picture);
    if settings.trust.signers.is_none() {
        ctx.ui.warn("nobody vouches for this: there is no trust root");
        return Ok(Exit::Unable);
    }
    Ok(Exit::Done)
}

/// The last second that is meant, which has passed.
fn moment_at(moment: Moment, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    if moment.begin(now) > now {
        return Err(Failure::usage(anyhow!("--at is in the future; it is {} now", Time::new(now))));
    }
    let last = match moment {
        Moment::Day(_) => moment.end(now) - TimeDelta::seconds(1),
        Moment::At(_) | Moment::Ago(_) => moment.end(now),
    };
    Ok(last.min(now))
}

fn show(args: &Status, ctx: &Context, picture: &Picture) {
    let debts = picture.state.as_ref().map(|state| debts::lines(args, ctx, state, picture.at)).unwrap_or_default();
    let text = match args.format {
        Format::Json => json_pretty(&as_json(args, picture)),
        format => view::table(&table(picture, format), format, &ctx.ui) + &debts::written(&debts, format),
    };
    ctx.ui.result(&text);
    if args.format == Format::Csv {
        debts.iter().for_each(|debt| ctx.ui.say(debt));
    }
}

fn table(picture: &Picture, format: Format) -> Table {
    let has_projects = picture.state.as_ref().is_some_and(State::has_several_projects);
    let mut header = vec!["environment", "service", "runs", "commit", "since", "by", "#", "begun, no end"];
    if has_projects {
        header.insert(0, "project");
    }
    let mut table = Table::new(&header).right_aligned(&[6 + usize::from(has_projects)]);
    for place in &picture.places {
        let mut row = cells(place, picture, format);
        if let Some(state) = picture.state.as_ref().filter(|_| has_projects) {
            row.insert(0, state.project_name(place.project, place.path.as_ref()));
        }
        table.row(row);
    }
    table
}

fn cells(place: &Place, picture: &Picture, format: Format) -> Vec<String> {
    let runs = place.runs.as_ref();
    let since = |at: Time| match format {
        Format::Csv => at.to_string(),
        _ => format!("{}, {}", readable(at.utc()), ago(at.utc(), picture.at)),
    };
    vec![
        place.environment.to_string(),
        place.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        runs.map_or("nothing yet".to_owned(), |runs| runs.version.to_string()),
        runs.and_then(|runs| runs.sha.as_ref()).map(|sha| sha.short().to_owned()).unwrap_or_default(),
        runs.map(|runs| since(runs.at)).unwrap_or_default(),
        runs.and_then(|runs| runs.actor.as_ref()).map(ToString::to_string).unwrap_or_default(),
        runs.map(|runs| runs.seq.to_string()).unwrap_or_default(),
        place.open.iter().map(|start| open_words(start, picture)).collect::<Vec<_>>().join("; "),
    ]
}

/// `1.4.3 (record 4, running for 3 min)`
fn open_words(start: &OpenStart, picture: &Picture) -> String {
    let began = start.started_at.utc();
    let mut words = match picture.open.get(&start.seq) {
        Some(Open::Running) => {
            format!("running for {}", duration(u64::try_from((picture.at - began).num_seconds()).unwrap_or_default()))
        }
        _ => format!("unknown outcome, began {}, {}", readable(began), ago(began, picture.at)),
    };
    if let Some(end) = picture.ended_later.get(&start.seq) {
        let status = end.status.map(|status| status.to_string()).unwrap_or_default();
        words.push_str(&format!(", ended later: {status}, record {}", end.seq));
    }
    format!("{} (record {}, {words})", start.version, start.seq)
}

/// The state's own words, with how each open start stands.
fn as_json(args: &Status, picture: &Picture) -> Value {
    let places: Vec<_> = picture.places.iter().map(|place| place_json(place, picture)).collect();
    let mut value = json!({ "as_of": Time::new(picture.at).to_string(), "places": places });
    if let Some(state) = &picture.state {
        value["log"] = json!(state.log.as_str());
        value["newest"] = state.newest.write();
        debts::add_json(&mut value, args, state);
    }
    value
}

fn place_json(place: &Place, picture: &Picture) -> Value {
    let mut value = place.write();
    for start in value.get_mut("open").and_then(Value::as_array_mut).into_iter().flatten() {
        let seq = start["seq"].as_u64().unwrap_or_default();
        if let Some(open) = picture.open.get(&seq) {
            start["status"] = json!(open.status().as_str());
        }
        if let Some(end) = picture.ended_later.get(&seq) {
            start["ended_by"] = json!(end.seq);
        }
    }
    value
}
