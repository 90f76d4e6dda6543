/* What is measured: a row of int16 codes for each sample; value = code * SENSOR_SCALE, in the model's units:
@CHANNELS@
 */
#ifndef SENSOR_H
#define SENSOR_H

#include <stdint.h>

#define SENSOR_CHANNELS @INPUTS@
#define SENSOR_RATE_MILLIHZ @RATE_MILLIHZ@u
#define SENSOR_SCALE @SCALE@

/* Called once a sample, SENSOR_RATE_MILLIHZ / 1000 times a second. */
void sensor_read(int16_t codes[SENSOR_CHANNELS]);

#endif
