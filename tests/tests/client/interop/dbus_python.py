"""org.example.Interop with dbus-python (libdbus), as service and as client; see interop.rs.

    dbus_python.py serve    serves until it is ended
    dbus_python.py call     uses a service in every way, raises on a wrong answer
"""

import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME = INTERFACE = "org.example.Interop"
PATH = "/org/example/Interop"
ERROR = "org.example.Error.Refused"
BASICS = "ybnqiuxtdsog"
CONTAINERS = "asa{su}(is)v"
DEADLINE_S = 30


class Refused(dbus.DBusException):
    _dbus_error_name = ERROR


class Interop(dbus.service.Object):
    level = 1

    @dbus.service.method(INTERFACE, in_signature=BASICS, out_signature=BASICS)
    def EchoBasics(self, y, b, n, q, i, u, x, t, d, s, o, g):
        return y, b, n, q, i, u, x, t, d, s, o, g

    @dbus.service.method(INTERFACE, in_signature=CONTAINERS, out_signature=CONTAINERS)
    def EchoContainers(self, texts, mapped, structure, variant):
        return texts, mapped, structure, variant

    @dbus.service.method(INTERFACE)
    def Fail(self):
        raise Refused("refused on purpose")

    @dbus.service.method(INTERFACE, in_signature="s")
    def Shout(self, text):
        self.Shouted(text, len(text))

    @dbus.service.signal(INTERFACE, signature="su")
    def Shouted(self, text, length):
        pass

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return self.GetAll(interface)[name]

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return {"Level": dbus.UInt32(self.level), "Title": "interop"}

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ssv")
    def Set(self, interface, name, value):
        if name != "Level":
            raise dbus.DBusException("it is read-only", name="org.freedesktop.DBus.Error.PropertyReadOnly")
        self.level = value
        self.PropertiesChanged(interface, {"Level": dbus.UInt32(value)}, [])

    @dbus.service.signal(dbus.PROPERTIES_IFACE, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass


def serve():
    bus = dbus.SessionBus()
    interop = Interop(bus, PATH)
    name = dbus.service.BusName(NAME, bus, do_not_queue=True)
    print("serving", flush=True)
    GLib.MainLoop().run()
    del name, interop


def call():
    bus = dbus.SessionBus()
    proxy = bus.get_object(NAME, PATH)
    interop = dbus.Interface(proxy, INTERFACE)
    properties = dbus.Interface(proxy, dbus.PROPERTIES_IFACE)
    basics = (255, True, -3, 4, -5, 6, -7, 8, 2.5, "text", "/a/b", "a{sv}")
    assert tuple(interop.EchoBasics(*basics)) == basics
    texts, mapped, structure, variant = interop.EchoContainers(["x"], {"k": 5}, (1, "s"), dbus.UInt16(2))
    assert (texts, mapped, tuple(structure), variant) == (["x"], {"k": 5}, (1, "s"), 2)
    assert isinstance(variant, dbus.UInt16)
    try:
        interop.Fail()
    except dbus.DBusException as error:
        assert (error.get_dbus_name(), error.get_dbus_message()) == (ERROR, "refused on purpose"), error
    else:
        raise AssertionError("Fail answered without an error")
    assert next_signal(bus, "Shouted", INTERFACE, lambda: interop.Shout("loud")) == ("loud", 4)
    assert properties.Get(INTERFACE, "Title") == "interop"
    change = next_signal(
        bus,
        "PropertiesChanged",
        dbus.PROPERTIES_IFACE,
        lambda: properties.Set(INTERFACE, "Level", dbus.UInt32(5)),
    )
    assert change == (INTERFACE, {"Level": 5}, []), change
    assert properties.GetAll(INTERFACE) == {"Level": 5, "Title": "interop"}


def next_signal(bus, member, interface, provoke):
    """The arguments of the signal that `provoke` causes."""
    loop, seen = GLib.MainLoop(), []

    def came(*arguments):
        seen.append(arguments)
        loop.quit()

    match = bus.add_signal_receiver(came, member, interface, path=PATH)
    provoke()
    if not seen:
        timer = GLib.timeout_add_seconds(DEADLINE_S, loop.quit)
        loop.run()
        GLib.source_remove(timer)
    match.remove()
    return seen[0]


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
{"serve": serve, "call": call}[sys.argv[1]]()
