//! A JSON line reads back as what was written, whatever the values hold.

use std::net::IpAddr;
use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;
use serde_json::Value;

use super::{Line, civil, rfc3339_ms};

fn parse(write: impl FnOnce(&mut Line<'_>)) -> Value {
    let mut out = Vec::new();
    let mut line = Line::open(&mut out);
    write(&mut line);
    line.close();
    assert!(out.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f), "a control character stands in the line");
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_line_looks_like_this() {
    let mut out = Vec::new();
    let mut line = Line::open(&mut out);
    line.time("time", 1_767_225_600_123)
        .str("text", "a\"b\\c\n\t\u{1}\u{7f}é")
        .opt_str("absent", None)
        .bytes_lossy("bytes", b"ok\xff\n\xc3")
        .strs("list", &["dns:a", "uri:b"])
        .u64("most", u64::MAX)
        .opt_u64("none", None)
        .bool("yes", true)
        .ms("short", Duration::from_nanos(7_999))
        .us_as_ms("long", 12_345_678)
        .opt_ms("no_time", None)
        .hex("hex", &[0, 0xab])
        .hex_upper("upper", &[0, 0xab])
        .ip("v4", "::ffff:192.0.2.1".parse().unwrap())
        .ip("v6", "2001:db8::1".parse().unwrap());
    line.close();
    let expected = expect![[
        r#"{"time":"2026-01-01T00:00:00.123Z","text":"a\"b\\c\n\t\u0001\u007fé","bytes":"ok�\n�","list":["dns:a","uri:b"],"most":18446744073709551615,"yes":true,"short":0.007,"long":12345.678,"hex":"00ab","upper":"00AB","v4":"192.0.2.1","v6":"2001:db8::1"}"#
    ]];
    expected.assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn an_object_without_fields_is_an_object() {
    assert_eq!(parse(|_| ()), serde_json::json!({}));
}

#[test]
fn times_have_the_right_form() {
    let check = |unix_ms, expected: &str| assert_eq!(std::str::from_utf8(&rfc3339_ms(unix_ms)).unwrap(), expected);
    check(0, "1970-01-01T00:00:00.000Z");
    check(951_782_399_999, "2000-02-28T23:59:59.999Z");
    check(951_782_400_000, "2000-02-29T00:00:00.000Z");
    check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    check(1_709_210_096_789, "2024-02-29T12:34:56.789Z");
    check(253_402_300_799_999, "9999-12-31T23:59:59.999Z");
    check(u64::MAX, "9999-12-31T23:59:59.999Z");
}

/// Every day of 800 years follows the day before by the calendar's own rule.
#[test]
fn days_follow_each_other() {
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..800 * 366 {
        assert_eq!(civil(days), (year, month, day), "day {days}");
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > length {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        text in any::<String>(),
        odd in "[\\x00-\\x1f\"\\\\\\x7f\u{2028}é😀]{0,40}",
        bytes in any::<Vec<u8>>(),
        list in prop::collection::vec(any::<String>(), 0..5),
        number in any::<u64>(),
        flag in any::<bool>(),
        us in 0..=u64::from(u32::MAX),
        address in any::<IpAddr>(),
    ) {
        let found = parse(|line| {
            line.str("text", &text).str("odd", &odd).bytes_lossy("bytes", &bytes).strs("list", &list).u64("number", number)
                .bool("flag", flag).us_as_ms("us", us).ms("same", Duration::from_micros(us)).ip("address", address)
                .hex("hex", &bytes);
        });
        prop_assert_eq!(&found["text"], &text);
        prop_assert_eq!(&found["odd"], &odd);
        prop_assert_eq!(&found["bytes"], &String::from_utf8_lossy(&bytes).into_owned());
        prop_assert_eq!(&found["list"], &serde_json::json!(list));
        prop_assert_eq!(&found["number"], &number);
        prop_assert_eq!(&found["flag"], flag);
        prop_assert_eq!((found["us"].as_f64().unwrap() * 1000.0).round() as u64, us);
        prop_assert_eq!(&found["same"], &found["us"]);
        let parsed: IpAddr = found["address"].as_str().unwrap().parse().unwrap();
        prop_assert_eq!(parsed, address.to_canonical());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(&found["hex"], &hex);
    }
}
