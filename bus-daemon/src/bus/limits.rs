//! Every bound of the bus core that no configuration sets. The configured ones are
//! [`bus_policy::config::Limits`] (config.md B027–B045).

use bus_policy::config::Limits;

/// A body above this size, in bytes, is held once for all recipients instead of being copied to
/// each.
pub const COPIED_BODY_SIZE_MAX: usize = 16 * 1024;
/// The same of a message to many: so many bytes, and so many recipients.
pub const SHARED_BODY_SIZE_MIN: usize = 2 * 1024;
/// See [`SHARED_BODY_SIZE_MIN`].
pub const SHARED_BODY_RECIPIENT_COUNT_MIN: usize = 4;
/// Size in bytes past which an outbox begins a new buffer instead of growing the last one.
pub const OUTBOX_SEGMENT_SIZE_MAX: usize = 128 * 1024;
/// Work done for one client before others get their turn, in units of about a tenth of a small
/// message: about eighteen small messages, or two signals to a hundred recipients. It bounds how
/// long a client waits for another one that floods the bus.
pub const WORK_PER_TURN_MAX: u64 = 200;
/// What a user may do in a round beside others, in the same units: half of it by sending, the other half by
/// what was put off. Who has done more waits for as many rounds as that is worth.
pub const USER_WORK_PER_ROUND: u64 = 2 * WORK_PER_TURN_MAX;
/// Work of one read, whatever it brings.
pub const READ_WORK: u64 = 10;
/// And so many bytes that it brings are work of one more unit.
pub const READ_SIZE_PER_WORK: usize = 1024;
/// So many bytes for one recipient are work of one such unit, beside the recipient itself.
pub const QUEUED_SIZE_PER_WORK: usize = 512;
/// Work of a description of the bus, which is written anew each time.
pub const INTROSPECTION_WORK: u64 = 300;
/// Work for each name that a client gives up when it goes and each call that it leaves unanswered, in the
/// same units, beside what telling others costs.
pub const GIVEN_UP_WORK: u64 = 10;
/// So many bytes of an answer of the bus are work of one such unit.
pub const ANSWER_SIZE_PER_WORK: u64 = 256;
/// A broadcast to more recipients than this is written when there is nothing more urgent.
pub const URGENT_RECIPIENT_COUNT_MAX: usize = 16;
/// Bytes of broadcasts that wait to be written; beyond, those who caused them are not heard until
/// all are written.
pub const UNWRITTEN_BROADCASTS_SIZE_MAX: usize = 1 << 20;
/// Turns for which broadcasts wait for those who caused them to be done, so that each recipient gets
/// them in one write.
pub const HELD_BROADCASTS_TURN_COUNT_MAX: u64 = 16;
/// Compiled policies that are kept although no client is subject to them at the moment.
pub const KEPT_POLICY_COUNT_MAX: usize = 64;
/// Names of a client that are remembered with each of its messages that waits for a start.
pub const REMEMBERED_NAME_COUNT_MAX: usize = 16;
/// Longest message of the bus itself, in bytes: what is in it is one array, which may be no longer
/// (protocol.md A020).
pub const BUS_MESSAGE_SIZE_MAX: usize = libbus::limits::ARRAY_SIZE_MAX as usize;
/// Descriptors that the kernel passes with one message (SCM_MAX_FD, protocol.md A039).
const KERNEL_FDS_MAX: u64 = 253;

/// Descriptors that one message may have: `max_message_unix_fds`, or fewer if the kernel could not
/// pass them on together (config.md B032).
#[must_use]
pub fn message_unix_fds_max(limits: &Limits) -> u64 {
    limits.message_unix_fds_max.min(KERNEL_FDS_MAX)
}

/// Bytes of messages for one client alone that may wait for it; beyond, or beyond half of
/// `max_outgoing_bytes`, each sender who adds to them is paused.
const SLOW_RECEIVER_SIZE_MAX: u64 = 1 << 20;
/// Bytes that wait for a client above which users share its queue.
pub const SHARED_BACKLOG_SIZE_MIN: usize = 1 << 20;
/// How much of a long queue is looked at as one when it is counted whose messages are in it, in bytes.
pub const BACKLOG_CHUNK_SIZE: u64 = 64 * 1024;
/// How long a sender is paused at most, once in each episode of congestion.
pub const SENDER_PAUSE_MS: u64 = 500;
/// How long after the begin of a pause a sender is not paused again, on whose account ever: it may have to
/// serve others, and is stalled for no more than a twentieth of the time.
pub const SENDER_PAUSE_GAP_MS: u64 = 20 * SENDER_PAUSE_MS;
/// How long after a line about a pause the log is not told of others.
pub const PAUSE_LOG_GAP_MS: u64 = 1000;

/// Bytes for one client alone beyond which its senders are paused; they go on below half of that.
#[must_use]
pub fn slow_receiver_size_max(limits: &Limits) -> usize {
    let max = (limits.outgoing_bytes_max / 2).min(SLOW_RECEIVER_SIZE_MAX);
    usize::try_from(max).unwrap_or(usize::MAX)
}

/// Descriptors for one client alone beyond which the senders of more are paused; they go on below half of
/// that.
#[must_use]
pub fn slow_receiver_fds_max(limits: &Limits) -> usize {
    usize::try_from(limits.outgoing_unix_fds_max / 2).unwrap_or(usize::MAX)
}

/// Bytes of one client, waiting for it or half sent, that its user's share does not count.
pub const UNCOUNTED_SIZE_MAX: usize = 16 * 1024;
/// Calls in flight of one client that its user's share does not count.
pub const UNCOUNTED_REPLY_COUNT_MAX: u32 = 16;
/// Least pool of bytes that all users share.
pub const BYTES_POOL_MIN: u64 = 16 << 20;
/// Least pool of descriptors, unless the process may not have so many.
pub const FDS_POOL_MIN: u64 = 1024;
/// Least pool of rules, names and replies, each.
pub const COUNT_POOL_MIN: u64 = 16_384;
/// Least pool of match rules that are looked at for messages which they do not match.
pub const VAGUE_RULES_POOL_MIN: u64 = 2048;
/// As many of each are in the pool for each connection that may be there: a bus of many clients has
/// as much for each as a bus of few.
pub const COUNT_POOL_PER_CONNECTION: u64 = 16;
/// Connections that are kept for root and the bus's own user, at most.
pub const KEPT_CONNECTION_COUNT_MAX: u32 = 32;
/// How often it is looked whether a client whose half message is beyond its share has room.
pub const SHARE_RETRY_MS: u64 = 100;
/// How long a client may take to send the rest of a message that is beyond its share, while others of
/// its user wait to send theirs.
pub const LET_THROUGH_MS: u64 = 10_000;
/// How long it may take to begin with that; then the next one has its turn first.
pub const LET_THROUGH_BEGIN_MS: u64 = 1_000;
/// Bytes that it must have sent by then.
pub const LET_THROUGH_BEGIN_SIZE: usize = 64 * 1024;
/// How often the log says that connections of one user are closed at once, at most.
pub const REFUSED_CONNECTIONS_LOG_GAP_MS: u64 = 60_000;
/// Refusals of one client that the log is told of within [`LOGGED_REFUSALS_GAP_MS`].
pub const LOGGED_REFUSALS_MAX: u32 = 100;
/// The same of all clients of one user together, which may come and go; and of messages of a user that a
/// rule with log="true" lets pass.
pub const LOGGED_REFUSALS_OF_USER_MAX: u32 = 500;
/// Disconnections of one user's clients that the log is told of in that time.
pub const LOGGED_DISCONNECTIONS_MAX: u32 = 100;
/// Clients of one user whom broadcasts begin to leave out that the log is told of in that time.
pub const LOGGED_LEFT_OUT_MAX: u32 = 20;
/// Users whose refusals are remembered when their last client has gone.
pub const LOGGED_USER_COUNT_MAX: usize = 256;
/// See [`LOGGED_REFUSALS_MAX`].
pub const LOGGED_REFUSALS_GAP_MS: u64 = 10_000;

/// How far the bus's own messages to a client may go beyond `max_outgoing_bytes`, in bytes.
pub const BUS_MESSAGES_BEYOND_LIMIT_SIZE_MAX: u64 = 1 << 20;
/// Slices in one write; the kernel takes at most 1024.
pub const WRITE_SLICE_COUNT_MAX: usize = 32;
/// Size in bytes with which a buffer of an outbox begins: a burst of small messages fits.
pub const NEW_BUFFER_SIZE: usize = 1024;
/// Largest buffer kept for reuse, in bytes.
pub const FREE_BUFFER_SIZE_MAX: usize = 64 * 1024;
/// Bytes of all buffers kept for reuse: enough for a broadcast to some hundred clients.
pub const FREE_BUFFERS_SIZE_MAX: usize = 512 * 1024;
/// Queues of buffers kept for reuse.
pub const FREE_QUEUE_COUNT_MAX: usize = 1024;
/// Longest queue kept for reuse, in buffers.
pub const FREE_QUEUE_SEGMENT_COUNT_MAX: usize = 16;
/// A message with at least so many bytes still to come is read straight into its own buffer.
pub const DIRECT_RECEIVE_SIZE_MIN: usize = 16 * 1024;
/// Bytes of all buffers of large messages that are kept for the next ones.
pub const SPARE_BUFFERS_SIZE_MAX: usize = 16 << 20;
/// How many such buffers are kept.
pub const SPARE_BUFFER_COUNT_MAX: usize = 16;
/// How long they are kept without being used.
pub const SPARE_BUFFER_TIME_MS: u64 = 1_000;
/// Largest buffer for a message of which little has come, in bytes; later it grows with what comes,
/// to at most [`RECEIVE_GROWTH_FACTOR`] times that. Announcing much must not cost much.
pub const RECEIVE_BUFFER_SIZE_FIRST: usize = 1 << 20;
/// See [`RECEIVE_BUFFER_SIZE_FIRST`].
pub const RECEIVE_GROWTH_FACTOR: usize = 4;
/// Memory is given back only after there were so many clients, names, rules and calls at once.
pub const GIVEN_BACK_COUNT_MIN: usize = 64;
/// Or so many bytes of messages waited at once.
pub const GIVEN_BACK_SIZE_MIN: u64 = 16 << 20;
/// Calls of ReloadConfig by one user that may wait for their answer.
pub const RELOAD_CALLER_COUNT_MAX: usize = 128;
/// How long after a reading of the configuration the next one begins that ordinary users ask for.
pub const RELOAD_GAP_MS: u64 = 1_000;
/// How long after a service's process has ended well, and all that it left behind, somebody else may take
/// the name whom it had started by another manager.
pub const EXITED_WELL_TIME_MS: u64 = 1_000;
/// How many services are started for one message that go before they have read any; then it is lost.
pub const VAIN_STARTS_MAX: u8 = 3;
/// Bytes of messages above [`UNCOUNTED_SIZE_MAX`] that are held for starts although their senders are gone,
/// and descriptors of such.
pub const ORPHANS_SIZE_MAX: usize = 8 << 20;
/// See [`ORPHANS_SIZE_MAX`].
pub const ORPHAN_FDS_MAX: usize = 64;
/// Calls in flight that one answer of GetCalls tells of.
pub const TOLD_CALL_COUNT_MAX: usize = 1024;
/// Variables that UpdateActivationEnvironment may set in all.
pub const ACTIVATION_VARIABLE_COUNT_MAX: usize = 4096;
/// Bytes of all activation variables, names and values.
pub const ACTIVATION_ENVIRONMENT_SIZE_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    // config.md B032, protocol.md A039
    #[test]
    fn no_message_has_more_descriptors_than_the_kernel_passes() {
        let max = |configured| {
            message_unix_fds_max(&Limits { message_unix_fds_max: configured, ..Limits::default() })
        };
        assert_eq!([16, 253, 254, u64::MAX].map(max), [16, 253, 253, 253]);
    }
}
