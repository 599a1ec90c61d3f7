//! Making what was written survive a power loss, a whole file system at a time.
//!
//! One call for thousands of small files and appends costs about what one call for a single file costs, so it runs once a second in the
//! background and nobody who writes ever waits for a disk. A process that is killed loses nothing that was written, with or without it.

use std::fs::File;
use std::io;

/// Returns when everything written so far to the file system that holds `folder` is on the disk.
pub(crate) fn sync_file_system(folder: &File) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::fs::syncfs(folder)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        // Other systems have no call for one file system.
        let _whole_machine = folder;
        rustix::fs::sync();
    }
    Ok(())
}
