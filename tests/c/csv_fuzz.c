/* csv_fuzz TEXTS SEED: mangled lines through ernn_csv in buffers of exactly their size; every number that was read is
 * what strtod gives for that cell, and reading again after the lines gives the same end. Prints how many were read.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"

static uint64_t seed;

static unsigned draw(unsigned below) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (unsigned)((seed >> 20) % below);
}

static int slow(const char *text, size_t length, double *value) {
    char copy[512], *end;
    if (length >= sizeof copy) return 0;
    memcpy(copy, text, length);
    copy[length] = 0;
    *value = strtod(copy, &end);
    return end == copy + length;
}

static size_t compose(char *text, size_t room) {
    static const char *const cells[] = {"1.5", "-0.25", "9.80665", "1e-5", "nan", "", " 7", "123456789012345678901", "4.9e-324",
                                        "1e400", "-", "x", "1e", "inf", ".", "0.1\r", "\t2 ", "00", "3.14159265358979312"};
    size_t at = 0;
    for (unsigned n = 3 * draw(14); n && at + 40 < room; n--) {
        const char *cell = cells[draw(draw(12) ? 8 : sizeof cells / sizeof *cells)];
        at += (size_t)snprintf(text + at, room - at, "%s%c", cell, n % 3 == 1 || !draw(20) ? '\n' : ',');
    }
    for (unsigned n = draw(3); n && at; n--) text[draw((unsigned)at)] = (char)draw(256);
    return at;
}

int main(int argc, char **argv) {
    const long texts = argc > 2 ? atol(argv[1]) : 1000;
    unsigned long numbers = 0;
    seed = argc > 2 ? 0x9e3779b97f4a7c15u * (uint64_t)(atol(argv[2]) + 1) : 1;
    const double limit[3] = {1e6, -1, -1};
    for (long i = 0; i < texts; i++) {
        char draft[2048];
        const size_t length = compose(draft, sizeof draft), most = draw(12), longest = draw(2) ? 64 : 1000;
        char *text = malloc(length ? length : 1);
        double *out = malloc(most ? most * 3 * sizeof *out : 1);
        if (!text || !out) return 2;
        memcpy(text, draft, length);
        size_t rows;
        const size_t end = ernn_csv(text, length, 3, longest, limit, slow, out, most, &rows);
        if (end > length || rows > most || (end && text[end - 1] != '\n')) return fprintf(stderr, "text %ld: ends\n", i), 1;
        const char *at = text;
        for (size_t n = 0; n < 3 * rows; n++) {
            double wanted = NAN;
            char copy[2048];
            const size_t size = strcspn(at, n % 3 == 2 ? "\r\n" : ",");
            memcpy(copy, at, size), copy[size] = 0;
            if (copy[strspn(copy, " \t")]) wanted = strtod(copy, NULL);
            if (memcmp(&wanted, &out[n], sizeof wanted) && !(isnan(wanted) && isnan(out[n])))
                return fprintf(stderr, "text %ld: '%s' is %.17g, got %.17g\n", i, copy, wanted, out[n]), 1;
            at += size;
            at += 1 + (at[0] == '\r');
            numbers++;
        }
        if (at != text + end) return fprintf(stderr, "text %ld: %zu rows do not end at %zu\n", i, rows, end), 1;
        free(text), free(out);
    }
    return printf("%lu numbers\n", numbers), 0;
}
