/* Draw a token from each row of logits by inverse transform, without filters, on CPU.
 *
 * logits [rows, vocabulary] of type `kept`; uniform [rows] in [0, 1); temperature 0 takes the likeliest. Results
 * [rows]: token; below, how far its logit is from the largest (not above 0); total, the sum of exp(logit -
 * largest) over the vocabulary. scratch: [threads, blocks of the vocabulary].
 *
 * Sums of blocks come first, then the search inside one: a running sum over the vocabulary would not vectorise.
 */
#include "bf16.h"
#include "exp_negative.h"

enum { BLOCK = 256 };

static inline int64_t blocks(int64_t count) { return (count + BLOCK - 1) / BLOCK; }
static inline int64_t end_of(int64_t block, int64_t count) {
    return (block + 1) * BLOCK < count ? (block + 1) * BLOCK : count;
}

static float largest(const kept *logits, int64_t count) {
    float top = value_of(logits[0]);
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < count; i++) top = value_of(logits[i]) > top ? value_of(logits[i]) : top;
    return top;
}

/* Sums of exp((logit - top) * sharpness) up to the end of each block; the last is that of all. */
static double sums_of(const kept *logits, int64_t count, float top, float sharpness, double *ends) {
    double all = 0.0;
    for (int64_t b = 0; b < blocks(count); b++) {
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = b * BLOCK; i < end_of(b, count); i++)
            sum += exp_negative((value_of(logits[i]) - top) * sharpness);
        ends[b] = all += sum;
    }
    return all;
}

/* The first token whose sum, with those before it, is above the goal. */
static int64_t search(const kept *logits, int64_t count, float top, float sharpness, const double *ends, double goal) {
    int64_t b = 0;
    while (b + 1 < blocks(count) && !(ends[b] > goal)) b++;
    double sum = b ? ends[b - 1] : 0.0;
    for (int64_t i = b * BLOCK; i < end_of(b, count); i++) {
        sum += exp_negative((value_of(logits[i]) - top) * sharpness);
        if (sum > goal) return i;
    }
    return end_of(b, count) - 1; /* rounding pushed the goal past the end */
}

static int64_t place_of(const kept *logits, int64_t count, float top) {
    for (int64_t i = 0; i < count; i++)
        if (value_of(logits[i]) == top) return i;
    return 0;
}

void draw(
    const kept *logits, const double *uniform, int64_t rows, int64_t vocabulary, float temperature, int64_t *token,
    float *below, float *total, double *scratch, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t thread = 0; thread < threads; thread++) {
        double *ends = scratch + thread * blocks(vocabulary);
        for (int64_t r = rows * thread / threads; r < rows * (thread + 1) / threads; r++) {
            const kept *row = logits + r * vocabulary;
            float top = largest(row, vocabulary);
            double all = 0.0;
            if (temperature == 0.0f) token[r] = place_of(row, vocabulary, top);
            else {
                float sharpness = 1.0f / temperature;
                all = sums_of(row, vocabulary, top, sharpness, ends);
                token[r] = search(row, vocabulary, top, sharpness, ends, uniform[r] * all);
            }
            if (temperature != 1.0f) all = sums_of(row, vocabulary, top, 1.0f, ends);
            below[r] = value_of(row[token[r]]) - top;
            total[r] = all;
        }
    }
}
