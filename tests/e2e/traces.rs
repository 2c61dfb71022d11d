//! Sampled requests leave spans at a collector, under the name that the configuration gives the process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use tests::rig::scene::Scene;

use crate::BINARIES;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_span_arrives_under_the_name_of_its_process() {
    let collector = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a collector");
    let endpoint = format!("http://{}", collector.local_addr().expect("an address"));
    let rig = Scene::default()
        .routing("\nworkers: 2", &format!("\nname: router-b\ntraces: {{ otlp: {{ endpoint: \"{endpoint}\" }} }}\nworkers: 2"))
        .raise(&BINARIES);
    rig.knock("GET /orders/1").with(&rig.editor()).header("traceparent", TRACE).check("200 orders");

    let (mut export, _) = collector.accept().expect("an export");
    export.set_read_timeout(Some(tests::rig::wait::PATIENCE)).expect("a limit");
    let mut bytes = Vec::new();
    let trace_id: Vec<u8> = (3..35).step_by(2).map(|at| u8::from_str_radix(&TRACE[at..at + 2], 16).expect("hex")).collect();
    let has = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    while !(has(&bytes, &trace_id) && has(&bytes, b"router-b")) {
        let mut chunk = [0; 4096];
        let read = export.read(&mut chunk).expect("the rest of the export");
        assert!(read > 0, "the export ended without the span: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..read]);
    }
    assert!(bytes.starts_with(b"POST /v1/traces HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&bytes));
    export.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").expect("answered");
}
