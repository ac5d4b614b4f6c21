//! A database without tables, written as a file.
//!
//! SQLite makes a database in steps, each with syncs of its own, before the first table is in it.
//! Here it begins as one page that says that all else is in the log: whatever a power loss leaves of
//! that page, nothing that was committed to the log is taken for more or less than it is. The tables
//! come with the first transaction, and with them the version: the mark that they are all there.

use std::path::Path;

use facteur_disk::Disk;

use crate::{Index, IndexError};

const PAGE: u16 = 4096;

/// Puts a database without tables at `path`.
pub(crate) fn make(disk: &Disk, path: &Path) -> Result<(), IndexError> {
    // A log that is left of another one would be taken for its.
    Index::remove_log(disk, path)?;
    Ok(disk.write_unsynced(path, &page())?)
}

/// The first page (<https://www.sqlite.org/fileformat2.html>, sections 1.3 and 1.6).
fn page() -> Vec<u8> {
    let mut page = b"SQLite format 3\0".to_vec();
    page.extend(PAGE.to_be_bytes());
    // Written and read with a log (WAL); nothing reserved in a page; the fractions that are fixed.
    page.extend([2, 2, 0, 64, 32, 32]);
    let mut numbers = [0_u32; 19];
    for (at, number) in [
        (0, 1), // changes
        (1, 1), // pages
        (8, UTF_8),
        (17, 1), // the change as of which the next one is valid
        (18, WRITTEN_BY),
    ] {
        if let Some(place) = numbers.get_mut(at) {
            *place = number;
        }
    }
    page.extend(numbers.into_iter().flat_map(u32::to_be_bytes));
    // The table of tables: a leaf without cells, whose content begins at the page's end.
    page.push(13);
    page.extend([0, 0, 0, 0]);
    page.extend(PAGE.to_be_bytes());
    page.resize(PAGE.into(), 0);
    page
}

const UTF_8: u32 = 1;

/// The version of SQLite whose form this is: 3.7.0, the first to say so.
const WRITTEN_BY: u32 = 3_007_000;
