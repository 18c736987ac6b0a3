/// The interface `org.example.Map`.
///
/// Keeps values under names, see \[RFC\] \<b>1\</b> and <https://example.org/map_(1)>.
///
/// - one
/// - two
///
/// ```text
/// let code = 1;
/// ```
#[derive(Debug)]
pub struct Map;

#[libbus::interface(name = "org.example.Map")]
impl Map {
    /// Keeps a value.
    ///
    /// Arguments:
    ///
    /// - `name`: What it is called.
    ///
    /// Returns:
    ///
    /// - `old`: What was there.
    #[zbus(out_args("old"))]
    fn store(
        &self,
        name: &str,
        r#type: libbus::wire_types::Variant<'_>,
    ) -> libbus::fdo::Result<libbus::wire_types::OwnedVariant> {
        let _ = (name, r#type);
        Err(libbus::fdo::Error::NotSupported("Store".into()))
    }

    /// The method `List`.
    #[zbus(out_args("arg_0", "more"))]
    fn list(
        &self,
    ) -> libbus::fdo::Result<(Vec<(String, libbus::wire_types::OwnedObjectPath)>, bool)> {
        Err(libbus::fdo::Error::NotSupported("List".into()))
    }

    /// The method `GetPair`.
    fn get_pair(&self) -> libbus::fdo::Result<((String, i32),)> {
        Err(libbus::fdo::Error::NotSupported("GetPair".into()))
    }

    /// The method `clearAll`.
    #[zbus(name = "clearAll")]
    fn clear_all(&self) -> libbus::fdo::Result<()> {
        Err(libbus::fdo::Error::NotSupported("clearAll".into()))
    }

    /// The property `Size`.
    #[zbus(property(emits_changed_signal = "invalidates"))]
    fn size(&self) -> libbus::fdo::Result<u64> {
        Err(libbus::fdo::Error::NotSupported("Size".into()))
    }

    /// The property `Path`.
    #[zbus(property(emits_changed_signal = "const"), name = "Path")]
    fn path_property(&self) -> libbus::fdo::Result<libbus::wire_types::OwnedObjectPath> {
        Err(libbus::fdo::Error::NotSupported("Path".into()))
    }

    /// Sets the property `Path`.
    #[zbus(property, name = "Path")]
    fn set_path_property(
        &self,
        value: libbus::wire_types::OwnedObjectPath,
    ) -> libbus::fdo::Result<()> {
        let _ = value;
        Err(libbus::fdo::Error::NotSupported("Path".into()))
    }

    /// How it works.
    #[zbus(property)]
    fn set_options(
        &self,
        value: std::collections::HashMap<String, libbus::wire_types::OwnedVariant>,
    ) -> libbus::fdo::Result<()> {
        let _ = value;
        Err(libbus::fdo::Error::NotSupported("Options".into()))
    }

    /// The signal `SizeChanged`.
    #[zbus(signal, name = "SizeChanged")]
    async fn size_changed_signal(
        emitter: &libbus::SignalEmitter<'_>,
        size: u64,
    ) -> libbus::Result<()>;

    /// The signal `Stored`.
    #[zbus(signal)]
    async fn stored(
        emitter: &libbus::SignalEmitter<'_>,
        names: &[&str],
        fd: libbus::wire_types::Fd<'_>,
    ) -> libbus::Result<()>;
}
