/* What both programs in C have in common: see src/lib.rs. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "org.example.Echo"
#define PATH "/org/example/Echo"
#define INTERFACE "org.example.Echo"
#define TEXT "a string each way"
#define RULE_COUNT 20
#define WARM_UP 200

static uint64_t begin_cpu, begin_wall;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t) time.tv_sec * 1000000000u + (uint64_t) time.tv_nsec;
}

static void begin(void)
{
    begin_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    begin_wall = clock_ns(CLOCK_MONOTONIC);
}

static void print_since_begin(void)
{
    uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu;
    uint64_t wall = clock_ns(CLOCK_MONOTONIC) - begin_wall;
    int threads = -3; /* itself, "." and ".." */
    DIR *tasks = opendir("/proc/self/task");
    while (tasks && readdir(tasks))
        threads++;
    printf("%llu %llu %d\n", (unsigned long long) cpu, (unsigned long long) wall, threads);
    fflush(stdout);
}

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void check(int is_so)
{
    if (!is_so)
        abort();
}
