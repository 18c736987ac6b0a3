"""dbus-python (libdbus) as service and as client; see stock_clients/main.rs.

    dbus_python_client.py serve       serves until it is ended
    dbus_python_client.py converse    uses a service in every way, raises on a wrong answer
    dbus_python_client.py monitor     watches a call and its reply pass by
    dbus_python_client.py crowd N     N connections at once
"""

import os
import sys

import dbus
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME = "org.example.Peer"
PATH = "/org/example/Peer"
INTERFACE = "org.example.Peer"
ERROR = "org.example.Error.Refused"
PAYLOAD_SIZE = 8 << 20
DEADLINE_S = 60


class Refused(dbus.DBusException):
    _dbus_error_name = ERROR


class Peer(dbus.service.Object):
    @dbus.service.method(INTERFACE, in_signature="s", out_signature="s")
    def Echo(self, text):
        return text

    @dbus.service.method(INTERFACE)
    def Fail(self):
        raise Refused("refused on purpose")

    @dbus.service.method(INTERFACE, in_signature="ay", out_signature="ay", byte_arrays=True)
    def EchoBytes(self, data):
        return dbus.ByteArray(data)

    @dbus.service.method(INTERFACE, in_signature="h", out_signature="s")
    def ReadFd(self, fd):
        return read_all(fd.take())

    @dbus.service.method(INTERFACE, in_signature="s", out_signature="h")
    def OpenFd(self, text):
        fd = memory_file(text)
        try:
            return dbus.types.UnixFd(fd)
        finally:
            os.close(fd)

    @dbus.service.method(INTERFACE, in_signature="s")
    def Notify(self, text):
        self.Noticed(text)

    @dbus.service.method(INTERFACE, in_signature="s", sender_keyword="sender")
    def NotifyCaller(self, text, sender=None):
        signal = dbus.lowlevel.SignalMessage(PATH, INTERFACE, "Noticed")
        signal.set_destination(sender)
        signal.append(text, signature="s")
        self.connection.send_message(signal)

    @dbus.service.signal(INTERFACE, signature="s")
    def Noticed(self, text):
        pass


def memory_file(text):
    fd = os.memfd_create("message")
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_all(fd):
    with os.fdopen(fd, "rb") as file:
        return file.read().decode()


def serve():
    bus = dbus.SessionBus()
    name = dbus.service.BusName(NAME, bus, do_not_queue=True)
    peer = Peer(bus, PATH)
    GLib.MainLoop().run()
    del name, peer


def converse():
    bus = dbus.SessionBus()
    proxy = bus.get_object(NAME, PATH)
    peer = dbus.Interface(proxy, INTERFACE)
    assert peer.Echo("hello") == "hello"
    expect_refusal(peer)
    pass_fds(peer)
    payload = bytes(range(256)) * (PAYLOAD_SIZE // 256)
    echoed = peer.EchoBytes(dbus.ByteArray(payload), timeout=DEADLINE_S, byte_arrays=True)
    assert bytes(echoed) == payload
    assert notices(bus, lambda: peer.Notify("to all")) == "to all"
    assert notices(bus, lambda: peer.NotifyCaller("to one")) == "to one"
    assert "EchoBytes" in proxy.Introspect(dbus_interface=dbus.INTROSPECTABLE_IFACE)


def expect_refusal(peer):
    try:
        peer.Fail()
    except dbus.DBusException as error:
        assert error.get_dbus_name() == ERROR, error
        assert error.get_dbus_message() == "refused on purpose", error
    else:
        raise AssertionError("Fail answered without an error")


def pass_fds(peer):
    fd = memory_file("there")
    assert peer.ReadFd(dbus.types.UnixFd(fd)) == "there"
    os.close(fd)
    assert read_all(peer.OpenFd("and back").take()) == "and back"


def notices(bus, provoke):
    """What the signal said that `provoke` causes."""
    loop, texts = GLib.MainLoop(), []

    def noticed(text):
        texts.append(text)
        loop.quit()

    match = bus.add_signal_receiver(noticed, "Noticed", INTERFACE, path=PATH)
    provoke()
    if not texts:
        run(loop)
    match.remove()
    return texts[0]


def run(loop):
    timer = GLib.timeout_add_seconds(DEADLINE_S, loop.quit)
    loop.run()
    GLib.source_remove(timer)


def monitor():
    watching = dbus.SessionBus(private=True)
    loop, seen = GLib.MainLoop(), []

    def passed_by(_connection, message):
        if isinstance(message, dbus.lowlevel.MethodCallMessage):
            seen.append(message.get_member())
        elif isinstance(message, dbus.lowlevel.MethodReturnMessage) and "Echo" in seen:
            seen.append("reply")
            loop.quit()

    become_monitor(watching)
    watching.add_message_filter(passed_by)
    proxy = dbus.SessionBus().get_object(NAME, PATH, introspect=False)
    proxy.Echo("watch me", dbus_interface=INTERFACE, signature="s", reply_handler=print, error_handler=print)
    run(loop)
    assert seen[-2:] == ["Echo", "reply"], seen


def become_monitor(bus):
    driver = bus.get_object(dbus.BUS_DAEMON_NAME, dbus.BUS_DAEMON_PATH, introspect=False)
    driver.BecomeMonitor(
        dbus.Array([], signature="s"), dbus.UInt32(0), dbus_interface="org.freedesktop.DBus.Monitoring"
    )


def crowd(count):
    buses = [dbus.SessionBus(private=True) for _ in range(count)]
    assert len({bus.get_unique_name() for bus in buses}) == count
    loop, answers = GLib.MainLoop(), set()

    def answered(text):
        answers.add(str(text))
        if len(answers) == count:
            loop.quit()

    def failed(error):
        raise AssertionError(error)

    for index, bus in enumerate(buses):
        proxy = bus.get_object(NAME, PATH, introspect=False)
        proxy.Echo(
            str(index), dbus_interface=INTERFACE, signature="s", reply_handler=answered, error_handler=failed
        )
    run(loop)
    assert len(answers) == count, answers


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
if sys.argv[1] == "serve":
    serve()
elif sys.argv[1] == "converse":
    converse()
elif sys.argv[1] == "monitor":
    monitor()
elif sys.argv[1] == "crowd":
    crowd(int(sys.argv[2]))
