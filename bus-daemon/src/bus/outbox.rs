//! Bytes and file descriptors on their way to one client.
//!
//! All that a client got in one round lies in one buffer and leaves in one write. Three things end
//! a buffer: a body too large to be worth copying, which is held once for all its recipients; a
//! message with descriptors, which must begin the write that carries them; and a size past which
//! growing the buffer would copy too much. Descriptors go with the first byte of their message and
//! are let go once that byte is written and whatever else there is for the client.
//!
//! Invariants: `bytes` is what is still to be written; no segment is empty; a client to whom
//! nothing is owed holds no buffer. The bound on `bytes` and `fds` is `max_outgoing_bytes` and
//! `max_outgoing_unix_fds` (config.md B029, B030), kept by the router, which asks before it queues.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use libbus::wire;
use smallvec::SmallVec;

use super::limits::{
    FREE_BUFFER_SIZE_MAX, FREE_BUFFERS_SIZE_MAX, FREE_QUEUE_COUNT_MAX,
    FREE_QUEUE_SEGMENT_COUNT_MAX, NEW_BUFFER_SIZE, OUTBOX_SEGMENT_SIZE_MAX, WRITE_SLICE_COUNT_MAX,
};
use super::spare_buffers::SpareBuffers;

/// The descriptors of one message, shared by all its recipients.
pub type MessageFds = Rc<[OwnedFd]>;

/// The slices of one write.
pub type WriteSlices<'a> = SmallVec<[IoSlice<'a>; WRITE_SLICE_COUNT_MAX]>;

/// A message's body as it goes to a recipient.
#[derive(Clone, Debug)]
pub enum OutgoingBody<'a> {
    /// Copied into the recipient's buffer.
    Copied(&'a [u8]),
    /// Held once for all recipients: the bytes, and which part of them is the body.
    Shared(Rc<Vec<u8>>, Range<usize>),
}

impl OutgoingBody<'_> {
    /// The body's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes, range) => bytes.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// What no outbox needs at the moment; taking it costs no allocation.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<Vec<u8>>,
    /// The capacity of all of `free`.
    free_size: usize,
    free_queues: Vec<VecDeque<Segment>>,
    /// Buffers of large messages.
    pub spares: SpareBuffers,
    /// Descriptors that have left and are closed when nothing more leaves for the same client, since
    /// closing them between two writes would have it fall asleep and be woken for each.
    sent_fds: Vec<MessageFds>,
}

impl BufferPool {
    fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop().unwrap_or_else(|| Vec::with_capacity(NEW_BUFFER_SIZE));
        self.free_size = self.free_size.saturating_sub(buffer.capacity());
        buffer
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        let (size, room) = (buffer.capacity(), FREE_BUFFERS_SIZE_MAX - self.free_size);
        if size <= FREE_BUFFER_SIZE_MAX.min(room) {
            buffer.clear();
            self.free.push(buffer);
            self.free_size += size;
        }
    }

    /// Lets go of all buffers.
    pub fn clear(&mut self) {
        (self.free, self.free_size, self.free_queues) = (Vec::new(), 0, Vec::new());
        self.spares.clear();
    }

    /// Closes the descriptors that have left.
    pub fn close_sent_fds(&mut self) {
        self.sent_fds.clear();
    }

    fn take_queue(&mut self) -> VecDeque<Segment> {
        self.free_queues.pop().unwrap_or_else(|| VecDeque::with_capacity(1))
    }

    /// Takes an empty queue back.
    fn give_back_queue(&mut self, queue: VecDeque<Segment>) {
        let is_small = queue.capacity() <= FREE_QUEUE_SEGMENT_COUNT_MAX;
        if is_small && self.free_queues.len() < FREE_QUEUE_COUNT_MAX {
            self.free_queues.push(queue);
        }
    }
}

/// Bytes that are written together: small messages one after the other, and at the end perhaps one
/// body that is held elsewhere.
#[derive(Debug)]
struct Segment {
    own: Vec<u8>,
    body: Option<SharedBody>,
    fds: Option<QueuedFds>,
}

#[derive(Debug)]
struct QueuedFds {
    fds: MessageFds,
    /// The user who sent them.
    uid: Option<u32>,
    /// Whether their message is meant for this client alone.
    is_unicast: bool,
}

/// How many descriptors wait for a client.
#[derive(Debug, Default)]
struct FdCounts {
    all: u32,
    peak: u32,
    unicast: u32,
    /// By the users who sent them; none of nothing.
    of_users: SmallVec<[(Option<u32>, u32); 2]>,
}

impl FdCounts {
    fn add(&mut self, uid: Option<u32>, count: u32) {
        self.all += count;
        self.peak = self.peak.max(self.all);
        match self.of_users.iter_mut().find(|(other, _)| *other == uid) {
            Some((_, sum)) => *sum += count,
            None => self.of_users.push((uid, count)),
        }
    }

    fn subtract(&mut self, queued: &QueuedFds) {
        let count = count_of(&queued.fds);
        self.all -= count;
        if queued.is_unicast {
            self.unicast -= count;
        }
        self.of_users.retain(|(uid, sum)| {
            *sum -= if *uid == queued.uid { count } else { 0 };
            *sum > 0
        });
    }
}

#[derive(Debug)]
struct SharedBody {
    bytes: Rc<Vec<u8>>,
    range: Range<usize>,
}

impl Segment {
    fn body(&self) -> &[u8] {
        let body = self.body.as_ref();
        body.and_then(|body| body.bytes.get(body.range.clone())).unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.own.len() + self.body().len()
    }

    /// Whether another message may follow in it.
    const fn may_grow(&self) -> bool {
        self.body.is_none() && self.own.len() < OUTBOX_SEGMENT_SIZE_MAX
    }

    /// What is left after the first `written` bytes.
    fn slices(&self, written: usize) -> [&[u8]; 2] {
        let own = self.own.get(written..).unwrap_or_default();
        let body = self.body().get(written.saturating_sub(self.own.len())..).unwrap_or_default();
        [own, body]
    }
}

/// What one client is still owed.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Without room of its own while it is empty.
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written already.
    written: usize,
    bytes: usize,
    /// Of `bytes`, those of messages that were meant for this client alone. When messages of both kinds
    /// wait, what is written counts as these first: they are rather too few than too many.
    unicast_bytes: usize,
    /// There since the first descriptors came.
    fd_counts: Option<Box<FdCounts>>,
    bytes_peak: usize,
    /// Bytes queued so far.
    queued: u64,
    /// Messages queued so far.
    messages: u64,
}

impl Outbox {
    /// Queues one message: its stamped header, its body, and its descriptors with the user who sent them.
    pub fn push(
        &mut self,
        pool: &mut BufferPool,
        head: &[u8],
        body: &OutgoingBody<'_>,
        fds: Option<(&MessageFds, Option<u32>)>,
    ) {
        let last = match self.segments.back_mut() {
            Some(last) if fds.is_none() && last.may_grow() => last,
            _ => match self.begin_segment(pool, fds) {
                Some(last) => last,
                None => return,
            },
        };
        last.own.extend_from_slice(head);
        match body {
            OutgoingBody::Copied(bytes) => last.own.extend_from_slice(bytes),
            OutgoingBody::Shared(bytes, range) => {
                last.body = Some(SharedBody { bytes: Rc::clone(bytes), range: range.clone() });
            }
        }
        let size = head.len() + body.bytes().len();
        self.bytes += size;
        self.queued += size as u64;
        self.messages += 1;
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }

    /// `size` bytes of what [`Outbox::batch`] gave were written.
    pub fn handle_written(&mut self, pool: &mut BufferPool, size: usize) {
        let mut rest = size.min(self.bytes);
        self.subtract(rest);
        while rest > 0 {
            let Some(first) = self.segments.front_mut() else { return };
            if let Some(queued) = first.fds.take() {
                uncount(self.fd_counts.as_deref_mut(), &queued);
                pool.sent_fds.push(queued.fds);
            }
            let left = first.size() - self.written;
            if rest < left {
                self.written += rest;
                return;
            }
            rest -= left;
            self.written = 0;
            self.drop_first_segment(pool);
        }
    }

    /// Takes out the message that the next write would begin with, if none of it is written yet, and
    /// returns its header: its descriptors cannot be sent.
    pub fn drop_next_message(&mut self, pool: &mut BufferPool) -> Option<Vec<u8>> {
        let first = self.segments.front_mut().filter(|_| self.written == 0)?;
        let frame = wire::frame(&first.own, libbus::limits::MESSAGE_SIZE_MAX).ok()??;
        let header = first.own.get(..frame.header_size)?.to_vec();
        let own_size = frame.message_size().min(first.own.len());
        first.own.drain(..own_size);
        let mut size = own_size;
        if own_size < frame.message_size() {
            size += first.body().len();
            first.body = None;
        }
        if let Some(queued) = first.fds.take() {
            uncount(self.fd_counts.as_deref_mut(), &queued);
        }
        if first.size() == 0 {
            self.drop_first_segment(pool);
        }
        self.subtract(size);
        Some(header)
    }

    /// What the next write takes, at most `room` bytes: slices in order, and the descriptors that go
    /// with their first byte.
    pub fn batch<'a>(
        &'a self,
        mut room: usize,
        slices: &mut WriteSlices<'a>,
    ) -> Option<&'a MessageFds> {
        let fds = self.segments.front()?.fds.as_ref().map(|queued| &queued.fds);
        let mut skip = self.written;
        for (index, segment) in self.segments.iter().enumerate() {
            let ends_here = room == 0 || (index > 0 && segment.fds.is_some());
            if ends_here || slices.len() + 2 > WRITE_SLICE_COUNT_MAX {
                break;
            }
            for part in segment.slices(skip) {
                let part = part.get(..room).unwrap_or(part);
                room -= part.len();
                if !part.is_empty() {
                    slices.push(IoSlice::new(part));
                }
            }
            skip = 0;
        }
        fds.filter(|_| !slices.is_empty())
    }

    /// How many descriptors go with the next write.
    #[must_use]
    pub fn next_fd_count(&self) -> usize {
        if self.fds() == 0 {
            return 0;
        }
        let first = self.segments.front().and_then(|segment| segment.fds.as_ref());
        first.map_or(0, |queued| queued.fds.len())
    }

    /// What is still to be written, in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut slices = WriteSlices::new();
        self.batch(usize::MAX, &mut slices);
        slices.iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    /// Bytes still to be written.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes queued so far: where what was queued last ends.
    #[must_use]
    pub const fn queued(&self) -> u64 {
        self.queued
    }

    /// Messages queued so far, for statistics.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// What was pushed last is no message: the lines of the handshake.
    pub const fn note_lines(&mut self) {
        self.messages = self.messages.saturating_sub(1);
    }

    /// Of the bytes queued so far those that have left.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.queued.saturating_sub(self.bytes as u64)
    }

    /// Counts the message pushed last, of `size` bytes, as meant for this client alone.
    pub fn note_unicast(&mut self, size: usize, has_fds: bool) {
        self.unicast_bytes += size;
        if has_fds
            && let Some(counts) = &mut self.fd_counts
            && let Some(queued) = self.segments.back_mut().and_then(|last| last.fds.as_mut())
        {
            queued.is_unicast = true;
            counts.unicast += count_of(&queued.fds);
        }
    }

    /// Bytes still to be written of messages for this client alone, as far as can be told.
    #[must_use]
    pub const fn unicast_bytes(&self) -> usize {
        self.unicast_bytes
    }

    /// Descriptors still to be sent.
    #[must_use]
    pub fn fds(&self) -> usize {
        self.fd_counts.as_ref().map_or(0, |counts| counts.all as usize)
    }

    /// Of those, the ones of messages for this client alone.
    #[must_use]
    pub fn unicast_fds(&self) -> usize {
        self.fd_counts.as_ref().map_or(0, |counts| counts.unicast as usize)
    }

    /// The users who sent the descriptors still to be sent, with how many.
    #[must_use]
    pub fn fds_by_user(&self) -> &[(Option<u32>, u32)] {
        self.fd_counts.as_ref().map_or(&[], |counts| &counts.of_users)
    }

    /// The most bytes that waited here at once.
    #[must_use]
    pub const fn bytes_peak(&self) -> usize {
        self.bytes_peak
    }

    /// The most descriptors that waited here at once.
    #[must_use]
    pub fn fds_peak(&self) -> usize {
        self.fd_counts.as_ref().map_or(0, |counts| counts.peak as usize)
    }

    /// Whether nothing is owed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Messages of which at least the last byte is not written. Walks the queue: for statistics.
    #[must_use]
    pub fn message_count(&self) -> usize {
        let mut count = 0;
        let mut written = self.written;
        for segment in &self.segments {
            count += count_messages(&segment.own, written);
            written = 0;
        }
        count
    }

    const fn subtract(&mut self, size: usize) {
        self.bytes -= size;
        self.unicast_bytes = self.unicast_bytes.saturating_sub(size);
    }

    fn drop_first_segment(&mut self, pool: &mut BufferPool) {
        if let Some(segment) = self.segments.pop_front() {
            pool.give_back(segment.own);
            if let Some(body) = segment.body {
                pool.spares.give_back_shared(body.bytes);
            }
        }
        if self.segments.is_empty() {
            pool.give_back_queue(std::mem::take(&mut self.segments));
        }
    }

    fn begin_segment(
        &mut self,
        pool: &mut BufferPool,
        fds: Option<(&MessageFds, Option<u32>)>,
    ) -> Option<&mut Segment> {
        if self.segments.is_empty() {
            self.segments = pool.take_queue();
        }
        // It grew in steps, and nothing follows in it.
        if let Some(last) = self.segments.back_mut()
            && last.own.len() >= OUTBOX_SEGMENT_SIZE_MAX
        {
            last.own.shrink_to_fit();
        }
        let fds = fds.map(|(fds, uid)| {
            self.fd_counts.get_or_insert_default().add(uid, count_of(fds));
            QueuedFds { fds: Rc::clone(fds), uid, is_unicast: false }
        });
        self.segments.push_back(Segment { own: pool.take(), body: None, fds });
        self.segments.back_mut()
    }
}

/// Messages in `bytes`, which begin at a message's start, that end after `written`. A message whose
/// body is held elsewhere ends where its header does, at the end of `bytes`.
fn count_messages(bytes: &[u8], written: usize) -> usize {
    let mut start = 0;
    let mut count = 0;
    while let Some(Ok(Some(frame))) =
        bytes.get(start..).map(|rest| wire::frame(rest, libbus::limits::MESSAGE_SIZE_MAX))
    {
        start += frame.message_size();
        if start > written {
            count += 1;
        }
    }
    count
}

fn uncount(counts: Option<&mut FdCounts>, queued: &QueuedFds) {
    if let Some(counts) = counts {
        counts.subtract(queued);
    }
}

/// How many descriptors a message has.
#[allow(clippy::cast_possible_truncation, reason = "one message has 253 at most")]
fn count_of(fds: &MessageFds) -> u32 {
    fds.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(bytes: &[u8]) -> OutgoingBody<'static> {
        OutgoingBody::Shared(Rc::new(bytes.to_vec()), 0..bytes.len())
    }

    fn fds(count: usize) -> MessageFds {
        (0..count)
            .map(|_| OwnedFd::from(std::fs::File::open("/dev/null").unwrap()))
            .collect::<Vec<_>>()
            .into()
    }

    /// Writes `step` bytes at a time and returns what arrives: the bytes, and at which offset how
    /// many descriptors came.
    fn drain(
        outbox: &mut Outbox,
        pool: &mut BufferPool,
        step: usize,
    ) -> (Vec<u8>, Vec<(usize, usize)>) {
        let (mut arrived, mut fds_at) = (Vec::new(), Vec::new());
        while !outbox.is_empty() {
            let mut slices = WriteSlices::new();
            if let Some(fds) = outbox.batch(usize::MAX, &mut slices) {
                fds_at.push((arrived.len(), fds.len()));
            }
            let write: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).take(step).collect();
            assert!(!write.is_empty(), "a batch of a non-empty outbox has bytes");
            drop(slices);
            arrived.extend_from_slice(&write);
            outbox.handle_written(pool, write.len());
        }
        (arrived, fds_at)
    }

    #[test]
    fn everything_arrives_in_order_and_descriptors_with_the_first_byte_of_their_message() {
        for step in [1, 2, 3, 7, 100] {
            let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
            let body = OutgoingBody::Copied(b"bb");
            outbox.push(&mut pool, b"head1", &body, None);
            outbox.push(&mut pool, b"head2", &shared(b"large"), None);
            outbox.push(&mut pool, b"head3", &body, Some((&fds(2), Some(1))));
            outbox.push(&mut pool, b"head4", &body, None);
            outbox.push(&mut pool, b"head5", &shared(b"LARGE"), Some((&fds(1), Some(2))));
            assert_eq!((outbox.bytes(), outbox.fds()), (41, 3));
            outbox.note_unicast(10, true);
            assert_eq!(outbox.fds_by_user(), [(Some(1), 2), (Some(2), 1)]);
            assert_eq!(outbox.unicast_fds(), 1);
            let (arrived, fds_at) = drain(&mut outbox, &mut pool, step);
            assert_eq!(arrived, b"head1bbhead2largehead3bbhead4bbhead5LARGE", "step {step}");
            assert_eq!(fds_at, [(17, 2), (31, 1)], "step {step}");
            assert_eq!((outbox.bytes(), outbox.fds(), outbox.unicast_fds()), (0, 0, 0));
            assert_eq!(outbox.fds_by_user(), []);
            assert_eq!((outbox.bytes_peak(), outbox.fds_peak()), (41, 3));
        }
    }

    #[test]
    fn small_messages_share_one_slice_and_one_buffer() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        for _ in 0..100 {
            outbox.push(&mut pool, b"0123456789", &OutgoingBody::Copied(b"x"), None);
        }
        let mut slices = WriteSlices::new();
        assert!(outbox.batch(usize::MAX, &mut slices).is_none());
        assert_eq!(slices.len(), 1);
        drop(slices);
        outbox.handle_written(&mut pool, 1100);
        assert_eq!((pool.free.len(), pool.free_queues.len()), (1, 1), "both go back to the pool");
        assert_eq!(outbox.segments.capacity(), 0, "a drained outbox holds no buffer");
    }

    #[test]
    fn large_buffers_and_too_many_buffers_are_not_kept() {
        let mut pool = BufferPool::default();
        pool.give_back(Vec::with_capacity(FREE_BUFFER_SIZE_MAX * 2));
        assert!(pool.free.is_empty());
        let count_max = FREE_BUFFERS_SIZE_MAX / FREE_BUFFER_SIZE_MAX;
        for _ in 0..count_max + 3 {
            pool.give_back(Vec::with_capacity(FREE_BUFFER_SIZE_MAX));
        }
        assert_eq!((pool.free.len(), pool.free_size), (count_max, FREE_BUFFERS_SIZE_MAX));
        assert_eq!(pool.take().capacity(), FREE_BUFFER_SIZE_MAX);
        assert_eq!(pool.free_size, FREE_BUFFERS_SIZE_MAX - FREE_BUFFER_SIZE_MAX);

        pool.give_back_queue(VecDeque::with_capacity(FREE_QUEUE_SEGMENT_COUNT_MAX + 1));
        assert!(pool.free_queues.is_empty());
        for _ in 0..FREE_QUEUE_COUNT_MAX + 3 {
            pool.give_back_queue(VecDeque::with_capacity(FREE_QUEUE_SEGMENT_COUNT_MAX));
        }
        assert_eq!(pool.free_queues.len(), FREE_QUEUE_COUNT_MAX);
    }

    #[test]
    fn a_segment_past_its_bound_begins_a_new_one() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        let half = vec![7; OUTBOX_SEGMENT_SIZE_MAX / 2];
        for _ in 0..4 {
            outbox.push(&mut pool, &half, &OutgoingBody::Copied(&[]), None);
        }
        assert_eq!(outbox.segments.len(), 2);
    }
}
