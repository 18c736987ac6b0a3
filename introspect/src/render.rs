//! The model as XML (protocol.md A212).
//!
//! The same value gives the same bytes: elements in the model's order, attributes in a fixed one,
//! two blanks for each level, no trailing blanks, a line feed at the end.

use crate::model::{Annotation, Arg, Interface, Method, Node, Property, Signal};

const DOCTYPE: &str = "<!DOCTYPE node PUBLIC \
    \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
    \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n";

impl Node {
    /// The XML document that describes this object, as an answer to Introspect.
    pub fn to_xml(&self) -> String {
        let mut writer = Writer { xml: DOCTYPE.to_owned(), depth: 0 };
        writer.node(self);
        writer.xml
    }
}

struct Writer {
    xml: String,
    depth: usize,
}

/// The attributes of one element; those without a value are left out.
type Attributes<'a> = [(&'static str, Option<&'a str>)];

impl Writer {
    fn node(&mut self, node: &Node) {
        let is_empty = node.interfaces.is_empty() && node.children.is_empty();
        self.element("node", &[("name", node.name.as_deref())], is_empty, |writer| {
            node.interfaces.iter().for_each(|interface| writer.interface(interface));
            node.children.iter().for_each(|child| writer.node(child));
        });
    }

    fn interface(&mut self, interface: &Interface) {
        let Interface { name, methods, signals, properties, annotations, .. } = interface;
        let is_empty = methods.is_empty()
            && signals.is_empty()
            && properties.is_empty()
            && annotations.is_empty();
        self.element("interface", &[("name", Some(name))], is_empty, |writer| {
            methods.iter().for_each(|method| writer.method(method));
            signals.iter().for_each(|signal| writer.signal(signal));
            properties.iter().for_each(|property| writer.property(property));
            writer.annotations(annotations);
        });
    }

    fn method(&mut self, method: &Method) {
        let Method { name, inputs, outputs, annotations, .. } = method;
        let is_empty = inputs.is_empty() && outputs.is_empty() && annotations.is_empty();
        self.element("method", &[("name", Some(name))], is_empty, |writer| {
            inputs.iter().for_each(|argument| writer.argument(argument, Some("in")));
            outputs.iter().for_each(|argument| writer.argument(argument, Some("out")));
            writer.annotations(annotations);
        });
    }

    fn signal(&mut self, signal: &Signal) {
        let Signal { name, arguments, annotations, .. } = signal;
        let is_empty = arguments.is_empty() && annotations.is_empty();
        self.element("signal", &[("name", Some(name))], is_empty, |writer| {
            arguments.iter().for_each(|argument| writer.argument(argument, None));
            writer.annotations(annotations);
        });
    }

    fn argument(&mut self, argument: &Arg, direction: Option<&'static str>) {
        let attributes = [
            ("name", argument.name.as_deref()),
            ("type", Some(argument.signature.as_str())),
            ("direction", direction),
        ];
        self.element("arg", &attributes, argument.annotations.is_empty(), |writer| {
            writer.annotations(&argument.annotations);
        });
    }

    fn property(&mut self, property: &Property) {
        let attributes = [
            ("name", Some(property.name.as_str())),
            ("type", Some(property.signature.as_str())),
            ("access", Some(property.access.as_str())),
        ];
        self.element("property", &attributes, property.annotations.is_empty(), |writer| {
            writer.annotations(&property.annotations);
        });
    }

    fn annotations(&mut self, annotations: &[Annotation]) {
        for Annotation { name, value, .. } in annotations {
            let attributes = [("name", Some(name.as_str())), ("value", Some(value.as_str()))];
            self.element("annotation", &attributes, true, |_| ());
        }
    }

    fn element(
        &mut self,
        name: &'static str,
        attributes: &Attributes<'_>,
        is_empty: bool,
        content: impl FnOnce(&mut Self),
    ) {
        self.indent();
        self.xml.extend(["<", name]);
        for (key, value) in attributes {
            if let Some(value) = value {
                self.attribute(key, value);
            }
        }
        if is_empty {
            self.xml.push_str("/>\n");
            return;
        }
        self.xml.push_str(">\n");
        self.depth += 1;
        content(self);
        self.depth -= 1;
        self.indent();
        self.xml.extend(["</", name, ">\n"]);
    }

    fn indent(&mut self) {
        self.xml.extend(std::iter::repeat_n("  ", self.depth));
    }

    fn attribute(&mut self, key: &str, value: &str) {
        self.xml.extend([" ", key, "=\""]);
        for c in value.chars() {
            self.character(c);
        }
        self.xml.push('"');
    }

    fn character(&mut self, c: char) {
        match c {
            '&' => self.xml.push_str("&amp;"),
            '<' => self.xml.push_str("&lt;"),
            '>' => self.xml.push_str("&gt;"),
            '"' => self.xml.push_str("&quot;"),
            // A reader would turn these into blanks.
            '\t' => self.xml.push_str("&#9;"),
            '\n' => self.xml.push_str("&#10;"),
            '\r' => self.xml.push_str("&#13;"),
            // XML has no way to write these.
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => self.xml.push(char::REPLACEMENT_CHARACTER),
            _ => self.xml.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Access, annotation};

    fn check(case: &str, node: &Node, expected: &str) {
        let xml = node.to_xml();
        let body = xml.strip_prefix(DOCTYPE).expect("the DOCTYPE comes first");
        assert_eq!(body, expected, "{case}");
    }

    #[test]
    fn doctype_is_the_specifications() {
        // protocol.md A212
        assert_eq!(
            DOCTYPE,
            "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
             \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
        );
    }

    #[test]
    fn renders_each_element() {
        check("nothing", &Node::new(), "<node/>\n");
        check(
            "a child",
            &Node::new().with_child("org"),
            "<node>\n  <node name=\"org\"/>\n</node>\n",
        );
        let named = Node { name: Some("/org/example".into()), ..Node::new() };
        check("a name", &named, "<node name=\"/org/example\"/>\n");

        let argument = Arg {
            annotations: vec![Annotation::new("org.qtproject.QtDBus.QtTypeName", "QMap<A,B>")],
            ..Arg::new("map", "a{ss}")
        };
        let method = Method::new("Store")
            .with_input("key", "s")
            .with_input("", "v")
            .with_output("old", "v")
            .with_annotation(annotation::DEPRECATED, "true");
        let interface = Interface::new("org.example.Map")
            .with_method(method)
            .with_method(Method::new("Clear"))
            .with_signal(Signal::new("Cleared"))
            .with_signal(Signal { arguments: vec![argument], ..Signal::new("Changed") })
            .with_property(Property::new("Size", "u", Access::Read))
            .with_property(
                Property::new("Limit", "u", Access::ReadWrite)
                    .with_annotation(annotation::EMITS_CHANGED_SIGNAL, "false"),
            )
            .with_annotation(annotation::C_SYMBOL, "map");
        check(
            "everything",
            &Node::new().with_interface(interface).with_interface(Interface::new("org.example.A")),
            r#"<node>
  <interface name="org.example.Map">
    <method name="Store">
      <arg name="key" type="s" direction="in"/>
      <arg type="v" direction="in"/>
      <arg name="old" type="v" direction="out"/>
      <annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
    </method>
    <method name="Clear"/>
    <signal name="Cleared"/>
    <signal name="Changed">
      <arg name="map" type="a{ss}">
        <annotation name="org.qtproject.QtDBus.QtTypeName" value="QMap&lt;A,B&gt;"/>
      </arg>
    </signal>
    <property name="Size" type="u" access="read"/>
    <property name="Limit" type="u" access="readwrite">
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
    </property>
    <annotation name="org.freedesktop.DBus.GLib.CSymbol" value="map"/>
  </interface>
  <interface name="org.example.A"/>
</node>
"#,
        );
    }

    #[test]
    fn escapes_values() {
        let check = |name: &str, expected: &str| {
            check(name, &Node::new().with_child(name), &{
                format!("<node>\n  <node name=\"{expected}\"/>\n</node>\n")
            });
        };
        check("a&b", "a&amp;b");
        check("<\">", "&lt;&quot;&gt;");
        check("it's", "it's");
        check("a\tb\nc\rd", "a&#9;b&#10;c&#13;d");
        check("\0\u{1}\u{1f}\u{fffe}\u{ffff}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        check("\u{7f}\u{e9}\u{10ffff}", "\u{7f}\u{e9}\u{10ffff}");
    }

    #[test]
    fn renders_children_with_content() {
        let inner = Node { name: Some("b".into()), ..Node::new().with_child("c") };
        let node = Node { children: vec![inner], ..Node::new() };
        check(
            "nested",
            &node,
            "<node>\n  <node name=\"b\">\n    <node name=\"c\"/>\n  </node>\n</node>\n",
        );
    }
}
