/* 16 elements at a time; a table fills 20 registers (22 with the slopes at the knots), and each
 * coefficient is picked by one permutation of two registers. */
#define ISA(name) name##_avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define LANES 16
#define VEC __m512
#define CELL __m512i
#define ACC __m512
#define AT(row, cell) ((row) * CELLS + (cell))

/* What there is code for: see table_loops.h. The rows that functions and mixtures have, most of
 * all on the narrow grids; gradients of weights need float32's tables whatever the type. */
#define KNOWN(rows, found) (rows)
#define LOOPS(X, what)                                                                             \
    X(what, 0, 1, 3) X(what, 0, 1, 5) X(what, 0, 1, 6) X(what, 0, 1, 7) X(what, 0, 1, 8)           \
    X(what, 0, 2, 6) X(what, 0, 2, 7) X(what, 0, 2, 8) X(what, 0, 0, 6) X(what, 0, 0, 10)          \
    X(what, 1, 1, 3) X(what, 1, 1, 4) X(what, 1, 1, 5) X(what, 1, 1, 6) X(what, 1, 1, 8)           \
    X(what, 1, 2, 5) X(what, 1, 2, 8) X(what, 1, 0, 4) X(what, 1, 0, 10)                           \
    X(what, 2, 1, 4) X(what, 2, 1, 6) X(what, 2, 2, 6) X(what, 2, 0, 10)
#define WEIGHTS(X, what)                                                                           \
    X(what, 0, 0, 0) X(what, 0, 0, 3) X(what, 0, 0, 7) X(what, 0, 0, 10)                           \
    X(what, 1, 0, 0) X(what, 1, 0, 5) X(what, 1, 0, 10)                                            \
    X(what, 2, 0, 0) X(what, 2, 0, 10)
#define SUMS(X) X(3) X(5) X(6) X(7) X(8) X(10)
#define POOLS(X, what)                                                                             \
    X(what, 0, 1, 4) X(what, 0, 1, 7) X(what, 0, 2, 7) X(what, 0, 0, 10)                           \
    X(what, 1, 1, 4) X(what, 1, 1, 6) X(what, 1, 2, 6) X(what, 1, 0, 10)                           \
    X(what, 2, 2, 6) X(what, 2, 0, 10)
#define PULLS(X, what) POOLS(X, what) X(what, 0, 0, 0) X(what, 1, 0, 0)
#define KEEPS(X, what)                                                                             \
    X(what, 0, 1, 7) X(what, 0, 2, 8) X(what, 0, 0, 10)                                            \
    X(what, 1, 1, 7) X(what, 1, 2, 8) X(what, 1, 0, 10)                                            \
    X(what, 2, 0, 10)

typedef struct {
    __m512 positive[ROWS + 1], negative[ROWS + 1];
    int narrow; /* whether only the positive are of use */
} Table_avx512;

typedef struct {
    __m512 t, u;
    __m512i cell;
    __mmask16 inside;
} Place_avx512;

TARGET static INLINE __m512 load_avx512(const int type, const void *from, int64_t i, int count)
{
    const char *at = (const char *)from + size_of(type) * i;
    const __mmask16 mask = (__mmask16)((1u << count) - 1);
    if (type == FLOAT32) return count == LANES ? _mm512_loadu_ps(at) : _mm512_maskz_loadu_ps(mask, at);
    const __m256i half = count == LANES ? _mm256_loadu_si256((const __m256i_u *)at)
                                        : _mm256_maskz_loadu_epi16(mask, at);
    if (type == FLOAT16) return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

TARGET static INLINE __m256i to_bfloat16_avx512(__m512 value)
{
    const __m512i bits = _mm512_castps_si512(value), half = _mm512_srli_epi32(bits, 16);
    const __m512i even = _mm512_and_epi32(half, _mm512_set1_epi32(1));
    const __m512i carry = _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, carry), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0)));
}

TARGET static INLINE void store_avx512(const int type, void *to, int64_t i, int count, __m512 value)
{
    char *at = (char *)to + size_of(type) * i;
    const __mmask16 mask = (__mmask16)((1u << count) - 1);
    if (type == FLOAT32) {
        if (count == LANES) _mm512_storeu_ps(at, value);
        else _mm512_mask_storeu_ps(at, mask, value);
        return;
    }
    const __m256i half = type == BFLOAT16 ? to_bfloat16_avx512(value)
                                          : _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT);
    if (count == LANES) _mm256_storeu_si256((__m256i_u *)at, half);
    else _mm256_mask_storeu_epi16(at, mask, half);
}

/* Of bfloat16 the even elements first, then the odd: no lane has to be crossed. */
TARGET static INLINE void load_pair_avx512(const int type, const void *from, int64_t i, __m512 *a,
                                           __m512 *b)
{
    if (type == BFLOAT16) {
        const __m512i both = _mm512_loadu_si512((const char *)from + 2 * i);
        *a = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
        *b = _mm512_castsi512_ps(_mm512_and_epi32(both, _mm512_set1_epi32((int)0xffff0000)));
        return;
    }
    *a = load_avx512(type, from, i, LANES);
    *b = load_avx512(type, from, i + LANES, LANES);
}

TARGET static INLINE void store_pair_avx512(const int type, void *to, int64_t i, __m512 a, __m512 b)
{
    if (type == BFLOAT16) { /* of both the upper and the lower halves side by side; no nan has all bits set */
        const __m512i even = _mm512_castps_si512(a), odd = _mm512_castps_si512(b);
        const __m512i upper = _mm512_set1_epi32((int)0xffff0000), one = _mm512_set1_epi16(1);
        const __m512i high = _mm512_ternarylogic_epi32(odd, _mm512_srli_epi32(even, 16), upper, 0xe4);
        const __m512i low = _mm512_ternarylogic_epi32(_mm512_slli_epi32(odd, 16), even, upper, 0xe4);
        /* Up from above the middle, and from the middle where that makes it even. */
        const __m512i past = _mm512_adds_epu16(low, _mm512_and_si512(high, one));
        const __mmask32 up = _mm512_cmpgt_epu16_mask(past, _mm512_set1_epi16((short)0x8000));
        _mm512_storeu_si512((char *)to + 2 * i, _mm512_mask_add_epi16(high, up, high, one));
        return;
    }
    store_avx512(type, to, i, LANES, a);
    store_avx512(type, to, i + LANES, LANES, b);
}

/* Of cells that widen. */
TARGET static INLINE Place_avx512 locate_wide_avx512(__m512 x, const Grid *grid)
{
    Place_avx512 place;
    const __m512i bits = _mm512_and_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
    place.inside = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32((int)grid->limit));
    if (!grid->quick) x = _mm512_maskz_mov_ps(place.inside, x); /* a finite u everywhere */
    if (!grid->quick || grid->flat)
        x = _mm512_range_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(LAST_INSIDE)), 2);
    /* Numbers around this one are halves, so the lowest bits say how many x is above -16. */
    const __m512 above = _mm512_add_round_ps(x, _mm512_set1_ps(6291472.0f), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __m512i *holder = (const __m512i *)grid->holder;
    place.cell = _mm512_permutex2var_epi16(_mm512_load_si512(holder), _mm512_castps_si512(above),
                                           _mm512_load_si512(holder + 1));
    const __m512 low = _mm512_load_ps(grid->origin);
    if (grid->quick == NARROW) place.u = _mm512_sub_ps(x, _mm512_permutexvar_ps(place.cell, low));
    else place.u = _mm512_sub_ps(x, _mm512_permutex2var_ps(low, place.cell, _mm512_load_ps(grid->origin + 16)));
    return place;
}

TARGET static INLINE Place_avx512 locate_avx512(__m512 x, const Grid *grid)
{
    if (grid->widening) return locate_wide_avx512(x, grid);
    Place_avx512 place;
    __m512 t = _mm512_add_ps(x, _mm512_setzero_ps()); /* minus zero becomes zero */
    if (grid->shift) t = _mm512_mul_ps(t, _mm512_set1_ps(grid->scale));
    __m512i bits = _mm512_and_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(0x7fffffff));
    place.inside = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32((int)grid->limit));
    bits = _mm512_maskz_min_epi32(place.inside, bits, _mm512_set1_epi32(LAST_INSIDE));
    const __m512 size = _mm512_castsi512_ps(bits);
    place.u = _mm512_reduce_ps(size, 0x0b); /* what truncation leaves */
    /* Of a number from 16 to 32 the four highest bits behind the point say which it is. */
    const __m512 above = _mm512_add_round_ps(size, _mm512_set1_ps(16.0f), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m512i number = _mm512_srli_epi32(_mm512_castps_si512(above), 19);
    const __m512i sign = _mm512_srli_epi32(_mm512_castps_si512(t), 27);
    /* Only the lowest five bits count: the number's, and above them the sign. */
    place.cell = _mm512_ternarylogic_epi32(number, sign, _mm512_set1_epi32(16), 0xd8);
    place.t = t;
    return place;
}

TARGET static INLINE int any_avx512(Place_avx512 place) { return (__mmask16)~place.inside; }

TARGET static INLINE __m512 inside_avx512(Place_avx512 place, __m512 grad)
{
    return _mm512_maskz_mov_ps(place.inside, grad);
}

TARGET static INLINE __m512 zero_avx512(void) { return _mm512_setzero_ps(); }

TARGET static INLINE Table_avx512 load_table_avx512(const float *table, const int rows,
                                                           const int knots)
{
    Table_avx512 loaded;
    loaded.narrow = 0;
    for (int row = 0; row < ROWS + knots; row++) {
        if (row >= rows && row != KNOT) continue;
        loaded.positive[row] = _mm512_load_ps(table + AT(row, 0));
        loaded.negative[row] = _mm512_load_ps(table + AT(row, 16));
    }
    return loaded;
}

/* Tables of 16 cells are picked from by a permutation of one register, which is quicker. */
TARGET static INLINE Table_avx512 narrowed_avx512(Table_avx512 table, const int quick)
{
    table.narrow = quick == NARROW;
    return table;
}

TARGET static INLINE __m512 pick_avx512(const Table_avx512 *table, int row, __m512i cell)
{
    if (table->narrow) return _mm512_permutexvar_ps(cell, table->positive[row]);
    return _mm512_permutex2var_ps(table->positive[row], cell, table->negative[row]);
}

TARGET static INLINE __m512 value_avx512(const Table_avx512 *table, const int rows, __m512i cell, __m512 u)
{
    __m512 sum = pick_avx512(table, rows - 1, cell);
    for (int d = rows - 2; d >= 0; d--) sum = _mm512_fmadd_ps(sum, u, pick_avx512(table, d, cell));
    return sum;
}

/* Two at a time: their long chains of steps fill each other's waiting. */
TARGET static INLINE void values_avx512(const Table_avx512 *table, const int rows, Place_avx512 a, Place_avx512 b,
                                        __m512 *at_a, __m512 *at_b)
{
    *at_a = pick_avx512(table, rows - 1, a.cell);
    *at_b = pick_avx512(table, rows - 1, b.cell);
    for (int d = rows - 2; d >= 0; d--) {
        *at_a = _mm512_fmadd_ps(*at_a, a.u, pick_avx512(table, d, a.cell));
        *at_b = _mm512_fmadd_ps(*at_b, b.u, pick_avx512(table, d, b.cell));
    }
}

/* At a knot the slope that is declared there. */
TARGET static INLINE __m512 or_knot_avx512(const Table_avx512 *table, Place_avx512 place, __m512 slope)
{
    const __mmask16 knot = _mm512_cmp_ps_mask(place.u, _mm512_setzero_ps(), _CMP_EQ_OQ);
    return _mm512_mask_mov_ps(slope, knot, pick_avx512(table, KNOT, place.cell));
}

TARGET static INLINE __m512 slope_avx512(const Table_avx512 *table, const int rows, __m512i cell, __m512 u)
{
    const __mmask16 knot = _mm512_cmp_ps_mask(u, _mm512_setzero_ps(), _CMP_EQ_OQ);
    return _mm512_mask_mov_ps(value_avx512(table, rows, cell, u), knot, pick_avx512(table, KNOT, cell));
}

TARGET static INLINE __m512 no_sum_avx512(void) { return _mm512_setzero_ps(); }

TARGET static INLINE __m512 accumulate_avx512(__m512 sum, __m512 grad, __m512 value)
{
    return _mm512_fmadd_ps(grad, value, sum);
}

TARGET static INLINE double total_avx512(__m512 sum)
{
    return _mm512_reduce_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(sum))) +
           _mm512_reduce_add_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(sum, 1)));
}

TARGET static INLINE __m512 every_avx512(float number) { return _mm512_set1_ps(number); }

/* From how the value rises with u, which of cells that do not widen falls where x < 0. */
TARGET static INLINE __m512 turned_avx512(Place_avx512 place, const Grid *grid, __m512 rise)
{
    if (grid->widening) return rise;
    const __m512i highest = _mm512_set1_epi32((int)0x80000000), bits = _mm512_castps_si512(
        grid->shift ? _mm512_mul_ps(rise, _mm512_set1_ps(grid->scale)) : rise);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(bits, _mm512_castps_si512(place.t), highest, 0x78));
}

TARGET static INLINE void value_and_slope_avx512(const Table_avx512 *table, const int rows,
                                                 const Grid *grid, Place_avx512 place,
                                                 __m512 *value, __m512 *slope)
{
    __m512 sum = pick_avx512(table, rows - 1, place.cell), rise = sum;
    for (int d = rows - 2; d >= 0; d--) {
        if (d < rows - 2) rise = _mm512_fmadd_ps(rise, place.u, sum);
        sum = _mm512_fmadd_ps(sum, place.u, pick_avx512(table, d, place.cell));
    }
    *value = sum;
    *slope = turned_avx512(place, grid, rise);
}

TARGET static INLINE void values_and_slopes_avx512(const Table_avx512 *table, const int rows,
                                                   const Grid *grid, Place_avx512 a, Place_avx512 b,
                                                   __m512 *value, __m512 *slope)
{
    __m512 at_a = pick_avx512(table, rows - 1, a.cell), rise_a = at_a;
    __m512 at_b = pick_avx512(table, rows - 1, b.cell), rise_b = at_b;
    for (int d = rows - 2; d >= 0; d--) {
        if (d < rows - 2) {
            rise_a = _mm512_fmadd_ps(rise_a, a.u, at_a);
            rise_b = _mm512_fmadd_ps(rise_b, b.u, at_b);
        }
        at_a = _mm512_fmadd_ps(at_a, a.u, pick_avx512(table, d, a.cell));
        at_b = _mm512_fmadd_ps(at_b, b.u, pick_avx512(table, d, b.cell));
    }
    value[0] = at_a, value[1] = at_b;
    slope[0] = turned_avx512(a, grid, rise_a), slope[1] = turned_avx512(b, grid, rise_b);
}

TARGET static INLINE __m512i hashes_avx512(uint32_t first)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i steps = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)HASH_STEP));
    __m512i hash = _mm512_add_epi32(steps, _mm512_set1_epi32((int)first));
    hash = _mm512_mullo_epi32(_mm512_xor_si512(hash, _mm512_srli_epi32(hash, 16)), _mm512_set1_epi32((int)HASH_MIX));
    return _mm512_xor_si512(hash, _mm512_srli_epi32(hash, 15));
}

TARGET static INLINE __m512 upper_avx512(__m512i hash)
{
    return _mm512_castsi512_ps(_mm512_or_epi32(_mm512_srli_epi32(hash, 16), _mm512_set1_epi32(CHANCE)));
}

TARGET static INLINE __m512 lower_avx512(__m512i hash)
{
    const __m512i low = _mm512_set1_epi32(0xffff), chance = _mm512_set1_epi32(CHANCE);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(hash, low, chance, 0xea)); /* hash & low | chance */
}

TARGET static INLINE void store_codes_avx512(uint8_t *to, int count, __m512 level)
{
    const __m128i codes = _mm512_cvtusepi32_epi8(_mm512_cvttps_epi32(level));
    if (count == LANES) _mm_storeu_si128((__m128i_u *)to, codes);
    else _mm_mask_storeu_epi8(to, (__mmask16)((1u << count) - 1), codes);
}

TARGET static INLINE __m512 load_codes_avx512(const uint8_t *from, int count)
{
    const __mmask16 mask = (__mmask16)((1u << count) - 1);
    const __m128i codes = count == LANES ? _mm_loadu_si128((const __m128i_u *)from) : _mm_maskz_loadu_epi8(mask, from);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes));
}
