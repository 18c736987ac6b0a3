"""org.example.Peer without a bus, with GDBus and with dbus-python (libdbus); see others.rs.

    peers.py gdbus|dbus serve            prints an address and serves whoever connects there
    peers.py gdbus|dbus call ADDRESS     uses a peer, raises on a wrong answer
"""

import sys

import dbus
import dbus.mainloop.glib
import dbus.server
import dbus.service
from gi.repository import Gio, GLib

PATH, INTERFACE = "/org/example/Peer", "org.example.Peer"
PLACE = "unix:tmpdir=/tmp"
XML = """<node><interface name='org.example.Peer'>
<method name='Echo'><arg type='s' direction='in'/><arg type='s' direction='out'/></method>
<method name='Shout'><arg type='s' direction='in'/></method>
<signal name='Shouted'><arg type='s'/></signal>
</interface></node>"""


def gdbus_serve():
    def called(connection, sender, path, interface, member, arguments, invocation):
        if member == "Shout":
            connection.emit_signal(None, path, interface, "Shouted", arguments)
            invocation.return_value(None)
        else:
            invocation.return_value(arguments)

    def connected(server, connection):
        interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
        connection.register_object(PATH, interface, called, None, None)
        connections.append(connection)
        return True

    connections = []
    server = Gio.DBusServer.new_sync(PLACE, Gio.DBusServerFlags.NONE, Gio.dbus_generate_guid(), None, None)
    server.connect("new-connection", connected)
    server.start()
    print("serving", server.get_client_address() + ",guid=" + server.get_guid(), flush=True)
    GLib.MainLoop().run()


def gdbus_call(address):
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
    connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
    loop, heard = GLib.MainLoop(), []

    def shouted(connection, sender, path, interface, member, arguments):
        heard.append(arguments.unpack())
        loop.quit()

    connection.signal_subscribe(None, INTERFACE, "Shouted", PATH, None, Gio.DBusSignalFlags.NONE, shouted)

    def call(member, text):
        arguments = GLib.Variant("(s)", (text,))
        answer = connection.call_sync(None, PATH, INTERFACE, member, arguments, None, Gio.DBusCallFlags.NONE, 25000, None)
        return answer.unpack()

    assert call("Echo", "hello") == ("hello",)
    call("Shout", "loud")
    loop.run()
    assert heard == [("loud",)], heard


class Peer(dbus.service.Object):
    @dbus.service.method(INTERFACE, in_signature="s", out_signature="s")
    def Echo(self, text):
        return text

    @dbus.service.method(INTERFACE, in_signature="s")
    def Shout(self, text):
        self.Shouted(text)

    @dbus.service.signal(INTERFACE, signature="s")
    def Shouted(self, text):
        pass


def dbus_serve():
    class Server(dbus.server.Server):
        def connection_added(self, connection):
            peers.append(Peer(connection, PATH))

    peers = []
    server = Server(PLACE)
    print("serving", server.address, flush=True)
    GLib.MainLoop().run()
    del server


def dbus_call(address):
    connection = dbus.connection.Connection(address)
    loop, heard = GLib.MainLoop(), []

    def shouted(text):
        heard.append(text)
        loop.quit()

    connection.add_signal_receiver(shouted, "Shouted", INTERFACE, path=PATH)
    assert connection.call_blocking(None, PATH, INTERFACE, "Echo", "s", ("hello",)) == "hello"
    connection.call_blocking(None, PATH, INTERFACE, "Shout", "s", ("loud",))
    loop.run()
    assert heard == ["loud"], heard


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
globals()["_".join(sys.argv[1:3])](*sys.argv[3:])
