//! The record of one connection, written when it has closed, whatever became of it.
//!
//! In: the facts that `host` gathered. Out: one JSON line. It is also the only trace of what failed before a request
//! head had parsed: a handshake, a protocol error, a scan.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::json::Line;
use crate::names::field;
use crate::record::Kind;
use crate::record::buffer::RecordBuffer;

/// The facts of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionRecord<'a> {
    /// When it was accepted, in Unix milliseconds.
    pub time_ms: u64,
    /// Its number over the life of the process; request records carry the same.
    pub connection: u64,
    /// The name of the listener.
    pub listener: &'a str,
    /// Who is at the other end; where `proxy` has told it, not of the socket.
    pub peer: Peer,
    /// The proxy at the other end of the socket, where it has told by a PROXY header who the peer is.
    pub proxy: Option<SocketAddr>,
    /// The address that the client is known by, where a trusted proxy told of another one than the socket's.
    pub client: Option<IpAddr>,
    /// The address that was connected to, where there is one.
    pub local: Option<SocketAddr>,
    /// `1.1` or `2`; `None` when the connection ended before it was known.
    pub protocol_version: Option<&'a str>,
    /// What the handshake agreed on; `None` on plain connections and failed handshakes.
    pub tls: Option<TlsRecord<'a>>,
    /// Requests begun on it.
    pub requests: u64,
    /// Bytes read from it, after TLS.
    pub bytes_in: u64,
    /// Bytes written to it, before TLS.
    pub bytes_out: u64,
    /// From accept to close.
    pub duration: Duration,
    /// How it ended, one word.
    pub end: &'a str,
    /// The stable reason code, when the gateway ended it.
    pub reason: Option<&'a str>,
}

/// The other end of a socket.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A process on this host.
    Unix {
        /// Its effective user id.
        uid: u32,
        /// Its process id, where the kernel tells it.
        pid: Option<i32>,
    },
}

/// What a TLS handshake agreed on.
#[derive(Clone, Copy, Debug)]
pub struct TlsRecord<'a> {
    /// `1.2` or `1.3`.
    pub version: &'a str,
    /// IANA name of the cipher suite.
    pub cipher: &'a str,
    /// Name of the key-exchange group.
    pub curve: Option<&'a str>,
    /// The protocol that ALPN chose.
    pub alpn: Option<&'a str>,
    /// The name that the client asked for (SNI).
    pub server_name: Option<&'a str>,
    /// Names of the verified client certificate; empty without one.
    pub peer_names: &'a [String],
    /// SHA-256 of the client's certificate in DER.
    pub peer_fingerprint: Option<&'a [u8; 32]>,
}

impl ConnectionRecord<'_> {
    /// Writes the record to the sinks that take connections.
    pub fn write(&self, records: &RecordBuffer) {
        records.write(Kind::Connection, |out| self.line(out));
    }

    /// Appends the record's JSON object, without a newline.
    pub fn line(&self, out: &mut Vec<u8>) {
        let mut line = Line::open(out);
        line.time(field::TIME, self.time_ms)
            .str(field::KIND, Kind::Connection.as_str())
            .str(field::LISTENER, self.listener)
            .u64(field::CONNECTION, self.connection);
        self.ends(&mut line);
        line.opt_str(field::NETWORK_PROTOCOL_VERSION, self.protocol_version).bool(field::TLS_ESTABLISHED, self.tls.is_some());
        if let Some(tls) = &self.tls {
            tls.fields(&mut line);
        }
        line.u64(field::REQUESTS, self.requests)
            .u64(field::BYTES_IN, self.bytes_in)
            .u64(field::BYTES_OUT, self.bytes_out)
            .ms(field::DURATION_TOTAL_MS, self.duration)
            .str(field::END, self.end)
            .opt_str(field::REASON, self.reason);
        line.close();
    }

    /// Both ends. `client.*` is the client as it is believed to be, `network.peer.*` the socket's other end where that
    /// is somebody else.
    fn ends(&self, line: &mut Line<'_>) {
        match self.peer {
            Peer::Tcp(peer) => {
                line.str(field::NETWORK_TRANSPORT, "tcp");
                if let Some(proxy) = self.proxy {
                    line.ip(field::CLIENT_ADDRESS, peer.ip())
                        .u64(field::CLIENT_PORT, u64::from(peer.port()))
                        .ip(field::NETWORK_PEER_ADDRESS, proxy.ip())
                        .u64(field::NETWORK_PEER_PORT, u64::from(proxy.port()));
                    return self.local(line);
                }
                match self.client.filter(|client| client.to_canonical() != peer.ip().to_canonical()) {
                    Some(client) => line
                        .ip(field::CLIENT_ADDRESS, client)
                        .ip(field::NETWORK_PEER_ADDRESS, peer.ip())
                        .u64(field::NETWORK_PEER_PORT, u64::from(peer.port())),
                    None => line.ip(field::CLIENT_ADDRESS, peer.ip()).u64(field::CLIENT_PORT, u64::from(peer.port())),
                };
            }
            Peer::Unix { uid, pid } => {
                line.str(field::NETWORK_TRANSPORT, "unix").u64(field::PEER_UID, u64::from(uid));
                line.opt_u64(field::PEER_PID, pid.and_then(|pid| u64::try_from(pid).ok()));
                if let Some(client) = self.client {
                    line.ip(field::CLIENT_ADDRESS, client);
                }
            }
        }
        self.local(line);
    }

    fn local(&self, line: &mut Line<'_>) {
        if let Some(local) = self.local {
            line.ip(field::NETWORK_LOCAL_ADDRESS, local.ip()).u64(field::NETWORK_LOCAL_PORT, u64::from(local.port()));
        }
    }
}

impl TlsRecord<'_> {
    fn fields(&self, line: &mut Line<'_>) {
        line.str(field::TLS_PROTOCOL_VERSION, self.version)
            .str(field::TLS_CIPHER, self.cipher)
            .opt_str(field::TLS_CURVE, self.curve)
            .opt_str(field::TLS_NEXT_PROTOCOL, self.alpn)
            .opt_str(field::SERVER_ADDRESS, self.server_name);
        if !self.peer_names.is_empty() {
            line.strs(field::PEER, self.peer_names);
        }
        if let Some(fingerprint) = self.peer_fingerprint {
            line.hex_upper(field::TLS_CLIENT_HASH_SHA256, fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use crate::connection_record::{ConnectionRecord, Peer, TlsRecord};

    fn plain() -> ConnectionRecord<'static> {
        ConnectionRecord {
            time_ms: 1_767_225_600_123,
            connection: 4711,
            listener: "https",
            peer: Peer::Tcp("203.0.113.7:51234".parse().unwrap()),
            proxy: None,
            client: None,
            local: Some("[2001:db8::1]:8443".parse().unwrap()),
            protocol_version: None,
            tls: None,
            requests: 0,
            bytes_in: 17,
            bytes_out: 0,
            duration: Duration::from_micros(1_234_567),
            end: "handshake_failed",
            reason: None,
        }
    }

    fn check(record: &ConnectionRecord<'_>, expected: &Expect) {
        let mut out = Vec::new();
        record.line(&mut out);
        let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert!(parsed.is_object());
        expected.assert_eq(&String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_connection_that_never_spoke() {
        check(
            &plain(),
            &expect![[
                r#"{"time":"2026-01-01T00:00:00.123Z","kind":"connection","gateway.listener":"https","gateway.connection":4711,"network.transport":"tcp","client.address":"203.0.113.7","client.port":51234,"network.local.address":"2001:db8::1","network.local.port":8443,"tls.established":false,"gateway.requests":0,"gateway.bytes.in":17,"gateway.bytes.out":0,"gateway.duration.total_ms":1234.567,"gateway.end":"handshake_failed"}"#
            ]],
        );
    }

    #[test]
    fn a_connection_with_everything() {
        let peer_names = ["dns:client.example".to_owned(), "uri:spiffe://example/a\"b".to_owned()];
        let tls = TlsRecord {
            version: "1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            curve: Some("X25519MLKEM768"),
            alpn: Some("h2"),
            server_name: Some("api.example.org"),
            peer_names: &peer_names,
            peer_fingerprint: Some(&[0xab; 32]),
        };
        let record = ConnectionRecord {
            client: Some("198.51.100.9".parse().unwrap()),
            protocol_version: Some("2"),
            tls: Some(tls),
            requests: 12,
            bytes_out: 1 << 40,
            end: "refused",
            reason: Some("framing-invalid"),
            ..plain()
        };
        check(
            &record,
            &expect![[
                r#"{"time":"2026-01-01T00:00:00.123Z","kind":"connection","gateway.listener":"https","gateway.connection":4711,"network.transport":"tcp","client.address":"198.51.100.9","network.peer.address":"203.0.113.7","network.peer.port":51234,"network.local.address":"2001:db8::1","network.local.port":8443,"network.protocol.version":"2","tls.established":true,"tls.protocol.version":"1.3","tls.cipher":"TLS_AES_256_GCM_SHA384","tls.curve":"X25519MLKEM768","tls.next_protocol":"h2","server.address":"api.example.org","gateway.peer":["dns:client.example","uri:spiffe://example/a\"b"],"tls.client.hash.sha256":"ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB","gateway.requests":12,"gateway.bytes.in":17,"gateway.bytes.out":1099511627776,"gateway.duration.total_ms":1234.567,"gateway.end":"refused","gateway.reason":"framing-invalid"}"#
            ]],
        );
    }

    #[test]
    fn a_connection_over_a_unix_socket() {
        let record = ConnectionRecord {
            peer: Peer::Unix { uid: 1000, pid: Some(77) },
            local: None,
            end: "complete",
            protocol_version: Some("1.1"),
            ..plain()
        };
        check(
            &record,
            &expect![[
                r#"{"time":"2026-01-01T00:00:00.123Z","kind":"connection","gateway.listener":"https","gateway.connection":4711,"network.transport":"unix","gateway.peer.uid":1000,"gateway.peer.pid":77,"network.protocol.version":"1.1","tls.established":false,"gateway.requests":0,"gateway.bytes.in":17,"gateway.bytes.out":0,"gateway.duration.total_ms":1234.567,"gateway.end":"complete"}"#
            ]],
        );
    }

    #[test]
    fn a_proxy_that_told_of_its_client_stands_beside_it() {
        let record = ConnectionRecord { proxy: Some("10.0.0.9:40000".parse().unwrap()), ..plain() };
        check(
            &record,
            &expect![[
                r#"{"time":"2026-01-01T00:00:00.123Z","kind":"connection","gateway.listener":"https","gateway.connection":4711,"network.transport":"tcp","client.address":"203.0.113.7","client.port":51234,"network.peer.address":"10.0.0.9","network.peer.port":40000,"network.local.address":"2001:db8::1","network.local.port":8443,"tls.established":false,"gateway.requests":0,"gateway.bytes.in":17,"gateway.bytes.out":0,"gateway.duration.total_ms":1234.567,"gateway.end":"handshake_failed"}"#
            ]],
        );
    }

    #[test]
    fn an_address_mapped_into_ipv6_is_not_somebody_elses() {
        let mapped = ConnectionRecord {
            peer: Peer::Tcp("[::ffff:203.0.113.7]:51234".parse().unwrap()),
            client: Some("203.0.113.7".parse().unwrap()),
            ..plain()
        };
        let (mut with, mut without) = (Vec::new(), Vec::new());
        mapped.line(&mut with);
        plain().line(&mut without);
        assert_eq!(with, without);
    }
}
