/* An object manager with sd-bus, whose objects come and go: see services.rs. */
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#define NAME "org.example.Interop"
#define PATH "/org/example/Interop"

static uint32_t level = 1;
static sd_bus_slot *extra = NULL;

static int add(sd_bus_message *call, void *data, sd_bus_error *error);
static int withdraw(sd_bus_message *call, void *data, sd_bus_error *error);

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *data, sd_bus_error *error)
{
    return sd_bus_message_append(reply, "u", level);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *value, void *data, sd_bus_error *error)
{
    int result = sd_bus_message_read(value, "u", &level);
    return result < 0 ? result : sd_bus_emit_properties_changed(bus, path, interface, property, NULL);
}

static const sd_bus_vtable TABLE[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Add", "s", "", add, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Remove", "s", "", withdraw, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_WRITABLE_PROPERTY("Level", "u", get_level, set_level, 0,
                             SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END
};

static int add(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *path;
    sd_bus *bus = sd_bus_message_get_bus(call);
    int result = sd_bus_message_read(call, "s", &path);
    if (result >= 0)
        result = sd_bus_add_object_vtable(bus, &extra, path, NAME, TABLE, NULL);
    if (result >= 0)
        result = sd_bus_emit_object_added(bus, path);
    return result < 0 ? result : sd_bus_reply_method_return(call, "");
}

static int withdraw(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *path;
    int result = sd_bus_message_read(call, "s", &path);
    if (result >= 0)
        result = sd_bus_emit_object_removed(sd_bus_message_get_bus(call), path);
    extra = sd_bus_slot_unref(extra);
    return result < 0 ? result : sd_bus_reply_method_return(call, "");
}

int main(void)
{
    sd_bus *bus = NULL;
    if (sd_bus_open_user(&bus) < 0 || sd_bus_add_object_manager(bus, NULL, PATH) < 0 ||
        sd_bus_add_object_vtable(bus, NULL, PATH "/a", NAME, TABLE, NULL) < 0 ||
        sd_bus_request_name(bus, NAME, 0) < 0)
        return 1;
    puts("serving");
    fflush(stdout);
    for (;;) {
        int result = sd_bus_process(bus, NULL);
        if (result == 0)
            result = sd_bus_wait(bus, UINT64_MAX);
        if (result < 0)
            return 0;
    }
}
