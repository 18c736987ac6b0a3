//! The bus of another machine: an address that starts `ssh` (tools.md D078).
//!
//! The text mostly comes from a user or a configuration. None of it may become an option of `ssh`, nor more
//! than one word in the shell of the other machine, whatever it says.

use super::{Address, AddressError};

/// What the other machine's shell runs, whichever shell it is.
const BRIDGE: &str = "sh -c 'command -v systemd-stdio-bridge >/dev/null && exec systemd-stdio-bridge; \
                      exec bus --system stdio-bridge'";

impl Address {
    /// The address of the system bus of a host, or of a container there: `[user@]host[:port][/container]`. The
    /// other end is `systemd-stdio-bridge` on that host, or `bus stdio-bridge` where there is no systemd. An IPv6
    /// address stands in brackets.
    ///
    /// # Errors
    /// [`AddressError::InvalidHost`]: it is not of that form, or a part of it begins with `-` or has a sign that
    /// no such name has.
    ///
    /// ```
    /// use libbus::address::{Address, AddressError};
    ///
    /// let address = Address::ssh("me@example.org:2222/box")?;
    /// assert_eq!(
    ///     address.to_string(),
    ///     "unixexec:path=ssh,argv1=-xT,argv2=-p,argv3=2222,argv4=--,argv5=me%40example.org,\
    ///      argv6=systemd-stdio-bridge,argv7=--machine%3dbox"
    /// );
    /// assert_eq!(Address::ssh("-oProxyCommand=x"), Err(AddressError::InvalidHost));
    /// # Ok::<(), AddressError>(())
    /// ```
    pub fn ssh(host: &str) -> Result<Self, AddressError> {
        let place = Place::parse(host).ok_or(AddressError::InvalidHost)?;
        let mut arguments = vec!["-xT".to_owned()];
        if let Some(port) = place.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        arguments.extend(["--".to_owned(), place.host()]);
        match place.container {
            None => arguments.push(BRIDGE.to_owned()),
            Some(container) => {
                let machine = format!("--machine={container}");
                arguments.extend(["systemd-stdio-bridge".to_owned(), machine]);
            }
        }
        let mut address = Self::new("unixexec").with("path", "ssh");
        for (index, argument) in (1..).zip(arguments) {
            address = address.with(&format!("argv{index}"), argument);
        }
        Ok(address)
    }
}

/// What such a text says.
struct Place<'t> {
    user: Option<&'t str>,
    host: &'t str,
    port: Option<u16>,
    container: Option<&'t str>,
}

impl<'t> Place<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (text, container) = match text.split_once('/') {
            None => (text, None),
            Some((text, container)) => (text, Some(word(container)?)),
        };
        let (user, text) = match text.rsplit_once('@') {
            None => (None, text),
            Some((user, text)) => (Some(word(user)?), text),
        };
        let (host, rest) = match text.strip_prefix('[') {
            Some(text) => {
                let (host, rest) = text.split_once(']')?;
                let is_address = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
                let has_form = host.contains(':') && host.bytes().all(is_address);
                (has_form.then_some(host)?, rest)
            }
            None => {
                let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
                (word(host)?, rest)
            }
        };
        let port = match rest {
            "" => None,
            rest => Some(port(rest.strip_prefix(':')?)?),
        };
        Some(Self { user, host, port, container })
    }

    fn host(&self) -> String {
        match self.user {
            None => self.host.to_owned(),
            Some(user) => format!("{user}@{}", self.host),
        }
    }
}

/// A name that is one word everywhere.
fn word(text: &str) -> Option<&str> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_word = !text.is_empty() && !text.starts_with('-') && text.bytes().all(is_of_name);
    is_word.then_some(text)
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ConnectAddress;

    fn check(host: &str, expected: &str) {
        let address = Address::ssh(host).unwrap();
        let parsed = Address::parse(&address.to_string()).unwrap();
        let Ok(ConnectAddress::UnixExec { argv, .. }) = parsed.connect() else {
            panic!("{parsed}")
        };
        let words: Vec<_> = argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
        assert_eq!(words.join(" "), expected, "{host}");
    }

    // tools.md D078
    #[test]
    fn a_host_becomes_a_command() {
        check("host", &format!("ssh -xT -- host {BRIDGE}"));
        check("me@host.example:22", &format!("ssh -xT -p 22 -- me@host.example {BRIDGE}"));
        check("host/box", "ssh -xT -- host systemd-stdio-bridge --machine=box");
        check("[::1]:2/b-1", "ssh -xT -p 2 -- ::1 systemd-stdio-bridge --machine=b-1");
    }

    #[test]
    fn nothing_becomes_an_option_or_a_command() {
        let hosts = [
            "",
            "-oProxyCommand=x",
            "-x@host",
            "a@-host",
            "@host",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:22:",
            "host/",
            "host/-x",
            "host/a b",
            "host/$(x)",
            "host/a;b",
            "a b",
            "a\nb",
            "a@b@-c",
            "a'b",
            "[::1",
            "[-x]",
            "[::1]x",
            "[abc]",
            "h\u{f6}st",
            "host/a/b",
        ];
        for host in hosts {
            assert_eq!(Address::ssh(host), Err(AddressError::InvalidHost), "{host:?}");
        }
    }
}
