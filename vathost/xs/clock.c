/* The wall clock of a crank. The first tick asks the meter to stop the crank, which works in all
 * JavaScript; native loops of XS (indexOf over 2^53 holes) never look at the meter, so the second
 * tick gives up the process. */
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "vathost/xs/machine.h"

static volatile sig_atomic_t ticks;

static void on_tick(int signal_number)
{
    (void)signal_number;
    if (ticks++) _exit(XS_EXIT_WALL);
}

static struct timeval time_of(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

void clock_start(uint64_t ms)
{
    ticks = 0;
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {.it_value = time_of(ms), .it_interval = time_of(WALL_GRACE_MS / 2)};
    setitimer(ITIMER_REAL, &timer, NULL);
}

void clock_stop(void)
{
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
}

bool clock_is_over(void) { return ticks > 0; }
