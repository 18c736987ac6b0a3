//! What is written as text: match rules, addresses, names, signatures and labels. What parses prints as it parses.
#![no_main]

use libbus::address::Address;
use libbus::match_rule::MatchRule;
use libbus::names::{BusName, ObjectPath, decode_label, encode_label};
use libbus::wire::Signature;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(decode_label(&encode_label(bytes)).as_deref(), Some(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(rule) = MatchRule::parse(text) {
        assert_eq!(MatchRule::parse(&rule.to_string()), Ok(rule));
    }
    for address in Address::parse_list(text).unwrap_or_default() {
        let again = Address::parse_list(&address.to_string()).unwrap_or_default();
        assert_eq!(again, [address]);
    }
    let _ = (BusName::parse(text), ObjectPath::parse(text), Signature::parse(text));
    let _ = decode_label(text);
});
