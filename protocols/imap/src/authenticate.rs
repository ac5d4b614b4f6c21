//! AUTHENTICATE.

use facteur_wire::Secret;

use crate::{
    Command,
    cursor::{Cursor, Malformed, Parsed},
};

/// `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]` (RFC 4959 §7). The response
/// stays base64: decoding it is the SASL exchange's, so that one place handles the secret.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mechanism = cursor.atom("a SASL mechanism")?.to_owned();
    let initial_response = if cursor.take_if(b' ') {
        let base64 =
            cursor.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
        if base64.is_empty() {
            return Err(Malformed("an initial response in base64"));
        }
        Some(Secret::new(base64.to_vec()))
    } else {
        None
    };
    cursor.end()?;
    Ok(Command::Authenticate {
        mechanism,
        initial_response,
    })
}
