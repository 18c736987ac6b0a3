//! How many there are, and how many there ever were at once.

/// A number of things held, with its highest value so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::bus) struct Counter {
    pub(in crate::bus) count: u32,
    pub(in crate::bus) peak: u32,
}

impl Counter {
    /// One more.
    pub(in crate::bus) fn increment(&mut self) {
        self.count = self.count.saturating_add(1);
        self.peak = self.peak.max(self.count);
    }

    /// `count` less.
    pub(in crate::bus) fn subtract(&mut self, count: u32) {
        self.count = self.count.saturating_sub(count);
    }
}
