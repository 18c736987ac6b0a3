//! What a program can ask of a connection, written once for both styles.

pub(super) mod told;

/// The functions of one style: those that wait are `$async`, and `$run` waits for a future in it.
macro_rules! api {
    ($style:ty, [$($async:tt)?], $run:ident) => {
        use $crate::client::api::scope::*;

        /// A connection to a bus or a peer.
        pub type Connection = $crate::client::connection::Connection<$style>;
        /// How a [`Connection`] is made.
        pub type Builder = $crate::client::builder::Builder<$style>;
        /// Lets clients connect to this program without a bus.
        pub type Listener = $crate::client::listener::Listener<$style>;
        /// How a [`Listener`] is made.
        pub type ListenerBuilder = $crate::client::listener::ListenerBuilder<$style>;
        /// One interface of one object.
        pub type Proxy = $crate::client::proxy::Proxy<$style>;
        /// A call that was sent and whose reply has not been waited for.
        pub type PendingReply = $crate::client::call::PendingReply<$style>;
        /// Signals, one after the other, without end: the last item is the error by which the connection
        /// ended.
        pub type SignalStream = $crate::client::signals::SignalStream<$style>;

        /// The objects that a program serves.
        pub type ObjectServer = $crate::server::ObjectServer<$style>;
        /// Emits the signals of one object.
        pub type SignalEmitter<'a> = $crate::server::SignalEmitter<'a, $style>;
        /// A value that is served, from outside of its methods.
        pub type InterfaceRef<I> = $crate::server::InterfaceRef<I, $style>;

        /// How a proxy of the type `P` is made.
        pub type ProxyBuilder<P> = $crate::client::generated::ProxyBuilder<P, $style>;
        /// The owners of a name, one after the other.
        pub type NameWatch = $crate::client::peers::NameWatch<$style>;
        /// The objects of another program, kept up to date.
        pub type ManagedObjects = $crate::client::managed_objects::ManagedObjects<$style>;
        /// Others on the bus, of which it is told who goes.
        pub type PeerSet = $crate::client::peer_set::PeerSet<$style>;
        /// Sees messages of others, one after the other.
        pub type Monitor = $crate::client::monitor::Monitor<$style>;
        /// A well-known name that is had, or waited for, until this is dropped.
        pub type OwnedName = $crate::client::peers::OwnedName<$style>;
        /// The changes of one property, one after the other.
        pub type PropertyStream<T> = $crate::client::properties::PropertyStream<T, $style>;
        /// A property has changed.
        pub type PropertyChanged<T> = $crate::client::properties::PropertyChanged<T, $style>;

        impl<P> ProxyBuilder<P>
        where
            P: $crate::client::ProxyDefaults + From<Proxy>,
        {
            /// Makes it. Nothing is asked of the program unless properties are kept.
            ///
            /// # Errors
            /// A name is not valid or missing, or properties cannot be asked for.
            pub $($async)? fn build(self) -> Result<P> {
                $run!(self.make())
            }
        }

        impl<T> PropertyChanged<T>
        where
            T: Type + for<'de> Deserialize<'de>,
        {
            /// The new value: the one that was told, else that of now.
            ///
            /// # Errors
            /// It is of another type, or cannot be asked for.
            pub $($async)? fn get(&self) -> Result<T> {
                $run!(self.value())
            }
        }

        impl Builder {
            /// Makes the connection: it is authenticated, has said Hello on a bus, and has its names.
            ///
            /// # Errors
            /// Nothing can be reached, the other end refuses, or somebody else keeps a name.
            pub $($async)? fn build(self) -> Result<Connection> {
                $run!(self.connect())
            }

            /// Connects to see messages of others: those that one of `rules` matches. Without any it is all of them
            /// [as a monitor](Watching::AsMonitor), and [by match rules](Watching::ByMatchRules) what is sent to this
            /// connection alone.
            ///
            /// # Errors
            /// As [`Builder::build`]; one is no match rule, or the bus refuses ([`Error::Method`]).
            pub $($async)? fn monitor(self, rules: &[&str], watching: Watching) -> Result<Monitor> {
                $run!(Monitor::begin(self, rules, watching))
            }
        }

        impl ListenerBuilder {
            /// Listens from now on.
            ///
            /// # Errors
            /// The place is taken or cannot be had ([`Error::Listen`]), or no socket of that name was handed over.
            pub $($async)? fn listen(self) -> Result<Listener> {
                $run!(self.open())
            }
        }

        impl Listener {
            /// Waits for the next client that has proved who it is. Objects that the builder names are served to it;
            /// others are to be added before it is told that they are there.
            ///
            /// Handshakes go on while somebody waits here. A client that says nothing holds up no other; it has 25 s,
            /// and less where 64 others come after it.
            ///
            /// # Errors
            /// The system has no room for one more client; there may be when another one is gone.
            pub $($async)? fn accept(&mut self) -> Result<Connection> {
                $run!(self.next())
            }
        }

        impl Connection {
            /// Connects to the bus of the user's session: [`Builder::session`].
            ///
            /// # Errors
            /// As [`Builder::session`] and [`Builder::build`].
            pub $($async)? fn session() -> Result<Self> {
                $run!(Builder::session()?.connect())
            }

            /// Connects to the system bus: [`Builder::system`].
            ///
            /// # Errors
            /// As [`Builder::system`] and [`Builder::build`].
            pub $($async)? fn system() -> Result<Self> {
                $run!(Builder::system()?.connect())
            }

            /// The bus itself.
            #[must_use]
            pub fn bus(&self) -> Proxy {
                Proxy::of_bus(self)
            }

            /// Waits until the connection is over, and answers why. Meanwhile it reads for all who use it.
            pub $($async)? fn closed(&self) -> Error {
                $run!(self.link().closed())
            }

            /// Waits until everything that was sent so far is written, which is to be done before a program ends that has sent
            /// what it waits for no reply to.
            ///
            /// # Errors
            /// The connection is over.
            pub $($async)? fn flush(&self) -> Result<()> {
                $run!(self.link().flush())
            }

            /// Calls a method and waits for the reply, 25 s at most, if the connection says nothing else
            /// ([`Builder::call_timeout`]).
            ///
            /// # Errors
            /// The other side answers with an error ([`Error::Method`]) or not in time, a name is not valid, or the
            /// connection is over.
            pub $($async)? fn call_method<'a, D, P, I, M, T>(
                &self,
                destination: Option<D>,
                path: P,
                interface: Option<I>,
                member: M,
                arguments: &T,
            ) -> Result<Message>
            where
                D: TryInto<BusName<'a>, Error: Into<Error>>,
                P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
                I: TryInto<InterfaceName<'a>, Error: Into<Error>>,
                M: TryInto<MemberName<'a>, Error: Into<Error>>,
                T: Serialize + DynamicType + ?Sized,
            {
                let mut call = MethodCall::new(path, member)?;
                if let Some(destination) = destination {
                    call = call.destination(destination)?;
                }
                if let Some(interface) = interface {
                    call = call.interface(interface)?;
                }
                $run!(self.link().call(&call, arguments))
            }

            /// Calls and waits for the reply.
            ///
            /// # Errors
            /// As [`Connection::call_method`].
            pub $($async)? fn call<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<Message>
            where
                T: Serialize + DynamicType + ?Sized,
            {
                $run!(self.link().call(call, arguments))
            }

            /// Calls, and leaves the waiting for later: several calls may be under way at once.
            ///
            /// # Errors
            /// The call cannot be sent, the connection is lost and not there again ([`Error::CallLost`]; this does not
            /// wait for it), or it is over. Where the other end does not read what was sent before, of which
            /// [`WRITE_SIZE_MAX`](crate::connection::WRITE_SIZE_MAX) bytes wait, the blocking style waits for room, for
            /// as long as the call has ([`Error::TimedOut`]), and that with futures fails ([`Error::Send`]), whose
            /// [`Connection::call`] waits.
            pub fn send<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<PendingReply>
            where
                T: Serialize + DynamicType + ?Sized,
            {
                self.link().begin_call(call, arguments)
            }

            /// Calls without wanting a reply; nobody hears if it is refused. Waits until the call has left, for no longer
            /// than its timeout: of one that has not begun to leave by then nothing leaves.
            ///
            /// # Errors
            /// The call cannot be sent, or not in time ([`Error::TimedOut`]), or the connection is over.
            pub $($async)? fn call_no_reply<T>(&self, call: &MethodCall<'_>, arguments: &T) -> Result<()>
            where
                T: Serialize + DynamicType + ?Sized,
            {
                $run!(self.link().call_no_reply(call, arguments))
            }

            /// Sends a message as its header says, of any type, and answers its serial: that of the header, its
            /// signature and its number of descriptors do not count. This is for programs that answer by themselves
            /// what a [`Monitor`] sees. What the socket has no room for leaves later ([`Connection::flush`]).
            ///
            /// # Errors
            /// It cannot be sent, the connection is lost and not there again ([`Error::CallLost`]), or it is over. Where
            /// [`WRITE_SIZE_MAX`](crate::connection::WRITE_SIZE_MAX) bytes wait to be written it is an error at once, in
            /// both styles ([`SendError::QueueFull`](crate::connection::SendError::QueueFull)).
            pub fn send_message<T>(&self, header: &Header<'_>, arguments: &T) -> Result<NonZeroU32>
            where
                T: Serialize + DynamicType + ?Sized,
            {
                self.link().send(header, arguments, Expects::Nothing)
            }

            /// Emits a signal: to all who asked for it, or to one. Waits until it has left, for no longer than a call
            /// ([`Builder::call_timeout`]): of one that has not begun to leave by then nothing leaves.
            ///
            /// # Errors
            /// A name is not valid, the signal cannot be sent, or not in time ([`Error::TimedOut`]), or the connection is
            /// over.
            pub $($async)? fn emit_signal<'a, P, I, M, T>(
                &self,
                destination: Option<BusName<'a>>,
                path: P,
                interface: I,
                member: M,
                arguments: &T,
            ) -> Result<()>
            where
                P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
                I: TryInto<InterfaceName<'a>, Error: Into<Error>>,
                M: TryInto<MemberName<'a>, Error: Into<Error>>,
                T: Serialize + DynamicType + ?Sized,
            {
                let signal = SignalEmission {
                    destination,
                    path: path.try_into().map_err(Into::into)?,
                    interface: interface.try_into().map_err(Into::into)?,
                    member: member.try_into().map_err(Into::into)?,
                };
                $run!(self.link().emit(&signal, arguments))
            }

            /// The signals that a match rule is about, from now on: `type='signal',path='/a'`. A sender that is a
            /// well-known name is its owner at the time.
            ///
            /// # Errors
            /// It is no match rule, or the bus refuses it.
            pub $($async)? fn receive_signals(&self, rule: &str) -> Result<SignalStream> {
                let rule = MatchRule { message_type: Some(MessageType::Signal), ..MatchRule::parse(rule)? };
                $run!(begin_default(self.link(), rule))
            }

            /// As [`Connection::receive_signals`], of which at most `length_max` wait to be read, and
            /// [`STREAM_SIZE_MAX`](crate::connection::STREAM_SIZE_MAX) bytes.
            ///
            /// # Errors
            /// The bus refuses the rule.
            pub $($async)? fn receive_signals_with(
                &self,
                rule: MatchRule,
                length_max: usize,
                overflow: Overflow,
            ) -> Result<SignalStream> {
                $run!(SignalStream::begin(self.link(), rule, length_max, overflow))
            }

            /// Requests a well-known name. It is not waited for if somebody else keeps it.
            ///
            /// # Errors
            /// Somebody else keeps it ([`Error::NameTaken`]), it is not valid, or the bus refuses it.
            pub $($async)? fn request_name(&self, name: &str) -> Result<()> {
                let flags = RequestNameFlags { do_not_queue: true, ..Default::default() };
                match $run!(self.link().request_name(WellKnownName::parse(name)?, flags))? {
                    RequestNameReply::Exists | RequestNameReply::InQueue => Err(Error::NameTaken),
                    RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => Ok(()),
                }
            }

            /// As [`Connection::request_name`], as `flags` say.
            ///
            /// # Errors
            /// It is not valid, or the bus refuses it.
            pub $($async)? fn request_name_with(
                &self,
                name: &str,
                flags: RequestNameFlags,
            ) -> Result<RequestNameReply> {
                $run!(self.link().request_name(WellKnownName::parse(name)?, flags))
            }

            /// Requests a well-known name, which is let go when what is returned is dropped, and which tells when it
            /// is lost or, if it is waited for, had.
            ///
            /// # Errors
            /// Somebody else keeps it ([`Error::NameTaken`]), it is not valid, or the bus refuses it.
            pub $($async)? fn own_name(&self, name: &str, flags: RequestNameFlags) -> Result<OwnedName> {
                $run!(OwnedName::request(self, name, flags))
            }

            /// Who has a name, now and from now on.
            ///
            /// # Errors
            /// It is no bus name, or the bus refuses the match rule or the question.
            pub $($async)? fn watch_name(&self, name: &str) -> Result<NameWatch> {
                $run!(NameWatch::begin(self, name))
            }

            /// The objects of the program that has this name, with their interfaces and properties, as its object
            /// manager at `path` tells of them: now, and from now on as events are taken
            /// ([`ManagedObjects::next_event`]). Nobody may have the name; it is not started for that.
            ///
            /// # Errors
            /// A name is not valid, the bus refuses a match rule, or the program has no object manager there.
            pub $($async)? fn managed_objects<'a, D, P>(
                &self,
                destination: D,
                path: P,
            ) -> Result<ManagedObjects>
            where
                D: TryInto<BusName<'a>, Error: Into<Error>>,
                P: TryInto<ObjectPath<'a>, Error: Into<Error>>,
            {
                let destination = destination.try_into().map_err(Into::into)?;
                let path = path.try_into().map_err(Into::into)?;
                $run!(ManagedObjects::begin(self, destination, path))
            }

            /// A set of others on the bus, of which it is told who goes; nobody is in it yet. A service gives up by it
            /// what it holds for clients that are gone.
            #[must_use]
            pub fn peer_set(&self) -> PeerSet {
                PeerSet::new(self)
            }

            /// Who it is that has a name, such as the sender of a message.
            ///
            /// # Errors
            /// Nobody has it, or it is no bus name.
            pub $($async)? fn credentials(&self, name: &str) -> Result<Credentials> {
                $run!(self.link().credentials(name))
            }

            /// Lets go of a well-known name.
            ///
            /// # Errors
            /// It is not valid, or the bus refuses that.
            pub $($async)? fn release_name(&self, name: &str) -> Result<ReleaseNameReply> {
                $run!(self.link().release_name(WellKnownName::parse(name)?))
            }
        }

        impl PendingReply {
            /// Waits for the reply.
            ///
            /// # Errors
            /// As [`Connection::call_method`].
            pub $($async)? fn wait(self) -> Result<Message> {
                $run!(self.reply())
            }
        }

        impl Proxy {
            /// Calls a method and waits for what it returns: a tuple for several values, the value itself for one,
            /// `()` for none.
            ///
            /// # Errors
            /// As [`Connection::call_method`], and if what it returns is of another type.
            pub $($async)? fn call<T, R>(&self, member: &str, arguments: &T) -> Result<R>
            where
                T: Serialize + DynamicType + ?Sized,
                R: for<'de> Deserialize<'de> + Type,
            {
                Ok($run!(self.ask(member, arguments))?.deserialize()?)
            }

            /// Calls a method and waits for the reply, from which values can be borrowed.
            ///
            /// # Errors
            /// As [`Connection::call_method`].
            pub $($async)? fn call_method<T>(&self, member: &str, arguments: &T) -> Result<Message>
            where
                T: Serialize + DynamicType + ?Sized,
            {
                $run!(self.ask(member, arguments))
            }

            /// A property's value: asked for now, unless it is kept.
            ///
            /// # Errors
            /// There is no such property, it may not be read, or is of another type.
            pub $($async)? fn get_property<T>(&self, name: &str) -> Result<T>
            where
                T: Type + for<'de> Deserialize<'de>,
            {
                $run!(self.property(name))
            }

            /// A property's value, asked for now.
            ///
            /// # Errors
            /// As [`Proxy::get_property`].
            pub $($async)? fn get_property_uncached<T>(&self, name: &str) -> Result<T>
            where
                T: Type + for<'de> Deserialize<'de>,
            {
                $run!(self.uncached_property(name))
            }

            /// A property's value if it is kept; nobody is asked.
            ///
            /// # Errors
            /// It is of another type.
            pub fn cached_property<T>(&self, name: &str) -> Result<Option<T>>
            where
                T: Type + for<'de> Deserialize<'de>,
            {
                self.kept_property(name)
            }

            /// The changes of a property, from now on.
            ///
            /// # Errors
            /// The bus refuses the match rule.
            pub $($async)? fn receive_property_changed<T>(&self, name: &str) -> Result<PropertyStream<T>>
            where
                T: Type + for<'de> Deserialize<'de>,
            {
                $run!(PropertyStream::begin(self, name))
            }

            /// As [`Proxy::receive_property_changed`]; a stream that cannot be begun is over from the beginning
            /// ([`PropertyStream::checked`]).
            pub $($async)? fn receive_property_changes<T>(&self, name: &str) -> PropertyStream<T>
            where
                T: Type + for<'de> Deserialize<'de>,
            {
                $run!(PropertyStream::begin_anyhow(self, name))
            }

            /// Keeps values of properties from now on, or no more. A value that is kept is what the program would
            /// get if it asked; of properties that change without telling so, none should be kept.
            ///
            /// # Errors
            /// Properties cannot be asked for, which [`CacheProperties::Yes`](crate::CacheProperties::Yes) does.
            pub $($async)? fn cache_properties(
                mut self,
                how: $crate::client::CacheProperties,
            ) -> Result<Self> {
                $run!(self.keep_properties(how))?;
                Ok(self)
            }

            /// Gives a property a value.
            ///
            /// # Errors
            /// There is no such property, it may not be written, or is of another type.
            pub $($async)? fn set_property<T>(&self, name: &str, value: &T) -> Result<()>
            where
                T: Type + Serialize,
            {
                $run!(self.change_property(name, value))
            }

            /// Its signals of this name, from now on.
            ///
            /// # Errors
            /// `member` is no member name, or the bus refuses the match rule.
            pub $($async)? fn receive_signal(&self, member: &str) -> Result<SignalStream> {
                let rule = self.rule(Some(member))?;
                $run!(self.begin_stream(rule))
            }

            /// The same, of which these arguments, by index, are these strings: the bus sends no others.
            ///
            /// # Errors
            /// As [`Proxy::receive_signal`], and if an argument comes twice or cannot be asked for.
            pub $($async)? fn receive_signal_with_args(
                &self,
                member: &str,
                args: &[(u8, &str)],
            ) -> Result<SignalStream> {
                let rule = self.rule_with_args(member, args)?;
                $run!(self.begin_stream(rule))
            }

            /// All its signals, from now on.
            ///
            /// # Errors
            /// The bus refuses the match rule.
            pub $($async)? fn receive_all_signals(&self) -> Result<SignalStream> {
                let rule = self.rule(None)?;
                $run!(self.begin_stream(rule))
            }
        }

        impl ObjectServer {
            /// Serves `interface` at `path`. Answers whether it is new there: one of that name is not replaced.
            ///
            /// # Errors
            /// It is no object path, or the connection is over.
            pub $($async)? fn at<'p, P, I>(&self, path: P, interface: I) -> Result<bool>
            where
                P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
                I: Interface<$style>,
            {
                $run!(self.add(path, interface, false))
            }

            /// As [`ObjectServer::at`], and at all paths below, where that interface is not served by another; which
            /// it is the method learns from the call.
            ///
            /// # Errors
            /// It is no object path, or the connection is over.
            pub $($async)? fn at_subtree<'p, P, I>(&self, path: P, interface: I) -> Result<bool>
            where
                P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
                I: Interface<$style>,
            {
                $run!(self.add(path, interface, true))
            }

            /// Serves this interface at `path` no more. Answers whether it was served there.
            ///
            /// # Errors
            /// It is no object path, or the connection is over.
            pub $($async)? fn remove<'p, I, P>(&self, path: P) -> Result<bool>
            where
                P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
                I: Interface<$style>,
            {
                $run!(self.take::<P, I>(path))
            }

            /// The value that is served at `path`.
            ///
            /// # Errors
            /// None of that type is ([`Error::NotServed`]).
            pub $($async)? fn interface<'p, P, I>(&self, path: P) -> Result<InterfaceRef<I>>
            where
                P: TryInto<ObjectPath<'p>, Error: Into<Error>>,
                I: Interface<$style>,
            {
                self.find(path)
            }
        }

        impl SignalEmitter<'_> {
            /// Emits a signal of the object.
            ///
            /// # Errors
            /// A name is not valid, the signal cannot be sent, or the connection is over.
            pub $($async)? fn emit<T>(&self, interface: &str, member: &str, arguments: &T) -> Result<()>
            where
                T: Serialize + DynamicType + ?Sized,
            {
                $run!(self.send(interface, member, arguments))
            }

            /// Tells that a property has changed, and to what.
            ///
            /// # Errors
            /// As [`SignalEmitter::emit`].
            pub $($async)? fn property_changed<T>(
                &self,
                interface: &str,
                property: &str,
                value: &T,
            ) -> Result<()>
            where
                T: Serialize + Type,
            {
                $run!(self.send_changed(interface, property, value))
            }

            /// Tells that a property has changed, but not to what.
            ///
            /// # Errors
            /// As [`SignalEmitter::emit`].
            pub $($async)? fn property_invalidated(&self, interface: &str, property: &str) -> Result<()> {
                $run!(self.send_invalidated(interface, property))
            }
        }

        $crate::client::api::told::told!([$($async)?], $run);
    };
}

pub(crate) use api;

/// What these functions name.
pub(crate) mod scope {
    pub(crate) use std::num::NonZeroU32;
    pub(crate) use std::time::Duration;

    pub(crate) use serde::{Deserialize, Serialize};
    pub(crate) use zbus::wire::{DynamicType, Type};

    pub(crate) use crate::client::call::MethodCall;
    pub(crate) use crate::client::error::{Error, Result};
    pub(crate) use crate::client::link::{Deadline, Expects};
    pub(crate) use crate::client::monitor::Watching;
    pub(crate) use crate::client::names::{ReleaseNameReply, RequestNameFlags, RequestNameReply};
    pub(crate) use crate::client::peers::{Credentials, NameEvent};
    pub(crate) use crate::client::signals::{SignalEmission, begin_default};
    pub(crate) use crate::connection::Overflow;
    pub(crate) use crate::match_rule::MatchRule;
    pub(crate) use crate::message::Message;
    pub(crate) use crate::names::{BusName, InterfaceName, MemberName, ObjectPath, WellKnownName};
    pub(crate) use crate::server::Interface;
    pub(crate) use crate::wire::{Header, MessageType};
}
