//! Files that settings name and other machines need too: the judge's rubric, chat templates, tokenizers. They are kept with the campaign, by
//! digest, and from then on the settings name them so.

use model::settings::{JudgeKind, TeacherSettings};
use model::{Digest, Prompt, Settings};
use runtime::Archive;

use crate::exit::VerbError;

/// How a file is named that is kept with the campaign, before its digest.
const KEPT: &str = "prompt:";

/// The text of the file that the key `key` of campaign `campaign` names: kept with the campaign, or on this machine.
///
/// # Errors
/// When there is no such file, or what is kept is missing or damaged.
pub(crate) async fn text(named: &str, key: &str, campaign: &str, archive: &dyn Archive) -> Result<String, VerbError> {
    let Some(digest) = named.strip_prefix(KEPT) else { return read(named, key) };
    let digest: Digest = digest.parse().map_err(VerbError::unreachable)?;
    let place = model::layout::CampaignKeys::new(campaign).prompt(&digest);
    let bytes = archive.get(&place).await?;
    let text = bytes.filter(|bytes| Digest::of(bytes) == digest).and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        VerbError::Unreachable(format!("read {key} from {place}: it is missing or damaged; run `sluice submit` or `sluice run` again"))
    })
}

/// The text of a file on this machine.
///
/// # Errors
/// When there is none, or it is no text.
pub(crate) fn read(path: &str, key: &str) -> Result<String, VerbError> {
    std::fs::read_to_string(path).map_err(|error| VerbError::Usage(format!("read {path} ({key}): {error}")))
}

/// The judge's own rubric, where the settings name a file.
///
/// # Errors
/// As [`text`].
pub(crate) async fn rubric(settings: &Settings, archive: &dyn Archive) -> Result<Option<String>, VerbError> {
    let JudgeKind::Http { rubric: Some(named), .. } = &settings.judge.kind else { return Ok(None) };
    text(named, "judge.rubric", &settings.campaign.name, archive).await.map(Some)
}

/// Keeps all such files with the campaign, and names them so. Returns those that are part of what may never change under its name.
///
/// # Errors
/// As [`text`], and when the archive fails.
pub(crate) async fn keep(settings: &mut Settings, archive: &dyn Archive) -> Result<Vec<Prompt>, VerbError> {
    let campaign = settings.campaign.name.clone();
    let mut fixed = Vec::new();
    for (table, key, named) in files_of(&mut settings.teacher, "teacher") {
        let name = format!("{table}.{key}");
        let text = text(named, &name, &campaign, archive).await?;
        let prompt = Prompt { name, text };
        *named = format!("{KEPT}{}", prompt.digest());
        fixed.push(prompt);
    }
    let mut all = fixed.clone();
    if let Some(text) = rubric(settings, archive).await? {
        let prompt = Prompt { name: "judge.rubric".to_owned(), text };
        if let JudgeKind::Http { rubric, .. } = &mut settings.judge.kind {
            *rubric = Some(format!("{KEPT}{}", prompt.digest()));
        }
        all.push(prompt);
    }
    coordinator::keep_prompts(archive, &campaign, &all).await?;
    Ok(fixed)
}

/// (table, key, name of the file) of each file that a teacher or a role of it names.
fn files_of<'a>(teacher: &'a mut TeacherSettings, table: &str) -> Vec<(String, &'static str, &'a mut String)> {
    let TeacherSettings { chat_template, tokenizer, roles, .. } = teacher;
    let mut files = Vec::new();
    files.extend(chat_template.as_mut().map(|named| (table.to_owned(), "chat_template", named)));
    if !matches!(tokenizer.as_str(), "o200k" | "cl100k") {
        files.push((table.to_owned(), "tokenizer", tokenizer));
    }
    for (name, role) in [("planner", &mut roles.planner), ("summarizer", &mut roles.summarizer), ("extractor", &mut roles.extractor)] {
        if let Some(role) = role {
            files.extend(files_of(role, &format!("{table}.{name}")));
        }
    }
    files
}
