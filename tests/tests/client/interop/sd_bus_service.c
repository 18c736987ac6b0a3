/* org.example.Interop with sd-bus: see interop.rs. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define NAME "org.example.Interop"
#define PATH "/org/example/Interop"
#define BASICS "ybnqiuxtdsog"
#define CONTAINERS "asa{su}(is)v"

static uint32_t level = 1;

static int echo(sd_bus_message *call, void *data, sd_bus_error *error)
{
    sd_bus_message *reply = NULL;
    int result = sd_bus_message_new_method_return(call, &reply);
    if (result >= 0)
        result = sd_bus_message_copy(reply, call, 1);
    if (result >= 0)
        result = sd_bus_send(NULL, reply, NULL);
    sd_bus_message_unref(reply);
    return result;
}

static int refuse(sd_bus_message *call, void *data, sd_bus_error *error)
{
    return sd_bus_error_set(error, "org.example.Error.Refused", "refused on purpose");
}

static int shout(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *text;
    int result = sd_bus_message_read(call, "s", &text);
    if (result < 0)
        return result;
    result = sd_bus_emit_signal(sd_bus_message_get_bus(call), PATH, NAME, "Shouted", "su", text,
                                (uint32_t) strlen(text));
    return result < 0 ? result : sd_bus_reply_method_return(call, "");
}

static int get_title(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *data, sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", "interop");
}

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
    SD_BUS_METHOD("EchoBasics", BASICS, BASICS, echo, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("EchoContainers", CONTAINERS, CONTAINERS, echo, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Fail", "", "", refuse, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Shout", "s", "", shout, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL("Shouted", "su", 0),
    SD_BUS_WRITABLE_PROPERTY("Level", "u", get_level, set_level, 0,
                             SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Title", "s", get_title, 0, 0),
    SD_BUS_VTABLE_END
};

int main(void)
{
    sd_bus *bus = NULL;
    if (sd_bus_open_user(&bus) < 0 || sd_bus_add_object_vtable(bus, NULL, PATH, NAME, TABLE, NULL) < 0 ||
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
