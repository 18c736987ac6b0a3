//! Tests of programs that may not be installed, in lists that are known at run time.

use libtest_mimic::{Failed, Trial};

/// A test that is ignored, or fails, when something is missing.
pub fn trial(
    name: impl Into<String>,
    missing: Option<&str>,
    run: impl Fn() + Send + 'static,
) -> Trial {
    let Some(missing) = missing.map(ToOwned::to_owned) else {
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

/// Whether a program is in `$PATH`.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
