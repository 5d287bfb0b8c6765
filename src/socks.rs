//! The server side of SOCKS 5 (RFC 1928) and of its user names and passwords (RFC 1929), as octets.
//!
//! A client names the methods by which it can prove who it is, proves it by the one that the server takes,
//! and then asks for a connection to an address or a host. Only CONNECT is offered. A parser takes what has
//! come so far and says how many octets a whole message has, or that more must come.
//!
//! Passwords are compared by their digests, in constant time, and show up in no `Debug`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

use crate::name::Host;

/// The protocol version of RFC 1928.
const VERSION: u8 = 5;
/// The version of the negotiation of RFC 1929.
const LOGIN_VERSION: u8 = 1;
/// CONNECT.
const CONNECT: u8 = 1;
/// Kinds of address: IPv4, host name, IPv6.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What came is not what the protocol has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not SOCKS 5")]
pub struct NotSocks;

/// A message and its length in octets; none when more must come.
pub type Parsed<T> = Result<Option<(T, usize)>, NotSocks>;

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    None,
    /// By user name and password (RFC 1929).
    Password,
    /// By nothing that both sides know.
    Unacceptable,
}

impl Method {
    fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Password => 2,
            Self::Unacceptable => 0xff,
        }
    }

    /// The answer to the client's first message.
    pub fn chosen(self) -> [u8; 2] {
        [VERSION, self.code()]
    }
}

/// Reads the client's first message, and takes the first of `methods` that the client has.
pub fn negotiate(input: &[u8], methods: &[Method]) -> Parsed<Method> {
    let [version, rest @ ..] = input else {
        return Ok(None);
    };
    if *version != VERSION {
        return Err(NotSocks);
    }
    let Some((offered, length)) = counted(rest) else {
        return Ok(None);
    };
    let known = methods
        .iter()
        .find(|method| offered.contains(&method.code()));
    let method = known.copied().unwrap_or(Method::Unacceptable);
    Ok(Some((method, 1 + length)))
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login<'a> {
    /// Whose.
    pub user: &'a [u8],
    /// The proof.
    pub password: &'a [u8],
}

/// Reads a user name and a password (RFC 1929 §2).
pub fn login(input: &[u8]) -> Parsed<Login<'_>> {
    let [version, rest @ ..] = input else {
        return Ok(None);
    };
    if *version != LOGIN_VERSION {
        return Err(NotSocks);
    }
    let Some((user, first)) = counted(rest) else {
        return Ok(None);
    };
    let Some((password, second)) = counted(&rest[first..]) else {
        return Ok(None);
    };
    Ok(Some((Login { user, password }, 1 + first + second)))
}

/// The answer to a login.
pub fn login_answer(known: bool) -> [u8; 2] {
    [LOGIN_VERSION, u8::from(!known)]
}

/// Where a client wants to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To an address.
    Address(SocketAddr),
    /// To a host, and a port of it.
    Host(Host, u16),
}

/// A request: a target, or the reply to what is not offered.
pub type Request = Result<Target, Reply>;

/// Reads a request (RFC 1928 §4).
pub fn request(input: &[u8]) -> Parsed<Request> {
    let [version, command, _, kind, rest @ ..] = input else {
        return match input {
            [version, ..] if *version != VERSION => Err(NotSocks),
            _ => Ok(None),
        };
    };
    if *version != VERSION {
        return Err(NotSocks);
    }
    let address = match *kind {
        IPV4 => rest
            .first_chunk()
            .map(|b: &[u8; 4]| (Ok(Ipv4Addr::from(*b).into()), 4)),
        IPV6 => rest
            .first_chunk()
            .map(|b: &[u8; 16]| (Ok(Ipv6Addr::from(*b).into()), 16)),
        NAME => counted(rest).map(|(name, length)| (Err(name), length)),
        // How long such an address is, nobody knows.
        _ => return Ok(Some((Err(Reply::AddressNotSupported), input.len()))),
    };
    let Some((address, length)) = address else {
        return Ok(None);
    };
    let Some(port) = rest[length..].first_chunk() else {
        return Ok(None);
    };
    let port = u16::from_be_bytes(*port);
    let target = match (*command, address) {
        (CONNECT, Ok(address)) => Ok(at(address, port)),
        (CONNECT, Err(name)) => host(name, port),
        _ => Err(Reply::CommandNotSupported),
    };
    Ok(Some((target, 4 + length + 2)))
}

fn at(address: IpAddr, port: u16) -> Target {
    Target::Address(SocketAddr::new(address.to_canonical(), port))
}

/// Some clients send an address as the text of a name.
fn host(name: &[u8], port: u16) -> Request {
    let name = std::str::from_utf8(name).map_err(|_| Reply::HostUnreachable)?;
    if let Ok(address) = name.parse() {
        return Ok(at(address, port));
    }
    let host = name.parse().map_err(|_| Reply::HostUnreachable)?;
    Ok(Target::Host(host, port))
}

/// Octets behind an octet that counts them, and the length of all.
fn counted(input: &[u8]) -> Option<(&[u8], usize)> {
    let (count, rest) = input.split_first()?;
    let count = usize::from(*count);
    Some((rest.get(..count)?, 1 + count))
}

/// What came of a request (RFC 1928 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Connected.
    Succeeded,
    /// Something else went wrong.
    Failed,
    /// The rules here forbid it.
    NotAllowed,
    /// There is no way to the network.
    NetworkUnreachable,
    /// There is no such host, or it does not answer.
    HostUnreachable,
    /// Nothing listens there.
    Refused,
    /// Only CONNECT is offered.
    CommandNotSupported,
    /// Neither IPv4 nor IPv6 nor a name.
    AddressNotSupported,
}

impl Reply {
    /// The octets of the reply; `bound` is the address that the connection was made from.
    pub fn octets(self, bound: SocketAddr) -> Vec<u8> {
        let code = match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::NotAllowed => 2,
            Self::NetworkUnreachable => 3,
            Self::HostUnreachable => 4,
            Self::Refused => 5,
            Self::CommandNotSupported => 7,
            Self::AddressNotSupported => 8,
        };
        let mut octets = vec![VERSION, code, 0];
        match bound.ip() {
            IpAddr::V4(address) => {
                octets.push(IPV4);
                octets.extend(address.octets());
            }
            IpAddr::V6(address) => {
                octets.push(IPV6);
                octets.extend(address.octets());
            }
        }
        octets.extend(bound.port().to_be_bytes());
        octets
    }
}

/// Who may connect from beyond loopback.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users(Vec<[Digest; 2]>);

type Digest = [u8; 32];

/// Why a line of a users file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write `user:password`, neither of them empty or longer than 255 octets")]
pub struct BadUser;

impl Users {
    /// Adds a line such as `user:password`; the password may have a colon in it.
    pub fn add(&mut self, line: &str) -> Result<(), BadUser> {
        let (user, password) = line.split_once(':').ok_or(BadUser)?;
        if [user, password]
            .iter()
            .any(|word| !(1..=255).contains(&word.len()))
        {
            return Err(BadUser);
        }
        self.0
            .push([digest_of(user.as_bytes()), digest_of(password.as_bytes())]);
        Ok(())
    }

    /// True when nobody is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them. Each is compared as a whole, so the time tells nothing.
    pub fn knows(&self, login: &Login<'_>) -> bool {
        let given = [digest_of(login.user), digest_of(login.password)].concat();
        self.0.iter().fold(false, |known, user| {
            known | verify_slices_are_equal(&user.concat(), &given).is_ok()
        })
    }
}

fn digest_of(octets: &[u8]) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    bytes
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.0.len())
    }
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

#[cfg(test)]
mod tests;
