//! What changed from one description to another, and what that means for programs.
//!
//! A change is judged by what travels over the bus. Every program written for the old description
//! is taken to use all of it: to call each method, to listen to each signal, to cache what it was
//! told it may cache. What such a program does may fail after a *breaking* change only. A program
//! written for the new description may fail with a service that keeps to the old one after an
//! *additive* change too. After a *compatible* change neither can tell the difference, though what
//! is generated from the description, names of arguments in a binding for example, may differ.
//!
//! | change | impact | because |
//! |---|---|---|
//! | an object, interface, method, signal or property | removed: breaking; added: additive | nobody asks for what it does not know |
//! | an argument added or removed, another type | breaking | both sides check the signature of the whole body |
//! | an argument renamed | compatible | names do not travel |
//! | an argument has the name that another had | breaking | most likely they changed places, and what has the same type now means something else |
//! | access to a property | additive if all that was allowed still is, else breaking | |
//! | EmitsChangedSignal promises more | additive | of `false`, `invalidates`, `true` and `const` each promises more than the one before |
//! | EmitsChangedSignal promises less | breaking | values that were cached grow old unnoticed, or their announcement lacks the value |
//! | NoReply added | breaking | callers wait for a reply in vain |
//! | NoReply removed | additive | who wants no reply says so in the call |
//! | Deprecated, documentation, other annotations | compatible | they are for people and generators |
//! | the interface or the object has another name | breaking | it is asked for by name |
//!
//! Members are told by kind and name, arguments by their place in the row. Where there are several
//! of one name, the first is compared with the first. Order means nothing otherwise.
//! Two descriptions without a change between them are the same but for order.

use std::fmt;

use self::compare::Comparison;
use crate::model::{Access, EmitsChangedSignal, Interface, Node};

mod compare;

/// What a change means for programs; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// Old and new programs and services work with each other.
    Compatible,
    /// What was written for the old description still works; the new one offers more.
    Additive,
    /// What was written for the old description may fail.
    Breaking,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: the names from the outermost element inwards, as in a
    /// [`Problem`](crate::Problem), for example `interface org.example.Map, method Store, input 1`.
    /// Names are the old ones. Empty for the outermost node.
    pub place: String,
    /// What is different there.
    pub kind: ChangeKind,
    /// What it means for programs.
    pub impact: Impact,
}

/// What can be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added(Element),
    /// It is not there any more.
    Removed(Element),
    /// The interface, the object or the argument has another name, `None` if it has none.
    Renamed {
        /// The name before.
        old: Option<String>,
        /// The name now.
        new: Option<String>,
    },
    /// The argument or the property has another type.
    Type {
        /// The signature before.
        old: String,
        /// The signature now.
        new: String,
    },
    /// Something else may be done with the property.
    Access {
        /// What was allowed before.
        old: Access,
        /// What is allowed now.
        new: Access,
    },
    /// Something else is said when the property changes, by its own annotation or by that of the
    /// interface.
    EmitsChangedSignal {
        /// What was said before.
        old: EmitsChangedSignal,
        /// What is said now.
        new: EmitsChangedSignal,
    },
    /// Callers of the method should not expect a reply any more.
    NoReplyAdded,
    /// Callers of the method may expect a reply.
    NoReplyRemoved,
    /// It should no longer be used.
    DeprecatedAdded,
    /// It may be used again.
    DeprecatedRemoved,
    /// The text for people is different, new or gone.
    Documentation,
    /// An annotation is different that means nothing else of the above.
    Annotation {
        /// Its name.
        name: String,
        /// The value before, `None` if it was not there.
        old: Option<String>,
        /// The value now, `None` if it is not there.
        new: Option<String>,
    },
}

/// What can be added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// An object below another.
    Object,
    /// An interface.
    Interface,
    /// A method.
    Method,
    /// A signal.
    Signal,
    /// A property.
    Property,
    /// An argument of a method's call.
    Input,
    /// An argument of a method's reply.
    Output,
    /// An argument of a signal.
    Argument,
}

impl Interface {
    /// All changes from this description to `new`: those of the interface, then those of its
    /// methods, signals and properties, in the order of this description, what is new last.
    ///
    /// ```
    /// use bus_introspect::{Impact, Interface, Method};
    ///
    /// let old = Interface::new("a.Map").with_method(Method::new("Get").with_input("key", "s"));
    /// let new = Interface::new("a.Map").with_method(Method::new("Get").with_input("key", "v"));
    /// let changes = old.diff(&new);
    /// assert_eq!(Impact::worst(&changes), Impact::Breaking);
    /// assert_eq!(
    ///     changes[0].to_string(),
    ///     "breaking: interface a.Map, method Get, input 1: the type was \"s\" and is now \"v\""
    /// );
    /// ```
    pub fn diff(&self, new: &Self) -> Vec<Change> {
        let mut comparison = Comparison::default();
        comparison.interface(self, new);
        comparison.changes
    }
}

impl Node {
    /// All changes from this description to `new`: those of the object, of its interfaces, and of
    /// the objects below.
    pub fn diff(&self, new: &Self) -> Vec<Change> {
        let mut comparison = Comparison::default();
        comparison.node(self, new);
        comparison.changes
    }
}

impl Impact {
    /// What all `changes` together mean; none are compatible.
    pub fn worst(changes: &[Change]) -> Self {
        changes.iter().map(|change| change.impact).max().unwrap_or(Self::Compatible)
    }

    /// The impact as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Additive => "additive",
            Self::Breaking => "breaking",
        }
    }
}

impl Element {
    /// The element as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "node",
            Self::Interface => "interface",
            Self::Method => "method",
            Self::Signal => "signal",
            Self::Property => "property",
            Self::Input => "input",
            Self::Output => "output",
            Self::Argument => "argument",
        }
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.impact)?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(element) => write!(f, "the {} was added", element.as_str()),
            Self::Removed(element) => write!(f, "the {} was removed", element.as_str()),
            Self::Renamed { old: Some(old), new: Some(new) } => {
                write!(f, "the name was {old:?} and is now {new:?}")
            }
            Self::Renamed { old: Some(old), .. } => write!(f, "the name {old:?} was removed"),
            Self::Renamed { new, .. } => {
                write!(f, "the name {:?} was added", new.as_deref().unwrap_or_default())
            }
            Self::Type { old, new } => write!(f, "the type was {old:?} and is now {new:?}"),
            Self::Access { old, new } => {
                write!(f, "the access was {} and is now {}", old.as_str(), new.as_str())
            }
            Self::EmitsChangedSignal { old, new } => {
                write!(f, "EmitsChangedSignal was {} and is now {}", old.as_str(), new.as_str())
            }
            Self::NoReplyAdded => f.write_str("callers should not expect a reply any more"),
            Self::NoReplyRemoved => f.write_str("callers may expect a reply now"),
            Self::DeprecatedAdded => f.write_str("it is now deprecated"),
            Self::DeprecatedRemoved => f.write_str("it is not deprecated any more"),
            Self::Documentation => f.write_str("the documentation changed"),
            Self::Annotation { name, old, new } => match (old, new) {
                (Some(old), Some(new)) => {
                    write!(f, "the annotation {name} was {old:?} and is now {new:?}")
                }
                (Some(old), None) => write!(f, "the annotation {name}={old:?} was removed"),
                (None, new) => {
                    let new = new.as_deref().unwrap_or_default();
                    write!(f, "the annotation {name}={new:?} was added")
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
