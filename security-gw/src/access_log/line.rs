//! The request record as one JSON line. Its field names are a promise; `telemetry::names::field` says what each means.

use std::time::Duration;

use telemetry::json::Line;
use telemetry::names::field;
use telemetry::record::Kind;
use telemetry::traces::http_span::known_method;
use wire::connection::PeerAddress;
use wire::guard::REFUSED_METHOD;

use crate::access_log::End;
use crate::docket::Docket;

/// Bytes of a path that stand in a record; the rest is cut.
const PATH_BYTES_MAX: usize = 2_048;

/// Writes the line.
pub(super) fn write(out: &mut Vec<u8>, docket: &Docket, end: End, body_out: u64, total: Duration) {
    let mut line = Line::open(out);
    line.time(field::TIME, docket.stamp.at_ms);
    line.str(field::KIND, Kind::Request.as_str());
    line.hex(field::TRACE_ID, &docket.stamp.trace.trace_id);
    line.bytes_lossy(field::REQUEST_ID, &docket.stamp.request_id.text());
    client(&mut line, docket);
    request(&mut line, docket);
    if let Some(status) = docket.status {
        line.u64(field::HTTP_RESPONSE_STATUS_CODE, status.as_u16().into());
    }
    line.u64(field::HTTP_REQUEST_BODY_SIZE, docket.body_in.bytes.get());
    line.u64(field::HTTP_RESPONSE_BODY_SIZE, body_out);
    caller(&mut line, docket);
    tier2(&mut line, docket);
    line.str(field::END, end.word());
    line.opt_ms(field::DURATION_AUTHENTICATION_MS, docket.authentication);
    line.opt_ms(field::DURATION_TIER2_MS, docket.tier2);
    if let Some(queue) = docket.trail.as_ref().and_then(|trail| trail.queue_us) {
        line.us_as_ms(field::DURATION_QUEUE_MS, queue);
    }
    if let Some(upstream) = docket.trail.as_ref().and_then(|trail| trail.upstream_us) {
        line.us_as_ms(field::DURATION_UPSTREAM_MS, upstream);
    }
    line.ms(field::DURATION_TOTAL_MS, total);
    line.close();
}

fn client(line: &mut Line<'_>, docket: &Docket) {
    let connection = &docket.connection;
    if let Some(client) = docket.stamp.client {
        line.ip(field::CLIENT_ADDRESS, client);
    }
    match connection.peer {
        PeerAddress::Tcp(address) => {
            // What a proxy told of is the client and not the socket's other end.
            let address = connection.proxy.unwrap_or(address);
            line.ip(field::NETWORK_PEER_ADDRESS, address.ip());
            line.u64(field::NETWORK_PEER_PORT, address.port().into());
        }
        PeerAddress::Unix { uid, .. } => {
            line.u64(field::PEER_UID, uid.into());
        }
    }
    line.str(field::NETWORK_PROTOCOL_VERSION, connection.protocol.version());
    line.opt_str(field::TLS_PROTOCOL_VERSION, connection.tls.as_ref().map(|tls| tls.version));
    line.str(field::LISTENER, &connection.listener_name);
    line.u64(field::CONNECTION, connection.id);
}

fn request(line: &mut Line<'_>, docket: &Docket) {
    // What stands in for a head that could not be read is the guard's own; the connection's record says what was wrong with the client's.
    if docket.method.as_str() == REFUSED_METHOD {
        return;
    }
    // A method that a client made up must not become a new series in whatever counts by this field.
    match known_method(&docket.method) {
        Some(known) => line.str(field::HTTP_REQUEST_METHOD, known),
        None => line.str(field::HTTP_REQUEST_METHOD, "_OTHER").str(field::HTTP_REQUEST_METHOD_ORIGINAL, docket.method.as_str()),
    };
    let host = docket.host.as_ref().map(http::HeaderValue::as_bytes);
    let host = host.or_else(|| docket.target.authority().map(|authority| authority.as_str().as_bytes()));
    // What stands before an `@` may be a password; the door refuses such a host, but its request is recorded.
    if let Some(host) = host.and_then(|host| host.rsplit(|byte| *byte == b'@').next()) {
        line.bytes_lossy(field::SERVER_ADDRESS, host);
    }
    let path = docket.target.path().as_bytes();
    line.bytes_lossy(field::URL_PATH, path.get(..PATH_BYTES_MAX).unwrap_or(path));
}

fn caller(line: &mut Line<'_>, docket: &Docket) {
    if let Some(caller) = &docket.caller {
        line.str(field::PROOF, caller.proof.as_str());
        if !caller.is_anonymous() {
            line.str(field::CALLER, &caller.subject);
            line.str(field::ISSUER, &caller.issuer);
        }
    }
}

fn tier2(line: &mut Line<'_>, docket: &Docket) {
    if let Some(trail) = &docket.trail {
        line.opt_str(field::ROUTE, trail.route.as_deref());
        line.opt_str(field::DECISION, trail.decision.as_deref());
        line.opt_str(field::SERVICE, trail.service.as_deref());
        line.opt_str(field::INSTANCE, trail.instance.as_deref());
        line.opt_u64(field::GENERATION, trail.generation);
        line.u64(field::ATTEMPTS, trail.attempts.into());
    }
    if docket.link_attempts > 0 {
        line.opt_str(field::TIER2_INSTANCE, docket.replica.as_ref().map(|replica| replica.name()));
        line.u64(field::TIER2_ATTEMPTS, docket.link_attempts.into());
    }
    let reason = docket.refused.or(docket.trail.as_ref().and_then(|trail| trail.reason));
    line.opt_str(field::REASON, reason.map(contract::reason::Reason::code));
    line.opt_str(field::TARGET_FAULT, docket.target_fault.map(contract::target::TargetFault::word));
}
