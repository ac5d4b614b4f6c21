//! What a FETCH needs, and in which groups its messages are worked on.

use facteur_imap::{Fetch, FetchItem, SectionItem, SectionText};

use super::render::{Group, Job};

/// A group holds no more messages than this …
const MAX_MESSAGES: usize = 256;
/// … and no more octets of messages, as far as they are put into memory.
const MAX_OCTETS: u64 = 512 * 1024;
/// Sections longer than this are not put into memory: they stream from the file.
pub(super) const INLINE: u64 = 256 * 1024;
/// Nor are they once the group has so much there: more than the messages of a group have by themselves.
pub(super) const IN_MEMORY: u64 = MAX_OCTETS + INLINE;
/// What a header costs, as a guess for grouping: few are longer.
const HEADER: u64 = 4 * 1024;

/// What is to be written of each message.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) items: Vec<FetchItem>,
    /// ENVELOPE, BODY or BODYSTRUCTURE.
    pub(super) summary: bool,
    /// Octets of the message.
    pub(super) sections: bool,
    /// The fields of its header that are asked for, when no other octets are.
    pub(super) fields: Option<Vec<String>>,
    /// More of it than its header.
    whole: bool,
    /// How many sections are asked for.
    count: u64,
    /// `\Seen` is set, and told.
    pub(super) sets_seen: bool,
    /// MODSEQ goes with flags that are told unasked.
    pub(super) condstore: bool,
}

impl Plan {
    pub(super) fn new(fetch: Fetch, condstore: bool, read_only: bool) -> Self {
        let mut items = fetch.items;
        if fetch.uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        // RFC 7162 §3.1: flags go with their MODSEQ from the first use of CONDSTORE on.
        let with_modseq =
            fetch.changed_since.is_some() || (condstore && items.contains(&FetchItem::Flags));
        if with_modseq && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let sections = |of: fn(&SectionItem) -> bool| {
            items
                .iter()
                .any(|item| matches!(item, FetchItem::Section(section) if of(section)))
        };
        Self {
            summary: items.iter().any(|item| {
                use FetchItem::{Body, BodyStructure, Envelope};
                matches!(item, Envelope | Body | BodyStructure)
            }),
            sections: sections(|_| true),
            fields: fields(&items),
            whole: sections(|item| !header_only(item)),
            count: items
                .iter()
                .map(|item| u64::from(matches!(item, FetchItem::Section(_))))
                .sum(),
            sets_seen: !read_only && sections(|item| item.sets_seen),
            condstore,
            items,
        }
    }

    /// Whether the snapshot answers all of it.
    pub(super) fn needs_snapshot_only(&self) -> bool {
        !self.summary && !self.sections
    }

    /// So many octets of each message are worth fetching from the disk ahead.
    pub(super) fn ahead(&self) -> u64 {
        if self.whole { INLINE } else { HEADER }
    }

    /// How many octets at most are asked for of a message of this size.
    pub(super) fn octets(&self, size: u64) -> u64 {
        size.saturating_mul(self.count)
    }

    /// How many octets a message of this size may put into memory.
    fn cost(&self, size: u64) -> u64 {
        size.min(self.ahead()).saturating_mul(self.count)
    }
}

/// The fields of all sections together, when all are `HEADER.FIELDS` of the message itself.
fn fields(items: &[FetchItem]) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let sections = items.iter().filter_map(|item| match item {
        FetchItem::Section(item) => Some(&item.section),
        _ => None,
    });
    for section in sections {
        match &section.text {
            Some(SectionText::HeaderFields(names)) if section.part.is_empty() => {
                fields.extend(names.iter().cloned());
            }
            _ => return None,
        }
    }
    (!fields.is_empty()).then_some(fields)
}

fn header_only(item: &SectionItem) -> bool {
    use facteur_imap::SectionText::{Header, HeaderFields, HeaderFieldsNot};
    item.section.part.is_empty()
        && matches!(
            item.section.text,
            Some(Header | HeaderFields(_) | HeaderFieldsNot(_))
        )
}

/// Divides messages into groups that are rendered in one visit to the bridge.
pub(super) fn groups(job: &Job, sequences: &[u32]) -> impl ExactSizeIterator<Item = Group> + use<> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut octets = 0;
    for sequence in sequences {
        let size = job.snapshot.by_sequence(*sequence).map_or(0, |m| m.size);
        octets += job.plan.cost(size);
        group.push(*sequence);
        if octets >= MAX_OCTETS || group.len() >= MAX_MESSAGES {
            groups.push(Group(std::mem::take(&mut group)));
            octets = 0;
        }
    }
    if !group.is_empty() {
        groups.push(Group(group));
    }
    groups.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(items: &str) -> Plan {
        let mut decoder = facteur_imap::Decoder::new(facteur_imap::Limits {
            line: 1000,
            literals: 0,
        });
        decoder.feed(format!("a UID FETCH 1 {items}\r\n").as_bytes());
        match decoder.poll() {
            facteur_imap::Event::Command(_, facteur_imap::Command::Fetch(fetch)) => {
                Plan::new(fetch, false, false)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_needed_is_opened() {
        assert!(plan("(FLAGS UID INTERNALDATE RFC822.SIZE MODSEQ)").needs_snapshot_only());
        let envelope = plan("(FLAGS ENVELOPE)");
        assert!(envelope.summary && !envelope.sections && !envelope.needs_snapshot_only());
        let header = plan("BODY.PEEK[HEADER.FIELDS (From)]");
        assert!(header.sections && !header.whole && !header.sets_seen);
        assert_eq!(header.cost(1 << 30), HEADER);
        assert_eq!(envelope.cost(1 << 30), 0);
        let body = plan("BODY[]");
        assert!(body.whole && body.sets_seen);
        assert_eq!((body.cost(1000), body.cost(1 << 30)), (1000, INLINE));
    }

    #[test]
    fn uid_fetch_always_tells_the_uid() {
        assert_eq!(plan("FLAGS").items, [FetchItem::Uid, FetchItem::Flags]);
    }
}
