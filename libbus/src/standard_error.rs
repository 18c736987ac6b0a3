//! The well-known D-Bus error names, and when a bus returns them.
//!
//! Error names that a service manager reports for a failed start are passed on as they come and
//! have no constant here (protocol.md A239).

use crate::names::ErrorName;

macro_rules! standard_errors {
    ($($(#[$meta:meta])* $name:ident = $suffix:literal;)*) => {
        $(
            $(#[$meta])*
            pub const $name: ErrorName<'static> =
                ErrorName::from_static(concat!("org.freedesktop.DBus.Error.", $suffix));
        )*

        /// Every name of this module.
        pub const ALL: &[ErrorName<'static>] = &[$($name),*];
    };
}

standard_errors! {
    /// A request could not be carried out, for no reason that has a name of its own. protocol.md A224.
    FAILED = "Failed";
    /// Memory ran out. protocol.md A225.
    NO_MEMORY = "NoMemory";
    /// No service file provides the name that was to be started. protocol.md A226.
    SERVICE_UNKNOWN = "ServiceUnknown";
    /// Nobody owns the bus name that was asked for. protocol.md A227.
    NAME_HAS_NO_OWNER = "NameHasNoOwner";
    /// The callee is gone or took too long, so the call gets no reply. protocol.md A228.
    NO_REPLY = "NoReply";
    /// A limit is reached. protocol.md A229.
    LIMITS_EXCEEDED = "LimitsExceeded";
    /// A security policy or the bus itself does not allow this. protocol.md A230.
    ACCESS_DENIED = "AccessDenied";
    /// The arguments of a call are wrong in number, type or value. protocol.md A231.
    INVALID_ARGS = "InvalidArgs";
    /// What was asked for is not supported. protocol.md A232.
    NOT_SUPPORTED = "NotSupported";
    /// The object has no such method. protocol.md A233.
    UNKNOWN_METHOD = "UnknownMethod";
    /// The object has no such interface. protocol.md A233.
    UNKNOWN_INTERFACE = "UnknownInterface";
    /// There is no such object. protocol.md A233.
    UNKNOWN_OBJECT = "UnknownObject";
    /// The object has no such property. protocol.md A233.
    UNKNOWN_PROPERTY = "UnknownProperty";
    /// The property cannot be set. protocol.md A233.
    PROPERTY_READ_ONLY = "PropertyReadOnly";
    /// A service did not start in time. protocol.md A234.
    TIMED_OUT = "TimedOut";
    /// The text is not a match rule. protocol.md A235.
    MATCH_RULE_INVALID = "MatchRuleInvalid";
    /// The client has no such match rule. protocol.md A235.
    MATCH_RULE_NOT_FOUND = "MatchRuleNotFound";
    /// The process id of a client is not known. protocol.md A236.
    UNIX_PROCESS_ID_UNKNOWN = "UnixProcessIdUnknown";
    /// The Solaris audit data of a client is not known. protocol.md A236.
    ADT_AUDIT_DATA_UNKNOWN = "AdtAuditDataUnknown";
    /// The SELinux context of a client is not known. protocol.md A236.
    SELINUX_SECURITY_CONTEXT_UNKNOWN = "SELinuxSecurityContextUnknown";
    /// A file does not exist. protocol.md A237.
    FILE_NOT_FOUND = "FileNotFound";
    /// A file's content is not what it must be. protocol.md A237.
    INVALID_FILE_CONTENT = "InvalidFileContent";
    /// Reading or writing failed. protocol.md A237.
    IO_ERROR = "IOError";
    /// The service's program could not be executed. protocol.md A238.
    SPAWN_EXEC_FAILED = "Spawn.ExecFailed";
    /// No process could be created for the service. protocol.md A238.
    SPAWN_FORK_FAILED = "Spawn.ForkFailed";
    /// The service's process ended before it took its name. protocol.md A238.
    SPAWN_CHILD_EXITED = "Spawn.ChildExited";
    /// The service's process was killed before it took its name. protocol.md A238.
    SPAWN_CHILD_SIGNALED = "Spawn.ChildSignaled";
    /// The service could not be started, for no reason that has a name of its own. protocol.md A238.
    SPAWN_FAILED = "Spawn.Failed";
    /// The environment of the service's process could not be prepared. protocol.md A238.
    SPAWN_FAILED_TO_SETUP = "Spawn.FailedToSetup";
    /// The activation helper found a fault in the bus configuration. protocol.md A238.
    SPAWN_CONFIG_INVALID = "Spawn.ConfigInvalid";
    /// The name of the service to start is not valid. protocol.md A238.
    SPAWN_SERVICE_NOT_VALID = "Spawn.ServiceNotValid";
    /// The activation helper knows no such service. protocol.md A238.
    SPAWN_SERVICE_NOT_FOUND = "Spawn.ServiceNotFound";
    /// The activation helper's owner or mode is wrong. protocol.md A238.
    SPAWN_PERMISSIONS_INVALID = "Spawn.PermissionsInvalid";
    /// The service file is not valid. protocol.md A238.
    SPAWN_FILE_INVALID = "Spawn.FileInvalid";
    /// The activation helper ran out of memory. protocol.md A238.
    SPAWN_NO_MEMORY = "Spawn.NoMemory";
    /// A server address is wrong. protocol.md A240.
    BAD_ADDRESS = "BadAddress";
    /// Authentication failed. protocol.md A240.
    AUTH_FAILED = "AuthFailed";
    /// No server listens at the address. protocol.md A240.
    NO_SERVER = "NoServer";
    /// A client waited too long, for instance while connecting. protocol.md A240.
    TIMEOUT = "Timeout";
    /// The network cannot be reached. protocol.md A240.
    NO_NETWORK = "NoNetwork";
    /// Something else listens at the address. protocol.md A240.
    ADDRESS_IN_USE = "AddressInUse";
    /// The connection is gone. protocol.md A240.
    DISCONNECTED = "Disconnected";
    /// A file exists that must not. protocol.md A240.
    FILE_EXISTS = "FileExists";
    /// A type signature is wrong. protocol.md A240.
    INVALID_SIGNATURE = "InvalidSignature";
    /// An object is already registered at the path. protocol.md A240.
    OBJECT_PATH_IN_USE = "ObjectPathInUse";
    /// Parts of a message contradict each other. protocol.md A240.
    INCONSISTENT_MESSAGE = "InconsistentMessage";
    /// The user would have to be asked, and the caller did not allow that. protocol.md A240.
    INTERACTIVE_AUTHORIZATION_REQUIRED = "InteractiveAuthorizationRequired";
    /// The caller is not in a container. protocol.md A240.
    NOT_CONTAINER = "NotContainer";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_stand_under_the_common_prefix() {
        // protocol.md A224
        assert_eq!(FAILED.as_str(), "org.freedesktop.DBus.Error.Failed");
        assert_eq!(SPAWN_EXEC_FAILED.as_str(), "org.freedesktop.DBus.Error.Spawn.ExecFailed");
    }

    #[test]
    fn no_name_stands_twice() {
        assert_eq!(ALL.iter().collect::<BTreeSet<_>>().len(), ALL.len());
    }
}
