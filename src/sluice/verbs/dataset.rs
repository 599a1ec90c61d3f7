//! `sluice seal|verify|export|report`: what is done with a campaign's archive, by anybody, at any time.

use std::io::Write;
use std::path::PathBuf;

use dataset::export::{Format, Mask, TraceForm, Which};
use dataset::passes::{self, Passes};
use dataset::trace::{CallStyle, PageText};
use dataset::{DatasetError, SealOptions};
use model::Manifest;

use crate::args::{DatasetArgs, ExportArgs, ExportCalls, ExportFormat, ExportMask, ExportPages, ExportRows, SealArgs, VerifyArgs};
use crate::cluster::corpora::{CORPORA_VARIABLE, Corpora};
use crate::exit::{End, VerbError};
use crate::place::Place;
use crate::progress::Spinner;
use crate::tables;

pub(crate) async fn seal(args: SealArgs) -> Result<End, VerbError> {
    let place = Place::open(&args.campaign.name, args.campaign.archive.as_deref()).await?;
    let options = SealOptions { partial: args.partial, best_of_seed: args.best_of_seed };
    let manifest = dataset::seal(&place.archive, &place.campaign, place.grade.digest(), &options).await?;
    if args.campaign.json {
        super::print_json(&manifest)?;
    } else {
        super::print(&tables::closing(&manifest, &place.archive.place(), None))?;
    }
    Ok(if manifest.counts.failed > 0 { End::WithFailures } else { End::Done })
}

pub(crate) async fn report(args: DatasetArgs) -> Result<End, VerbError> {
    let place = Place::open(&args.dataset, args.archive.as_deref()).await?;
    let manifest = place.manifest().await?;
    // With one sample a seed pass@1 is what the manifest says already, and no row has to be read.
    let passes = match manifest.planned > place.campaign.plan.seeds {
        true => passes::read(place.archive.as_ref(), &place.campaign, &manifest).await?,
        false => None,
    };
    if args.json {
        super::print_json(&reported(&manifest, passes.as_ref())?)?;
    } else {
        super::print(&tables::report(&manifest, &place.archive.place(), passes.as_ref()))?;
    }
    Ok(End::Done)
}

/// The manifest, and beside its fields what only the rows say.
fn reported(manifest: &Manifest, passes: Option<&Passes>) -> Result<serde_json::Value, VerbError> {
    let mut reported = serde_json::to_value(manifest).map_err(anyhow::Error::from)?;
    if let (Some(fields), Some(passes)) = (reported.as_object_mut(), passes) {
        fields.insert("passes".into(), serde_json::to_value(passes).map_err(anyhow::Error::from)?);
    }
    Ok(reported)
}

pub(crate) async fn verify(args: VerifyArgs) -> Result<End, VerbError> {
    let place = Place::open(&args.dataset.dataset, args.dataset.archive.as_deref()).await?;
    let manifest = place.manifest().await?;
    let corpus = match args.corpus {
        Some(named) => named,
        None => planned_corpus(&place).await?,
    };
    if !corpus.is_dir() {
        let message =
            format!("verify against the corpus {}: there is no such directory; name the snapshot with --corpus", corpus.display());
        return Err(VerbError::Usage(message));
    }
    let rows = manifest.counts.accepted + manifest.counts.rejected;
    let spinner = Spinner::new(rows, "rows verified");
    let report = dataset::verify::verify(&place.archive, &place.campaign, &manifest, &corpus, &|done| spinner.set(done)).await?;
    spinner.finish();
    if args.dataset.json {
        super::print_json(&report)?;
    } else {
        super::print(&tables::verification(&report, &manifest))?;
    }
    Ok(if report.differences == 0 { End::Done } else { End::WithFailures })
}

/// Where the campaign had its corpus; on another machine, what was pushed into the archive.
async fn planned_corpus(place: &Place) -> Result<PathBuf, VerbError> {
    let planned = PathBuf::from(&place.campaign.settings.corpus.path);
    if planned.is_dir() || !place.control.submitted {
        return Ok(planned);
    }
    Corpora::new(std::env::var_os(CORPORA_VARIABLE).map(PathBuf::from)).folder(&place.archive, &place.campaign.corpus_id).await
}

pub(crate) async fn export(args: ExportArgs) -> Result<End, VerbError> {
    let format = format(&args)?;
    let place = Place::open(&args.dataset, args.archive.as_deref()).await?;
    let manifest = place.manifest().await?;
    let which = match args.rows {
        ExportRows::Accepted => Which::Accepted,
        ExportRows::Rejected => Which::Rejected,
        ExportRows::All => Which::All,
    };
    let Some(path) = args.out else {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        let exported = dataset::export::export(place.archive.as_ref(), &place.campaign, &manifest, format, which, &mut out).await;
        let cannot = |source| DatasetError::File { action: "write", path: "the export".into(), source };
        let flushed = exported.and_then(|_| out.flush().map_err(cannot));
        return match flushed {
            // Whoever reads has enough of it.
            Err(DatasetError::File { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => Ok(End::Done),
            flushed => Ok(flushed.map(|()| End::Done)?),
        };
    };
    // Written beside and renamed, so that what stands under the name is always whole.
    let partial = path.with_extension("partial");
    let cannot = |error| VerbError::Usage(format!("write {}: {error}", path.display()));
    let mut out = std::io::BufWriter::new(std::fs::File::create(&partial).map_err(cannot)?);
    let written = dataset::export::export(place.archive.as_ref(), &place.campaign, &manifest, format, which, &mut out).await?;
    out.flush().map_err(cannot)?;
    out.get_ref().sync_all().map_err(cannot)?;
    std::fs::rename(&partial, &path).map_err(cannot)?;
    super::print(&format!("{written} rows written to {}", path.display()))?;
    Ok(End::Done)
}

/// What the form and its options mean together; an option that its form does not have is refused, not ignored.
fn format(args: &ExportArgs) -> Result<Format, VerbError> {
    let pages = match args.pages.unwrap_or(ExportPages::Seen) {
        ExportPages::Seen => PageText::Seen,
        ExportPages::Page => PageText::Page,
        ExportPages::Extract => PageText::Extract,
    };
    let refuse = |option: &str, form: &str| Err(VerbError::Usage(format!("export with {option}: --format {form} has no such choice")));
    let of_traces = [("--calls", args.calls.is_some()), ("--mask", args.mask.is_some())].into_iter().find(|(_, given)| *given);
    match (args.format, of_traces) {
        (ExportFormat::Native, Some((option, _))) => refuse(option, "native"),
        (ExportFormat::Native, None) if args.pages.is_some() => refuse("--pages", "native"),
        (ExportFormat::Native, None) => Ok(Format::Native),
        (ExportFormat::Messages, Some((option, _))) => refuse(option, "messages"),
        (ExportFormat::Messages, None) => Ok(Format::Messages(pages)),
        (ExportFormat::Trace, _) => {
            let calls = match args.calls.unwrap_or(ExportCalls::Keyed) {
                ExportCalls::Keyed => CallStyle::Keyed,
                ExportCalls::Bare => CallStyle::Bare,
            };
            let mask = match args.mask.unwrap_or(ExportMask::Spans) {
                ExportMask::Spans => Mask::Spans,
                ExportMask::Segments => Mask::Segments,
                ExportMask::Both => Mask::Both,
            };
            Ok(Format::Trace(TraceForm { calls, pages, mask }))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Verb};

    fn typed(line: &str) -> Result<Format, String> {
        let args = Args::try_parse_from(["sluice", "export", "out/campaigns/a"].into_iter().chain(line.split(' '))).expect("well-formed");
        let Verb::Export(args) = args.verb else { panic!("another verb") };
        format(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn an_option_of_another_form_is_refused_and_not_ignored() {
        let form = TraceForm { calls: CallStyle::Bare, pages: PageText::Page, mask: Mask::Both };
        assert_eq!(typed("--format trace --calls bare --pages page --mask both"), Ok(Format::Trace(form)));
        assert_eq!(typed("--format trace"), Ok(Format::Trace(TraceForm::default())));
        assert_eq!(typed("--format messages --pages extract"), Ok(Format::Messages(PageText::Extract)));
        for (line, option) in [
            ("--format messages --mask both", "--mask"),
            ("--format native --calls keyed", "--calls"),
            ("--format native --pages seen", "--pages"),
        ] {
            assert!(typed(line).is_err_and(|error| error.contains(option)), "{line}");
        }
    }
}
