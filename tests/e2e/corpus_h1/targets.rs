//! The target: its forms, the octets that may stand in it, and the one canonical spelling that both tiers share (`contract::target`).

use crate::corpus_h1::case::{Case, Family, answered, case, cat, door, framing, lawful, line, refused, target};

pub(super) fn family() -> Family {
    let mut hostile = forms();
    hostile.extend(not_canonical());
    Family {
        name: "targets",
        hostile,
        lawful: vec![
            lawful("a path", target("/orders/1")),
            lawful("a query of any spelling", target("/orders/1?a=%2e%2e//&b=%00;%2F|{}[]^`")),
            lawful("an escape that is needed", target("/public/a%20b%C3%A9")),
            lawful("an escape without need", target("/%70ublic/%7ea%2Db")),
            lawful("parameters and other marks", target("/public/a;v=1/b:c@d!$&'()*+,=~")),
            lawful("many dots", target("/public/...")),
            lawful("a target of full length", target(format!("/public/{}", "a".repeat(8192 - 8)))),
            answered("all of it, for OPTIONS", line("OPTIONS * HTTP/1.1"), &[403], "no-rule"),
        ],
    }
}

fn forms() -> Vec<Case> {
    let form = framing("request-line-malformed");
    let long = refused(&[414], "target-too-long", "target-too-long");
    let of = |name: &str, text: &[u8]| case(name, target(text), form);
    vec![
        of("an authority for GET", b"localhost:443"),
        of("an asterisk for GET", b"*"),
        of("a name without a slash", b"orders/1"),
        of("a query alone", b"?x"),
        of("a fragment alone", b"#x"),
        of("a backslash first", b"\\orders\\1"),
        of("an escape first", b"%2forders/1"),
        of("a dot first", b"./orders/1"),
        of("a fragment", b"/orders/1#x"),
        of("a fragment that hides a path", b"/orders/1#/../../admin"),
        of("a fragment behind a query", b"/orders/1?x#y"),
        of("a path beyond ASCII", "/orders/\u{e9}".as_bytes()),
        of("an overlong slash as it is", b"/orders\xc0\xaf1"),
        of("a query beyond ASCII", "/orders/1?\u{e9}".as_bytes()),
        of("an angle bracket in the path", b"/orders/<1"),
        of("a closing angle bracket in the path", b"/orders/>1"),
        of("a backtick in the path", b"/orders/`1"),
        of("a double quote in the query", b"/orders/1?\"x\""),
        of("an angle bracket in the query", b"/orders/1?<x>"),
        case("an asterisk for POST", line("POST * HTTP/1.1"), form),
        case("an asterisk and more for OPTIONS", line("OPTIONS *x HTTP/1.1"), form),
        case("two asterisks for OPTIONS", line("OPTIONS ** HTTP/1.1"), form),
        case("an authority for OPTIONS", line("OPTIONS localhost:443 HTTP/1.1"), form),
        case("a target one octet too long", target(format!("/public/{}", "a".repeat(8192 - 7))), long),
        case("a query that is too long", target(format!("/public/1?{}", "a".repeat(9000))), long),
        case("a target that never ends", cat(&[b"GET /public/", "a".repeat(20_000).as_bytes()]), long),
        case("an absolute target that is too long", target(format!("http://localhost/{}", "a".repeat(9000))), long),
    ]
}

/// Each is framed well, and would mean one thing to a router and another to an instance.
fn not_canonical() -> Vec<Case> {
    let of = |name: &str, text: &str| case(name, target(text), door(&[400], "target-not-canonical"));
    vec![
        of("a dot segment", "/orders/./1"),
        of("two dots", "/public/../orders/1"),
        of("two dots at the end", "/orders/1/.."),
        of("a dot at the end", "/orders/1/."),
        of("dots above the root", "/../../orders/1"),
        of("encoded dots", "/public/%2e%2e/orders/1"),
        of("one of two dots encoded", "/public/.%2E/orders/1"),
        of("dots with parameters", "/public/..;/orders/1"),
        of("dots with named parameters", "/public/..;x=y/orders/1"),
        of("an empty segment", "/orders//1"),
        of("an empty segment first", "//orders/1"),
        of("another host, to those who take it for one", "//evil.test/orders/1"),
        of("an empty segment last", "/orders/1//"),
        of("an empty segment with parameters", "/orders/;x/1"),
        of("a backslash", "/orders\\1"),
        of("two dots and a backslash", "/public/..\\orders/1"),
        of("an encoded slash", "/orders%2f1"),
        of("an encoded slash in capitals", "/orders%2F1"),
        of("an encoded backslash", "/orders%5c1"),
        of("an encoded dot", "/orders/1%2ejson"),
        of("an encoded NUL", "/orders/1%00"),
        of("an encoded line ending", "/orders/1%0d%0aX-Gw-Subject:%20root"),
        of("an encoded semicolon", "/orders/1%3bx"),
        of("an encoded question mark", "/orders/1%3fx"),
        of("an encoded hash", "/orders/1%23x"),
        of("an encoded percent sign", "/orders/%252e%252e/1"),
        of("a percent sign alone", "/orders/1%"),
        of("half an escape", "/orders/1%2"),
        of("an escape that is none", "/orders/1%zz"),
        of("an escape with a sign", "/orders/1%+1"),
        of("a wide escape", "/orders/1%u002e"),
        of("an overlong slash", "/orders%c0%af1"),
        of("an overlong dot", "/orders/%c0%ae%c0%ae/1"),
        of("an overlong slash of three octets", "/orders%e0%80%af1"),
        of("half a character", "/orders/1%c3"),
        of("a surrogate", "/orders/1%ed%a0%80"),
        of("an octet that no character has", "/orders/1%ff"),
        of("a broken escape in the query", "/orders/1?x=%"),
        of("an absolute target with dots", "http://localhost:{port}/public/../orders/1"),
    ]
}
