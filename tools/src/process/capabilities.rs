//! Capabilities of processes, which `/proc` has as bits (capabilities(7)).

/// In the order of their numbers, as the kernel has them (capabilities(7)).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The names of a set that is written in hexadecimal digits, such as `cap_chown`; a number where none is known.
pub(crate) fn capability_names(hexadecimal: &str) -> Option<Vec<String>> {
    let bits = u64::from_str_radix(hexadecimal, 16).ok()?;
    let name = |number: usize| match CAPABILITIES.get(number) {
        Some(name) => format!("cap_{name}"),
        None => format!("cap_{number}"),
    };
    Some((0..64usize).filter(|number| bits >> number & 1 == 1).map(name).collect())
}
