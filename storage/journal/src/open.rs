//! Finding out what an earlier process left.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
};

use facteur_disk::Disk;

use crate::{
    Fsync, Inner, Journal, JournalError, Lsn, Options,
    record::Codec,
    recovered::{Damage, Piece, Recovered},
    scan::{Reader, Scan},
    segment::{self, BLOCK, Found, Header},
    state::{Failure, Finished, Spare, State},
};

/// The first position of a new log: 0 is none.
const FIRST: u64 = 4096;

/// How far positions jump when the journal was not closed in order: more than can have been
/// appended without being durable, so that no position is used twice.
const JUMP: u64 = 1 << 32;

/// A file with a segment.
#[derive(Debug, Clone)]
struct File {
    number: u64,
    path: PathBuf,
    size: u64,
    header: Header,
}

/// The files of a folder.
#[derive(Debug, Default)]
struct Files {
    /// Newest first.
    segments: Vec<File>,
    blank: Vec<Spare>,
    damaged: Vec<(u64, PathBuf)>,
    highest: u64,
}

impl Files {
    fn find(disk: &Disk, options: &Options) -> Result<Self, JournalError> {
        let dir = &options.dir;
        let failed = |error| JournalError::read(dir, error);
        disk.create_dir_all_durably(dir).map_err(failed)?;
        let mut files = Self::default();
        for entry in disk.read_dir(dir).map_err(failed)? {
            let Some(number) = segment::number(&entry.name) else {
                continue;
            };
            files.highest = files.highest.max(number);
            let path = dir.join(&entry.name);
            let (found, size) = look_at(disk, &path).map_err(|e| JournalError::read(&path, e))?;
            match found {
                Found::Blank => files.blank.push(Spare { number, size }),
                Found::Damaged => files.damaged.push((number, path)),
                Found::Version(version) => return Err(JournalError::Version { path, version }),
                Found::Valid(header) => files.segments.push(File {
                    number,
                    path,
                    size,
                    header,
                }),
            }
        }
        files
            .segments
            .sort_by_key(|file| std::cmp::Reverse(file.header.generation));
        let mut ids = files
            .segments
            .iter()
            .map(|file| (&file.path, file.header.id));
        if let Some((_, id)) = ids.next()
            && let Some((path, _)) = ids.find(|(_, other)| *other != id)
        {
            return Err(JournalError::Foreign { path: path.clone() });
        }
        Ok(files)
    }
}

fn look_at(disk: &Disk, path: &std::path::Path) -> io::Result<(Found, u64)> {
    let file = disk.open(path)?;
    let size = file.size()?;
    let mut block = vec![0; usize::try_from(BLOCK.min(size)).unwrap_or_default()];
    file.read_exact_at(&mut block, 0)?;
    Ok((Header::decode(&block), size))
}

/// The segments that count, newest first, and what is wrong with them.
#[derive(Debug, Default)]
struct Chain {
    links: Vec<Link>,
    damage: Vec<Damage>,
    cut: u64,
    closed: bool,
    torn: bool,
}

#[derive(Debug)]
struct Link {
    file: File,
    runs: Vec<(u64, u64)>,
    end: u64,
}

impl Chain {
    /// Follows the segments from the newest back, as far as they are needed.
    fn follow(disk: &Disk, files: &Files, codec: Codec) -> Result<Self, JournalError> {
        let mut chain = Self::default();
        let mut next = files.segments.first().map(|newest| (newest, None));
        while let Some((file, limit)) = next {
            chain
                .add(disk, file, codec, limit)
                .map_err(|error| JournalError::read(&file.path, error))?;
            let header = &file.header;
            if header.previous == 0 || header.previous_end <= chain.cut {
                break;
            }
            let older = |most: u64| {
                let mut segments = files.segments.iter();
                segments.find(move |file| file.header.generation <= most)
            };
            next = match older(header.previous) {
                Some(found) if found.header.generation == header.previous => {
                    Some((found, Some(header.previous_end)))
                }
                other => {
                    chain.report(header.previous_start, header.previous_end);
                    other.map(|found| (found, Some(header.previous_start)))
                }
            };
        }
        let cut = chain.cut;
        chain.damage.retain(|damage| damage.to.0 > cut);
        chain.damage.reverse();
        Ok(chain)
    }

    fn report(&mut self, from: u64, to: u64) {
        if from < to {
            let (from, to) = (Lsn(from), Lsn(to));
            self.damage.push(Damage { from, to });
        }
    }

    /// Adds a segment of which everything before `limit` was durable, or the newest one.
    fn add(
        &mut self,
        disk: &Disk,
        file: &File,
        codec: Codec,
        limit: Option<u64>,
    ) -> io::Result<()> {
        let start = file.header.start;
        let mut reader = Reader::new(disk.open(&file.path)?, start)?;
        let scan = Scan::new(&mut reader, codec, limit.unwrap_or(u64::MAX))?;
        self.cut = self.cut.max(file.header.cut).max(scan.cut);
        let durable = limit.unwrap_or(scan.durable);
        let (mut expected, mut runs, mut damage) = (start, Vec::new(), Vec::new());
        for (from, to) in scan.runs {
            // Nothing proves that the gap was ever durable: the log ended before it.
            if from > expected && from > durable {
                self.torn = true;
                break;
            }
            damage.push((expected, from));
            runs.push((from, to));
            expected = to;
        }
        damage.push((expected, durable));
        for (from, to) in damage.into_iter().rev() {
            self.report(from, to);
        }
        if limit.is_none() {
            self.closed = scan.closed;
            self.torn |= !scan.closed && !is_zero(&mut reader, expected)?;
        }
        self.links.push(Link {
            file: file.clone(),
            runs,
            end: expected.max(durable),
        });
        Ok(())
    }
}

/// Whether nothing was written where the next record would be. (A recycled segment has old bytes
/// there, which are no record of this position.)
fn is_zero(reader: &mut Reader, at: u64) -> io::Result<bool> {
    let bytes = reader.bytes(at, crate::record::HEAD)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

impl Journal {
    /// Opens the journal in a folder, or makes one, and says what an earlier process left there.
    /// New records go to a new segment. If that cannot be made now (the disk is full), the journal
    /// opens all the same, and refuses appends until it can.
    ///
    /// # Errors
    /// [`JournalError::Read`], [`JournalError::Version`], [`JournalError::Foreign`].
    pub fn open(disk: Disk, options: Options) -> Result<(Self, Recovered), JournalError> {
        let files = Files::find(&disk, &options)?;
        let id = match files.segments.first() {
            Some(newest) => newest.header.id,
            None => new_id().map_err(|error| JournalError::read(&options.dir, error))?,
        };
        let codec = Codec::new(id);
        let chain = Chain::follow(&disk, &files, codec)?;
        if options.fsync != Fsync::Never {
            // An earlier process may have died before its sync. What is built on these records now
            // must not become durable without them.
            for link in &chain.links {
                let synced = disk.open_to_change(&link.file.path);
                let synced = synced.and_then(|file| file.sync_data());
                synced.map_err(|error| JournalError::read(&link.file.path, error))?;
            }
        }
        let clean = files.segments.is_empty() || chain.closed;
        let recovered = Recovered {
            disk: disk.clone(),
            codec,
            pieces: pieces(&chain),
            new: files.segments.is_empty(),
            clean: clean && chain.damage.is_empty() && files.damaged.is_empty(),
            unreadable: set_aside(&disk, &files),
            torn: chain.torn,
            damage: chain.damage.clone(),
        };
        let (state, removed) = first_state(&files, &chain, recovered.clean, options.segment_size);
        let inner = Inner {
            disk,
            options,
            id,
            codec,
            state: Mutex::new(state),
            written: Condvar::new(),
            durable: [Condvar::new(), Condvar::new()],
            idle: Condvar::new(),
        };
        inner.remove(&removed);
        // A failure is kept, and shown by the first append.
        drop(inner.recover(inner.lock()));
        let inner = Arc::new(inner);
        Ok((Self { inner }, recovered))
    }
}

fn new_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(id)
}

fn pieces(chain: &Chain) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for link in chain.links.iter().rev() {
        for (from, to) in &link.runs {
            if *to > chain.cut {
                pieces.push(Piece {
                    path: link.file.path.clone(),
                    start: link.file.header.start,
                    from: *from,
                    to: *to,
                });
            }
        }
    }
    pieces
}

/// Files with a damaged header are kept for a human, under names that are no segment's.
fn set_aside(disk: &Disk, files: &Files) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (number, path) in &files.damaged {
        let aside = path.with_file_name(format!("damaged.{number:08}"));
        let renamed = disk.rename_new(path, &aside);
        paths.push(if renamed.is_ok() { aside } else { path.clone() });
    }
    paths
}

/// The state before the first segment of this process, and files to remove.
fn first_state(files: &Files, chain: &Chain, clean: bool, segment_size: u64) -> (State, Vec<u64>) {
    let end = chain.links.first().map_or(FIRST, |newest| newest.end);
    let start = if clean { end } else { end.saturating_add(JUMP) };
    let mut state = State::default();
    state.next = start;
    state.written = start;
    state.durable = start;
    state.cut = chain.cut;
    let newest = files.segments.first();
    state.generation = newest.map_or(0, |newest| newest.header.generation);
    state.next_number = files.highest;
    for link in chain.links.iter().rev() {
        let header = &link.file.header;
        if link.end > chain.cut && link.end > header.start {
            state.finished.push_back(Finished {
                number: link.file.number,
                start: header.start,
                end: link.end,
                generation: header.generation,
                size: link.file.size,
                runs: link.runs.clone(),
            });
        }
    }
    let unused = files.segments.iter().map(|file| Spare {
        number: file.number,
        size: file.size,
    });
    for spare in unused.chain(files.blank.iter().copied()) {
        if state.finished.iter().all(|one| one.number != spare.number) {
            state.spares.push(spare);
        }
    }
    let removed = state.superfluous(segment_size);
    state.failure = Some(Failure {
        cause: Arc::new(io::Error::other("no segment was begun")),
        carry: Arc::default(),
        try_after: None,
    });
    (state, removed)
}
