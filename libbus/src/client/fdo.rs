//! The errors that the D-Bus specification and its reference implementation name, as a type.

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustix::io::Errno;

use super::blob::BlobError;
use super::errno::SystemError;
use super::error::Error as ClientError;
use crate::server::DBusError;
use crate::standard_error;

/// As [`Error`] says.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! errors {
    ($($(#[$meta:meta])* $variant:ident = $name:ident, $errno:ident;)*) => {
        /// An error by its standard name, with what it says to people: what a method of an object answers
        /// with, and what a caller gets.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Error {
            /// What is none of these: an error of another name, or of the connection.
            Bus(ClientError),
            $($(#[$meta])* $variant(String),)*
        }

        impl Error {
            /// The one of this name.
            fn of_name(name: &str, text: &str) -> Option<Self> {
                $(if name == standard_error::$name.as_str() {
                    return Some(Self::$variant(text.to_owned()));
                })*
                None
            }

            /// What libraries of C say for it (tools.md D085).
            #[must_use]
            pub fn errno(&self) -> i32 {
                let errno = match self {
                    Self::Bus(ClientError::Io(error)) => {
                        return error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                    }
                    Self::Bus(ClientError::Method(error)) => {
                        return SystemError::from_name(error.name()).number();
                    }
                    Self::Bus(ClientError::TimedOut(_)) => Errno::TIMEDOUT,
                    Self::Bus(ClientError::Closed) => Errno::CONNRESET,
                    Self::Bus(_) => Errno::IO,
                    $(Self::$variant(_) => Errno::$errno,)*
                };
                errno.raw_os_error()
            }
        }

        /// What libraries of C say for a standard name.
        pub(super) fn errno_of(name: &str) -> Option<i32> {
            $(if name == standard_error::$name.as_str() {
                return Some(Errno::$errno.raw_os_error());
            })*
            None
        }

        impl DBusError for Error {
            fn name(&self) -> Cow<'_, str> {
                match self {
                    Self::Bus(error) => DBusError::name(error),
                    $(Self::$variant(_) => Cow::Borrowed(standard_error::$name.as_str()),)*
                }
            }

            fn description(&self) -> Cow<'_, str> {
                match self {
                    Self::Bus(error) => DBusError::description(error),
                    $(Self::$variant(text) => Cow::Borrowed(text),)*
                }
            }
        }
    };
}

errors! {
    /// A request could not be carried out, for no reason that has a name of its own. protocol.md A224.
    Failed = FAILED, ACCESS;
    /// Memory ran out. protocol.md A225.
    NoMemory = NO_MEMORY, NOMEM;
    /// No service file provides the name that was to be started. protocol.md A226.
    ServiceUnknown = SERVICE_UNKNOWN, HOSTUNREACH;
    /// Nobody owns the bus name that was asked for. protocol.md A227.
    NameHasNoOwner = NAME_HAS_NO_OWNER, NXIO;
    /// The callee is gone or took too long, so the call gets no reply. protocol.md A228.
    NoReply = NO_REPLY, TIMEDOUT;
    /// A limit is reached. protocol.md A229.
    LimitsExceeded = LIMITS_EXCEEDED, NOBUFS;
    /// A security policy or the bus itself does not allow this. protocol.md A230.
    AccessDenied = ACCESS_DENIED, ACCESS;
    /// The arguments of a call are wrong in number, type or value. protocol.md A231.
    InvalidArgs = INVALID_ARGS, INVAL;
    /// What was asked for is not supported. protocol.md A232.
    NotSupported = NOT_SUPPORTED, OPNOTSUPP;
    /// The object has no such method. protocol.md A233.
    UnknownMethod = UNKNOWN_METHOD, BADR;
    /// The object has no such interface. protocol.md A233.
    UnknownInterface = UNKNOWN_INTERFACE, BADR;
    /// There is no such object. protocol.md A233.
    UnknownObject = UNKNOWN_OBJECT, BADR;
    /// The object has no such property. protocol.md A233.
    UnknownProperty = UNKNOWN_PROPERTY, BADR;
    /// The property cannot be set. protocol.md A233.
    PropertyReadOnly = PROPERTY_READ_ONLY, ROFS;
    /// A service did not start in time. protocol.md A234.
    TimedOut = TIMED_OUT, TIMEDOUT;
    /// The text is not a match rule. protocol.md A235.
    MatchRuleInvalid = MATCH_RULE_INVALID, INVAL;
    /// The client has no such match rule. protocol.md A235.
    MatchRuleNotFound = MATCH_RULE_NOT_FOUND, NOENT;
    /// The process id of a client is not known. protocol.md A236.
    UnixProcessIdUnknown = UNIX_PROCESS_ID_UNKNOWN, SRCH;
    /// The Solaris audit data of a client is not known. protocol.md A236.
    AdtAuditDataUnknown = ADT_AUDIT_DATA_UNKNOWN, IO;
    /// The SELinux context of a client is not known. protocol.md A236.
    SELinuxSecurityContextUnknown = SELINUX_SECURITY_CONTEXT_UNKNOWN, SRCH;
    /// A file does not exist. protocol.md A237.
    FileNotFound = FILE_NOT_FOUND, NOENT;
    /// A file's content is not what it must be. protocol.md A237.
    InvalidFileContent = INVALID_FILE_CONTENT, INVAL;
    /// Reading or writing failed. protocol.md A237.
    IOError = IO_ERROR, IO;
    /// The service's program could not be executed. protocol.md A238.
    SpawnExecFailed = SPAWN_EXEC_FAILED, IO;
    /// No process could be created for the service. protocol.md A238.
    SpawnForkFailed = SPAWN_FORK_FAILED, IO;
    /// The service's process ended before it took its name. protocol.md A238.
    SpawnChildExited = SPAWN_CHILD_EXITED, IO;
    /// The service's process was killed before it took its name. protocol.md A238.
    SpawnChildSignaled = SPAWN_CHILD_SIGNALED, IO;
    /// The service could not be started, for no reason that has a name of its own. protocol.md A238.
    SpawnFailed = SPAWN_FAILED, IO;
    /// The environment of the service's process could not be prepared. protocol.md A238.
    SpawnFailedToSetup = SPAWN_FAILED_TO_SETUP, IO;
    /// The activation helper found a fault in the bus configuration. protocol.md A238.
    SpawnConfigInvalid = SPAWN_CONFIG_INVALID, IO;
    /// The name of the service to start is not valid. protocol.md A238.
    SpawnServiceNotValid = SPAWN_SERVICE_NOT_VALID, IO;
    /// The activation helper knows no such service. protocol.md A238.
    SpawnServiceNotFound = SPAWN_SERVICE_NOT_FOUND, IO;
    /// The activation helper's owner or mode is wrong. protocol.md A238.
    SpawnPermissionsInvalid = SPAWN_PERMISSIONS_INVALID, IO;
    /// The service file is not valid. protocol.md A238.
    SpawnFileInvalid = SPAWN_FILE_INVALID, IO;
    /// The activation helper ran out of memory. protocol.md A238.
    SpawnNoMemory = SPAWN_NO_MEMORY, IO;
    /// A server address is wrong. protocol.md A240.
    BadAddress = BAD_ADDRESS, ADDRNOTAVAIL;
    /// Authentication failed. protocol.md A240.
    AuthFailed = AUTH_FAILED, ACCESS;
    /// No server listens at the address. protocol.md A240.
    NoServer = NO_SERVER, HOSTDOWN;
    /// A client waited too long, for instance while connecting. protocol.md A240.
    Timeout = TIMEOUT, TIMEDOUT;
    /// The network cannot be reached. protocol.md A240.
    NoNetwork = NO_NETWORK, NONET;
    /// Something else listens at the address. protocol.md A240.
    AddressInUse = ADDRESS_IN_USE, ADDRINUSE;
    /// The connection is gone. protocol.md A240.
    Disconnected = DISCONNECTED, CONNRESET;
    /// A file exists that must not. protocol.md A240.
    FileExists = FILE_EXISTS, EXIST;
    /// A type signature is wrong. protocol.md A240.
    InvalidSignature = INVALID_SIGNATURE, INVAL;
    /// An object is already registered at the path. protocol.md A240.
    ObjectPathInUse = OBJECT_PATH_IN_USE, BUSY;
    /// Parts of a message contradict each other. protocol.md A240.
    InconsistentMessage = INCONSISTENT_MESSAGE, BADMSG;
    /// The user would have to be asked, and the caller did not allow that. protocol.md A240.
    InteractiveAuthorizationRequired = INTERACTIVE_AUTHORIZATION_REQUIRED, ACCESS;
    /// The caller is not in a container. protocol.md A240.
    NotContainer = NOT_CONTAINER, IO;
}

impl DBusError for ClientError {
    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Method(error) => Cow::Borrowed(error.name()),
            Self::TimedOut(_) => Cow::Borrowed(standard_error::TIMED_OUT.as_str()),
            Self::Closed => Cow::Borrowed(standard_error::DISCONNECTED.as_str()),
            _ => Cow::Borrowed(standard_error::FAILED.as_str()),
        }
    }

    fn description(&self) -> Cow<'_, str> {
        match self {
            Self::Method(error) => Cow::Borrowed(error.text()),
            other => Cow::Owned(other.to_string()),
        }
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let known = match &error {
            ClientError::Method(method) => Self::of_name(method.name(), method.text()),
            _ => None,
        };
        known.unwrap_or(Self::Bus(error))
    }
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        let text = error.to_string();
        match error {
            BlobError::TooLarge { .. } => Self::LimitsExceeded(text),
            BlobError::Io(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                Self::NoMemory(text)
            }
            BlobError::Io(_) => Self::IOError(text),
            BlobError::NoFile(_) | BlobError::Unsealable | BlobError::Unsealed(_) => {
                Self::InvalidArgs(text)
            }
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            io::ErrorKind::NotFound => Self::FileNotFound(text),
            io::ErrorKind::AlreadyExists => Self::FileExists(text),
            io::ErrorKind::PermissionDenied => Self::AccessDenied(text),
            io::ErrorKind::TimedOut => Self::TimedOut(text),
            io::ErrorKind::OutOfMemory => Self::NoMemory(text),
            io::ErrorKind::InvalidInput => Self::InvalidArgs(text),
            io::ErrorKind::Unsupported => Self::NotSupported(text),
            _ => Self::IOError(text),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(error) => error.fmt(f),
            named => write!(f, "{}: {}", DBusError::name(named), DBusError::description(named)),
        }
    }
}

impl std::error::Error for Error {}
