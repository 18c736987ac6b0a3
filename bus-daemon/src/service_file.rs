//! D-BUS service files: who may be started, and how (config.md B094–B096).
//!
//! ```ini
//! [D-BUS Service]
//! Name=org.example.Service
//! Exec=/usr/libexec/example-service --on-bus
//! User=example
//! SystemdService=example.service
//! ```
//!
//! The syntax is that of desktop entries. Groups and keys that mean nothing here are left alone.
//!
//! deviation: blanks at the begin of a line and around a group, and a group that is begun twice, are
//! harmless, and so are wrong escapes where nobody reads them; the reference leaves the file out. What can
//! never be started is left out and told here, and listed there: a name that is none, an empty `Exec`.

use std::fmt;

use libbus::names::WellKnownName;

/// Longest file that is read, in bytes.
pub const SERVICE_FILE_SIZE_MAX: usize = 1 << 20;
const GROUP: &str = "D-BUS Service";

/// What one file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFile {
    /// `Name`: the name that the service takes.
    pub name: String,
    /// `Exec`: the command line as it is written. `None` where nobody but systemd can start it.
    pub exec: Option<String>,
    /// `User`: as whom a service of the system bus runs.
    pub user: Option<String>,
    /// `SystemdService`: the unit that starts it where systemd starts services.
    pub systemd_service: Option<String>,
    /// `AssumedAppArmorLabel`: the label by which AppArmor decides before it runs.
    pub assumed_apparmor_label: Option<String>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFileError {
    /// In which line, from 1 on; `None` if it is the file as a whole.
    pub line: Option<usize>,
    /// Which rule it breaks.
    pub fault: Fault,
    /// What, and what to do.
    pub text: String,
}

/// The rules for files, as far as who starts services tells them apart (config.md B104).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no text of groups, keys and comments.
    Syntax,
    /// A key that every service needs is missing, or all of them.
    MissingKey,
    /// `Name` is empty or no well-known name.
    WrongName,
    /// `Exec` is empty.
    EmptyExec,
}

/// Behind a path it is `PATH:LINE: TEXT`.
impl fmt::Display for ServiceFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, ":{line}: {}", self.text),
            None => write!(f, ": {}", self.text),
        }
    }
}

impl std::error::Error for ServiceFileError {}

fn wrong<T>(line: usize, text: impl Into<String>) -> Result<T, ServiceFileError> {
    Err(ServiceFileError { line: Some(line), fault: Fault::Syntax, text: text.into() })
}

impl ServiceFile {
    /// Reads the content of a file.
    ///
    /// # Errors
    /// It is no UTF-8, a line is no group, key or comment, or a key that every service needs is
    /// missing or makes no sense.
    pub fn parse(content: &[u8]) -> Result<Self, ServiceFileError> {
        let text = match std::str::from_utf8(content) {
            Ok(text) => text,
            Err(error) => {
                let before = content.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                return wrong(line, "this is not UTF-8; write it as UTF-8");
            }
        };
        if let Some(at) = text.find('\0') {
            let before = text.get(..at).unwrap_or_default();
            return wrong(before.matches('\n').count() + 1, "a file of text has no NUL; remove it");
        }
        let mut keys = Keys::default();
        let mut group: Option<&str> = None;
        let (mut has_group, mut similar) = (false, None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end_matches('\r');
            let content = line.trim_start();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if let Some(rest) = content.strip_prefix('[') {
                let name = rest.trim_end().strip_suffix(']').filter(|name| is_group(name));
                if name.is_none() {
                    return wrong(number, "a group is written [Name]; close it with ]");
                }
                group = name;
                has_group |= name == Some(GROUP);
                if name.is_some_and(|name| name.trim().eq_ignore_ascii_case(GROUP)) {
                    similar = similar.or(name.map(|name| (number, name)));
                }
                continue;
            }
            let Some((key, value)) = content.split_once('=') else {
                return wrong(number, "this is no group, no key and no comment; write Key=value");
            };
            if group.is_none() {
                return wrong(
                    number,
                    format!("a key before the first group; write [{GROUP}] above"),
                );
            }
            let key = key.trim_end();
            if !is_key(key) {
                return wrong(number, format!("{key:?} is no key: letters, digits and - only"));
            }
            if group == Some(GROUP) {
                keys.take(number, key, value.trim())?;
            }
        }
        if has_group { keys.finish() } else { Err(no_group(similar)) }
    }
}

/// Nothing in the file counts; perhaps because of one group that is written in another way.
fn no_group(similar: Option<(usize, &str)>) -> ServiceFileError {
    let text = match similar {
        Some((_, name)) => format!("there is no group [{GROUP}]; write this one so, not [{name}]"),
        None => format!("there is no group [{GROUP}]; write it above Name= and Exec="),
    };
    ServiceFileError { line: similar.map(|(line, _)| line), fault: Fault::MissingKey, text }
}

/// The keys that count, each with its line; the first one of a name does.
#[derive(Default)]
struct Keys {
    name: Option<(usize, String)>,
    exec: Option<(usize, String)>,
    user: Option<(usize, String)>,
    systemd_service: Option<(usize, String)>,
    assumed_apparmor_label: Option<(usize, String)>,
}

impl Keys {
    fn take(&mut self, line: usize, key: &str, value: &str) -> Result<(), ServiceFileError> {
        let place = match key {
            "Name" => &mut self.name,
            "Exec" => &mut self.exec,
            "User" => &mut self.user,
            "SystemdService" => &mut self.systemd_service,
            "AssumedAppArmorLabel" => &mut self.assumed_apparmor_label,
            _ => return Ok(()),
        };
        let value = unescape(line, value)?;
        place.get_or_insert((line, value));
        Ok(())
    }

    fn finish(self) -> Result<ServiceFile, ServiceFileError> {
        let meaning = "the name that the service takes";
        let (line, name) = required(self.name, "Name", meaning, Fault::WrongName)?;
        if WellKnownName::parse(&name).is_err() {
            let text = format!("Name={name} is no well-known bus name");
            return Err(ServiceFileError { line: Some(line), fault: Fault::WrongName, text });
        }
        // An empty one names none, so that Exec counts (config.md B098).
        let unit = self.systemd_service.filter(|(_, unit)| !unit.is_empty());
        // deviation: the reference leaves out what names a unit alone (config.md B094).
        let exec = if self.exec.is_none() && unit.is_some() {
            None
        } else {
            let meaning = "the command line that starts it";
            Some(required(self.exec, "Exec", meaning, Fault::EmptyExec)?)
        };
        let text = |key: Option<(usize, String)>| key.map(|(_, value)| value);
        Ok(ServiceFile {
            name,
            exec: text(exec),
            user: text(self.user),
            systemd_service: text(unit),
            assumed_apparmor_label: text(self.assumed_apparmor_label),
        })
    }
}

fn required(
    key: Option<(usize, String)>,
    name: &str,
    meaning: &str,
    if_empty: Fault,
) -> Result<(usize, String), ServiceFileError> {
    let (line, fault, what) = match key {
        Some((line, value)) if value.is_empty() => {
            (Some(line), if_empty, format!("{name}= is empty"))
        }
        Some(found) => return Ok(found),
        None => (None, Fault::MissingKey, format!("[{GROUP}] has no {name}=")),
    };
    Err(ServiceFileError { line, fault, text: format!("{what}; write {meaning}") })
}

fn is_group(name: &str) -> bool {
    !name.is_empty() && !name.contains(['[', ']']) && !name.chars().any(char::is_control)
}

/// A key, perhaps with a locale: `Key[de]`.
fn is_key(key: &str) -> bool {
    let (key, locale) = key.split_once('[').unwrap_or((key, "]"));
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !key.is_empty() && key.bytes().all(is_key) && locale.ends_with(']')
}

fn unescape(line: usize, value: &str) -> Result<String, ServiceFileError> {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            text.push(next);
            continue;
        }
        text.push(match chars.next() {
            Some('s') => ' ',
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('\\') => '\\',
            _ => {
                return wrong(line, "a \\ stands before s, n, t, r or \\ only; write \\\\ for one");
            }
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServiceFile, String> {
        ServiceFile::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn all_keys_are_read_and_the_rest_is_left_alone() {
        let file = parse(
            "# a comment\n\n[Other]\nName=x\n[D-BUS Service]\r\nName = a.b.C \r\n\
             Exec=/bin/x --text\\s1 'a\\\\b'\nName[de]=Y\nUser=me\nSystemdService=c.service\n\
             AssumedAppArmorLabel=/bin/x\nX-Key=1\nName=d.e\n",
        );
        let expected = ServiceFile {
            name: "a.b.C".to_owned(),
            exec: Some("/bin/x --text 1 'a\\b'".to_owned()),
            user: Some("me".to_owned()),
            systemd_service: Some("c.service".to_owned()),
            assumed_apparmor_label: Some("/bin/x".to_owned()),
        };
        assert_eq!(file, Ok(expected));
    }

    // config.md B094
    #[test]
    fn what_systemd_starts_needs_no_command_line() {
        let file = parse("[D-BUS Service]\nName=a.b\nSystemdService=b.service\n").unwrap();
        assert_eq!((file.exec, file.systemd_service), (None, Some("b.service".to_owned())));
        let error = parse("[D-BUS Service]\nName=a.b\nSystemdService=\n").unwrap_err();
        assert!(error.contains("has no Exec="), "{error}");
        let text = "[D-BUS Service]\nName=a.b\nExec=/bin/x\nSystemdService=\n";
        assert_eq!(parse(text).unwrap().systemd_service, None, "it names no unit");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let group = "[D-BUS Service]\n";
        for (case, text, expected) in [
            ("nothing", String::new(), ": there is no group [D-BUS Service]; write it above"),
            (
                "another case",
                "[x]\n[d-bus service]\nName=a.b\n".to_owned(),
                ":2: there is no group",
            ),
            ("spaces", "[ D-BUS Service ]\n".to_owned(), ":1: there is no group"),
            ("an empty group", group.to_owned(), ": [D-BUS Service] has no Name="),
            ("no Exec", format!("{group}Name=a.b\n"), ": [D-BUS Service] has no Exec="),
            ("no name", format!("{group}Name=\nExec=x\n"), ":2: Name= is empty"),
            ("not a name", format!("{group}Name=ab\nExec=x\n"), ":2: Name=ab is no"),
            ("a unique name", format!("{group}Name=:1.2\nExec=x\n"), ":2: Name=:1.2 is no"),
            ("no command", format!("{group}Name=a.b\nExec=\n"), ":3: Exec= is empty"),
            ("before a group", "Name=a.b\n".to_owned(), ":1: a key before the first group"),
            ("no key", format!("{group}Name=a.b\nsomething\n"), ":3: this is no group"),
            ("not a key", format!("{group}Na me=a.b\n"), ":2: \"Na me\" is no key"),
            ("open group", "[D-BUS Service\n".to_owned(), ":1: a group is written"),
            ("escape", format!("{group}Name=a.b\nExec=\\x\n"), ":3: a \\ stands before"),
            (
                "another group",
                "[Other]\nName=a.b\nExec=x\n".to_owned(),
                ": there is no group [D-BUS",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(expected), "{case}: {error}");
        }
        let error = parse(&format!("{group}#\nName=a.b\0\nExec=x\n")).unwrap_err();
        assert!(error.starts_with(":3: a file of text has no NUL"), "{error}");
        let latin = [group.as_bytes(), b"Name=a.b\nExec=\xe9\n"].concat();
        let error = ServiceFile::parse(&latin).unwrap_err();
        assert_eq!(error.line, Some(3), "{error}");
    }
}
