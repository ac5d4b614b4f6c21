//! Scripts run over messages.

mod extensions;
mod language;
mod world;
