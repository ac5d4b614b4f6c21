//! LSUB (RFC 3501 §6.3.9).

use std::collections::BTreeSet;

use facteur_imap::List;

use crate::{
    list::{line, show},
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn lsub(&mut self, list: &List) -> Outcome {
        let Some(pattern) = self.pattern(list)? else {
            return Ok(Reply::ok("LSUB completed"));
        };
        let account = self.user()?.account.clone();
        let subscriptions = self.blocking(move || account.subscriptions()).await?;
        let namespaces = &self.service.options.namespaces;
        for namespace in namespaces {
            if !pattern.reaches(namespace) {
                continue;
            }
            let shown: BTreeSet<String> = subscriptions
                .iter()
                .filter_map(|name| show(namespaces, namespace, name.as_str()))
                .collect();
            // A level above a subscribed name, where `%` stops at it.
            let mut above = BTreeSet::new();
            for name in &shown {
                if pattern.matches(name) {
                    line(&mut self.out, "LSUB", "", namespace.separator, name);
                    continue;
                }
                let levels = name.match_indices(namespace.separator);
                above.extend(
                    levels
                        .filter_map(|(at, _)| name.get(..at))
                        .filter(|level| !shown.contains(*level) && pattern.matches(level))
                        .map(ToOwned::to_owned),
                );
            }
            for name in above {
                line(
                    &mut self.out,
                    "LSUB",
                    "\\Noselect",
                    namespace.separator,
                    &name,
                );
            }
        }
        Ok(Reply::ok("LSUB completed"))
    }
}
