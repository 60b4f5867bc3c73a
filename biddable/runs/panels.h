/* A block of rows times a panel of columns, held in registers: what matrix products in C are made of. */
#include <stdint.h>
#include <string.h>

#include "vectors.h"

#ifdef __AVX512F__
enum { BLOCK = 12 };
#else
enum { BLOCK = 6 };
#endif
enum { PANEL = 2 * WIDE };

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t panels(int64_t columns) { return (columns + PANEL - 1) / PANEL; }

/* sum[r] += a[r][k * step] * b[k], over `count` k. */
static inline __attribute__((always_inline)) void multiply(
    int64_t count, const float *const *a, int64_t step, const float *b, vec sum[BLOCK][2]) {
    vec s[BLOCK][2];
    const float *p[BLOCK];
    for (int r = 0; r < BLOCK; r++) s[r][0] = sum[r][0], s[r][1] = sum[r][1], p[r] = a[r];
    for (int64_t k = 0; k < count; k++, b += PANEL) {
        vec b0 = *(const vec *)b, b1 = *(const vec *)(b + WIDE);
#pragma GCC unroll 12
        for (int r = 0; r < BLOCK; r++) {
            float x = p[r][k * step];
            s[r][0] += x * b0;
            s[r][1] += x * b1;
        }
    }
    for (int r = 0; r < BLOCK; r++) sum[r][0] = s[r][0], sum[r][1] = s[r][1];
}

static inline void clear(vec sum[BLOCK][2]) { memset(sum, 0, BLOCK * 2 * sizeof(vec)); }

/* Rows of a block; those beyond the last are the last once more, and are not kept. */
static inline void rows_from(const float *first, int64_t distance, int64_t left, const float *a[BLOCK]) {
    for (int r = 0; r < BLOCK; r++) a[r] = first + min(r, left - 1) * distance;
}
