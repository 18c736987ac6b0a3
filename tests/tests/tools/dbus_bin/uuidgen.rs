//! `dbus-uuidgen` (tools.md D053).

use std::fs;

use bus_tests::harness::Bus;

use super::on_bus;
use super::transcript::{Case, Tool};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn uuidgen(test: impl FnOnce(&Tool, &Bus)) {
    on_bus("dbus-uuidgen", |tool, bus| {
        for (name, content) in [
            ("good", format!("{ID}\n")),
            ("no-line-end", ID.to_owned()),
            ("upper-case", format!("{}\n", ID.to_ascii_uppercase())),
            ("two-line-ends", format!("{ID}\n\n")),
            ("short", "foo\n".to_owned()),
            ("empty", String::new()),
            ("long", format!("{ID}0\n")),
            ("two", format!("{ID}\n{ID}\n")),
            ("no-digit", "0123456789abcdef0123456789abcdeg\n".to_owned()),
        ] {
            fs::write(bus.dir.join(name), content).unwrap();
        }
        test(tool, bus);
    });
}

#[test]
fn ids_are_made_and_read() {
    uuidgen(|tool, _| {
        assert_eq!(tool.check(&Case::new("")), "GUID\n= 0");
        for file in [
            "good",
            "no-line-end",
            "upper-case",
            "two-line-ends",
            "short",
            "empty",
            "missing",
            "/tmp",
        ] {
            tool.check(&Case::new(&format!("--get={file}")));
        }
        let of_machine = Case::new("--get");
        let raw: Vec<_> = tool.programs().map(|program| program.run_raw(&of_machine)).collect();
        assert_eq!(raw.first(), raw.last());
        tool.check(&Case::new("--get="));
        let ours = "! UUID file 'no-digit' should contain a hex string of length 32, not length 31, with \
                    no other text\n= 1";
        let reason = "dbus-uuidgen takes an id with other letters, and answers another one";
        tool.check(&Case::new("--get=no-digit").differs(reason, ours));
        for file in ["long", "two"] {
            let (code, out, _) = tool.ours.run_raw(&Case::new(&format!("--get={file}")));
            assert_eq!((code, out), (1, Vec::new()), "{file}");
        }
    });
}

#[test]
fn files_are_made_that_are_missing() {
    uuidgen(|tool, bus| {
        for file in ["good", "no-line-end", "upper-case", "two-line-ends", "short", "empty"] {
            tool.check(&Case::new(&format!("--ensure={file}")));
        }
        for program in tool.programs() {
            let new = Case::new("--ensure=new");
            assert_eq!(program.run(&new), "= 0");
            let content = fs::read_to_string(bus.dir.join("new")).unwrap();
            assert_eq!(content.len(), 33, "{content}");
            assert!(content.ends_with('\n'));
            assert_eq!(program.run(&new), "= 0");
            assert_eq!(fs::read_to_string(bus.dir.join("new")).unwrap(), content);
            fs::remove_file(bus.dir.join("new")).unwrap();
        }
        let names = || fs::read_dir(&bus.dir).unwrap().count();
        let before = names();
        for (file, complaint) in
            [("/no/where/x", "Could not create /no/where/x."), ("links", "Could not rename links.")]
        {
            for program in tool.programs() {
                let said = program.run(&Case::new(&format!("--ensure={file}")));
                assert!(said.contains(complaint) && said.ends_with("= 1"), "{said}");
            }
        }
        assert_eq!(names(), before, "nothing is left");
    });
}

/// What is written is cut off, as on a full disk: no file may be longer than nothing.
#[test]
fn a_file_that_cannot_be_written_is_not_left() {
    uuidgen(|tool, bus| {
        let names = || fs::read_dir(&bus.dir).unwrap().count();
        let before = names();
        let script = "trap '' XFSZ; ulimit -f 0; exec dbus-uuidgen --ensure=new";
        let (code, _, errors) = tool.ours.called("sh").run_raw(&Case::new("").with(["-c", script]));
        let errors = String::from_utf8(errors).unwrap();
        assert!(errors.starts_with("Could not create new."), "{errors}");
        assert!(errors.ends_with(": File too large\n"), "{errors}");
        assert_eq!((code, names()), (1, before), "nothing is left");
    });
}

#[test]
fn options_and_their_errors() {
    uuidgen(|tool, _| {
        tool.check_all(
            [
                "--help",
                "-h",
                "foo",
                "-x",
                "--bogus",
                "--get good",
                "--ensure=good --get=good",
                "--get=good --ensure=good",
                "--ensure --get --bogus",
                "--get=good --help",
            ]
            .map(Case::new),
        );
        tool.check_code(&Case::new("--version"));
    });
}
