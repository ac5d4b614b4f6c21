//! Dovecot's `subscriptions` file.

use std::{collections::BTreeSet, io};

use facteur_disk::Disk;
use facteur_model::MailboxName;

use crate::Places;

/// First line of the file, in the form we write.
const VERSION_2: &str = "V\t2\n\n";

/// The subscribed names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriptions {
    names: BTreeSet<MailboxName>,
    /// Lines that are no mailbox's name here; they are kept.
    foreign: Vec<String>,
}

impl Subscriptions {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(disk: &Disk, places: &impl Places) -> io::Result<Self> {
        match disk.read(&places.subscriptions()) {
            Ok(bytes) => Ok(Self::decode(
                &String::from_utf8_lossy(&bytes),
                places.separator(),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file durably.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write(&self, disk: &Disk, places: &impl Places) -> io::Result<()> {
        disk.write_atomically(&places.subscriptions(), self.encode().as_bytes())
    }

    /// As [`Subscriptions::write`], durable only with what is synced later.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn write_unsynced(&self, disk: &Disk, places: &impl Places) -> io::Result<()> {
        disk.write_unsynced(&places.subscriptions(), self.encode().as_bytes())
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &MailboxName> {
        self.names.iter()
    }

    /// Whether `name` is subscribed.
    pub fn contains(&self, name: &MailboxName) -> bool {
        self.names.contains(name)
    }

    /// Subscribes or unsubscribes `name`; says whether that changed anything.
    pub fn set(&mut self, name: &MailboxName, subscribed: bool) -> bool {
        if subscribed {
            self.names.insert(name.clone())
        } else {
            self.names.remove(name)
        }
    }

    /// In the first version of the file `separator` stands between levels; in the second a tab, and
    /// what it separates is still a name on disk.
    fn decode(text: &str, separator: char) -> Self {
        let mut read = Self::default();
        let (lines, tab) = match text.strip_prefix(VERSION_2) {
            Some(lines) => (lines, '\t'),
            None => (text, separator),
        };
        for line in lines.lines().filter(|line| !line.is_empty()) {
            match decode_levels(line.split([tab, separator])) {
                Some(name) => {
                    read.names.insert(name);
                }
                None => read.foreign.push(line.to_owned()),
            }
        }
        read
    }

    fn encode(&self) -> String {
        let mut text = String::from(VERSION_2);
        for name in &self.names {
            let levels: Vec<String> = name
                .levels()
                .map(|l| escape(&facteur_utf7::encode(l)))
                .collect();
            text.push_str(&levels.join("\t"));
            text.push('\n');
        }
        for line in &self.foreign {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn decode_levels<'a>(levels: impl Iterator<Item = &'a str>) -> Option<MailboxName> {
    let levels: Option<Vec<String>> = levels
        .map(|level| {
            let level = facteur_utf7::decode(unescape(level)?.as_bytes()).ok()?;
            (!level.contains('/')).then_some(level)
        })
        .collect();
    let full = levels?.join("/");
    MailboxName::parse(&full)
        .ok()
        .filter(|name| name.as_str() == full)
}

/// Dovecot's escapes for a field between tabs. Modified UTF-7 has none of these bytes, so only
/// [`unescape`] ever has work to do; they are here for what another program wrote.
fn escape(level: &str) -> String {
    level
        .replace('\u{1}', "\u{1}1")
        .replace('\t', "\u{1}t")
        .replace('\r', "\u{1}r")
        .replace('\n', "\u{1}n")
}

fn unescape(level: &str) -> Option<String> {
    let mut out = String::with_capacity(level.len());
    let mut chars = level.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\u{1}' => match chars.next()? {
                '0' => '\0',
                '1' => '\u{1}',
                't' => '\t',
                'r' => '\r',
                'n' => '\n',
                other => other,
            },
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    #[test]
    fn a_file_that_dovecot_wrote_is_read_and_written_alike() {
        let text = "V\t2\n\n&AMk-t&AOk-\ta&-b\nx.y\n";
        let read = Subscriptions::decode(text, '/');
        assert_eq!(
            read.iter().cloned().collect::<Vec<_>>(),
            [name("x.y"), name("Été/a&b")]
        );
        assert_eq!(read.encode(), "V\t2\n\nx.y\n&AMk-t&AOk-\ta&-b\n");
    }

    #[test]
    fn the_first_version_of_the_file_is_read() {
        let read = Subscriptions::decode("Sent\nWork/2020\n", '/');
        assert_eq!(
            read.iter().cloned().collect::<Vec<_>>(),
            [name("Sent"), name("Work/2020")]
        );
    }

    #[test]
    fn names_of_a_format_with_its_own_separator_are_read() {
        for text in [
            "Sent\nWork.2020\n",
            "V\t2\n\nSent\nWork.2020\n",
            "V\t2\n\nSent\nWork\t2020\n",
        ] {
            let read = Subscriptions::decode(text, '.');
            assert_eq!(
                read.iter().cloned().collect::<Vec<_>>(),
                [name("Sent"), name("Work/2020")]
            );
        }
    }

    #[test]
    fn lines_that_are_no_name_are_kept() {
        let read = Subscriptions::decode("V\t2\n\nok\n&bad\n", '/');
        assert_eq!(read.encode(), "V\t2\n\nok\n&bad\n");
    }
}
