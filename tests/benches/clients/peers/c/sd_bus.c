/* sd-bus, of systemd. */
#include "common.h"

#include <systemd/sd-bus.h>

static sd_bus *bus;
static uint32_t done, wanted;

static void check_reply(sd_bus_message *reply)
{
    const char *answer;
    check(sd_bus_message_read(reply, "s", &answer) >= 0 && strcmp(answer, TEXT) == 0);
}

static void call(uint32_t count)
{
    for (uint32_t index = 0; index < WARM_UP + count; index++) {
        sd_bus_message *reply = NULL;
        if (index == WARM_UP)
            begin();
        check(sd_bus_call_method(bus, NAME, PATH, INTERFACE, "Echo", NULL, &reply, "s", TEXT) >= 0);
        check_reply(reply);
        sd_bus_message_unref(reply);
    }
    print_since_begin();
}

/* Until as many as are wanted are done; for ever if none are. */
static void run(void)
{
    while (wanted == 0 || done < wanted) {
        int result = sd_bus_process(bus, NULL);
        check(result >= 0);
        if (result == 0)
            check(sd_bus_wait(bus, UINT64_MAX) >= 0);
    }
}

static int answered(sd_bus_message *reply, void *data, sd_bus_error *error);

static void call_next(void)
{
    check(sd_bus_call_method_async(bus, NULL, NAME, PATH, INTERFACE, "Echo", answered, NULL, "s", TEXT) >= 0);
}

static int answered(sd_bus_message *reply, void *data, sd_bus_error *error)
{
    check_reply(reply);
    if (++done == WARM_UP)
        begin();
    if (done < wanted)
        call_next();
    return 0;
}

static int signalled(sd_bus_message *signal, void *data, sd_bus_error *error)
{
    const char *text;
    uint32_t number;
    check(sd_bus_message_read(signal, "su", &text, &number) >= 0 && number == done);
    done++;
    return 0;
}

static int echo(sd_bus_message *asked, void *data, sd_bus_error *error)
{
    const char *text;
    int result = sd_bus_message_read(asked, "s", &text);
    return result < 0 ? result : sd_bus_reply_method_return(asked, "s", text);
}

static const sd_bus_vtable TABLE[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Echo", "s", "s", echo, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END
};

int main(int argc, char **argv)
{
    uint32_t count = argc > 2 ? (uint32_t) atoi(argv[2]) : 0;
    check(argc > 1 && sd_bus_open_user(&bus) >= 0);
    if (strcmp(argv[1], "call") == 0) {
        call(count);
    } else if (strcmp(argv[1], "call-async") == 0) {
        wanted = WARM_UP + count;
        call_next();
        run();
        print_since_begin();
    } else if (strcmp(argv[1], "signals") == 0) {
        wanted = count;
        for (int index = 0; index < RULE_COUNT; index++) {
            char member[8];
            snprintf(member, sizeof member, "M%d", index);
            check(sd_bus_match_signal(bus, NULL, NULL, NULL, INTERFACE, member, signalled, NULL) >= 0);
        }
        say("ready");
        begin();
        run();
        print_since_begin();
    } else {
        check(sd_bus_add_object_vtable(bus, NULL, PATH, INTERFACE, TABLE, NULL) >= 0);
        check(sd_bus_request_name(bus, NAME, 0) >= 0);
        say("serving");
        run();
    }
    return 0;
}
