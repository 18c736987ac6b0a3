//! XML into the model (protocol.md A212–A214).
//!
//! The document must be well-formed XML. There is one reader with two manners:
//!
//! * *Strict*, for what must be right. Elements that the format does not know are left out with all
//!   they hold, as GLib does, since other formats are mixed in for documentation; elements that it
//!   knows must stand where they belong, with the attributes they need. The first fault is the end.
//! * *Lenient*, for what real services send. What strict reading refuses is got over and listed, as
//!   is all that gets left out. Documentation is kept, whichever way it was written
//!   (`documentation.rs`).
//!
//! Every complaint has a line and a column.
//!
//! Bounds: [`XML_SIZE_MAX`] bytes, elements [`XML_DEPTH_MAX`] deep (and the reader recurses no
//! deeper), entities that expand to little, [`FAULT_COUNT_MAX`] faults.

use std::collections::HashSet;

use xml::reader::XmlEvent;

use self::element::{Element, shown};
use self::faults::{Faults, Places};
use self::source::Source;
use crate::model::{Access, Annotation, Arg, Interface, Method, Node, Property, Signal};
use crate::origin::Origin;

mod documentation;
mod element;
mod error;
mod faults;
mod mending;
mod prose;
mod source;

pub use self::error::{ParseError, ParseErrorKind};

/// Longest document, in bytes.
pub const XML_SIZE_MAX: usize = 4 << 20;

/// Elements inside one another.
pub const XML_DEPTH_MAX: usize = 64;

/// Faults that lenient reading lists.
pub const FAULT_COUNT_MAX: usize = 10_000;

/// Attributes of one element.
const ATTRIBUTE_COUNT_MAX: usize = 32;

/// Longest attribute value, in bytes.
const ATTRIBUTE_SIZE_MAX: usize = 64 << 10;

/// Longest name of an element or an attribute, in bytes.
const NAME_SIZE_MAX: usize = 1024;

impl Node {
    /// Reads an answer to Introspect that keeps the rules of the format.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn from_xml(xml: &str) -> Result<Self, ParseError> {
        let source = Source::strict(xml)?;
        Reader { source, faults: None, comment: None, places: Places::new(xml) }.document()
    }

    /// Reads an answer to Introspect, or a file that describes an interface, as well as can be:
    /// beside the object all that is wrong with the document or was left out of it, in the order
    /// of the document.
    ///
    /// How each fault is got over stands at its [kind](ParseErrorKind). Documentation becomes the
    /// annotation [`DOC_STRING`](crate::annotation::DOC_STRING): the text of the elements
    /// `tp:docstring` and `doc:doc` (of any namespace), and comments before an element that begin
    /// with its name and a colon, as gtk-doc wants them. Documentation of nodes has no place in
    /// the model and counts as left out; other comments and instructions do not count.
    ///
    /// # Errors
    ///
    /// The document is not well-formed XML, is no introspection at all, or exceeds a bound.
    ///
    /// ```
    /// use bus_introspect::Node;
    ///
    /// let xml = "<node><interface name='org.example.Clock'>
    ///     <method name='GetTime'><arg type='t' direction='Out'/></method>
    /// </interface></node>";
    /// let (node, faults) = Node::from_xml_leniently(xml).unwrap();
    /// assert_eq!(node.interfaces[0].methods[0].output_signature(), "t");
    /// assert_eq!(
    ///     faults[0].to_string(),
    ///     "line 2, column 28: <arg> has the attribute direction=\"Out\", which is not valid"
    /// );
    /// ```
    pub fn from_xml_leniently(xml: &str) -> Result<(Self, Vec<ParseError>), ParseError> {
        let mut faults = Faults::new(xml);
        let trimmed = mending::begin(xml, &mut faults)?;
        let read = read_leniently(xml, trimmed, faults.clone());
        if let Err(ParseError { kind: ParseErrorKind::NotXml(_), .. }) = read
            && let Some(bound) = mending::bind_prefixes(xml, trimmed, &mut faults)
        {
            return read_leniently(xml, &bound, faults);
        }
        read
    }
}

/// Reads `mended`, which is `xml` but for the beginning.
fn read_leniently(
    xml: &str,
    mended: &str,
    faults: Faults<'_>,
) -> Result<(Node, Vec<ParseError>), ParseError> {
    let source = Source::lenient(xml, mended);
    let mut reader =
        Reader { source, faults: Some(faults), comment: None, places: Places::new(xml) };
    let node = reader.document()?;
    Ok((node, reader.faults.map(Faults::into_list).unwrap_or_default()))
}

struct Reader<'a> {
    source: Source<'a>,
    /// What was got over. Without this, nothing is.
    faults: Option<Faults<'a>>,
    /// The comment just before what comes next.
    comment: Option<String>,
    /// Where elements begin.
    places: Places<'a>,
}

/// What may stand in any element beside what is its own.
#[derive(Default)]
struct Remarks {
    annotations: Vec<Annotation>,
    documentation: Vec<String>,
    names: Names,
}

/// The kinds and names of what one element holds.
type Names = HashSet<(&'static str, String)>;

#[derive(Clone, Copy)]
enum Direction {
    In,
    Out,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, ParseError> {
        let Some(root) = self.next_element()? else {
            return Err(self.source.error(ParseErrorKind::NoNode { found: String::new() }));
        };
        let node = match root.name.as_str() {
            "node" => {
                self.only_attributes(&root, "node", &["name"])?;
                self.node(&root, root.optional("name"))?
            }
            _ => self.lone_interface(&root)?,
        };
        match self.next_element()? {
            None => Ok(node),
            Some(second) => Err(second.misplaced("node")),
        }
    }

    fn lone_interface(&mut self, root: &Element<'a>) -> Result<Node, ParseError> {
        let kind = ParseErrorKind::NoNode { found: root.name.clone() };
        if root.name != "interface" {
            return Err(root.error(kind));
        }
        self.get_over(root, kind)?;
        let interface = self.interface(root, &mut Names::new())?;
        Ok(Node::new().with_interface(interface))
    }

    fn node(&mut self, element: &Element<'a>, name: Option<String>) -> Result<Node, ParseError> {
        let mut node = Node { name, origin: element.origin, ..Node::default() };
        let mut names = Names::new();
        while let Some(element) = self.next_element()? {
            match element.name.as_str() {
                "interface" => node.interfaces.push(self.interface(&element, &mut names)?),
                "node" => {
                    // protocol.md A214: only the outermost node may be unnamed.
                    let name = self.own_name(&element, "node", &mut names)?;
                    self.only_attributes(&element, "node", &["name"])?;
                    node.children.push(self.node(&element, Some(name))?);
                }
                _ => self.leave_out(&element, "node")?,
            }
        }
        Ok(node)
    }

    fn interface(
        &mut self,
        element: &Element<'a>,
        siblings: &mut Names,
    ) -> Result<Interface, ParseError> {
        let mut interface = Interface::new(&self.own_name(element, "interface", siblings)?);
        interface.origin = element.origin;
        self.only_attributes(element, "interface", &["name"])?;
        let (mut names, mut remarks) = (Names::new(), Remarks::default());
        while let Some(inner) = self.next_element()? {
            match inner.name.as_str() {
                "method" => interface.methods.push(self.method(&inner, &mut names)?),
                "signal" => interface.signals.push(self.signal(&inner, &mut names)?),
                "property" => interface.properties.push(self.property(&inner, &mut names)?),
                _ => self.remark(&inner, "interface", &mut remarks)?,
            }
        }
        remarks.documentation.extend(element.comment_on(&interface.name, &mut []));
        interface.annotations = self.finished(element, remarks)?;
        Ok(interface)
    }

    fn method(
        &mut self,
        element: &Element<'a>,
        siblings: &mut Names,
    ) -> Result<Method, ParseError> {
        let mut method = Method::new(&self.own_name(element, "method", siblings)?);
        method.origin = element.origin;
        self.only_attributes(element, "method", &["name"])?;
        let mut remarks = Remarks::default();
        while let Some(inner) = self.next_element()? {
            match inner.name.as_str() {
                "arg" => match self.direction(&inner, Direction::In)? {
                    Direction::In => method.inputs.push(self.argument(&inner)?),
                    Direction::Out => method.outputs.push(self.argument(&inner)?),
                },
                _ => self.remark(&inner, "method", &mut remarks)?,
            }
        }
        let mut arguments: Vec<_> = method.inputs.iter_mut().chain(&mut method.outputs).collect();
        remarks.documentation.extend(element.comment_on(&method.name, &mut arguments));
        method.annotations = self.finished(element, remarks)?;
        Ok(method)
    }

    fn signal(
        &mut self,
        element: &Element<'a>,
        siblings: &mut Names,
    ) -> Result<Signal, ParseError> {
        let mut signal = Signal::new(&self.own_name(element, "signal", siblings)?);
        signal.origin = element.origin;
        self.only_attributes(element, "signal", &["name"])?;
        let mut remarks = Remarks::default();
        while let Some(inner) = self.next_element()? {
            match inner.name.as_str() {
                "arg" => {
                    if let Direction::In = self.direction(&inner, Direction::Out)? {
                        self.get_over(&inner, invalid("arg", "direction", "in"))?;
                    }
                    signal.arguments.push(self.argument(&inner)?);
                }
                _ => self.remark(&inner, "signal", &mut remarks)?,
            }
        }
        let mut arguments: Vec<_> = signal.arguments.iter_mut().collect();
        remarks.documentation.extend(element.comment_on(&signal.name, &mut arguments));
        signal.annotations = self.finished(element, remarks)?;
        Ok(signal)
    }

    fn property(
        &mut self,
        element: &Element<'a>,
        siblings: &mut Names,
    ) -> Result<Property, ParseError> {
        let name = self.own_name(element, "property", siblings)?;
        let signature = self.required(element, "property", "type")?;
        let access = self.access(element)?;
        self.only_attributes(element, "property", &["name", "type", "access"])?;
        let mut remarks = self.remarks("property")?;
        remarks.documentation.extend(element.comment_on(&name, &mut []));
        let annotations = self.finished(element, remarks)?;
        Ok(Property { name, signature, access, annotations, origin: element.origin })
    }

    fn argument(&mut self, element: &Element<'a>) -> Result<Arg, ParseError> {
        let signature = self.required(element, "arg", "type")?;
        let name = element.optional("name").filter(|name| !name.is_empty());
        self.only_attributes(element, "arg", &["name", "type", "direction"])?;
        let remarks = self.remarks("arg")?;
        let annotations = self.finished(element, remarks)?;
        Ok(Arg { name, signature, annotations, origin: element.origin })
    }

    fn remarks(&mut self, parent: &'static str) -> Result<Remarks, ParseError> {
        let mut remarks = Remarks::default();
        while let Some(element) = self.next_element()? {
            self.remark(&element, parent, &mut remarks)?;
        }
        Ok(remarks)
    }

    fn remark(
        &mut self,
        element: &Element<'a>,
        parent: &'static str,
        remarks: &mut Remarks,
    ) -> Result<(), ParseError> {
        if element.name == "annotation" {
            let annotation = self.annotation(element, &mut remarks.names)?;
            remarks.annotations.push(annotation);
        } else if self.faults.is_some() && documentation::is_documentation(&element.name) {
            remarks.documentation.push(prose::read(&mut self.source)?);
        } else {
            self.leave_out(element, parent)?;
        }
        Ok(())
    }

    fn annotation(
        &mut self,
        element: &Element<'a>,
        siblings: &mut Names,
    ) -> Result<Annotation, ParseError> {
        let name = self.own_name(element, "annotation", siblings)?;
        let value = self.required(element, "annotation", "value")?;
        self.only_attributes(element, "annotation", &["name", "value"])?;
        while let Some(element) = self.next_element()? {
            self.leave_out(&element, "annotation")?;
        }
        Ok(Annotation { name, value, origin: element.origin })
    }

    /// The annotations of an element that has ended, its documentation among them.
    fn finished(
        &mut self,
        element: &Element<'a>,
        remarks: Remarks,
    ) -> Result<Vec<Annotation>, ParseError> {
        let Remarks { mut annotations, mut documentation, .. } = remarks;
        documentation.retain(|text| !text.is_empty());
        if !documentation::add(&mut annotations, &documentation.join("\n\n")) {
            self.get_over(element, ParseErrorKind::LongDocumentation)?;
        }
        Ok(annotations)
    }

    /// Skips an element that the format does not know; one that it knows is out of place.
    fn leave_out(&mut self, element: &Element<'a>, parent: &'static str) -> Result<(), ParseError> {
        const KNOWN: [&str; 7] =
            ["node", "interface", "method", "signal", "property", "arg", "annotation"];
        let name = element.name.clone();
        if KNOWN.contains(&element.name.as_str()) {
            self.get_over(element, ParseErrorKind::Misplaced { element: name, parent })?;
        } else if let Some(faults) = &mut self.faults {
            let kind = ParseErrorKind::ForeignElement { element: name, parent };
            faults.add(element.before, kind);
        }
        self.source.skip_element()
    }

    /// Lists a fault, or ends with it.
    fn get_over(&mut self, element: &Element<'a>, kind: ParseErrorKind) -> Result<(), ParseError> {
        let Some(faults) = &mut self.faults else { return Err(element.error(kind)) };
        faults.add(element.before, kind);
        Ok(())
    }

    fn required(
        &mut self,
        element: &Element<'a>,
        kind: &'static str,
        attribute: &'static str,
    ) -> Result<String, ParseError> {
        if let Some(value) = element.optional(attribute) {
            return Ok(value);
        }
        self.get_over(element, ParseErrorKind::MissingAttribute { element: kind, attribute })?;
        Ok(String::new())
    }

    /// The name of an element, and a complaint if another of the same kind has it.
    fn own_name(
        &mut self,
        element: &Element<'a>,
        kind: &'static str,
        siblings: &mut Names,
    ) -> Result<String, ParseError> {
        let name = self.required(element, kind, "name")?;
        if let Some(faults) = &mut self.faults
            && !siblings.insert((kind, name.clone()))
        {
            let fault = ParseErrorKind::Duplicate { element: kind, name: name.clone() };
            faults.add(element.before, fault);
        }
        Ok(name)
    }

    // protocol.md A214
    fn access(&mut self, element: &Element<'a>) -> Result<Access, ParseError> {
        let value = self.required(element, "property", "access")?;
        if let Some(access) = Access::ALL.into_iter().find(|known| known.as_str() == value) {
            return Ok(access);
        }
        // That one is missing has been said.
        if element.optional("access").is_some() {
            self.get_over(element, invalid("property", "access", &value))?;
        }
        let value = value.to_ascii_lowercase();
        Ok(match (value.contains("read"), value.contains("write")) {
            (true, true) => Access::ReadWrite,
            (false, true) => Access::Write,
            (_, false) => Access::Read,
        })
    }

    // protocol.md A214
    fn direction(
        &mut self,
        element: &Element<'a>,
        default: Direction,
    ) -> Result<Direction, ParseError> {
        let Some(value) = element.optional("direction") else { return Ok(default) };
        let known = |value: &str| match value {
            "in" => Some(Direction::In),
            "out" => Some(Direction::Out),
            _ => None,
        };
        if let Some(direction) = known(&value) {
            return Ok(direction);
        }
        self.get_over(element, invalid("arg", "direction", &value))?;
        Ok(known(&value.trim().to_ascii_lowercase()).unwrap_or(default))
    }

    /// Complains about other attributes than these.
    fn only_attributes(
        &mut self,
        element: &Element<'a>,
        kind: &'static str,
        known: &[&str],
    ) -> Result<(), ParseError> {
        let Some(faults) = &mut self.faults else { return Ok(()) };
        for attribute in &element.attributes {
            let name = shown(&attribute.name);
            if !known.contains(&name.as_str()) {
                let fault = ParseErrorKind::ForeignAttribute { element: kind, attribute: name };
                faults.add(element.before, fault);
            }
        }
        Ok(())
    }

    /// The next element inside the one that began last, or `None` at its end. Text, comments and
    /// instructions between elements mean nothing.
    fn next_element(&mut self) -> Result<Option<Element<'a>>, ParseError> {
        loop {
            let before_text = self.source.read();
            match self.source.next_event()? {
                XmlEvent::StartElement { name, attributes, .. } => {
                    let (name, before) = (shown(&name), self.source.before_tag());
                    let comment = self.comment.take();
                    let origin = Origin::at(self.places.find(before));
                    return Ok(Some(Element { name, attributes, before, comment, origin }));
                }
                XmlEvent::EndElement { .. } | XmlEvent::EndDocument => {
                    self.comment = None;
                    return Ok(None);
                }
                XmlEvent::Comment(text) => self.comment = Some(text),
                XmlEvent::Characters(_) | XmlEvent::CData(_) => {
                    if let Some(faults) = &mut self.faults {
                        faults.add_after_blanks(before_text, ParseErrorKind::Text);
                    }
                }
                _ => {}
            }
        }
    }
}

fn invalid(element: &'static str, attribute: &'static str, value: &str) -> ParseErrorKind {
    ParseErrorKind::InvalidAttribute { element, attribute, value: value.to_owned() }
}

#[cfg(test)]
mod tests;
