// What tests that are written once for both styles say of waiting: the blocking one.

macro_rules! wait {
    ($what:expr) => {
        $what
    };
}

macro_rules! run {
    ($what:block) => {
        $what
    };
}
