/* org.example.Interop with GDBus: see interop.rs. */
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#define NAME "org.example.Interop"
#define PATH "/org/example/Interop"

static const char DESCRIPTION[] =
    "<node><interface name='" NAME "'>"
    "<method name='EchoBasics'>"
    "<arg type='y' direction='in'/><arg type='b' direction='in'/><arg type='n' direction='in'/>"
    "<arg type='q' direction='in'/><arg type='i' direction='in'/><arg type='u' direction='in'/>"
    "<arg type='x' direction='in'/><arg type='t' direction='in'/><arg type='d' direction='in'/>"
    "<arg type='s' direction='in'/><arg type='o' direction='in'/><arg type='g' direction='in'/>"
    "<arg type='y' direction='out'/><arg type='b' direction='out'/><arg type='n' direction='out'/>"
    "<arg type='q' direction='out'/><arg type='i' direction='out'/><arg type='u' direction='out'/>"
    "<arg type='x' direction='out'/><arg type='t' direction='out'/><arg type='d' direction='out'/>"
    "<arg type='s' direction='out'/><arg type='o' direction='out'/><arg type='g' direction='out'/>"
    "</method>"
    "<method name='EchoContainers'>"
    "<arg type='as' direction='in'/><arg type='a{su}' direction='in'/>"
    "<arg type='(is)' direction='in'/><arg type='v' direction='in'/>"
    "<arg type='as' direction='out'/><arg type='a{su}' direction='out'/>"
    "<arg type='(is)' direction='out'/><arg type='v' direction='out'/>"
    "</method>"
    "<method name='Fail'/>"
    "<method name='Shout'><arg type='s' direction='in'/></method>"
    "<signal name='Shouted'><arg type='s'/><arg type='u'/></signal>"
    "<property name='Level' type='u' access='readwrite'/>"
    "<property name='Title' type='s' access='read'/>"
    "</interface></node>";

static guint32 level = 1;

static void called(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
                   const char *member, GVariant *arguments, GDBusMethodInvocation *call, void *data)
{
    if (strcmp(member, "Fail") == 0) {
        g_dbus_method_invocation_return_dbus_error(call, "org.example.Error.Refused", "refused on purpose");
        return;
    }
    if (strcmp(member, "Shout") == 0) {
        const char *text;
        g_variant_get(arguments, "(&s)", &text);
        g_dbus_connection_emit_signal(connection, NULL, path, interface, "Shouted",
                                      g_variant_new("(su)", text, (guint32) strlen(text)), NULL);
        g_dbus_method_invocation_return_value(call, NULL);
        return;
    }
    g_dbus_method_invocation_return_value(call, arguments);
}

static GVariant *get(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
                     const char *property, GError **error, void *data)
{
    if (strcmp(property, "Level") == 0)
        return g_variant_new_uint32(level);
    return g_variant_new_string("interop");
}

static gboolean set(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
                    const char *property, GVariant *value, GError **error, void *data)
{
    GVariantBuilder changed;
    level = g_variant_get_uint32(value);
    g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&changed, "{sv}", "Level", g_variant_new_uint32(level));
    g_dbus_connection_emit_signal(connection, NULL, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                  g_variant_new("(sa{sv}as)", interface, &changed, NULL), NULL);
    return TRUE;
}

static void named(GDBusConnection *connection, const char *name, void *data)
{
    puts("serving");
    fflush(stdout);
}

int main(void)
{
    static const GDBusInterfaceVTable table = { called, get, set };
    GDBusConnection *connection = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(DESCRIPTION, NULL);
    if (!connection || !node)
        return 1;
    if (!g_dbus_connection_register_object(connection, PATH, node->interfaces[0], &table, NULL, NULL, NULL))
        return 1;
    g_bus_own_name_on_connection(connection, NAME, G_BUS_NAME_OWNER_FLAGS_NONE, named, NULL, NULL, NULL);
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return 0;
}
