//! The DNS server of the stage: UDP and TCP on one address.
//!
//! In: datagrams and streams (RFC 7766). Out: the answers of [`crate::stage::dns`]. Refuses: more than
//! [`CONNECTIONS_MAX`] streams at once, which wait in the queue of the kernel. Never: outlives its `serve` future.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::stage::dns::{Transport, answer, failure, forged, garbled};
use crate::stage::zone_handle::{Conduct, ZoneHandle};

/// Streams served at once.
pub const CONNECTIONS_MAX: usize = 64;
/// A stream on which nothing comes is closed.
pub const IDLE_SECONDS_MAX: u64 = 10;
/// How often a pair of sockets on one free port is looked for.
const BIND_TRIES_MAX: usize = 16;

/// A bound server that does not answer yet.
pub struct DnsServer {
    udp: UdpSocket,
    tcp: TcpListener,
    zone: ZoneHandle,
}

impl DnsServer {
    /// Binds UDP and TCP on `address`; port 0 means any port that is free for both.
    ///
    /// # Errors
    /// What the system says about the address.
    pub async fn bind(address: SocketAddr, zone: ZoneHandle) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let udp = UdpSocket::bind(address).await?;
            match TcpListener::bind(udp.local_addr()?).await {
                Ok(tcp) => return Ok(Self { udp, tcp, zone }),
                // The port was free for one of the two only.
                Err(_) if address.port() == 0 && tries < BIND_TRIES_MAX => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it answers, over both.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers until the future is dropped.
    pub async fn serve(self) {
        let Self { udp, tcp, zone } = self;
        tokio::join!(datagrams(&udp, &zone), streams(&tcp, &zone));
    }
}

async fn datagrams(socket: &UdpSocket, zone: &ZoneHandle) {
    let mut bytes = vec![0; 4096];
    loop {
        match socket.recv_from(&mut bytes).await {
            Ok((length, asker)) => {
                if let Some(reply) = reply(zone, &bytes[..length], Transport::Udp) {
                    // An asker that is gone is not our concern.
                    let _unreachable = socket.send_to(&reply, asker).await;
                }
            }
            // The kernel reports others' failures (ICMP) here; a pause keeps a broken socket from spinning.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn streams(listener: &TcpListener, zone: &ZoneHandle) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => { open.spawn(stream_of_questions(stream, zone.clone())); }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
}

/// Each message stands behind its length in two bytes (RFC 1035 §4.2.2). Any failure ends the stream.
async fn stream_of_questions(mut stream: TcpStream, zone: ZoneHandle) {
    while let Ok(Ok(())) = timeout(Duration::from_secs(IDLE_SECONDS_MAX), one_question(&mut stream, &zone)).await {}
}

async fn one_question(stream: &mut TcpStream, zone: &ZoneHandle) -> io::Result<()> {
    let length = stream.read_u16().await?;
    let mut request = vec![0; usize::from(length)];
    stream.read_exact(&mut request).await?;
    let reply = reply(zone, &request, Transport::Tcp).ok_or(io::ErrorKind::ConnectionAborted)?;
    let length = u16::try_from(reply.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&reply);
    stream.write_all(&framed).await
}

fn reply(zone: &ZoneHandle, request: &[u8], transport: Transport) -> Option<Vec<u8>> {
    zone.asked();
    match zone.now() {
        (zone, Conduct::Answers) => answer(&zone, request, transport),
        (_, Conduct::Silent) => None,
        (_, Conduct::Fails) => failure(request, ResponseCode::ServFail),
        (_, Conduct::Refuses) => failure(request, ResponseCode::Refused),
        (_, Conduct::Garbles) => garbled(request),
        (zone, Conduct::Forges) => answer(&zone, request, transport).map(forged),
    }
}

#[cfg(test)]
mod tests;
