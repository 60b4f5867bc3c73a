/* One decoding step of grouped-query attention over a cache in two parts, on CPU.
 *
 * A row attends to its prompt (kept once for all samples of that prompt) and to what it has generated
 * itself. torch's own kernels run at a few GB/s here because each (row, head) is a matrix product of
 * three rows; this loop reads every key and value once, at memory speed, and takes ragged lengths as
 * they are instead of padding and masking them. While it works on keys it asks the memory for their values,
 * and then for the keys of the next (row, head): each is too short for the processor to see it coming.
 *
 * Shapes (row-major): out [rows, kv_heads * group, dim] of type `kept`, query the same of floats; key, value
 * [rows, kv_heads, dim], those of the new token, which are put into the cache at suffix_length - 1;
 * prompt_* [slots, kv_heads, prompt_capacity, dim]; suffix_* [rows, kv_heads, suffix_capacity, dim];
 * scratch [threads, group, prompt_capacity + suffix_capacity + dim] floats. A row attends to the last `window`
 * positions only, when window > 0.
 */
#include <string.h>

#include "bf16.h"
#include "exp_negative.h"
#include "vectors.h"

enum { HEADS = 3, KEYS = 4, CHUNK = 4 * WIDE }; /* queries, keys, numbers that are worked on at once */
enum { LINE = 64 / sizeof(kept) };                /* numbers in a line of the processor's cache */

#define INLINED static inline __attribute__((always_inline))

INLINED vec vec_of(const kept *x) {
#ifdef KEPT_BF16
    typedef uint16_t narrow __attribute__((vector_size(2 * WIDE), aligned(2)));
    typedef uint32_t wide __attribute__((vector_size(4 * WIDE)));
    return (vec)(__builtin_convertvector(*(const narrow *)x, wide) << 16);
#else
    return *(const vec *)x;
#endif
}

/* The sum of each of four vectors: halves of two are added at once, then quarters of four, then these turned. */
INLINED void sums_of(const vec x[KEYS], float scale, float *sums) {
    typedef int32_t mask __attribute__((vector_size(4 * WIDE)));
    enum { HALF = WIDE / 2, QUARTER = WIDE / 4 };
    mask half, quarter, turn;
    for (int i = 0; i < WIDE; i++) {
        half[i] = i < HALF ? i : i + HALF;             /* the first half of each of two */
        quarter[i] = i / QUARTER * HALF + i % QUARTER; /* the first half of each of four halves */
        turn[i] = i % KEYS * QUARTER + i / KEYS;       /* the first of each quarter, then the second of each .. */
    }
    vec ab = __builtin_shuffle(x[0], x[1], half) + __builtin_shuffle(x[0], x[1], half + HALF);
    vec cd = __builtin_shuffle(x[2], x[3], half) + __builtin_shuffle(x[2], x[3], half + HALF);
    vec all = __builtin_shuffle(ab, cd, quarter) + __builtin_shuffle(ab, cd, quarter + QUARTER);
    float part[WIDE];
    all = __builtin_shuffle(all, turn);
    memcpy(part, &all, sizeof part);
    for (int j = 0; j < KEYS; j++) {
        float sum = 0.0f;
        for (int i = 0; i < QUARTER; i++) sum += part[i * KEYS + j];
        sums[j] = sum * scale;
    }
}

/* Numbers of one token that will be needed soon. */
INLINED void fetch(const kept *x, int dim) {
    for (int d = 0; d < dim; d += LINE) __builtin_prefetch(x + d);
}

INLINED void scores_of(
    const float *query, const kept *keys, const kept *ahead, int64_t count, int group, int dim, float scale,
    float *scores, int64_t stride) {
    int64_t t = 0;
    for (; dim % WIDE == 0 && t + KEYS <= count; t += KEYS)
        for (int first = 0; first < group; first += HEADS) {
            vec sum[HEADS][KEYS] = {0};
#pragma GCC unroll 4
            for (int j = 0; j < KEYS; j++) {
                if (first == 0) fetch(ahead + (t + j) * dim, dim);
                for (int d = 0; d < dim; d += WIDE) {
                    vec key = vec_of(keys + (t + j) * dim + d);
                    for (int g = 0; g < HEADS && first + g < group; g++)
                        sum[g][j] += *(const vec *)(query + (first + g) * dim + d) * key;
                }
            }
            for (int g = 0; g < HEADS && first + g < group; g++)
                sums_of(sum[g], scale, scores + (first + g) * stride + t);
        }
    for (; t < count; t++)
        for (int g = 0; g < group; g++) {
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (int d = 0; d < dim; d++) sum += query[g * dim + d] * value_of(keys[t * dim + d]);
            scores[g * stride + t] = sum * scale;
        }
}

/* out += weights * values. */
INLINED void add_values(
    float *out, const kept *values, const kept *ahead, int64_t count, int group, int dim, const float *weights,
    int64_t stride) {
    int d = 0;
    for (; d + CHUNK <= dim; d += CHUNK)
        for (int first = 0; first < group; first += HEADS) {
            vec sum[HEADS][4] = {0};
            for (int64_t t = 0; t < count; t++) {
                if (first == 0) fetch(ahead + t * dim + d, CHUNK);
                for (int i = 0; i < 4; i++) {
                    vec value = vec_of(values + t * dim + d + i * WIDE);
                    for (int g = 0; g < HEADS && first + g < group; g++)
                        sum[g][i] += weights[(first + g) * stride + t] * value;
                }
            }
            for (int g = 0; g < HEADS && first + g < group; g++)
                for (int i = 0; i < 4; i++) *(vec *)(out + (first + g) * dim + d + i * WIDE) += sum[g][i];
        }
    for (int64_t t = 0; t < count && d < dim; t++)
        for (int g = 0; g < group; g++)
#pragma omp simd
            for (int i = d; i < dim; i++) out[g * dim + i] += weights[g * stride + t] * value_of(values[t * dim + i]);
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

/* What a query sees of its prompt, or of its suffix; `next` is where the next head's begins. */
typedef struct {
    const kept *key, *value, *next;
    int64_t count;
} part;

INLINED void one_head(
    kept *out, const float *query, const part *p, const part *s, int group, int dim, float scale, float *scores,
    int64_t stride) {
    float *sum = scores + group * stride;
    scores_of(query, p->key, p->value, p->count, group, dim, scale, scores, stride);
    scores_of(query, s->key, s->value, s->count, group, dim, scale, scores + p->count, stride);
    for (int g = 0; g < group; g++) softmax(scores + g * stride, p->count + s->count);
    memset(sum, 0, group * dim * sizeof(float));
    add_values(sum, p->value, p->next, p->count, group, dim, scores, stride);
    add_values(sum, s->value, s->next, s->count, group, dim, scores + p->count, stride);
    for (int i = 0; i < group * dim; i++) out[i] = keep(sum[i]);
}

void decode_attention(
    kept *out, const float *query, const kept *key, const kept *value, const kept *prompt_key,
    const kept *prompt_value, kept *suffix_key, kept *suffix_value, const int64_t *slot_of_row,
    const int64_t *prompt_length, const int64_t *suffix_length, float *scratch, int64_t rows, int64_t kv_heads,
    int64_t group, int64_t dim, int64_t prompt_capacity, int64_t suffix_capacity, int64_t window, float scale,
    int64_t threads) {
    int64_t stride = prompt_capacity + suffix_capacity;
    int64_t jobs = rows * kv_heads;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t thread = 0; thread < threads; thread++) {
        float *scores = scratch + thread * group * (stride + dim);
        for (int64_t job = jobs * thread / threads; job < jobs * (thread + 1) / threads; job++) {
            int64_t row = job / kv_heads, head = job % kv_heads;
            int64_t p_count = prompt_length[row], s_count = suffix_length[row], skip_p = 0, skip_s = 0;
            if (window > 0 && p_count + s_count > window) {
                int64_t skip = p_count + s_count - window;
                skip_p = skip < p_count ? skip : p_count;
                skip_s = skip - skip_p;
            }
            const int64_t p_at = (slot_of_row[row] * kv_heads + head) * prompt_capacity * dim;
            const int64_t s_at = job * suffix_capacity * dim, newest = s_at + (s_count - 1) * dim;
            memcpy(suffix_key + newest, key + job * dim, dim * sizeof(kept));
            memcpy(suffix_value + newest, value + job * dim, dim * sizeof(kept));
            int64_t next = job + 1 < jobs ? job + 1 : job;
            int64_t next_p = (slot_of_row[next / kv_heads] * kv_heads + next % kv_heads) * prompt_capacity * dim;
            part p = {prompt_key + p_at + skip_p * dim, prompt_value + p_at + skip_p * dim, prompt_key + next_p,
                      p_count - skip_p};
            part s = {suffix_key + s_at + skip_s * dim, suffix_value + s_at + skip_s * dim,
                      suffix_key + next * suffix_capacity * dim, s_count - skip_s};
            kept *o = out + job * group * dim;
            const float *q = query + job * group * dim;
            /* The shapes that matter are compiled with constants, so that the inner loops unroll. */
            if (group == 3 && dim == 64) one_head(o, q, &p, &s, 3, 64, scale, scores, stride);
            else if (group == 4 && dim == 256) one_head(o, q, &p, &s, 4, 256, scale, scores, stride);
            else if (dim == 64) one_head(o, q, &p, &s, group, 64, scale, scores, stride);
            else if (dim == 128) one_head(o, q, &p, &s, group, 128, scale, scores, stride);
            else one_head(o, q, &p, &s, group, dim, scale, scores, stride);
        }
    }
}
