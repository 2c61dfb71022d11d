//! `${NAME}` and `${NAME:-default}` in the values of a document.
//!
//! In: a tree and the environment. Out: the same tree with the texts filled in. Refuses: a variable that is not set, braces that do not close,
//! names that are none, texts beyond the ceiling, any variable where there is no environment. Never: reads a value as YAML (a variable cannot add keys), touches keys or comments.

use crate::files::DOCUMENT_BYTES_MAX;
use crate::mask::Mask;
use crate::report::Report;
use crate::tree::{Node, Shape, join_index, join_key};
use crate::words::quote;

/// Where variables come from; `None` where a file may have none.
pub(crate) type Env<'a> = Option<&'a dyn Fn(&str) -> Option<String>>;

/// Fills in every scalar below `node`; one that cannot be filled in is complained about and gone.
pub(crate) fn interpolate(node: &mut Node, env: Env<'_>, report: &mut Report) {
    // All texts together stay below one ceiling, or a short document that repeats one long variable would fill the memory.
    let mut bytes_left = DOCUMENT_BYTES_MAX;
    fill(node, "", env, &mut bytes_left, report);
}

fn fill(node: &mut Node, path: &str, env: Env<'_>, bytes_left: &mut usize, report: &mut Report) {
    match &mut node.shape {
        Shape::Sequence(nodes) => {
            for (index, child) in nodes.iter_mut().enumerate() {
                fill(child, &join_index(path, index), env, bytes_left, report);
            }
        }
        Shape::Mapping(entries) => {
            for entry in entries {
                fill(&mut entry.value, &join_key(path, &entry.key), env, bytes_left, report);
            }
        }
        Shape::Scalar(scalar) if scalar.text.contains("${") => match expand(&scalar.text, env, bytes_left, report.mask()) {
            Ok((text, from_env)) => {
                scalar.text = text;
                scalar.from_env = from_env;
            }
            Err((what, remedy)) => {
                node.gone.set(true);
                report.add(node.mark, path.to_owned(), what, remedy);
            }
        },
        Shape::Scalar(_) => {}
    }
}

/// The text with its variables, and whether there was one.
fn expand(text: &str, env: Env<'_>, bytes_left: &mut usize, mask: &mut Mask) -> Result<(String, bool), (String, String)> {
    let mut filled = String::new();
    let mut from_env = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = after;
            continue;
        }
        let Some((inside, after)) = after.split_once('}') else {
            return Err(("\"${\" without \"}\"".to_owned(), "close it, or write \"$${\" for the signs themselves".to_owned()));
        };
        let value = variable(inside, env, mask)?;
        *bytes_left = bytes_left.checked_sub(value.len()).ok_or_else(|| {
            (format!("variables make the document larger than {DOCUMENT_BYTES_MAX} bytes"), "name files instead".to_owned())
        })?;
        filled.push_str(before);
        filled.push_str(&value);
        from_env = true;
        rest = after;
    }
    filled.push_str(rest);
    Ok((filled, from_env))
}

fn variable(inside: &str, env: Env<'_>, mask: &mut Mask) -> Result<String, (String, String)> {
    let Some(env) = env else {
        let remedy = "write the value itself, or \"$${\" for the signs themselves";
        return Err(("a drop-in has no environment".to_owned(), remedy.to_owned()));
    };
    let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    if !is_name(name) {
        return Err((format!("{} is not the name of a variable", quote(name)), "write \"${NAME}\" or \"${NAME:-default}\"".to_owned()));
    }
    // As in a shell, a default also stands in for a variable that is set but empty.
    match (env(name), default) {
        (Some(value), default) if default.is_none() || !value.is_empty() => {
            mask.add(name, &value);
            Ok(value)
        }
        (_, Some(default)) => Ok(default.to_owned()),
        (_, None) => {
            Err((format!("the environment variable {name} is not set"), format!("set it, or write a default: \"${{{name}:-…}}\"")))
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
