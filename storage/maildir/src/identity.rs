//! Who a mailbox is: our own numbers, and what `dovecot-uidlist` says.

use std::io;

use facteur_disk::Disk;
use facteur_format::Identity;
use facteur_model::{Guid, MailboxName};

use crate::{Head, Layout};

/// Reads a mailbox's identity: `None` when neither our own file nor `dovecot-uidlist` says who it
/// is. `made_up` is its GUID when it never had one.
///
/// `dovecot-uidlist` is right about UIDVALIDITY and GUID: Dovecot may have made the mailbox anew
/// while the account was its. Our own file alone knows how far MODSEQs were given out, and UIDs that
/// no line names yet.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn identity(
    disk: &Disk,
    layout: &Layout,
    name: &MailboxName,
    made_up: Guid,
) -> io::Result<Option<Identity>> {
    let own = Identity::read(disk, layout, name)?;
    let listed = Head::read(disk, &layout.folder(name))?;
    Ok(joined(own, listed.as_ref(), made_up))
}

fn joined(own: Option<Identity>, listed: Option<&Head>, made_up: Guid) -> Option<Identity> {
    let Some(listed) = listed else { return own };
    let own = own.filter(|own| own.uid_validity == listed.uid_validity);
    let guid = listed.guid.or(own.map(|own| own.guid)).unwrap_or(made_up);
    let identity = match own {
        Some(own) => Identity {
            guid,
            uid_ceiling: own.uid_ceiling.max(listed.uid_next),
            ..own
        },
        None => Identity {
            uid_ceiling: listed.uid_next,
            ..Identity::new(listed.uid_validity, guid)
        },
    };
    Some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_model::UidValidity;

    fn guid(byte: u8) -> Guid {
        Guid::from_bytes([byte; 16])
    }

    fn own(validity: u32) -> Identity {
        Identity {
            uid_ceiling: 100,
            modseq_ceiling: 1000,
            ..Identity::new(UidValidity::new(validity).unwrap(), guid(1))
        }
    }

    fn listed(validity: u32, uid_next: u64, guid: Option<Guid>) -> Head {
        let uid_validity = UidValidity::new(validity).unwrap();
        Head {
            uid_validity,
            uid_next,
            guid,
            other: Vec::new(),
        }
    }

    #[test]
    fn own_numbers_are_kept_while_the_mailbox_is_the_same() {
        let join = |own, listed: &Head| joined(own, Some(listed), guid(9)).unwrap();
        assert_eq!(joined(Some(own(5)), None, guid(9)), Some(own(5)));
        assert_eq!(joined(None, None, guid(9)), None);
        assert_eq!(join(Some(own(5)), &listed(5, 7, Some(guid(1)))), own(5));
        assert_eq!(join(Some(own(5)), &listed(5, 7, None)), own(5));
        assert_eq!(join(Some(own(5)), &listed(5, 107, None)).uid_ceiling, 107);
        assert_eq!(
            join(Some(own(5)), &listed(5, 7, Some(guid(2)))).guid,
            guid(2)
        );
    }

    #[test]
    fn a_mailbox_that_dovecot_made_is_taken_as_it_is() {
        for mine in [None, Some(own(4))] {
            let found = joined(mine, Some(&listed(5, 7, None)), guid(9)).unwrap();
            assert_eq!((found.uid_validity.value(), found.guid), (5, guid(9)));
            assert_eq!((found.uid_ceiling, found.modseq_ceiling), (7, 1));
        }
    }
}
