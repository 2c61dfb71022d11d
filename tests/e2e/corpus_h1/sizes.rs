//! Heads that are too large, as a whole or in their number of fields.

use crate::corpus_h1::case::{Family, case, cat, get, lawful, refused};

pub(super) fn family() -> Family {
    let large = refused(&[431], "head-too-large", "head-too-large");
    let many = refused(&[431], "head-too-large", "too-many-headers");
    Family {
        name: "sizes",
        hostile: vec![
            case("a value that is too long", get(format!("X: {}\r\n", "x".repeat(33 * 1024))), large),
            case("a name that is too long", get(format!("{}: x\r\n", "X".repeat(33 * 1024))), large),
            case("a name that never ends", cat(&[b"GET /orders/1 HTTP/1.1\r\n{ours}", "X".repeat(64 * 1024).as_bytes()]), large),
            case("a value that never ends", cat(&[b"GET /orders/1 HTTP/1.1\r\n{ours}X: ", "x".repeat(64 * 1024).as_bytes()]), large),
            case("fields that are too long together", get(format!("X: {}\r\n", "x".repeat(1024)).repeat(40)), large),
            case("white space that is too long", get(format!("X:{}x\r\n", " ".repeat(33 * 1024))), large),
            case("fields that are too many", get("X: y\r\n".repeat(101)), many),
            case("fields that are far too many", get("X: y\r\n".repeat(2000)), many),
            case("empty fields that are too many", get("X:\r\n".repeat(101)), many),
        ],
        lawful: vec![
            lawful("a long value", get(format!("X: {}\r\n", "x".repeat(8 * 1024)))),
            lawful("many fields", get("X: y\r\n".repeat(60))),
        ],
    }
}
