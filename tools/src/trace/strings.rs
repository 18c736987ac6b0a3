//! Texts that come again and again, each held once.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{CUT_MARK, TEXT_SIZE_MAX, TOTAL_SIZE_MAX};

/// Texts by number; 0 is none.
#[derive(Debug)]
pub(super) struct Strings {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    size_left: usize,
}

impl Default for Strings {
    fn default() -> Self {
        let texts = vec![String::new()];
        let numbers = HashMap::from([(String::new(), 0)]);
        Self { texts, numbers, size_left: TOTAL_SIZE_MAX }
    }
}

impl Strings {
    /// The number of a text; that of none where there is no room for another one.
    pub(super) fn id(&mut self, text: &str) -> u32 {
        let shown = match text.len() > TEXT_SIZE_MAX {
            true => Cow::Owned(format!("{}{CUT_MARK}", beginning(text, TEXT_SIZE_MAX))),
            false => Cow::Borrowed(text),
        };
        if let Some(number) = self.numbers.get(&*shown) {
            return *number;
        }
        let Some(left) = self.size_left.checked_sub(shown.len()) else {
            self.size_left = 0;
            return 0;
        };
        self.size_left = left;
        let number = self.texts.len() as u32;
        let shown = shown.into_owned();
        self.texts.push(shown.clone());
        self.numbers.insert(shown, number);
        number
    }

    /// Whether some text found no room.
    pub(super) const fn is_full(&self) -> bool {
        self.size_left == 0
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// The beginning of a text, at most so many bytes of whole characters.
pub(super) fn beginning(text: &str, size_max: usize) -> &str {
    let ends = (0..=size_max.min(text.len())).rev();
    ends.into_iter().find_map(|end| text.get(..end)).unwrap_or_default()
}
