//! `sluice seal|verify|export|report`: what is done with a campaign's archive, by anybody, at any time.

use std::io::Write;
use std::path::PathBuf;

use dataset::SealOptions;
use dataset::export::{Format, Which};

use crate::args::{DatasetArgs, ExportArgs, ExportFormat, ExportRows, SealArgs, VerifyArgs};
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
    if args.json {
        super::print_json(&manifest)?;
    } else {
        super::print(&tables::closing(&manifest, &place.archive.place(), None))?;
    }
    Ok(End::Done)
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
    let place = Place::open(&args.dataset, args.archive.as_deref()).await?;
    let manifest = place.manifest().await?;
    let format = match args.format {
        ExportFormat::Native => Format::Native,
        ExportFormat::Messages => Format::Messages,
    };
    let which = match args.rows {
        ExportRows::Accepted => Which::Accepted,
        ExportRows::Rejected => Which::Rejected,
        ExportRows::All => Which::All,
    };
    let Some(path) = args.out else {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        dataset::export::export(place.archive.as_ref(), &place.campaign, &manifest, format, which, &mut out).await?;
        out.flush()?;
        return Ok(End::Done);
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
