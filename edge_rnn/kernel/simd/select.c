/* Which variants this build has and this machine can run. The build says what it compiled (ERNN_HAVE_...). */
#include <string.h>

#include "host.h"

#if defined(__x86_64__) && !defined(ERNN_PORTABLE_ONLY)
extern const ernn_isa ernn_isa_avx512vnni, ernn_isa_avx512, ernn_isa_avx2, ernn_isa_baseline;

static int can_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

static int can_avx512(void) {
    return can_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
}

static int can_avx512vnni(void) {
    return can_avx512() && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}

static int can_always(void) { return 1; }

static const struct {
    const ernn_isa *isa;
    int (*can)(void);
} built[] = {
    {&ernn_isa_avx512vnni, can_avx512vnni}, {&ernn_isa_avx512, can_avx512},    {&ernn_isa_avx2, can_avx2},
    {&ernn_isa_baseline, can_always},       {&ernn_isa_portable, can_always},
};
#elif defined(__aarch64__) && !defined(ERNN_PORTABLE_ONLY)
extern const ernn_isa ernn_isa_neon;
static int can_always(void) { return 1; }
static const struct {
    const ernn_isa *isa;
    int (*can)(void);
} built[] = {{&ernn_isa_neon, can_always}, {&ernn_isa_portable, can_always}};
#else
static int can_always(void) { return 1; }
static const struct {
    const ernn_isa *isa;
    int (*can)(void);
} built[] = {{&ernn_isa_portable, can_always}};
#endif

const ernn_isa *ernn_isa_at(unsigned n) {
    for (size_t j = 0; j < sizeof built / sizeof *built; j++)
        if (built[j].can() && n-- == 0) return built[j].isa;
    return NULL;
}

const ernn_isa *ernn_isa_named(const char *name) {
    const ernn_isa *isa = ernn_isa_at(0);
    for (unsigned n = 0; name && isa && strcmp(isa->name, name) != 0;) isa = ernn_isa_at(++n);
    return isa;
}
