/* Causal attention along the sequences of a prefix tree, forwards and backwards, on CPU.
 *
 * Every token is a query once, in the first sequence that has it; its keys are the tokens of that sequence up
 * to itself. So nothing is padded, and what sequences share is computed once.
 *
 * The work is cut into blocks: TOKENS places of a sequence, for one key-value head and all query heads that
 * read it. Threads take equal shares of the blocks, in order, so that sums never depend on who was faster.
 * A sequence's keys and values are laid out in panels once for all of its blocks.
 *
 * Shapes (row-major): query, out and their gradients [T, kv_heads * group, dim], key, value and theirs [T,
 * kv_heads, dim], of type `kept`; stats [T, kv_heads * group, 2], the largest score of each query and one over
 * the sum of the exponentials; d_key, d_value of floats, [threads, T, kv_heads, dim], zeros at first: what each
 * thread found, to be added up. dim is a multiple of PANEL.
 */
#include <stddef.h>

#include "bf16.h"
#include "exp_negative.h"
#include "panels.h"

enum { TOKENS = 16 };

typedef struct {
    int64_t sequences, width;           /* of path */
    int64_t tokens;                     /* T */
    int64_t kv_heads, group, dim;
    int64_t window;                     /* how many places back, itself included, a token sees; 0: all */
    int64_t threads;
    const int64_t *path;                /* [sequences, width]: the token at each place */
    const int64_t *begin, *end;         /* [sequences]: the places of the tokens no earlier sequence has */
} tree;

/* What a thread works in: a sequence in panels, and a block. */
typedef struct {
    float *key, *key_t, *value, *value_t, *d_key, *d_value; /* [padded width, dim] */
    float *weight, *d_score;                                /* [rows, padded width] */
    float *query, *d_out, *out;                             /* [dim / PANEL, rows, PANEL] */
} room;

typedef struct {
    int64_t sequence, head, from, to; /* places `from` to `to` of the sequence ask */
    int64_t low, high;                /* panels of keys that they see */
    int64_t rows;                     /* queries: places times heads of the group */
} block;

static int64_t padded(const tree *t) { return panels(t->width) * PANEL; }
static int64_t most_rows(const tree *t) { return TOKENS * t->group; }

/* How many floats each thread needs. */
int64_t tree_attention_room(const tree *t) {
    return 6 * padded(t) * t->dim + 2 * most_rows(t) * padded(t) + 3 * most_rows(t) * t->dim;
}

static room lay_out(const tree *t, float *at) {
    int64_t sequence = padded(t) * t->dim, score = most_rows(t) * padded(t), rows = most_rows(t) * t->dim;
    float *weight = at + 6 * sequence, *query = weight + 2 * score;
    room r = {at, at + sequence, at + 2 * sequence, at + 3 * sequence, at + 4 * sequence, at + 5 * sequence,
              weight, weight + score, query, query + rows, query + 2 * rows};
    return r;
}

/* Work by the number of keys; a thread gets the blocks that begin within its share of all work. */
static int64_t cost(int64_t from, int64_t to) { return (to - from) * to; }

static int64_t whole_cost(const tree *t) {
    int64_t sum = 0;
    for (int64_t s = 0; s < t->sequences; s++)
        for (int64_t from = t->begin[s]; from < t->end[s]; from += TOKENS)
            sum += cost(from, min(from + TOKENS, t->end[s]));
    return sum * t->kv_heads;
}

static block block_of(const tree *t, int64_t sequence, int64_t head, int64_t from) {
    int64_t to = min(from + TOKENS, t->end[sequence]);
    int64_t low = t->window && from >= t->window ? (from - t->window + 1) / PANEL : 0;
    block b = {sequence, head, from, to, low, panels(to), (to - from) * t->group};
    return b;
}

/* [count, dim] rows of a sequence, in panels of columns; rows up to the next full panel are zero. */
static void load_rows(const tree *t, const kept *x, int64_t sequence, int64_t head, float *rows) {
    const int64_t *path = t->path + sequence * t->width;
    int64_t count = t->end[sequence], all = padded(t);
    for (int64_t i = 0; i < panels(count) * PANEL; i++)
        for (int64_t c = 0; c < t->dim; c += PANEL) {
            float *to = rows + c * all + i * PANEL;
            if (i >= count) memset(to, 0, PANEL * sizeof(float));
            else
                for (int d = 0; d < PANEL; d++) to[d] = value_of(x[(path[i] * t->kv_heads + head) * t->dim + c + d]);
        }
}

/* The same turned: panels of PANEL rows, [dim, PANEL] each. */
static void turn(const tree *t, int64_t count, const float *rows, float *turned) {
    for (int64_t p = 0; p < panels(count); p++)
        for (int64_t c = 0; c < t->dim; c += PANEL)
            for (int64_t i = 0; i < PANEL; i++)
                for (int64_t d = 0; d < PANEL; d++)
                    turned[(p * t->dim + c + d) * PANEL + i] = rows[c * padded(t) + (p * PANEL + i) * PANEL + d];
}

/* The queries of a block, or what belongs to them, in panels of columns. */
static void load_block(const tree *t, const block *b, const kept *x, float *rows) {
    const int64_t *path = t->path + b->sequence * t->width;
    for (int64_t r = 0; r < b->rows; r++) {
        int64_t place = path[b->from + r / t->group], head = b->head * t->group + r % t->group;
        const kept *from = x + (place * t->kv_heads * t->group + head) * t->dim;
        for (int64_t c = 0; c < t->dim; c += PANEL)
            for (int d = 0; d < PANEL; d++) rows[c * b->rows + r * PANEL + d] = value_of(from[c + d]);
    }
}

static void store_block(const tree *t, const block *b, const float *rows, kept *x) {
    const int64_t *path = t->path + b->sequence * t->width;
    for (int64_t r = 0; r < b->rows; r++) {
        int64_t place = path[b->from + r / t->group], head = b->head * t->group + r % t->group;
        kept *to = x + (place * t->kv_heads * t->group + head) * t->dim;
        for (int64_t c = 0; c < t->dim; c += PANEL)
            for (int d = 0; d < PANEL; d++) to[c + d] = keep(rows[c * b->rows + r * PANEL + d]);
    }
}

/* A panel of out = (rows of a) times b, or added to it. The columns of a come in `pieces` of `count`. */
static inline __attribute__((always_inline)) void product(
    int64_t rows, int64_t pieces, int64_t count, const float *a, int64_t row, int64_t step, int64_t piece,
    const float *b, float *out, int64_t out_row, int add) {
    for (int64_t i = 0; i < rows; i += BLOCK) {
        vec sum[BLOCK][2];
        const float *at[BLOCK];
        clear(sum);
        for (int64_t c = 0; c < pieces; c++) {
            rows_from(a + c * piece + i * row, row, rows - i, at);
            multiply(count, at, step, b + c * count * PANEL, sum);
        }
        for (int64_t r = 0; r < min(BLOCK, rows - i); r++) {
            vec *to = (vec *)(out + (i + r) * out_row);
            to[0] = add ? to[0] + sum[r][0] : sum[r][0];
            to[1] = add ? to[1] + sum[r][1] : sum[r][1];
        }
    }
}

/* Rows of a block, in panels of columns, times turned keys or values: [rows, padded width]. */
static void with_keys(const tree *t, const block *b, const float *rows, const float *turned, float *out) {
    for (int64_t p = b->low; p < b->high; p++)
        product(b->rows, t->dim / PANEL, PANEL, rows, PANEL, 1, b->rows * PANEL, turned + p * t->dim * PANEL,
                out + p * PANEL, padded(t), 0);
}

/* Weights of a block's keys times these: [dim / PANEL, rows, PANEL]. */
static void of_keys(const tree *t, const block *b, const float *weight, const float *keys, float *out) {
    for (int64_t c = 0; c < t->dim; c += PANEL)
        product(b->rows, 1, (b->high - b->low) * PANEL, weight + b->low * PANEL, padded(t), 1, 0,
                keys + c * padded(t) + b->low * PANEL * PANEL, out + c * b->rows, PANEL, 0);
}

/* Weights turned, times rows of the block: added to the keys' gradients. */
static void to_keys(const tree *t, const block *b, const float *weight, const float *rows, float *d_keys) {
    for (int64_t c = 0; c < t->dim; c += PANEL)
        product(b->to - b->low * PANEL, 1, b->rows, weight + b->low * PANEL, 1, padded(t), 0, rows + c * b->rows,
                d_keys + c * padded(t) + b->low * PANEL * PANEL, PANEL, 1);
}

/* Scores of a query to its weights before they are divided by their sum; zero for keys it does not see. */
static void exponentials(const tree *t, const block *b, int64_t r, float scale, float *score, float *stat, int known) {
    int64_t last = b->from + r / t->group, first = t->window && last >= t->window ? last - t->window + 1 : 0;
    float top = score[first], sum = 0.0f;
    if (known) top = stat[0];
    else {
        for (int64_t k = first; k <= last; k++) top = score[k] > top ? score[k] : top;
        top *= scale;
    }
    for (int64_t k = first; k <= last; k++) {
        float x = exp_negative(score[k] * scale - top);
        score[k] = x;
        sum += x;
    }
    memset(score + b->low * PANEL, 0, (first - b->low * PANEL) * sizeof(float));
    memset(score + last + 1, 0, (b->high * PANEL - last - 1) * sizeof(float));
    if (!known) stat[0] = top, stat[1] = 1.0f / sum;
}

static float *stat_of(const tree *t, const block *b, int64_t r, float *stats) {
    int64_t place = t->path[b->sequence * t->width + b->from + r / t->group];
    return stats + ((place * t->kv_heads + b->head) * t->group + r % t->group) * 2;
}

/* What comes in and what goes out; the gradients are NULL on the way forwards. */
typedef struct {
    float scale;
    const kept *query, *key, *value;
    kept *out;
    float *stats;
    const kept *d_out;
    kept *d_query;
    float *d_key, *d_value;
} states;

static void block_forward(const tree *t, const block *b, const room *m, const states *x) {
    load_block(t, b, x->query, m->query);
    with_keys(t, b, m->query, m->key_t, m->weight);
    for (int64_t r = 0; r < b->rows; r++)
        exponentials(t, b, r, x->scale, m->weight + r * padded(t), stat_of(t, b, r, x->stats), 0);
    of_keys(t, b, m->weight, m->value, m->out);
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t c = 0; c < t->dim; c += PANEL)
            for (int d = 0; d < PANEL; d++) m->out[c * b->rows + r * PANEL + d] *= stat_of(t, b, r, x->stats)[1];
    store_block(t, b, m->out, x->out);
}

static void block_backward(const tree *t, const block *b, const room *m, const states *x) {
    int64_t first = b->low * PANEL, all = padded(t);
    load_block(t, b, x->query, m->query);
    load_block(t, b, x->out, m->out);
    load_block(t, b, x->d_out, m->d_out);
    with_keys(t, b, m->query, m->key_t, m->weight);
    with_keys(t, b, m->d_out, m->value_t, m->d_score);
    for (int64_t r = 0; r < b->rows; r++) {
        float *weight = m->weight + r * all, *d_score = m->d_score + r * all, *stat = stat_of(t, b, r, x->stats);
        float along = 0.0f;
        for (int64_t c = 0; c < t->dim; c += PANEL)
            for (int64_t d = c * b->rows + r * PANEL, n = 0; n < PANEL; n++) along += m->out[d + n] * m->d_out[d + n];
        exponentials(t, b, r, x->scale, weight, stat, 1);
        for (int64_t k = first; k < b->high * PANEL; k++) {
            weight[k] *= stat[1];
            d_score[k] = x->scale * weight[k] * (d_score[k] - along);
        }
    }
    to_keys(t, b, m->weight, m->d_out, m->d_value);
    to_keys(t, b, m->d_score, m->query, m->d_key);
    of_keys(t, b, m->d_score, m->key, m->out);
    store_block(t, b, m->out, x->d_query);
}

/* Add what was found for the keys of a sequence, in panels, to d [T, kv_heads, dim]; clear it. */
static void hand_over(const tree *t, int64_t sequence, int64_t head, float *found, float *d) {
    const int64_t *path = t->path + sequence * t->width;
    for (int64_t i = 0; i < t->end[sequence]; i++)
        for (int64_t c = 0; c < t->dim; c += PANEL) {
            float *from = found + c * padded(t) + i * PANEL, *to = d + (path[i] * t->kv_heads + head) * t->dim + c;
            for (int n = 0; n < PANEL; n++) to[n] += from[n];
            memset(from, 0, PANEL * sizeof(float));
        }
}

static void load_sequence(const tree *t, const states *x, int64_t sequence, int64_t head, const room *m) {
    load_rows(t, x->key, sequence, head, m->key);
    load_rows(t, x->value, sequence, head, m->value);
    turn(t, t->end[sequence], m->key, m->key_t);
    if (x->d_out) turn(t, t->end[sequence], m->value, m->value_t);
}

/* The blocks of one thread. */
static void work(const tree *t, const states *x, int64_t thread, const room *m) {
    int64_t whole = whole_cost(t), start = whole * thread / t->threads, end = whole * (thread + 1) / t->threads;
    int64_t before = 0, keys = thread * t->tokens * t->kv_heads * t->dim;
    memset(m->d_key, 0, 2 * padded(t) * t->dim * sizeof(float));
    for (int64_t head = 0; head < t->kv_heads; head++)
        for (int64_t s = 0; s < t->sequences; s++) {
            int loaded = 0;
            for (int64_t from = t->begin[s]; from < t->end[s]; from += TOKENS) {
                block b = block_of(t, s, head, from);
                int mine = before >= start && before < end;
                before += cost(b.from, b.to);
                if (!mine) continue;
                if (!loaded) load_sequence(t, x, s, head, m);
                loaded = 1;
                if (x->d_out) block_backward(t, &b, m, x);
                else block_forward(t, &b, m, x);
            }
            if (!loaded || !x->d_out) continue;
            hand_over(t, s, head, m->d_key, x->d_key + keys);
            hand_over(t, s, head, m->d_value, x->d_value + keys);
        }
}

static void all_threads(const tree *t, const states *x, float *rooms) {
#pragma omp parallel for schedule(static) num_threads(t->threads)
    for (int64_t thread = 0; thread < t->threads; thread++) {
        room m = lay_out(t, rooms + thread * tree_attention_room(t));
        work(t, x, thread, &m);
    }
}

void tree_attention_forward(
    const tree *t, float scale, const kept *query, const kept *key, const kept *value, kept *out, float *stats,
    float *rooms) {
    states x = {scale, query, key, value, out, stats, NULL, NULL, NULL, NULL};
    all_threads(t, &x, rooms);
}

void tree_attention_backward(
    const tree *t, float scale, const kept *query, const kept *key, const kept *value, kept *out, float *stats,
    const kept *d_out, kept *d_query, float *d_key, float *d_value, float *rooms) {
    states x = {scale, query, key, value, out, stats, d_out, d_query, d_key, d_value};
    all_threads(t, &x, rooms);
}
