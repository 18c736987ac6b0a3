//! Rust for the interfaces that an XML file describes, where it is wanted: what a build script makes with
//! `bus_introspect::rust_proxies`, without the script.
//!
//! [`include_proxies!`] has proxies for programs that call, [`include_servers!`] types for those that offer.
//! Both take the path of the file, relative to the folder of the package's `Cargo.toml`, and after it what is
//! wanted of `bus_introspect::CodegenOptions`:
//!
//! * `blocking`: for `libbus::blocking`; else for the style with futures;
//! * `lenient`: what is wrong in the file and can be read around is left out, as
//!   `Node::from_xml_leniently` does; else the file keeps all rules of the format;
//! * `default_service = "…"` and `default_path = "…"`: whom proxies speak to unless told otherwise;
//! * `without("…", …)`: leaves out interfaces, or members with their interface: `"org.example.Map.Store"`.
//!
//! What is generated names `libbus`, which the package must depend on. When the file changes, what includes it
//! is compiled anew. What is wrong in the file is an error of the compiler, at its path in the source, with the
//! line and the column in the file: `clock.xml: line 2, column 1: <interface> lacks the attribute name`, or
//! `clock.xml: line 3, column 5: interface org.example.Clock, method Get-Time: the name is not a member name: …`.
#![forbid(unsafe_code)]

mod include;

use proc_macro::TokenStream;

/// Traits for proxies of all interfaces that an XML file describes, but for the standard ones, as
/// `bus_introspect::rust_proxies` writes them.
///
/// They are public; a module around them makes them less so.
///
/// # Errors
///
/// The file cannot be read or breaks the rules, or there is no Rust for what is in it; an option is wrong.
///
/// ```
/// mod clock {
///     bus_introspect_macros::include_proxies!(
///         "tests/clock.xml",
///         blocking,
///         default_service = "org.example.Clock",
///         default_path = "/org/example/Clock",
///     );
/// }
///
/// fn time(connection: &libbus::blocking::Connection) -> libbus::Result<u64> {
///     clock::ClockProxy::new(connection)?.get_time()
/// }
/// ```
///
/// What is wrong does not compile:
///
/// ```compile_fail
/// bus_introspect_macros::include_proxies!("tests/broken.xml");
/// ```
#[proc_macro]
pub fn include_proxies(arguments: TokenStream) -> TokenStream {
    include::expand(arguments.into(), include::Side::Proxies).into()
}

/// Types that offer all interfaces that an XML file describes, but for the standard ones, as
/// `bus_introspect::rust_servers` writes them: each method answers `NotSupported` until it is written, for
/// which the text is the place to begin with. For tests, and to see that a program keeps to the file.
///
/// # Errors
///
/// As [`include_proxies!`], and there are several methods of one name.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// mod clock {
///     bus_introspect_macros::include_servers!("tests/clock.xml", blocking, without("org.example.Clock.Rang"));
/// }
/// use libbus::blocking::{Builder, Proxy};
///
/// # if libbus::TestBus::program().is_none() { return Ok(()) }
/// let bus = libbus::TestBus::start()?;
/// let builder = Builder::address(bus.address())?;
/// let service = builder.serve_at("/org/example/Clock", clock::Clock)?.build()?;
/// # Ok(())
/// # }
/// ```
#[proc_macro]
pub fn include_servers(arguments: TokenStream) -> TokenStream {
    include::expand(arguments.into(), include::Side::Servers).into()
}
