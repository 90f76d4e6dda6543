/* See csv.h. The fast way is Clinger's (How to read floating point numbers accurately, PLDI 1990): digits that fit 53
 * bits, times or over a power of ten that a double holds exactly, are rounded once, so correctly.
 */
#include "csv.h"

#include <float.h>
#include <math.h>
#include <stdint.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define ROUNDS_ONCE 1
#else
#define ROUNDS_ONCE 0 /* x87 rounds twice */
#endif
enum { EXACT_POWER = 22, EXACT_DIGITS = 19, EXPONENT_END = 100000 };

static const double power[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *skip_blanks(const char *at) {
    while (*at == ' ' || *at == '\t') at++;
    return at;
}

/* A number that begins at `at`: its end, or NULL where none is. Every loop stops at the line's newline. */
static const char *number(const char *at, ernn_number slow, double *value) {
    const char *const text = at;
    const int negative = *at == '-';
    uint64_t digits = 0;
    int seen = 0, exact = ROUNDS_ONCE, exponent = 0, significant = 0;
    if (*at == '-' || *at == '+') at++;
    for (int fraction = 0;; at++) {
        if (*at == '.' && !fraction) {
            fraction = 1;
            continue;
        }
        if (!is_digit(*at)) break;
        seen = 1;
        if (significant || *at != '0') significant++;
        if (significant <= EXACT_DIGITS) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            exponent -= fraction;
        } else {
            exact = 0;
        }
    }
    if (!seen) return NULL;
    if (*at == 'e' || *at == 'E') {
        const int down = at[1] == '-';
        int by = 0;
        at += at[1] == '-' || at[1] == '+' ? 2 : 1;
        if (!is_digit(*at)) return NULL;
        for (; is_digit(*at); at++)
            if (by < EXPONENT_END) by = by * 10 + (*at - '0');
        exponent += down ? -by : by;
    }
    if (!exact || digits >> DBL_MANT_DIG || exponent < -EXACT_POWER || exponent > EXACT_POWER)
        return slow(text, (size_t)(at - text), value) ? at : NULL;
    const double magnitude = exponent < 0 ? (double)digits / power[-exponent] : (double)digits * power[exponent];
    *value = negative ? -magnitude : magnitude;
    return at;
}

static const char *cell(const char *at, ernn_number slow, double *value) {
    at = skip_blanks(at);
    if (*at == ',' || *at == '\r' || *at == '\n') {
        *value = NAN;
        return at;
    }
    if (at[0] == 'n' && at[1] == 'a' && at[2] == 'n') {
        *value = NAN;
        at += 3;
    } else {
        at = number(at, slow, value);
    }
    return at ? skip_blanks(at) : NULL;
}

size_t ernn_csv(const char *text, size_t length, size_t columns, size_t longest, const double *limit, ernn_number slow,
                double *out, size_t most, size_t *rows) {
    const char *line = text;
    while (length && text[length - 1] != '\n') length--; /* so that every line here has its end */
    for (*rows = 0; *rows < most && line < text + length; ++*rows, out += columns) {
        const char *at = line;
        for (size_t k = 0; k < columns; k++) {
            const int last = k + 1 == columns;
            at = cell(at, slow, &out[k]);
            if (!at) return (size_t)(line - text);
            if (limit && limit[k] >= 0 && !(fabs(out[k]) < limit[k])) return (size_t)(line - text);
            if (last && *at == '\r') at++;
            if (*at != (last ? '\n' : ',')) return (size_t)(line - text);
            at++;
        }
        if ((size_t)(at - line) > longest + 1 || (columns == 1 && isnan(out[0]))) return (size_t)(line - text);
        line = at;
    }
    return (size_t)(line - text);
}
