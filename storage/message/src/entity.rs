//! The header fields of one entity (a message or a body part) that the summary needs.

/// A header field the summary needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Name {
    Date,
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
    ContentType,
    ContentId,
    ContentDescription,
    ContentTransferEncoding,
    ContentMd5,
    ContentDisposition,
    ContentLanguage,
    ContentLocation,
}

/// In the order of [`Name`].
const NAMES: [(&[u8], Name); 18] = [
    (b"date", Name::Date),
    (b"subject", Name::Subject),
    (b"from", Name::From),
    (b"sender", Name::Sender),
    (b"reply-to", Name::ReplyTo),
    (b"to", Name::To),
    (b"cc", Name::Cc),
    (b"bcc", Name::Bcc),
    (b"in-reply-to", Name::InReplyTo),
    (b"message-id", Name::MessageId),
    (b"content-type", Name::ContentType),
    (b"content-id", Name::ContentId),
    (b"content-description", Name::ContentDescription),
    (b"content-transfer-encoding", Name::ContentTransferEncoding),
    (b"content-md5", Name::ContentMd5),
    (b"content-disposition", Name::ContentDisposition),
    (b"content-language", Name::ContentLanguage),
    (b"content-location", Name::ContentLocation),
];

impl Name {
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        NAMES
            .iter()
            .find(|(text, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, name)| *name)
    }

    /// Whether it describes a body part; the others describe messages only.
    fn is_content(self) -> bool {
        self as u8 >= Self::ContentType as u8
    }

    /// Whether a repetition adds to the value. No standard says what a repeated field means; of
    /// the Content fields the first counts, of the others the last, as with Dovecot: what clients
    /// have cached stays right.
    fn is_address_list(self) -> bool {
        (Self::From as u8..=Self::Bcc as u8).contains(&(self as u8))
    }
}

/// Values of one entity's fields as they come, folds taken out.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    values: [Option<Vec<u8>>; NAMES.len()],
    /// The field that continuation lines belong to.
    current: Option<Name>,
    /// A message's fields are wanted too, not only a part's.
    is_message: bool,
}

impl Fields {
    pub(crate) fn new(is_message: bool) -> Self {
        Self {
            is_message,
            ..Self::default()
        }
    }

    /// Whether these are a message's fields.
    pub(crate) fn is_message(&self) -> bool {
        self.is_message
    }

    /// The value of a field, without white space around it.
    pub(crate) fn value(&self, name: Name) -> Option<&[u8]> {
        let value = self.values.get(usize::from(name as u8))?.as_deref()?;
        Some(value.trim_ascii())
    }

    /// Takes one line of the header, without its line end. `budget` is what may still be kept.
    pub(crate) fn line(&mut self, line: &[u8], budget: &mut usize) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if let Some(name) = self.current {
                // The fold becomes one space, be it a tab or not.
                self.append(name, b" ", budget);
                self.append(name, line.get(1..).unwrap_or_default(), budget);
            }
            return;
        }
        self.current = None;
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let (name, value) = line.split_at(colon);
        let Some(name) = Name::parse(name.trim_ascii_end()) else {
            return;
        };
        if !self.is_message && !name.is_content() {
            return;
        }
        let value = value.get(1..).unwrap_or_default();
        if self.value(name).is_some() {
            if name.is_address_list() {
                self.append(name, b", ", budget);
            } else if name.is_content() {
                return;
            } else {
                self.clear(name);
            }
        }
        self.current = Some(name);
        self.append(name, value, budget);
    }

    fn clear(&mut self, name: Name) {
        if let Some(slot) = self.values.get_mut(usize::from(name as u8)) {
            *slot = None;
        }
    }

    fn append(&mut self, name: Name, text: &[u8], budget: &mut usize) {
        let Some(slot) = self.values.get_mut(usize::from(name as u8)) else {
            return;
        };
        let text = text.get(..(*budget).min(text.len())).unwrap_or_default();
        *budget -= text.len();
        slot.get_or_insert_default().extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_their_numbers() {
        for (i, (_, name)) in NAMES.iter().enumerate() {
            assert_eq!(i, usize::from(*name as u8));
        }
    }

    #[test]
    fn folded_and_repeated_fields_are_joined() {
        let mut fields = Fields::new(true);
        let mut budget = 1000;
        for line in [
            "To: a@b,",
            "\tc@d",
            "Subject : one",
            "to: e@f",
            "Subject: two",
        ] {
            fields.line(line.as_bytes(), &mut budget);
        }
        assert_eq!(fields.value(Name::To), Some(&b"a@b, c@d,  e@f"[..]));
        assert_eq!(fields.value(Name::Subject), Some(&b"two"[..]));
    }

    #[test]
    fn values_end_with_the_budget() {
        let mut fields = Fields::new(true);
        let mut budget = 4;
        fields.line(b"Subject: abcdef", &mut budget);
        fields.line(b" more", &mut budget);
        assert_eq!(fields.value(Name::Subject), Some(&b"abc"[..]));
        assert_eq!(budget, 0);
    }
}
