//! hickory behind the [`Resolver`] port.
//!
//! Names are always asked as absolute names: no search list, no hosts file. hickory follows CNAMEs,
//! keeps answers by their TTL, asks again over TCP when an answer is truncated, and tells a denial from
//! a failure; this module translates, and nothing else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{TokioResolver, system_conf};

use crate::dns::{
    Answer, Dnssec, Exchange, Family, Found, LookupError, Mx, Resolver, Security, Tlsa,
};
use crate::name::{Domain, Host};

/// How DNS is asked.
#[derive(Debug, Clone)]
pub struct DnsSettings {
    /// Name servers; empty = those of the system.
    pub servers: Vec<SocketAddr>,
    /// For one query to one server.
    pub timeout: Duration,
    /// Queries before a look-up has failed.
    pub attempts: usize,
    /// Answers kept.
    pub cache_entries: u64,
    /// How long a look-up that failed is not tried again; zero = it is tried every time.
    pub failed_for: Duration,
}

/// The system has no usable resolver configuration.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot set up DNS: {0}; name the servers in waxseal.toml: [dns] servers = [\"127.0.0.1\"]"
)]
pub struct SetupError(String);

/// A resolver that asks the configured servers.
#[derive(Debug, Clone)]
pub struct HickoryResolver(TokioResolver);

impl HickoryResolver {
    /// Builds the resolver; sends nothing.
    pub fn new(settings: &DnsSettings) -> Result<Self, SetupError> {
        let config = if settings.servers.is_empty() {
            let (system, _) =
                system_conf::read_system_conf().map_err(|e| SetupError(e.to_string()))?;
            // Without the search list: names of mail are absolute.
            ResolverConfig::from_parts(None, Vec::new(), system.name_servers().to_vec())
        } else {
            let servers = settings
                .servers
                .iter()
                .map(|server| name_server(*server))
                .collect();
            ResolverConfig::from_parts(None, Vec::new(), servers)
        };
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options(settings);
        builder
            .build()
            .map(Self)
            .map_err(|e| SetupError(e.to_string()))
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T> + Send,
    ) -> Result<Answer<T>, LookupError> {
        let mut name = Name::from_ascii(name).map_err(|_| LookupError::Broken)?;
        name.set_fqdn(true);
        classify(self.0.lookup(name, kind).await, pick)
    }
}

impl Resolver for HickoryResolver {
    fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>> {
        Box::pin(
            self.ask(domain.as_str(), RecordType::MX, |data| match data {
                RData::MX(mx) => Some(Mx {
                    preference: mx.preference,
                    exchange: exchange(&mx.exchange),
                }),
                _ => None,
            }),
        )
    }

    fn addresses<'a>(
        &'a self,
        host: &'a Host,
        family: Family,
    ) -> BoxFuture<'a, Result<Answer<IpAddr>, LookupError>> {
        let kind = match family {
            Family::Ipv4 => RecordType::A,
            Family::Ipv6 => RecordType::AAAA,
        };
        Box::pin(self.ask(host.as_str(), kind, |data| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        }))
    }

    fn tlsa<'a>(
        &'a self,
        base: &'a Host,
        port: u16,
    ) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>> {
        Box::pin(async move {
            self.ask(
                &format!("_{port}._tcp.{base}"),
                RecordType::TLSA,
                |data| match data {
                    RData::TLSA(tlsa) => Some(Tlsa {
                        usage: tlsa.cert_usage.into(),
                        selector: tlsa.selector.into(),
                        matching: tlsa.matching.into(),
                        data: tlsa.cert_data.clone(),
                    }),
                    _ => None,
                },
            )
            .await
        })
    }

    fn alias<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Answer<Host>, LookupError>> {
        Box::pin(
            self.ask(host.as_str(), RecordType::CNAME, |data| match data {
                RData::CNAME(cname) => cname.0.to_ascii().parse().ok(),
                _ => None,
            }),
        )
    }

    fn dnssec(&self) -> Dnssec {
        Dnssec::Off
    }
}

fn insecure<T>(found: Found<T>) -> Answer<T> {
    Answer {
        security: Security::Insecure,
        expanded: None,
        found,
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut udp = ConnectionConfig::udp();
    let mut tcp = ConnectionConfig::tcp();
    udp.port = server.port();
    tcp.port = server.port();
    NameServerConfig::new(server.ip(), true, vec![udp, tcp])
}

fn options(settings: &DnsSettings) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = settings.timeout;
    options.attempts = settings.attempts;
    options.cache_size = settings.cache_entries;
    options.use_hosts_file = ResolveHosts::Never;
    options.ndots = 0;
    options.try_tcp_on_error = true;
    options
}

/// The root name is a null MX (RFC 7505 §3).
fn exchange(name: &Name) -> Exchange {
    if name.is_root() {
        return Exchange::Null;
    }
    name.to_ascii()
        .parse()
        .map_or(Exchange::Unusable, Exchange::Host)
}

fn classify<T>(
    result: Result<Lookup, NetError>,
    pick: impl Fn(&RData) -> Option<T>,
) -> Result<Answer<T>, LookupError> {
    match result {
        Ok(lookup) => {
            let records: Vec<T> = lookup
                .answers()
                .iter()
                .filter_map(|record| pick(&record.data))
                .collect();
            Ok(insecure(if records.is_empty() {
                Found::NoData
            } else {
                Found::Records(records)
            }))
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(denial))) => match denial.response_code {
            ResponseCode::NoError => Ok(insecure(Found::NoData)),
            ResponseCode::NXDomain => Ok(insecure(Found::NxDomain)),
            code => Err(refused(code)),
        },
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(refused(code)),
        Err(NetError::Timeout) => Err(LookupError::Timeout),
        Err(_) => Err(LookupError::Broken),
    }
}

fn refused(code: ResponseCode) -> LookupError {
    match code {
        ResponseCode::ServFail => LookupError::ServFail,
        _ => LookupError::Refused,
    }
}
