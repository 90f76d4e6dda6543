/* LD_PRELOAD: a system clock that lies as WRONG_CLOCK says; the monotonic clocks are left alone.
 *
 *   1970      boots in 1970, as a board without a battery
 *   steps     an hour forward, an hour back, at every 7th look
 *   suspend   eight hours pass at the 20th look
 *   backwards runs backwards
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long long SECOND = 1000000000;

static long long lie(long long now) {
    static long long began, looks;
    const char *mode = getenv("WRONG_CLOCK");
    if (!began) began = now;
    looks++;
    if (!mode) return now;
    if (!strcmp(mode, "1970")) return 10 * SECOND + now - began;
    if (!strcmp(mode, "steps")) return now + (looks / 7 % 2 ? 3600 : -3600) * SECOND;
    if (!strcmp(mode, "suspend")) return now + (looks >= 20 ? 8 * 3600 * SECOND : 0);
    if (!strcmp(mode, "backwards")) return 2 * began - now;
    return now;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    const int failed = (int)syscall(SYS_clock_gettime, clock, out);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        const long long now = lie(out->tv_sec * SECOND + out->tv_nsec);
        out->tv_sec = now / SECOND, out->tv_nsec = now % SECOND;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec, out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
