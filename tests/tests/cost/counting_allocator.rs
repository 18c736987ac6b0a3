//! The system's allocator, counted for each thread, so that tests do not see one another.

#![allow(unsafe_code, reason = "an allocator can only be replaced by an unsafe implementation")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What one thread has asked of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    /// How often memory was asked for, growing a block included.
    pub(crate) allocations: u64,
    /// Bytes in use, each block as large as glibc makes it. A block that another thread freed
    /// still counts here.
    pub(crate) bytes: i64,
}

thread_local! {
    static HEAP: Cell<Heap> = const { Cell::new(Heap { allocations: 0, bytes: 0 }) };
}

/// What the current thread has asked for so far.
pub(crate) fn heap() -> Heap {
    HEAP.get()
}

/// How many allocations `work` makes.
pub(crate) fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = heap();
    work();
    heap().allocations - before.allocations
}

struct CountingAllocator;

impl CountingAllocator {
    fn count(allocations: u64, bytes: i64) {
        // A thread that is ending has no counter any more, and nobody who would read it.
        let _ = HEAP.try_with(|heap| {
            let Heap { allocations: so_far, bytes: in_use } = heap.get();
            heap.set(Heap { allocations: so_far + allocations, bytes: in_use + bytes });
        });
    }
}

/// The memory that a request takes from glibc's allocator: a header of 8 bytes, a multiple of 16,
/// at least 32.
fn block_size(size: usize) -> i64 {
    (size + 8).next_multiple_of(16).max(32) as i64
}

// SAFETY: every call is handed to the system's allocator as it came, and its answer handed back.
// Counting neither allocates nor unwinds: the counter is a plain cell that needs no destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(1, block_size(layout.size()));
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(1, block_size(layout.size()));
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::count(0, -block_size(layout.size()));
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(1, block_size(size) - block_size(layout.size()));
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}
