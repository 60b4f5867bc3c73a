/* Small layers one after the other, forwards and backwards, and a step of Adam.
 *
 * A policy's network has some ten thousand weights: computed by a library for large ones, most of its time
 * is calls and what they push out of the caches. Here a pass is one call, with one core.
 *
 * Everything is a matrix product of a block of rows with a panel of columns, held in registers. A row is a
 * place of a picture (one, for a layer that is no convolution); what it is multiplied with are the cells
 * around it, as they lie in the padded picture: `runs` stretches of `run` numbers, `line` apart.
 */
#include <stddef.h>

#include "exp_negative.h"
#include "panels.h"

enum { LINEAR, RELU, ELU, TANH };

/* A 3 x 3 convolution of stride 2 over `side` * `side` cells, or (`side` 0) a layer that sees all of its input. */
typedef struct {
    int64_t side;       /* cells in a line of the picture, without padding; 0 */
    int64_t out;        /* outputs in a line; 1 */
    int64_t channels;   /* numbers of a cell; inputs */
    int64_t outputs;    /* of each place */
    int64_t activation; /* one of the enum above */
    int64_t extra;      /* numbers of the input that come from outside, at its end */
} layer;

static inline int64_t cells(const layer *l) { return l->side ? 2 * l->out + 1 : 1; }
static inline int64_t size(const layer *l) { return cells(l) * cells(l) * l->channels; }
static inline int64_t places(const layer *l) { return l->out * l->out; }
static inline int64_t runs(const layer *l) { return l->side ? 3 : 1; }
static inline int64_t run(const layer *l) { return l->side ? 3 * l->channels : l->channels; }
static inline int64_t line(const layer *l) { return cells(l) * l->channels; }
static inline int64_t depth(const layer *l) { return runs(l) * run(l); } /* inputs of a place */

/* Where the cells around place p begin. */
static inline int64_t begin(const layer *l, int64_t p) {
    return 2 * (p / l->out) * line(l) + 2 * (p % l->out) * l->channels;
}

/* Where the output of place p lies in the input of the next layer, or in the result. */
static inline int64_t target(const layer *l, const layer *next, int64_t p) {
    if (!next || !next->side) return p * l->outputs;
    return (p / l->out + 1) * line(next) + (p % l->out + 1) * l->outputs;
}

/* A panel of b, [count, columns from `first`], filled up with zeros. */
static void pack(const float *b, int64_t count, int64_t row, int64_t column, int64_t columns, float *packed) {
    for (int64_t k = 0; k < count; k++, packed += PANEL)
        for (int64_t n = 0; n < PANEL; n++) packed[n] = n < columns ? b[k * row + n * column] : 0.0f;
}

/* Zeros around the picture of every row. */
static void pad(const layer *l, int64_t rows, float *in) {
    int64_t wide = cells(l), after = wide - 1 - l->side, c = l->channels;
    for (int64_t i = 0; i < rows; i++, in += size(l)) {
        memset(in, 0, wide * c * sizeof(float));
        for (int64_t y = 1; y <= l->side; y++) {
            memset(in + y * wide * c, 0, c * sizeof(float));
            memset(in + ((y + 1) * wide - after) * c, 0, after * c * sizeof(float));
        }
        memset(in + (wide - after) * wide * c, 0, after * wide * c * sizeof(float));
    }
}

/* What comes from outside, as the first layer reads it. */
static void enter(const layer *l, int64_t rows, const float *x, float *in) {
    int64_t taken = l->side ? l->side * l->side * l->channels : l->channels - l->extra;
    if (l->side) pad(l, rows, in);
    for (int64_t i = 0; i < rows; i++, x += taken, in += size(l)) {
        if (!l->side) memcpy(in, x, taken * sizeof(float));
        for (int64_t y = 0; y < l->side; y++)
            memcpy(in + (y + 1) * line(l) + l->channels, x + y * l->side * l->channels,
                   l->side * l->channels * sizeof(float));
    }
}

/* What is no number stays so: whoever looks at the result must see it. */
static inline void activate(int64_t activation, float *x) {
    if (activation == RELU)
        for (int n = 0; n < PANEL; n++) x[n] = x[n] < 0.0f ? 0.0f : x[n];
    if (activation == ELU)
        for (int n = 0; n < PANEL; n++) {
            float low = exp_negative(x[n] < 0.0f ? x[n] : 0.0f) - 1.0f;
            x[n] = x[n] < 0.0f ? low : x[n];
        }
    if (activation == TANH)
        for (int n = 0; n < PANEL; n++) {
            float low = exp_negative(x[n] > 0.0f ? -2.0f * x[n] : 2.0f * x[n]), y = (1.0f - low) / (1.0f + low);
            x[n] = x[n] < 0.0f ? -y : y;
        }
}

static void layer_forward(
    const layer *l, const layer *next, int64_t rows, const float *in, const float *weight, float *out,
    int64_t out_size, float *packed) {
    const float *bias = weight + depth(l) * l->outputs;
    for (int64_t q = 0; q < panels(l->outputs); q++) {
        int64_t columns = min(PANEL, l->outputs - q * PANEL);
        float shift[PANEL];
        pack(weight + q * PANEL, depth(l), l->outputs, 1, columns, packed);
        pack(bias + q * PANEL, 1, 0, 1, columns, shift);
        for (int64_t p = 0; p < places(l); p++) {
            float *to = out + target(l, next, p) + q * PANEL;
            for (int64_t i = 0; i < rows; i += BLOCK) {
                vec sum[BLOCK][2];
                const float *a[BLOCK];
                clear(sum);
                for (int64_t w = 0; w < runs(l); w++) {
                    rows_from(in + i * size(l) + begin(l, p) + w * line(l), size(l), rows - i, a);
                    multiply(run(l), a, 1, packed + w * run(l) * PANEL, sum);
                }
                for (int64_t r = 0; r < min(BLOCK, rows - i); r++) {
                    float *x = (float *)sum[r];
                    for (int n = 0; n < PANEL; n++) x[n] += shift[n];
                    activate(l->activation, x);
                    memcpy(to + (i + r) * out_size, x, columns * sizeof(float));
                }
            }
        }
    }
}

/* The layers' result for `rows` inputs x and, where a layer has `extra`, what is put in there.
 *
 * weights: of each layer [depth, outputs] and the bias [outputs], one after the other; ins: room for every
 * layer's input, [rows, size] each; packed: PANEL times the most inputs that a place has.
 */
void small_layers_forward(
    const layer *layers, int64_t count, int64_t rows, const float *weights, const float *x, const float *extra,
    float *ins, float *out, float *packed) {
    enter(layers, rows, x, ins);
    for (int64_t i = 0; i < count; i++) {
        const layer *l = layers + i, *next = i + 1 < count ? l + 1 : NULL;
        float *to = next ? ins + rows * size(l) : out;
        if (l->extra)
            for (int64_t r = 0; r < rows; r++)
                memcpy(ins + (r + 1) * size(l) - l->extra, extra + r * l->extra, l->extra * sizeof(float));
        if (next && next->side) pad(next, rows, to);
        layer_forward(l, next, rows, ins, weights, to, next ? size(next) : l->outputs, packed);
        ins = to, weights += (depth(l) + 1) * l->outputs;
    }
}

/* The gradient before a layer's activation, in panels: [panels, places, rows, PANEL]; and the bias's. */
static void before_activation(
    const layer *l, const layer *next, int64_t rows, const float *out, const float *d_out, int64_t out_size,
    float *g, float *d_bias) {
    for (int64_t q = 0; q < panels(l->outputs); q++) {
        int64_t columns = min(PANEL, l->outputs - q * PANEL);
        float total[PANEL] = {0};
        for (int64_t p = 0; p < places(l); p++) {
            int64_t at = target(l, next, p) + q * PANEL;
            for (int64_t i = 0; i < rows; i++, at += out_size, g += PANEL) {
                float y[PANEL] = {0};
                memset(g, 0, PANEL * sizeof(float));
                memcpy(g, d_out + at, columns * sizeof(float));
                if (l->activation) memcpy(y, out + at, columns * sizeof(float));
                if (l->activation == RELU)
                    for (int n = 0; n < PANEL; n++) g[n] = y[n] > 0.0f ? g[n] : 0.0f;
                if (l->activation == ELU)
                    for (int n = 0; n < PANEL; n++) g[n] *= y[n] > 0.0f ? 1.0f : y[n] + 1.0f;
                if (l->activation == TANH)
                    for (int n = 0; n < PANEL; n++) g[n] *= 1.0f - y[n] * y[n];
                for (int n = 0; n < PANEL; n++) total[n] += g[n];
            }
        }
        memcpy(d_bias + q * PANEL, total, columns * sizeof(float));
    }
}

static void weight_gradient(const layer *l, int64_t rows, const float *in, const float *g, float *d_weight) {
    for (int64_t q = 0; q < panels(l->outputs); q++, g += places(l) * rows * PANEL) {
        int64_t columns = min(PANEL, l->outputs - q * PANEL);
        for (int64_t w = 0; w < runs(l); w++)
            for (int64_t k = 0; k < run(l); k += BLOCK) {
                vec sum[BLOCK][2];
                const float *a[BLOCK];
                clear(sum);
                for (int64_t p = 0; p < places(l); p++) {
                    rows_from(in + begin(l, p) + w * line(l) + k, 1, run(l) - k, a);
                    multiply(rows, a, size(l), g + p * rows * PANEL, sum);
                }
                float *to = d_weight + (w * run(l) + k) * l->outputs + q * PANEL;
                for (int64_t r = 0; r < min(BLOCK, run(l) - k); r++)
                    memcpy(to + r * l->outputs, sum[r], columns * sizeof(float));
            }
    }
}

static void input_gradient(
    const layer *l, int64_t rows, const float *weight, const float *g, float *d_in, float *packed) {
    int64_t every = places(l) * rows * PANEL; /* numbers of a panel of g */
    memset(d_in, 0, rows * size(l) * sizeof(float));
    for (int64_t w = 0; w < runs(l); w++)
        for (int64_t k = 0; k < run(l); k += PANEL) {
            int64_t columns = min(PANEL, run(l) - k);
            pack(weight + (w * run(l) + k) * l->outputs, l->outputs, 1, l->outputs, columns, packed);
            for (int64_t p = 0; p < places(l); p++)
                for (int64_t i = 0; i < rows; i += BLOCK) {
                    vec sum[BLOCK][2];
                    const float *a[BLOCK];
                    clear(sum);
                    for (int64_t q = 0; q < panels(l->outputs); q++) {
                        rows_from(g + q * every + (p * rows + i) * PANEL, PANEL, rows - i, a);
                        multiply(min(PANEL, l->outputs - q * PANEL), a, 1, packed + q * PANEL * PANEL, sum);
                    }
                    float *to = d_in + i * size(l) + begin(l, p) + w * line(l) + k;
                    for (int64_t r = 0; r < min(BLOCK, rows - i); r++, to += size(l))
                        for (int64_t n = 0; n < columns; n++) to[n] += ((float *)sum[r])[n];
                }
        }
}

/* Gradients of all weights, for that of the result.
 *
 * ins, out: as the forward pass left them; d_ins: as large as ins, that of the first layer's input is only
 * written if `to_input`; g: as much as a layer's output takes in panels, the most of any; packed: PANEL
 * times the most inputs or outputs, outputs in full panels.
 */
void small_layers_backward(
    const layer *layers, int64_t count, int64_t rows, const float *weights, const float *ins, const float *out,
    const float *d_out, float *d_weights, float *d_ins, int64_t to_input, float *g, float *packed) {
    int64_t in = 0, weight = 0; /* where this layer's begin */
    for (int64_t i = 0; i < count; i++)
        in += rows * size(layers + i), weight += (depth(layers + i) + 1) * layers[i].outputs;
    for (int64_t i = count - 1; i >= 0; i--) {
        const layer *l = layers + i, *next = i + 1 < count ? l + 1 : NULL;
        in -= rows * size(l), weight -= (depth(l) + 1) * l->outputs;
        before_activation(l, next, rows, out, d_out, next ? size(next) : l->outputs, g,
                          d_weights + weight + depth(l) * l->outputs);
        weight_gradient(l, rows, ins + in, g, d_weights + weight);
        if (i || to_input) input_gradient(l, rows, weights + weight, g, d_ins + in, packed);
        out = ins + in, d_out = d_ins + in;
    }
}

/* A step of Adam (rates already corrected for the moments' start), the gradient scaled down to `max_norm`
 * and then cleared. */
void adam_step(int64_t count, float *weights, float *gradient, float *mean, float *square, float rate,
               float beta1, float beta2, float eps, float max_norm) {
    float total = 0.0f;
    for (int64_t i = 0; i < count; i++) total += gradient[i] * gradient[i];
    float norm = __builtin_sqrtf(total), scale = norm > max_norm ? max_norm / (norm + 1e-6f) : 1.0f;
    for (int64_t i = 0; i < count; i++) {
        float x = scale * gradient[i];
        mean[i] += (1.0f - beta1) * (x - mean[i]);
        square[i] = beta2 * square[i] + (1.0f - beta2) * x * x;
        weights[i] -= rate * mean[i] / (__builtin_sqrtf(square[i]) + eps);
        gradient[i] = 0.0f;
    }
}
