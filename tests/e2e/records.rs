//! One line for each request tells the whole trip.

use std::collections::BTreeSet;

use tests::rig::Rig;
use tests::rig::client::handshake;
use tests::rig::wait::until;

use crate::BINARIES;

#[test]
fn every_request_has_exactly_one_record_with_both_tiers_story() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    let answered =
        rig.knock("POST /orders/1?secret=canary").with(&editor).header("x-secret", "canary").body(vec![b'x'; 1000]).check("200 orders");
    let record = rig.record_of(&answered);
    assert_eq!(record["kind"], "request");
    for (field, expected) in [
        ("client.address", "127.0.0.1"),
        ("tls.protocol.version", "1.3"),
        ("network.protocol.version", "1.1"),
        ("http.request.method", "POST"),
        ("url.path", "/orders/1"),
        ("gateway.caller", "editor"),
        ("gateway.issuer", rig.issuer.url()),
        ("gateway.route", "write-orders"),
        ("gateway.service", "orders"),
        ("gateway.end", "complete"),
    ] {
        assert_eq!(record[field], *expected, "{field} in {record}");
    }
    assert!(record["server.address"].as_str().is_some_and(|host| host.starts_with("localhost:")), "{record}");
    assert_eq!(record["http.response.status_code"], 200);
    assert_eq!(record["http.request.body.size"], 1000);
    assert_eq!(record["http.response.body.size"], answered.body.len());
    assert_eq!(record["gateway.attempts"], 1);
    assert_eq!(record["gateway.instance"], rig.instances.get(&answered.instance()).address.to_string());
    assert_eq!(record["trace_id"], answered.saw("traceparent").expect("a trace")[3..35]);
    for duration in ["authentication", "tier2", "upstream", "total"] {
        let field = format!("gateway.duration.{duration}_ms");
        assert!(record[&field].as_f64().is_some_and(|ms| ms > 0.0 && ms < 20_000.0), "{field} in {record}");
    }
    assert!(record["gateway.decision"].is_string() && record.get("gateway.reason").is_none(), "{record}");
    assert!(!record.to_string().contains("canary") && !record.to_string().contains(&editor), "nothing secret is written: {record}");
}

#[test]
fn refused_requests_are_recorded_with_their_reason() {
    let rig = Rig::two_tier(&BINARIES);
    let refused = rig.knock("GET /orders/1").go();
    assert_eq!(rig.record_of(&refused)["gateway.reason"], "no-credentials");
    let refused = rig.knock("GET /users/7").with(&rig.reader()).go();
    let record = rig.record_of(&refused);
    assert_eq!(record["gateway.reason"], "not-permitted");
    assert_eq!(record["gateway.route"], "read-users");
    assert_eq!(record["http.response.status_code"], 403);
    assert!(rig.security.metric("gateway_refusals_total{reason=\"no-credentials\"}") >= 1.0);
    assert!(rig.routing.metric("gateway_refusals_total{reason=\"not-permitted\"}") >= 1.0);
}

#[test]
fn records_are_neither_lost_nor_doubled() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    let ids: BTreeSet<String> = (0..50)
        .map(|n| rig.knock(&format!("GET /orders/{n}")).with(&editor).check("200 orders").header("x-request-id").to_owned())
        .collect();
    let records = until("all 50 records are written", || Some(rig.records()).filter(|records| records.len() >= 50));
    let recorded: BTreeSet<String> = records.iter().filter_map(|record| record["request_id"].as_str().map(str::to_owned)).collect();
    assert_eq!(records.len(), 50);
    assert_eq!(ids, recorded);
    let made = rig.security.metric("gateway_requests_total{status=\"2xx\"}");
    assert!(made >= 50.0, "{made}");
}

#[test]
fn connections_have_records_of_their_own() {
    let rig = Rig::two_tier(&BINARIES);
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    let record =
        until("the connection's record is written", || rig.events("security").into_iter().find(|record| record["kind"] == "connection"));
    assert_eq!(record["tls.protocol.version"], "1.3");
    assert_eq!(record["gateway.listener"], "https");
    assert_eq!(record["gateway.requests"], 1);
    assert!(rig.records().iter().all(|record| record["kind"] == "request"));
}

#[test]
fn a_head_that_cannot_be_read_is_told_by_its_request_and_its_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rig = Rig::two_tier(&BINARIES);
    let identity = rig.identity();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let answer = runtime.block_on(async {
        let mut stream = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
        let both = b"POST /orders/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(both).await.expect("sent");
        let mut answer = Vec::new();
        // The other side may end without a close_notify once it has answered.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    });
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"reason\":\"framing-invalid\""), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "the canary behind it is never served: {answer}");
    let record = until("the request's record is written", || rig.records().into_iter().next());
    assert_eq!(record["gateway.reason"], "framing-invalid");
    assert!(record.get("http.request.method").is_none() && !record.to_string().contains("refused"), "{record}");
    let connection = until("the connection's record is written", || {
        rig.events("security").into_iter().find(|record| record["gateway.listener"] == "https")
    });
    assert_eq!(connection["gateway.reason"], "both-lengths", "{connection}");
}
