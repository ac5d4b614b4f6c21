//! Hashing off the network threads, a few at once.

use std::sync::{Arc, Mutex, PoisonError};

use facteur_password::{Scheme, StoredError, verify};
use facteur_wire::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is hashed for a user that does not exist until a real hash was seen: our own parameters
/// for new passwords. Nobody knows its password, and whether it fits is never asked.
const STAND_IN: &str = "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$\
    ZmFjdGV1ci1zdGFuZGlu$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes passwords.
pub(crate) struct Hashing {
    places: Arc<Semaphore>,
    default_scheme: Scheme,
    /// The stored hash that was verified last. A user that does not exist takes as long.
    example: Mutex<Arc<str>>,
}

/// A place among those who hash now.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Hashing {
    pub(crate) fn new(at_once: usize, default_scheme: Scheme) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once.max(1))),
            default_scheme,
            example: Mutex::new(Arc::from(STAND_IN)),
        }
    }

    /// Waits for a place. `None` never happens: the semaphore is not closed.
    pub(crate) async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { _permit: permit })
    }

    /// Whether the password is the stored one.
    pub(crate) async fn verify(
        &self,
        place: &mut Option<Place>,
        stored: &str,
        password: &Secret,
    ) -> Result<bool, StoredError> {
        let result = self.run(place, Arc::from(stored), password).await;
        if result.is_ok() {
            *self.example.lock().unwrap_or_else(PoisonError::into_inner) = Arc::from(stored);
        }
        result
    }

    /// Takes the time that [`Hashing::verify`] takes, for nothing.
    pub(crate) async fn pretend(&self, place: &mut Option<Place>, password: &Secret) {
        let example = Arc::clone(&self.example.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = self.run(place, example, password).await;
    }

    async fn run(
        &self,
        place: &mut Option<Place>,
        stored: Arc<str>,
        password: &Secret,
    ) -> Result<bool, StoredError> {
        let password = password.clone();
        let default = self.default_scheme;
        // The place goes along: a client that hangs up does not make room while its hash runs.
        let taken = place.take();
        let work = move || (verify(&stored, default, password.expose()), taken);
        match tokio::task::spawn_blocking(work).await {
            Ok((result, taken)) => {
                *place = taken;
                result
            }
            // A panic in the hash, or the end of the runtime: nobody gets in.
            Err(_) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_in_is_a_hash_that_can_be_verified() {
        assert_eq!(verify(STAND_IN, Scheme::Plain, b"x"), Ok(false));
    }
}
