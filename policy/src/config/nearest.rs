//! Guesses which word was meant by a misspelt one.

/// More wrong letters than this make it another word.
const DISTANCE_MAX: usize = 2;
/// Longer words are not compared: the comparison costs the product of both lengths.
const WORD_SIZE_MAX: usize = 64;

/// The one of `words` that differs least from `word`, if any is close.
pub(super) fn nearest(word: &str, words: &[&'static str]) -> Option<&'static str> {
    if word.len() > WORD_SIZE_MAX {
        return None;
    }
    let candidates = words.iter().map(|candidate| (distance(word, candidate), *candidate));
    candidates.filter(|(distance, _)| *distance <= DISTANCE_MAX).min().map(|(_, word)| word)
}

/// How many letters must be put in, taken out or replaced to make `left` into `right`.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.bytes().enumerate() {
        let mut diagonal = index;
        let mut previous = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(previous + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let words = ["listen", "limit", "user", "type"];
        let check = |word: &str, expected| assert_eq!(nearest(word, &words), expected, "{word}");
        check("listen", Some("listen"));
        check("lsten", Some("listen"));
        check("lissten", Some("listen"));
        check("usr", Some("user"));
        check("users", Some("user"));
        check("typo", Some("type"));
        check("bees", None);
        check("", None);
        check(&"l".repeat(WORD_SIZE_MAX + 1), None);
    }

    #[test]
    fn counts_the_letters_that_differ() {
        for (left, right, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
