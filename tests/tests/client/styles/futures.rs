// What tests that are written once for both styles say of waiting: the one with futures.

macro_rules! wait {
    ($what:expr) => {
        $what.await
    };
}

macro_rules! run {
    ($what:block) => {
        futures_lite::future::block_on(async { $what })
    };
}
