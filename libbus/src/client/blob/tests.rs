use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::num::NonZeroU32;

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use zbus::wire::DynamicType;

use super::*;
use crate::message::Message;
use crate::typed::{Body, TypeError};
use crate::wire::{ArgumentSpans, Header, MessageType, frame, write_checked_message};

const LARGE: usize = Blob::INLINE_SIZE_MAX + 1;

fn body_of<T: Serialize + DynamicType>(value: &T, has_blobs_inline: bool) -> Body {
    let mut body = Body::default();
    body.has_blobs_inline = has_blobs_inline;
    body.write(value).unwrap();
    body
}

/// What comes of a value on its way.
fn sent<T: Serialize + DynamicType>(value: &T, has_blobs_inline: bool) -> Message {
    let body = body_of(value, has_blobs_inline);
    let mut header = Header::new(MessageType::MethodReturn, NonZeroU32::MIN);
    header.reply_serial = Some(NonZeroU32::MIN);
    header.signature = body.signature().unwrap();
    header.unix_fds = body.fds.len() as u32;
    let mut bytes = Vec::new();
    write_checked_message(&header, &mut bytes, |writer| writer.encoded(&body.bytes)).unwrap();
    let frame = frame(&bytes, u32::MAX).unwrap().unwrap();
    Message::check(bytes, &frame, |_| body.fds, &mut ArgumentSpans::new()).unwrap()
}

fn unsealed(content: &[u8], seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"test", flags).unwrap());
    file.write_all(content).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file.into()
}

#[track_caller]
fn check_refused(file: impl Into<OwnedFd>, expected: &str) {
    let message = sent(&Blob::of_file(file), false);
    let blob = message.deserialize::<BlobRef<'_>>().unwrap();
    for result in [blob.bytes(100).map(drop), blob.reader(100).map(drop)] {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn small_ones_travel_in_the_body_and_large_ones_beside_it() {
    for (size, is_file) in [(0, false), (LARGE - 1, false), (LARGE, true), (10 * LARGE, true)] {
        let bytes: Vec<u8> = (0..size).map(|index| index as u8).collect();
        let message = sent(&Blob::new(bytes.as_slice()).unwrap(), false);
        assert_eq!(message.header().signature.as_str(), "v");
        assert_eq!((message.fds().len(), message.body().len() > size), (is_file.into(), !is_file));
        let owned = message.deserialize::<Blob>().unwrap();
        let borrowed = message.deserialize::<BlobRef<'_>>().unwrap();
        assert_eq!((owned.is_file(), borrowed.is_file()), (is_file, is_file));
        assert_eq!(borrowed.bytes(size as u64).unwrap(), bytes);
        assert_eq!(matches!(borrowed.bytes(size as u64).unwrap(), Cow::Borrowed(_)), !is_file);
        drop(message);
        assert_eq!(owned.bytes(size as u64).unwrap(), bytes);
        assert_eq!(owned.into_bytes(size as u64).unwrap(), bytes);
    }
}

#[test]
fn where_no_descriptors_pass_all_travel_in_the_body() {
    let bytes = vec![7; LARGE];
    let value = (1u8, Blob::new(bytes.as_slice()).unwrap(), Blob::new(b"b").unwrap(), "end");
    let message = sent(&value, true);
    assert_eq!((message.header().signature.as_str(), message.fds().len()), ("yvvs", 0));
    let (one, large, small, end) =
        message.deserialize::<(u8, BlobRef<'_>, BlobRef<'_>, &str)>().unwrap();
    assert_eq!((one, end, large.is_file()), (1, "end", false));
    assert_eq!(large.bytes(u64::MAX).unwrap(), bytes);
    assert_eq!(small.bytes(1).unwrap().as_ref(), b"b");
    // Beside other descriptors, which stay what they are.
    let (reader, _writer) = std::io::pipe().unwrap();
    let other = zbus::wire::OwnedFd::from(OwnedFd::from(reader));
    let body = body_of(&(other, Blob::new(bytes).unwrap()), true);
    assert_eq!((body.fds.len(), body.bytes.len() > LARGE), (1, true));
}

#[test]
fn what_fits_nowhere_says_so() {
    let file = unsealed(b"", SealFlags::empty());
    ftruncate(&file, u64::from(crate::limits::ARRAY_SIZE_MAX) + 1).unwrap();
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE).unwrap();
    let mut body = Body::default();
    body.has_blobs_inline = true;
    let error = body.write(&Blob::of_file(file)).unwrap_err();
    let TypeError::Custom(text) = error else { panic!("{error}") };
    assert!(text.contains("passes no file descriptors") && text.contains("67108865"), "{text}");
}

#[test]
fn files_that_are_none_or_can_change_are_refused() {
    let (reader, _writer) = std::io::pipe().unwrap();
    check_refused(reader, "the blob is a pipe, not a file in memory");
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    check_refused(socket, "the blob is a socket, not a file in memory");
    let null = File::open("/dev/null").unwrap();
    check_refused(null, "the blob is a character device, not a file in memory");
    let directory = File::open("/").unwrap();
    check_refused(directory, "the blob is a directory, not a file in memory");
    let process = File::open("/proc/self/stat").unwrap();
    check_refused(process, "the blob is a file that cannot be sealed, not one in memory");
    let lacks = |what: &str| format!("the blob's file can still change: it lacks {what}");
    check_refused(
        unsealed(b"a", SealFlags::empty()),
        &lacks("F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE"),
    );
    check_refused(unsealed(b"a", SealFlags::SHRINK | SealFlags::GROW), &lacks("F_SEAL_WRITE"));
    check_refused(unsealed(b"a", SealFlags::SHRINK | SealFlags::WRITE), &lacks("F_SEAL_GROW"));
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    check_refused(unsealed(&[0; 101], sealed), "the blob has 101 bytes; 100 are taken");
}

#[test]
fn an_enormous_file_costs_no_memory() {
    let file = unsealed(b"", SealFlags::empty());
    ftruncate(&file, 1 << 50).unwrap();
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE).unwrap();
    let blob = Blob::of_file(file);
    assert!(matches!(blob.bytes(1 << 20), Err(BlobError::TooLarge { .. })));
    // Who takes it all is told that there is no memory, and is not ended for it.
    assert!(matches!(blob.bytes(u64::MAX), Err(BlobError::Io(_))));
    let mut reader = blob.reader(u64::MAX).unwrap();
    reader.seek(SeekFrom::End(-1)).unwrap();
    let mut end = Vec::new();
    reader.read_to_end(&mut end).unwrap();
    assert_eq!(end, [0]);
}

#[test]
fn an_unsealed_file_is_copied_for_who_asks_for_it() {
    let file = unsealed(b"abc", SealFlags::empty());
    let blob = Blob::of_file(file);
    assert_eq!(blob.copy_unsealed(3).unwrap(), b"abc");
    assert!(matches!(blob.copy_unsealed(2), Err(BlobError::TooLarge { size: 3, size_max: 2 })));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(matches!(Blob::of_file(reader).copy_unsealed(9), Err(BlobError::NoFile("a pipe"))));
    assert_eq!(Blob::new(b"in").unwrap().copy_unsealed(2).unwrap(), b"in");
}

#[test]
fn nothing_can_change_what_was_made_here() {
    let Content::File(file) = Blob::new(vec![1; LARGE]).unwrap().content else { panic!() };
    let mut file = File::from(file);
    assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
    assert!(file.set_len(2 * LARGE as u64).is_err());
    assert!(fcntl_add_seals(&file, SealFlags::FUTURE_WRITE).is_err());
    let flags = rustix::io::fcntl_getfd(&file).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn readers_of_one_file_do_not_disturb_each_other() {
    let bytes: Vec<u8> = (0..2 * LARGE).map(|index| (index / 7) as u8).collect();
    let blob = Blob::new(bytes.as_slice()).unwrap();
    let mut readers = [blob.reader(u64::MAX).unwrap(), blob.reader(u64::MAX).unwrap()];
    assert_eq!(readers[0].size(), bytes.len() as u64);
    let mut read = [vec![], vec![]];
    for size in [1000, LARGE, 2 * LARGE] {
        for (reader, read) in readers.iter_mut().zip(&mut read) {
            reader.take(size as u64).read_to_end(read).unwrap();
        }
    }
    assert!(read.iter().all(|read| *read == bytes));
}

#[test]
fn another_variant_is_no_blob() {
    let message = sent(&zbus::wire::Variant::from(7u32), false);
    let error = message.deserialize::<Blob>().unwrap_err().to_string();
    assert_eq!(error, "a blob is a variant with 'ay' or 'h', not 'u'");
    let text = sent(&"text", false);
    assert!(matches!(text.deserialize::<Blob>(), Err(TypeError::Signature { .. })));
}

proptest! {
    #[test]
    fn a_reader_reads_from_wherever_it_is_told(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        places in prop::collection::vec((0..250u64, 0..50usize), 0..10),
        is_file: bool,
    ) {
        let inline_max = if is_file { 0 } else { usize::MAX };
        let blob = Blob::with_inline_max(bytes.as_slice(), inline_max).unwrap();
        let mut reader = blob.reader(200).unwrap();
        let mut model = std::io::Cursor::new(&bytes);
        for (place, size) in places {
            let (mut read, mut expected) = (vec![], vec![]);
            reader.seek(SeekFrom::Start(place)).unwrap();
            model.seek(SeekFrom::Start(place)).unwrap();
            (&mut reader).take(size as u64).read_to_end(&mut read).unwrap();
            (&mut model).take(size as u64).read_to_end(&mut expected).unwrap();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(reader.stream_position().unwrap(), model.stream_position().unwrap());
        }
        prop_assert!(reader.seek(SeekFrom::Current(-500)).is_err());
    }
}
