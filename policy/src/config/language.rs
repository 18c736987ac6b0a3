//! The elements of the language, in one table: the reader of files asks it which elements and attributes
//! stand where, and a test asks it whether the manual names all of them.

use crate::rule::RULE_ATTRIBUTES;

/// One element at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementForm {
    /// The element that it stands in; none for the outermost one of a file.
    pub parent: Option<&'static str>,
    /// Its name.
    pub name: &'static str,
    /// The attributes that it takes.
    pub attributes: &'static [&'static str],
}

const INCLUDE: &[&str] = &["ignore_missing", "if_selinux_enabled", "selinux_root_relative"];
const POLICY: &[&str] = &["context", "user", "group", "at_console"];

/// Every element.
pub const ELEMENTS: &[ElementForm] = &[
    outermost("busconfig"),
    form("busconfig", "type", &[]),
    form("busconfig", "include", INCLUDE),
    form("busconfig", "includedir", &[]),
    form("busconfig", "user", &[]),
    form("busconfig", "fork", &[]),
    form("busconfig", "keep_umask", &[]),
    form("busconfig", "syslog", &[]),
    form("busconfig", "pidfile", &[]),
    form("busconfig", "allow_anonymous", &[]),
    form("busconfig", "listen", &[]),
    form("busconfig", "auth", &[]),
    form("busconfig", "servicedir", &[]),
    form("busconfig", "standard_session_servicedirs", &[]),
    form("busconfig", "standard_system_servicedirs", &[]),
    form("busconfig", "servicehelper", &[]),
    form("busconfig", "limit", &["name"]),
    form("busconfig", "policy", POLICY),
    form("policy", "allow", RULE_ATTRIBUTES),
    form("policy", "deny", RULE_ATTRIBUTES),
    form("busconfig", "selinux", &[]),
    form("selinux", "associate", &["own", "context"]),
    form("busconfig", "apparmor", &["mode"]),
    // Of the files of limits of users.
    outermost("buslimits"),
    form("buslimits", "limit", &["name", "user", "group"]),
];

const fn outermost(name: &'static str) -> ElementForm {
    ElementForm { parent: None, name, attributes: &[] }
}

const fn form(
    parent: &'static str,
    name: &'static str,
    attributes: &'static [&'static str],
) -> ElementForm {
    ElementForm { parent: Some(parent), name, attributes }
}

/// The attributes that the element `name` takes in `parent`; `None` if it does not belong there.
pub(super) fn attributes_in(parent: &str, name: &str) -> Option<&'static [&'static str]> {
    let mut inside = ELEMENTS.iter().filter(|form| form.parent == Some(parent));
    inside.find(|form| form.name == name).map(|form| form.attributes)
}

/// The elements that `parent` takes.
pub(super) fn elements_in(parent: &str) -> Vec<&'static str> {
    let inside = ELEMENTS.iter().filter(|form| form.parent == Some(parent));
    inside.map(|form| form.name).collect()
}
