/* Where a model that comes over the wire is kept: two places in flash, of which one is always whole. */
#ifndef STORE_H
#define STORE_H

#include "@PREFIX@.h"

/* The newest whole model, or the one that was built in. */
const @PREFIX@_weights *store_choose(void);

/* For ernn_link_board: a model of this shape and nothing else is taken, into the place that is not in use. */
int store_begin(void *user, uint32_t size);
const uint8_t *store_write(void *user, uint32_t offset, const uint8_t *bytes, unsigned count);
int store_apply(void *user, uint32_t size);

#endif
