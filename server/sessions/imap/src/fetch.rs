//! FETCH (RFC 3501 §6.4.5, RFC 7162 §3.1.4).

mod plan;
mod render;

use std::{io, ops::Range, sync::Arc};

use bytes::BytesMut;
use facteur_imap::Fetch;
use facteur_store::Snapshot;

use crate::{
    io::{FLUSH_AT, write_all},
    outcome::{Closed, Outcome, Reply, Stop},
    session::Session,
    source::Source,
    updates::Told,
};
use plan::Plan;
use render::{Group, Job, Piece, Rendered};

/// How much of a large message is read and written at a time.
const STREAMED: u64 = 256 * 1024;

/// What came of it besides the responses.
#[derive(Default)]
struct Fetched {
    /// Flags the client was told because `\Seen` was set.
    told: Told,
    /// Some message was expunged meanwhile.
    gone: bool,
    /// Some message could not be read.
    failed: bool,
}

impl Fetched {
    fn take(&mut self, ready: &mut Rendered) {
        self.told.append(&mut ready.told);
        self.gone |= ready.gone;
        self.failed |= ready.failed;
    }
}

impl Session {
    pub(crate) async fn fetch(&mut self, fetch: Fetch) -> Outcome {
        if fetch.changed_since.is_some() || fetch.items.contains(&facteur_imap::FetchItem::ModSeq) {
            self.use_condstore()?;
        }
        let condstore = self.user()?.condstore;
        let selected = self.selected()?;
        let uids = selected.uids(&fetch.set, fetch.uid)?;
        let snapshot = Arc::clone(&selected.snapshot);
        let uid = fetch.uid;
        let since = fetch.changed_since;
        let plan = Plan::new(fetch, condstore, selected.read_only);
        let sequences: Vec<u32> = snapshot
            .select(&uids)
            .filter(|(_, message)| since.is_none_or(|since| message.modseq.value() > since))
            .map(|(sequence, _)| sequence)
            .collect();
        let fetched = if plan.needs_snapshot_only() {
            self.fetch_states(&plan, &snapshot, &sequences).await?;
            Fetched::default()
        } else {
            self.fetch_groups(plan, snapshot, sequences).await?
        };
        self.updates_but(uid, fetched.told).await?;
        if fetched.failed {
            return Ok(Reply::no("[SERVERBUG] Some of the messages cannot be read"));
        }
        if fetched.gone && !uid {
            let text = "[EXPUNGEISSUED] Some of the messages are gone";
            return Ok(Reply::no(text));
        }
        Ok(Reply::ok("FETCH completed"))
    }

    /// What the snapshot answers by itself.
    async fn fetch_states(
        &mut self,
        plan: &Plan,
        snapshot: &Snapshot,
        sequences: &[u32],
    ) -> Result<(), Stop> {
        let recent = self.selected()?.recent.clone();
        for sequence in sequences {
            if let Some(message) = snapshot.by_sequence(*sequence) {
                render::states(&mut self.out, plan, snapshot, *sequence, message, &recent);
            }
            if self.out.len() >= FLUSH_AT {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// What needs the index or the messages: group by group on the bridge, the next one while the
    /// last is being written.
    async fn fetch_groups(
        &mut self,
        plan: Plan,
        snapshot: Arc<Snapshot>,
        sequences: Vec<u32>,
    ) -> Result<Fetched, Stop> {
        let selected = self.selected()?;
        let job = Arc::new(Job {
            plan,
            snapshot,
            mailbox: selected.mailbox.clone(),
            recent: selected.recent.clone(),
        });
        let mut groups = plan::groups(&job, &sequences);
        let mut fetched = Fetched::default();
        let Some(first) = groups.next() else {
            return Ok(fetched);
        };
        if groups.len() == 0
            && let Some(rendered) = job.render_at_hand(&first)
        {
            let mut ready = rendered?;
            fetched.take(&mut ready);
            self.gather(ready).await?;
            return Ok(fetched);
        }
        let bridge = self.service.bridge.clone();
        let render = |group: Group, space: BytesMut| {
            let job = Arc::clone(&job);
            bridge.run(move || job.render(group, space))
        };
        let mut ready = render(first, BytesMut::new()).await?;
        let mut spare = BytesMut::new();
        loop {
            fetched.take(&mut ready);
            let Some(group) = ready.left.take().or_else(|| groups.next()) else {
                self.send(ready).await?;
                return Ok(fetched);
            };
            let next = render(group, std::mem::take(&mut spare));
            let (sent, next) = tokio::join!(self.send(ready), next);
            spare = sent?;
            ready = next?;
        }
    }

    /// Writes a small group together with the reply that follows.
    async fn gather(&mut self, ready: Rendered) -> Result<(), Closed> {
        for piece in ready.pieces {
            match piece {
                Piece::Bytes(bytes) => self.out.unsplit(bytes),
                Piece::Octets(source, range) => {
                    self.flush().await?;
                    self.stream(source, range).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes a group; gives back space for another.
    async fn send(&mut self, ready: Rendered) -> Result<BytesMut, Closed> {
        self.flush().await?;
        let mut spare = BytesMut::new();
        for piece in ready.pieces {
            match piece {
                Piece::Bytes(mut bytes) => {
                    let patience = self.service.options.write_timeout;
                    write_all(&mut self.connection.stream, &bytes, patience)
                        .await
                        .map_err(Closed::Gone)?;
                    bytes.clear();
                    if bytes.capacity() > spare.capacity() {
                        spare = bytes;
                    }
                }
                Piece::Octets(source, range) => self.stream(source, range).await?,
            }
        }
        // What was written may still lie in TLS's buffers: the next wait flushes.
        Ok(spare)
    }

    /// Sends octets of a large message, reading the next while the last are on their way.
    async fn stream(&mut self, source: Arc<Source>, range: Range<u64>) -> Result<(), Closed> {
        let bridge = self.service.bridge.clone();
        let read = |start: u64, mut space: BytesMut| {
            let source = Arc::clone(&source);
            let piece = start..range.end.min(start.saturating_add(STREAMED));
            bridge.run(move || {
                space.clear();
                source.read(&piece, &mut space).map(|()| space)
            })
        };
        let patience = self.service.options.write_timeout;
        let mut ready = read(range.start, BytesMut::new())
            .await
            .map_err(in_literal)?;
        let mut spare = BytesMut::new();
        let mut at = range.start.saturating_add(STREAMED);
        while at < range.end {
            let (sent, next) = tokio::join!(
                write_all(&mut self.connection.stream, &ready, patience),
                read(at, std::mem::take(&mut spare)),
            );
            sent.map_err(Closed::Gone)?;
            spare = std::mem::replace(&mut ready, next.map_err(in_literal)?);
            at = at.saturating_add(STREAMED);
        }
        write_all(&mut self.connection.stream, &ready, patience)
            .await
            .map_err(Closed::Gone)
    }
}

/// The literal was announced: nothing but its octets can follow, so that the connection ends.
fn in_literal(cause: io::Error) -> Closed {
    tracing::error!(%cause, "message cannot be read");
    Closed::Gone(cause)
}
