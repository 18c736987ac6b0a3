//! The machine's id, which programs ask their peers for (protocol.md A119). A bus can be used without.

use std::io::{self, Read as _};

use libbus::guid::Guid;
use libbus::host::phrase;

use super::report::{Check, Report};
use super::{Case, bounded};

const FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// Longer than any file that holds an id.
const SIZE_MAX: u64 = 256;

pub(super) fn check(case: &Case, report: &mut Report) {
    let read = || FILES.map(read);
    let Some([system, bus]) = bounded(case.patience(), read) else {
        return report.push(Check::unknown("machine id", "a file system does not answer"));
    };
    report.push(judge(&system, &bus));
}

fn read(file: &str) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(SIZE_MAX).read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

fn judge(system: &io::Result<String>, bus: &io::Result<String>) -> Check {
    const NAME: &str = "machine id";
    let [system_file, bus_file] = FILES;
    let is_id = |text: &&String| Guid::parse(text).is_ok();
    match (system, bus) {
        (Ok(system), Ok(bus)) if system == bus && is_id(&system) => {
            Check::ok(NAME, format!("{system} in {system_file} and {bus_file}"))
        }
        (Ok(system), Ok(bus)) if is_id(&system) => {
            Check::wrong(NAME, format!("{system} in {system_file}, but {bus:?} in {bus_file}"))
                .mends([format!("sudo ln -sf {system_file} {bus_file}")])
        }
        (Ok(system), Err(error)) if is_id(&system) => match error.kind() {
            io::ErrorKind::NotFound => Check::ok(NAME, format!("{system} in {system_file}")),
            _ => Check::wrong(NAME, format!("{bus_file}: {}", phrase(error)))
                .mends([format!("sudo ln -sf {system_file} {bus_file}")]),
        },
        (Ok(system), _) => Check::wrong(NAME, format!("{system_file} holds no id: {system:?}"))
            .mends([
                "sudo systemd-machine-id-setup".to_owned(),
                format!("sudo sh -c 'dbus-uuidgen > {system_file}'"),
            ]),
        (Err(_), Ok(bus)) if is_id(&bus) => {
            Check::ok(NAME, format!("{bus} in {bus_file}; there is no {system_file}"))
        }
        (Err(error), _) => Check::wrong(NAME, format!("{system_file}: {}", phrase(error))).mends([
            "sudo systemd-machine-id-setup".to_owned(),
            "sudo dbus-uuidgen --ensure".to_owned(),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::report::Verdict;
    use super::judge;

    #[test]
    fn both_files_hold_the_same_id() {
        let id = || Ok("00112233445566778899aabbccddeeff".to_owned());
        let other = || Ok("ff112233445566778899aabbccddeeff".to_owned());
        let none = || Err(io::Error::from(io::ErrorKind::NotFound));
        let closed = || Err(io::Error::from(io::ErrorKind::PermissionDenied));
        let empty = || Ok(String::new());
        let check = |system, bus, expected| assert_eq!(judge(&system, &bus).verdict, expected);
        check(id(), id(), Verdict::Ok);
        check(id(), none(), Verdict::Ok);
        check(none(), id(), Verdict::Ok);
        check(id(), other(), Verdict::Wrong);
        check(id(), closed(), Verdict::Wrong);
        check(empty(), none(), Verdict::Wrong);
        check(none(), none(), Verdict::Wrong);
        check(none(), empty(), Verdict::Wrong);
    }
}
