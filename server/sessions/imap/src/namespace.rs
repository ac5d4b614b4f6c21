//! NAMESPACE (RFC 2342).

use facteur_imap::write;

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) fn namespace(&mut self) -> Outcome {
        let out = &mut self.out;
        out.extend_from_slice(b"* NAMESPACE ");
        let told: Vec<_> = self
            .service
            .options
            .namespaces
            .iter()
            .filter(|namespace| !namespace.hidden)
            .collect();
        if told.is_empty() {
            out.extend_from_slice(b"NIL");
        } else {
            out.extend_from_slice(b"(");
            for namespace in told {
                let prefix = facteur_imap::encode_utf7(&namespace.prefix);
                out.extend_from_slice(b"(");
                write::string(out, prefix.as_bytes());
                out.extend_from_slice(b" ");
                write::string(out, namespace.separator.to_string().as_bytes());
                out.extend_from_slice(b")");
            }
            out.extend_from_slice(b")");
        }
        out.extend_from_slice(b" NIL NIL\r\n");
        Ok(Reply::ok("NAMESPACE completed"))
    }
}
