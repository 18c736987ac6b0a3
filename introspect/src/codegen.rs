//! Rust for programs that call what a description describes, and for those that offer it.
//!
//! A description becomes a trait for a proxy, or a type with all methods to fill in, for the macros
//! of libbus (`proxy.rs`, `server.rs`). Signatures become types (`types.rs`), D-Bus names become
//! names of Rust that do not meet (`names.rs`), documentation becomes comments that mean nothing to
//! rustdoc (`document/rustdoc.rs`), all in the layout of rustfmt (`layout.rs`). The same description
//! gives the same bytes.
//!
//! A description may hold anything, and source text is no place for it: what is no name and no type
//! is an error here. Bounds: [`FIELD_COUNT_MAX`], [`TYPE_DEPTH_MAX`], [`RUST_SIZE_MAX`].

use std::collections::HashSet;

use libbus::names::{BusName, ObjectPath};

use self::layout::Source;
use crate::document::rustdoc;
use crate::model::{Interface, Node};

mod checked;
mod error;
mod layout;
mod member;
mod names;
mod proxy;
mod server;
mod types;

pub use self::error::{CodegenError, CodegenFault};

/// Fields of a structure, and arguments of a member: longer tuples have no traits of serde.
pub const FIELD_COUNT_MAX: usize = 16;

/// How deep arrays, dictionaries and structures can be inside each other. The compiler gives up at 128 steps
/// from a type to the innermost, of which a dictionary takes six.
pub const TYPE_DEPTH_MAX: usize = 16;

/// Longest text, in bytes.
pub const RUST_SIZE_MAX: usize = 16 << 20;

/// The module that has the types of values.
const WIRE_TYPES: &str = "libbus::wire_types";

/// Interfaces that objects have beside their own, and that are libbus's business.
const STANDARD_INTERFACES: [&str; 4] = [
    "org.freedesktop.DBus.Introspectable",
    "org.freedesktop.DBus.ObjectManager",
    "org.freedesktop.DBus.Peer",
    "org.freedesktop.DBus.Properties",
];

/// What Rust is wanted.
///
/// ```
/// use bus_introspect::{CodegenOptions, Interface, Method};
///
/// let interface = Interface::new("org.example.Clock")
///     .with_method(Method::new("GetTime").with_output("seconds", "t"));
/// let options = CodegenOptions::new().with_default_path("/org/example/Clock");
/// let proxy = interface.to_rust_proxy(&options).unwrap();
/// let trait_and_method = [
///     "#[libbus::proxy(interface = \"org.example.Clock\", default_path = \"/org/example/Clock\")]",
///     "pub trait Clock {",
///     "    /// The method `GetTime`.",
///     "    fn get_time(&self) -> libbus::Result<u64>;",
///     "}",
///     "",
/// ];
/// assert!(proxy.ends_with(&trait_and_method.join("\n")), "{proxy}");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodegenOptions {
    style: Style,
    header: Header,
    first_line: Option<String>,
    source: Option<String>,
    default_service: Option<String>,
    default_path: Option<String>,
    left_out: HashSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Style {
    #[default]
    Async,
    Blocking,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Header {
    #[default]
    Documentation,
    Comment,
}

impl CodegenOptions {
    /// Futures, in a file of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// For what an object of a running service answers to `Introspect`: its names are where proxies
    /// speak to unless told otherwise, and the header tells them.
    ///
    /// With libbus, a program writes proxies for an object like this; the example `generate` does
    /// it for any:
    ///
    /// ```
    /// use bus_introspect::{CodegenOptions, Node};
    /// use libbus::blocking::{Builder, Proxy};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if libbus::TestBus::program().is_none() { return Ok(()) }
    /// let bus = libbus::TestBus::start()?;
    /// let connection = Builder::address(bus.address())?.build()?;
    /// let (service, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    /// let interface = "org.freedesktop.DBus.Introspectable";
    /// let xml: String =
    ///     Proxy::new(&connection, service, path, interface)?.call("Introspect", &())?;
    /// // Running services keep the rules of the format only roughly.
    /// let (node, _) = Node::from_xml_leniently(&xml)?;
    /// let text = node.to_rust_proxies(&CodegenOptions::of_object(service, path))?;
    /// assert!(text.contains("fn get_name_owner(&self, arg_0: &str)"), "{text}");
    /// assert!(text.contains("default_path = \"/org/freedesktop/DBus\""));
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_object(service: &str, path: &str) -> Self {
        let source = format!("{service} {path}");
        Self::new().with_source(&source).with_default_service(service).with_default_path(path)
    }

    /// Without futures: for `libbus::blocking`.
    #[must_use]
    pub fn blocking(mut self) -> Self {
        self.style = Style::Blocking;
        self
    }

    /// For `include!`, which does not allow a file to begin with `//!`: the header is `//`.
    #[must_use]
    pub fn for_include(mut self) -> Self {
        self.header = Header::Comment;
        self
    }

    /// What the header begins with, in Markdown.
    #[must_use]
    pub fn with_first_line(mut self, line: &str) -> Self {
        self.first_line = Some(line.to_owned());
        self
    }

    /// Where the description comes from, for the header: a file, for example.
    #[must_use]
    pub fn with_source(mut self, source: &str) -> Self {
        self.source = Some(source.to_owned());
        self
    }

    /// The service that proxies speak to unless told otherwise.
    #[must_use]
    pub fn with_default_service(mut self, service: &str) -> Self {
        self.default_service = Some(service.to_owned());
        self
    }

    /// The object that proxies speak to unless told otherwise.
    #[must_use]
    pub fn with_default_path(mut self, path: &str) -> Self {
        self.default_path = Some(path.to_owned());
        self
    }

    /// Leaves out what has this name: an interface, or a member with its interface, for example
    /// `org.example.Map.Store`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.left_out.insert(name.to_owned());
        self
    }

    fn check(&self) -> Result<(), CodegenError> {
        if let Some(Err(error)) = self.default_service.as_deref().map(BusName::parse) {
            return Err(CodegenError::nowhere(CodegenFault::DefaultService(error)));
        }
        if let Some(Err(error)) = self.default_path.as_deref().map(ObjectPath::parse) {
            return Err(CodegenError::nowhere(CodegenFault::DefaultPath(error)));
        }
        Ok(())
    }

    fn leaves_out(&self, interface: &str, member: &str) -> bool {
        !self.left_out.is_empty() && self.left_out.contains(&format!("{interface}.{member}"))
    }

    fn macro_path(&self, name: &str) -> String {
        match self.style {
            Style::Async => format!("libbus::{name}"),
            Style::Blocking => format!("libbus::blocking::{name}"),
        }
    }
}

impl Interface {
    /// A trait for a proxy of this interface.
    ///
    /// Each member has its name in snake case. Where that is taken by another, or by what every
    /// proxy has (`path`, `connection` and so on), it ends with the member's kind: the signal
    /// `StateChanged` beside the property `State`, for whose changes there is a stream of that name
    /// already, is `state_changed_signal`. Methods choose first, then properties, then signals.
    ///
    /// Values that are sent are lent, those that are returned are owned, and those that a signal
    /// brings borrow texts from it.
    ///
    /// # Errors
    ///
    /// A name or a type is none, or has no equal in Rust.
    pub fn to_rust_proxy(&self, options: &CodegenOptions) -> Result<String, CodegenError> {
        options.check()?;
        let mut source = Source::default();
        proxy::write(&mut source, self, options)?;
        Ok(source.into_text())
    }

    /// A type that offers this interface, with all methods to fill in: until then, each returns the
    /// error `NotSupported`. Members have the names that they have in the proxy.
    ///
    /// # Errors
    ///
    /// Those of [`Interface::to_rust_proxy`].
    ///
    /// ```
    /// use bus_introspect::{CodegenOptions, Interface, Method};
    ///
    /// let interface = Interface::new("org.example.Clock")
    ///     .with_method(Method::new("GetTime").with_output("seconds", "t"));
    /// let server = interface.to_rust_server(&CodegenOptions::new()).unwrap();
    /// assert!(server.contains("#[libbus::interface(name = \"org.example.Clock\")]\nimpl Clock {\n"));
    /// assert!(server.contains("fn get_time(&self) -> libbus::fdo::Result<u64> {\n"));
    /// ```
    pub fn to_rust_server(&self, options: &CodegenOptions) -> Result<String, CodegenError> {
        options.check()?;
        let mut source = Source::default();
        server::write(&mut source, self, options)?;
        Ok(source.into_text())
    }
}

impl Node {
    /// A module with proxies for all interfaces of this object and those below, but for the
    /// standard ones, which libbus speaks itself. Of several with the same name, the first is taken.
    ///
    /// An interface that makes a type of the same name as one before, because its name ends like
    /// the other's or both have a signal of that name, is in a module of its own, called as the
    /// whole interface: `org_example_map`.
    ///
    /// # Errors
    ///
    /// Those of [`Interface::to_rust_proxy`].
    ///
    /// ```
    /// use bus_introspect::{CodegenOptions, Interface, Node};
    ///
    /// let node = Node::new()
    ///     .with_interface(Interface::new("org.example.Map"))
    ///     .with_interface(Interface::new("org.example.other.Map"));
    /// let text = node.to_rust_proxies(&CodegenOptions::new()).unwrap();
    /// assert!(text.contains("pub trait Map {}"));
    /// assert!(text.contains("pub mod org_example_other_map {"));
    /// ```
    pub fn to_rust_proxies(&self, options: &CodegenOptions) -> Result<String, CodegenError> {
        self.to_module(options, "Proxies for D-Bus interfaces.", names::proxy_items, proxy::write)
    }

    /// A module with types that offer all interfaces of this object and those below, as
    /// [`Interface::to_rust_server`] makes them and arranged as [`Node::to_rust_proxies`] does it.
    ///
    /// # Errors
    ///
    /// Those of [`Interface::to_rust_proxy`].
    ///
    /// ```
    /// use bus_introspect::{CodegenOptions, Interface, Node};
    ///
    /// let node = Node::new()
    ///     .with_interface(Interface::new("org.example.Map"))
    ///     .with_interface(Interface::new("org.example.Clock"));
    /// let text = node.to_rust_servers(&CodegenOptions::new()).unwrap();
    /// assert!(text.contains("pub struct Map;") && text.contains("pub struct Clock;"));
    /// ```
    pub fn to_rust_servers(&self, options: &CodegenOptions) -> Result<String, CodegenError> {
        let first_line = "Types that offer D-Bus interfaces.";
        self.to_module(options, first_line, names::server_items, server::write)
    }

    fn to_module(
        &self,
        options: &CodegenOptions,
        first_line: &str,
        items: fn(&Interface) -> Vec<String>,
        write: fn(&mut Source, &Interface, &CodegenOptions) -> Result<(), CodegenError>,
    ) -> Result<String, CodegenError> {
        options.check()?;
        let mut source = Source::default();
        write_header(&mut source, options, first_line);
        let mut taken = HashSet::new();
        for interface in interfaces_of(self, options) {
            source.line("");
            let names = items(interface);
            if names.iter().any(|name| taken.contains(name)) {
                let module = free_module_name(interface, &mut taken);
                source.line(&format!("/// The interface `{}`, apart from others.", interface.name));
                source.block(&format!("pub mod {module}"), |source| {
                    write(source, interface, options)
                })?;
            } else {
                taken.extend(names);
                write(&mut source, interface, options)?;
            }
        }
        Ok(source.into_text())
    }
}

/// Proxies for all interfaces that an XML document describes, but for the standard ones: what
/// [`Node::to_rust_proxies`] makes of it.
///
/// The document must keep the rules of the format; documentation in it is kept. For one that does
/// not, there is [`Node::from_xml_leniently`].
///
/// # Errors
///
/// The document's first fault, or those of [`Interface::to_rust_proxy`]; either with line and column.
///
/// # Example
///
/// The script `build.rs` makes the proxies when the program is built:
///
/// ```no_run
/// use bus_introspect::{CodegenOptions, rust_proxies};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     println!("cargo::rerun-if-changed=clock.xml");
///     let options = CodegenOptions::new().for_include().with_source("clock.xml");
///     let text = rust_proxies(&std::fs::read_to_string("clock.xml")?, &options)?;
///     Ok(std::fs::write(format!("{}/clock.rs", std::env::var("OUT_DIR")?), text)?)
/// }
/// ```
///
/// and the program has them in a module. (The macro `include_proxies!` of `bus-introspect-macros` does
/// both.)
///
/// ```ignore
/// #[allow(clippy::too_many_arguments, clippy::type_complexity)]
/// mod clock {
///     include!(concat!(env!("OUT_DIR"), "/clock.rs"));
/// }
/// ```
pub fn rust_proxies(xml: &str, options: &CodegenOptions) -> Result<String, CodegenError> {
    strictly(xml)?.to_rust_proxies(options)
}

/// Types that offer all interfaces that an XML document describes, but for the standard ones: what
/// [`Node::to_rust_servers`] makes of it.
///
/// # Errors
///
/// Those of [`rust_proxies`].
///
/// ```
/// use bus_introspect::{CodegenOptions, rust_servers};
///
/// let xml = "<node><interface name='org.example.Clock'><method name='Tick'/></interface></node>";
/// let text = rust_servers(xml, &CodegenOptions::new()).unwrap();
/// assert!(text.contains("impl Clock {"));
///
/// let error = rust_servers("<node>\n<interface/></node>", &CodegenOptions::new()).unwrap_err();
/// let expected = "line 2, column 1: <interface> lacks the attribute name";
/// assert_eq!(error.to_string(), expected);
/// ```
pub fn rust_servers(xml: &str, options: &CodegenOptions) -> Result<String, CodegenError> {
    strictly(xml)?.to_rust_servers(options)
}

fn strictly(xml: &str) -> Result<Node, CodegenError> {
    Node::from_xml(xml)?;
    // Only lenient reading keeps documentation that is no annotation.
    let (node, _) = Node::from_xml_leniently(xml)?;
    Ok(node)
}

fn write_header(source: &mut Source, options: &CodegenOptions, first_line: &str) {
    let sign = match options.header {
        Header::Documentation => "//!",
        Header::Comment => "//",
    };
    let first_line = options.first_line.as_deref().unwrap_or(first_line);
    let origin = match &options.source {
        Some(from) => format!("from `{}`", rustdoc::one_line(from).replace('`', "'")),
        None => "from introspection XML".to_owned(),
    };
    source.line(format!("{sign} {}", rustdoc::one_line(first_line)).trim_end());
    source.line(sign);
    source.line(&format!("{sign} Generated by bus-introspect {origin}."));
}

/// The interfaces of an object and those below, in the order of the description.
fn interfaces_of<'a>(node: &'a Node, options: &CodegenOptions) -> Vec<&'a Interface> {
    let mut seen: HashSet<&str> = STANDARD_INTERFACES.into();
    let mut interfaces = Vec::new();
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        let wanted = node.interfaces.iter().filter(|it| !options.left_out.contains(&it.name));
        interfaces.extend(wanted.filter(|it| seen.insert(&it.name)));
        nodes.extend(node.children.iter().rev());
    }
    interfaces
}

fn free_module_name(interface: &Interface, taken: &mut HashSet<String>) -> String {
    let mut name = names::snake_case(&interface.name, "interface");
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests;
