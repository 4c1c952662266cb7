//! `deploy-record check`: the gate alone.

use super::capture::{Delivery, DeliveryArgs, SaidArgs, not_recorded};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::{Format, api, gate, tokens, view};
use crate::core::gate::Decision;
use crate::recorder::Known;
use crate::ui::json::json_pretty;
use clap::Args;
use serde_json::json;

/// Say whether a deployment may go ahead: whether it needs an approval, and whether that is there. Writes nothing.
///
/// The same decision as `run` and `start` make, on the same facts. Exit code 0: it may. 1: it is refused, and the text says who can
/// help and how. 3: the log can't be reached, and the policy stops this class of deployment meanwhile.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record check --environment production\n  deploy-record check -e production --commit v1.4.2 --format json"
)]
pub struct Check {
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    said: SaidArgs,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Asks it.
pub fn run(args: &Check, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load_for_delivery(ctx)?;
    if let Some(reason) = not_recorded(&args.delivery, ctx, &settings)? {
        ctx.ui.warn(&format!("not gated: {reason}"));
        if args.format == Format::Json {
            ctx.ui.result(&json_pretty(&json!({ "gated": false, "reason": reason })));
        }
        return Ok(Exit::Done);
    }
    tokens::refuse_missing(ctx, &settings)?;
    let delivery = Delivery::gather(&args.delivery, &args.said, ctx, &settings)?;
    let decision = decide(&delivery, ctx, &settings)?;
    api::say_requests(ctx, &settings);
    show(args.format, ctx, &settings, &delivery, &decision);
    gate::remedies(ctx, &settings, &delivery, &decision).iter().for_each(|line| ctx.ui.hint(line));
    Ok(gate::exit(&decision))
}

/// What the gate makes of it now, with the log or, where that can't be reached, without it.
///
/// # Errors
/// Where the log is not what it should be.
pub fn decide(delivery: &Delivery, ctx: &Context, settings: &Settings) -> Result<Decision, Failure> {
    let store = settings.open_log_to_append(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline());
    match known.and_then(|known| delivery.decide(&known, ctx, settings)) {
        Ok(decision) => Ok(decision),
        Err(because) if because.is_unreachable() => {
            let copy = delivery.copied_place(ctx, settings);
            Ok(delivery.decide_without_log(copy.as_ref(), &because.to_string(), ctx, settings))
        }
        Err(because) => Err(because.into()),
    }
}

/// Shows a decision.
pub fn show(format: Format, ctx: &Context, settings: &Settings, delivery: &Delivery, decision: &Decision) {
    let text = match format {
        Format::Json => {
            let mut value = json!({ "gated": true, "environment": delivery.environment().as_str() });
            value["service"] = json!(delivery.service().map(ToString::to_string));
            value["version"] = json!(delivery.version().as_str());
            value["commit"] = json!(delivery.sha().map(ToString::to_string));
            value["gitlab_requests"] = json!(api::requests(settings));
            if let (Some(object), Some(more)) = (value.as_object_mut(), gate::as_json(decision, settings).as_object()) {
                object.extend(more.clone());
            }
            json_pretty(&value)
        }
        format => view::details(&gate::rows(delivery, decision, settings), format),
    };
    ctx.ui.result(&ctx.without_secrets(&text));
}
