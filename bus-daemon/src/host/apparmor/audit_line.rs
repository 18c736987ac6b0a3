//! A line of AppArmor's log: words with values in quotes, as the kernel writes its own and as tools
//! read them (config.md B118).

use std::fmt::Write as _;

/// One line while it is put together.
#[derive(Clone, Debug)]
pub(super) struct AuditLine(String);

impl AuditLine {
    /// `decision`: `DENIED`, `ALLOWED` or `AUDIT`; `operation`: what was to be done, without the
    /// prefix `dbus_`.
    pub(super) fn new(decision: &str, operation: &str) -> Self {
        Self(format!("apparmor=\"{decision}\" operation=\"dbus_{operation}\""))
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.bytes(key, value.as_bytes());
    }

    pub(super) fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A process and its label, as far as they are known.
    pub(super) fn party(
        &mut self,
        pid_key: &str,
        pid: Option<i32>,
        label_key: &str,
        label: Option<&[u8]>,
    ) {
        if let Some(pid) = pid {
            self.push(format_args!(" {pid_key}={pid}"));
        }
        if let Some(label) = label {
            self.bytes(label_key, label);
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    /// A value that could be taken for more than it is stands in hexadecimal digits without quotes,
    /// which is how the kernel's audit does it.
    fn bytes(&mut self, key: &str, value: &[u8]) {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'"';
        match std::str::from_utf8(value) {
            Ok(text) if value.iter().all(plain) => self.push(format_args!(" {key}=\"{text}\"")),
            _ => {
                self.push(format_args!(" {key}="));
                value.iter().for_each(|byte| self.push(format_args!("{byte:02X}")));
            }
        }
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // INVARIANT: writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}
