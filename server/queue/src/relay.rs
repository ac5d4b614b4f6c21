//! An entry's remote recipients: to which next hops, and what came of them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use facteur_address::Address;
use facteur_model::Guid;
use facteur_spool::{Change, Entry};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    NextHop,
    attempt::{Context, set},
    destination::Admission,
    outcome::Outcome,
};

/// How long those who have the message may wait for the others before they are struck off: one
/// server may take it at once and another keep us waiting for hours, and nobody is to get it twice
/// when we are stopped meanwhile.
const SOON: Duration = Duration::from_millis(500);

/// Hands the remote recipients to their next hops, and waits for what comes of them. `true` when
/// the entry was parked instead: its next hop has enough to do.
pub(crate) async fn relay(
    context: &Arc<Context>,
    entry: &Arc<Entry>,
    remotes: Vec<(usize, Address)>,
    outcomes: &mut [Option<Outcome>],
) -> bool {
    let mut groups: HashMap<NextHop, Vec<(usize, Address)>> = HashMap::new();
    for (n, address) in remotes {
        let hop = context.options().next_hop(address.domain());
        groups.entry(hop).or_default().push((n, address));
    }
    let mut pending = FuturesUnordered::new();
    let alone = groups.len() == 1 && outcomes.iter().all(Option::is_none);
    for (hop, members) in groups {
        let destination = context.destination(&hop);
        // A slow server must not take up every place: what would wait long waits outside.
        match destination.admit(context, &entry.queue_id, alone) {
            Admission::Admitted => {}
            Admission::Full => continue,
            Admission::Parked => return true,
        }
        for batch in members.chunks(context.options().destination_recipient_limit.max(1)) {
            let paths = batch.iter().map(|(_, address)| address.clone()).collect();
            let done = destination.submit(context, Arc::clone(entry), paths);
            let members: Vec<usize> = batch.iter().map(|(n, _)| *n).collect();
            pending.push(async move { (members, done.await) });
        }
    }
    let mut taken = Vec::new();
    loop {
        let next = match taken.is_empty() {
            true => Ok(pending.next().await),
            false => timeout(SOON, pending.next()).await,
        };
        let (members, results) = match next {
            Ok(Some((members, Ok(results)))) => (members, results),
            // The queue stops.
            Ok(Some((_, Err(_)))) => continue,
            Ok(None) => return false,
            Err(_) => {
                strike(context, entry, std::mem::take(&mut taken)).await;
                continue;
            }
        };
        for (n, outcome) in members.into_iter().zip(results) {
            if let (Outcome::Relayed(_), Some(recipient)) = (&outcome, entry.recipients.get(n)) {
                taken.push(recipient.delivery);
            }
            set(outcomes, n, outcome);
        }
    }
}

/// Notes who has it while others are still waited for. What cannot be noted now is noted with the
/// rest.
async fn strike(context: &Arc<Context>, entry: &Entry, taken: Vec<Guid>) {
    let (id, change) = (entry.queue_id.clone(), Change::strike(taken));
    let noted = context.on_spool(move |spool| spool.update(&id, &change));
    if let Err(error) = noted.await {
        warn!(%error, "recipients not struck off yet");
    }
}
