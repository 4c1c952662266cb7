//! What is said of a deployment by those who start it, or in its commit: that it is an emergency, or can't wait for an approval.

use super::DeliveryArgs;
use crate::core::gate::{Said, Saying};
use crate::core::record::{CommitId, Name, Text};
use crate::repo::Checkout;
use clap::Args;
use std::str::FromStr;

/// The trailers by which a commit says so.
const EMERGENCY: &str = "Deploy-Emergency";
const BREAK_GLASS: &str = "Deploy-Break-Glass";

/// That a deployment is out of the ordinary.
#[derive(Args, Debug, Default)]
pub struct SaidArgs {
    /// It is an emergency, and why: it needs another person's approval, and a review afterwards. A trailer `Deploy-Emergency: WHY` in
    /// the commit says the same.
    #[arg(long, env = "DEPLOY_RECORD_EMERGENCY", hide_env_values = true, num_args = 0..=1, default_missing_value = "yes", value_name = "WHY")]
    emergency: Option<Emergency>,
    /// Go ahead without prior approval, and why: over holds and freezes, too; a review is due afterwards. A trailer
    /// `Deploy-Break-Glass: WHY` in the commit says the same.
    #[arg(long, env = "DEPLOY_RECORD_BREAK_GLASS", hide_env_values = true, value_parser = crate::cli::non_empty, value_name = "WHY")]
    break_glass: Option<String>,
    /// Who approved it, by your word: counts only where the policy accepts `claimed`.
    #[arg(long, env = "DEPLOY_RECORD_APPROVED_BY", hide_env_values = true, value_name = "LOGIN")]
    approved_by: Option<Name>,
}

/// Whether it is an emergency, and why.
#[derive(Debug, Clone)]
enum Emergency {
    No,
    Yes,
    Because(String),
}

impl FromStr for Emergency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_lowercase().as_str() {
            "" => Err("it is empty; say why, or leave it out".to_owned()),
            "yes" | "true" | "1" => Ok(Emergency::Yes),
            "no" | "false" | "0" => Ok(Emergency::No),
            _ => Ok(Emergency::Because(text.to_owned())),
        }
    }
}

impl SaidArgs {
    /// What flags, variables and the commit say.
    pub(super) fn said(&self, args: &DeliveryArgs, commit: Option<&CommitId>, checkout: Option<&Checkout>) -> Said {
        let trailer = |name| checkout.zip(commit).and_then(|(checkout, commit)| checkout.trailer(commit, name));
        // what makes it stricter counts in what a merge brings, too; what makes it less strict only where the deployer sees it
        let merged = || checkout.zip(commit).and_then(|(checkout, commit)| checkout.merged_trailer(commit, EMERGENCY));
        let said = |reason: Option<&str>| Saying { place: "--emergency".to_owned(), reason: reason.and_then(Text::clean) };
        let by_flag = match &self.emergency {
            Some(Emergency::Yes) => Some(said(None)),
            Some(Emergency::Because(reason)) => Some(said(Some(reason))),
            Some(Emergency::No) | None => None,
        };
        let by_trailer = trailer(EMERGENCY)
            .or_else(merged)
            .map(|reason| Saying { place: format!("trailer {EMERGENCY}"), reason: Text::clean(&reason) });
        let break_glass = self.break_glass.clone().or_else(|| trailer(BREAK_GLASS));
        Said {
            emergency: by_flag.into_iter().chain(by_trailer).collect(),
            break_glass: break_glass.as_deref().and_then(Text::clean),
            approved_by: self.approved_by.clone(),
            has_reason: args.note.is_some(),
        }
    }
}
