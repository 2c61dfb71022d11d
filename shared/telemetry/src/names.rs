//! Every name under which the gateway speaks of itself, once: metrics, metric labels, record fields, span attributes.
//!
//! These names are a promise to dashboards and log queries. A name is added, never changed. Where OpenTelemetry's
//! semantic conventions have a name, it is theirs; what they have none for starts with `gateway.`.

/// Metric names, as an operator greps them; the suffix says the type and the unit (OpenMetrics 1.0 §4.1).
pub mod metric {
    /// Requests answered, by status class.
    pub const REQUESTS: &str = "gateway_requests_total";
    /// Requests whose head has been read and whose answer has not ended.
    pub const REQUESTS_IN_FLIGHT: &str = "gateway_requests_in_flight";
    /// Time from a request's head to the end of its answer.
    pub const REQUEST_DURATION: &str = "gateway_request_duration_seconds";
    /// Requests that a tier answered itself with a refusal, by reason code.
    pub const REFUSALS: &str = "gateway_refusals_total";
    /// Requests that the two tiers read differently, refused by routing-gw. It never counts unless something between them is wrong.
    pub const SPLIT_VIEWS: &str = "gateway_split_views_total";
    /// Requests during which a panic was caught and answered with 500.
    pub const PANICS: &str = "gateway_panics_total";

    /// Requests that each worker has served, by its number. What a tier serves is even when these grow alike.
    pub const WORKER_REQUESTS: &str = "gateway_worker_requests_total";

    /// Connections that have ended, by listener and by how they ended.
    pub const CONNECTIONS: &str = "gateway_connections_total";
    /// Connections that are open now, by listener.
    pub const CONNECTIONS_OPEN: &str = "gateway_connections_open";
    /// Connections that were lost before anyone served them, by listener and reason.
    pub const ACCEPT_FAILURES: &str = "gateway_accept_failures_total";
    /// Times that accepting waited because the ceiling of connections was reached.
    pub const ACCEPT_PAUSES: &str = "gateway_accept_pauses_total";
    /// Times that accepting waited because more connections came in a second than may.
    pub const ACCEPT_THROTTLES: &str = "gateway_accept_throttles_total";
    /// Time that TLS handshakes took, by listener.
    pub const HANDSHAKE_DURATION: &str = "gateway_tls_handshake_duration_seconds";

    /// The last second of each certificate that is served or shown, in Unix time, by who uses it and by its first name.
    pub const CERTIFICATE_NOT_AFTER: &str = "gateway_certificate_not_after_seconds";

    /// Verified tokens found in the cache of verified tokens, or not (label `result`).
    pub const TOKEN_CACHE: &str = "gateway_token_cache_total";
    /// Fetches of an issuer's keys, by issuer and result.
    pub const KEY_FETCHES: &str = "gateway_key_fetches_total";
    /// Fetches of the keys that tier 1 publishes, by result.
    pub const LINK_KEY_FETCHES: &str = "gateway_link_key_fetches_total";
    /// When the keys that tier 1 publishes were last fetched, in Unix seconds.
    pub const LINK_KEYS_FETCHED: &str = "gateway_link_keys_fetched_seconds";
    /// Keys that are held for an issuer now.
    pub const KEYS: &str = "gateway_keys";
    /// Identity assertions signed, or taken from those signed before (label `result`).
    pub const ASSERTIONS: &str = "gateway_assertions_total";
    /// Authorisation decisions, by route and result.
    pub const DECISIONS: &str = "gateway_decisions_total";

    /// Attempts to have a request answered by an instance, by service and result.
    pub const UPSTREAM_ATTEMPTS: &str = "gateway_upstream_attempts_total";
    /// Time from an attempt's start to the head of the instance's answer, by service.
    pub const UPSTREAM_DURATION: &str = "gateway_upstream_duration_seconds";
    /// Repeated attempts, by service and by why.
    pub const UPSTREAM_RETRIES: &str = "gateway_upstream_retries_total";
    /// Repeats that the service's retry budget refused, by service.
    pub const UPSTREAM_RETRIES_REFUSED: &str = "gateway_upstream_retries_refused_total";
    /// Time that requests waited for a place at a service that is at its limit, by service; those that had not to wait are not in it.
    pub const UPSTREAM_QUEUE_DURATION: &str = "gateway_upstream_queue_seconds";
    /// Requests that wait for a place at a service now, by service.
    pub const UPSTREAM_QUEUE_WAITING: &str = "gateway_upstream_queue_waiting";
    /// 1 while the circuit breaker of a service is not closed, by service.
    pub const UPSTREAM_BREAKER_OPEN: &str = "gateway_upstream_breaker_open";
    /// Active checks of instances, by service and result.
    pub const HEALTH_CHECKS: &str = "gateway_health_checks_total";
    /// Instances now by what the active checks say of them, by service and state.
    pub const INSTANCES_HEALTH: &str = "gateway_instances_health";
    /// Instances that were left alone for a while, by service and cause.
    pub const EJECTIONS: &str = "gateway_upstream_ejections_total";
    /// Ejections that the largest share of ejected instances did not allow, by service.
    pub const EJECTIONS_REFUSED: &str = "gateway_upstream_ejections_refused_total";
    /// Instances that are left alone now, by service.
    pub const INSTANCES_EJECTED: &str = "gateway_instances_ejected";
    /// Connections to instances opened, by service and result.
    pub const UPSTREAM_CONNECTS: &str = "gateway_upstream_connects_total";
    /// Connections to instances that are open now, by service.
    pub const UPSTREAM_CONNECTIONS_OPEN: &str = "gateway_upstream_connections_open";
    /// Requests that wait for an instance's answer now, by service.
    pub const UPSTREAM_IN_FLIGHT: &str = "gateway_upstream_in_flight";

    /// Generations of a service's instances that discovery has published, by service.
    pub const DNS_GENERATIONS: &str = "gateway_dns_generations_total";
    /// Look-ups of discovery, by service and result.
    pub const DNS_LOOKUPS: &str = "gateway_dns_lookups_total";
    /// When discovery last had a good answer, in Unix seconds, by service.
    pub const DISCOVERY_ANSWERED: &str = "gateway_discovery_answered_seconds";
    /// From the first answer that left an instance out to the end of its last request, by service.
    pub const DISCOVERY_CONVERGENCE: &str = "gateway_discovery_convergence_seconds";
    /// Instances known now, by service.
    pub const INSTANCES: &str = "gateway_instances";

    /// Records made for a sink.
    pub const RECORDS_MADE: &str = "gateway_records_made_total";
    /// Records that a sink took.
    pub const RECORDS_WRITTEN: &str = "gateway_records_written_total";
    /// Records that a sink never got, by reason.
    pub const RECORDS_LOST: &str = "gateway_records_lost_total";

    /// Sampled spans made.
    pub const SPANS_MADE: &str = "gateway_spans_made_total";
    /// Spans that the collector accepted.
    pub const SPANS_EXPORTED: &str = "gateway_spans_exported_total";
    /// Spans that the collector never got, by reason.
    pub const SPANS_LOST: &str = "gateway_spans_lost_total";

    /// The generation of the configuration that serves now.
    pub const GENERATION: &str = "gateway_config_generation";
    /// Reloads of the configuration, by outcome: `adopted`, `unchanged`, `refused`.
    pub const RELOADS: &str = "gateway_config_reloads_total";
    /// 1 while the file differs from what serves because the last reload was refused; else 0.
    pub const RELOAD_FAILED: &str = "gateway_config_reload_failed";
    /// Drop-ins that are set aside because something is wrong with them.
    pub const DROP_INS_ASIDE: &str = "gateway_config_drop_ins_set_aside";
    /// Constant 1; its labels name the tier, its build, and the treaty it speaks.
    pub const BUILD: &str = "gateway_build";
    /// Upgrades of the binary: `handed_over`, counted by the process that took over, and `failed`, counted by the one that goes on.
    pub const UPGRADES: &str = "gateway_upgrades_total";
    /// When the process started, in Unix seconds.
    pub const STARTED: &str = "gateway_start_time_seconds";
}

/// Names of metric labels.
pub mod label {
    /// The name of a listener.
    pub const LISTENER: &str = "listener";
    /// The number of a worker, from 0.
    pub const WORKER: &str = "worker";
    /// How something ended, one word.
    pub const END: &str = "end";
    /// A stable reason code.
    pub const REASON: &str = "reason";
    /// A status class: `2xx`, `4xx`…
    pub const STATUS: &str = "status";
    /// `ok`, `failed`, `hit`, `miss`… as the metric says.
    pub const RESULT: &str = "result";
    /// What came of something, as the metric says.
    pub const OUTCOME: &str = "outcome";
    /// What something is now, one word.
    pub const STATE: &str = "state";
    /// Why something was done, one word.
    pub const CAUSE: &str = "cause";
    /// The name of a service.
    pub const SERVICE: &str = "service";
    /// The name of a route.
    pub const ROUTE: &str = "route";
    /// The name of an issuer.
    pub const ISSUER: &str = "issuer";
    /// A sink of records, as the configuration names it.
    pub const SINK: &str = "sink";
    /// Who uses a certificate: `listener NAME`, `link`, `service NAME`.
    pub const USED_BY: &str = "used_by";
    /// The first name of a certificate, cut to 100 bytes.
    pub const SUBJECT: &str = "subject";
    /// The tier's name.
    pub const TIER: &str = "tier";
    /// The build's version.
    pub const VERSION: &str = "version";
    /// The treaty between the tiers.
    pub const TREATY: &str = "treaty";
}

/// Fields of records, and attributes of spans where the two overlap.
pub mod field {
    /// When the event began, RFC 3339 in UTC with milliseconds.
    pub const TIME: &str = "time";
    /// `request`, `connection`, `stream` or `checkpoint`.
    pub const KIND: &str = "kind";
    /// W3C trace id, 32 hex digits.
    pub const TRACE_ID: &str = "trace_id";
    /// Id of the tier's own span, 16 hex digits.
    pub const SPAN_ID: &str = "span_id";
    /// The request id (UUIDv7) that the instance saw and the client got back.
    pub const REQUEST_ID: &str = "request_id";

    /// Address of the client, after trusted proxies were believed; an IP address.
    pub const CLIENT_ADDRESS: &str = "client.address";
    /// Port of the client.
    pub const CLIENT_PORT: &str = "client.port";
    /// Address of the socket's other end: a proxy's where one stands between.
    pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
    /// Port of the socket's other end.
    pub const NETWORK_PEER_PORT: &str = "network.peer.port";
    /// Address that was connected to.
    pub const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
    /// Port that was connected to.
    pub const NETWORK_LOCAL_PORT: &str = "network.local.port";
    /// `tcp` or `unix`.
    pub const NETWORK_TRANSPORT: &str = "network.transport";
    /// `http`.
    pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
    /// `1.0`, `1.1` or `2`.
    pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";

    /// Whether a TLS handshake was completed.
    pub const TLS_ESTABLISHED: &str = "tls.established";
    /// `1.2` or `1.3`.
    pub const TLS_PROTOCOL_VERSION: &str = "tls.protocol.version";
    /// IANA name of the cipher suite.
    pub const TLS_CIPHER: &str = "tls.cipher";
    /// Name of the key-exchange group.
    pub const TLS_CURVE: &str = "tls.curve";
    /// The protocol that ALPN chose.
    pub const TLS_NEXT_PROTOCOL: &str = "tls.next_protocol";
    /// SHA-256 of the client's certificate in DER, upper-case hex.
    pub const TLS_CLIENT_HASH_SHA256: &str = "tls.client.hash.sha256";

    /// Request method, `_OTHER` where it is none of those known.
    pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
    /// The method as sent, where `http.request.method` says `_OTHER`.
    pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
    /// Template of the route that took the request; of low cardinality.
    pub const HTTP_ROUTE: &str = "http.route";
    /// The host that was asked for (authority or `Host`, or SNI on a connection), without port.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// The port that was asked for.
    pub const SERVER_PORT: &str = "server.port";
    /// `http` or `https`.
    pub const URL_SCHEME: &str = "url.scheme";
    /// The whole address that was asked for, without query; on clients' spans.
    pub const URL_FULL: &str = "url.full";
    /// Path of the target, without query.
    pub const URL_PATH: &str = "url.path";
    /// Status of the answer as the client got it.
    pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    /// Bytes of the request's body that were read, after transfer coding was taken off.
    pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
    /// Bytes of the answer's body that were handed to the connection.
    pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
    /// The client's `User-Agent`, cut to a ceiling.
    pub const USER_AGENT: &str = "user_agent.original";
    /// What failed, where something did: a reason code, or a status on spans.
    pub const ERROR_TYPE: &str = "error.type";
    /// The status of gRPC's trailer, where the answer had one.
    pub const GRPC_STATUS: &str = "rpc.grpc.status_code";

    /// Name of the listener.
    pub const LISTENER: &str = "gateway.listener";
    /// Number of the connection, over the life of the process.
    pub const CONNECTION: &str = "gateway.connection";
    /// Requests begun on a connection.
    pub const REQUESTS: &str = "gateway.requests";
    /// Bytes read from a connection, after TLS.
    pub const BYTES_IN: &str = "gateway.bytes.in";
    /// Bytes written to a connection, before TLS.
    pub const BYTES_OUT: &str = "gateway.bytes.out";
    /// The names that a verified peer certificate carries: `dns:…`, `uri:…`.
    pub const PEER: &str = "gateway.peer";
    /// User id of the peer process on a Unix socket.
    pub const PEER_UID: &str = "gateway.peer.uid";
    /// Process id of the peer process on a Unix socket.
    pub const PEER_PID: &str = "gateway.peer.pid";

    /// Who asked, as proved: the subject.
    pub const CALLER: &str = "gateway.caller";
    /// Who vouches for the caller.
    pub const ISSUER: &str = "gateway.issuer";
    /// How the caller was proved: `jwt`, `anonymous`.
    pub const PROOF: &str = "gateway.proof";
    /// Name of the route that took the request.
    pub const ROUTE: &str = "gateway.route";
    /// Id of the authorisation decision.
    pub const DECISION: &str = "gateway.decision";
    /// Name of the service that was asked.
    pub const SERVICE: &str = "gateway.service";
    /// The instance that answered, `address:port`.
    pub const INSTANCE: &str = "gateway.instance";
    /// Generation of the instance list from which the instance was picked.
    pub const GENERATION: &str = "gateway.generation";
    /// The replica of the routing tier that took the request, `address:port`.
    pub const TIER2_INSTANCE: &str = "gateway.tier2.instance";
    /// Attempts made at instances; 1 where nothing was repeated.
    pub const ATTEMPTS: &str = "gateway.attempts";
    /// Attempts made at replicas of the routing tier.
    pub const TIER2_ATTEMPTS: &str = "gateway.tier2.attempts";
    /// Stable reason code of a refusal; absent where nothing was refused.
    pub const REASON: &str = "gateway.reason";
    /// What about the target was not canonical, one word: `dot-segment`, `encoded-slash`, `two-readings`…
    pub const TARGET_FAULT: &str = "gateway.target_fault";
    /// How the answer or the connection ended, one word: `complete`, `client_gone`…
    pub const END: &str = "gateway.end";

    /// Time that establishing the caller took, in milliseconds.
    pub const DURATION_AUTHENTICATION_MS: &str = "gateway.duration.authentication_ms";
    /// Time until the head of tier 2's answer, in milliseconds.
    pub const DURATION_TIER2_MS: &str = "gateway.duration.tier2_ms";
    /// Time that tier 2 waited before the instance took the request, in milliseconds.
    pub const DURATION_QUEUE_MS: &str = "gateway.duration.queue_ms";
    /// Time until the head of the instance's answer, as tier 2 measured it, in milliseconds.
    pub const DURATION_UPSTREAM_MS: &str = "gateway.duration.upstream_ms";
    /// Time from the event's begin to its end, in milliseconds.
    pub const DURATION_TOTAL_MS: &str = "gateway.duration.total_ms";
}
