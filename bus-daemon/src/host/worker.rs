//! One thread for what may take long: reading configuration files, waiting for a keyring's lock.
//!
//! The event loop hands jobs over and reads the results when its descriptor becomes readable; the
//! bus goes on meanwhile. The thread starts with the first job. Bound: `JOBS_MAX` jobs wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

/// Jobs that may wait to be done.
const JOBS_MAX: usize = 1024;

type Job<R> = Box<dyn FnOnce() -> R + Send>;

/// The thread, its jobs and their results of type `R`.
#[derive(Debug)]
pub struct Worker<R> {
    jobs: Option<SyncSender<Job<R>>>,
    results: Receiver<R>,
    finished: Sender<R>,
    wake: Arc<OwnedFd>,
}

impl<R: Send + 'static> Worker<R> {
    /// A worker without a thread.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (finished, results) = channel();
        Ok(Self { jobs: None, results, finished, wake: Arc::new(wake) })
    }

    /// Hands over a job. `false`: too many wait, or the system has no thread left, and the job will
    /// not be done.
    #[must_use]
    pub fn start(&mut self, job: impl FnOnce() -> R + Send + 'static) -> bool {
        if self.jobs.is_none() {
            self.jobs = self.start_thread().ok();
        }
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Box::new(job)).is_ok())
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

    fn start_thread(&self) -> io::Result<SyncSender<Job<R>>> {
        let (sender, jobs) = sync_channel::<Job<R>>(JOBS_MAX);
        let (finished, wake) = (self.finished.clone(), Arc::clone(&self.wake));
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            for job in jobs {
                if finished.send(job()).is_err() {
                    return;
                }
                let _ = write(&*wake, &1u64.to_ne_bytes());
            }
        })?;
        Ok(sender)
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
        let mut worker = Worker::new().unwrap();
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
}
