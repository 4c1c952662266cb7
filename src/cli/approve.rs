//! `deploy-record approve`: let one commit go to one environment.

mod comment;

use super::capture::{Delivery, DeliveryArgs, SaidArgs};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::person::Act;
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, check, view};
use crate::core::escape::shell_quoted;
use crate::core::gate::{Code, Decision, may_approve};
use crate::core::nearest;
use crate::core::policy::Span;
use crate::core::record::{ClassName, Commit, FollowUp, Kind, Person, Record, Text, Time};
use anyhow::anyhow;
use chrono::TimeDelta;
use clap::Args;

/// Approve the deployment of one commit to one environment, signed with your own key or as a comment of yours in GitLab.
///
/// The approval counts for this project, service, environment and commit, until the first deployment of it there that succeeds or
/// until it expires, and for nothing else; failed attempts may use it again. It is refused where it could never count: where the
/// policy names other approvers, or you wrote the change yourself.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record approve --environment production --commit 3f2a91c --reason 'looked at the tax change with kim'\n  deploy-record approve -e production --reason 'card payments fail for EU customers' --follow-up 'chen reviews tomorrow'\n  deploy-record approve -e production --commit 3f2a91c --withdraw --reason 'found a problem'\n  deploy-record approve -e production --comment --reason 'looked at the tax change'      on the merge request"
)]
pub struct Approve {
    /// The environment.
    #[arg(short, long, value_parser = super::non_empty, value_name = "NAME")]
    environment: Option<String>,
    /// The service, where one repository has several.
    #[arg(long, value_parser = super::non_empty, value_name = "NAME")]
    service: Option<String>,
    /// The commit [default: HEAD].
    #[arg(long, value_parser = super::non_empty, value_name = "COMMIT")]
    commit: Option<String>,
    /// The project whose code is delivered, where that is another one: its path, such as `grp/app`.
    #[arg(long, value_parser = super::non_empty, value_name = "PATH")]
    project: Option<String>,
    /// Why it may go ahead.
    #[arg(long, visible_alias = "note", allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    reason: Option<String>,
    /// What is to be done about the review afterwards.
    #[arg(long, allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    follow_up: Option<String>,
    /// For how long it counts, such as `2 hours` [default: what the policy allows].
    #[arg(long, value_name = "TIME")]
    valid_for: Option<Span>,
    /// Take back what you approved for this commit there.
    #[arg(long, conflicts_with_all = ["follow_up", "valid_for"])]
    withdraw: bool,
    /// Comment on the merge request instead of signing a record: with your own access token (DEPLOY_RECORD_TOKEN or --token, scope
    /// `api`), on the newest of those that need an approval, for all of them.
    #[arg(long, conflicts_with_all = ["valid_for", "project"])]
    comment: bool,
    /// The merge request on which to comment.
    #[arg(long, requires = "comment", value_parser = clap::value_parser!(u64).range(1..), value_name = "IID")]
    merge_request: Option<u64>,
    /// Post the comment without asking.
    #[arg(long, requires = "comment")]
    yes: bool,
    /// Show what would be recorded or posted; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Appends it.
pub fn run(args: &Approve, ctx: &Context) -> Result<Exit, Failure> {
    if args.comment {
        return comment::run(args, ctx);
    }
    let settings = Settings::load(ctx)?;
    let act = Act { what: "an approval", command: args.command() };
    act.refuse_own_key(ctx, &settings)?;
    let delivery = Delivery::gather(&args.named(), &SaidArgs::default(), ctx, &settings)?;
    let commit = args.commit_of(&delivery)?;
    refuse_what_is_not_here(args, &delivery, &settings)?;
    let decision = check::decide(&delivery, ctx, &settings)?;
    let writer = LogWriter::open(ctx, settings, Some(delivery.environment()))?;
    let person = act.signer(ctx, &writer)?;
    if !args.withdraw {
        refuse_what_can_not_count(ctx, &writer.settings, &delivery, &person)?;
    }
    tell(ctx, &delivery, &commit, &decision);
    let draft = args.draft(ctx, &writer.settings, &delivery, commit, person, decision.class.name)?;
    if args.dry_run {
        ctx.ui.result(&view::draft(&draft, &writer.redactor));
        return Ok(Exit::Done);
    }
    act.append(ctx, &writer, args.format, draft)
}

impl Approve {
    fn named(&self) -> DeliveryArgs {
        DeliveryArgs {
            environment: self.environment.clone(),
            service: self.service.clone(),
            project: self.project.clone(),
            commit: self.commit.clone(),
            // only the commit counts
            version: Some(self.commit.clone().unwrap_or_else(|| "HEAD".to_owned())),
            ..DeliveryArgs::default()
        }
    }

    fn commit_of(&self, delivery: &Delivery) -> Result<Commit, Failure> {
        let missing = || Failure::usage(anyhow!("which commit? --commit is missing, and there is no repository at hand"));
        delivery.commit().cloned().ok_or_else(missing)
    }

    fn command(&self) -> String {
        let flag =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!(" --{name} {}", shell_quoted(value)));
        let flags = [("environment", &self.environment), ("service", &self.service), ("commit", &self.commit)];
        let given: String = flags.iter().filter_map(|(name, value)| flag(name, value)).collect();
        format!("approve{given}")
    }

    fn draft(
        &self,
        ctx: &Context,
        settings: &Settings,
        delivery: &Delivery,
        commit: Commit,
        person: Person,
        class: ClassName,
    ) -> Result<Record, Failure> {
        let question = if self.withdraw { "Why is it taken back? " } else { "Why may it go ahead? " };
        let reason = Act::words(ctx, self.reason.as_ref(), question, "--reason")?;
        let note = self.follow_up.as_deref().and_then(Text::clean);
        let mut record = Record::draft(Kind::Approval);
        record.service = delivery.service().cloned();
        record.project = delivery.project().cloned();
        record.environment = Some(delivery.place().clone());
        record.commit = Some(Commit { branch: None, tag: None, ..commit });
        record.approver = Some(person);
        record.reason = Some(reason);
        record.follow_up = note.map(|note| FollowUp { note: Some(note), ..FollowUp::default() });
        if self.withdraw {
            record.withdrawn = Some(true);
        } else {
            record.expires_at = Some(Time::new(ctx.now() + self.length(settings, class)?));
        }
        Ok(record)
    }

    fn length(&self, settings: &Settings, class: ClassName) -> Result<TimeDelta, Failure> {
        let most = settings.config.rules.approval.valid_for(class);
        match self.valid_for {
            None => Ok(most),
            Some(Span::Exact(length)) if length <= most => Ok(length),
            Some(Span::Exact(_)) => {
                Err(Failure::usage(anyhow!("--valid-for: the policy allows at most {} hours", most.num_hours())))
            }
            Some(Span::BusinessDays(_)) => Err(Failure::usage(anyhow!("--valid-for: give it in hours or days"))),
        }
    }
}

/// Nobody signs blindly: the commit is here, unless another project is named, and the environment is one of the policy's.
fn refuse_what_is_not_here(args: &Approve, delivery: &Delivery, settings: &Settings) -> Result<(), Failure> {
    let is_here = delivery.sha().zip(settings.checkout.as_ref()).is_some_and(|(sha, checkout)| checkout.has(sha));
    if args.project.is_none() && !is_here {
        let sha = delivery.sha().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::usage(anyhow!("the commit {sha} is not in the repository at hand, so it can't be looked at"))
            .hint("`git fetch` brings what is new; then approve it"));
    }
    let (environments, name) = (&settings.config.environments, delivery.environment().as_str());
    if environments.is_empty() || environments.contains_key(name) {
        return Ok(());
    }
    let known: Vec<_> = environments.keys().map(String::as_str).collect();
    let near = nearest::of(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(Failure::usage(anyhow!("`{name}` is none of the environments in `.deploy-record.yml`: {}{near}", known.join(", "))))
}

/// What can never count is not signed.
fn refuse_what_can_not_count(ctx: &Context, settings: &Settings, delivery: &Delivery, person: &Person) -> Result<(), Failure> {
    let change = delivery.change_here(ctx, settings);
    may_approve(person, &change, &settings.config.rules)
        .map_err(|finding| Failure::no(anyhow!("refused: {} ({})", finding.message, finding.code)))
}

/// What is being approved, so that nobody signs blindly.
fn tell(ctx: &Context, delivery: &Delivery, commit: &Commit, decision: &Decision) {
    let title = commit.title.as_ref().map(|title| format!(" {title}")).unwrap_or_default();
    let author = commit.author.as_ref().map(|author| format!(", by {author}")).unwrap_or_default();
    let service = delivery.service().map(|service| format!("{service}, ")).unwrap_or_default();
    ctx.ui.say(&format!("{service}{}{title}{author}, to {}", commit.sha.short(), delivery.environment()));
    for reason in &decision.class.because {
        ctx.ui.say(&format!("{}: {reason}", decision.class.name));
    }
    if !decision.needs_approval {
        ctx.ui.warn("the policy asks for no approval of this");
    }
    if decision.findings.iter().any(|finding| finding.code == Code::Approved) {
        ctx.ui.say("it is approved already");
    }
}
