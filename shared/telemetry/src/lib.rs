//! What is said about a request, to whom, and under which names: logs, metrics, records, traces.
//!
//! Exporters take their connector and the place where they run as parameters; nothing here opens a connection or
//! starts a runtime. The only threads are the writers of the record sinks.

pub mod names;

pub mod logs;

pub mod histogram;
pub mod metrics;

pub mod requests;

pub mod json;
pub mod record;

pub mod connection_record;

pub mod traces;
