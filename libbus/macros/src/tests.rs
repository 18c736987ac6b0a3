//! What is wrong is said where it stands, with what to write instead.

use proc_macro2::TokenStream;
use syn::parse_str;

use crate::attributes::Style;
use crate::{dbus_error, interface, proxy};

const NAMED: &str = "name = \"org.example.A\"";
const OF_INTERFACE: &str = "interface = \"org.example.A\"";

fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap()
}

fn refusal(result: syn::Result<TokenStream>, what: &str) -> String {
    match result {
        Ok(_) => panic!("{what} is taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_wrong_interface_says_what_is_wrong() {
    for (style, arguments, item, expected) in [
        (Style::Async, "", "impl A {}", "#[interface(name = \"org.example.Name\")]"),
        (Style::Async, "name = \"A\"", "impl A {}", "\"A\" is no name of that kind"),
        (Style::Async, "nme = \"A\"", "impl A {}", "known are: name"),
        (Style::Async, NAMED, "impl B for A {}", "the methods of a trait cannot be served"),
        (Style::Async, NAMED, "impl A { fn new() -> Self { A } }", "takes `&self` or `&mut self`"),
        (Style::Async, NAMED, "impl A { fn run(self) {} }", "takes `&self` or `&mut self`"),
        (Style::Async, NAMED, "impl A { fn f(&self); }", "write #[zbus(signal)] before it"),
        (Style::Async, NAMED, "impl A { #[zbus(signal)] fn f(a: u8); }", "what emits it"),
        (Style::Async, NAMED, "impl A { #[zbus(signal)] fn f(&self) {} }", "a signal has no body"),
        (Style::Async, NAMED, "impl A { #[zbus(nam = \"B\")] fn f(&self) {} }", "known are: name"),
        (Style::Async, NAMED, "impl A { #[zbus(name = \"B.C\")] fn f(&self) {} }", "\"B.C\" is no"),
        (Style::Async, NAMED, "impl A { fn f(&self, (a, b): (u8, u8)) {} }", "needs a name"),
        (
            Style::Async,
            NAMED,
            "impl A { #[zbus(property)] fn set_f(&self, a: u8, b: u8) {} }",
            "set by one with one",
        ),
        (
            Style::Async,
            NAMED,
            "impl A { #[zbus(property(emits_changed_signal = \"no\"))] fn f(&self) -> u8 { 1 } }",
            "\"true\", \"invalidates\", \"const\" or \"false\"",
        ),
        (
            Style::Async,
            "name = \"a.b\", proxy(path = \"/\")",
            "impl A {}",
            "known are: assume_defaults",
        ),
        (
            Style::Async,
            "name = \"a.b\", proxy(default_path = \"a\")",
            "impl A {}",
            "no object path",
        ),
        (
            Style::Async,
            "name = \"a.b\", proxy(visibility = \"private\")",
            "impl A {}",
            "unexpected token",
        ),
        (
            Style::Async,
            "name = \"a.b\", proxy",
            "impl A { fn f(&self) -> &str { \"\" } }",
            "its own",
        ),
        (Style::Async, "name = \"a.b\", proxy", "impl [u8] {}", "has no name"),
        (
            Style::Async,
            NAMED,
            "impl A { #[zbus(proxy(reply))] fn f(&self) {} }",
            "known are: object, proxy_type_name",
        ),
        (
            Style::Async,
            "name = \"a.b\", proxy",
            "impl A { #[zbus(proxy(object = \"B\", async_object = \"C\", proxy_type_name = \"D\"))] \
             fn f(&self) {} }",
            "write one of them",
        ),
        (Style::Blocking, NAMED, "impl A { async fn f(&self) {} }", "use libbus::interface"),
        (Style::Blocking, "name = \"a.b\", spawn", "impl A {}", "use libbus::interface"),
    ] {
        let text = refusal(interface::expand(tokens(arguments), tokens(item), style), item);
        assert!(text.contains(expected), "{item}: {text}");
    }
}

#[test]
fn a_wrong_proxy_says_what_is_wrong() {
    for (arguments, item, expected) in [
        ("", "trait A {}", "#[proxy(interface = \"org.example.Name\")]"),
        ("interface = \"a.b\", default_path = \"a\"", "trait A {}", "\"a\" is no object path"),
        ("interface = \"a.b\", default_service = \"a\"", "trait A {}", "\"a\" is no name"),
        ("interface = \"a.b\", service = \"a.b\"", "trait A {}", "known are: interface"),
        (OF_INTERFACE, "trait A { fn f(&self) -> u8; }", "return a `Result`"),
        (OF_INTERFACE, "trait A { fn f(&self) -> Result<u8> { Ok(1) } }", "write `;`"),
        (OF_INTERFACE, "trait A { fn f() -> Result<u8>; }", "takes `&self`"),
        (
            OF_INTERFACE,
            "trait A { #[zbus(object = \"B\", async_object = \"C\", proxy_type_name = \"D\")] fn f(&self); }",
            "write one of them",
        ),
        (OF_INTERFACE, "trait A { type B; }", "has functions alone"),
    ] {
        let text = refusal(proxy::expand(tokens(arguments), tokens(item), Style::Async), item);
        assert!(text.contains(expected), "{item}: {text}");
    }
}

#[test]
fn a_wrong_error_says_what_is_wrong() {
    for (item, expected) in [
        ("enum E { A }", "#[zbus(prefix = \"org.example.Error\")]"),
        ("#[zbus(prefix = \"a.b\")] struct E;", "errors of D-Bus are an enum"),
        ("#[zbus(prefix = \"a.b\")] enum E { A(String, u8) }", "nothing but a text"),
        ("#[zbus(prefix = \"a.b\")] enum E { #[zbus(name = \"B C\")] A }", "\"B C\" is no name"),
    ] {
        let text = refusal(dbus_error::expand(parse_str(item).unwrap()), item);
        assert!(text.contains(expected), "{item}: {text}");
    }
}
