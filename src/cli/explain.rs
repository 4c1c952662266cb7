//! `deploy-record explain`: what the policy makes of a deployment, or made of one, and why.

use super::capture::{Delivery, DeliveryArgs, SaidArgs};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::person::Original;
use super::settings::Settings;
use super::view::Rows;
use super::{Format, check, gate, view};
use crate::core::policy::{ApprovalFor, ApprovalRules, FourEyes, Overdue, Rules, Span};
use crate::core::record::shape::FieldType as _;
use crate::core::record::{ClassName, Kind, Name, Record};
use crate::ui::json::json_pretty;
use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

/// Say what the policy makes of the current commit, or made of a record, and why.
///
/// Without --record it judges what would be deployed now, as `check` does, and shows the rules that count there; it always ends
/// with 0 where it could tell. With --record it shows what was decided then, by which version of the policy.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record explain --environment production\n  deploy-record explain --record 124\n  deploy-record explain -e production --commit v1.4.2 --format json"
)]
pub struct Explain {
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    said: SaidArgs,
    /// The number of a record whose decision is to be explained.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N", conflicts_with_all = ["environment", "commit", "version"])]
    record: Option<u64>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Explains it.
pub fn run(args: &Explain, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    if let Some(seq) = args.record {
        return explain_record(seq, args.format, ctx, &settings);
    }
    let delivery = Delivery::gather(&args.delivery, &args.said, ctx, &settings)?;
    let decision = check::decide(&delivery, ctx, &settings)?;
    let rules = rules(&settings.config.rules, delivery.environment());
    match args.format {
        Format::Json => {
            let mut value = gate::as_json(&decision, &settings);
            value["rules"] =
                rules.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect::<serde_json::Map<_, _>>().into();
            ctx.ui.result(&ctx.without_secrets(&json_pretty(&value)));
        }
        format => {
            let rows = [gate::rows(&delivery, &decision, &settings), rules].concat();
            ctx.ui.result(&ctx.without_secrets(&view::details(&rows, format)));
        }
    }
    gate::remedies(ctx, &settings, &delivery, &decision).iter().for_each(|line| ctx.ui.hint(line));
    Ok(Exit::Done)
}

/// The rules that count in an environment.
fn rules(rules: &Rules, environment: &Name) -> Rows {
    let approval = &rules.approval;
    let asks = match rules.approval_for(environment) {
        ApprovalFor::Never => "no deployment",
        ApprovalFor::Sensitive => "sensitive deployments and emergencies",
        ApprovalFor::Always => "all deployments",
    };
    let four_eyes = match approval.four_eyes {
        FourEyes::Before => "another person approves beforehand",
        FourEyes::After => "another person reviews afterwards",
        FourEyes::Off => "one person is enough",
    };
    let overdue = match rules.follow_up.overdue {
        Overdue::Warn => "which is only said when it is overdue",
        Overdue::Refuse => "and nothing but emergencies goes forward while it is overdue",
    };
    let kinds: Vec<_> = approval.accept.iter().map(|source| source.as_str()).collect();
    let issue = if rules.follow_up.issue { "; an issue in GitLab reminds of it" } else { "" };
    let watched: Vec<_> = rules.sensitive.iter().map(|sensitive| sensitive.name.clone()).collect();
    let holidays: Vec<_> = rules.calendar.holidays.iter().map(ToString::to_string).collect();
    let freezes: Vec<_> = rules.freezes.iter().map(|freeze| format!("{freeze} {}", rules.calendar.zone)).collect();
    let rows = vec![
        ("asks", format!("{asks}, for an approval")),
        ("approvers", approvers(approval)),
        ("kinds", kinds.join(", ")),
        ("four eyes", four_eyes.to_owned()),
        ("counts for", counts_for(approval)),
        ("watches", watched.join(", ")),
        ("emergencies", emergencies(rules)),
        ("review", format!("within {}, {overdue}", rules.follow_up.within)),
        ("review", format!("within {}, {overdue}{issue}", rules.follow_up.within)),
        ("freezes", freezes.join("\n")),
        ("holidays", holidays.join(", ")),
    ];
    rows.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// `chen, dana, and members of acme/leads; with the role maintainer or more`
fn approvers(approval: &ApprovalRules) -> String {
    let names = approval.approvers.iter().map(ToString::to_string);
    let groups = approval.groups.iter().map(|group| format!("members of {group}"));
    let who: Vec<_> = names.chain(groups).collect();
    let who = match (who.is_empty(), approval.minimum_access) {
        (false, _) => who.join(", "),
        (true, Some(_)) => "members of the project".to_owned(),
        (true, None) => "anybody whom the trust root names".to_owned(),
    };
    let role = approval.minimum_access.map(|role| format!("; with the role {role} or more")).unwrap_or_default();
    format!("{who}{role}")
}

/// What makes an emergency, besides those who say so.
fn emergencies(rules: &Rules) -> String {
    let emergency = &rules.emergency;
    let branches = emergency.branches.iter().map(|pattern| format!("branch {pattern}"));
    let labels = emergency.labels.iter().map(|label| format!("label {label}"));
    let push = emergency.direct_push.then(|| "a commit without a merged merge request".to_owned());
    branches.chain(labels).chain(push).collect::<Vec<_>>().join(", ")
}

/// `7 days; in an emergency, 24 hours`
fn counts_for(approval: &ApprovalRules) -> String {
    let length = |class| Span::Exact(approval.valid_for(class)).to_string();
    let (sensitive, emergency) = (length(ClassName::Sensitive), length(ClassName::Emergency));
    if sensitive == emergency { sensitive } else { format!("{sensitive}; in an emergency, {emergency}") }
}

fn explain_record(seq: u64, format: Format, ctx: &Context, settings: &Settings) -> Result<Exit, Failure> {
    let original = Original::find(seq, ctx, settings)?;
    let kind = original.named.kind;
    if !matches!(kind, Kind::Deployment | Kind::Rollback | Kind::Refusal) {
        return Err(Failure::usage(anyhow!("record {seq} is of kind `{kind}`, which the policy does not decide about")));
    }
    ctx.ui.result(&match format {
        Format::Json => json_pretty(&record_json(&original.named)),
        format => view::details(&record_rows(&original.named), format),
    });
    Ok(Exit::Done)
}

fn record_rows(record: &Record) -> Rows {
    let lines = |items: Vec<String>| items.join("\n");
    let class = record.class.as_ref();
    let because = class.map(|class| class.because.iter().map(ToString::to_string).collect()).unwrap_or_default();
    let approval = record.approval.as_ref().map(|approval| view::approval(approval, ""));
    let glass = record.break_glass.as_ref().map(|glass| format!("no prior approval (break-glass): {}", glass.reason));
    let rows = vec![
        ("record", format!("{}, {}", record.seq, record.kind)),
        ("class", class.map_or_else(|| "not judged: there was no policy".to_owned(), |class| class.name.to_string())),
        ("because", lines(because)),
        ("approval", approval.or(glass).unwrap_or_else(|| "none".to_owned())),
        ("overridden", lines(record.overrides.iter().map(|over| format!("{}: {}", over.rule, over.reason)).collect())),
        ("findings", lines(record.findings.iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect())),
        (
            "policy",
            record
                .policy
                .as_ref()
                .map_or_else(|| "none".to_owned(), |policy| format!("{}, {}", policy.reference, policy.sha256)),
        ),
    ];
    rows.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

fn record_json(record: &Record) -> Value {
    let whole = record.write();
    let fields = ["seq", "kind", "class", "approval", "break_glass", "overrides", "follow_up", "findings", "policy"];
    fields
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), whole.get(field)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
