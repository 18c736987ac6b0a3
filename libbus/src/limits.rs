//! Every bound that the D-Bus specification sets, with the section that sets it.

/// Longest bus, interface, member or error name, in bytes (message-protocol-names, protocol.md A025–A029).
pub const NAME_SIZE_MAX: usize = 255;
/// Longest signature, in bytes (type-system, protocol.md A017).
pub const SIGNATURE_SIZE_MAX: usize = 255;
/// Arrays, structs or dictionary entries nested in one signature (type-system, protocol.md A018).
pub const SIGNATURE_DEPTH_MAX: usize = 32;
/// Containers nested in one message, through variants too (message-protocol-marshaling, protocol.md A019).
pub const CONTAINER_DEPTH_MAX: usize = 64;
/// Bytes of element data in one array: 64 MiB (message-protocol-marshaling, protocol.md A020).
pub const ARRAY_SIZE_MAX: u32 = 1 << 26;
/// Bytes of one message, header and padding included: 128 MiB (message-protocol-messages, protocol.md A037).
pub const MESSAGE_SIZE_MAX: u32 = 1 << 27;
/// Highest N of `argN` in a match rule (message-bus-routing-match-rules, protocol.md A164).
pub const MATCH_ARGUMENT_INDEX_MAX: u8 = 63;
/// Longest match rule, in bytes: the reference's bound (protocol.md A157).
pub const MATCH_RULE_SIZE_MAX: usize = 1024;
