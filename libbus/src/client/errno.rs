//! Error numbers of the system as errors of D-Bus, and back (tools.md D085).
//!
//! The names are those that libraries of C agree on: the standard ones for what they are about, and
//! `System.Error.ENOENT` and the like for all others.

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::host::phrase;
use crate::names::ErrorName;
use crate::server::DBusError;
use crate::standard_error;

/// With what the names begin that say a number of the system.
const SYSTEM: &str = "System.Error.";

/// An error number of the system, such as `ENOENT`: what a method that fails for one answers with.
///
/// ```
/// use libbus::{DBusError, SystemError};
///
/// let error = SystemError::from_name("org.freedesktop.DBus.Error.FileNotFound");
/// assert_eq!(error.number(), 2);
/// assert_eq!(SystemError::from_number(20).name(), "System.Error.ENOTDIR");
/// assert_eq!(SystemError::from_number(20).description(), "Not a directory");
/// // What a program's own errors mean, first:
/// let own = [("org.example.Error.Full", 28)];
/// assert_eq!(SystemError::from_name_with("org.example.Error.Full", &own).number(), 28);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemError(i32);

impl SystemError {
    /// The error of this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The error that this name stands for; `EIO` if it is none that is known.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::from_name_with(name, &[])
    }

    /// As [`SystemError::from_name`], after a look for the name in `own`, the program's table of names with their
    /// numbers.
    #[must_use]
    pub fn from_name_with(name: &str, own: &[(&str, i32)]) -> Self {
        let find = |table: &[(&str, Errno)], name: &str| {
            table.iter().find(|(known, _)| *known == name).map(|(_, errno)| errno.raw_os_error())
        };
        let number = own
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
            .or_else(|| super::fdo::errno_of(name))
            .or_else(|| find(NAMES, name.strip_prefix(SYSTEM)?));
        Self(number.unwrap_or(Errno::IO.raw_os_error()))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The standard name for it, if there is one.
    fn standard_name(self) -> Option<ErrorName<'static>> {
        let is_it = |(_, errno): &&(ErrorName<'_>, Errno)| errno.raw_os_error() == self.0;
        STANDARD.iter().find(is_it).map(|(name, _)| *name)
    }
}

impl DBusError for SystemError {
    fn name(&self) -> Cow<'_, str> {
        if let Some(name) = self.standard_name() {
            return Cow::Borrowed(name.as_str());
        }
        let known = NAMES.iter().find(|(_, errno)| errno.raw_os_error() == self.0);
        known.map_or(Cow::Borrowed(standard_error::FAILED.as_str()), |(name, _)| {
            Cow::Owned(format!("{SYSTEM}{name}"))
        })
    }

    fn description(&self) -> Cow<'_, str> {
        // The name says its number.
        Cow::Owned(phrase(&io::Error::from_raw_os_error(self.0)))
    }
}

/// The number that the system gave, or what comes closest.
impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> Self {
        let closest = || match error.kind() {
            io::ErrorKind::NotFound => Errno::NOENT,
            io::ErrorKind::AlreadyExists => Errno::EXIST,
            io::ErrorKind::PermissionDenied => Errno::ACCESS,
            io::ErrorKind::TimedOut => Errno::TIMEDOUT,
            io::ErrorKind::OutOfMemory => Errno::NOMEM,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Errno::INVAL,
            io::ErrorKind::Unsupported => Errno::OPNOTSUPP,
            _ => Errno::IO,
        };
        Self(error.raw_os_error().unwrap_or_else(|| closest().raw_os_error()))
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<SystemError> for io::Error {
    fn from(error: SystemError) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.description())
    }
}

impl std::error::Error for SystemError {}

/// Numbers for which there is a standard name.
const STANDARD: &[(ErrorName<'static>, Errno)] = &[
    (standard_error::NO_MEMORY, Errno::NOMEM),
    (standard_error::ACCESS_DENIED, Errno::PERM),
    (standard_error::ACCESS_DENIED, Errno::ACCESS),
    (standard_error::INVALID_ARGS, Errno::INVAL),
    (standard_error::UNIX_PROCESS_ID_UNKNOWN, Errno::SRCH),
    (standard_error::FILE_NOT_FOUND, Errno::NOENT),
    (standard_error::FILE_EXISTS, Errno::EXIST),
    (standard_error::TIMEOUT, Errno::TIMEDOUT),
    (standard_error::TIMEOUT, Errno::TIME),
    (standard_error::IO_ERROR, Errno::IO),
    (standard_error::DISCONNECTED, Errno::NETRESET),
    (standard_error::DISCONNECTED, Errno::CONNABORTED),
    (standard_error::DISCONNECTED, Errno::CONNRESET),
    (standard_error::NOT_SUPPORTED, Errno::OPNOTSUPP),
    (standard_error::BAD_ADDRESS, Errno::ADDRNOTAVAIL),
    (standard_error::LIMITS_EXCEEDED, Errno::NOBUFS),
    (standard_error::ADDRESS_IN_USE, Errno::ADDRINUSE),
    (standard_error::INCONSISTENT_MESSAGE, Errno::BADMSG),
];

/// What the system calls its errors.
const NAMES: &[(&str, Errno)] = &[
    ("E2BIG", Errno::TOOBIG),
    ("EACCES", Errno::ACCESS),
    ("EADDRINUSE", Errno::ADDRINUSE),
    ("EADDRNOTAVAIL", Errno::ADDRNOTAVAIL),
    ("EADV", Errno::ADV),
    ("EAFNOSUPPORT", Errno::AFNOSUPPORT),
    ("EAGAIN", Errno::AGAIN),
    ("EALREADY", Errno::ALREADY),
    ("EBADE", Errno::BADE),
    ("EBADF", Errno::BADF),
    ("EBADFD", Errno::BADFD),
    ("EBADMSG", Errno::BADMSG),
    ("EBADR", Errno::BADR),
    ("EBADRQC", Errno::BADRQC),
    ("EBADSLT", Errno::BADSLT),
    ("EBFONT", Errno::BFONT),
    ("EBUSY", Errno::BUSY),
    ("ECANCELED", Errno::CANCELED),
    ("ECHILD", Errno::CHILD),
    ("ECHRNG", Errno::CHRNG),
    ("ECOMM", Errno::COMM),
    ("ECONNABORTED", Errno::CONNABORTED),
    ("ECONNREFUSED", Errno::CONNREFUSED),
    ("ECONNRESET", Errno::CONNRESET),
    ("EDEADLK", Errno::DEADLK),
    ("EDESTADDRREQ", Errno::DESTADDRREQ),
    ("EDOM", Errno::DOM),
    ("EDOTDOT", Errno::DOTDOT),
    ("EDQUOT", Errno::DQUOT),
    ("EEXIST", Errno::EXIST),
    ("EFAULT", Errno::FAULT),
    ("EFBIG", Errno::FBIG),
    ("EHOSTDOWN", Errno::HOSTDOWN),
    ("EHOSTUNREACH", Errno::HOSTUNREACH),
    ("EHWPOISON", Errno::HWPOISON),
    ("EIDRM", Errno::IDRM),
    ("EILSEQ", Errno::ILSEQ),
    ("EINPROGRESS", Errno::INPROGRESS),
    ("EINTR", Errno::INTR),
    ("EINVAL", Errno::INVAL),
    ("EIO", Errno::IO),
    ("EISCONN", Errno::ISCONN),
    ("EISDIR", Errno::ISDIR),
    ("EISNAM", Errno::ISNAM),
    ("EKEYEXPIRED", Errno::KEYEXPIRED),
    ("EKEYREJECTED", Errno::KEYREJECTED),
    ("EKEYREVOKED", Errno::KEYREVOKED),
    ("EL2HLT", Errno::L2HLT),
    ("EL2NSYNC", Errno::L2NSYNC),
    ("EL3HLT", Errno::L3HLT),
    ("EL3RST", Errno::L3RST),
    ("ELIBACC", Errno::LIBACC),
    ("ELIBBAD", Errno::LIBBAD),
    ("ELIBEXEC", Errno::LIBEXEC),
    ("ELIBMAX", Errno::LIBMAX),
    ("ELIBSCN", Errno::LIBSCN),
    ("ELNRNG", Errno::LNRNG),
    ("ELOOP", Errno::LOOP),
    ("EMEDIUMTYPE", Errno::MEDIUMTYPE),
    ("EMFILE", Errno::MFILE),
    ("EMLINK", Errno::MLINK),
    ("EMSGSIZE", Errno::MSGSIZE),
    ("EMULTIHOP", Errno::MULTIHOP),
    ("ENAMETOOLONG", Errno::NAMETOOLONG),
    ("ENAVAIL", Errno::NAVAIL),
    ("ENETDOWN", Errno::NETDOWN),
    ("ENETRESET", Errno::NETRESET),
    ("ENETUNREACH", Errno::NETUNREACH),
    ("ENFILE", Errno::NFILE),
    ("ENOANO", Errno::NOANO),
    ("ENOBUFS", Errno::NOBUFS),
    ("ENOCSI", Errno::NOCSI),
    ("ENODATA", Errno::NODATA),
    ("ENODEV", Errno::NODEV),
    ("ENOENT", Errno::NOENT),
    ("ENOEXEC", Errno::NOEXEC),
    ("ENOKEY", Errno::NOKEY),
    ("ENOLCK", Errno::NOLCK),
    ("ENOLINK", Errno::NOLINK),
    ("ENOMEDIUM", Errno::NOMEDIUM),
    ("ENOMEM", Errno::NOMEM),
    ("ENOMSG", Errno::NOMSG),
    ("ENONET", Errno::NONET),
    ("ENOPKG", Errno::NOPKG),
    ("ENOPROTOOPT", Errno::NOPROTOOPT),
    ("ENOSPC", Errno::NOSPC),
    ("ENOSR", Errno::NOSR),
    ("ENOSTR", Errno::NOSTR),
    ("ENOSYS", Errno::NOSYS),
    ("ENOTBLK", Errno::NOTBLK),
    ("ENOTCONN", Errno::NOTCONN),
    ("ENOTDIR", Errno::NOTDIR),
    ("ENOTEMPTY", Errno::NOTEMPTY),
    ("ENOTNAM", Errno::NOTNAM),
    ("ENOTRECOVERABLE", Errno::NOTRECOVERABLE),
    ("ENOTSOCK", Errno::NOTSOCK),
    ("ENOTTY", Errno::NOTTY),
    ("ENOTUNIQ", Errno::NOTUNIQ),
    ("ENXIO", Errno::NXIO),
    ("EOPNOTSUPP", Errno::OPNOTSUPP),
    ("EOVERFLOW", Errno::OVERFLOW),
    ("EOWNERDEAD", Errno::OWNERDEAD),
    ("EPERM", Errno::PERM),
    ("EPFNOSUPPORT", Errno::PFNOSUPPORT),
    ("EPIPE", Errno::PIPE),
    ("EPROTO", Errno::PROTO),
    ("EPROTONOSUPPORT", Errno::PROTONOSUPPORT),
    ("EPROTOTYPE", Errno::PROTOTYPE),
    ("ERANGE", Errno::RANGE),
    ("EREMCHG", Errno::REMCHG),
    ("EREMOTE", Errno::REMOTE),
    ("EREMOTEIO", Errno::REMOTEIO),
    ("ERESTART", Errno::RESTART),
    ("ERFKILL", Errno::RFKILL),
    ("EROFS", Errno::ROFS),
    ("ESHUTDOWN", Errno::SHUTDOWN),
    ("ESOCKTNOSUPPORT", Errno::SOCKTNOSUPPORT),
    ("ESPIPE", Errno::SPIPE),
    ("ESRCH", Errno::SRCH),
    ("ESRMNT", Errno::SRMNT),
    ("ESTALE", Errno::STALE),
    ("ESTRPIPE", Errno::STRPIPE),
    ("ETIME", Errno::TIME),
    ("ETIMEDOUT", Errno::TIMEDOUT),
    ("ETOOMANYREFS", Errno::TOOMANYREFS),
    ("ETXTBSY", Errno::TXTBSY),
    ("EUCLEAN", Errno::UCLEAN),
    ("EUNATCH", Errno::UNATCH),
    ("EUSERS", Errno::USERS),
    ("EXDEV", Errno::XDEV),
    ("EXFULL", Errno::XFULL),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_name_that_means_it() {
        for (_, errno) in NAMES {
            let error = SystemError(errno.raw_os_error());
            ErrorName::parse(&error.name()).unwrap();
            let back = SystemError::from_name(&error.name());
            // Several share a standard name, which then means one of them.
            assert!(back == error || back.name() == error.name(), "{error}");
        }
        for name in standard_error::ALL {
            assert!(super::super::fdo::errno_of(name.as_str()).is_some(), "{name}");
        }
    }

    #[test]
    fn what_nobody_knows_is_an_io_error_or_failed() {
        for name in ["", "org.example.Error.A", "System.Error.", "System.Error.ENONSENSE", "ENOENT"]
        {
            assert_eq!(SystemError::from_name(name).number(), Errno::IO.raw_os_error());
        }
        for number in [i32::MIN, -2, 0, 100_000] {
            assert_eq!(SystemError(number).name(), standard_error::FAILED.as_str());
        }
    }

    #[test]
    fn errors_of_the_system_keep_their_number() {
        let error = std::fs::read("/dev/null/x").unwrap_err();
        let converted = SystemError::from(&error);
        assert_eq!(converted.to_string(), "System.Error.ENOTDIR: Not a directory");
        assert_eq!(io::Error::from(converted).raw_os_error(), error.raw_os_error());
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(SystemError::from(other).number(), Errno::ACCESS.raw_os_error());
    }
}
