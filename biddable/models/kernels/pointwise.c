/* What stands between a decoder's matrix products, for a few rows, on CPU: one pass instead of several calls.
 *
 * Results are of type `kept`; sums are float.
 */
#include "bf16.h"
#include "exp_negative.h"

/* out = x / rms(x) * weight: x of floats, all [rows, width], weight [width] of floats. */
void rms_norm(const float *x, const float *weight, kept *out, int64_t rows, int64_t width, float epsilon,
              int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * width;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < width; i++) sum += from[i] * from[i];
        float inverse = 1.0f / __builtin_sqrtf(sum / width + epsilon);
#pragma omp simd
        for (int64_t i = 0; i < width; i++) out[r * width + i] = keep(from[i] * inverse * weight[i]);
    }
}

/* out = silu(gate) * up, each [rows, width]. */
void swiglu(const kept *gate, const kept *up, kept *out, int64_t rows, int64_t width, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t r = 0; r < rows; r++) {
#pragma omp simd
        for (int64_t i = r * width; i < (r + 1) * width; i++) {
            float g = value_of(gate[i]), e = exp_negative(g < 0.0f ? g : -g);
            out[i] = keep(g * (g < 0.0f ? e : 1.0f) / (1.0f + e) * value_of(up[i]));
        }
    }
}
