//! What keeps the values that are served.

use crate::client::link::Style;

/// What keeps a value that is served.
pub trait Cell<T>: Send + Sync + 'static {
    /// Keeps `value`.
    fn new(value: T) -> Self;

    /// Whether this thread uses the value already, so that it would wait for itself.
    fn is_in_use_here(&self) -> bool {
        false
    }
}

/// Keeps a value whose methods take `&self`: without a lock.
#[derive(Debug)]
pub struct Shared<T>(T);

impl<T> Shared<T> {
    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Cell<T> for Shared<T> {
    fn new(value: T) -> Self {
        Self(value)
    }
}

/// Keeps a value some of whose methods take `&mut self`, for those who wait as futures.
#[cfg(feature = "async")]
#[derive(Debug)]
pub struct Exclusive<T>(async_lock::RwLock<T>);

#[cfg(feature = "async")]
impl<T> Exclusive<T> {
    /// The value, once nobody changes it.
    pub async fn read(&self) -> impl std::ops::Deref<Target = T> {
        self.0.read().await
    }

    /// The value to be changed, once nobody else uses it.
    pub async fn write(&self) -> impl std::ops::DerefMut<Target = T> {
        self.0.write().await
    }
}

#[cfg(feature = "async")]
impl<T: Send + Sync + 'static> Cell<T> for Exclusive<T> {
    fn new(value: T) -> Self {
        Self(async_lock::RwLock::new(value))
    }
}

/// Keeps a value some of whose methods take `&mut self`, for those who wait where they call.
#[cfg(feature = "blocking")]
#[derive(Debug)]
pub struct ExclusiveBlocking<T>(std::sync::RwLock<T>);

#[cfg(feature = "blocking")]
impl<T> ExclusiveBlocking<T> {
    /// The value, once nobody changes it.
    pub fn read(&self) -> impl std::ops::Deref<Target = T> {
        let guard = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        in_use::InUse::new(guard, self)
    }

    /// The value to be changed, once nobody else uses it.
    pub fn write(&self) -> impl std::ops::DerefMut<Target = T> {
        let guard = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        in_use::InUse::new(guard, self)
    }
}

#[cfg(feature = "blocking")]
impl<T: Send + Sync + 'static> Cell<T> for ExclusiveBlocking<T> {
    fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(value))
    }

    fn is_in_use_here(&self) -> bool {
        in_use::is_here(self)
    }
}

/// Which values this thread uses. A method that waits serves other calls meanwhile in its own thread, where one
/// that needs the same value would wait for it without end.
#[cfg(feature = "blocking")]
pub(super) mod in_use {
    use std::cell::RefCell;
    use std::ops::{Deref, DerefMut};

    thread_local! {
        /// By the addresses of what keeps them.
        static HERE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    /// Whether there is any.
    pub(crate) fn is_any_here() -> bool {
        HERE.with_borrow(|here| !here.is_empty())
    }

    pub(super) fn is_here<C>(cell: &C) -> bool {
        HERE.with_borrow(|here| here.contains(&std::ptr::from_ref(cell).addr()))
    }

    /// While it is there the value is in use.
    pub(super) struct InUse<G> {
        guard: G,
        address: usize,
    }

    impl<G> InUse<G> {
        pub(super) fn new<C>(guard: G, cell: &C) -> Self {
            let address = std::ptr::from_ref(cell).addr();
            HERE.with_borrow_mut(|here| here.push(address));
            Self { guard, address }
        }
    }

    impl<G> Drop for InUse<G> {
        fn drop(&mut self) {
            HERE.with_borrow_mut(|here| {
                if let Some(index) = here.iter().rposition(|address| *address == self.address) {
                    here.swap_remove(index);
                }
            });
        }
    }

    impl<G: Deref> Deref for InUse<G> {
        type Target = G::Target;

        fn deref(&self) -> &G::Target {
            &self.guard
        }
    }

    impl<G: DerefMut> DerefMut for InUse<G> {
        fn deref_mut(&mut self) -> &mut G::Target {
            &mut self.guard
        }
    }
}

impl<I, S> super::InterfaceRef<I, S>
where
    I: super::Interface<S, Cell = Shared<I>>,
    S: Style,
{
    /// The value.
    #[must_use]
    pub fn get(&self) -> &I {
        self.cell().get()
    }
}

#[cfg(feature = "async")]
impl<I> super::InterfaceRef<I, crate::Async>
where
    I: super::Interface<crate::Async, Cell = Exclusive<I>>,
{
    /// The value, once nobody changes it.
    pub async fn read(&self) -> impl std::ops::Deref<Target = I> {
        self.cell().read().await
    }

    /// The value to be changed, once nobody else uses it.
    pub async fn get_mut(&self) -> impl std::ops::DerefMut<Target = I> {
        self.cell().write().await
    }
}

#[cfg(feature = "blocking")]
impl<I> super::InterfaceRef<I, crate::blocking::Blocking>
where
    I: super::Interface<crate::blocking::Blocking, Cell = ExclusiveBlocking<I>>,
{
    /// The value, once nobody changes it.
    pub fn read(&self) -> impl std::ops::Deref<Target = I> {
        self.cell().read()
    }

    /// The value to be changed, once nobody else uses it.
    pub fn get_mut(&self) -> impl std::ops::DerefMut<Target = I> {
        self.cell().write()
    }
}
