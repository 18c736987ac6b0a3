//! Policies for a bus without configuration files.

use std::path::Path;
use std::sync::Arc;

use bus_policy::config::NoFiles;
use bus_policy::subject::NumbersOnly;
use bus_policy::{PolicySet, load_text};

/// What a configuration with these `<policy>` elements permits.
pub fn policies(elements: &str) -> Arc<PolicySet> {
    let text = format!("<busconfig><listen>unix:path=/x</listen>{elements}</busconfig>");
    let loaded = load_text(Path::new("bus.conf"), text.as_bytes(), &NoFiles);
    assert_eq!(loaded.problems, [], "{elements}");
    let config = loaded.config.expect("no fatal problem");
    let (set, problems) = PolicySet::new(&config, &NumbersOnly);
    assert_eq!(problems, [], "{elements}");
    Arc::new(set)
}

/// What session.conf permits, to every user.
pub fn session_policies() -> Arc<PolicySet> {
    policies(
        "<policy context='default'><allow user='*'/>\
         <allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>\
         <allow own='*'/></policy>",
    )
}
