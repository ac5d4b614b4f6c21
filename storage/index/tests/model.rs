//! Random changes give what a plain list gives, whatever is split, joined, rolled back or reopened.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use facteur_disk::Disk;
use facteur_index::{Details, Index, IndexError, MailboxRow, MessageRow, Parts, Transaction};
use facteur_model::{Flag, Flags, Guid, InternalDate, ModSeq, Uid, UidSet, UidValidity};
use proptest::prelude::*;

const STRUCTURE: &[u8] = b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL)";
const BODY: &[u8] = b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1)";

#[derive(Debug, Clone)]
enum Step {
    Append(u16, u64),
    /// From and to, in thousandths of the UIDs given.
    Flags(u16, u16, u8, u32),
    Expunge(Vec<u16>, u16),
    /// As [`Step::Expunge`], but nothing remembers them.
    Forget(Vec<u16>),
    Copy(u16, u16),
    Headers(u16, u16, u16),
    /// What came before in this transaction is not to be.
    Fail,
    Commit,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0u16..1000;
    let some = prop::collection::vec(0u16..1000, 1..60);
    prop_oneof![
        3 => (1u16..700, any::<u64>()).prop_map(|(count, seed)| Step::Append(count, seed)),
        3 => (at.clone(), 0u16..400, 0u8..32, 0u32..70_000)
            .prop_map(|(from, len, bits, set)| Step::Flags(from, len, bits, set)),
        4 => (some.clone(), 0u16..120).prop_map(|(some, len)| Step::Expunge(some, len)),
        1 => some.prop_map(Step::Forget),
        1 => (at.clone(), 0u16..300).prop_map(|(from, len)| Step::Copy(from, len)),
        1 => (at.clone(), 0u16..300, 0u16..600).prop_map(|(from, len, size)| Step::Headers(from, len, size)),
        1 => Just(Step::Fail),
        3 => Just(Step::Commit),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone, Default)]
struct Mailbox {
    id: u32,
    messages: BTreeMap<u32, MessageRow>,
    expunged: BTreeMap<u32, u64>,
    names: BTreeMap<u32, OsString>,
    group: u32,
    headers: BTreeMap<u32, Vec<u8>>,
    next: u32,
}

#[derive(Debug, Clone)]
struct Model {
    mailboxes: [Mailbox; 2],
    modseq: u64,
}

impl Model {
    fn row(&self, at: usize) -> MailboxRow {
        let mailbox = &self.mailboxes[at];
        let mut row = MailboxRow {
            id: mailbox.id,
            guid: Guid::from_bytes([u8::try_from(at).unwrap(); 16]),
            uid_validity: UidValidity::FIRST,
            uid_next: u64::from(mailbox.next) + 1,
            highest_modseq: ModSeq::new(self.modseq),
            recent_from: 1,
            messages: u32::try_from(mailbox.messages.len()).unwrap(),
            unseen: 0,
            deleted: 0,
            bytes: 0,
        };
        for message in mailbox.messages.values() {
            row.unseen += u32::from(!message.flags.contains(Flag::Seen));
            row.deleted += u32::from(message.flags.contains(Flag::Deleted));
            row.bytes += message.size;
        }
        row
    }

    fn carry_out(&mut self, step: &Step, transaction: &Transaction<'_>) -> Result<(), IndexError> {
        self.modseq += 3;
        let modseq = ModSeq::new(self.modseq);
        let [mailbox, other] = &mut self.mailboxes;
        match step {
            Step::Append(count, seed) => {
                for n in 0..u64::from(*count) {
                    mailbox.next += u32::try_from(1 + (seed ^ n) % 3).unwrap();
                    let row = MessageRow {
                        uid: Uid::new(mailbox.next).unwrap(),
                        modseq,
                        internal_date: InternalDate::from_unix(
                            (seed.rotate_left(9) >> 30).cast_signed() - 9,
                        ),
                        size: seed.wrapping_mul(n + 1) >> 44,
                        keywords: 0,
                        flags: Flags::EMPTY,
                    };
                    mailbox.add(transaction, &row)?;
                }
            }
            Step::Flags(from, len, bits, set) => {
                let wanted = mailbox.range(*from, *len);
                if let Some((first, last)) = mailbox.ends(wanted) {
                    let mut row = mailbox.messages[&last];
                    (row.flags, row.keywords, row.modseq) = (Flags::from_bits(*bits), *set, modseq);
                    transaction.set_flags(mailbox.id, Uid::new(first).unwrap(), &row)?;
                    for message in mailbox.messages.range_mut(first..=last).map(|(_, m)| m) {
                        (message.flags, message.keywords, message.modseq) =
                            (row.flags, row.keywords, modseq);
                    }
                }
            }
            Step::Expunge(some, len) => {
                let uids = mailbox.pick(some, *len);
                transaction.expunge(mailbox.id, &uids, modseq)?;
                for uid in mailbox.remove(&uids) {
                    mailbox.expunged.insert(uid, self.modseq);
                }
            }
            Step::Forget(some) => {
                let uids = mailbox.pick(some, 0);
                transaction.forget(mailbox.id, &uids)?;
                mailbox.remove(&uids);
            }
            Step::Copy(from, len) => {
                let (from, to) = mailbox.range(*from, *len);
                for (uid, message) in mailbox.messages.range(from..=to) {
                    other.next += 1;
                    let row = MessageRow {
                        uid: Uid::new(other.next).unwrap(),
                        modseq,
                        ..*message
                    };
                    let from = (mailbox.id, Uid::new(*uid).unwrap());
                    assert!(transaction.copy_message(from, other.id, &row)?);
                    other.messages.insert(other.next, row);
                }
            }
            Step::Headers(from, len, size) => {
                let (from, to) = mailbox.range(*from, *len);
                for uid in mailbox.messages.range(from..=to).map(|(uid, _)| *uid) {
                    let value = vec![b'x'; usize::from(*size) * (uid as usize % 3)];
                    assert!(transaction.set_header_value(
                        mailbox.group,
                        Uid::new(uid).unwrap(),
                        &value
                    )?);
                    mailbox.headers.insert(uid, value);
                }
            }
            Step::Fail | Step::Commit | Step::Reopen => {}
        }
        for at in 0..2 {
            transaction.set_mailbox(&self.row(at))?;
        }
        Ok(())
    }

    fn check(&self, index: &Index) {
        for (at, mailbox) in self.mailboxes.iter().enumerate() {
            let messages: Vec<_> = mailbox.messages.values().copied().collect();
            assert_eq!(index.messages(mailbox.id).unwrap(), messages);
            index
                .runs(mailbox.id, &mut |run| {
                    assert!((1..=256).contains(&run.len()))
                })
                .unwrap();
            for uid in [1, mailbox.next / 2 + 1, mailbox.next + 1] {
                let found = index.message(mailbox.id, Uid::new(uid).unwrap()).unwrap();
                assert_eq!(found, mailbox.messages.get(&uid).copied());
            }
            for since in [0, self.modseq / 2, self.modseq] {
                let expected: UidSet = mailbox
                    .expunged
                    .iter()
                    .filter(|(_, modseq)| **modseq > since)
                    .filter_map(|(uid, _)| Uid::new(*uid))
                    .collect();
                let since = ModSeq::new(since);
                assert_eq!(index.expunged(mailbox.id, since).unwrap(), expected);
                assert_eq!(index.vanished(mailbox.id, since).unwrap(), Some(expected));
            }
            let mut names = BTreeMap::new();
            index
                .names(mailbox.id, &mut |uid, name| {
                    names.insert(uid.value(), name.to_owned());
                })
                .unwrap();
            assert_eq!(names, mailbox.names);
            let mut headers = BTreeMap::new();
            let odd = (1..=mailbox.next).filter(|uid| uid % 5 != 0);
            let odd: UidSet = odd.filter_map(Uid::new).collect();
            index
                .header_values(mailbox.group, &odd, &mut |uid, value| {
                    headers.insert(uid.value(), value.to_vec());
                })
                .unwrap();
            let expected = mailbox.headers.iter().filter(|(uid, _)| *uid % 5 != 0);
            let expected: BTreeMap<_, _> = expected.map(|(u, v)| (*u, v.clone())).collect();
            assert_eq!(headers, expected);
            let row = index
                .mailboxes()
                .unwrap()
                .into_iter()
                .find(|row| row.id == mailbox.id);
            assert_eq!(row, Some(self.row(at)));
            let mut bodies = 0;
            let all: UidSet = mailbox
                .messages
                .keys()
                .filter_map(|uid| Uid::new(*uid))
                .collect();
            index
                .summaries(mailbox.id, &all, &mut |_, parts| {
                    assert_eq!((parts.body_structure, parts.body), (STRUCTURE, BODY));
                    bodies += 1;
                })
                .unwrap();
            assert_eq!(bodies, mailbox.messages.len());
        }
        assert_eq!(index.problems().unwrap(), Vec::<String>::new());
    }
}

impl Mailbox {
    fn add(&mut self, transaction: &Transaction<'_>, row: &MessageRow) -> Result<(), IndexError> {
        let details = Details {
            guid: Guid::from_bytes([3; 16]),
            parts: Parts {
                envelope: b"()",
                body_structure: STRUCTURE,
                body: BODY,
            },
        };
        transaction.add_message(self.id, row, &details)?;
        if row.uid.value().is_multiple_of(7) {
            let name: OsString = format!("{}.M1.host", row.uid).into();
            transaction.set_name(self.id, row.uid, &name)?;
            self.names.insert(row.uid.value(), name);
        }
        self.messages.insert(row.uid.value(), *row);
        Ok(())
    }

    fn range(&self, from: u16, len: u16) -> (u32, u32) {
        let from = self.next * u32::from(from) / 1000 + 1;
        (from, from + u32::from(len))
    }

    fn ends(&self, (from, to): (u32, u32)) -> Option<(u32, u32)> {
        let mut within = self.messages.range(from..=to).map(|(uid, _)| *uid);
        let first = within.next()?;
        Some((first, within.next_back().unwrap_or(first)))
    }

    fn pick(&self, some: &[u16], len: u16) -> UidSet {
        let mut uids = UidSet::new();
        for (at, from) in some.iter().enumerate() {
            let (low, high) = self.range(*from, if at == 0 { len } else { 0 });
            uids.insert_range(Uid::new(low).unwrap()..=Uid::new(high).unwrap());
        }
        uids
    }

    fn remove(&mut self, uids: &UidSet) -> Vec<u32> {
        let gone = uids.iter().map(Uid::value);
        let gone: Vec<u32> = gone
            .filter(|uid| self.messages.remove(uid).is_some())
            .collect();
        for uid in &gone {
            self.names.remove(uid);
            self.headers.remove(uid);
        }
        gone
    }
}

fn open(path: &Path) -> Index {
    Index::open(&Disk::real(), path).unwrap()
}

fn start(index: &mut Index) -> Model {
    let mut model = Model {
        mailboxes: Default::default(),
        modseq: 1,
    };
    index
        .transaction::<_, IndexError>(|t| {
            for at in 0..2 {
                let id = t.add_mailbox(&model.row(at))?;
                model.mailboxes[at].id = id;
                let field = ["X-Mailer".to_owned()];
                model.mailboxes[at].group = t.add_header_group(id, &field, 0)?.unwrap();
            }
            Ok(())
        })
        .unwrap();
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_changes_give_what_a_plain_list_gives(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.db");
        let mut index = open(&path);
        let mut model = start(&mut index);
        for steps in steps.split_inclusive(|step| matches!(step, Step::Fail | Step::Commit | Step::Reopen)) {
            let mut after = model.clone();
            let done = index.transaction(|t| {
                for step in steps {
                    after.carry_out(step, t)?;
                    if matches!(step, Step::Fail) {
                        return Err(IndexError::NoSpace);
                    }
                }
                Ok(())
            });
            match done {
                Ok(()) => model = after,
                Err(IndexError::NoSpace) => {}
                Err(error) => panic!("{error}"),
            }
            model.check(&index);
            if matches!(steps.last(), Some(Step::Reopen)) {
                drop(index);
                index = open(&path);
                model.check(&index);
            }
        }
        index.optimize().unwrap();
        model.check(&index);
        // A mailbox goes with all that it had.
        index.transaction(|t| t.remove_mailbox(model.mailboxes[0].id)).unwrap();
        prop_assert_eq!(index.messages(model.mailboxes[0].id).unwrap(), []);
        prop_assert_eq!(index.problems().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_transaction_sees_its_own_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(&dir.path().join("index.db"));
    let mut model = start(&mut index);
    index
        .transaction::<_, IndexError>(|t| {
            model.carry_out(&Step::Append(600, 5), t)?;
            model.check(t.index()?);
            model.carry_out(&Step::Expunge((0..1000).step_by(2).collect(), 0), t)?;
            model.check(t.index()?);
            Ok(())
        })
        .unwrap();
    model.check(&index);
}

#[test]
fn runs_that_become_short_are_joined() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(&dir.path().join("index.db"));
    let mut model = start(&mut index);
    let id = model.mailboxes[0].id;
    let run_lens = |index: &Index| {
        let mut lens = Vec::new();
        index.runs(id, &mut |run| lens.push(run.len())).unwrap();
        lens
    };
    index
        .transaction(|t| model.carry_out(&Step::Append(2560, 0), t))
        .unwrap();
    assert_eq!(run_lens(&index), [256; 10]);
    let mut kept = BTreeSet::new();
    for round in 1..=4u32 {
        let gone = model.mailboxes[0].messages.keys().copied();
        let gone: UidSet = gone
            .enumerate()
            .filter(|(at, _)| at % 2 == 1)
            .filter_map(|(_, uid)| Uid::new(uid))
            .collect();
        index
            .transaction::<_, IndexError>(|t| {
                t.expunge(id, &gone, ModSeq::new(100 + u64::from(round)))?;
                let gone = model.mailboxes[0].remove(&gone);
                let modseq = 100 + u64::from(round);
                model.modseq = modseq;
                model.mailboxes[0]
                    .expunged
                    .extend(gone.into_iter().map(|uid| (uid, modseq)));
                t.set_mailbox(&model.row(0))?;
                t.set_mailbox(&model.row(1))
            })
            .unwrap();
        model.check(&index);
        kept.insert(run_lens(&index).len());
    }
    assert_eq!(run_lens(&index), [160], "160 of 2560 are left");
    assert!(kept.len() > 1);
}
