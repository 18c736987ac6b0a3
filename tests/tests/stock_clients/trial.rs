//! Tests of programs that may not be installed.

use libtest_mimic::{Failed, Trial};

/// A test that is ignored, or fails, when something is missing.
pub(crate) fn trial(
    name: String,
    missing: &Option<String>,
    run: impl Fn() + Send + 'static,
) -> Trial {
    let Some(missing) = missing.clone() else {
        return Trial::test(name, move || {
            run();
            Ok(())
        });
    };
    if std::env::var_os("REQUIRE_STOCK_CLIENTS").is_some() {
        return Trial::test(name, move || Err(Failed::from(format!("{missing} is missing"))));
    }
    Trial::test(name, || Ok(()))
        .with_kind(format!("skipped: {missing} is missing"))
        .with_ignored_flag(true)
}

pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
