/* `kept`: how numbers lie in memory, float, or bfloat16 where compiled with KEPT_BF16. */
#include <stdint.h>

#ifdef KEPT_BF16
typedef uint16_t kept;
static inline float value_of(kept x) {
    union { uint32_t i; float f; } wide = {.i = (uint32_t)x << 16};
    return wide.f;
}
/* To the nearest, half to even; what is no number stays so. */
static inline kept keep(float x) {
    union { float f; uint32_t i; } wide = {.f = x};
    uint32_t rounded = (wide.i + 0x7fff + ((wide.i >> 16) & 1)) >> 16;
    return (wide.i & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (kept)rounded;
}
#else
typedef float kept;
static inline float value_of(kept x) { return x; }
static inline kept keep(float x) { return x; }
#endif
