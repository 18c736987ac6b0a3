/* GDBus, of GLib. */
#include "common.h"

#include <gio/gio.h>

static GDBusConnection *bus;
static GMainLoop *loop;
static uint32_t done, wanted;

static GVariant *text(void)
{
    return g_variant_new("(s)", TEXT);
}

static void check_reply(GVariant *reply)
{
    const char *answer;
    check(reply != NULL);
    g_variant_get(reply, "(&s)", &answer);
    check(strcmp(answer, TEXT) == 0);
    g_variant_unref(reply);
}

static void call(uint32_t count)
{
    for (uint32_t index = 0; index < WARM_UP + count; index++) {
        if (index == WARM_UP)
            begin();
        check_reply(g_dbus_connection_call_sync(bus, NAME, PATH, INTERFACE, "Echo", text(), G_VARIANT_TYPE("(s)"),
                                                G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL));
    }
    print_since_begin();
}

static void answered(GObject *object, GAsyncResult *result, void *data);

static void call_next(void)
{
    g_dbus_connection_call(bus, NAME, PATH, INTERFACE, "Echo", text(), G_VARIANT_TYPE("(s)"),
                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, answered, NULL);
}

static void answered(GObject *object, GAsyncResult *result, void *data)
{
    check_reply(g_dbus_connection_call_finish(bus, result, NULL));
    if (++done == WARM_UP)
        begin();
    if (done == wanted)
        g_main_loop_quit(loop);
    else
        call_next();
}

static void signalled(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
                      const char *member, GVariant *arguments, void *data)
{
    uint32_t number;
    g_variant_get(arguments, "(&su)", NULL, &number);
    check(number == done);
    if (++done == wanted)
        g_main_loop_quit(loop);
}

static void called(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
                   const char *member, GVariant *arguments, GDBusMethodInvocation *invocation, void *data)
{
    const char *asked;
    g_variant_get(arguments, "(&s)", &asked);
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(s)", asked));
}

static void named(GDBusConnection *connection, const char *name, void *data)
{
    say("serving");
}

static void serve(void)
{
    static const GDBusInterfaceVTable table = { called, NULL, NULL };
    GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(
        "<node><interface name='" INTERFACE "'><method name='Echo'>"
        "<arg type='s' direction='in'/><arg type='s' direction='out'/></method></interface></node>", NULL);
    check(g_dbus_connection_register_object(bus, PATH, node->interfaces[0], &table, NULL, NULL, NULL) != 0);
    g_bus_own_name_on_connection(bus, NAME, G_BUS_NAME_OWNER_FLAGS_NONE, named, NULL, NULL, NULL);
    g_main_loop_run(loop);
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 2 ? (uint32_t) atoi(argv[2]) : 0;
    check(argc > 1);
    bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    loop = g_main_loop_new(NULL, FALSE);
    check(bus != NULL);
    if (strcmp(argv[1], "call") == 0) {
        call(count);
    } else if (strcmp(argv[1], "call-async") == 0) {
        wanted = WARM_UP + count;
        call_next();
        g_main_loop_run(loop);
        print_since_begin();
    } else if (strcmp(argv[1], "signals") == 0) {
        wanted = count;
        for (int index = 0; index < RULE_COUNT; index++) {
            char member[8];
            snprintf(member, sizeof member, "M%d", index);
            g_dbus_connection_signal_subscribe(bus, NULL, INTERFACE, member, NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                               signalled, NULL, NULL);
        }
        /* So that the bus has the rules. */
        g_variant_unref(g_dbus_connection_call_sync(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                    "org.freedesktop.DBus", "GetId", NULL, NULL,
                                                    G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL));
        say("ready");
        begin();
        g_main_loop_run(loop);
        print_since_begin();
    } else {
        serve();
    }
    return 0;
}
