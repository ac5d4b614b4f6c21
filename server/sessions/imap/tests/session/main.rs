//! Sessions against a real store, over a socket pair, as a client sees them.

#[cfg(test)]
mod access;
#[cfg(test)]
mod append;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mail_log;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod search;
#[cfg(test)]
mod starttls;
