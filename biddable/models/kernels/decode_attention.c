/* One decoding step of grouped-query attention over a cache in two parts, on CPU.
 *
 * A row attends to its prompt (kept once for all samples of that prompt) and to what it has generated
 * itself. torch's own kernels run at a few GB/s here because each (row, head) is a matrix product of
 * three rows; this loop reads every key and value once, at memory speed, and takes ragged lengths as
 * they are instead of padding and masking them.
 *
 * Shapes (row-major; out, query and scratch are float, the cache is of type `kept`): out, query [rows, kv_heads * group, dim]; prompt_* [slots, kv_heads,
 * prompt_capacity, dim]; suffix_* [rows, kv_heads, suffix_capacity, dim]. A row attends to the last
 * `window` positions only, when window > 0.
 */
#include "bf16.h"
#include "exp_negative.h"

static inline __attribute__((always_inline)) void scores_of(
    const float *query, const kept *keys, int64_t count, int group, int dim, float scale,
    float *scores, int64_t stride) {
    for (int64_t t = 0; t < count; t++) {
        const kept *key = keys + t * dim;
        for (int g = 0; g < group; g++) {
            const float *q = query + g * dim;
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (int d = 0; d < dim; d++) sum += q[d] * value_of(key[d]);
            scores[g * stride + t] = sum * scale;
        }
    }
}

static inline __attribute__((always_inline)) void add_values(
    float *out, const kept *values, int64_t count, int group, int dim, const float *weights, int64_t stride) {
    for (int64_t t = 0; t < count; t++) {
        const kept *value = values + t * dim;
        for (int g = 0; g < group; g++) {
            float w = weights[g * stride + t];
            float *o = out + g * dim;
#pragma omp simd
            for (int d = 0; d < dim; d++) o[d] += w * value_of(value[d]);
        }
    }
}

static void softmax(float *scores, int64_t count) {
    float top = scores[0], sum = 0.0f;
#pragma omp simd reduction(max : top)
    for (int64_t t = 0; t < count; t++) top = scores[t] > top ? scores[t] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t t = 0; t < count; t++) {
        scores[t] = exp_negative(scores[t] - top);
        sum += scores[t];
    }
    float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t t = 0; t < count; t++) scores[t] *= inverse;
}

static inline __attribute__((always_inline)) void one_head(
    float *out, const float *query, const kept *prompt_key, const kept *prompt_value, int64_t prompt_count,
    const kept *suffix_key, const kept *suffix_value, int64_t suffix_count, int group, int dim, float scale,
    float *scores, int64_t stride) {
    scores_of(query, prompt_key, prompt_count, group, dim, scale, scores, stride);
    scores_of(query, suffix_key, suffix_count, group, dim, scale, scores + prompt_count, stride);
    for (int g = 0; g < group; g++) softmax(scores + g * stride, prompt_count + suffix_count);
    for (int i = 0; i < group * dim; i++) out[i] = 0.0f;
    add_values(out, prompt_value, prompt_count, group, dim, scores, stride);
    add_values(out, suffix_value, suffix_count, group, dim, scores + prompt_count, stride);
}

void decode_attention(
    float *out, const float *query, const kept *prompt_key, const kept *prompt_value,
    const kept *suffix_key, const kept *suffix_value, const int64_t *slot_of_row,
    const int64_t *prompt_length, const int64_t *suffix_length, float *scratch, int64_t rows, int64_t kv_heads,
    int64_t group, int64_t dim, int64_t prompt_capacity, int64_t suffix_capacity, int64_t window, float scale,
    int64_t threads) {
    int64_t stride = prompt_capacity + suffix_capacity;
    int64_t jobs = rows * kv_heads;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t part = 0; part < threads; part++) {
        float *scores = scratch + part * group * stride;
        for (int64_t job = jobs * part / threads; job < jobs * (part + 1) / threads; job++) {
            int64_t row = job / kv_heads, head = job % kv_heads;
            int64_t p_count = prompt_length[row], s_count = suffix_length[row], skip_p = 0, skip_s = 0;
            if (window > 0 && p_count + s_count > window) {
                int64_t skip = p_count + s_count - window;
                skip_p = skip < p_count ? skip : p_count;
                skip_s = skip - skip_p;
            }
            const int64_t p = ((slot_of_row[row] * kv_heads + head) * prompt_capacity + skip_p) * dim;
            const int64_t s = ((row * kv_heads + head) * suffix_capacity + skip_s) * dim;
            float *o = out + (row * kv_heads + head) * group * dim;
            const float *q = query + (row * kv_heads + head) * group * dim;
#define RUN(G, D)                                                                                              \
    one_head(o, q, prompt_key + p, prompt_value + p, p_count - skip_p, suffix_key + s, suffix_value + s,       \
             s_count - skip_s, G, D, scale, scores, stride)
            /* The shapes that matter are compiled with constants, so that the inner loops unroll. */
            if (group == 3 && dim == 64) RUN(3, 64);
            else if (group == 4 && dim == 256) RUN(4, 256);
            else if (dim == 64) RUN(group, 64);
            else if (dim == 128) RUN(group, 128);
            else RUN(group, dim);
#undef RUN
        }
    }
}
