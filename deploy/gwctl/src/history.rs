//! `gwctl dns history`: the last generations of a service's instances as a running tier remembers them.
//!
//! In: where the admin door is, and a service. Out: a table, the newest generation first. Refuses: a name that no service has, with the one that was
//! probably meant. Never: changes anything.

use std::process::ExitCode;

use host::health;
use serde_json::Value;
use settings::names::nearest;
use telemetry::json::rfc3339_ms;

use crate::fault::Fault;
use crate::order::{Door, refused, unanswered};
use crate::terminal::say;

/// Instances that one cell names; the rest are counted.
const NAMED_MAX: usize = 8;

/// The head of the table.
const HEAD: [&str; 6] = ["GENERATION", "WHEN", "WHY", "ANSWER", "INSTANCES", "CHANGE"];

/// Prints the last generations of `service`.
///
/// # Errors
/// Nobody answers, or no service has this name.
pub fn print(door: &Door, service: &str) -> Result<ExitCode, Fault> {
    let address = door.address()?;
    let reply =
        health::page(&address, &format!("/services/{}/history", path_of(service)?)).map_err(|error| unanswered(&address, &error))?;
    let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    match (reply.status, answer["services"].as_array()) {
        (200, _) => say(table(&answer)),
        (404, Some(services)) => return Err(unknown(service, services)),
        _ => return Err(refused(&reply, &answer)),
    }
    Ok(ExitCode::SUCCESS)
}

/// A service's name has only what needs no escape in a path.
fn path_of(service: &str) -> Result<&str, Fault> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !service.is_empty() && service.bytes().all(lawful) {
        return Ok(service);
    }
    Err(Fault::new(format!("{service:?} is no name of a service"), "write it as in the configuration; at security-gw it is `link`"))
}

fn unknown(service: &str, services: &[Value]) -> Fault {
    let known: Vec<&str> = services.iter().filter_map(Value::as_str).collect();
    let remedy = match (nearest(service, known.iter().copied()), known.as_slice()) {
        (Some(meant), _) => format!("did you mean {meant}?"),
        (None, []) => "the configuration that serves has no service".to_owned(),
        (None, known) => format!("there are: {}", known.join(", ")),
    };
    Fault::new(format!("no service is called {service}"), remedy)
}

fn table(answer: &Value) -> String {
    let generations = answer["generations"].as_array().map_or(&[][..], Vec::as_slice);
    if generations.is_empty() {
        return format!("nothing was found for {} yet", answer["name"].as_str().unwrap_or_default());
    }
    let rows: Vec<[String; 6]> = std::iter::once(HEAD.map(str::to_owned)).chain(generations.iter().map(row)).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(generation: &Value) -> [String; 6] {
    let number = |key: &str| generation[key].as_u64().unwrap_or_default();
    let when = String::from_utf8_lossy(&rfc3339_ms(number("at_ms"))).into_owned();
    let answer = match (generation["server"].as_str(), generation["rcode"].as_str()) {
        (Some(server), rcode) => {
            let ttl = generation["ttl_ms"].as_u64().map(|ttl| format!(" ttl {}s", ttl / 1_000)).unwrap_or_default();
            format!("{server} {}{ttl}", rcode.unwrap_or_default())
        }
        (None, _) => "-".to_owned(),
    };
    let parts = [("+", "added"), ("-", "removed"), ("changed ", "changed"), ("held ", "held")];
    let change: Vec<String> = parts.iter().flat_map(|(sign, key)| names(sign, &generation[key])).collect();
    [
        number("generation").to_string(),
        when,
        generation["why"].as_str().unwrap_or_default().replace('_', " "),
        answer,
        number("instances").to_string(),
        change.join(" "),
    ]
}

fn names(sign: &str, names: &Value) -> Vec<String> {
    let first = names["first"].as_array().map_or(&[][..], Vec::as_slice);
    let mut told: Vec<String> = first.iter().take(NAMED_MAX).filter_map(Value::as_str).map(|name| format!("{sign}{name}")).collect();
    let more = names["count"].as_u64().unwrap_or_default().saturating_sub(told.len() as u64);
    if more > 0 {
        told.push(format!("{sign}({more} more)"));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(count: usize, first: &[&str]) -> Value {
        json!({ "count": count, "first": first })
    }

    #[test]
    fn generations_stand_in_columns() {
        let none = of(0, &[]);
        let answer = json!({ "name": "orders", "generation": 12, "generations": [
            { "generation": 12, "at_ms": 1_000, "why": "hold_over", "instances": 1,
              "added": none, "removed": of(1, &["10.0.0.1:80"]), "changed": none, "held": none },
            { "generation": 3, "at_ms": 0, "why": "answer", "server": "10.0.0.53:53", "rcode": "NOERROR", "ttl_ms": 600_000, "instances": 1_000,
              "added": of(1_000, &["10.0.0.1:80", "10.0.0.2:80"]), "removed": none, "changed": of(1, &["10.0.0.3:80"]), "held": of(1, &["10.0.0.9:80"]) },
        ] });
        let wanted = "\
GENERATION  WHEN                      WHY        ANSWER                         INSTANCES  CHANGE
12          1970-01-01T00:00:01.000Z  hold over  -                              1          -10.0.0.1:80
3           1970-01-01T00:00:00.000Z  answer     10.0.0.53:53 NOERROR ttl 600s  1000       +10.0.0.1:80 +10.0.0.2:80 +(998 more) changed 10.0.0.3:80 held 10.0.0.9:80";
        assert_eq!(table(&answer), wanted);
        assert_eq!(table(&json!({ "name": "orders", "generations": [] })), "nothing was found for orders yet");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_one_that_was_meant() {
        let services = [json!("orders"), json!("users")];
        assert!(unknown("ordesr", &services).to_string().contains("did you mean orders?"));
        assert!(unknown("billing", &services).to_string().contains("there are: orders, users"));
        assert!(path_of("a/../b").is_err() && path_of("").is_err() && path_of("orders.v2").is_ok());
    }
}
