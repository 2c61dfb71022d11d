//! The server asked over real sockets, by hickory's codec.

use std::net::Ipv4Addr;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::*;

const ZONE: &str = "_http._tcp.orders.demo. 2 SRV 0 1 9201 orders-1.demo.\n\
                    _http._tcp.orders.demo. 2 SRV 0 1 9202 orders-2.demo.\n\
                    orders-1.demo. 2 A 127.0.0.1\norders-2.demo. 2 AAAA ::1\n\
                    alias.demo. 2 CNAME orders-1.demo.\naway.demo. 2 CNAME www.example.\nround.demo. 2 CNAME round.demo.\n";

/// Runs `asking` against a server on free ports; the server ends with it.
fn with_server<F: Future<Output = ()>>(text: &str, asking: impl FnOnce(SocketAddr, ZoneHandle) -> F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let zone = ZoneHandle::new("demo.", text).unwrap();
        let server = DnsServer::bind((Ipv4Addr::LOCALHOST, 0).into(), zone.clone()).await.unwrap();
        let address = server.address().unwrap();
        tokio::select! { () = server.serve() => unreachable!(), () = asking(address, zone) => {} }
    });
}

fn query(name: &str, kind: RecordType, payload: Option<u16>) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(bytes) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(bytes);
        message.set_edns(edns);
    }
    message
}

async fn raw_udp(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(bytes, server).await.unwrap();
    let mut reply = vec![0; 65_535];
    let (length, _) = timeout(Duration::from_secs(5), socket.recv_from(&mut reply)).await.unwrap().unwrap();
    Message::from_vec(&reply[..length]).unwrap()
}

async fn udp(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let question = query(name, kind, Some(4096));
    let reply = raw_udp(server, &question.to_vec().unwrap()).await;
    assert_eq!((reply.metadata.id, &reply.queries), (question.metadata.id, &question.queries));
    reply
}

async fn tcp(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = query(name, kind, None).to_vec().unwrap();
    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut reply).await.unwrap();
    Message::from_vec(&reply).unwrap()
}

fn data(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {} {}", record.name, record.ttl, record.data)).collect()
}

#[test]
fn srv_comes_with_the_addresses_of_its_targets_over_udp_and_tcp() {
    with_server(ZONE, |server, _| async move {
        for reply in
            [udp(server, "_http._tcp.orders.demo.", RecordType::SRV).await, tcp(server, "_http._tcp.orders.demo.", RecordType::SRV).await]
        {
            assert!(reply.metadata.authoritative && !reply.metadata.truncation);
            assert_eq!(
                data(&reply.answers),
                ["_http._tcp.orders.demo. 2 0 1 9201 orders-1.demo.", "_http._tcp.orders.demo. 2 0 1 9202 orders-2.demo."]
            );
            assert_eq!(data(&reply.additionals), ["orders-1.demo. 2 127.0.0.1", "orders-2.demo. 2 ::1"]);
        }
    });
}

#[test]
fn what_is_not_there_is_told_apart() {
    with_server(ZONE, |server, _| async move {
        for (name, kind, code, authoritative) in [
            ("nobody.demo.", RecordType::A, ResponseCode::NXDomain, true),
            ("orders-1.demo.", RecordType::AAAA, ResponseCode::NoError, true),
            ("_tcp.orders.demo.", RecordType::A, ResponseCode::NoError, true),
            ("demo.", RecordType::A, ResponseCode::NoError, true),
            ("www.example.", RecordType::A, ResponseCode::Refused, false),
            ("demo.", RecordType::AXFR, ResponseCode::Refused, false),
            ("round.demo.", RecordType::A, ResponseCode::ServFail, true),
        ] {
            let reply = udp(server, name, kind).await;
            assert_eq!((reply.metadata.response_code, reply.metadata.authoritative), (code, authoritative), "{name} {kind}");
            let negative = authoritative && code != ResponseCode::ServFail;
            assert_eq!(
                reply.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).count(),
                usize::from(negative),
                "{name} {kind}"
            );
        }
    });
}

#[test]
fn aliases_are_followed_inside_the_zone() {
    with_server(ZONE, |server, _| async move {
        let reply = udp(server, "ALIAS.demo.", RecordType::A).await;
        assert_eq!(data(&reply.answers), ["ALIAS.demo. 2 orders-1.demo.", "orders-1.demo. 2 127.0.0.1"]);
        let reply = udp(server, "away.demo.", RecordType::A).await;
        assert_eq!(
            (data(&reply.answers), reply.metadata.response_code),
            (vec!["away.demo. 2 www.example.".to_owned()], ResponseCode::NoError)
        );
    });
}

#[test]
fn an_answer_beyond_the_datagram_is_cut_and_whole_over_tcp() {
    let many: String = (0..200).map(|n| format!("many.demo. 2 A 127.0.1.{n}\n")).collect();
    with_server(&many, |server, _| async move {
        for (payload, bytes_max) in [(None, 512), (Some(4096), 1232)] {
            let reply = raw_udp(server, &query("many.demo.", RecordType::A, payload).to_vec().unwrap()).await;
            assert!(reply.metadata.truncation && reply.answers.is_empty());
            assert!(reply.to_vec().unwrap().len() <= bytes_max);
            assert_eq!(reply.edns.is_some(), payload.is_some());
        }
        let whole = tcp(server, "many.demo.", RecordType::A).await;
        assert_eq!((whole.answers.len(), whole.metadata.truncation), (200, false));
    });
}

#[test]
fn hostile_bytes_get_an_error_or_nothing() {
    with_server(ZONE, |server, zone| async move {
        let mut newer = query("orders-1.demo.", RecordType::A, Some(1232));
        if let Some(edns) = newer.edns.as_mut() {
            edns.set_version(1);
        }
        let reply = raw_udp(server, &newer.to_vec().unwrap()).await;
        let high = reply.edns.as_ref().map(Edns::rcode_high);
        assert_eq!((high, reply.answers.len()), (Some(1), 0), "BADVERS is 16: its high half stands in the OPT record");
        let reply = raw_udp(server, &[&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0xff; 9]].concat()).await;
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (0x0707, ResponseCode::FormErr));
        let (zone, _) = zone.now();
        assert_eq!(answer(&zone, &[0; 11], Transport::Udp), None);
        let mut echo = query("orders-1.demo.", RecordType::A, None);
        echo.metadata.message_type = hickory_proto::op::MessageType::Response;
        assert_eq!(
            answer(&zone, &echo.to_vec().unwrap(), Transport::Udp),
            None,
            "an answer is not answered: two servers could talk for ever"
        );
    });
}

#[test]
fn a_changed_zone_and_a_changed_conduct_are_seen_by_the_next_question() {
    with_server(ZONE, |server, zone| async move {
        assert_eq!(udp(server, "new.demo.", RecordType::A).await.metadata.response_code, ResponseCode::NXDomain);
        zone.set("new.demo. 1 A 127.0.0.9").unwrap();
        assert_eq!(data(&udp(server, "new.demo.", RecordType::A).await.answers), ["new.demo. 1 127.0.0.9"]);
        assert!(zone.set("new.demo. 1 A").is_err());
        assert_eq!(zone.now().0.records(), 1);
        zone.conduct(Conduct::Fails);
        assert_eq!(udp(server, "new.demo.", RecordType::A).await.metadata.response_code, ResponseCode::ServFail);
        zone.conduct(Conduct::Refuses);
        assert_eq!(udp(server, "new.demo.", RecordType::A).await.metadata.response_code, ResponseCode::Refused);
        let asked = zone.questions();
        assert_eq!(asked, 4);
    });
}

#[test]
fn garbage_is_no_message_and_a_forged_answer_is_a_good_one_under_another_id() {
    with_server(ZONE, |server, zone| async move {
        let question = query("orders-1.demo.", RecordType::A, None);
        let good = raw_udp(server, &question.to_vec().unwrap()).await;
        zone.conduct(Conduct::Forges);
        let forged = raw_udp(server, &question.to_vec().unwrap()).await;
        assert_ne!(forged.metadata.id, question.metadata.id);
        assert_eq!(forged.answers, good.answers);
        let bytes = question.to_vec().unwrap();
        let garbage = garbled(&bytes).unwrap();
        assert_eq!(garbage[..2], bytes[..2]);
        assert!(Message::from_vec(&garbage).is_err());
        assert_eq!(garbled(&bytes[..1]), None);
    });
}
