//! What several tests of the host parts need.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use libbus::wire::MessageType;

use crate::bus::mediation::{MessageQuestion, Party, Recipient};

/// A new directory that only this user can enter, removed with what is in it.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bus-daemon-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One side of what a security module is asked about.
pub(crate) fn party<'a>(name: &'a str, label: &'a str, pid: i32) -> Party<'a> {
    Party { name, label: Some(label.as_bytes()), pid: Some(pid), process: &"uid=0" }
}

/// A call of the client `:1.1`.
pub(crate) fn call<'a>(sender_label: &'a str, recipient: Recipient<'a>) -> MessageQuestion<'a> {
    MessageQuestion {
        sender: party(":1.1", sender_label, 11),
        recipient,
        message_type: MessageType::MethodCall,
        path: Some("/a"),
        interface: Some("a.I"),
        member: Some("Run"),
        error_name: None,
        destination: Some("a.b"),
        is_requested_reply: false,
    }
}
