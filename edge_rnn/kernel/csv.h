/* Lines of numbers to doubles: what Python's float() gives, without its cost. No allocation, no I/O, no locale.
 *
 * Only plain lines are read here; whatever is doubtful is left to the caller, who decides what a line means.
 */
#ifndef ERNN_CSV_H
#define ERNN_CSV_H

#include <stddef.h>

/* A number's text (digits, sign, point, exponent; `length` characters, not terminated) to the nearest double; 0 if not. */
typedef int (*ernn_number)(const char *text, size_t length, double *value);

/* Read whole lines of `columns` cells from `text` into `out`, row by row, until one is not plain.
 *
 * A plain line has at most `longest` bytes; its cells are numbers, empty (NaN) or nan, with blanks around. Where
 * `limit` (NULL: of none) of a column is not negative, its values are below it in magnitude. `slow` rounds the numbers
 * of many digits.
 * Gives the bytes read, and in `rows` how many lines they were: at most `most`.
 */
size_t ernn_csv(const char *text, size_t length, size_t columns, size_t longest, const double *limit, ernn_number slow,
                double *out, size_t most, size_t *rows);

#endif
