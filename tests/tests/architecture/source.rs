//! Rust source as a list of words and signs: comments, literals and test code left out.

use std::fs;
use std::path::{Path, PathBuf};

/// One file, as far as it ends up in the product.
pub(crate) struct SourceFile {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    /// Identifiers and keywords; every other character but white space by itself.
    pub(crate) tokens: Vec<String>,
    /// Lines that hold any of them.
    pub(crate) lines: usize,
}

impl SourceFile {
    /// Whether `pattern` (tokens, separated by spaces) occurs.
    pub(crate) fn contains(&self, pattern: &str) -> bool {
        self.count(pattern) > 0
    }

    /// How often `pattern` occurs.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        let pattern: Vec<&str> = pattern.split(' ').collect();
        self.tokens.windows(pattern.len()).filter(|window| **window == pattern[..]).count()
    }

    /// What the file takes from `std` by name: `fs` of `std::fs::read` and of `use std::{fs, io}`.
    pub(crate) fn modules_of_std(&self) -> Vec<&str> {
        let mut modules = Vec::new();
        for (index, window) in self.tokens.windows(4).enumerate() {
            match [&*window[0], &*window[1], &*window[2], &*window[3]] {
                ["std", ":", ":", "{"] => modules.extend(group(&self.tokens[index + 4..])),
                ["std", ":", ":", module] => modules.push(module),
                _ => {}
            }
        }
        modules
    }
}

/// The first word of each path of a `use` group, up to its closing brace.
fn group(tokens: &[String]) -> Vec<&str> {
    let mut depth = 0;
    let mut firsts = Vec::new();
    let mut is_first = true;
    for token in tokens {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => is_first = true,
            word if depth == 0 && is_first => {
                firsts.push(word);
                is_first = false;
            }
            _ => {}
        }
    }
    firsts
}

/// Every `.rs` file below `dir` of the workspace that is not test code.
pub(crate) fn read_sources(workspace: &Path, dir: &str) -> Vec<SourceFile> {
    let mut paths = Vec::new();
    find_rust_files(&workspace.join(dir), &mut paths);
    paths.sort();
    paths.iter().map(|path| read_source(workspace, path)).collect()
}

fn find_rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap_or_default();
        if stem == "tests" {
            continue;
        }
        if path.is_dir() {
            find_rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read_source(workspace: &Path, path: &Path) -> SourceFile {
    let text = fs::read_to_string(path).unwrap();
    let placed = without_tests(tokens(&text));
    let mut lines: Vec<usize> = placed.iter().map(|(_, line)| *line).collect();
    lines.dedup();
    SourceFile {
        path: path.strip_prefix(workspace).unwrap().to_str().unwrap().to_owned(),
        lines: lines.len(),
        tokens: placed.into_iter().map(|(token, _)| token).collect(),
    }
}

/// The tokens of `text` with their line numbers.
fn tokens(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 0;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest);
        if length > 0 {
            line += rest[..length].matches('\n').count();
            rest = &rest[length..];
            continue;
        }
        let word: usize = rest.chars().take_while(|c| is_word(*c)).map(char::len_utf8).sum();
        let length = if word > 0 { word } else { first.len_utf8() };
        found.push((rest[..length].to_owned(), line));
        rest = &rest[length..];
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How many bytes of white space, comment or literal `text` starts with.
fn skipped(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes {
        [b' ' | b'\t' | b'\n' | b'\r', ..] => 1,
        [b'/', b'/', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => block_comment(text),
        [b'"', ..] => quoted(text, 1, b'"'),
        [b'b' | b'c', b'"', ..] => quoted(text, 2, b'"'),
        [b'b', b'\'', ..] => quoted(text, 2, b'\''),
        [b'r', b'"' | b'#', ..] => raw(text, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] => raw(text, 2),
        // a character literal, and not the ' of a lifetime
        [b'\'', b'\\', ..] => quoted(text, 1, b'\''),
        [b'\'', ..] => {
            let mut chars = text[1..].char_indices();
            chars.next();
            match chars.next() {
                Some((at, '\'')) => at + 2,
                _ => 0,
            }
        }
        _ => 0,
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(text: &str, start: usize, quote: u8) -> usize {
    let mut at = start;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A raw string, or 0 for a raw identifier.
fn raw(text: &str, start: usize) -> usize {
    let hashes = text[start..].bytes().take_while(|byte| *byte == b'#').count();
    if text.as_bytes().get(start + hashes) != Some(&b'"') {
        return 0;
    }
    let open = start + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    text[open..].find(&close).map_or(text.len(), |at| open + at + close.len())
}

/// Takes out every item marked `#[cfg(test)]`.
fn without_tests(tokens: Vec<(String, usize)>) -> Vec<(String, usize)> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let marked = tokens[at..].iter().zip(MARK).filter(|((token, _), mark)| token == mark);
        if marked.count() == MARK.len() {
            at = end_of_item(&tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item that starts at `at` ends: after its block or its semicolon.
fn end_of_item(tokens: &[(String, usize)], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].0.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

#[test]
fn tokens_are_what_the_compiler_sees() {
    let check = |case: &str, text: &str, expected: &str| {
        let found: Vec<String> =
            without_tests(tokens(text)).into_iter().map(|(token, _)| token).collect();
        assert_eq!(found.join(" "), expected, "{case}");
    };
    check("path", "std::fs::read(x)", "std : : fs : : read ( x )");
    check("line comment", "a // unwrap()\nb", "a b");
    check("nested block comment", "a /* x /* y */ z */ b", "a b");
    check("string", r#"a("\"unsafe", b"panic!")"#, "a ( , )");
    check("raw string", r###"r#"un"safe"# b"###, "b");
    check("raw identifier", "r#type", "r # type");
    check("characters and lifetimes", "'\"' '\\'' &'a str b'\"'", "& ' a str");
    check("test module", "a #[cfg(test)] mod tests { x { y } } b", "a b");
    check("test module elsewhere", "#[cfg(test)] mod tests; b", "b");
}

#[test]
fn modules_of_std_are_found_in_every_spelling() {
    let check = |text: &str, expected: &[&str]| {
        let tokens = tokens(text).into_iter().map(|(token, _)| token).collect();
        let file = SourceFile { path: String::new(), tokens, lines: 0 };
        assert_eq!(file.modules_of_std(), expected, "{text}");
    };
    check("use std::fs;", &["fs"]);
    check("::std::env::var(name)", &["env"]);
    check("use std::{fmt, net::{self, TcpStream}, process};", &["fmt", "net", "process"]);
    check("use core::fmt; mod std_fs;", &[]);
}

/// The test code of the workspace: each file's path, and all of it if it is a test, else what
/// its module `tests` says.
pub(crate) fn read_tests(workspace: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for dir in ["libbus", "policy", "introspect", "bus-daemon", "tests"] {
        collect_tests(&workspace.join(dir), &mut found);
    }
    let relative = |path: &Path| path.strip_prefix(workspace).unwrap().display().to_string();
    found.sort();
    found.into_iter().map(|(path, text)| (relative(&path), text)).collect()
}

fn collect_tests(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let is_test = path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs");
            let start = if is_test { Some(0) } else { text.find("#[cfg(test)]\nmod tests {") };
            if let Some(start) = start {
                found.push((path, text[start..].to_owned()));
            }
        }
    }
}
