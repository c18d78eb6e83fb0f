use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// RFC 8785 §3.2.2: members, numbers, escapes and literals at once.
#[test]
fn the_example_of_the_rfc() {
    let text = r#"{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"#;
    let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(canonical(text).unwrap(), expected);
}

/// RFC 8785 §3.2.3.
#[test]
fn members_are_sorted_by_utf_16_code_units() {
    let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
    let written: Vec<String> = canonical(text)
        .unwrap()
        .trim_matches(['{', '}'])
        .split("\",\"")
        .map(|member| member.rsplit(":\"").next().unwrap().trim_matches('"').into())
        .collect();
    let order = [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ];
    // The value of the emoji has a colon of its own.
    assert_eq!(written, order);
}

/// RFC 8785, appendix B: doubles by their bits, and how they are written.
#[test]
fn the_numbers_of_the_rfc() {
    for (bits, expected) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        let value = f64::from_bits(bits);
        assert_eq!(canonical(&std::format!("{value:e}")).unwrap(), expected, "{bits:x}");
        assert_eq!(canonical(expected).unwrap(), expected);
    }
}

#[test]
fn numbers_that_readers_disagree_about_are_refused() {
    for text in [
        "9007199254740993",
        "-9007199254740993",
        "9007199254740993.0",
        "900719925474099300e-2",
        "18446744073709551615",
        "333333333333333333333",
        "1e400",
        "-1e400",
        "1e-400",
        "0.1000000000000000055511151231257827",
        "1e99999999999999999999",
    ] {
        let refused = canonical(&std::format!("[{text}]")).unwrap_err();
        // What is beyond every double may be no JSON to the parser already.
        assert!(
            matches!(refused, NotCanonical::Number { .. } | NotCanonical::Syntax { .. }),
            "{text}: {refused}"
        );
    }
    for (text, expected) in [
        ("9007199254740992", "9007199254740992"),
        ("9007199254740994", "9007199254740994"),
        ("295147905179352825856", "295147905179352830000"),
        ("1e23", "1e+23"),
        ("100000000000000000000000", "1e+23"),
        ("-0", "0"),
        ("-0.0e5", "0"),
        ("0e999", "0"),
        ("8.0", "8"),
        ("80e-1", "8"),
        ("0.10000000000000001", "0.1"),
        ("9999999999.999998", "9999999999.999998"),
        ("9999999999.999999", "9999999999.999998"),
        ("1E+2", "100"),
    ] {
        assert_eq!(canonical(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_a_reader_may_take_in_two_ways_is_refused() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"x":[{"a":1,"b":{},"\u0061":2}]}"#,
        r#"{"signature":"x","signature":"y"}"#,
        r#"{"a":1,"\u0073ignature":"x","signature":"y"}"#,
    ] {
        assert!(matches!(signed_bytes(text), Err(NotCanonical::Repeated { .. })), "{text}");
    }
    for text in
        [r#"{"a":"\ud800"}"#, r#"{"\udc00":1}"#, r#"["\ud83d\u0041"]"#, "{bad", "", "{} {}", "[1,]", "nan"]
    {
        assert!(matches!(canonical(text), Err(NotCanonical::Syntax { .. })), "{text}");
    }
    let deep = |levels: usize| std::format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(canonical(&deep(128)).unwrap(), deep(128), "as deep as a message may be");
    assert!(canonical(&deep(200)).is_err());
}

#[test]
fn only_the_outermost_signature_is_left_out() {
    let text = r#" {"signature": "s", "payload": {"signature": "kept"}, "b": 1} "#;
    assert_eq!(signed_bytes(text).unwrap(), r#"{"b":1,"payload":{"signature":"kept"}}"#);
    assert_eq!(signed_bytes(r#"{"signature":{}}"#).unwrap(), "{}");
    assert_eq!(signed_bytes("[1]"), Err(NotCanonical::NoObject));
}

/// Any JSON value whose numbers are doubles.
fn json() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter_map("JSON has no such number", serde_json::Number::from_f64);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        number.prop_map(Value::Number),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value written otherwise: members the other way round, white space, escapes, another spelling of numbers.
fn otherwise(value: &Value, out: &mut String) {
    let escaped = |text: &str| {
        let units: String = text.encode_utf16().map(|unit| std::format!("\\u{unit:04X}")).collect();
        std::format!("\"{units}\"")
    };
    match value {
        Value::Object(members) => {
            out.push_str("{\n");
            for (at, (name, value)) in members.iter().rev().enumerate() {
                out.push_str(if at > 0 { " ,\t" } else { "" });
                out.push_str(&escaped(name));
                out.push_str(" : ");
                otherwise(value, out);
            }
            out.push_str("\r}");
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "\n, " } else { " " });
                otherwise(item, out);
            }
            out.push_str(" ]");
        }
        Value::String(text) => out.push_str(&escaped(text)),
        Value::Number(number) if number.is_f64() => {
            out.push_str(
                &std::format!("{:E}", number.as_f64().unwrap()).replace('E', "E+").replace("+-", "-"),
            );
        }
        Value::Number(number) => out.push_str(&std::format!("{number}0e-1")),
        other => out.push_str(&other.to_string()),
    }
}

/// Equal as values, whether a number is written as an integer or not. This library reads doubles to a few last places only;
/// that they come out exactly is a test of its own.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= one.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

proptest! {
    #[test]
    fn the_form_says_the_same_and_is_one_for_all_ways_to_write_it(value in json()) {
        let form = canonical(&value.to_string()).unwrap();
        prop_assert!(same(&serde_json::from_str(&form).unwrap(), &value), "{form}");
        prop_assert_eq!(&canonical(&form).unwrap(), &form);
        let mut written = String::new();
        otherwise(&value, &mut written);
        prop_assert_eq!(&canonical(&written).unwrap(), &form, "{}", written);
    }

    #[test]
    fn a_double_comes_out_as_it_went_in(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        // Seventeen digits are how others write a fraction; of a whole number they would be other digits.
        let digits = if value.fract() == 0.0 { std::format!("{value:E}") } else { std::format!("{value:.16e}") };
        for text in [std::format!("{value:e}"), digits, std::format!("{value}")] {
            let form = canonical(&text).unwrap();
            prop_assert_eq!(form.parse::<f64>().unwrap(), value, "{}", text);
            prop_assert_eq!(&canonical(&form).unwrap(), &form);
        }
    }

    #[test]
    fn any_text_has_a_form_or_is_refused(text in "[\\[\\]{}\",:0-9a-eE.+\\- \\\\ntu]{0,40}") {
        if let Ok(form) = canonical(&text) {
            prop_assert_eq!(canonical(&form).unwrap(), form);
        }
    }
}
