//! Where something was taken out of a text, what stood on both sides may read as a mark together: spaces keep it apart.

use model::settings::Dialect;

use super::marks::{Kind, Marks};

/// Longest mark, in bytes.
const MARK_BYTES_MAX: usize = 256;

/// `visible` with every mark parted that began before one of the `seams`: byte offsets in it, ascending.
pub(super) fn parted(dialect: Dialect, visible: String, seams: &[usize]) -> String {
    if seams.is_empty() {
        return visible;
    }
    let is_tags = dialect == Dialect::Tags;
    let is_text = |kind: Kind| match kind {
        Kind::ParameterOpen | Kind::ParameterClose | Kind::Protocol => true,
        Kind::ObservationOpen | Kind::ObservationClose | Kind::ToolOpen | Kind::ToolClose => !is_tags,
        _ => false,
    };
    let marks = Marks::of(&visible, dialect == Dialect::Mistral);
    let (mut copied, mut parted) = (0, String::new());
    let mut at = 0;
    for seam in seams {
        at = at.max(seam.saturating_sub(MARK_BYTES_MAX));
        while let Some(mark) = marks.next_before(at, *seam) {
            at = mark.start() + 1;
            if !is_text(mark.kind) {
                for place in places_to_part(marks.written(mark)) {
                    at = mark.start() + place;
                    parted.push_str(visible.get(copied..at).unwrap_or_default());
                    parted.push(' ');
                    copied = at;
                }
            }
        }
        at = *seam;
    }
    if copied == 0 {
        return visible;
    }
    parted.push_str(visible.get(copied..).unwrap_or_default());
    parted
}

/// Where spaces must be put into a mark so that it is none: behind its bracket, and within a prefix, which spaces do not part from its
/// bars.
fn places_to_part(mark: &str) -> impl Iterator<Item = usize> {
    let is_still_one = Marks::of(&mark.replacen('<', "< ", 1), false).at(0).is_some();
    let within = mark.find("DSML").filter(|_| is_still_one).map(|prefix| prefix + 1);
    std::iter::once(1).chain(within)
}
