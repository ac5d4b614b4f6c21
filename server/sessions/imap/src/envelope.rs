//! Reads an ENVELOPE that is ready for the wire: for SEARCH and the log.

use std::borrow::Cow;

/// The fields of an envelope (RFC 3501 §7.4.2) that are looked at here. NIL is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) date: Option<Cow<'a, [u8]>>,
    pub(crate) subject: Option<Cow<'a, [u8]>>,
    pub(crate) from: Vec<Address<'a>>,
    pub(crate) to: Vec<Address<'a>>,
    pub(crate) cc: Vec<Address<'a>>,
    pub(crate) bcc: Vec<Address<'a>>,
    pub(crate) message_id: Option<Cow<'a, [u8]>>,
}

/// One address of it. A group's begin has no host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) name: Option<Cow<'a, [u8]>>,
    pub(crate) mailbox: Option<Cow<'a, [u8]>>,
    pub(crate) host: Option<Cow<'a, [u8]>>,
}

/// Takes an envelope apart; `None` when it is none.
pub(crate) fn parse(wire: &[u8]) -> Option<Envelope<'_>> {
    let mut reader = Reader(wire);
    reader.expect(b'(')?;
    let date = reader.nstring()?;
    let subject = reader.spaced_nstring()?;
    let from = reader.spaced_addresses()?;
    let _sender = reader.spaced_addresses()?;
    let _reply_to = reader.spaced_addresses()?;
    let to = reader.spaced_addresses()?;
    let cc = reader.spaced_addresses()?;
    let bcc = reader.spaced_addresses()?;
    let _in_reply_to = reader.spaced_nstring()?;
    let message_id = reader.spaced_nstring()?;
    Some(Envelope {
        date,
        subject,
        from,
        to,
        cc,
        bcc,
        message_id,
    })
}

/// An envelope's Message-ID.
pub(crate) fn message_id(wire: &[u8]) -> Option<String> {
    let id = parse(wire)?.message_id?;
    Some(String::from_utf8_lossy(&id).into_owned())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.take(1)? == [byte]).then_some(())
    }

    fn nil(&mut self) -> bool {
        let nil = self.0.get(..3) == Some(b"NIL");
        if nil {
            self.take(3);
        }
        nil
    }

    fn spaced_nstring(&mut self) -> Option<Option<Cow<'a, [u8]>>> {
        self.expect(b' ')?;
        self.nstring()
    }

    fn nstring(&mut self) -> Option<Option<Cow<'a, [u8]>>> {
        if self.nil() {
            return Some(None);
        }
        match self.take(1)? {
            b"\"" => self.quoted().map(Some),
            b"{" => {
                let digits = self.0.iter().position(|b| *b == b'}')?;
                let count = std::str::from_utf8(self.take(digits)?).ok()?.parse().ok()?;
                (self.take(3)? == b"}\r\n").then_some(())?;
                self.take(count).map(|text| Some(Cow::Borrowed(text)))
            }
            _ => None,
        }
    }

    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        let plain = self.0.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        let head = self.take(plain)?;
        if self.0.first() == Some(&b'"') {
            self.take(1);
            return Some(Cow::Borrowed(head));
        }
        let mut text = head.to_vec();
        loop {
            match self.take(1)? {
                b"\"" => return Some(Cow::Owned(text)),
                b"\\" => text.extend_from_slice(self.take(1)?),
                other => text.extend_from_slice(other),
            }
        }
    }

    fn spaced_addresses(&mut self) -> Option<Vec<Address<'a>>> {
        self.expect(b' ')?;
        let mut addresses = Vec::new();
        if self.nil() {
            return Some(addresses);
        }
        self.expect(b'(')?;
        while self.0.first() == Some(&b'(') {
            self.take(1);
            let name = self.nstring()?;
            let _route = self.spaced_nstring()?;
            let mailbox = self.spaced_nstring()?;
            let host = self.spaced_nstring()?;
            self.expect(b')')?;
            addresses.push(Address {
                name,
                mailbox,
                host,
            });
            // RFC 3501 has none between addresses; some writers do.
            if self.0.first() == Some(&b' ') {
                self.take(1);
            }
        }
        self.expect(b')')?;
        Some(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3501_8_envelope_is_taken_apart() {
        let wire =
            b"(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg \\\"summary\\\"\" \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) NIL NIL \
            ((NIL NIL \"imap\" \"cac.washington.edu\")(NIL NIL \"b\" {5}\r\nx.org)) NIL NIL NIL \
            \"<B27397-0100000@cac.washington.edu>\")";
        let envelope = parse(wire).unwrap();
        assert_eq!(
            envelope.subject.as_deref(),
            Some(&b"IMAP4rev1 WG mtg \"summary\""[..])
        );
        assert_eq!(envelope.from[0].name.as_deref(), Some(&b"Terry Gray"[..]));
        assert_eq!(envelope.to[1].host.as_deref(), Some(&b"x.org"[..]));
        assert_eq!(
            message_id(wire).as_deref(),
            Some("<B27397-0100000@cac.washington.edu>")
        );
    }

    #[test]
    fn broken_envelopes_are_none() {
        for wire in [
            &b""[..],
            b"(",
            b"(NIL",
            b"(\"a",
            b"(NIL NIL (())",
            b"({9}\r\na)",
        ] {
            assert_eq!(parse(wire), None);
        }
    }
}
