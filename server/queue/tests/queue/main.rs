//! The queue against servers, a DNS and a clock of the tests' own, all on loopback.

#[cfg(test)]
mod busy;
#[cfg(test)]
mod control;
#[cfg(test)]
mod dns;
#[cfg(test)]
mod local;
#[cfg(test)]
mod next_server;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod world;
