use std::collections::BTreeMap;

use super::*;
use crate::policy_set::PolicyContext;
use crate::rule::{Action, NamePattern};

/// Files in memory, by path. A content of `None` cannot be read.
pub(super) struct MemoryFiles {
    pub(super) files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    selinux_enabled: bool,
}

impl MemoryFiles {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let entry = |(path, text): &(&str, &str)| (path.into(), Some(text.as_bytes().to_vec()));
        Self { files: files.iter().map(entry).collect(), selinux_enabled: false }
    }
}

impl ConfigFiles for MemoryFiles {
    fn read(&self, path: &Path, _size_max: usize) -> Result<Vec<u8>, FileError> {
        match self.files.get(&self.canonical(path)) {
            Some(Some(text)) => Ok(text.clone()),
            Some(None) => Err(FileError::Other("Permission denied".into())),
            None => Err(FileError::NotFound),
        }
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        if self.files.get(directory) == Some(&None) {
            return Err(FileError::Other("Permission denied".into()));
        }
        let within = self.files.keys().filter(|path| path.parent() == Some(directory));
        let paths: Vec<PathBuf> = within.rev().cloned().collect();
        if paths.is_empty() { Err(FileError::NotFound) } else { Ok(paths) }
    }

    fn selinux_enabled(&self) -> bool {
        self.selinux_enabled
    }

    fn has_user(&self, name: &str) -> bool {
        name == "alice"
    }

    fn has_group(&self, name: &str) -> bool {
        name == "wheel"
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        path.components().filter(|part| part.as_os_str() != ".").collect()
    }
}

const LISTEN: &str = "<listen>unix:tmpdir=/tmp</listen>";

/// Reads `/etc/bus.conf`, which holds `<busconfig>`, `elements` and a `<listen>` on one line.
fn load_elements(elements: &str) -> Loaded {
    let text = format!("<busconfig>{elements}{LISTEN}</busconfig>");
    load(Path::new("/etc/bus.conf"), &MemoryFiles::new(&[("/etc/bus.conf", &text)]))
}

fn config(elements: &str) -> BusConfig {
    let loaded = load_elements(elements);
    assert_eq!(loaded.problems, [], "{elements}");
    loaded.config.unwrap()
}

fn load_files(files: &[(&str, &str)]) -> Loaded {
    load(Path::new("/etc/bus.conf"), &MemoryFiles::new(files))
}

fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(|problem| format!("{:?} {problem}", problem.severity)).collect()
}

// config.md B001
#[test]
fn accepts_every_doctype() {
    let public =
        |name| format!("PUBLIC \"-//freedesktop//DTD {name} Bus Configuration 1.0//EN\"\n");
    let system = "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"";
    let check = |case: &str, head: &str| {
        let text = format!("{head}<busconfig>{LISTEN}</busconfig>\n");
        let loaded = load_files(&[("/etc/bus.conf", &text)]);
        assert_eq!(problems(&loaded), [""; 0], "{case}");
        assert!(loaded.config.is_some(), "{case}");
    };
    check("none", "");
    check("declaration only", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    check("current", &format!("<!DOCTYPE busconfig {}{system}>\n", public("D-Bus")));
    check("older", &format!("<!DOCTYPE busconfig {}{system}>", public("D-BUS")));
    check(
        "comment first",
        &format!("<!-- a -->\n<!DOCTYPE busconfig {}{system}>", public("D-Bus")),
    );
    check("without identifiers", "<!DOCTYPE busconfig>");
    check("processing instruction", "<?editor mode?>");
}

// config.md B008-B013, B014, B015, B016, B017, B018, B019, B020, B021, B022, B025, B026
#[test]
fn reads_every_element() {
    let read = config(
        "<type>other</type><type> session\n</type><user>a</user><user>17</user><fork/><keep_umask/>\
         <syslog></syslog><pidfile>run/pid</pidfile><allow_anonymous/><auth>EXTERNAL</auth>\
         <auth>ANONYMOUS</auth><listen>unix:path=/a</listen><servicedir>services</servicedir>\
         <standard_session_servicedirs/><servicedir>/etc/services</servicedir>\
         <servicedir>/abs</servicedir><standard_system_servicedirs/>\
         <standard_session_servicedirs> </standard_session_servicedirs>\
         <servicehelper>helper</servicehelper><limit name='auth_timeout'>5</limit>\
         <selinux><associate own='a.b' context='x'/><associate own='a.b' context='y'/></selinux>\
         <apparmor mode='required'/>",
    );
    let expected = BusConfig {
        origin: Location { file: Path::new("/etc/bus.conf").into(), line: 1, column: 1 },
        places: read.places.clone(),
        files: vec!["/etc/bus.conf".into()],
        bus_type: Some("session".into()),
        user: Some("17".into()),
        fork: true,
        keep_umask: true,
        syslog: true,
        pidfile: Some("run/pid".into()),
        allow_anonymous: true,
        listen: vec!["unix:path=/a".into(), "unix:tmpdir=/tmp".into()],
        auth: vec!["EXTERNAL".into(), "ANONYMOUS".into()],
        service_dirs: vec![
            ServiceDirectory::Path("/etc/services".into()),
            ServiceDirectory::StandardSession,
            ServiceDirectory::Path("/abs".into()),
            ServiceDirectory::StandardSystem,
        ],
        service_helper: Some("/etc/helper".into()),
        limits: Limits { auth_timeout_ms: 5, ..Limits::default() },
        policies: Vec::new(),
        selinux_contexts: [("a.b".into(), "y".into())].into(),
        apparmor_mode: Some(AppArmorMode::Required),
    };
    assert_eq!(read, expected);
    let column = |place: &Option<Location>| place.as_ref().map(|place| (place.line, place.column));
    assert_eq!(column(&read.places.user), Some((2, 22)), "the second <user>");
    assert_eq!(read.places.listen.len(), read.listen.len());
}

#[test]
fn takes_text_as_xml_means_it() {
    let check = |case: &str, listen: &str, expected: &str| {
        assert_eq!(config(&format!("<listen>{listen}</listen>")).listen[0], expected, "{case}");
    };
    check("entities", "unix:path=/&lt;a&amp;b&gt;&#100;", "unix:path=/<a&b>d");
    check("CDATA", "<![CDATA[unix:path=/<a>]]>", "unix:path=/<a>");
    check("a comment inside", "unix:<!-- x -->path=/a", "unix:path=/a");
    check("white space around", "\n  unix:path=/a b\t", "unix:path=/a b");
}

// config.md B003, B009, B023–B026, B045, B047: every complaint with its place. The text starts at
// column 12.
#[test]
fn refuses_what_is_wrong_with_its_place() {
    let check = |case: &str, elements: &str, expected: &str| {
        let loaded = load_elements(elements);
        assert_eq!(problems(&loaded), [format!("Fatal /etc/bus.conf:{expected}")], "{case}");
        assert_eq!(loaded.config, None, "{case}");
    };
    check(
        "unknown element",
        "\n  <bees/>",
        "2:3: there is no element <bees> in <busconfig>; remove it",
    );
    check(
        "misspelt element",
        "<lsten>x</lsten>",
        "1:12: there is no element <lsten> in <busconfig>; did you mean <listen>?",
    );
    check(
        "element inside text",
        "<user>a<b/></user>",
        "1:19: there is no element <b> in <user>; remove it",
    );
    check(
        "element inside a flag",
        "<fork><b/></fork>",
        "1:18: there is no element <b> in <fork>; remove it",
    );
    check(
        "unknown attribute",
        "<listen carefully='yes'>x</listen>",
        "1:20: <listen> has no attribute \"carefully\"; remove it",
    );
    check(
        "misspelt attribute",
        "<include ignore_mising='yes'>x</include>",
        "1:21: <include> has no attribute \"ignore_mising\"; did you mean \"ignore_missing\"?",
    );
    check("namespace", "<fork xmlns='a'/>", "1:18: <fork> has no attribute \"xmlns\"; remove it");
    check(
        "namespace prefix",
        "<x:fork xmlns:x='a'/>",
        "1:12: <x:fork> has no attribute \"xmlns\"; remove it",
    );
    check(
        "attribute twice",
        "<limit name='a' name='b'>1</limit>",
        "1:28: this is not well-formed XML: Attribute 'name' is redefined",
    );
    check(
        "text in busconfig",
        "\n\n <fork/> moo",
        "3:10: <busconfig> takes no text such as \"moo\"; remove it or put it in a comment",
    );
    check(
        "text in policy",
        "<policy context='default'>a</policy>",
        "1:38: <policy> takes no text such as \"a\"; remove it or put it in a comment",
    );
    check(
        "text in fork",
        "<fork>yes</fork>",
        "1:18: <fork> takes no text such as \"yes\"; remove it or put it in a comment",
    );
    check(
        "empty text",
        "<user> </user>",
        "1:12: <user> is empty; write its value between <user> and </user>",
    );
    check("limit without name", "<limit>5</limit>", "1:12: <limit> needs the attribute name=\"…\"");
    check(
        "limit without value",
        "<limit name='auth_timeout'/>",
        "1:12: <limit> is empty; write its value between <limit> and </limit>",
    );
    check(
        "limit out of range",
        "<limit name='auth_timeout'>2147483648</limit>",
        "1:12: the limit \"2147483648\" is too large; write at most 2147483647",
    );
    check(
        "yes or no",
        "<include if_selinux_enabled='moo'>x</include>",
        "1:21: if_selinux_enabled=\"moo\" is not possible; write \"yes\" or \"no\"",
    );
    check(
        "SELinux root without SELinux",
        "<include selinux_root_relative='yes'>x</include>",
        "1:12: there is no file /etc/selinux/targeted/x; create it, correct its name, or add \
         ignore_missing=\"yes\"",
    );
    check(
        "AppArmor mode",
        "<apparmor mode='plaintive'/>",
        "1:22: mode=\"plaintive\" is not possible; write \"enabled\", \"disabled\" or \"required\"",
    );
    check(
        "association without context",
        "<selinux><associate own='a.b'/></selinux>",
        "1:21: <associate> needs the attribute context=\"…\"",
    );
    check(
        "element in selinux",
        "<selinux><allow own='a.b'/></selinux>",
        "1:21: there is no element <allow> in <selinux>; remove it",
    );
    check(
        "policy for nobody",
        "<policy/>",
        "1:12: <policy> needs exactly one of the attributes context=\"default|mandatory\", user, \
         group, at_console=\"true|false\"",
    );
    check(
        "policy context",
        "<policy context='x'/>",
        "1:20: context=\"x\" is not possible; write \"default\" or \"mandatory\"",
    );
    check(
        "policy at_console",
        "<policy at_console='near'/>",
        "1:20: at_console=\"near\" is not possible; write \"true\" or \"false\"",
    );
    check(
        "element in policy",
        "<policy user='a'><alow own='x'/></policy>",
        "1:29: there is no element <alow> in <policy>; did you mean <allow>?",
    );
    check(
        "a rule, two lines down",
        "<policy context='default'>\n <fork/>\n</policy>",
        "2:2: there is no element <fork> in <policy>; remove it",
    );
}

// Everything that may stand before an element, with a `<` in it where that is possible.
#[test]
fn finds_the_place_behind_any_markup() {
    let check = |case: &str, before: &str, expected: &str| {
        let text = format!("{before}\n <bees/>");
        let loaded = load_text(Path::new("a"), text.as_bytes(), &MemoryFiles::new(&[]));
        assert_eq!(loaded.problems[0].location.to_string(), expected, "{case}");
    };
    let declaration = "<?xml version='1.0'?>";
    check("nothing", "", "a:2:2");
    check("byte order mark", "\u{feff}", "a:2:2");
    check("declaration", declaration, "a:2:2");
    check("comments", "<!-- <a> -->\n<!-- ' > -->", "a:3:2");
    check("processing instruction", "<?a <b> ?>", "a:2:2");
    check("doctype", &format!("{declaration}\n<!DOCTYPE a PUBLIC 'b'\n \"c'\">"), "a:4:2");
    check("doctype after a comment", "<!-- a -->\n<!DOCTYPE a>", "a:3:2");
    let subset = "<!DOCTYPE a [\n<!ENTITY b '<c/>'>\n]>";
    check("doctype with entities", subset, "a:4:2");

    let inside = |before: &str| {
        let text =
            format!("<?xml version='1.0'?><!DOCTYPE a>\n<busconfig>{before}<ä/></busconfig>");
        let loaded = load_text(Path::new("a"), text.as_bytes(), &MemoryFiles::new(&[]));
        loaded.problems[0].location.to_string()
    };
    assert_eq!(inside(""), "a:2:12");
    assert_eq!(inside("<user>&lt;ä</user>"), "a:2:30");
    assert_eq!(inside("<user\n>a<![CDATA[<b>]]></user>"), "a:3:25");
    assert_eq!(inside("<fork/><!-- <fork/> --><fork></fork>"), "a:2:48");
}

// config.md B002, B003, B004
#[test]
fn refuses_what_is_no_configuration() {
    let check = |case: &str, text: &str, expected: &str| {
        let loaded = load_files(&[("/etc/bus.conf", text)]);
        assert_eq!(loaded.config, None, "{case}");
        let [problem] = problems(&loaded).try_into().unwrap();
        assert!(problem.starts_with(&format!("Fatal {expected}")), "{case}: {problem}");
    };
    check("nothing", "", "/etc/bus.conf:1:1: this is not well-formed XML: ");
    check("no XML", "hello", "/etc/bus.conf:1:1: this is not well-formed XML: ");
    check("unclosed", "<busconfig>\n<fork>", "/etc/bus.conf:2:7: this is not well-formed XML: ");
    check(
        "closed by another",
        "<busconfig>\n<fork></user>",
        "/etc/bus.conf:2:13: this is not well-formed XML: Unexpected closing tag",
    );
    check("two roots", "<busconfig/><busconfig/>", "/etc/bus.conf:1:13: this is not well-formed");
    check("another root", "<config/>", "/etc/bus.conf:1:1: the outermost element is <config>; ");
    check(
        "root attribute",
        "<busconfig a='b'/>",
        "/etc/bus.conf:1:12: <busconfig> has no attribute",
    );
    check(
        "no listen",
        "\n<busconfig><fork/></busconfig>",
        "/etc/bus.conf:2:1: Configuration file needs one or more <listen> elements giving \
         addresses; ",
    );
    let deep = format!("{}{}", "<busconfig>".repeat(9), "</busconfig>".repeat(9));
    check("nine levels", &deep, "/etc/bus.conf:1:89: too many elements inside each other");
    let deep = format!("{}{}", "<busconfig>".repeat(8), "</busconfig>".repeat(8));
    check("eight levels", &deep, "/etc/bus.conf:1:12: there is no element <busconfig> in <busconf");
}

#[test]
fn refuses_text_that_is_not_utf8() {
    let text = b"<busconfig>\n<user>\xff</user></busconfig>";
    let loaded = load_text(Path::new("built-in"), text, &MemoryFiles::new(&[]));
    assert!(matches!(loaded.problems[0].fault, Fault::NotWellFormed(_)), "{loaded:?}");
    assert_eq!(loaded.problems[0].location.to_string(), "built-in:2:7");
}

/// Whatever files are called, one problem is one line.
#[test]
fn a_problem_stays_on_one_line() {
    const NAMED: &str = "/etc/a.d/x\nerror: y\u{1b}[2J.conf";
    const SHOWN: &str = "/etc/a.d/x\\nerror: y\\u{1b}[2J.conf";
    let text = format!(
        "<busconfig>{LISTEN}<includedir>/etc/a.d</includedir>
         <include ignore_missing='yes'>{}</include></busconfig>",
        "/etc/a.d/x&#xa;y"
    );
    let loop_file = "<busconfig><include>/etc/a.d/x&#xa;y</include></busconfig>";
    let limit = "<limit name='auth_timeout'>99999999999999999999&#xa;</limit>";
    let bad = format!("<busconfig>{limit}<include>a&#xa;b</include></busconfig>");
    let mut files = MemoryFiles::new(&[("/etc/bus.conf", &text), (NAMED, &bad)]);
    files.files.insert("/etc/a.d/x\ny".into(), Some(loop_file.as_bytes().to_vec()));
    let lines = problems(&load(Path::new("/etc/bus.conf"), &files));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(char::is_control)), "{lines:?}");
    assert!(lines[0].starts_with(&format!("Ignored {SHOWN}:1:12: the limit")), "{lines:?}");
    assert!(lines[1].contains("there is no file /etc/a.d/a\\nb; create it"), "{lines:?}");
    assert!(lines[2].starts_with("Fatal /etc/a.d/x\\ny:1:12: /etc/a.d/x\\ny includes itself"));
}

#[test]
fn refuses_a_file_that_is_not_there() {
    let check = |case: &str, files: &MemoryFiles, expected: &str| {
        let loaded = load(Path::new("/etc/bus.conf"), files);
        assert_eq!(problems(&loaded), [format!("Fatal /etc/bus.conf: {expected}")], "{case}");
    };
    let mut files = MemoryFiles::new(&[]);
    let missing = "there is no file /etc/bus.conf; create it, or correct its name";
    check("missing", &files, missing);
    files.files.insert("/etc/bus.conf".into(), None);
    let unreadable =
        "/etc/bus.conf cannot be read: Permission denied; check what it is and its permissions";
    check("unreadable", &files, unreadable);
}

#[test]
fn warns_of_what_has_no_effect() {
    let check = |case: &str, elements: &str, expected: &str| {
        let loaded = load_elements(elements);
        assert!(loaded.config.is_some(), "{case}");
        let [problem] = problems(&loaded).try_into().unwrap();
        assert!(problem.starts_with("Warning /etc/bus.conf:1:"), "{case}: {problem}");
        assert!(problem.contains(expected), "{case}: {problem}");
    };
    check("mechanism", "<auth>EXTRENAL</auth>", "no client can use the mechanism \"EXTRENAL\"");
    check("limit", "<limit name='auth_timeout'>5 s</limit>", "after the limit 5 is not read");
    check(
        "associate",
        "<selinux><associate own='*' context='a'/></selinux>",
        "own=\"*\" stands for",
    );
    check(
        "glob",
        "<policy user='a'><allow own='a.*'/></policy>",
        "matches only these very letters",
    );
    check("console", "<policy at_console='true'><allow user='a'/></policy>", "who may connect");
}

// config.md B009
#[test]
fn includes_files_where_they_stand() {
    let loaded = load_files(&[
        (
            "/etc/bus.conf",
            "<busconfig><type>a</type><user>a</user><listen>first</listen>\
             <limit name='auth_timeout'>1</limit><limit name='max_names_per_connection'>1</limit>\
             <servicedir>/s</servicedir><pidfile>/a</pidfile>\
             <include>sub/one.conf</include><include ignore_missing='yes'>none.conf</include>\
             <include if_selinux_enabled='yes'>none.conf</include>\
             <user>b</user><listen>last</listen></busconfig>",
        ),
        (
            "/etc/sub/one.conf",
            "<busconfig><type>b</type><user>c</user><listen>middle</listen><syslog/><fork/>\
             <limit name='auth_timeout'>2</limit><servicedir>t</servicedir><servicedir>/s</servicedir>\
             <keep_umask/><allow_anonymous/><apparmor/><auth>EXTERNAL</auth>\
             <policy context='default'><allow own='*'/></policy><include>two.conf</include>\
             <servicehelper>helper</servicehelper></busconfig>",
        ),
        (
            "/etc/sub/two.conf",
            "<busconfig><limit name='max_connections_per_user'>3</limit></busconfig>",
        ),
    ]);
    assert_eq!(problems(&loaded), [""; 0]);
    let config = loaded.config.unwrap();
    assert_eq!(config.bus_type.as_deref(), Some("b"));
    assert_eq!(config.user.as_deref(), Some("b"));
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/a")));
    assert_eq!(config.listen, ["first", "middle", "last"]);
    assert_eq!(config.auth, ["EXTERNAL"]);
    let directories = ["/s", "/etc/sub/t"].map(|path| ServiceDirectory::Path(path.into()));
    assert_eq!(config.service_dirs, directories);
    assert_eq!(config.service_helper, Some("/etc/sub/helper".into()));
    assert_eq!(config.apparmor_mode, Some(AppArmorMode::Enabled));
    assert!(config.syslog && config.fork && config.keep_umask && config.allow_anonymous);
    let limits = Limits {
        auth_timeout_ms: 2,
        names_per_connection_max: 1,
        connections_per_user_max: 3,
        ..Limits::default()
    };
    assert_eq!(config.limits, limits);
    assert_eq!(loaded.watched_directories, ["/s", "/etc/sub/t"].map(PathBuf::from));
    let [block] = config.policies.try_into().unwrap();
    assert_eq!(block.context, PolicyContext::Default);
    assert_eq!(block.rules[0].action, Action::Own(NamePattern::Any));
    assert_eq!(block.rules[0].location.file.as_ref(), Path::new("/etc/sub/one.conf"));
}

// config.md B005, B009
#[test]
fn refuses_a_bad_include() {
    let check = |case: &str, include: &str, expected: &str| {
        let text = format!("<busconfig>{LISTEN}\n{include}</busconfig>");
        let inner = "<busconfig>\n<include>./bad.conf</include></busconfig>";
        let files =
            [("/etc/bus.conf", text.as_str()), ("/etc/bad.conf", "<b/>"), ("/etc/in", inner)];
        let loaded = load_files(&files);
        assert_eq!(loaded.config, None, "{case}");
        let [problem] = problems(&loaded).try_into().unwrap();
        assert!(problem.starts_with(&format!("Fatal {expected}")), "{case}: {problem}");
    };
    let include = |path: &str| format!("<include>{path}</include>");
    check("missing", &include("x"), "/etc/bus.conf:2:1: there is no file /etc/x; ");
    check("wrong", &include("bad.conf"), "/etc/bad.conf:1:1: the outermost element is <b>");
    check("wrong inside", &include("in"), "/etc/./bad.conf:1:1: the outermost element is <b>");
    check("itself", &include("./bus.conf"), "/etc/bus.conf:2:1: /etc/./bus.conf includes itself");
}

#[test]
fn finds_cycles_and_not_repetitions() {
    let circle = [
        ("/etc/bus.conf", "<busconfig><include>b</include></busconfig>"),
        ("/etc/b", "<busconfig><include>c</include></busconfig>"),
        ("/etc/c", "<busconfig>\n<include>b</include></busconfig>"),
    ];
    let circular = |path: &str| Fault::CircularInclude(path.into());
    let loaded = load_files(&circle);
    assert_eq!(loaded.problems[0].fault, circular("/etc/b"));
    assert_eq!(loaded.problems[0].location.to_string(), "/etc/c:2:1");

    let twice = "<busconfig><include>b</include><include>b</include></busconfig>";
    let inner = format!("<busconfig>{LISTEN}</busconfig>");
    let loaded = load_files(&[("/etc/bus.conf", twice), ("/etc/b", &inner)]);
    assert_eq!(loaded.config.unwrap().listen.len(), 2);

    let text = b"<busconfig><include>bus.conf</include></busconfig>";
    let loaded = load_text(Path::new("/etc/bus.conf"), text, &MemoryFiles::new(&[]));
    assert_eq!(loaded.problems[0].fault, Fault::MissingInclude("/etc/bus.conf".into()));
}

/// A file that its own directory is included by is in force once, and nothing is lost.
#[test]
fn a_file_may_include_the_directory_that_it_is_in() {
    let loaded = load_files(&[
        ("/etc/bus.conf", &format!("<busconfig>{LISTEN}<includedir>d</includedir></busconfig>")),
        ("/etc/d/a.conf", "<busconfig><user>a</user>\n<includedir>/etc/d</includedir></busconfig>"),
        ("/etc/d/b.conf", "<busconfig><user>b</user></busconfig>"),
    ]);
    let [problem] = problems(&loaded).try_into().unwrap();
    assert!(
        problem.starts_with("Warning /etc/d/a.conf:2:1: /etc/d/a.conf includes itself"),
        "{problem}"
    );
    let config = loaded.config.clone().unwrap();
    assert_eq!(config.user.as_deref(), Some("b"));
    assert!(loaded.lost_files(&config).is_empty());
}

// config.md B005
#[test]
fn what_is_sound_in_a_wrong_file_can_still_be_looked_at() {
    let loaded = load_elements(
        "<user>a</user><colour/><policy user='b'><allow own='a.b'/><allow/></policy>",
    );
    assert_eq!((loaded.config, loaded.problems.len()), (None, 2));
    let remains = loaded.remains.unwrap();
    assert_eq!((remains.user.as_deref(), remains.policies[0].rules.len()), (Some("a"), 1));
    let silent = load_files(&[("/etc/bus.conf", "<busconfig><user>a</user></busconfig>")]);
    assert_eq!(silent.remains.unwrap().user.as_deref(), Some("a"));
    assert_eq!(load_files(&[("/etc/bus.conf", "<busconfig>")]).remains, None, "not even XML");
}

// config.md B005, B010, B105
#[test]
fn leaves_out_bad_files_of_a_directory() {
    let text = format!(
        "<busconfig>{LISTEN}<includedir>d</includedir><includedir>none</includedir></busconfig>"
    );
    let with_user =
        |user| format!("<busconfig><user>{user}</user><limit name='auth_timeout'>1</limit>");
    let mut files = MemoryFiles::new(&[
        ("/etc/bus.conf", &text),
        ("/etc/d/a.conf", &format!("{}</busconfig>", with_user("a"))),
        ("/etc/d/b.conf", &format!("{}<bees/></busconfig>", with_user("b"))),
        ("/etc/d/c.conf", &format!("{}<include>x</include></busconfig>", with_user("c"))),
        ("/etc/d/d.conf", "<busconfig><include>../bus.conf</include></busconfig>"),
        ("/etc/d/f.conf~", "no configuration"),
        ("/etc/d/z.conf", "<busconfig><fork/></busconfig>"),
    ]);
    files.files.insert("/etc/d/e.conf".into(), None);
    let loaded = load(Path::new("/etc/bus.conf"), &files);
    let config = loaded.config.clone().unwrap();
    assert_eq!(config.user.as_deref(), Some("a"));
    assert!(config.fork);
    assert_eq!(config.listen.len(), 1);
    assert_eq!(loaded.watched_directories, ["/etc/d", "/etc/none"].map(PathBuf::from));
    let left_out: Vec<(Severity, &Fault)> =
        loaded.problems.iter().map(|problem| (problem.severity, &problem.fault)).collect();
    assert!(
        matches!(
            left_out.as_slice(),
            [
                (Severity::Ignored, Fault::UnexpectedElement { .. }),
                (Severity::Ignored, Fault::MissingInclude(_)),
                (Severity::Ignored, Fault::MissingInclude(_)),
                (Severity::Ignored, Fault::Unreadable { .. }),
            ]
        ),
        "{left_out:?}"
    );
    let first = loaded.problems[0].to_string();
    assert!(first.starts_with("/etc/d/b.conf:1:") && first.ends_with("; this file is left out"));
}

/// One that is missing has nothing to say; one that cannot be read may have (config.md B010).
#[test]
fn a_directory_that_cannot_be_read_is_fatal_to_the_file_that_names_it() {
    let text =
        format!("<busconfig>{LISTEN}<includedir>closed</includedir><user>a</user></busconfig>");
    let mut files = MemoryFiles::new(&[("/etc/bus.conf", &text)]);
    files.files.insert("/etc/closed".into(), None);
    let loaded = load(Path::new("/etc/bus.conf"), &files);
    assert_eq!(loaded.config, None);
    let told = loaded.problems[0].to_string();
    assert!(told.starts_with("/etc/bus.conf:1:") && told.contains("/etc/closed"), "{told}");

    let text = format!("<busconfig>{LISTEN}<includedir>d</includedir><user>a</user></busconfig>");
    let names = "<busconfig><includedir>../closed</includedir><user>b</user></busconfig>";
    let mut files = MemoryFiles::new(&[("/etc/bus.conf", &text), ("/etc/d/a.conf", names)]);
    files.files.insert("/etc/d/../closed".into(), None);
    files.files.insert("/etc/closed".into(), None);
    let loaded = load(Path::new("/etc/bus.conf"), &files);
    assert_eq!(loaded.config.unwrap().user.as_deref(), Some("a"));
    assert_eq!(loaded.problems[0].severity, Severity::Ignored);
}

// config.md B009, B114
#[test]
fn includes_from_the_selinux_root() {
    const RELATIVE: &str = "selinux_root_relative='yes'";
    const IF_ENABLED: &str = "if_selinux_enabled='yes'";
    let contexts = "<busconfig><user>selinux</user></busconfig>";
    let check = |attributes: &str, file: &str, expected: [Result<Option<&str>, ()>; 2]| {
        let include = format!("<include {attributes}>{file}</include>");
        let text = format!("<busconfig>{LISTEN}{include}</busconfig>");
        let mut files = MemoryFiles::new(&[
            ("/etc/bus.conf", &text),
            ("/etc/selinux/targeted/contexts/x", contexts),
            ("/etc/selinux/targeted/bad", "<buscomfig/>"),
        ]);
        for (is_enabled, expected) in [false, true].into_iter().zip(expected) {
            files.selinux_enabled = is_enabled;
            let loaded = load(Path::new("/etc/bus.conf"), &files);
            let user = loaded.config.as_ref().map(|config| config.user.as_deref()).ok_or(());
            assert_eq!(user, expected, "{include} {is_enabled}: {:?}", problems(&loaded));
        }
    };
    let both = format!("{RELATIVE} {IF_ENABLED}");
    let all = format!("{both} ignore_missing='yes'");
    let (read, not_read, wrong) = (Ok(Some("selinux")), Ok(None), Err(()));
    check(&both, "contexts/x", [not_read, read]);
    check(&all, "contexts/x", [not_read, read]);
    // Whatever the file is, it is not looked at.
    for file in ["bad", "/etc/bus.conf"] {
        check(&all, file, [not_read, wrong]);
    }
    check(&all, "missing", [not_read, not_read]);
    check(&both, "missing", [not_read, wrong]);
    // (ref) the root is there without SELinux, too.
    check(RELATIVE, "contexts/x", [read, read]);
    check(RELATIVE, "missing", [wrong, wrong]);
    check(&format!("{RELATIVE} ignore_missing='yes'"), "missing", [not_read, not_read]);
}

#[test]
fn bounds_what_is_read() {
    let chain = |length: usize| {
        let mut files = MemoryFiles::new(&[]);
        for index in 0..length {
            let next = match index + 1 < length {
                true => format!("<include>{}</include>", index + 1),
                false => LISTEN.to_owned(),
            };
            let text = format!("<busconfig>{next}</busconfig>");
            files.files.insert(format!("/{index}").into(), Some(text.into_bytes()));
        }
        load(Path::new("/0"), &files).problems.first().map(|problem| problem.fault.clone())
    };
    assert_eq!(chain(INCLUDE_DEPTH_MAX), None);
    assert_eq!(chain(INCLUDE_DEPTH_MAX + 1), Some(Fault::IncludedTooDeeply));

    let many = |count: usize| {
        let text =
            format!("<busconfig>{LISTEN}{}</busconfig>", "<include>b</include>".repeat(count));
        let loaded = load_files(&[("/etc/bus.conf", &text), ("/etc/b", "<busconfig/>")]);
        loaded.problems.first().map(|problem| problem.fault.clone())
    };
    assert_eq!(many(FILE_COUNT_MAX - 1), None);
    assert_eq!(many(FILE_COUNT_MAX), Some(Fault::TooManyFiles));

    let large = |size: usize| {
        let inner = "<busconfig/>";
        let mut text = format!("<busconfig>{LISTEN}<include>b</include></busconfig>");
        text.push_str(&" ".repeat(size - inner.len() - text.len()));
        let loaded = load_files(&[("/etc/bus.conf", &text), ("/etc/b", inner)]);
        loaded.problems.first().map(|problem| problem.fault.clone())
    };
    assert_eq!(large(CONFIG_SIZE_MAX), None);
    assert_eq!(large(CONFIG_SIZE_MAX + 1), Some(Fault::TooLarge));
}

/// A file that is left out takes no room from those after it.
#[test]
fn a_large_file_of_a_directory_leaves_the_others_in() {
    let top = format!("<busconfig>{LISTEN}<includedir>d</includedir></busconfig>");
    let large = " ".repeat(CONFIG_SIZE_MAX);
    let good = "<busconfig><type>good</type></busconfig>";
    let loaded = load_files(&[
        ("/etc/bus.conf", &top),
        ("/etc/d/1.conf", &large),
        ("/etc/d/2.conf", &large),
        ("/etc/d/3.conf", good),
    ]);
    assert_eq!(loaded.config.unwrap().bus_type.as_deref(), Some("good"));
    let places: Vec<_> = loaded.problems.iter().map(|one| one.location.to_string()).collect();
    assert_eq!(loaded.problems.len(), 2, "{places:?}");
    assert!(places[0].contains("1.conf") && places[1].contains("2.conf"), "{places:?}");
}

// config.md B106, B107
#[test]
fn reloads_what_a_running_bus_can_change() {
    let old = config("<type>a</type><user>a</user><auth>EXTERNAL</auth>");
    let new = config(
        "<type>b</type><user>b</user><fork/><keep_umask/><syslog/><pidfile>/p</pidfile>\
         <allow_anonymous/><listen>x</listen><auth>ANONYMOUS</auth><apparmor mode='disabled'/>\
         <servicedir>/s</servicedir><servicehelper>/h</servicehelper>\
         <limit name='auth_timeout'>1</limit><policy user='a'/>\
         <selinux><associate own='a.b' context='c'/></selinux>",
    );
    let taken_over = BusConfig {
        service_dirs: new.service_dirs.clone(),
        service_helper: new.service_helper.clone(),
        limits: new.limits.clone(),
        policies: new.policies.clone(),
        selinux_contexts: new.selinux_contexts.clone(),
        ..old.clone()
    };
    let reloaded = reload(&old, new);
    assert_eq!(reloaded.config, taken_over);
    let postponed = [
        "type",
        "user",
        "fork",
        "keep_umask",
        "syslog",
        "pidfile",
        "allow_anonymous",
        "listen",
        "auth",
        "apparmor",
    ];
    assert_eq!(reloaded.postponed, postponed);
    assert_eq!(reload(&old, old.clone()), Reload { config: old, postponed: Vec::new() });
}

/// Whoever mends a file learns all that is wrong in it at once.
#[test]
fn all_problems_of_a_wrong_file_are_told() {
    let wrong = "<busconfig>\n<listen>unix:path=/x</listen>\n<frok/>\n\
                 <limit name='auth_timeout'>many</limit>\n<policy context='default'>\n\
                 <allow own='a.b' send_member='C'/>\n<deny colour='red'/>\n</policy>\n</busconfig>";
    let lines = |loaded: &Loaded, severity: Severity| {
        let told = loaded.problems.iter().filter(|problem| problem.severity == severity);
        told.map(|problem| problem.location.line).collect::<Vec<_>>()
    };
    let loaded = load_files(&[("/etc/bus.conf", wrong)]);
    assert_eq!(lines(&loaded, Severity::Fatal), [3, 4, 6, 7], "{:?}", loaded.problems);
    assert_eq!(loaded.config, None);
    let top = format!("<busconfig>{LISTEN}<includedir>d</includedir></busconfig>");
    let good = "<busconfig><type>good</type></busconfig>";
    let loaded =
        load_files(&[("/etc/bus.conf", &top), ("/etc/d/1.conf", wrong), ("/etc/d/2.conf", good)]);
    assert_eq!(lines(&loaded, Severity::Ignored), [3, 4, 6, 7], "{:?}", loaded.problems);
    assert_eq!(loaded.config.unwrap().bus_type.as_deref(), Some("good"));
}

/// Neither stray text nor a context that does not exist hides what else is wrong in a block.
#[test]
fn everything_wrong_in_a_block_is_told() {
    let loaded = load_elements(
        "\n<policy context='defalt'>text\n<allow own='a.b' foo='1'/>\n</policy>more\n\
         <limit name='foo'>5</limit>",
    );
    let mut lines: Vec<u64> = loaded.problems.iter().map(|one| one.location.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 2, 3, 4, 5], "{:?}", problems(&loaded));
}

// config.md B048, B071
#[test]
fn a_connect_rule_of_a_block_for_nobody_is_passed_over() {
    let check = |block: &str, rule: &str, expected: Option<Severity>| {
        let loaded = load_elements(&format!("<policy {block}><{rule}/></policy>"));
        let severities: Vec<Severity> = loaded.problems.iter().map(|one| one.severity).collect();
        assert_eq!(
            severities,
            Vec::from_iter(expected),
            "{block}: {rule}: {:?}",
            problems(&loaded)
        );
        assert!(loaded.problems.iter().all(|one| one.fault == RuleError::ConnectNotGlobal.into()));
        assert_eq!(loaded.config.is_none(), expected == Some(Severity::Fatal), "{block}: {rule}");
    };
    let (wrong, nothing) = (Some(Severity::Fatal), Some(Severity::Warning));
    for (somebody, nobody) in [("user='alice'", "user='nosuch'"), ("group='wheel'", "group='no'")] {
        for rule in ["allow user='*'", "deny group='*'", "deny user='alice'", "allow group='wheel'"]
        {
            check(somebody, rule, wrong);
            check(nobody, rule, nothing);
        }
        check(somebody, "allow user='nosuch'", nothing);
        check(somebody, "deny group='no'", nothing);
    }
    check("at_console='false'", "allow user='alice'", nothing);
    check("context='mandatory'", "allow user='nosuch'", None);
}

#[test]
fn how_much_more_is_wrong_is_told() {
    let wrong =
        |count: usize| format!("<busconfig>{LISTEN}{}</busconfig>", "<frok/>".repeat(count));
    let check = |count: usize, expected: Option<&str>| {
        let text = wrong(count);
        let loaded = load_files(&[("/etc/bus.conf", &text)]);
        let found = problems(&loaded);
        let last = found.last().filter(|last| !last.contains("no element <frok>"));
        assert_eq!(found.len(), count.min(1001) + usize::from(last.is_some()));
        let expected = expected.map(|text| format!("Fatal /etc/bus.conf: {text}"));
        assert_eq!(last, expected.as_ref(), "{count}");
    };
    let rest = "wrong here and in what this includes; correct the others first";
    check(1001, None);
    check(1002, Some(&format!("1 more thing is {rest}")));
    check(1500, Some(&format!("499 more things are {rest}")));
    // Each file that is left out is another one.
    let top = format!("<busconfig>{LISTEN}<includedir>d</includedir></busconfig>");
    let (much, little) = (wrong(1003), wrong(1));
    let files =
        [("/etc/bus.conf", top.as_str()), ("/etc/d/1.conf", &much), ("/etc/d/2.conf", &little)];
    let found = problems(&load_files(&files));
    assert_eq!(found.len(), 1001 + 1 + 1);
    let expected =
        format!("Ignored /etc/d/1.conf: 2 more things are {rest}; this file is left out");
    assert_eq!(found[1001], expected);
    assert!(found[1002].contains("/etc/d/2.conf:1:"), "{}", found[1002]);
}

/// Each wrong attribute, and a value of one where it stands.
#[test]
fn attributes_and_texts_are_told_where_they_stand() {
    let check = |case: &str, elements: &str, expected: &[&str]| {
        let loaded = load_elements(&format!("\n{elements}"));
        let found = problems(&loaded);
        assert_eq!(found.len(), expected.len(), "{case}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(&format!("/etc/bus.conf:{expected}")), "{case}: {found}");
        }
    };
    let has_no = |place: &str, name: &str| format!("{place}: <allow> has no attribute \"{name}\"");
    let allow = |rule: &str| format!("<policy context='default'>\n<{rule}/></policy>");
    check(
        "several",
        &allow("allow\n ä='>' own='a.b'\tone = \"'\"\n\n  two\n=\n'='"),
        &[&has_no("4:2", "ä"), &has_no("4:18", "one"), &has_no("6:3", "two")],
    );
    check("of a fork", "<fork a=''  b='' ></fork>", &["2:7: <fork> has", "2:13: <fork> has"]);
    check("a type", &allow("deny own='' send_type='x'"), &["3:1: own, own_prefix"]);
    check("a type", &allow("deny  send_type='x'"), &["3:8: there is no message type"]);
    check("a boolean", &allow("deny send_type='error' eavesdrop='x'"), &["3:25: eavesdrop="]);
    check("a number", &allow("deny send_type='*' max_fds='x'"), &["3:21: max_fds="]);
    check("a pattern", &allow("deny send_type='error' send_path='/*'"), &["3:25: send_path="]);
    let text = |place: &str| format!("{place}: <policy> takes no text such as");
    let policy = |inside: &str| format!("<policy context='default'>{inside}</policy>");
    check("behind a rule", &policy("\n<deny own='a.b'/> x <deny own='a'/>"), &[&text("3:19")]);
    check("behind its end", &policy("\n<deny own='a.b'> </deny>\n x"), &[&text("4:2")]);
    check("behind a comment", &policy("\n<!-- </x> -->\n<?y </x> ?> x"), &[&text("4:13")]);
    check("in CDATA", &policy("\n<![CDATA[ <x> ]]>"), &[&text("3:11")]);
    check("as an entity", &policy("\n&lt;"), &[&text("3:1")]);
    check(
        "behind a text that belongs there",
        "<type>a<!-- </type> --><![CDATA[</type>]]></type>\nx",
        &["3:1: <busconfig> takes no text"],
    );
}

/// The XML reader would take `&n;` for text: what is denied would be another name, and nobody would know.
#[test]
fn entities_made_of_others_are_refused_where_they_stand() {
    for (declared, fault) in [
        ("<!ENTITY o 'org.secret'>\n<!ENTITY n '&o;.Name'>", Fault::EntityInEntity),
        ("\n<!ENTITY n '&#38;o;'>", Fault::EntityInEntity),
        ("\n<!ENTITY % n 'x'>", Fault::EntityInEntity),
        ("\n<!ATTLIST deny own NMTOKEN #IMPLIED>", Fault::DeclaredAttributes),
    ] {
        let text =
            format!("<!DOCTYPE busconfig [{declared}]><busconfig><type>x</type></busconfig>");
        let loaded = load_files(&[("/etc/bus.conf", &text)]);
        let [problem] = &loaded.problems[..] else { panic!("{declared}: {loaded:?}") };
        assert_eq!((&problem.fault, problem.location.line), (&fault, 2), "{declared}");
        assert!(loaded.config.is_none());
    }
    let plain = "<!DOCTYPE busconfig [<!-- it's <!ENTITY n '&o;'> --><!ENTITY t 'session'>]>\
                 <busconfig><type>&t;</type><listen>unix:tmpdir=/tmp</listen></busconfig>";
    assert_eq!(load_files(&[("/etc/bus.conf", plain)]).problems, []);
}

/// The table of elements and what is read agree: each of them has its place, and takes no other attribute.
#[test]
fn every_element_of_the_table_is_read_where_it_stands() {
    for form in ELEMENTS.iter().filter(|form| form.parent != Some("buslimits")) {
        let Some(parent) = form.parent else { continue };
        let element = |attribute: &str| format!("<{}{attribute}/>", form.name);
        let within = |element: &str| match parent {
            "busconfig" => element.to_owned(),
            "policy" => format!("<policy context='default'>{element}</policy>"),
            parent => format!("<{parent}>{element}</{parent}>"),
        };
        let faults = |element: &str| {
            let problems = load_elements(&within(element)).problems;
            problems.into_iter().map(|problem| problem.fault).collect::<Vec<_>>()
        };
        let is_unexpected = |fault: &Fault| {
            matches!(fault, Fault::UnexpectedElement { .. } | Fault::UnexpectedAttribute { .. })
        };
        assert!(!faults(&element("")).iter().any(is_unexpected), "<{}>", form.name);
        for attribute in form.attributes {
            let known = faults(&element(&format!(" {attribute}='x'")));
            assert!(!known.iter().any(is_unexpected), "<{} {attribute}>", form.name);
        }
        assert!(faults(&element(" bees='x'")).iter().any(is_unexpected), "<{}>", form.name);
    }
}
