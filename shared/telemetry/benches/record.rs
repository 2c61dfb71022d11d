//! What one request record of 25 fields costs the worker that writes it.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use telemetry::json::Line;
use telemetry::metrics::Metrics;
use telemetry::names::field;
use telemetry::record::plan::{RecordsPlan, SinkPlan, Target, WhenFull};
use telemetry::record::{Kind, Records};

fn line(out: &mut Vec<u8>) {
    let mut line = Line::open(out);
    line.time(field::TIME, black_box(1_767_225_600_123))
        .str(field::KIND, Kind::Request.as_str())
        .hex(field::TRACE_ID, black_box(&[0x4b; 16]))
        .str(field::REQUEST_ID, black_box("01941f29-7c00-7aaa-8bbb-0123456789ab"))
        .str(field::LISTENER, black_box("https"))
        .u64(field::CONNECTION, black_box(4711))
        .ip(field::CLIENT_ADDRESS, black_box(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77))))
        .u64(field::CLIENT_PORT, black_box(51_234))
        .str(field::TLS_PROTOCOL_VERSION, black_box("1.3"))
        .str(field::NETWORK_PROTOCOL_VERSION, black_box("2"))
        .str(field::HTTP_REQUEST_METHOD, black_box("GET"))
        .str(field::SERVER_ADDRESS, black_box("api.example.org"))
        .str(field::URL_PATH, black_box("/orders/8f14e45f-ceea-467f/items/17"))
        .u64(field::HTTP_RESPONSE_STATUS_CODE, black_box(200))
        .u64(field::HTTP_REQUEST_BODY_SIZE, black_box(0))
        .u64(field::HTTP_RESPONSE_BODY_SIZE, black_box(1834))
        .str(field::CALLER, black_box("8c1b3f0e-editor@example.org"))
        .str(field::ISSUER, black_box("https://login.example.org/realms/main"))
        .str(field::ROUTE, black_box("read-orders"))
        .str(field::SERVICE, black_box("orders"))
        .str(field::INSTANCE, black_box("10.20.30.40:9301"))
        .u64(field::ATTEMPTS, black_box(1))
        .ms(field::DURATION_AUTHENTICATION_MS, black_box(Duration::from_micros(12)))
        .us_as_ms(field::DURATION_UPSTREAM_MS, black_box(2345))
        .ms(field::DURATION_TOTAL_MS, black_box(Duration::from_micros(3456)));
    line.close();
}

fn record(criterion: &mut Criterion) {
    let mut out = Vec::with_capacity(4096);
    criterion.bench_function("line of 25 fields", |bencher| {
        bencher.iter(|| {
            out.clear();
            line(&mut out);
            black_box(out.len())
        });
    });

    let path = std::env::temp_dir().join(format!("telemetry-bench-{}", std::process::id()));
    let to = Target::File { path: path.clone(), written: "bench".to_owned() };
    let sink = |to| SinkPlan {
        to,
        kinds: Kind::ALL.to_vec(),
        when_full: WhenFull::DropNewest,
        flush: Duration::from_millis(200),
        queue_bytes_max: 8 << 20,
    };
    // The null device takes everything: the record's way is measured, not a disk.
    let null = Target::File { path: "/dev/null".into(), written: "null".to_owned() };
    for (name, to) in [("record into a buffer, sink null", null), ("record into a buffer, sink file", to)] {
        let records = Records::open(&RecordsPlan { sinks: vec![sink(to)] }, &Metrics::new());
        let Ok(records) = records else { continue };
        let buffer = records.buffer();
        criterion.bench_function(name, |bencher| bencher.iter(|| buffer.write(Kind::Request, line)));
    }
    // Removing a file that is not there is no fault worth telling.
    let _ = std::fs::remove_file(path);
}

criterion_group!(benches, record);
criterion_main!(benches);
