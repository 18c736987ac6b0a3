//! Other people's libraries at the other end, without a bus.
