//! Which events of the target `mail_log` are written.

use std::sync::Arc;

use arc_swap::ArcSwap;
use facteur_config::sections::MailLogEvent;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    subscriber::Interest,
};
use tracing_subscriber::layer::{Context, Filter};

/// Lets only the events that are wanted pass; everything else passes. Clones are one filter.
#[derive(Clone)]
pub(super) struct MailLog {
    wanted: Arc<ArcSwap<Vec<MailLogEvent>>>,
}

impl MailLog {
    pub(super) fn new(wanted: &[MailLogEvent]) -> Self {
        Self {
            wanted: Arc::new(ArcSwap::from_pointee(wanted.to_vec())),
        }
    }

    pub(super) fn set(&self, wanted: &[MailLogEvent]) {
        self.wanted.store(Arc::new(wanted.to_vec()));
    }

    fn wants(&self, event: &str) -> bool {
        self.wanted.load().iter().any(|one| one.name() == event)
    }
}

impl<S: Subscriber> Filter<S> for MailLog {
    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        metadata.target() != "mail_log" || !self.wanted.load().is_empty()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == "mail_log" {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        if event.metadata().target() != "mail_log" {
            return true;
        }
        let mut visitor = Judge {
            filter: self,
            wanted: true,
        };
        event.record(&mut visitor);
        visitor.wanted
    }
}

/// Looks at the field `event`.
struct Judge<'a> {
    filter: &'a MailLog,
    wanted: bool,
}

impl Visit for Judge<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.wanted = self.filter.wants(value);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::{Layer, layer::SubscriberExt as _};

    use super::*;

    struct Count(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn events_that_are_not_wanted_are_left_out() {
        let count = Arc::new(AtomicUsize::new(0));
        let filter = MailLog::new(&[MailLogEvent::Save]);
        let layer = Count(Arc::clone(&count)).with_filter(filter.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let write = |event: &str| tracing::info!(target: "mail_log", event, uid = 1);
            write("save");
            write("expunge");
            assert_eq!(count.load(Ordering::SeqCst), 1);
            filter.set(&[MailLogEvent::Expunge]);
            write("expunge");
            write("save");
            assert_eq!(count.load(Ordering::SeqCst), 2);
            tracing::info!("something else");
            assert_eq!(count.load(Ordering::SeqCst), 3);
        });
    }
}
