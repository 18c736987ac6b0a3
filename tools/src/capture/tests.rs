use std::num::NonZeroU32;

use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{BodyWriter, Header, MessageType, Signature, write_message};

use super::*;

/// A message of the given header, changed by `change`, with a body.
pub(crate) fn message(
    message_type: MessageType,
    serial: u32,
    change: impl FnOnce(&mut Header<'static>),
    body: impl FnOnce(&mut BodyWriter<'_>),
) -> Vec<u8> {
    let mut header = Header::new(message_type, NonZeroU32::new(serial).unwrap());
    header.path = Some(ObjectPath::from_static("/org/example/Clock"));
    header.interface = Some(InterfaceName::from_static("org.example.Clock"));
    header.member = Some(MemberName::from_static("Ring"));
    header.sender = Some(BusName::from_static(":1.5"));
    if message_type == MessageType::Error {
        header.error_name = Some(ErrorName::from_static("org.example.Error.Broken"));
    }
    change(&mut header);
    let mut bytes = Vec::new();
    write_message(&header, &mut bytes, body);
    bytes
}

fn signal(serial: u32, text: &str) -> Vec<u8> {
    let change = |header: &mut Header<'static>| header.signature = Signature::from_static("s");
    message(MessageType::Signal, serial, change, |body| body.string(text))
}

/// Three messages of different sizes.
fn three() -> Vec<Vec<u8>> {
    vec![signal(1, "a"), signal(2, "twenty-one characters"), signal(3, "")]
}

const TIME: Time = Duration::new(1_700_000_000, 123_456_000);

fn written(format: Format, messages: &[Vec<u8>], size_max: Option<u32>) -> Vec<u8> {
    let section = Section { system: Some("Linux"), application: Some("bus") };
    let mut writer = match format {
        Format::Pcap => Writer::pcap(Vec::new(), size_max).unwrap(),
        Format::Pcapng => Writer::pcapng(Vec::new(), section, size_max).unwrap(),
        Format::Raw => Writer::raw(Vec::new()),
    };
    for (index, message) in messages.iter().enumerate() {
        writer.write(TIME + Duration::from_secs(index as u64), message).unwrap();
    }
    writer.into_inner()
}

type Items = (Vec<Captured>, Vec<Damage>);

fn read(bytes: &[u8]) -> Result<Items, OpenError> {
    let mut items = (Vec::new(), Vec::new());
    for item in Reader::open(bytes)? {
        match item {
            Ok(captured) => items.0.push(captured),
            Err(damage) => items.1.push(damage),
        }
    }
    Ok(items)
}

const FORMATS: [Format; 3] = [Format::Pcap, Format::Pcapng, Format::Raw];

#[test]
fn what_is_written_is_read_again() {
    for format in FORMATS {
        let bytes = written(format, &three(), None);
        assert_eq!(Reader::open(bytes.as_slice()).unwrap().format(), format);
        let (captured, damages) = read(&bytes).unwrap();
        assert!(damages.is_empty(), "{format}: {damages:?}");
        for (index, (captured, message)) in captured.iter().zip(three()).enumerate() {
            assert_eq!(captured.message.bytes(), message, "{format}");
            assert_eq!((captured.size, &captured.cut), (message.len() as u64, &None), "{format}");
            let time = TIME + Duration::from_secs(index as u64);
            assert_eq!(captured.time, (format != Format::Raw).then_some(time), "{format}");
        }
        assert_eq!(captured.len(), 3, "{format}");
    }
}

/// Where each record ends, the file's own header counted as one.
fn record_ends(format: Format) -> Vec<usize> {
    (0..=3).map(|count| written(format, &three()[..count], None).len()).collect()
}

#[test]
fn of_a_capture_cut_anywhere_all_whole_messages_are_read_and_the_place_is_told() {
    for format in FORMATS {
        let bytes = written(format, &three(), None);
        let ends = record_ends(format);
        for size in 4..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= size).count();
            let begin = if whole == 0 { 0 } else { ends[whole - 1] };
            match read(&bytes[..size]) {
                Ok((captured, damages)) => {
                    assert_eq!(captured.len(), whole.saturating_sub(1), "{format}, {size} bytes");
                    check_damage(format, size, begin, &damages);
                }
                Err(OpenError::Damage(damage)) => {
                    assert_eq!((whole, format), (0, Format::Pcap), "{size} bytes");
                    check_damage(format, size, begin, &[damage]);
                }
                Err(error) => panic!("{format}, {size} bytes: {error}"),
            }
        }
    }
}

/// A file that ends where a record does is whole. The header of a pcapng file is two blocks.
fn check_damage(format: Format, size: usize, begin: usize, damages: &[Damage]) {
    let Some(damage) = damages.first() else {
        let is_between_blocks = format == Format::Pcapng && size < record_ends(format)[0];
        assert!(size == begin || is_between_blocks, "{format}, {size} bytes: no damage");
        return;
    };
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert!(matches!(damage.fault, Fault::CutShort { .. }), "{format}, {size} bytes: {damage}");
    let there = match damage.fault {
        Fault::CutShort { there } => there,
        _ => 0,
    };
    assert_eq!(damage.offset + there, size as u64, "{format}, {damage}");
    let is_in_header = format == Format::Pcapng && size < record_ends(format)[0];
    assert!(damage.offset == begin as u64 || is_in_header, "{format}, {size} bytes: {damage}");
}

#[test]
fn what_is_no_capture_is_told() {
    assert!(matches!(read(b""), Err(OpenError::Empty)));
    assert!(matches!(read(b"From: "), Err(OpenError::UnknownFormat)));
    assert!(matches!(read(b"l\x01\x00\x02more of it"), Err(OpenError::UnknownFormat)));
    let mut other = written(Format::Pcap, &three(), None);
    other[20..24].copy_from_slice(&1u32.to_ne_bytes());
    assert!(matches!(read(&other), Err(OpenError::LinkType(1))));
}

#[test]
fn a_message_that_breaks_a_rule_costs_only_itself_where_records_have_lengths() {
    let mut broken = signal(2, "x");
    let end = broken.len() - 1;
    broken[end] = 7;
    let messages = [signal(1, "a"), broken, signal(3, "b")];
    for format in [Format::Pcap, Format::Pcapng] {
        let offset = written(format, &messages[..1], None).len() as u64;
        let (captured, damages) = read(&written(format, &messages, None)).unwrap();
        assert_eq!(captured.len(), 2, "{format}");
        assert_eq!((damages.len(), damages[0].offset), (1, offset), "{format}");
        assert!(!damages[0].is_end() && matches!(damages[0].fault, Fault::Message(_)));
    }
    let (captured, damages) = read(&written(Format::Raw, &messages, None)).unwrap();
    assert_eq!((captured.len(), damages.len()), (2, 1), "its length is right");
}

#[test]
fn a_row_of_messages_ends_where_one_does_not_tell_its_length() {
    let mut bytes = written(Format::Raw, &three(), None);
    let second = three()[0].len();
    bytes[second] = b'?';
    let (captured, damages) = read(&bytes).unwrap();
    assert_eq!((captured.len(), damages.len()), (1, 1));
    assert_eq!(damages[0].offset, second as u64);
    assert!(damages[0].is_end() && matches!(damages[0].fault, Fault::Unframed(_)));
}

#[test]
fn a_cut_message_is_its_header() {
    let messages = [signal(1, &"long ".repeat(100)), signal(2, "short")];
    for format in [Format::Pcap, Format::Pcapng] {
        let (captured, damages) = read(&written(format, &messages, Some(200))).unwrap();
        assert!(damages.is_empty(), "{format}: {damages:?}");
        let cut = Cut { kept: 200, signature: "s".to_owned() };
        assert_eq!(captured[0].cut, Some(cut), "{format}");
        assert_eq!(captured[0].size, messages[0].len() as u64);
        let header = captured[0].message.header();
        assert_eq!(header.member.map(MemberName::as_str), Some("Ring"));
        assert_eq!((header.serial.get(), header.signature.as_str()), (1, ""));
        assert_eq!((captured[1].cut.clone(), captured.len()), (None, 2), "{format}");
        // Less than the header is no message.
        let (captured, damages) = read(&written(format, &messages, Some(40))).unwrap();
        assert_eq!((captured.len(), damages.len()), (0, 2), "{format}");
        assert!(matches!(damages[0].fault, Fault::HeaderCut { kept: 40 }), "{format}");
    }
}

/// A pcap file of the other byte order with nanoseconds, written by hand.
#[test]
fn pcap_of_the_other_byte_order_is_read() {
    let message = signal(1, "a");
    let words = |words: &[u32], is_big: bool| -> Vec<u8> {
        let bytes = |word: &u32| if is_big { word.to_be_bytes() } else { word.to_le_bytes() };
        words.iter().flat_map(bytes).collect()
    };
    for is_big in [true, false] {
        let size = message.len() as u32;
        // The upper bits of the last word are of checksums.
        let mut bytes = words(&[0xa1b2_3c4d, 0x0002_0004, 0, 0, 65535, 0x5000_00e7], is_big);
        bytes.extend(words(&[10, 999_999_999, size, size], is_big));
        bytes.extend(&message);
        let (captured, damages) = read(&bytes).unwrap();
        assert_eq!((captured.len(), damages.len()), (1, 0));
        assert_eq!(captured[0].time, Some(Duration::new(10, 999_999_999)));
        assert_eq!(captured[0].message.bytes(), message);
    }
}

/// Blocks of pcapng in a byte order.
struct Blocks {
    is_big: bool,
    bytes: Vec<u8>,
}

impl Blocks {
    fn new(is_big: bool) -> Self {
        Self { is_big, bytes: Vec::new() }
    }

    fn word(&self, word: u32) -> [u8; 4] {
        if self.is_big { word.to_be_bytes() } else { word.to_le_bytes() }
    }

    fn halves(&self, first: u16, second: u16) -> Vec<u8> {
        let bytes = |half: u16| if self.is_big { half.to_be_bytes() } else { half.to_le_bytes() };
        [bytes(first), bytes(second)].concat()
    }

    fn block(&mut self, kind: u32, parts: &[&[u8]]) {
        let mut content = parts.concat();
        content.resize(content.len().next_multiple_of(4), 0);
        let size = self.word(content.len() as u32 + 12);
        let kind = self.word(kind);
        self.bytes.extend([kind, size].as_flattened());
        self.bytes.extend(content);
        self.bytes.extend(size);
    }

    fn section(&mut self) {
        let parts = [self.word(0x1a2b_3c4d).to_vec(), self.halves(1, 0), vec![0xff; 8]];
        self.block(0x0a0d_0d0a, &[&parts.concat()]);
    }

    fn interface(&mut self, link_type: u16, size_max: u32, options: &[u8]) {
        let parts = [&self.halves(link_type, 0), self.word(size_max).as_slice(), options].concat();
        self.block(1, &[&parts]);
    }

    fn packet(&mut self, interface: u32, units: u64, kept: &[u8], size: u32) {
        let words = [interface, (units >> 32) as u32, units as u32, kept.len() as u32, size];
        let words = words.map(|word| self.word(word));
        self.block(6, &[words.as_flattened(), kept]);
    }

    fn simple_packet(&mut self, size: u32, kept: &[u8]) {
        let size = self.word(size);
        self.block(3, &[&size, kept]);
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.halves(code, value.len() as u16), value.to_vec()].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }
}

#[test]
fn pcapng_of_both_byte_orders_with_sections_interfaces_and_unknown_blocks_is_read() {
    let message = signal(1, "a");
    let size = message.len() as u32;
    let mut bytes = Vec::new();
    for is_big in [true, false] {
        let mut blocks = Blocks::new(is_big);
        blocks.section();
        blocks.block(0x0bad, &[b"what nobody knows"]);
        blocks.interface(1, 0, &[]);
        blocks.interface(231, 0, &[]);
        // 2^-10 seconds, a minute earlier.
        let offset = -60i64;
        let offset = if is_big { offset.to_be_bytes() } else { offset.to_le_bytes() };
        let options = [blocks.option(9, &[0x80 | 10]), blocks.option(14, &offset)].concat();
        blocks.interface(231, 0, &options);
        blocks.packet(0, 0, b"an Ethernet frame", 17);
        blocks.packet(1, 5_000_007, &message, size);
        blocks.packet(2, 100 << 10 | 512, &message, size);
        bytes.extend(blocks.bytes);
    }
    let mut reader = Reader::open(bytes.as_slice()).unwrap();
    let captured: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!((captured.len(), reader.foreign_count()), (4, 2));
    assert_eq!(reader.position(), bytes.len() as u64);
    for pair in captured.chunks(2) {
        assert_eq!(pair[0].time, Some(Duration::new(5, 7000)));
        assert_eq!(pair[1].time, Some(Duration::new(40, 500_000_000)));
    }
}

#[test]
fn simple_packets_are_read() {
    let messages = [signal(1, "a"), signal(2, &"long ".repeat(100))];
    let mut blocks = Blocks::new(true);
    blocks.section();
    blocks.interface(231, 300, &[]);
    blocks.simple_packet(messages[0].len() as u32, &messages[0]);
    blocks.simple_packet(messages[1].len() as u32, &messages[1][..300]);
    let (captured, damages) = read(&blocks.bytes).unwrap();
    assert!(damages.is_empty(), "{damages:?}");
    assert_eq!(captured[0].message.bytes(), messages[0]);
    assert_eq!((captured[0].time, &captured[0].cut), (None, &None));
    assert_eq!(captured[1].cut.as_ref().map(|cut| cut.kept), Some(300));
}

/// Each of these ends the reading at the block that is wrong, after the message before it.
#[test]
fn hostile_lengths_and_numbers_end_a_capture_where_they_are() {
    let message = signal(1, "a");
    let size = message.len() as u32;
    type Case<'a> = (&'a str, &'a dyn Fn(&mut Blocks));
    let raw = |words: &'static [u32]| {
        move |blocks: &mut Blocks| {
            let words: Vec<_> = words.iter().map(|word| blocks.word(*word)).collect();
            blocks.bytes.extend(words.as_flattened());
        }
    };
    let cases: &[Case<'_>] = &[
        ("no length", &raw(&[6, 0, 0])),
        ("a length shorter than the frame", &raw(&[6, 8, 8])),
        ("an odd length", &raw(&[6, 33, 0, 0])),
        ("a length larger than the file", &raw(&[6, 0x1000, 0])),
        ("the largest length of a packet", &raw(&[6, 0xffff_fffc, 0])),
        ("the largest length of an unknown block", &raw(&[99, 0xffff_fffc, 0])),
        ("lengths that differ", &raw(&[99, 16, 0, 12])),
        ("an unknown interface", &|blocks| blocks.packet(7, 0, b"", 0)),
        ("a packet without its numbers", &raw(&[6, 12, 12])),
        ("a kept size beyond the block", &|blocks| {
            let words = [0, 0, 0, 0xffff_ffff, 0xffff_ffff].map(|word| blocks.word(word));
            blocks.block(6, &[words.as_flattened()]);
        }),
        ("a simple packet shorter than it says", &|blocks| blocks.simple_packet(0xffff, b"x")),
        ("an interface of two bytes", &|blocks| blocks.block(1, &[b"ab"])),
        ("a section of version 9", &|blocks| {
            let parts = [blocks.word(0x1a2b_3c4d).to_vec(), blocks.halves(9, 0), vec![0; 8]];
            blocks.block(0x0a0d_0d0a, &[&parts.concat()]);
        }),
        ("a section without byte order", &raw(&[0x0a0d_0d0a, 28, 0x1234_5678])),
    ];
    for (name, append) in cases {
        let mut blocks = Blocks::new(false);
        blocks.section();
        blocks.interface(231, 0, &[]);
        blocks.packet(0, 0, &message, size);
        let offset = blocks.bytes.len() as u64;
        append(&mut blocks);
        let (captured, damages) = read(&blocks.bytes).unwrap();
        assert_eq!(captured.len(), 1, "{name}");
        assert_eq!(damages.len(), 1, "{name}: {damages:?}");
        assert!(damages[0].is_end() && damages[0].offset == offset, "{name}: {}", damages[0]);
    }
}

#[test]
fn interfaces_are_bounded() {
    let mut blocks = Blocks::new(false);
    blocks.section();
    (0..4096).for_each(|_| blocks.interface(231, 0, &[]));
    assert!(read(&blocks.bytes).unwrap().1.is_empty());
    let offset = blocks.bytes.len() as u64;
    blocks.interface(231, 0, &[]);
    let (_, damages) = read(&blocks.bytes).unwrap();
    assert_eq!(damages.iter().map(|damage| damage.offset).collect::<Vec<_>>(), [offset]);
}

#[test]
fn a_pcap_record_that_claims_too_much_is_not_read() {
    let mut bytes = written(Format::Pcap, &three()[..1], None);
    let offset = bytes.len() as u64;
    bytes.extend([0, 0, MESSAGE_SIZE_MAX + 1, 0].map(u32::to_ne_bytes).as_flattened());
    let (captured, damages) = read(&bytes).unwrap();
    assert_eq!(captured.len(), 1);
    assert!(matches!(damages[0].fault, Fault::TooLong { .. }), "{}", damages[0]);
    assert_eq!(damages[0].offset, offset);
    // As much as a message may have, none of which is there: no room is made for it.
    let end = bytes.len() - 8;
    bytes[end..end + 4].copy_from_slice(&MESSAGE_SIZE_MAX.to_ne_bytes());
    let (_, damages) = read(&bytes).unwrap();
    assert!(matches!(damages[0].fault, Fault::CutShort { there: 16 }), "{}", damages[0]);
}

/// All resolutions and offsets that an interface can claim give some time.
#[test]
fn no_time_is_too_strange() {
    let message = signal(1, "a");
    for resolution in 0..=255 {
        for offset in [i64::MIN, -1, 0, i64::MAX] {
            let mut blocks = Blocks::new(false);
            blocks.section();
            let options =
                [blocks.option(9, &[resolution]), blocks.option(14, &offset.to_le_bytes())];
            blocks.interface(231, 0, &options.concat());
            blocks.packet(0, u64::MAX, &message, message.len() as u32);
            let (captured, damages) = read(&blocks.bytes).unwrap();
            assert_eq!((captured.len(), damages.len()), (1, 0), "{resolution}, {offset}");
            assert!(captured[0].time.is_some());
        }
    }
}

/// Whatever stands in a capture, reading it ends, tells at most one damage that is the end, and that is the last.
#[test]
fn captures_with_random_faults_are_read_to_an_end() {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut damaged_count = 0;
    for format in FORMATS {
        let whole = written(format, &three(), None);
        for _ in 0..4000 {
            let mut bytes = whole.clone();
            for _ in 0..=next(3) {
                let place = next(bytes.len());
                bytes[place] = [0, 0xff, 1, next(256) as u8][next(4)];
            }
            let Ok(mut reader) = Reader::open(bytes.as_slice()) else { continue };
            let items: Vec<_> = reader.by_ref().collect();
            assert!(reader.next().is_none() && items.len() <= bytes.len());
            let ends = items.iter().filter(|item| item.as_ref().is_err_and(Damage::is_end)).count();
            let last_is_end =
                items.last().is_some_and(|item| item.as_ref().is_err_and(Damage::is_end));
            assert!(ends == 0 || (ends == 1 && last_is_end), "{format}: {items:?}");
            damaged_count += usize::from(items.iter().any(Result::is_err));
        }
    }
    assert!(damaged_count > 1000, "faults are found: {damaged_count}");
}
