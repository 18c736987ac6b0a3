//! Introspection XML: strict and lenient reading, and that what is written is read back.
#![no_main]

use bus_introspect::Node;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(node) = Node::from_xml(text) {
        let again = Node::from_xml(&node.to_xml());
        assert_eq!(again.as_ref().ok(), Some(&node), "{:?}", again.as_ref().err());
    }
    if let Ok((node, _)) = Node::from_xml_leniently(text) {
        let _ = node.to_xml();
    }
});
