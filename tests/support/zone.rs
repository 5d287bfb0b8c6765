//! DNS as zone text: a server that answers like a recursive resolver.
//!
//! One root zone in master-file format holds every name; it follows CNAMEs, tells NXDOMAIN from NODATA (both with
//! a SOA), truncates what does not fit a datagram, and sets AD for the names it was told are [`Dns::secure`]. It is
//! made of hickory's message and zone-file types but not of hickory-server, whose answers are those of an
//! authoritative server. Wildcards are not expanded.

mod data;
mod signed;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, RRSIG},
    op::{Edns, Message, Query, ResponseCode},
    rr::{LowerName, Name, RData, Record, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use self::data::{Found, Zone, parse_records};
use self::signed::absolute;
pub(crate) use self::signed::{Denial, Flaw, Tree};

/// What goes wrong when a name is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    ServFail,
    Refused,
    /// Without signatures, [`Fault::Withheld`]; with them, the true answer without its signatures.
    Bogus,
    /// SERVFAIL, unless the query says CD: how a resolver that validates treats what is signed wrong.
    Withheld,
    /// The true answer, but for one bit of the signature in it, counted from its beginning.
    Flip(usize),
    /// NXDOMAIN, with the SOA of this zone and without any signature: what an attacker on the path can make.
    DeniedBy(&'static str),
    /// The records of this name, as if they were of the one that was asked for, beside the SOA of that zone: what an
    /// attacker on the path can make of a wildcard.
    Replayed(&'static str, &'static str),
    /// An empty answer that says it is truncated, over UDP and over TCP.
    Truncated,
    /// No answer at all.
    Drop,
    /// The true answer, late.
    Slow(Duration),
}

/// The transport of a query, to see that a truncated answer was asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// A DNS server on loopback; it ends when dropped.
pub(crate) struct Dns {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    data: Data,
    faults: Vec<(LowerName, Option<RecordType>, Fault)>,
    secure: Vec<LowerName>,
    secure_names: Vec<LowerName>,
    log: Vec<(String, RecordType, Transport)>,
}

/// What a server answers from.
enum Data {
    /// One zone without signatures.
    Plain(Zone),
    /// Signed zones. A bogus answer is one without its signatures.
    Signed(Tree),
}

impl Default for Data {
    fn default() -> Self {
        Self::Plain(Zone::default())
    }
}

impl Dns {
    /// Serves `zone_text` over UDP and TCP at one port. Each line names its owner; indentation is ignored, and
    /// names are absolute with or without the final dot: `example.com MX 10 mx.example.com`.
    pub(crate) async fn start(zone_text: &str) -> Self {
        Self::serve(Data::Plain(Zone::parse(zone_text))).await
    }

    /// Serves signed zones.
    pub(crate) async fn signed(tree: Tree) -> Self {
        Self::serve(Data::Signed(tree)).await
    }

    async fn serve(data: Data) -> Self {
        let state = Arc::new(Mutex::new(State {
            data,
            ..State::default()
        }));
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&state)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&state)));
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked so far, in order; names in lower case, without the final dot.
    pub(crate) fn queries(&self) -> Vec<(String, RecordType)> {
        let state = self.state.lock().unwrap();
        state
            .log
            .iter()
            .map(|(name, record_type, _)| (name.clone(), *record_type))
            .collect()
    }

    /// How often this was asked so far.
    pub(crate) fn asked(&self, name: &str, record_type: RecordType) -> usize {
        self.transports(name, record_type).len()
    }

    /// By which transports this was asked so far.
    pub(crate) fn transports(&self, name: &str, record_type: RecordType) -> Vec<Transport> {
        let state = self.state.lock().unwrap();
        let same = |(n, t, _): &&(String, RecordType, _)| n == name && *t == record_type;
        state
            .log
            .iter()
            .filter(same)
            .map(|(.., transport)| *transport)
            .collect()
    }

    /// From now on every query for `name` meets `fault`.
    pub(crate) fn fail(&self, name: &str, fault: Fault) {
        self.state
            .lock()
            .unwrap()
            .faults
            .push((lower(name), None, fault));
    }

    /// From now on a query for this type of `name` meets `fault`.
    pub(crate) fn fail_type(&self, name: &str, record_type: RecordType, fault: Fault) {
        self.state
            .lock()
            .unwrap()
            .faults
            .push((lower(name), Some(record_type), fault));
    }

    /// Forgets all faults.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// Answers made of names at or below `zone` alone carry the AD bit when the query asks for it.
    pub(crate) fn secure(&self, zone: &str) {
        self.state.lock().unwrap().secure.push(lower(zone));
    }

    /// Answers made of this very name alone carry the AD bit, such as those to a probe of the root.
    pub(crate) fn secure_name(&self, name: &str) {
        self.state.lock().unwrap().secure_names.push(lower(name));
    }

    /// Serves other data from now on; faults and the log stay.
    pub(crate) fn replace(&self, zone_text: &str) {
        self.state.lock().unwrap().data = Data::Plain(Zone::parse(zone_text));
    }
}

fn lower(name: &str) -> LowerName {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    LowerName::new(&name)
}

/// The UDP port that the system hands out may be taken for TCP: try until one is free for both.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        // An ICMP "port unreachable" for an answer nobody waits for shows up here as an error.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(query) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        let (socket, state) = (Arc::clone(&socket), Arc::clone(&state));
        tokio::spawn(async move {
            let Some(response) = respond(&state, &query, Transport::Udp).await else {
                return;
            };
            let wire = fit(&response, query.max_payload());
            let _ = socket.send_to(&wire, client).await;
        });
    }
}

/// RFC 2181 §9: an answer that does not fit is truncated, and says so.
fn fit(response: &Message, limit: u16) -> Vec<u8> {
    let wire = response.to_vec().unwrap();
    if wire.len() <= usize::from(limit) {
        wire
    } else {
        response.truncate().to_vec().unwrap()
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut clients = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        clients.spawn(async move {
            let _ = serve_tcp_client(client, &state).await;
        });
    }
}

async fn serve_tcp_client(mut client: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    loop {
        let mut wire = vec![0; usize::from(client.read_u16().await?)];
        client.read_exact(&mut wire).await?;
        let Ok(query) = Message::from_vec(&wire) else {
            return Ok(());
        };
        if let Some(response) = respond(state, &query, Transport::Tcp).await {
            let wire = response.to_vec().unwrap();
            client.write_u16(u16::try_from(wire.len()).unwrap()).await?;
            client.write_all(&wire).await?;
        }
    }
}

async fn respond(state: &Mutex<State>, query: &Message, transport: Transport) -> Option<Message> {
    let question = query.queries.first()?;
    let (fault, truth) = state.lock().unwrap().consider(query, question, transport);
    match fault {
        None => Some(truth),
        Some(Fault::Bogus) if state.lock().unwrap().is_signed() => Some(stripped(truth)),
        Some(Fault::Flip(bit)) => Some(flipped(truth, bit)),
        Some(Fault::Bogus | Fault::Withheld) if query.metadata.checking_disabled => Some(truth),
        Some(Fault::ServFail | Fault::Bogus | Fault::Withheld) => {
            Some(failure(query, ResponseCode::ServFail))
        }
        Some(Fault::Replayed(other, zone)) => {
            let found = state
                .lock()
                .unwrap()
                .find(&absolute(other), question.query_type());
            Some(replayed(query, found.answers, zone))
        }
        Some(Fault::DeniedBy(zone)) => Some(denial(query, zone)),
        Some(Fault::Truncated) => Some(truth.truncate()),
        Some(Fault::Refused) => Some(failure(query, ResponseCode::Refused)),
        Some(Fault::Drop) => None,
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            Some(truth)
        }
    }
}

/// Without its signatures.
fn stripped(mut response: Message) -> Message {
    let is_data = |record: &Record| record.record_type() != RecordType::RRSIG;
    response.answers.retain(is_data);
    response.authorities.retain(is_data);
    response
}

/// With one wrong bit in the first signature.
fn flipped(mut response: Message, bit: usize) -> Message {
    let signatures = response.answers.iter_mut().map(|record| &mut record.data);
    for data in signatures {
        if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = data {
            let mut octets = signature.sig().to_vec();
            let at = bit / 8 % octets.len();
            octets[at] ^= 1 << (bit % 8);
            *signature = RRSIG::from_sig(signature.input().clone(), octets);
            return response;
        }
    }
    panic!("there is no signature in {response}");
}

fn failure(query: &Message, code: ResponseCode) -> Message {
    let mut response = frame(query);
    response.metadata.response_code = code;
    response
}

fn denial(query: &Message, zone: &str) -> Message {
    let mut response = failure(query, ResponseCode::NXDomain);
    response.add_authorities(soa(zone));
    response
}

fn replayed(query: &Message, mut answers: Vec<Record>, zone: &str) -> Message {
    for record in &mut answers {
        record.name = query.queries[0].name().clone();
    }
    let mut response = frame(query);
    response.add_answers(answers);
    response.add_authorities(soa(zone));
    response
}

fn soa(zone: &str) -> Vec<Record> {
    parse_records(&format!("{zone} SOA ns. hostmaster. 1 3600 600 86400 60"))
}

/// A response without data.
fn frame(query: &Message) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.add_queries(query.queries.iter().cloned());
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.checking_disabled = query.metadata.checking_disabled;
    if query.edns.is_some() {
        response.set_edns(Edns::new());
    }
    response
}

impl State {
    fn consider(
        &mut self,
        query: &Message,
        question: &Query,
        transport: Transport,
    ) -> (Option<Fault>, Message) {
        let name = question.name().to_lowercase().to_ascii();
        let record_type = question.query_type();
        self.log.push((
            name.trim_end_matches('.').to_owned(),
            record_type,
            transport,
        ));
        (self.fault(question), self.truth(query, question))
    }

    fn fault(&self, question: &Query) -> Option<Fault> {
        let name = LowerName::new(question.name());
        let hit = |(n, t, _): &&(LowerName, Option<RecordType>, _)| {
            *n == name && t.is_none_or(|t| t == question.query_type())
        };
        self.faults.iter().rev().find(hit).map(|(.., fault)| *fault)
    }

    fn truth(&self, query: &Message, question: &Query) -> Message {
        let found = self.find(question.name(), question.query_type());
        let mut response = frame(query);
        response.metadata.response_code = found.code;
        response.metadata.authentic_data =
            asks_for_ad(query) && found.path.iter().all(|name| self.is_secure(name));
        response.add_answers(found.answers);
        response.add_authorities(found.authorities);
        response
    }

    fn find(&self, name: &Name, record_type: RecordType) -> Found {
        match &self.data {
            Data::Plain(zone) => zone.look_up(name, record_type),
            Data::Signed(tree) => tree.look_up(name, record_type),
        }
    }

    fn is_signed(&self) -> bool {
        matches!(self.data, Data::Signed(_))
    }

    fn is_secure(&self, name: &Name) -> bool {
        let name = LowerName::new(name);
        self.secure_names.contains(&name) || self.secure.iter().any(|zone| zone.zone_of(&name))
    }
}

/// RFC 6840 §5.7: a query asks for AD with the AD or the DO bit.
fn asks_for_ad(query: &Message) -> bool {
    query.metadata.authentic_data
        || query
            .edns
            .as_ref()
            .is_some_and(|edns| edns.flags().dnssec_ok)
}
