use super::*;

const NOW_S: u64 = 1_000_000;

/// A keyring with a cookie of each age in seconds; their ids count from 0.
fn keyring(ages_s: &[i64]) -> Keyring {
    let created = |age: &i64| NOW_S.checked_add_signed(-age).unwrap();
    let lines = ages_s.iter().enumerate().map(|(id, age)| format!("{id} {} ab\n", created(age)));
    Keyring::parse(lines.collect::<String>().as_bytes())
}

fn ids(keyring: &Keyring) -> Vec<u32> {
    keyring.cookies.iter().map(Cookie::id).collect()
}

#[test]
fn contexts_are_file_names() {
    // protocol.md A092
    let long = "x".repeat(255);
    for valid in [DEFAULT_CONTEXT, "a", "A-1", long.as_str()] {
        assert!(context_is_valid(valid), "{valid:?}");
    }
    let too_long = "x".repeat(256);
    let forbidden =
        ["", ".", "a.b", "/", "a/b", "a\\b", "a b", "a\nb", "a\rb", "a\tb", "a\0b", "ä"];
    for invalid in forbidden.into_iter().chain([too_long.as_str()]) {
        assert!(!context_is_valid(invalid), "{invalid:?}");
    }
}

#[test]
fn reads_lines_and_leaves_out_others() {
    // protocol.md A092
    let check = |case: &str, line: &[u8], expected: bool| {
        let content = [b"1 10 aa\n", line, b"\n2 20 bb\n"].concat();
        let keyring = Keyring::parse(&content);
        let found = keyring.find(3).map(|cookie| (cookie.created_s(), cookie.secret()));
        assert_eq!(found, expected.then_some((30, "0fAB")), "{case}");
        assert_eq!(ids(&keyring).len(), 2 + usize::from(expected), "{case}");
    };
    check("a cookie", b"3 30 0fAB", true);
    check("empty", b"", false);
    check("two words", b"3 30", false);
    check("no secret", b"3 30 ", false);
    check("four words", b"3 30 0fAB x", false);
    check("two blanks", b"3  30 0fAB", false);
    check("blank in front", b" 3 30 0fAB", false);
    check("negative id", b"-3 30 0fAB", false);
    check("signed id", b"+3 30 0fAB", false);
    check("id too large", b"2147483648 30 0fAB", false);
    check("id beyond 64 bits", b"99999999999999999999 30 0fAB", false);
    check("no id", b" 30 0fAB", false);
    check("negative time", b"3 -30 0fAB", false);
    check("secret not hex", b"3 30 0fAg", false);
    check("DOS line end", b"3 30 0fAB\r", false);
    check("not text", b"3 30 \xff", false);
    check("id taken", b"1 30 0fAB", false);
}

#[test]
fn bounds_what_it_reads() {
    let count_of = |count: usize| {
        let content: String = (0..count).map(|id| format!("{id} 1 ab\n")).collect();
        ids(&Keyring::parse(content.as_bytes())).len()
    };
    assert_eq!(count_of(COOKIE_COUNT_MAX), COOKIE_COUNT_MAX); // protocol.md A093
    assert_eq!(count_of(COOKIE_COUNT_MAX + 1), COOKIE_COUNT_MAX);
    let with_secret =
        |size: usize| ids(&Keyring::parse(format!("1 1 {}", "a".repeat(size)).as_bytes())).len();
    assert_eq!(with_secret(SECRET_SIZE_MAX), 1);
    assert_eq!(with_secret(SECRET_SIZE_MAX + 1), 0);
    assert_eq!(ids(&Keyring::parse(b"2147483647 1 ab")), [ID_MAX]);
}

#[test]
fn prints_what_it_read() {
    let content = "7 1000 c0de\n2147483647 18446744073709551615 00ff\n";
    assert_eq!(Keyring::parse(content.as_bytes()).to_string(), content);
    assert_eq!(Keyring::default().to_string(), "");
}

#[test]
fn current_is_the_newest_that_is_new_enough() {
    // protocol.md A093
    let check = |ages_s: &[i64], expected: Option<u32>| {
        let keyring = keyring(ages_s);
        assert_eq!(keyring.current(NOW_S).map(Cookie::id), expected, "{ages_s:?}");
    };
    check(&[], None);
    check(&[0], Some(0));
    check(&[300], Some(0));
    check(&[301], None);
    check(&[-300], Some(0));
    check(&[-301], None);
    check(&[200, 100, 400], Some(1));
    check(&[-400, 250], Some(1));
}

#[test]
fn drops_what_is_out_of_time() {
    // protocol.md A093
    let check = |ages_s: &[i64], expected: &[u32]| {
        let mut keyring = keyring(ages_s);
        assert_eq!(keyring.remove_expired(NOW_S), expected.len() < ages_s.len(), "{ages_s:?}");
        assert_eq!(ids(&keyring), expected, "{ages_s:?}");
    };
    check(&[], &[]);
    check(&[420, 421], &[0]);
    check(&[-300, -301], &[0]);
    check(&[421, 0, -301, 5], &[1, 3]);
    check(&[0, 1], &[0, 1]);
}

#[test]
fn adds_with_a_free_id() {
    let check = |taken: &[u32], wish: u32, expected: u32| {
        let lines: String = taken.iter().map(|id| format!("{id} 1 ab\n")).collect();
        let mut keyring = Keyring::parse(lines.as_bytes());
        let cookie = keyring.add(wish, [0x0f; NEW_SECRET_SIZE], NOW_S);
        assert_eq!((cookie.id(), cookie.created_s()), (expected, NOW_S), "{taken:?} {wish}");
        assert_eq!(cookie.secret(), "0f".repeat(NEW_SECRET_SIZE));
        assert_eq!(keyring.find(expected), Some(&cookie));
        assert_eq!(Keyring::parse(keyring.to_string().as_bytes()), keyring);
    };
    check(&[], 7, 7);
    check(&[7, 8], 7, 9);
    check(&[ID_MAX], ID_MAX, 0);
    check(&[], u32::MAX, ID_MAX);
    check(&[0, ID_MAX], u32::MAX, 1);
}

#[test]
fn a_full_keyring_loses_its_oldest() {
    let ages_s: Vec<i64> = (0..COOKIE_COUNT_MAX as i64).collect();
    let mut keyring = keyring(&ages_s);
    keyring.add(1000, [0; NEW_SECRET_SIZE], NOW_S);
    assert_eq!(keyring.cookies.len(), COOKIE_COUNT_MAX);
    assert!(keyring.find(1000).is_some());
    assert!(keyring.find(COOKIE_COUNT_MAX as u32 - 1).is_none());
}

#[test]
fn compares_whole_texts() {
    let check = |a: &[u8], b: &[u8], expected| {
        assert_eq!(equal_in_constant_time(a, b), expected, "{a:?} {b:?}");
    };
    check(b"", b"", true);
    check(b"abc", b"abc", true);
    check(b"abc", b"abd", false);
    check(b"abc", b"xbc", false);
    check(b"abc", b"ab", false);
    check(b"ab", b"abc", false);
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?}", Keyring::parse(b"1 1 c0de")).contains("c0de"));
}
