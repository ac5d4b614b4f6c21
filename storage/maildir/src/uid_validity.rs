//! `dovecot-uidvalidity`: the last UIDVALIDITY that a Maildir gave out.
//!
//! Dovecot keeps it twice: in the file, and in the name of an empty file beside it, which it renames
//! to take the next one. A value that we give out must be noted there, or Dovecot could give it
//! again to a mailbox of the same name.

use std::io;

use facteur_disk::Disk;

use crate::Layout;

const NAME: &str = "dovecot-uidvalidity";

/// The UIDVALIDITY values of a Maildir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidValidities {
    /// The highest one given out; 0 when none is known.
    pub last: u32,
    /// In the names of files.
    markers: Vec<u32>,
}

impl UidValidities {
    /// Reads them.
    ///
    /// # Errors
    /// When the Maildir or the file cannot be read.
    pub fn read(disk: &Disk, layout: &Layout) -> io::Result<Self> {
        let mut markers = Vec::new();
        let listed = disk.each_name(layout.root(), |name, _| {
            markers.extend(std::str::from_utf8(name).ok().and_then(marker));
        });
        let written = match listed.and_then(|()| disk.read(&layout.root().join(NAME))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            bytes => std::str::from_utf8(&bytes?).ok().and_then(number),
        };
        let last = markers.iter().copied().chain(written).max().unwrap_or(0);
        Ok(Self { last, markers })
    }

    /// Notes that `value` was given out, durable only with what is synced later.
    ///
    /// # Errors
    /// When it cannot be written. Dovecot takes the time then.
    pub fn note(&mut self, disk: &Disk, layout: &Layout, value: u32) -> io::Result<()> {
        if value <= self.last {
            return Ok(());
        }
        let path = |value: u32| layout.root().join(format!("{NAME}.{value:08x}"));
        disk.write_unsynced(&layout.root().join(NAME), format!("{value:08x}").as_bytes())?;
        match disk.create_new(&path(value)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for old in std::mem::replace(&mut self.markers, vec![value]) {
            disk.unlink_if_there(&path(old))?;
        }
        self.last = value;
        Ok(())
    }
}

fn marker(name: &str) -> Option<u32> {
    number(name.strip_prefix(NAME)?.strip_prefix('.')?)
}

fn number(hex: &str) -> Option<u32> {
    let plain = hex.len() <= 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(hex, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_noted_as_dovecot_notes_them() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let layout = Layout::new(dir.path());
        let read = || UidValidities::read(&disk, &layout).unwrap();
        assert_eq!(
            UidValidities::read(&disk, &Layout::new(&dir.path().join("none")))
                .unwrap()
                .last,
            0
        );
        assert_eq!(read().last, 0);
        for name in [
            "dovecot-uidvalidity.6b00ebbb",
            "dovecot-uidvalidity.6b00ebb0",
            "dovecot-uidvalidity.x",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(read().last, 0x6b00_ebbb);
        std::fs::write(dir.path().join("dovecot-uidvalidity"), "6b00ebbc").unwrap();
        let mut values = read();
        assert_eq!(values.last, 0x6b00_ebbc);
        values.note(&disk, &layout, 5).unwrap();
        assert_eq!(read(), values);
        values.note(&disk, &layout, 0x6b00_ebff).unwrap();
        assert_eq!(read(), values);
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "dovecot-uidvalidity",
                "dovecot-uidvalidity.6b00ebff",
                "dovecot-uidvalidity.x"
            ]
        );
        let written = std::fs::read_to_string(dir.path().join("dovecot-uidvalidity")).unwrap();
        assert_eq!(written, "6b00ebff");
    }
}
