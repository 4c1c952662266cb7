//! `deploy-record keygen`: a key for a pipeline or a person.

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::core::record::Name;
use crate::core::seal;
use crate::core::trust::line_to_add;
use crate::keys;
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;

/// Make a signing key, and say what to do with its two halves.
///
/// The private half goes into a file that only you can read; with --show-variable it is also printed as one line that GitLab can
/// mask. The public half is a line for the trust root.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record keygen --principal ci:main -o deploy-record.key\n  deploy-record keygen --principal chen -o ~/.ssh/deploy-record --passphrase"
)]
pub struct Keygen {
    /// Where the private key goes; the public one beside it, with `.pub`.
    #[arg(short, long, default_value = "deploy-record.key", value_name = "FILE")]
    output: PathBuf,
    /// Ask for a passphrase; without it the file alone is enough to sign.
    #[arg(long)]
    passphrase: bool,
    /// Also print the private key as one line of base64, for a masked GitLab variable.
    #[arg(long)]
    show_variable: bool,
}

/// Makes it.
pub fn run(args: &Keygen, ctx: &Context) -> Result<Exit, Failure> {
    let principal = ctx.global.principal.as_deref().unwrap_or("ci:main");
    let principal = Name::new(principal).map_err(|problem| Failure::usage(anyhow!("--principal: it {problem}")))?;
    let key = keys::generate(principal.as_str())?;
    let passphrase = if args.passphrase { Some(new_passphrase(ctx)?) } else { None };
    keys::write_new(&args.output, &key, passphrase.as_ref().map(|text| text.as_str()))?;
    let path = args.output.display();
    ctx.ui.say(&format!("private key: {path} (readable by you alone; keep it out of git)"));
    ctx.ui.say(&format!("public key:  {path}.pub, fingerprint {}", seal::fingerprint(key.public_key())));
    ctx.ui.say("line for `.deploy-record/allowed_signers` on the default branch:");
    ctx.ui.result(&line_to_add(principal.as_str(), key.public_key()));
    if args.show_variable {
        ctx.ui.say("value of the GitLab variable DEPLOY_RECORD_KEY (masked, hidden and protected):");
        ctx.ui.result(&keys::one_line(&key)?);
    } else if principal.as_str().starts_with("ci:") {
        ctx.ui.hint(&format!(
            "for GitLab: `base64 -w0 {path}` is one line that can be a masked, hidden and protected variable DEPLOY_RECORD_KEY"
        ));
    }
    Ok(Exit::Done)
}

fn new_passphrase(ctx: &Context) -> Result<zeroize::Zeroizing<String>, Failure> {
    if let Some(text) = ctx.variable("DEPLOY_RECORD_KEY_PASSPHRASE").filter(|text| !text.is_empty()) {
        return Ok(zeroize::Zeroizing::new(text));
    }
    let ask = |prompt: &str| ctx.ui.ask_passphrase(prompt).map_err(Failure::unable);
    let no_terminal = || {
        Failure::usage(anyhow!("--passphrase: there is no terminal to ask on")).hint("give it as DEPLOY_RECORD_KEY_PASSPHRASE")
    };
    let first = ask("New passphrase: ")?.ok_or_else(no_terminal)?;
    let again = ask("Again: ")?.ok_or_else(no_terminal)?;
    if first.is_empty() || first != again {
        return Err(Failure::usage(anyhow!("the passphrases are empty, or differ")));
    }
    Ok(first)
}
