//! What a program is told and waits for, one thing after the other, in both styles: part of what
//! [`api`](super::api) makes.

/// The functions of one style, as there.
macro_rules! told {
    ([$($async:tt)?], $run:ident) => {
        impl<T> PropertyStream<T>
        where
            T: Type + for<'de> Deserialize<'de>,
        {
            /// Waits for the next change.
            ///
            /// # Errors
            /// The connection is over.
            pub $($async)? fn next_change(&mut self) -> Result<PropertyChanged<T>> {
                $run!(self.take_next())
            }

            /// The next change; `None` when the connection is over.
            #[allow(clippy::should_implement_trait, reason = "it is no iterator in both styles")]
            pub $($async)? fn next(&mut self) -> Option<PropertyChanged<T>> {
                if self.has_ended() {
                    return None;
                }
                $run!(self.take_next()).ok()
            }
        }

        impl Monitor {
            /// Waits for the next message.
            ///
            /// # Errors
            /// The connection is over; all that came before has been told.
            pub $($async)? fn next_message(&mut self) -> Result<Message> {
                $run!(self.take_next(Deadline::Never))
            }

            /// Waits for the next message for so long.
            ///
            /// # Errors
            /// There was none ([`Error::TimedOut`]), or the connection is over.
            pub $($async)? fn next_within(&mut self, timeout: Duration) -> Result<Message> {
                $run!(self.take_next(Deadline::after(Some(timeout))))
            }
        }

        impl NameWatch {
            /// Waits for the next owner: the present one at first, at once. `None`: nobody has it. After the connection
            /// was lost and made again the present one is told anew.
            ///
            /// # Errors
            /// It was a unique name on a bus that is lost ([`Error::SenderGone`]), or the connection is over.
            pub $($async)? fn next_owner(&mut self) -> Result<Option<String>> {
                $run!(self.take_next())
            }
        }

        impl ManagedObjects {
            /// Waits until something has become of the objects, and takes that in. When another program has the name
            /// all that was before is removed, and what it has is added.
            ///
            /// # Errors
            /// The connection is over, or the program has more objects than are kept or answers nonsense; what is
            /// known then is what was before, and the next call tries again.
            pub $($async)? fn next_event(&mut self) -> Result<$crate::client::ObjectEvent> {
                $run!(self.take_event())
            }
        }

        impl PeerSet {
            /// Puts a name into it, such as that of a call's sender. Answers whether it is in it now: not if nobody
            /// has the name. One that is in it already is there once, or, if it counts, once more.
            ///
            /// # Errors
            /// It is no bus name, or the bus refuses the match rule.
            pub $($async)? fn add(&mut self, name: &str) -> Result<bool> {
                $run!(self.insert(name))
            }

            /// Waits for the next one that goes, which is in it no more, however often it was added. When the
            /// connection is lost and made again all are gone. `None`: nobody is in it.
            ///
            /// # Errors
            /// The connection is over.
            pub $($async)? fn next_gone(&mut self) -> Result<Option<String>> {
                $run!(self.take_gone())
            }

            /// Waits until all are gone.
            ///
            /// # Errors
            /// The connection is over.
            pub $($async)? fn wait_until_empty(&mut self) -> Result<()> {
                $run!(self.become_empty())
            }
        }

        impl OwnedName {
            /// Waits until the name is lost, or had.
            ///
            /// # Errors
            /// It is lost, and not waited for any more ([`Error::NameTaken`]), or the connection is over.
            pub $($async)? fn next_event(&mut self) -> Result<NameEvent> {
                $run!(self.take_next())
            }
        }

        impl SignalStream {
            /// Waits for the next signal; `None` at the end of the stream. What was missed before it is no item:
            /// [`take_missed`](Self::take_missed) and [`take_interrupted`](Self::take_interrupted) tell it.
            pub $($async)? fn next_or_end(&mut self) -> Option<Message> {
                $run!(self.take_next_or_end())
            }

            /// Waits for the next signal.
            ///
            /// # Errors
            /// The connection was lost meanwhile and is made again ([`Error::Interrupted`]): the stream goes on. It was
            /// about a unique name on a bus that is lost ([`Error::SenderGone`]), or the connection is over.
            pub $($async)? fn next_signal(&mut self) -> Result<Message> {
                $run!(self.take_next(Deadline::Never))
            }

            /// Waits for the next signal for so long.
            ///
            /// # Errors
            /// There was none ([`Error::TimedOut`]), or the connection is over.
            pub $($async)? fn next_within(&mut self, timeout: Duration) -> Result<Message> {
                $run!(self.take_next(Deadline::after(Some(timeout))))
            }
        }
    };
}

pub(in crate::client) use told;
