//! Source text in the layout that rustfmt gives it by default in style edition 2024.
//!
//! What fits stands on one line. Else what is in brackets goes on lines of its own, a tuple that is
//! the only thing in them excepted, which shares its brackets' lines. Structures with one field that
//! end at the edge of the page are the one thing for which rustfmt has further rules.

use super::types::Type;

/// Longest line, in characters.
const WIDTH_MAX: usize = 100;

/// Longest list in an attribute that stands on one line.
const ATTRIBUTE_WIDTH_MAX: usize = 70;

/// Longest list of arguments or fields that stands on one line.
const CALL_WIDTH_MAX: usize = 60;

const STEP: usize = 4;

/// What comes after the head of a function with a body.
pub(super) const BRACE: &str = " {";

/// Lines of source text.
#[derive(Default)]
pub(super) struct Source {
    text: String,
    indent: usize,
}

/// What can stand in an attribute.
pub(super) enum Meta {
    Word(String),
    List(&'static str, Vec<String>),
}

/// A function's first lines.
pub(super) struct Head<'a> {
    /// Up to its name: `fn`.
    pub(super) keywords: &'a str,
    pub(super) name: String,
    /// What comes before the parameters that have a name and a type.
    pub(super) receiver: &'a str,
    pub(super) parameters: Vec<(String, Type)>,
    pub(super) result: Type,
    /// `;` or [`BRACE`].
    pub(super) end: &'a str,
}

impl Source {
    pub(super) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', self.indent));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// Something further right.
    pub(super) fn within<T>(&mut self, content: impl FnOnce(&mut Self) -> T) -> T {
        self.indent += STEP;
        let result = content(self);
        self.indent -= STEP;
        result
    }

    /// `before { content }`.
    pub(super) fn block<T, E>(
        &mut self,
        before: &str,
        content: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.line(&format!("{before} {{"));
        let empty_size = self.size();
        let result = self.within(content)?;
        if self.size() == empty_size {
            self.text.pop();
            self.text.push_str("}\n");
        } else {
            self.line("}");
        }
        Ok(result)
    }

    /// Comments that document what follows.
    pub(super) fn documentation(&mut self, lines: &[String]) {
        for line in lines {
            self.line(format!("/// {line}").trim_end());
        }
    }

    /// `#[path(metas)]`.
    pub(super) fn attribute(&mut self, path: &str, metas: &[Meta]) {
        let text = bracketed(&format!("#[{path}"), metas, self.indent);
        self.line(&text);
    }

    pub(super) fn function(&mut self, head: &Head<'_>) {
        let text = head.to_text(self.indent);
        self.line(&text);
    }

    /// `let _ = names;`
    pub(super) fn let_go(&mut self, names: &[String]) {
        let list = names.join(", ");
        if names.len() > 1 && list.len() <= CALL_WIDTH_MAX {
            self.line(&format!("let _ = ({list});"));
        } else {
            names.iter().for_each(|name| self.line(&format!("let _ = {name};")));
        }
    }

    /// `outer(inner("text".into()))`, for a text without escapes.
    pub(super) fn nested_call(&mut self, outer: &str, inner: &str, text: &str) {
        let call = format!("{inner}(\"{text}\".into())");
        if call.len() <= CALL_WIDTH_MAX {
            return self.line(&format!("{outer}({call})"));
        }
        self.line(&format!("{outer}({inner}("));
        self.within(|source| {
            let argument = format!("\"{text}\".into(),");
            if source.indent + argument.len() <= WIDTH_MAX {
                return source.line(&argument);
            }
            source.line(&format!("\"{text}\""));
            source.within(|source| source.line(".into(),"));
        });
        self.line("))");
    }

    /// How much room there is for a comment's words.
    pub(super) const fn words_width(&self) -> usize {
        WIDTH_MAX.saturating_sub(self.indent + "/// ".len())
    }

    pub(super) const fn size(&self) -> usize {
        self.text.len()
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Meta {
    fn flat(&self) -> String {
        match self {
            Self::Word(text) => text.clone(),
            Self::List(name, items) => format!("{name}({})", items.join(", ")),
        }
    }

    /// When it starts at `column` and is followed by `after` more characters.
    fn wrapped(&self, indent: usize, column: usize, after: usize) -> String {
        let flat = self.flat();
        match self {
            Self::List(name, items) if !fits(items, column + flat.len() + after) => {
                format!("{name}{}", vertical("(", items, "", ")", indent))
            }
            _ => flat,
        }
    }
}

/// `before(metas)]`.
fn bracketed(before: &str, metas: &[Meta], indent: usize) -> String {
    if let [list @ Meta::List(..)] = metas {
        let column = indent + before.len() + "(".len();
        return format!("{before}({})]", list.wrapped(indent, column, ",)]".len()));
    }
    let flat: Vec<String> = metas.iter().map(Meta::flat).collect();
    let line = format!("{before}({})]", flat.join(", "));
    if fits(&flat, indent + line.len()) {
        return line;
    }
    let inner = indent + STEP;
    let metas: Vec<String> = metas.iter().map(|it| it.wrapped(inner, inner, ",".len())).collect();
    format!("{before}{}]", vertical("(", &metas, "", ")", indent))
}

/// Whether a list can be on a line of the given width. What is alone in it may be as long as the
/// line.
fn fits(items: &[String], width: usize) -> bool {
    let is_short = items.len() == 1 || items.join(", ").len() <= ATTRIBUTE_WIDTH_MAX;
    is_short && width <= WIDTH_MAX
}

/// Items on lines of their own; `last` follows the last one, a comma the others.
fn vertical(open: &str, items: &[String], last: &str, close: &str, indent: usize) -> String {
    let (inner, outer) = (" ".repeat(indent + STEP), " ".repeat(indent));
    let items = items.join(&format!(",\n{inner}"));
    format!("{open}\n{inner}{items}{last}\n{outer}{close}")
}

impl Head<'_> {
    fn to_text(&self, indent: usize) -> String {
        let Self { keywords, name, receiver, parameters, result, end } = self;
        let beginning = format!("{keywords} {name}");
        let flat = parameters.iter().map(|(name, of)| format!("{name}: {}", of.flat()));
        let flat: Vec<String> = std::iter::once((*receiver).to_owned()).chain(flat).collect();
        let (list, flat_result) = (flat.join(", "), result.flat());
        let is_flat = !result.is_wide() && !parameters.iter().any(|(_, of)| of.is_wide());
        // There is always room for a brace, whatever comes.
        let width = indent + beginning.len() + "() -> ".len() + list.len() + flat_result.len();
        if is_flat && width + BRACE.len() <= WIDTH_MAX {
            return format!("{beginning}({list}) -> {flat_result}{end}");
        }
        let outer = " ".repeat(indent);
        if is_flat && width < WIDTH_MAX && *end != BRACE {
            return format!("{beginning}({list})\n{outer}-> {flat_result}{end}");
        }
        let inner = indent + STEP;
        let wrapped = parameters.iter().map(|(name, of)| {
            let column = inner + name.len() + ": ".len();
            format!("{name}: {}", of.wrapped(inner, column, ",".len()))
        });
        let lines: Vec<String> = std::iter::once((*receiver).to_owned()).chain(wrapped).collect();
        let end = self.after_result(indent);
        let list = vertical("(", &lines, ",", &format!(") -> {}{end}", self.last(indent)), indent);
        format!("{beginning}{list}")
    }

    /// The result after parameters that have lines of their own. What is before it in its line is
    /// not counted, except the arrow.
    fn last(&self, indent: usize) -> String {
        let flat = self.result.flat();
        if !self.result.is_wide() && indent + "-> ".len() + flat.len() <= WIDTH_MAX {
            return flat;
        }
        self.result.wrapped(indent, indent + ") -> ".len(), 0)
    }

    /// A brace is on a line of its own after a long result; the indent counts twice.
    fn after_result(&self, indent: usize) -> String {
        let result = self.last(indent);
        let width = 2 * indent + ") -> ".len() + result.len() + BRACE.len();
        if self.end == BRACE && !result.contains('\n') && width > WIDTH_MAX {
            return format!("\n{}{{", " ".repeat(indent));
        }
        self.end.to_owned()
    }
}

impl Type {
    /// In as many lines as it needs, when its first line starts at `column` and its last line is
    /// followed by `after` more characters.
    fn wrapped(&self, indent: usize, column: usize, after: usize) -> String {
        match self {
            Self::Reference(to) => format!("&{}", to.wrapped(indent, column + 1, after)),
            // Its brackets count twice.
            Self::Slice(of) => format!("[{}]", of.wrapped(indent, column + 1, after + 3)),
            _ if self.fits(column, after) => self.flat(),
            Self::Plain(_) | Self::Wire(_) => self.flat(),
            Self::Generic(name, parameters) => match &parameters[..] {
                [only] if only.shares_lines() => {
                    let column = column + name.len() + 1;
                    format!("{name}<{}>", only.wrapped(indent, column, after + 1))
                }
                _ => format!("{name}{}", list("<", parameters, ">", indent)),
            },
            Self::Tuple(fields) => match &fields[..] {
                [only] if only.shares_lines() => {
                    format!("({},)", only.wrapped(indent, column + 1, after + 2))
                }
                _ => list("(", fields, ")", indent),
            },
        }
    }

    /// Whether it can be on one line.
    fn fits(&self, column: usize, after: usize) -> bool {
        // The comma of an only field counts twice.
        let comma = usize::from(matches!(self, Self::Tuple(fields) if fields.len() == 1));
        !self.is_wide() && column + self.flat().len() + after + comma <= WIDTH_MAX
    }

    /// Whether it has a tuple that is too wide for one line.
    fn is_wide(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Wire(_) => false,
            Self::Reference(of) | Self::Slice(of) => of.is_wide(),
            Self::Generic(_, parameters) => parameters.iter().any(Self::is_wide),
            Self::Tuple(fields) => match &fields[..] {
                [only] => only.is_wide(),
                _ => self.flat().len() > CALL_WIDTH_MAX + 2 || fields.iter().any(Self::is_wide),
            },
        }
    }

    /// Whether it shares the lines of the brackets around it.
    fn shares_lines(&self) -> bool {
        match self {
            Self::Tuple(_) => true,
            Self::Reference(to) => to.shares_lines(),
            _ => false,
        }
    }
}

fn list(open: &str, types: &[Type], close: &str, indent: usize) -> String {
    let inner = indent + STEP;
    let types: Vec<String> = types.iter().map(|it| it.wrapped(inner, inner, ",".len())).collect();
    vertical(open, &types, ",", close, indent)
}
