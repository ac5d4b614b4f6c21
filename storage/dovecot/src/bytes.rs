//! Numbers at offsets: every look past the end is `None`.

/// Two bytes, little-endian.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// Four bytes, little-endian.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// Eight bytes, little-endian.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// `len` bytes from `at`.
pub(crate) fn slice_at(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// The next multiple of `step` (a power of two).
pub(crate) fn aligned(size: usize, step: usize) -> usize {
    size.saturating_add(step - 1) & !(step - 1)
}

/// Copies `data` to `at`; says whether it fits.
pub(crate) fn put(bytes: &mut [u8], at: usize, data: &[u8]) -> bool {
    let room = at
        .checked_add(data.len())
        .and_then(|end| bytes.get_mut(at..end));
    match room {
        Some(room) => {
            room.copy_from_slice(data);
            true
        }
        None => false,
    }
}
