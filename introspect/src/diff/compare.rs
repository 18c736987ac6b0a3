//! Two descriptions side by side.

use std::collections::{HashMap, HashSet};

use super::{Change, ChangeKind, Element, Impact};
use crate::model::{
    Access, Annotation, Arg, EmitsChangedSignal, Interface, Method, Node, Property, Signal,
    annotation, is_true,
};

/// What was found so far, and where the comparison is.
#[derive(Default)]
pub(super) struct Comparison {
    place: Vec<String>,
    pub(super) changes: Vec<Change>,
}

/// What is in the old description, what in the new, or both.
type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

impl Comparison {
    pub(super) fn node(&mut self, old: &Node, new: &Node) {
        if old.name != new.name {
            // Where one of them does not tell, nothing is known to be different.
            let impact = match (&old.name, &new.name) {
                (Some(_), Some(_)) => Impact::Breaking,
                _ => Impact::Compatible,
            };
            self.renamed(old.name.as_deref(), new.name.as_deref(), impact);
        }
        let interfaces = [&old.interfaces[..], &new.interfaces];
        self.each(Element::Interface, interfaces, |it| &it.name, Self::interface_content);
        self.each(Element::Object, [&old.children, &new.children], name_of, Self::node);
    }

    pub(super) fn interface(&mut self, old: &Interface, new: &Interface) {
        self.within(format!("interface {}", old.name), |comparison| {
            if old.name != new.name {
                comparison.renamed(Some(&old.name), Some(&new.name), Impact::Breaking);
            }
            comparison.interface_content(old, new);
        });
    }

    fn interface_content(&mut self, old: &Interface, new: &Interface) {
        self.annotations(&old.annotations, &new.annotations, &[]);
        self.each(Element::Method, [&old.methods, &new.methods], |it| &it.name, Self::method);
        self.each(Element::Signal, [&old.signals, &new.signals], |it| &it.name, Self::signal);
        let properties = [&old.properties[..], &new.properties];
        let property = |comparison: &mut Self, one: &Property, other: &Property| {
            let said = (old.emits_changed_signal(one), new.emits_changed_signal(other));
            comparison.property(one, other, said);
        };
        self.each(Element::Property, properties, |it| &it.name, property);
    }

    fn method(&mut self, old: &Method, new: &Method) {
        let told: &[&str] = match (old.is_no_reply(), new.is_no_reply()) {
            (false, true) => {
                self.report(ChangeKind::NoReplyAdded, Impact::Breaking);
                &[annotation::NO_REPLY]
            }
            (true, false) => {
                self.report(ChangeKind::NoReplyRemoved, Impact::Additive);
                &[annotation::NO_REPLY]
            }
            _ => &[],
        };
        self.annotations(&old.annotations, &new.annotations, told);
        self.arguments(Element::Input, &old.inputs, &new.inputs);
        self.arguments(Element::Output, &old.outputs, &new.outputs);
    }

    fn signal(&mut self, old: &Signal, new: &Signal) {
        self.annotations(&old.annotations, &new.annotations, &[]);
        self.arguments(Element::Argument, &old.arguments, &new.arguments);
    }

    fn property(
        &mut self,
        old: &Property,
        new: &Property,
        said: (EmitsChangedSignal, EmitsChangedSignal),
    ) {
        self.signature(&old.signature, &new.signature);
        if old.access != new.access {
            let kind = ChangeKind::Access { old: old.access, new: new.access };
            // Two that differ, of which one allows everything.
            let is_wider = new.access == Access::ReadWrite;
            self.report(kind, if is_wider { Impact::Additive } else { Impact::Breaking });
        }
        let mut told = Vec::new();
        if said.0 != said.1 {
            told.push(annotation::EMITS_CHANGED_SIGNAL);
            let kind = ChangeKind::EmitsChangedSignal { old: said.0, new: said.1 };
            let is_more = promise(said.1) > promise(said.0);
            self.report(kind, if is_more { Impact::Additive } else { Impact::Breaking });
        }
        self.annotations(&old.annotations, &new.annotations, &told);
    }

    fn arguments(&mut self, element: Element, old: &[Arg], new: &[Arg]) {
        let old_names: HashSet<&str> = old.iter().filter_map(|it| it.name.as_deref()).collect();
        for index in 0..old.len().max(new.len()) {
            self.within(format!("{} {}", element.as_str(), index + 1), |comparison| {
                match (old.get(index), new.get(index)) {
                    (Some(one), Some(other)) => comparison.argument(one, other, &old_names),
                    (Some(_), None) => {
                        comparison.report(ChangeKind::Removed(element), Impact::Breaking);
                    }
                    _ => comparison.report(ChangeKind::Added(element), Impact::Breaking),
                }
            });
        }
    }

    fn argument(&mut self, old: &Arg, new: &Arg, old_names: &HashSet<&str>) {
        self.signature(&old.signature, &new.signature);
        if old.name != new.name {
            let is_of_another = new.name.as_deref().is_some_and(|name| old_names.contains(name));
            let impact = if is_of_another { Impact::Breaking } else { Impact::Compatible };
            self.renamed(old.name.as_deref(), new.name.as_deref(), impact);
        }
        self.annotations(&old.annotations, &new.annotations, &[]);
    }

    fn signature(&mut self, old: &str, new: &str) {
        if old != new {
            let kind = ChangeKind::Type { old: old.to_owned(), new: new.to_owned() };
            self.report(kind, Impact::Breaking);
        }
    }

    /// Compares annotations but for those `told` of already by what they mean.
    fn annotations(&mut self, old: &[Annotation], new: &[Annotation], told: &[&str]) {
        let deprecated =
            (is_true(old, annotation::DEPRECATED), is_true(new, annotation::DEPRECATED));
        match deprecated {
            (false, true) => self.report(ChangeKind::DeprecatedAdded, Impact::Compatible),
            (true, false) => self.report(ChangeKind::DeprecatedRemoved, Impact::Compatible),
            _ => {}
        }
        for (old, new) in pairs(old, new, |annotation| &annotation.name) {
            let Some(Annotation { name, .. }) = old.or(new).filter(|_| old != new) else {
                continue;
            };
            let is_told = told.contains(&name.as_str())
                || name == annotation::DEPRECATED && deprecated.0 != deprecated.1;
            if !is_told {
                let value = |it: Option<&Annotation>| it.map(|it| it.value.clone());
                self.report(annotation_change(name, value(old), value(new)), Impact::Compatible);
            }
        }
    }

    fn renamed(&mut self, old: Option<&str>, new: Option<&str>, impact: Impact) {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        self.report(ChangeKind::Renamed { old: owned(old), new: owned(new) }, impact);
    }

    /// Compares what has the same name, and reports what stands alone.
    fn each<'a, T>(
        &mut self,
        element: Element,
        [old, new]: [&'a [T]; 2],
        name: impl Fn(&'a T) -> &'a str,
        compare: impl Fn(&mut Self, &T, &T),
    ) {
        for (old, new) in pairs(old, new, &name) {
            let Some(item) = old.or(new) else { continue };
            let place = format!("{} {}", element.as_str(), name(item));
            self.within(place, |comparison| match (old, new) {
                (Some(old), Some(new)) => compare(comparison, old, new),
                (Some(_), None) => {
                    comparison.report(ChangeKind::Removed(element), Impact::Breaking);
                }
                _ => comparison.report(ChangeKind::Added(element), Impact::Additive),
            });
        }
    }

    fn within(&mut self, place: String, content: impl FnOnce(&mut Self)) {
        self.place.push(place);
        content(self);
        self.place.pop();
    }

    fn report(&mut self, kind: ChangeKind, impact: Impact) {
        self.changes.push(Change { place: self.place.join(", "), kind, impact });
    }
}

fn name_of(node: &Node) -> &str {
    node.name.as_deref().unwrap_or_default()
}

/// Those of the same name together, the first with the first: all of `old` in its order, then what
/// is left of `new`.
fn pairs<'a, T>(old: &'a [T], new: &'a [T], name: impl Fn(&'a T) -> &'a str) -> Vec<Pair<'a, T>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, item) in old.iter().enumerate().rev() {
        places.entry(name(item)).or_default().push(index);
    }
    let mut pairs: Vec<Pair<'a, T>> = old.iter().map(|item| (Some(item), None)).collect();
    for item in new {
        let place = places.get_mut(name(item)).and_then(Vec::pop);
        match place.and_then(|index| pairs.get_mut(index)) {
            Some(pair) => pair.1 = Some(item),
            None => pairs.push((None, Some(item))),
        }
    }
    pairs
}

fn annotation_change(name: &str, old: Option<String>, new: Option<String>) -> ChangeKind {
    match name {
        annotation::DOC_STRING | annotation::DOC_STRING_SHORT => ChangeKind::Documentation,
        _ => ChangeKind::Annotation { name: name.to_owned(), old, new },
    }
}

/// How much a program may rely on.
fn promise(said: EmitsChangedSignal) -> u8 {
    match said {
        EmitsChangedSignal::False => 0,
        EmitsChangedSignal::Invalidates => 1,
        EmitsChangedSignal::True => 2,
        EmitsChangedSignal::Const => 3,
    }
}
