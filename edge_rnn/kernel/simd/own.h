/* A variant's own copies of the portable kernel's functions need names of their own. Comes before every other include. */
#ifndef ERNN_OWN_H
#define ERNN_OWN_H

#define ERNN_OWN_(variant, name) ernn_##variant##_##name
#define ERNN_OWN_OF(variant, name) ERNN_OWN_(variant, name)
#define ERNN_OWN(name) ERNN_OWN_OF(ERNN_VARIANT, name)

#define ernn_take_int8 ERNN_OWN(take_int8)
#define ernn_dense_int8 ERNN_OWN(dense_int8)
#define ernn_head_int8 ERNN_OWN(head_int8)
#define ernn_rnn_int8 ERNN_OWN(rnn_int8)
#define ernn_gru_int8 ERNN_OWN(gru_int8)
#define ernn_gru_h ERNN_OWN(gru_h)
#define ernn_lstm_int8 ERNN_OWN(lstm_int8)
#define ernn_fastgrnn_int8 ERNN_OWN(fastgrnn_int8)
#define ernn_window_int8 ERNN_OWN(window_int8)
#define ernn_conv_int8 ERNN_OWN(conv_int8)
#define ernn_statistics_int8 ERNN_OWN(statistics_int8)
#define ernn_times ERNN_OWN(times)
#define ernn_int8_step ERNN_OWN(int8_step)
#define ernn_quantize ERNN_OWN(quantize)
#define ernn_check_finite ERNN_OWN(check_finite)

#define ernn_dense_float ERNN_OWN(dense_float)
#define ernn_rnn_float ERNN_OWN(rnn_float)
#define ernn_gru_float ERNN_OWN(gru_float)
#define ernn_lstm_float ERNN_OWN(lstm_float)
#define ernn_fastgrnn_float ERNN_OWN(fastgrnn_float)
#define ernn_window_float ERNN_OWN(window_float)
#define ernn_conv_float ERNN_OWN(conv_float)
#define ernn_append_float ERNN_OWN(append_float)
#define ernn_statistics_float ERNN_OWN(statistics_float)
#define ernn_norm_float ERNN_OWN(norm_float)
#define ernn_feedforward_float ERNN_OWN(feedforward_float)
#define ernn_attention_float ERNN_OWN(attention_float)
#define ernn_attend_float ERNN_OWN(attend_float)
#define ernn_float_step ERNN_OWN(float_step)

#endif
