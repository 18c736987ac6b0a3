//! What a bus calls this program, which another bus may call otherwise.

use std::ops::Deref;
use std::sync::OnceLock;

/// The names that were asked for, each once: a name that was told may be held for as long as the connection, also
/// when it is another one by now. A program has as many as it asked for after losses of its connection.
#[derive(Debug, Default)]
pub(super) struct UniqueNames(OnceLock<Box<(Box<str>, UniqueNames)>>);

impl UniqueNames {
    /// The name that was asked for last for the first time.
    pub(super) fn last(&self) -> Option<&str> {
        let (mut place, mut last) = (self, None);
        while let Some(known) = place.0.get() {
            (place, last) = (&known.1, Some(&*known.0));
        }
        last
    }

    /// This name, held here.
    pub(super) fn keep(&self, name: &str) -> &str {
        let mut place = self;
        loop {
            let (known, next) =
                place.0.get_or_init(|| Box::new((name.into(), Self::default()))).deref();
            if **known == *name {
                return known;
            }
            place = next;
        }
    }
}

impl Drop for UniqueNames {
    /// One after the other, however many there are.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut name) = next {
            next = name.1.0.take();
        }
    }
}
