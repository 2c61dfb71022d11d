//! The server: one port of loopback, UDP and TCP.
//!
//! In: scripts, questions. Out: what the scripts say, and the counts. A datagram that is no question is passed over. Ends with its owner.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::book::{Asked, Book, Key};
use crate::records::address;
use crate::reply::{Reply, Script};
use crate::spoken::{Spoken, speak};

/// Ports that are free for TCP and taken for UDP are rare.
const PORTS_TRIED: usize = 20;

/// A running server; it ends with its owner.
pub struct ScriptedDns {
    address: SocketAddr,
    book: Arc<Book>,
    _tasks: JoinSet<()>,
}

impl ScriptedDns {
    /// Starts on a free port of 127.0.0.1, on the runtime that it is called on.
    pub async fn start() -> Self {
        for _ in 0..PORTS_TRIED {
            let Ok(tcp) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
            let Ok(address) = tcp.local_addr() else { continue };
            let Ok(udp) = UdpSocket::bind(address).await else { continue };
            let book = Arc::new(Book::new());
            let mut tasks = JoinSet::new();
            tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&book)));
            tasks.spawn(serve_tcp(tcp, Arc::clone(&book)));
            return Self { address, book, _tasks: tasks };
        }
        panic!("no port of loopback is free for a name server");
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on questions for `name` of this type are answered so. What is not set does not exist.
    pub fn set(&self, name: &str, kind: RecordType, script: impl Into<Script>) {
        self.book.set(key(name, kind), script.into());
    }

    /// As [`ScriptedDns::set`] for A and AAAA alike.
    pub fn set_both(&self, name: &str, script: impl Into<Script>) {
        let script = script.into();
        self.set(name, RecordType::A, script.clone());
        self.set(name, RecordType::AAAA, script);
    }

    /// `name` has these addresses, each in its own family, and no others.
    pub fn set_addresses(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let records: Vec<Record> = addresses.iter().map(|text| address(name, ttl, text)).collect();
        for kind in [RecordType::A, RecordType::AAAA] {
            let of_kind: Vec<Record> = records.iter().filter(|record| record.record_type() == kind).cloned().collect();
            self.set(name, kind, if of_kind.is_empty() { Reply::Empty } else { Reply::records(of_kind) });
        }
    }

    /// Everything is answered so from now on, whatever the scripts say; they stay where they are.
    pub fn to_all(&self, reply: Reply) {
        self.book.to_all(Some(reply));
    }

    /// The scripts hold again.
    pub fn as_scripted(&self) {
        self.book.to_all(None);
    }

    /// How often `name` was asked for, in whichever type. A repeated datagram, and the way over TCP after a cut answer, count as nothing more.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        let name = key(name, RecordType::A).0;
        self.book.order().iter().filter(|(asked, _)| *asked == name).count()
    }

    /// How often `name` was asked for in this type; as [`ScriptedDns::asked`].
    #[must_use]
    pub fn asked_for(&self, name: &str, kind: RecordType) -> usize {
        self.book.count(&key(name, kind))
    }

    /// How often it was asked for over TCP.
    #[must_use]
    pub fn asked_over_tcp(&self, name: &str, kind: RecordType) -> usize {
        self.book.over_tcp(&key(name, kind))
    }

    /// The most questions for `name` of this type that were under way at a time. One to which nothing is said is not under way.
    #[must_use]
    pub fn most_at_once(&self, name: &str, kind: RecordType) -> usize {
        self.book.most(&key(name, kind))
    }

    /// The names asked for in this type, in their order.
    #[must_use]
    pub fn questions(&self, kind: RecordType) -> Vec<String> {
        self.book.order().into_iter().filter(|(_, asked)| *asked == kind).map(|(name, _)| name).collect()
    }

    /// Returns when `name` has been asked for in this type so often.
    pub async fn until_asked(&self, name: &str, kind: RecordType, times: usize) {
        let mut news = self.book.news();
        while self.asked_for(name, kind) < times {
            if news.changed().await.is_err() {
                return;
            }
        }
    }
}

fn key(name: &str, kind: RecordType) -> Key {
    (name.trim_end_matches('.').to_ascii_lowercase(), kind)
}

async fn serve_udp(socket: Arc<UdpSocket>, book: Arc<Book>) {
    let mut buffer = [0; 4096];
    let mut answering = JoinSet::new();
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        while answering.try_join_next().is_some() {}
        let Some(heard) = buffer.get(..length).and_then(|bytes| hear(bytes, false)) else { continue };
        let (socket, book) = (Arc::clone(&socket), Arc::clone(&book));
        answering.spawn(async move {
            let Some(said) = answer(&heard, &book).await else { return };
            for message in said.messages {
                let _ = socket.send_to(&message, from).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, book: Arc<Book>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(stream, Arc::clone(&book)));
    }
}

/// One connection, one question after the other (RFC 7766).
async fn converse(mut stream: TcpStream, book: Arc<Book>) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; usize::from(length)];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        let Some(heard) = hear(&question, true) else { return };
        let Some(said) = answer(&heard, &book).await else { continue };
        for message in &said.messages {
            let Ok(length) = u16::try_from(message.len()) else { return };
            let framed = [&length.to_be_bytes()[..], message].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
        if said.closed {
            return;
        }
    }
}

/// A question as it came.
struct Heard {
    message: Message,
    query: Query,
    asked: Asked,
}

fn hear(bytes: &[u8], tcp: bool) -> Option<Heard> {
    let message = Message::from_vec(bytes).ok()?;
    let query = message.queries.first()?.clone();
    let asked = Asked { key: key(&query.name().to_ascii(), query.query_type()), id: message.metadata.id, tcp };
    Some(Heard { message, query, asked })
}

async fn answer(heard: &Heard, book: &Book) -> Option<Spoken> {
    let (reply, is_new) = book.reply(&heard.asked)?;
    if let Reply::Held(gate, _) = &reply {
        gate.opened().await;
    }
    let said = speak(&heard.message, &heard.query, &reply, heard.asked.tcp);
    // Before it is on its way: whoever has the answer may ask again at once.
    if said.cut && !heard.asked.tcp {
        book.cut(&heard.asked.key, &reply);
    }
    if is_new {
        book.done(&heard.asked.key);
    }
    Some(said)
}
