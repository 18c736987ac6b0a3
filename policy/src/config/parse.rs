//! What each element of a file means (config.md B.2, B.4).

use std::path::PathBuf;

use libbus::names::WellKnownName;

use super::document::Element;
use super::include::{Loader, OpenFile};
use super::language::attributes_in;
use super::{AppArmorMode, ConfigFiles, Fault, Problem, ServiceDirectory};
use crate::policy_set::{PolicyBlock, PolicyContext};
use crate::rule::{Account, Action, Effect, Rule, RuleAttributes, RuleError};

/// The mechanisms that clients can use (protocol.md A089–A096).
const MECHANISMS: &[&str] = &["EXTERNAL", "DBUS_COOKIE_SHA1", "ANONYMOUS"];

impl<F: ConfigFiles> Loader<'_, F> {
    /// Reads a file from its root element on (config.md B002, B007).
    pub(super) fn read_root(&mut self, file: &mut OpenFile, root: &Element) -> Result<(), Problem> {
        if root.name != "busconfig" {
            return Err(Problem::fatal(&root.location, Fault::WrongRoot(root.name.clone())));
        }
        let mut first = self.takes_attributes(root, &[]);
        first = self.note_further(first, root.takes_no_text());
        for element in &root.children {
            let read = self.read_element(file, element);
            first = self.note_further(first, read);
        }
        first
    }

    // One row an element: a flat table.
    fn read_element(&mut self, file: &mut OpenFile, element: &Element) -> Result<(), Problem> {
        self.belongs_in("busconfig", element)?;
        let config = &mut file.config;
        let place = || Some(element.location.clone());
        match element.name.as_str() {
            "type" => config.bus_type = Some(element.value()?.to_owned()),
            "include" => self.include(file, element)?,
            "includedir" => self.include_directory(file, element)?,
            "user" => {
                config.user = Some(element.value()?.to_owned());
                config.places.user = place();
            }
            "fork" => config.fork = element.flag()?,
            "keep_umask" => config.keep_umask = element.flag()?,
            "syslog" => config.syslog = element.flag()?,
            "pidfile" => {
                config.pidfile = Some(PathBuf::from(element.value()?));
                config.places.pidfile = place();
            }
            "allow_anonymous" => config.allow_anonymous = element.flag()?,
            "listen" => {
                config.listen.push(element.value()?.to_owned());
                config.places.listen.extend(place());
            }
            "auth" => self.read_auth(file, element)?,
            "servicedir" => {
                let directory = file.resolve(element.value()?);
                self.watch(directory.clone());
                file.config.add_service_directory(ServiceDirectory::Path(directory));
            }
            "standard_session_servicedirs" => {
                element.flag()?;
                config.add_service_directory(ServiceDirectory::StandardSession);
            }
            "standard_system_servicedirs" => {
                element.flag()?;
                config.add_service_directory(ServiceDirectory::StandardSystem);
            }
            "servicehelper" => {
                let path = file.resolve(element.value()?);
                file.config.service_helper = Some(path);
            }
            "limit" => self.read_limit(file, element)?,
            "policy" => {
                self.read_policy(file, element)?;
            }
            "selinux" => self.read_selinux(file, element)?,
            "apparmor" => {
                config.apparmor_mode = Some(apparmor_mode(element)?);
                config.places.apparmor = place();
            }
            _ => return Err(element.unexpected("busconfig")),
        }
        Ok(())
    }

    /// Checks that `parent` takes the element, and the element its attributes (config.md B003).
    fn belongs_in(&mut self, parent: &str, element: &Element) -> Result<(), Problem> {
        let attributes = attributes_in(parent, &element.name);
        self.takes_attributes(element, attributes.ok_or_else(|| element.unexpected(parent))?)
    }

    /// Checks that every attribute is one of `names` (config.md B003).
    fn takes_attributes(
        &mut self,
        element: &Element,
        names: &[&'static str],
    ) -> Result<(), Problem> {
        let mut first = Ok(());
        for unexpected in element.unexpected_attributes(names) {
            first = self.note_further(first, Err(unexpected));
        }
        first
    }

    /// `<auth>` (config.md B018).
    fn read_auth(&mut self, file: &mut OpenFile, element: &Element) -> Result<(), Problem> {
        let mechanism = element.value()?;
        if !MECHANISMS.contains(&mechanism) {
            self.warn(&element.location, Fault::UnknownMechanism(mechanism.to_owned()));
        }
        file.config.auth.push(mechanism.to_owned());
        file.config.places.auth = Some(element.location.clone());
        Ok(())
    }

    /// `<limit>` (config.md B023).
    fn read_limit(&mut self, file: &mut OpenFile, element: &Element) -> Result<(), Problem> {
        let name = element.required_attribute("limit", "name")?;
        let text = element.value()?;
        let set = file.config.limits.set(name, text);
        if let Some(warning) = set.map_err(|error| Problem::fatal(&element.location, error))? {
            self.warn(&element.location, warning);
        }
        Ok(())
    }

    /// `<policy>` (config.md B024, B047).
    fn read_policy(&mut self, file: &mut OpenFile, element: &Element) -> Result<(), Problem> {
        // Of a block in a wrong place, too, it is told what else is wrong in it.
        let context = policy_context(element);
        let mut first = self.note_further(element.takes_no_text(), context.clone().map(drop));
        let context = context.unwrap_or(PolicyContext::Default);
        let mut rules = Vec::new();
        for child in &element.children {
            let read = self.read_rule(&context, child).map(|rule| rules.push(rule));
            first = self.note_further(first, read);
        }
        let location = element.location.clone();
        file.config.policies.push(PolicyBlock { location, context, rules });
        first
    }

    /// `<allow>` and `<deny>` (config.md B.5).
    fn read_rule(&mut self, context: &PolicyContext, element: &Element) -> Result<Rule, Problem> {
        let effect = match element.name.as_str() {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            _ => return Err(element.unexpected("policy")),
        };
        self.belongs_in("policy", element)?;
        element.is_empty()?;
        let place = |error: &RuleError| {
            error.attribute().map_or(&element.location, |name| element.place_of(name))
        };
        let wrong = |error: RuleError| Problem::fatal(place(&error), error);
        let attributes = RuleAttributes(&element.attributes);
        let action = attributes.action(effect).map_err(wrong)?;
        match context {
            _ if !matches!(action, Action::ConnectUser(_) | Action::ConnectGroup(_)) => {}
            PolicyContext::Default | PolicyContext::Mandatory => {}
            // B071
            PolicyContext::User(_) | PolicyContext::Group(_)
                if self.is_for_somebody(context) && self.is_about_somebody(&action) =>
            {
                return Err(wrong(RuleError::ConnectNotGlobal));
            }
            // (ref) no error where nobody is at the console, or an account does not exist (B048): the
            // rule is never looked at.
            _ => self.warn(&element.location, RuleError::ConnectNotGlobal),
        }
        for warning in attributes.warnings(&action) {
            self.warn(place(&warning), warning);
        }
        Ok(Rule { location: element.location.clone(), effect, action })
    }

    fn is_for_somebody(&self, context: &PolicyContext) -> bool {
        match context {
            PolicyContext::User(name) => self.files.has_user(name),
            PolicyContext::Group(name) => self.files.has_group(name),
            _ => true,
        }
    }

    fn is_about_somebody(&self, action: &Action) -> bool {
        match action {
            Action::ConnectUser(Account::Named(name)) => self.files.has_user(name),
            Action::ConnectGroup(Account::Named(name)) => self.files.has_group(name),
            _ => true,
        }
    }

    /// `<selinux>` (config.md B025).
    fn read_selinux(&mut self, file: &mut OpenFile, element: &Element) -> Result<(), Problem> {
        element.takes_no_text()?;
        for child in &element.children {
            self.belongs_in("selinux", child)?;
            child.is_empty()?;
            let own = child.required_attribute("associate", "own")?;
            let context = child.required_attribute("associate", "context")?;
            if own == "*" {
                self.warn(&child.location, Fault::AssociateAny);
            } else if WellKnownName::parse(own).is_err() {
                self.warn(&child.location, Fault::AssociateNoName(own.to_owned()));
            }
            file.config.selinux_contexts.insert(own.to_owned(), context.to_owned());
        }
        Ok(())
    }
}

/// Whom a `<policy>` is for: exactly one attribute says so (config.md B047).
fn policy_context(element: &Element) -> Result<PolicyContext, Problem> {
    let [(attribute, value)] = element.attributes.as_slice() else {
        return Err(Problem::fatal(&element.location, Fault::PolicySubject));
    };
    let bad = |attribute, expected| Err(bad_value(element, attribute, value, expected));
    match (attribute.as_str(), value.as_str()) {
        ("context", "default") => Ok(PolicyContext::Default),
        ("context", "mandatory") => Ok(PolicyContext::Mandatory),
        ("context", _) => bad("context", "\"default\" or \"mandatory\""),
        ("user", name) => Ok(PolicyContext::User(name.into())),
        ("group", name) => Ok(PolicyContext::Group(name.into())),
        (_, "true") => Ok(PolicyContext::AtConsole(true)),
        (_, "false") => Ok(PolicyContext::AtConsole(false)),
        _ => bad("at_console", "\"true\" or \"false\""),
    }
}

/// `<apparmor>`; without an attribute the mode is the default one (config.md B026).
fn apparmor_mode(element: &Element) -> Result<AppArmorMode, Problem> {
    element.is_empty()?;
    match element.attribute("mode") {
        None | Some("enabled") => Ok(AppArmorMode::Enabled),
        Some("disabled") => Ok(AppArmorMode::Disabled),
        Some("required") => Ok(AppArmorMode::Required),
        Some(value) => {
            let expected = "\"enabled\", \"disabled\" or \"required\"";
            Err(bad_value(element, "mode", value, expected))
        }
    }
}

fn bad_value(
    element: &Element,
    attribute: &'static str,
    value: &str,
    expected: &'static str,
) -> Problem {
    let value = value.to_owned();
    let fault = Fault::BadValue { attribute, value, expected };
    Problem::fatal(element.place_of(attribute), fault)
}

impl Element {
    /// The presence of an element such as `<fork/>`, which takes nothing.
    fn flag(&self) -> Result<bool, Problem> {
        self.is_empty()?;
        Ok(true)
    }

    /// An attribute that is yes or no, by default no.
    pub(super) fn yes_or_no(&self, attribute: &'static str) -> Result<bool, Problem> {
        match self.attribute(attribute) {
            Some("yes") => Ok(true),
            None | Some("no") => Ok(false),
            Some(value) => Err(bad_value(self, attribute, value, "\"yes\" or \"no\"")),
        }
    }

    fn required_attribute(
        &self,
        element: &'static str,
        attribute: &'static str,
    ) -> Result<&str, Problem> {
        let missing =
            || Problem::fatal(&self.location, Fault::MissingAttribute { element, attribute });
        self.attribute(attribute).ok_or_else(missing)
    }
}
