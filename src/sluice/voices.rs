//! The teachers that a campaign's settings describe, each with what it needs beside them.

use std::sync::Arc;

use model::Settings;
use model::settings::{JudgeKind, RecipeSettings, TeacherSettings};
use runtime::{Archive, Ledger};
use synthesis::{Voice, Voices};
use teacher::{Means, Teacher, Tokens};

use crate::exit::VerbError;
use crate::kept;

/// Where the files are that settings name.
#[derive(Clone, Copy)]
pub(crate) enum Files<'a> {
    /// On this machine: the settings were just read.
    Here,
    /// With the campaign.
    Kept(&'a dyn Archive),
}

/// The teachers of `settings`. `ledger` shares their limits per minute with other workers.
///
/// # Errors
/// When a key's variable is not set, or a file is missing or cannot be understood.
pub(crate) async fn connect(settings: &Settings, files: Files<'_>, ledger: Option<Arc<dyn Ledger>>) -> Result<Voices, VerbError> {
    let campaign = settings.campaign.name.as_str();
    let roles = &settings.teacher.roles;
    let as_of = match &settings.recipe {
        RecipeSettings::Browse(browse) => browse.as_of.as_deref(),
        RecipeSettings::Decompose(decompose) => decompose.as_of.as_deref(),
    };
    let ground = Ground { campaign, as_of, files, ledger };
    let mut voices =
        Voices { researcher: voice(&settings.teacher, "teacher", &ground).await?, planner: None, summarizer: None, extractor: None };
    let others = [
        ("planner", &roles.planner, &mut voices.planner),
        ("summarizer", &roles.summarizer, &mut voices.summarizer),
        ("extractor", &roles.extractor, &mut voices.extractor),
    ];
    for (name, role, place) in others {
        if let Some(role) = role {
            *place = Some(voice(role, &format!("teacher.{name}"), &ground).await?);
        }
    }
    Ok(voices)
}

/// The model that judges, if one does. `ledger` shares its limits per minute with other workers.
///
/// # Errors
/// When its key's variable is not set.
pub(crate) fn connect_judge(settings: &Settings, ledger: Option<Arc<dyn Ledger>>) -> Result<Option<Arc<dyn Teacher>>, VerbError> {
    match &settings.judge.kind {
        JudgeKind::Http { http, model, price, .. } => {
            let means = Means { ledger, ..Means::default() };
            teacher::connect::connect_http(http, model, *price, means).map(Some).map_err(VerbError::usage)
        }
        JudgeKind::Lexical | JudgeKind::Off => Ok(None),
    }
}

/// What all teachers of a campaign share.
struct Ground<'a> {
    campaign: &'a str,
    as_of: Option<&'a str>,
    files: Files<'a>,
    ledger: Option<Arc<dyn Ledger>>,
}

async fn voice(settings: &TeacherSettings, table: &str, ground: &Ground<'_>) -> Result<Voice, VerbError> {
    let Ground { campaign, as_of, files, ledger } = ground;
    let (files, ledger) = (*files, ledger.clone());
    let chat_template = match &settings.chat_template {
        Some(named) => Some(text(named, &format!("{table}.chat_template"), campaign, files).await?),
        None => None,
    };
    let tokenizer = match settings.tokenizer.as_str() {
        "o200k" | "cl100k" => None,
        named => Some(text(named, &format!("{table}.tokenizer"), campaign, files).await?),
    };
    let tokens = Tokens::new(&settings.tokenizer, tokenizer.as_deref())
        .map_err(|error| VerbError::Usage(format!("set up the tokenizer ({table}.tokenizer): {error}")))?;
    let means = Means { chat_template, as_of: as_of.map(str::to_owned), offers_tools: table == "teacher", tokens: tokens.clone(), ledger };
    Ok(Voice { teacher: teacher::connect(settings, means).map_err(VerbError::usage)?, tokens })
}

async fn text(named: &str, key: &str, campaign: &str, files: Files<'_>) -> Result<String, VerbError> {
    match files {
        Files::Here => kept::read(named, key),
        Files::Kept(archive) => kept::text(named, key, campaign, archive).await,
    }
}
