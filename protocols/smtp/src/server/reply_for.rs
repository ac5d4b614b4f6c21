//! From a client's mistakes to replies.

use facteur_wire::LineError;

use super::Flavour;
use crate::{EnhancedStatus, Reply, command::CommandError, dot::BodyFault};

pub(super) fn line_error(error: LineError) -> Reply {
    let text = match error {
        LineError::TooLong => "Line too long",
        LineError::BareLf => "Bare LF received: lines end in CRLF (RFC 5321 section 2.3.8)",
        LineError::BareCr => "Bare CR received: lines end in CRLF (RFC 5321 section 2.3.8)",
    };
    Reply::new(500, EnhancedStatus::new(5, 5, 2), text)
}

pub(super) fn command_error(error: CommandError) -> Reply {
    let (code, subject, detail) = match error {
        CommandError::Unknown | CommandError::ForeignProtocol => (500, 5, 2),
        CommandError::NotImplemented => (502, 5, 1),
        CommandError::Syntax(_) => (501, 5, 4),
        CommandError::ReversePath => (501, 1, 7),
        CommandError::ForwardPath => (501, 1, 3),
        CommandError::NotAscii => (553, 6, 7),
        CommandError::Parameter => (555, 5, 4),
    };
    Reply::new(
        code,
        EnhancedStatus::new(5, subject, detail),
        error.to_string(),
    )
}

pub(super) fn body_fault(fault: BodyFault) -> Reply {
    let text = match fault {
        BodyFault::BareCr => "Message refused: bare CR (RFC 5321 section 2.3.8)",
        BodyFault::BareLf => "Message refused: bare LF (RFC 5321 section 2.3.8)",
        BodyFault::Nul => "Message refused: NUL (RFC 2045 section 2.8)",
    };
    Reply::new(550, EnhancedStatus::new(5, 6, 0), text)
}

pub(super) fn too_large(limit: u64) -> Reply {
    let text = format!("Message is larger than {limit} octets");
    Reply::new(552, EnhancedStatus::new(5, 3, 4), text)
}

pub(super) fn bad_sequence(text: &'static str) -> Reply {
    Reply::new(503, EnhancedStatus::new(5, 5, 1), text)
}

pub(super) fn no_recipients(flavour: Flavour) -> Reply {
    let code = match flavour {
        // RFC 2033 §4.2.
        Flavour::Lmtp => 503,
        Flavour::Smtp | Flavour::Submission => 554,
    };
    Reply::new(code, EnhancedStatus::new(5, 5, 1), "No valid recipients")
}
