/* When a sample is due: take it, make a step on it, send the result. */
static void sample(void) {
    static uint32_t due;
    if ((int32_t)(board_ticks() - due) < 0) return;
    due += (uint32_t)(BOARD_TICK_HZ * 1000.0 / SENSOR_RATE_MILLIHZ + 0.5);
    int16_t codes[SENSOR_CHANNELS], xq[@P@_INPUTS];
    float x[@P@_INPUTS];
    sensor_read(codes);
    for (unsigned j = 0; j < @P@_INPUTS; j++) x[j] = (float)codes[j] * SENSOR_SCALE;
    if (@PREFIX@_quantize(@W@x, xq) == ERNN_OK) ernn_link_push(&wire, xq, board_ticks());
}

