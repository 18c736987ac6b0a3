//! Threads for what may take long: reading configuration files, waiting for a keyring's lock, starting
//! programs.
//!
//! The event loop hands jobs over and reads the results when its descriptor becomes readable; the
//! bus goes on meanwhile. A thread starts with a job that finds all others at work, and ends when there is
//! none left. Bounds: `JOBS_MAX` jobs wait, and as many threads as the worker is made with run.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

/// Jobs that may wait to be done: more than a bus has starts of services (config.md B039).
const JOBS_MAX: usize = 16 * 1024;

type Job<R> = Box<dyn FnOnce() -> R + Send>;

/// The threads, their jobs and the results of type `R`.
pub struct Worker<R> {
    queue: Arc<Mutex<Queue<R>>>,
    threads_max: usize,
    results: Receiver<R>,
    finished: Sender<R>,
    wake: Arc<OwnedFd>,
}

struct Queue<R> {
    jobs: VecDeque<Job<R>>,
    /// Threads that look here once more before they end.
    thread_count: usize,
}

fn lock<R>(queue: &Mutex<Queue<R>>) -> MutexGuard<'_, Queue<R>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Send + 'static> Worker<R> {
    /// A worker without a thread. With at most one, jobs are done in their order.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new(threads_max: usize) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (finished, results) = channel();
        let queue = Arc::new(Mutex::new(Queue { jobs: VecDeque::new(), thread_count: 0 }));
        Ok(Self { queue, threads_max, results, finished, wake: Arc::new(wake) })
    }

    /// Hands over a job. `false`: too many wait, or the system has no thread left, and the job will
    /// not be done.
    #[must_use]
    pub fn start(&mut self, job: impl FnOnce() -> R + Send + 'static) -> bool {
        let mut queue = lock(&self.queue);
        if queue.jobs.len() >= JOBS_MAX {
            return false;
        }
        queue.jobs.push_back(Box::new(job));
        if queue.thread_count < self.threads_max {
            match self.start_thread() {
                Ok(()) => queue.thread_count += 1,
                // Another thread will get to it.
                Err(_) if queue.thread_count > 0 => {}
                Err(_) => {
                    queue.jobs.pop_back();
                    return false;
                }
            }
        }
        true
    }

    /// The result of a job that is done, if there is one.
    pub fn next_result(&mut self) -> Option<R> {
        let result = self.results.try_recv().ok();
        if result.is_none() {
            // Nothing is left to be woken for; a result that comes now wakes anew.
            let _ = read(&*self.wake, &mut [0; 8]);
            return self.results.try_recv().ok();
        }
        result
    }

    fn start_thread(&self) -> io::Result<()> {
        let (queue, finished) = (Arc::clone(&self.queue), self.finished.clone());
        let wake = Arc::clone(&self.wake);
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            loop {
                let mut waiting = lock(&queue);
                let Some(job) = waiting.jobs.pop_front() else {
                    waiting.thread_count -= 1;
                    return;
                };
                drop(waiting);
                if finished.send(job()).is_err() {
                    return;
                }
                let _ = write(&*wake, &1u64.to_ne_bytes());
            }
        })?;
        Ok(())
    }
}

impl<R> AsFd for Worker<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_and_wake_the_reader() {
        let mut worker = Worker::new(1).unwrap();
        for number in 0..10 {
            assert!(worker.start(move || number));
        }
        let mut results = Vec::new();
        while results.len() < 10 {
            poll(&mut [PollFd::new(&worker, PollFlags::IN)], None).unwrap();
            while let Some(result) = worker.next_result() {
                results.push(result);
            }
        }
        assert_eq!(results, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_job_that_hangs_holds_up_no_other() {
        let mut worker = Worker::new(2).unwrap();
        let (go_on, hangs) = channel::<()>();
        assert!(worker.start(move || hangs.recv().map_or(0, |()| 1)));
        for number in 2..6 {
            assert!(worker.start(move || number));
        }
        let mut take = |count: usize| {
            let mut results = Vec::new();
            while results.len() < count {
                poll(&mut [PollFd::new(&worker, PollFlags::IN)], None).unwrap();
                while let Some(result) = worker.next_result() {
                    results.push(result);
                }
            }
            results
        };
        assert_eq!(take(4), [2, 3, 4, 5]);
        go_on.send(()).unwrap();
        assert_eq!(take(1), [1]);
    }
}
