//! The section `traces` of a configuration, as written and as meant.

use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::report::Report;
use settings::units::Span;

/// OTLP over HTTP has one path for traces (OTLP specification, "OTLP/HTTP Request").
const TRACES_PATH: &str = "/v1/traces";
const TIMEOUT_MS: std::ops::RangeInclusive<u128> = 100..=60_000;

/// Where spans go, and of how many traces. Without this section none are made; trace context is carried on anyway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// The collector. Default: none, and so no spans.
    pub otlp: Option<OtlpConfig>,
    /// Which part of the traces that begin here is sampled, 0.0 to 1.0. Default: 1.0, all. A trace that was begun by
    /// somebody believed is sampled as its begin was.
    pub ratio: f64,
}

/// A collector that speaks OTLP over HTTP in protobuf. Headers that it asks for, such as a key, are taken from the variable
/// `OTEL_EXPORTER_OTLP_HEADERS`, as by every OpenTelemetry exporter; nothing else is taken from the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    /// `http://` or `https://`, host and port; `/v1/traces` is appended where there is no path.
    pub endpoint: String,
    /// How long one export may take. Default: 10s.
    #[serde(default = "timeout_default")]
    pub timeout: Span,
}

/// The section `traces` as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesPlan {
    /// The collector, if any.
    pub otlp: Option<OtlpPlan>,
    /// 0.0 to 1.0.
    pub ratio: f64,
}

/// A collector as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpPlan {
    /// The whole address that batches are posted to.
    pub endpoint: Uri,
    /// How long one export may take.
    pub timeout: Duration,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { otlp: None, ratio: 1.0 }
    }
}

fn timeout_default() -> Span {
    Span::secs(10)
}

impl TracesConfig {
    /// What is meant. `key` is where the section stands (`traces`).
    pub fn check(&self, key: &str, report: &mut Report) -> TracesPlan {
        if !(0.0..=1.0).contains(&self.ratio) {
            report.complain(
                &format!("{key}.ratio"),
                "the ratio is not between 0 and 1",
                "write 1.0 for all traces, 0.01 for one in a hundred",
            );
        }
        let otlp = self.otlp.as_ref().and_then(|otlp| otlp.check(&format!("{key}.otlp"), report));
        TracesPlan { otlp, ratio: self.ratio }
    }
}

impl OtlpConfig {
    fn check(&self, key: &str, report: &mut Report) -> Option<OtlpPlan> {
        if !TIMEOUT_MS.contains(&self.timeout.get().as_millis()) {
            report.complain(&format!("{key}.timeout"), "the timeout is out of range", "choose 100ms to 60s");
        }
        let endpoint = endpoint(&self.endpoint);
        if endpoint.is_none() {
            report.complain(
                &format!("{key}.endpoint"),
                format!("{:?} is not the address of a collector", self.endpoint),
                "write scheme, host and port, like http://collector:4318",
            );
        }
        Some(OtlpPlan { endpoint: endpoint?, timeout: self.timeout.get() })
    }
}

fn endpoint(written: &str) -> Option<Uri> {
    let uri: Uri = written.parse().ok()?;
    let authority = uri.authority()?;
    // Credentials in an address end up in logs.
    if authority.host().is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
        return None;
    }
    let lawful = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
    let path = if uri.path() == "/" { TRACES_PATH } else { uri.path() };
    let whole = Uri::builder().scheme(uri.scheme()?.clone()).authority(authority.clone()).path_and_query(path);
    whole.build().ok().filter(|_| lawful)
}

#[cfg(test)]
mod tests {
    use crate::traces::config::{TracesConfig, endpoint};

    #[test]
    fn an_endpoint_gets_the_path_of_traces_unless_it_has_one() {
        let check = |written: &str| endpoint(written).map(|uri| uri.to_string());
        assert_eq!(check("http://collector:4318").as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(check("https://collector/").as_deref(), Some("https://collector/v1/traces"));
        assert_eq!(check("http://[::1]:4318/otlp/v1/traces").as_deref(), Some("http://[::1]:4318/otlp/v1/traces"));
        for wrong in ["", "collector:4318", "/v1/traces", "grpc://collector:4317", "http://user:word@collector", "http://c/?a=b"] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_and_the_default_makes_no_spans() {
        assert!(serde_json::from_str::<TracesConfig>(r#"{"oltp":null}"#).is_err());
        let config: TracesConfig = serde_json::from_str(r#"{"otlp":{"endpoint":"http://c:4318"},"ratio":0.5}"#).unwrap();
        assert_eq!((config.ratio, config.otlp.unwrap().timeout.get().as_secs()), (0.5, 10));
        assert_eq!(TracesConfig::default().otlp, None);
    }
}
