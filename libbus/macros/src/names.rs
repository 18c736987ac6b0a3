//! Names of Rust as names of D-Bus.

/// `do_this` as `DoThis`.
pub(crate) fn pascal_case(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let words = name.split('_').map(|word| {
        let mut characters = word.chars();
        let first = characters.next().map(|first| first.to_uppercase().to_string());
        first.unwrap_or_default() + characters.as_str()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_dbus() {
        for (rust, dbus) in [
            ("do_this", "DoThis"),
            ("quit", "Quit"),
            ("r#type", "Type"),
            ("get_http2_url", "GetHttp2Url"),
            ("_x", "X"),
        ] {
            assert_eq!(pascal_case(rust), dbus);
        }
    }
}
