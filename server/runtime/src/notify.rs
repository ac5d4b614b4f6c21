//! What systemd is told.

use std::io;

/// Says that the server is ready (`READY=1`); nothing when nobody asked.
///
/// # Errors
/// When the socket that systemd named cannot be reached.
pub fn notify_ready() -> io::Result<()> {
    sd_notify::notify(false, &[sd_notify::NotifyState::Ready])
}

/// Says that the server stops (`STOPPING=1`); nothing when nobody asked.
///
/// # Errors
/// When the socket that systemd named cannot be reached.
pub fn notify_stopping() -> io::Result<()> {
    sd_notify::notify(false, &[sd_notify::NotifyState::Stopping])
}
