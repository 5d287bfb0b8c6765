//! The addresses of a web server: looked up by waxseal's own resolver, the forbidden ones left out.
//!
//! The HTTP library asks here for every name that it is about to dial, and dials nothing else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::FetchSettings;
use crate::dns::{Answer, Family, Found, LookupError, Resolver};
use crate::mtasts::FetchError;
use crate::name::Host;
use crate::net::dial::Dialer;

/// Addresses that are tried at most: a stranger's zone may hold hundreds.
const MAX_ADDRESSES: usize = 8;

/// Looks up and sorts out.
#[derive(Clone)]
pub(super) struct Guard {
    resolver: Arc<dyn Resolver>,
    dialer: Dialer,
    settings: FetchSettings,
}

impl Guard {
    pub(super) fn new(
        resolver: Arc<dyn Resolver>,
        dialer: Dialer,
        settings: FetchSettings,
    ) -> Self {
        Self {
            resolver,
            dialer,
            settings,
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, FetchError> {
        // A domain may be so long that no host can be below it.
        let no_address = |_| FetchError::NoAddress(host.to_owned());
        let name: Host = host.parse().map_err(no_address)?;
        let look_up = async |family| (family, self.resolver.addresses(&name, family).await);
        let families = self.settings.families.iter();
        let answers = join_all(families.map(|family| look_up(*family))).await;
        let port = self.settings.port;
        let may_be_dialled = |ip: &IpAddr| self.dialer.check(SocketAddr::new(*ip, port)).is_ok();
        let ips = sort_out(host, answers, may_be_dialled)?;
        Ok(ips
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect())
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be dialled, in the order of the answers. Where there are none, a look-up that
/// failed is the reason before any other: what it would have brought is not known.
fn sort_out(
    host: &str,
    answers: Vec<(Family, Result<Answer<IpAddr>, LookupError>)>,
    may_be_dialled: impl Fn(&IpAddr) -> bool,
) -> Result<Vec<IpAddr>, FetchError> {
    let mut good = Vec::new();
    let mut none = FetchError::NoAddress(host.to_owned());
    for (family, answer) in answers {
        match answer.map(|answer| answer.found) {
            Ok(Found::Records(ips)) => {
                let known = good.len();
                good.extend(ips.into_iter().filter(&may_be_dialled));
                if good.len() == known && matches!(none, FetchError::NoAddress(_)) {
                    none = FetchError::ForbiddenAddress(host.to_owned());
                }
            }
            Ok(Found::NoData | Found::NxDomain) => {}
            Err(error) => none = FetchError::Dns(format!("{family} of {host}"), error),
        }
    }
    good.truncate(MAX_ADDRESSES);
    if good.is_empty() { Err(none) } else { Ok(good) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Security;

    const HOST: &str = "mta-sts.a.test";

    fn answer(found: Found<IpAddr>) -> Answer<IpAddr> {
        Answer {
            security: Security::Insecure,
            expanded: None,
            found,
        }
    }

    fn ips(ips: &[&str]) -> Answer<IpAddr> {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        answer(Found::Records(ips))
    }

    fn none() -> Answer<IpAddr> {
        answer(Found::NoData)
    }

    /// With a guard that forbids loopback, like the real one.
    fn sorted(
        v6: Result<Answer<IpAddr>, LookupError>,
        v4: Result<Answer<IpAddr>, LookupError>,
    ) -> Result<Vec<String>, FetchError> {
        let answers = vec![(Family::Ipv6, v6), (Family::Ipv4, v4)];
        let good = sort_out(HOST, answers, |ip| !ip.is_loopback())?;
        Ok(good.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn both_families_count_in_order() {
        let (v6, v4) = (ips(&["2001:4860::1"]), ips(&["8.8.8.8", "8.8.4.4"]));
        assert_eq!(
            sorted(Ok(v6), Ok(v4)).unwrap(),
            ["2001:4860::1", "8.8.8.8", "8.8.4.4"]
        );
    }

    #[test]
    fn one_family_is_enough_whatever_becomes_of_the_other() {
        for other in [
            Ok(none()),
            Ok(answer(Found::NxDomain)),
            Ok(ips(&["::1"])),
            Err(LookupError::ServFail),
        ] {
            assert_eq!(sorted(other, Ok(ips(&["8.8.8.8"]))).unwrap(), ["8.8.8.8"]);
        }
    }

    #[test]
    fn a_failure_is_never_an_absence() {
        const FAILED: Result<Answer<IpAddr>, LookupError> = Err(LookupError::Timeout);
        for (v6, v4, question) in [
            (FAILED, Ok(none()), "AAAA"),
            (Ok(answer(Found::NxDomain)), FAILED, "A"),
            (FAILED, Ok(ips(&["127.0.0.1"])), "AAAA"),
            (Ok(ips(&["::1"])), FAILED, "A"),
        ] {
            let question = format!("{question} of {HOST}");
            let failure = FetchError::Dns(question, LookupError::Timeout);
            assert_eq!(sorted(v6, v4), Err(failure));
        }
    }

    #[test]
    fn no_address_differs_from_forbidden_ones() {
        let absent = Err(FetchError::NoAddress(HOST.to_owned()));
        assert_eq!(sorted(Ok(none()), Ok(none())), absent);
        let forbidden = Err(FetchError::ForbiddenAddress(HOST.to_owned()));
        for (v6, v4) in [
            (none(), ips(&["127.0.0.1"])),
            (ips(&["::1"]), none()),
            (ips(&["::1"]), ips(&["127.0.0.1"])),
        ] {
            assert_eq!(sorted(Ok(v6), Ok(v4)), forbidden);
        }
    }

    #[test]
    fn no_more_than_a_few_addresses_are_tried() {
        let many: Vec<String> = (0..200).map(|n| format!("8.8.8.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let tried = sorted(Ok(none()), Ok(ips(&many))).unwrap();
        assert_eq!(tried.len(), MAX_ADDRESSES);
    }
}
