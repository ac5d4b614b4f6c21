//! What a session tells its driver.

use bytes::Bytes;
use facteur_wire::Secret;

use crate::{
    Reply,
    command::{Auth, Mail, Rcpt},
};

/// What the client did. Events marked *asks* stop the session until the driver answers with the
/// call that is named; the others want no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The client said who it is; whatever transaction there was is gone. *Asks*:
    /// [`super::Session::accept_hello`], or [`super::Session::answer`] to refuse.
    Hello {
        /// The name it gave.
        name: String,
        /// EHLO or LHLO, not HELO.
        extended: bool,
    },
    /// The go-ahead for TLS is in the output. Once that is written, shake hands and go on with
    /// [`super::Session::after_tls`].
    StartTls,
    /// *Asks*: [`super::Session::challenge`], or [`super::Session::answer`] to end the exchange
    /// (235 is success).
    Auth(Auth),
    /// The client's response to a challenge, as it stands on the line. *Asks* as [`Event::Auth`].
    AuthResponse(Secret),
    /// *Asks*: [`super::Session::answer`]; a 2yz begins the transaction.
    Mail(Mail),
    /// *Asks*: [`super::Session::answer`]; a 2yz accepts the recipient.
    Rcpt(Rcpt),
    /// The message is to come. *Asks*: [`super::Session::accept_body`], or
    /// [`super::Session::answer`] to refuse.
    BodyStart {
        /// More input came with DATA, although the client had to wait for the 354 (RFC 2920 §3.1).
        /// Never set for BDAT, where that is right.
        pipelined: bool,
    },
    /// A piece of the message, without its dots: a slice of the input.
    Body(Bytes),
    /// The message is whole. *Asks*: [`super::Session::answer`]; with LMTP
    /// [`super::Session::answer_each`], in the order in which the recipients were accepted.
    EndOfMessage,
    /// The transaction is gone: drop what belongs to it.
    Reset,
    /// The message is refused while it comes, with what is said at its end: drop what belongs to it.
    Refused(Reply),
    /// Write the output, then close the connection.
    Close,
}
