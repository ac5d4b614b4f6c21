//! The mailbox that every mail server has (RFC 5321 §4.5.1).

use facteur_address::{Address, Domain};
use facteur_directory::Unavailable;

use super::{Route, Router};

const POSTMASTER: &str = "postmaster";

/// Who stands in for a postmaster that the directory lacks.
#[derive(Debug)]
pub(super) struct Postmaster {
    hostname: Domain,
    configured: Option<Address>,
}

/// Nobody gets what is written to these addresses.
#[derive(Debug, thiserror::Error)]
#[error(
    "nobody gets mail to <postmaster> (RFC 5321 section 4.5.1): make an account or an alias {}, or set postmaster_address",
    wanted.join(" or ")
)]
pub struct NoPostmaster {
    wanted: Vec<String>,
}

impl Router {
    /// Lets mail to `<postmaster>`, to `postmaster@hostname`, and to the postmaster of a domain of
    /// ours that has none, go to the first that exists of: `configured`; the postmaster of the host
    /// name's own domain, if that is ours (`mail.example.org`, then `example.org`).
    #[must_use]
    pub fn with_postmaster(mut self, hostname: Domain, configured: Option<Address>) -> Self {
        self.postmaster = Some(std::sync::Arc::new(Postmaster {
            hostname,
            configured,
        }));
        self
    }

    /// Says, at the start, whether somebody gets mail to `<postmaster>`. A directory that does not
    /// answer is no news here.
    ///
    /// # Errors
    /// [`NoPostmaster`], for the log.
    pub async fn check_postmaster(&self) -> Result<(), NoPostmaster> {
        let Some(postmaster) = &self.postmaster else {
            return Ok(());
        };
        match self.stand_in(postmaster).await {
            Ok(Some(_)) | Err(_) => Ok(()),
            Ok(None) => Err(NoPostmaster {
                wanted: postmaster.stand_ins().map(|one| one.to_string()).collect(),
            }),
        }
    }

    /// Where mail to `address`, which leads to `route`, goes if it is to a postmaster of this server.
    pub(super) async fn or_postmaster(
        &self,
        address: &Address,
        route: Route,
    ) -> Result<Route, Unavailable> {
        let Some(postmaster) = &self.postmaster else {
            return Ok(route);
        };
        let is_missed = if route.authorized_destination {
            route.unknown
        } else {
            *address.domain() == postmaster.hostname
        };
        if !is_missed || !address.local().eq_ignore_ascii_case(POSTMASTER) {
            return Ok(route);
        }
        let found = self.stand_in(postmaster).await?;
        Ok(Route {
            authorized_destination: true,
            ..found.unwrap_or(Route {
                unknown: true,
                ..Route::default()
            })
        })
    }

    async fn stand_in(&self, postmaster: &Postmaster) -> Result<Option<Route>, Unavailable> {
        for address in postmaster.stand_ins() {
            let route = self.expand(&address).await?;
            let is_own = postmaster.configured.as_ref() == Some(&address);
            if !route.unknown && (route.authorized_destination || is_own) {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }
}

impl Postmaster {
    fn stand_ins(&self) -> impl Iterator<Item = Address> {
        let domains = std::iter::successors(Some(self.hostname.as_str()), |name| {
            name.split_once('.').map(|(_, above)| above)
        })
        // No top-level domain is anybody's.
        .filter(|name| name.contains('.') || *name == self.hostname.as_str());
        let postmaster = |name| Address::from_parts(POSTMASTER, Domain::parse(name).ok()?).ok();
        self.configured
            .iter()
            .cloned()
            .chain(domains.filter_map(postmaster))
    }
}
