//! Header fields of messages, kept in the index once they were asked for: clients ask for the same
//! ones each time they open a mailbox.
//!
//! What is kept are the lines as they stand in the message, with their place among the others: so
//! what is put together again is what the message's file would have given. It can all be had again,
//! so that a failure to keep it is no failure.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::SystemTime,
};

use facteur_index::HeaderGroup;
use facteur_message::headers;
use facteur_model::{InternalDate, Uid, UidSet};

use crate::{Mailbox, MessageReader, StoreError};

/// Messages are looked up so many at a time: others get at the index in between.
const AT_ONCE: usize = 256;
/// Of a longer header nothing is kept.
const MAX_HEADER: u64 = 64 * 1024;
/// The first look at a header: most are shorter.
const FIRST_LOOK: u64 = 8 * 1024;
/// That a group of fields is wanted is noted no more often, in seconds.
const NOTE_EVERY: i64 = 86_400;

/// Lines of a message's header and their places in it.
type Lines = Vec<(u16, Vec<u8>)>;

impl Mailbox {
    /// Calls `visit`, in UID order, with what each message has of these fields: whole lines as they
    /// stand in its header, in their order, without the blank line at the end. Messages of which that
    /// cannot be said here are passed over: their files are to be asked.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn header_lines(
        &self,
        uids: &UidSet,
        fields: &[String],
        visit: &mut dyn FnMut(Uid, &[u8]),
    ) -> Result<(), StoreError> {
        let Some(wanted) = names(fields) else {
            return Ok(());
        };
        let groups = match self.groups(&wanted) {
            Ok(groups) => groups,
            // On a disk that is full or read-only the files can still be asked.
            Err(error @ (StoreError::NoSpace | StoreError::Io(_))) => {
                tracing::warn!(mailbox = %self.name(), %error, "which header fields are wanted could not be noted");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if groups.is_empty() {
            return Ok(());
        }
        let snapshot = self.snapshot();
        let mut present = snapshot.select(uids).map(|(_, message)| message.uid);
        let mut out = Vec::new();
        loop {
            let some: UidSet = present.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return Ok(());
            }
            let mut found = self.kept(&groups, &some, &wanted)?;
            let missing = some.iter().filter(|uid| !found.contains_key(uid));
            let missing: Vec<Uid> = missing.collect();
            if !missing.is_empty() {
                self.read_and_keep(&groups, &missing, &wanted, &mut found)?;
            }
            for (uid, lines) in found {
                out.clear();
                lines
                    .iter()
                    .for_each(|(_, line)| out.extend_from_slice(line));
                visit(uid, &out);
            }
        }
    }

    /// Groups that have all of `wanted` together; fields that none has become a new one.
    fn groups(&self, wanted: &BTreeSet<String>) -> Result<Vec<HeaderGroup>, StoreError> {
        let mailbox = self.row_id()?;
        let now = InternalDate::from(SystemTime::now()).unix();
        self.owner.index(&self.shared, |index| {
            let mut known = index.header_groups(mailbox)?;
            let mut missing = wanted.clone();
            let mut groups = Vec::new();
            while !missing.is_empty() {
                let has = |group: &HeaderGroup| {
                    let fields = group.fields.iter();
                    fields.filter(|field| missing.contains(*field)).count()
                };
                let best = (0..known.len()).max_by_key(|at| known.get(*at).map(has));
                let Some(best) = best.filter(|at| known.get(*at).is_some_and(|g| has(g) > 0))
                else {
                    break;
                };
                let group = known.swap_remove(best);
                missing.retain(|field| !group.fields.contains(field));
                groups.push(group);
            }
            let stale: Vec<u32> = groups
                .iter()
                .filter(|group| (group.wanted_at - now).abs() > NOTE_EVERY)
                .map(|group| group.id)
                .collect();
            if missing.is_empty() && stale.is_empty() {
                return Ok(groups);
            }
            index.transaction(|transaction| {
                for id in stale {
                    transaction.want_header_group(id, now)?;
                }
                if missing.is_empty() {
                    return Ok(groups);
                }
                let fields: Vec<String> = missing.into_iter().collect();
                match transaction.add_header_group(mailbox, &fields, now)? {
                    Some(id) => {
                        groups.push(HeaderGroup {
                            id,
                            fields,
                            wanted_at: now,
                        });
                        // Some of the others may have made room for it.
                        let left = transaction.index()?.header_groups(mailbox)?;
                        let gone = |group: &HeaderGroup| !left.iter().any(|l| l.id == group.id);
                        Ok(if groups.iter().any(gone) {
                            Vec::new()
                        } else {
                            groups
                        })
                    }
                    None => Ok(Vec::new()),
                }
            })
        })
    }

    /// What the index has of these messages, of those of which every group has something.
    fn kept(
        &self,
        groups: &[HeaderGroup],
        uids: &UidSet,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<Uid, Lines>, StoreError> {
        let mut found: BTreeMap<Uid, (usize, Lines)> = BTreeMap::new();
        self.owner.index(&self.shared, |index| {
            for group in groups {
                index.header_values(group.id, uids, &mut |uid, value| {
                    let (groups, lines) = found.entry(uid).or_default();
                    if unpack(value, wanted, lines).is_some() {
                        *groups += 1;
                    }
                })?;
            }
            Ok(())
        })?;
        let whole = found
            .into_iter()
            .filter(|(_, (found, _))| *found == groups.len());
        Ok(whole
            .map(|(uid, (_, mut lines))| {
                // Each group has its own in order.
                if groups.len() > 1 {
                    lines.sort_by_key(|(place, _)| *place);
                    lines.dedup_by_key(|(place, _)| *place);
                }
                (uid, lines)
            })
            .collect())
    }

    /// Reads the headers of these messages; keeps what the groups keep of them.
    fn read_and_keep(
        &self,
        groups: &[HeaderGroup],
        uids: &[Uid],
        wanted: &BTreeSet<String>,
        found: &mut BTreeMap<Uid, Lines>,
    ) -> Result<(), StoreError> {
        let mut values = Vec::new();
        for (uid, reader) in self.read_each(uids.iter().copied(), FIRST_LOOK) {
            let header = match reader.and_then(|reader| Ok(header(&reader)?)) {
                Ok(Some(header)) => header,
                // Who asks the file will be told what is wrong with it.
                Ok(None) | Err(_) => continue,
            };
            let Some(lines) = lines(&header, |name| wanted.contains(name)) else {
                continue;
            };
            for group in groups {
                let has = |name: &str| group.fields.iter().any(|field| field == name);
                if let Some(lines) = self::lines(&header, has) {
                    values.push((group.id, uid, pack(&lines)));
                }
            }
            found.insert(uid, lines);
        }
        let kept = self.owner.index(&self.shared, |index| {
            index.transaction(|transaction| {
                for (group, uid, value) in &values {
                    transaction.set_header_value(*group, *uid, value)?;
                }
                Ok(())
            })
        });
        if let Err(error) = kept {
            tracing::warn!(mailbox = %self.name(), %error, "header fields could not be kept");
        }
        Ok(())
    }
}

/// The names in capitals; `None` when one of them is no field's.
fn names(fields: &[String]) -> Option<BTreeSet<String>> {
    let sound =
        |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    fields.iter().all(sound).then(|| {
        fields
            .iter()
            .map(|name| name.to_ascii_uppercase())
            .collect()
    })
}

/// The header, its blank line included; `None` when it is longer than [`MAX_HEADER`].
fn header(reader: &MessageReader) -> io::Result<Option<Vec<u8>>> {
    let mut header = Vec::new();
    let mut look = FIRST_LOOK;
    loop {
        let end = look.min(reader.size());
        let known = header.len();
        header.resize(usize::try_from(end).unwrap_or(usize::MAX), 0);
        reader.read_exact_at(header.get_mut(known..).unwrap_or_default(), known as u64)?;
        let blank = if header.starts_with(b"\r\n") {
            Some(0)
        } else {
            memchr::memmem::find(&header, b"\r\n\r\n").map(|at| at + 2)
        };
        if let Some(at) = blank {
            header.truncate(at + 2);
            return Ok(Some(header));
        }
        if end == reader.size() {
            return Ok(Some(header));
        }
        if look >= MAX_HEADER {
            return Ok(None);
        }
        look = MAX_HEADER;
    }
}

/// The lines of the fields that `wanted` names (in capitals), and their places.
fn lines(header: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Lines> {
    let mut lines = Vec::new();
    for (place, field) in headers::fields(header).enumerate() {
        let name = std::str::from_utf8(field.name).unwrap_or_default();
        if !name.is_empty() && wanted(&name.to_ascii_uppercase()) {
            lines.push((u16::try_from(place).ok()?, field.raw.to_vec()));
        }
    }
    Some(lines)
}

/// Each line as its place (2 bytes), its length (4) and itself.
fn pack(lines: &Lines) -> Vec<u8> {
    let mut value = Vec::new();
    for (place, line) in lines {
        // A header is shorter than that.
        let len = u32::try_from(line.len()).unwrap_or(u32::MAX);
        value.extend_from_slice(&place.to_le_bytes());
        value.extend_from_slice(&len.to_le_bytes());
        value.extend_from_slice(line);
    }
    value
}

/// Appends those lines of a value whose fields are wanted.
fn unpack(mut value: &[u8], wanted: &BTreeSet<String>, lines: &mut Lines) -> Option<()> {
    while !value.is_empty() {
        let (head, rest) = value.split_at_checked(6)?;
        let [a, b, lens @ ..] = head else { return None };
        let len = u32::from_le_bytes(lens.try_into().ok()?);
        let (line, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        value = rest;
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let name = line.get(..colon)?.trim_ascii_end();
        if wanted
            .iter()
            .any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name))
        {
            lines.push((u16::from_le_bytes([*a, *b]), line.to_vec()));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_message::headers::FieldFilter;
    use proptest::prelude::*;

    fn header_like() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            4 => ("(?i:(subject|from|x-mailer|received|x))", " {0,3}", "[ -~]{0,12}(\r\n[ \t][ -~]{0,8}){0,2}")
                .prop_map(|(name, space, value)| format!("{name}{space}:{value}\r\n")),
            1 => "[ -~\t]{1,12}\r\n".prop_map(|line| line),
        ];
        let end = prop_oneof![3 => Just("\r\nbody: x\r\n"), 1 => Just(""), 1 => Just("X: no end")];
        (prop::collection::vec(line, 0..12), end).prop_map(|(lines, end)| lines.concat() + end)
    }

    proptest! {
        #[test]
        fn lines_kept_in_groups_are_what_the_filter_gives(
            message in header_like(),
            wanted in prop::sample::subsequence(vec!["SUBJECT", "FROM", "X-MAILER", "RECEIVED", "X"], 1..5),
            cut in 0usize..5,
        ) {
            let mut expected = Vec::new();
            let mut filter = FieldFilter::new(&wanted, false);
            filter.push(message.as_bytes(), &mut expected);
            filter.finish(&mut expected);
            let all: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let (one, two) = wanted.split_at(cut.min(wanted.len()));
            let mut found = Lines::new();
            for group in [one, two] {
                let of_group = lines(message.as_bytes(), |name| group.contains(&name)).unwrap();
                unpack(&pack(&of_group), &all, &mut found).unwrap();
            }
            found.sort_by_key(|(place, _)| *place);
            let mut made: Vec<u8> = found.into_iter().flat_map(|(_, line)| line).collect();
            made.extend_from_slice(b"\r\n");
            prop_assert_eq!(String::from_utf8(made), String::from_utf8(expected));
        }
    }
}
