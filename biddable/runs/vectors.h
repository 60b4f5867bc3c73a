/* Vectors as wide as the processor's, by the compiler's own extension: on other processors they are taken apart. */
#ifdef __AVX512F__
enum { WIDE = 16 };
#else
enum { WIDE = 8 };
#endif

typedef float vec __attribute__((vector_size(4 * WIDE), aligned(4)));
