//! A name server for tests: it says what it was told to say, right or wrong, over UDP and TCP on one port, and counts what it was asked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// What is said to one question.
#[derive(Clone)]
pub(crate) enum Reply {
    Records(Vec<Record>),
    Code(ResponseCode),
    /// NOERROR with name servers instead of an answer.
    Referral,
    /// Over UDP only a cut answer; the records over TCP.
    OverTcp(Vec<Record>),
    /// The question's id and then bytes that are no message.
    Garbage,
    /// An answer to another question under another id, then nothing.
    Forged(Vec<Record>),
    Silence,
}

type Questions = Mutex<Vec<(String, RecordType)>>;

/// A running server; it ends with its owner.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Questions>,
    zone: Arc<Mutex<HashMap<(String, RecordType), Reply>>>,
    _tasks: JoinSet<()>,
}

impl FakeServer {
    pub(crate) async fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let (asked, zone) = (Arc::new(Questions::default()), Arc::new(Mutex::new(HashMap::new())));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&asked), Arc::clone(&zone)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&asked), Arc::clone(&zone)));
        Self { address, asked, zone, _tasks: tasks }
    }

    /// From now on `name` is answered so. What is not set does not exist.
    pub(crate) fn set(&self, name: &str, kind: RecordType, reply: Reply) {
        self.zone.lock().unwrap().insert((name.to_owned(), kind), reply);
    }

    pub(crate) fn set_both(&self, name: &str, reply: &Reply) {
        self.set(name, RecordType::A, reply.clone());
        self.set(name, RecordType::AAAA, reply.clone());
    }

    /// How often `name` was asked for, in whichever kind.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == name).count()
    }

    /// All questions of one kind in their order.
    pub(crate) fn questions(&self, kind: RecordType) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|(_, asked)| *asked == kind).map(|(name, _)| name.clone()).collect()
    }
}

/// An address record.
pub(crate) fn address(name: &str, ttl: u32, address: &str) -> Record {
    let data = match IpAddr::from_str(address).unwrap() {
        IpAddr::V4(four) => RData::A(A(four)),
        IpAddr::V6(six) => RData::AAAA(AAAA(six)),
    };
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, data)
}

/// An alias.
pub(crate) fn alias(name: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, RData::CNAME(CNAME(Name::from_ascii(target).unwrap())))
}

/// A service record: priority, weight, port.
pub(crate) fn service(name: &str, ttl: u32, order: (u16, u16, u16), target: &str) -> Record {
    let srv = SRV::new(order.0, order.1, order.2, Name::from_ascii(target).unwrap());
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, RData::SRV(srv))
}

async fn serve_udp(socket: UdpSocket, asked: Arc<Questions>, zone: Arc<Mutex<HashMap<(String, RecordType), Reply>>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some(bytes) = reply(&buffer[..length], false, &asked, &zone) {
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, asked: Arc<Questions>, zone: Arc<Mutex<HashMap<(String, RecordType), Reply>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; usize::from(length)];
            if stream.read_exact(&mut question).await.is_err() {
                break;
            }
            if let Some(bytes) = reply(&question, true, &asked, &zone) {
                stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        }
    }
}

fn reply(question: &[u8], tcp: bool, asked: &Questions, zone: &Mutex<HashMap<(String, RecordType), Reply>>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries.first().unwrap().clone();
    let key = (query.name().to_ascii().trim_end_matches('.').to_owned(), query.query_type());
    asked.lock().unwrap().push(key.clone());
    let told = zone.lock().unwrap().get(&key).cloned();
    let mut message = Message::response(question.id, OpCode::Query);
    message.add_query(query.clone());
    match told.unwrap_or(Reply::Code(ResponseCode::NXDomain)) {
        Reply::Records(records) => drop(message.add_answers(records)),
        Reply::Code(code) => message.metadata.response_code = code,
        Reply::Referral => {
            let ns = RData::NS(NS(Name::from_ascii("ns.elsewhere.").unwrap()));
            message.add_authority(Record::from_rdata(query.name().clone(), 60, ns));
        }
        Reply::OverTcp(records) if tcp => drop(message.add_answers(records)),
        Reply::OverTcp(_) => message.metadata.truncation = true,
        Reply::Garbage => {
            let mut bytes = question.id.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0xff; 40]);
            return Some(bytes);
        }
        Reply::Forged(records) => {
            message.metadata.id = question.id.wrapping_add(1);
            message.add_answers(records);
        }
        Reply::Silence => return None,
    }
    Some(message.to_vec().unwrap())
}
