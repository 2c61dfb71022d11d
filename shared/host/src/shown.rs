//! The configuration as the operator may see it: as written, with what is secret taken out.
//!
//! In: the text of the file and the schema of its type. Out: the same as JSON. Whatever the schema marks `writeOnly` (every
//! `settings::secret::Secret`) is replaced by `***`, and so is every text under a name that speaks of a secret, which a future mistake may have
//! forgotten to mark. Variables are shown by name. Never: shows the value of a variable, a comment, or the content of a file.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use settings::report::Report;

/// What stands where a secret was.
const HIDDEN: &str = "***";

/// Parts of names under which a plain text is never shown.
const TELLTALE: [&str; 6] = ["secret", "password", "passphrase", "token", "credential", "api_key"];

/// The configuration as it may be shown; empty where it cannot be read at all.
#[must_use]
pub fn shown<C: DeserializeOwned + JsonSchema>(file: &str, text: &str) -> Value {
    // A variable is shown as it is written.
    let by_name = |name: &str| Some(format!("${{{name}}}"));
    let Some(mut value) = settings::read::read::<Value>(file, text, &by_name, &mut Report::new()) else { return Value::Object(Map::new()) };
    let schema = schemars::schema_for!(C);
    let root = schema.as_value();
    hide(&mut value, &[root], root);
    value
}

/// `schemas` are all that may describe `value`; any of them can call it secret.
fn hide<'s>(value: &mut Value, schemas: &[&'s Value], root: &'s Value) {
    let schemas = unfold(schemas, root);
    if schemas.iter().any(|schema| schema.get("writeOnly") == Some(&Value::Bool(true))) {
        *value = HIDDEN.into();
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if member.is_string() && TELLTALE.iter().any(|part| name.to_ascii_lowercase().contains(part)) && !is_reference(name, member)
                {
                    *member = HIDDEN.into();
                    continue;
                }
                let of = |schema: &&'s Value| {
                    schema.get("properties").and_then(|all| all.get(name)).or_else(|| schema.get("additionalProperties"))
                };
                let inner: Vec<&Value> = schemas.iter().filter_map(of).collect();
                hide(member, &inner, root);
            }
        }
        Value::Array(items) => {
            let inner: Vec<&Value> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
            for item in items {
                hide(item, &inner, root);
            }
        }
        _ => {}
    }
}

/// A path or a variable says where a secret is, and is none.
fn is_reference(name: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    name.ends_with("_file") || (text.starts_with("${") && text.ends_with('}') && text.matches("${").count() == 1)
}

/// Follows `$ref` and every alternative, each definition once.
fn unfold<'s>(schemas: &[&'s Value], root: &'s Value) -> Vec<&'s Value> {
    let mut all: Vec<&'s Value> = Vec::new();
    let mut waiting: Vec<&'s Value> = schemas.to_vec();
    while let Some(schema) = waiting.pop() {
        if all.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        all.push(schema);
        let Some(members) = schema.as_object() else { continue };
        waiting.extend(members.get("$ref").and_then(Value::as_str).and_then(|to| root.pointer(to.strip_prefix('#')?)));
        for kind in ["anyOf", "oneOf", "allOf"] {
            waiting.extend(members.get(kind).and_then(Value::as_array).into_iter().flatten());
        }
    }
    all
}

/// The JSON Schema of a configuration, for editors and for `schema`.
#[must_use]
pub fn schema_text<C: JsonSchema>() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(C)).unwrap_or_else(|_| Value::Object(Map::new()).to_string());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use settings::secret::Secret;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Sample {
        pin: Option<Secret<String>>,
        clients: BTreeMap<String, Client>,
        list: Vec<Client>,
        store: Option<Store>,
        name: String,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Client {
        key: Secret<String>,
        key_file: Option<String>,
        unmarked_token: Option<String>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its shape matters")]
    enum Store {
        Remote { pass: Secret<String>, host: String },
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand_and_nothing_else_is() {
        let text = "name: visible # do not show: hunter0\npin: hunter1\nclients:\n  a: { key: hunter2, key_file: visible.key, unmarked_token: hunter3 }\nlist:\n  - { key: \"${KEY}\", unmarked_token: \"${TOKEN}\" }\nstore: { kind: remote, pass: hunter4, host: visible.example }\n";
        let shown = serde_json::to_string_pretty(&shown::<Sample>("sample.yaml", text)).unwrap();
        assert!(!shown.contains("hunter"), "{shown}");
        for visible in ["\"visible\"", "visible.key", "visible.example", "${TOKEN}"] {
            assert!(shown.contains(visible), "{visible} is missing in {shown}");
        }
    }
}
