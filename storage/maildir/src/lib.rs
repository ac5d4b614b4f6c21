//! Maildir++.
