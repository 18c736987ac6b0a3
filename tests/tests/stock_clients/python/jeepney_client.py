"""jeepney (pure Python) as service and as client; see stock_clients/main.rs.

    jeepney_client.py serve       serves until it is ended
    jeepney_client.py converse    uses a service in every way, raises on a wrong answer
    jeepney_client.py monitor     watches a call and its reply pass by
    jeepney_client.py crowd N     N connections at once
"""

import os
import sys

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    MessageType,
    message_bus,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import Monitoring
from jeepney.io.blocking import Proxy, open_dbus_connection

NAME = "org.example.Peer"
PATH = "/org/example/Peer"
INTERFACE = "org.example.Peer"
ERROR = "org.example.Error.Refused"
PAYLOAD_SIZE = 8 << 20
DEADLINE_S = 60
PEER = DBusAddress(PATH, bus_name=NAME, interface=INTERFACE)
XML = """<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node><interface name="org.example.Peer">
<method name="EchoBytes"><arg type="ay" direction="in"/><arg type="ay" direction="out"/></method>
</interface></node>"""


def serve():
    with open_dbus_connection(bus="SESSION", enable_fds=True) as connection:
        assert Proxy(message_bus, connection).RequestName(NAME, 4) == (1,)
        while True:
            message = connection.receive()
            if message.header.message_type == MessageType.method_call:
                answer(connection, message)


def answer(connection, message):
    member = message.header.fields[HeaderFields.member]
    body = message.body
    if member in ("Echo", "EchoBytes"):
        reply = new_method_return(message, message.header.fields[HeaderFields.signature], body)
    elif member == "Fail":
        reply = new_error(message, ERROR, "s", ("refused on purpose",))
    elif member == "ReadFd":
        reply = new_method_return(message, "s", (read_all(body[0]),))
    elif member == "OpenFd":
        with memory_file(body[0]) as file:
            connection.send(new_method_return(message, "h", (file,)))
        return
    elif member in ("Notify", "NotifyCaller"):
        signal = new_signal(DBusAddress(PATH, interface=INTERFACE), "Noticed", "s", body)
        if member == "NotifyCaller":
            signal.header.fields[HeaderFields.destination] = message.header.fields[HeaderFields.sender]
        connection.send(signal)
        reply = new_method_return(message)
    elif member == "Introspect":
        reply = new_method_return(message, "s", (XML,))
    else:
        reply = new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
    connection.send(reply)


def memory_file(text):
    file = os.fdopen(os.memfd_create("message"), "w+b")
    file.write(text.encode())
    file.seek(0)
    return file


def read_all(descriptor):
    with descriptor.to_file("rb") as file:
        return file.read().decode()


def call(connection, member, signature=None, body=()):
    return connection.send_and_get_reply(new_method_call(PEER, member, signature, body), timeout=DEADLINE_S)


def result(connection, *arguments):
    reply = call(connection, *arguments)
    assert reply.header.message_type == MessageType.method_return, reply
    return reply.body


def converse():
    with open_dbus_connection(bus="SESSION", enable_fds=True) as connection:
        assert result(connection, "Echo", "s", ("hello",)) == ("hello",)
        refusal = call(connection, "Fail")
        assert refusal.header.message_type == MessageType.error, refusal
        assert refusal.header.fields[HeaderFields.error_name] == ERROR, refusal
        assert refusal.body == ("refused on purpose",), refusal
        with memory_file("there") as file:
            assert result(connection, "ReadFd", "h", (file,)) == ("there",)
        assert read_all(result(connection, "OpenFd", "s", ("and back",))[0]) == "and back"
        payload = bytes(range(256)) * (PAYLOAD_SIZE // 256)
        assert result(connection, "EchoBytes", "ay", (payload,)) == (payload,)
        assert notices(connection, "Notify", "to all") == "to all"
        assert notices(connection, "NotifyCaller", "to one") == "to one"
        introspect = new_method_call(
            DBusAddress(PATH, bus_name=NAME, interface="org.freedesktop.DBus.Introspectable"), "Introspect"
        )
        assert "EchoBytes" in connection.send_and_get_reply(introspect, timeout=DEADLINE_S).body[0]


def notices(connection, member, text):
    rule = MatchRule(type="signal", interface=INTERFACE, member="Noticed", path=PATH)
    Proxy(message_bus, connection).AddMatch(rule)
    with connection.filter(rule) as queue:
        result(connection, member, "s", (text,))
        signal = connection.recv_until_filtered(queue, timeout=DEADLINE_S)
    Proxy(message_bus, connection).RemoveMatch(rule)
    return signal.body[0]


def monitor():
    with open_dbus_connection(bus="SESSION") as watching, open_dbus_connection(bus="SESSION") as calling:
        Proxy(Monitoring(), watching).BecomeMonitor([])
        result(calling, "Echo", "s", ("watch me",))
        serial = None
        while True:
            header = watching.receive(timeout=DEADLINE_S).header
            if header.fields.get(HeaderFields.member) == "Echo":
                serial = header.serial
            elif serial is not None and header.fields.get(HeaderFields.reply_serial) == serial:
                assert header.fields[HeaderFields.destination] == calling.unique_name, header
                return


def crowd(count):
    connections = [open_dbus_connection(bus="SESSION") for _ in range(count)]
    assert len({connection.unique_name for connection in connections}) == count
    serials = []
    for index, connection in enumerate(connections):
        serials.append(next(connection.outgoing_serial))
        connection.send(new_method_call(PEER, "Echo", "s", (str(index),)), serial=serials[-1])
    for index, connection in enumerate(connections):
        reply = connection.receive(timeout=DEADLINE_S)
        while reply.header.fields.get(HeaderFields.reply_serial) != serials[index]:
            reply = connection.receive(timeout=DEADLINE_S)
        assert reply.body == (str(index),), reply
    for connection in connections:
        connection.close()


if sys.argv[1] == "serve":
    serve()
elif sys.argv[1] == "converse":
    converse()
elif sys.argv[1] == "monitor":
    monitor()
elif sys.argv[1] == "crowd":
    crowd(int(sys.argv[2]))
