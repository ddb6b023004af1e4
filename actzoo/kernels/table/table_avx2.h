/* 8 elements at a time. A cell's coefficients lie side by side; those of 8 cells are read as rows
 * and transposed in registers. Gathers would be shorter to write, but are slow on AMD's processors
 * and, since the mitigation of Gather Data Sampling, on Intel's that have no AVX-512. */
#define ISA(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma,f16c")))
#define LANES 8
#define VEC __m256
#define CELL __m256i
#define ACC __m256
#define AT(row, cell) ((cell) * STRIDE + (row))

/* What there is code for: see table_loops.h. Coefficients are read by fours. */
#define KNOWN(rows, found) (rows)
#define LOOPS(X, what)                                                                             \
    X(what, 0, 0, 4) X(what, 0, 0, 8) X(what, 0, 0, 10)                                            \
    X(what, 1, 0, 4) X(what, 1, 0, 8) X(what, 1, 0, 10)                                            \
    X(what, 2, 0, 10)
#define WEIGHTS(X, what)                                                                           \
    X(what, 0, 0, 0) X(what, 0, 0, 10) X(what, 1, 0, 0) X(what, 1, 0, 10)                          \
    X(what, 2, 0, 0) X(what, 2, 0, 10)
#define SUMS(X) X(4) X(8) X(10)
#define POOLS(X, what)                                                                             \
    X(what, 0, 0, 8) X(what, 0, 0, 10) X(what, 1, 0, 4) X(what, 1, 0, 10) X(what, 2, 0, 10)
#define PULLS(X, what) POOLS(X, what) X(what, 0, 0, 0) X(what, 1, 0, 0)
#define KEEPS(X, what) X(what, 0, 0, 8) X(what, 0, 0, 10) X(what, 1, 0, 8) X(what, 1, 0, 10) X(what, 2, 0, 10)

typedef struct {
    const float *rows;
} Table_avx2;

typedef struct {
    __m256 u;
    __m256i cell, outside;
} Place_avx2;

TARGET static INLINE __m256 load_avx2(const int type, const void *from, int64_t i, int count)
{
    const char *at = (const char *)from + size_of(type) * i;
    char part[32] = {0};
    if (count != LANES) at = memcpy(part, at, (size_t)(size_of(type) * count));
    if (type == FLOAT32) return _mm256_loadu_ps((const float *)at);
    const __m128i half = _mm_loadu_si128((const __m128i_u *)at);
    if (type == FLOAT16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

TARGET static INLINE __m128i to_bfloat16_avx2(__m256 value)
{
    const __m256i bits = _mm256_castps_si256(value), half = _mm256_srli_epi32(bits, 16);
    const __m256i even = _mm256_and_si256(half, _mm256_set1_epi32(1));
    const __m256i carry = _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, carry), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i chosen = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
    const __m256i packed = _mm256_packus_epi32(chosen, chosen);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

TARGET static INLINE void store_avx2(const int type, void *to, int64_t i, int count, __m256 value)
{
    char *at = (char *)to + size_of(type) * i;
    char part[32];
    char *target = count == LANES ? at : part;
    if (type == FLOAT32)
        _mm256_storeu_ps((float *)target, value);
    else
        _mm_storeu_si128((__m128i_u *)target, type == BFLOAT16
                                                  ? to_bfloat16_avx2(value)
                                                  : _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    if (count != LANES) memcpy(at, part, (size_t)(size_of(type) * count));
}

TARGET static INLINE void load_pair_avx2(const int type, const void *from, int64_t i, __m256 *a,
                                         __m256 *b)
{
    *a = load_avx2(type, from, i, LANES);
    *b = load_avx2(type, from, i + LANES, LANES);
}

TARGET static INLINE void store_pair_avx2(const int type, void *to, int64_t i, __m256 a, __m256 b)
{
    store_avx2(type, to, i, LANES, a);
    store_avx2(type, to, i + LANES, LANES, b);
}

/* Of cells that widen. */
TARGET static INLINE Place_avx2 locate_wide_avx2(__m256 x, const Grid *grid)
{
    Place_avx2 place;
    ALIGNED(32) int cell[LANES];
    ALIGNED(32) float origin[LANES];
    const __m256 minus = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
    const __m256i bits = _mm256_castps_si256(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), x));
    place.outside = _mm256_cmpgt_epi32(bits, _mm256_set1_epi32((int)grid->limit - 1));
    const __m256i held = _mm256_min_epi32(bits, _mm256_set1_epi32(LAST_INSIDE));
    x = _mm256_or_ps(minus, _mm256_castsi256_ps(_mm256_andnot_si256(place.outside, held)));
    const __m256 half = _mm256_add_ps(_mm256_floor_ps(_mm256_add_ps(x, x)), _mm256_set1_ps(32.0f));
    _mm256_store_si256((__m256i *)cell, _mm256_cvttps_epi32(half));
    for (int lane = 0; lane < LANES; lane++) {
        cell[lane] = grid->holder[cell[lane]];
        origin[lane] = grid->origin[cell[lane]];
    }
    place.cell = _mm256_load_si256((const __m256i *)cell);
    place.u = _mm256_sub_ps(x, _mm256_load_ps(origin));
    return place;
}

TARGET static INLINE Place_avx2 locate_avx2(__m256 x, const Grid *grid)
{
    if (grid->widening) return locate_wide_avx2(x, grid);
    Place_avx2 place;
    const __m256i scaled = _mm256_castps_si256(_mm256_mul_ps(x, _mm256_set1_ps(grid->scale)));
    const __m256i bits = _mm256_and_si256(scaled, _mm256_set1_epi32(0x7fffffff));
    place.outside = _mm256_cmpgt_epi32(bits, _mm256_set1_epi32((int)grid->limit - 1));
    const __m256i held = _mm256_min_epi32(bits, _mm256_set1_epi32(LAST_INSIDE));
    const __m256 size = _mm256_castsi256_ps(_mm256_andnot_si256(place.outside, held));
    const __m256i cell = _mm256_cvttps_epi32(size);
    place.u = _mm256_sub_ps(size, _mm256_cvtepi32_ps(cell));
    const __m256i negative =
        _mm256_castps_si256(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
    place.cell = _mm256_add_epi32(cell, _mm256_and_si256(negative, _mm256_set1_epi32(16)));
    return place;
}

TARGET static INLINE int any_avx2(Place_avx2 place)
{
    return _mm256_movemask_ps(_mm256_castsi256_ps(place.outside));
}

TARGET static INLINE __m256 inside_avx2(Place_avx2 place, __m256 grad)
{
    return _mm256_andnot_ps(_mm256_castsi256_ps(place.outside), grad);
}

TARGET static INLINE __m256 zero_avx2(void) { return _mm256_setzero_ps(); }

TARGET static INLINE Table_avx2 load_table_avx2(const float *table, const int rows,
                                                       const int knots)
{
    const Table_avx2 loaded = {table};
    (void)rows;
    (void)knots;
    return loaded;
}

TARGET static INLINE Table_avx2 narrowed_avx2(Table_avx2 table, const int quick)
{
    (void)quick;
    return table;
}

/* Four neighbouring coefficients of two cells. */
TARGET static INLINE __m256 pair_avx2(const float *rows, int low, int high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps(rows + low)),
                                _mm_load_ps(rows + high), 1);
}

/* Coefficients first .. first + 3 of the eight cells that begin at the given places. */
TARGET static INLINE void four_avx2(const float *rows, const int *place, __m256 *coefficient)
{
    const __m256 a = pair_avx2(rows, place[0], place[4]), b = pair_avx2(rows, place[1], place[5]);
    const __m256 c = pair_avx2(rows, place[2], place[6]), d = pair_avx2(rows, place[3], place[7]);
    const __m256 ab = _mm256_unpacklo_ps(a, b), cd = _mm256_unpacklo_ps(c, d);
    const __m256 ab2 = _mm256_unpackhi_ps(a, b), cd2 = _mm256_unpackhi_ps(c, d);
    coefficient[0] = _mm256_shuffle_ps(ab, cd, 0x44);
    coefficient[1] = _mm256_shuffle_ps(ab, cd, 0xee);
    coefficient[2] = _mm256_shuffle_ps(ab2, cd2, 0x44);
    coefficient[3] = _mm256_shuffle_ps(ab2, cd2, 0xee);
}

/* As many coefficients as there are rows, and the slope at the knot. */
TARGET static INLINE void coefficients_avx2(const Table_avx2 *table, const int rows, __m256i cell,
                                            __m256 *coefficient)
{
    ALIGNED(32) int place[LANES];
    _mm256_store_si256((__m256i *)place, _mm256_slli_epi32(cell, 4)); /* times STRIDE */
    for (int d = 0; d < 12; d += 4)
        if (d < rows || d + 4 > KNOT) four_avx2(table->rows + d, place, coefficient + d);
}

TARGET static INLINE __m256 horner_avx2(const Table_avx2 *table, const int rows, __m256i cell,
                                       __m256 u, __m256 *knot)
{
    __m256 coefficient[12];
    coefficients_avx2(table, rows, cell, coefficient);
    __m256 sum = coefficient[rows - 1];
    for (int d = rows - 2; d >= 0; d--) sum = _mm256_fmadd_ps(sum, u, coefficient[d]);
    *knot = coefficient[KNOT];
    return sum;
}

TARGET static INLINE __m256 value_avx2(const Table_avx2 *table, const int rows, __m256i cell, __m256 u)
{
    __m256 knot;
    return horner_avx2(table, rows, cell, u, &knot);
}

TARGET static INLINE void values_avx2(const Table_avx2 *table, const int rows, Place_avx2 a, Place_avx2 b,
                                      __m256 *at_a, __m256 *at_b)
{
    *at_a = value_avx2(table, rows, a.cell, a.u);
    *at_b = value_avx2(table, rows, b.cell, b.u);
}

/* At a knot the slope that is declared there. */
TARGET static INLINE __m256 or_knot_avx2(const Table_avx2 *table, Place_avx2 place, __m256 slope)
{
    const __m256 knot = _mm256_cmp_ps(place.u, _mm256_setzero_ps(), _CMP_EQ_OQ);
    if (!_mm256_movemask_ps(knot)) return slope;
    const __m256i at = _mm256_add_epi32(_mm256_slli_epi32(place.cell, 4), _mm256_set1_epi32(KNOT));
    return _mm256_blendv_ps(slope, _mm256_i32gather_ps(table->rows, at, 4), knot);
}

TARGET static INLINE __m256 slope_avx2(const Table_avx2 *table, const int rows, __m256i cell, __m256 u)
{
    __m256 knot;
    const __m256 sum = horner_avx2(table, rows, cell, u, &knot);
    return _mm256_blendv_ps(sum, knot, _mm256_cmp_ps(u, _mm256_setzero_ps(), _CMP_EQ_OQ));
}

TARGET static INLINE __m256 no_sum_avx2(void) { return _mm256_setzero_ps(); }

TARGET static INLINE __m256 accumulate_avx2(__m256 sum, __m256 grad, __m256 value)
{
    return _mm256_fmadd_ps(grad, value, sum);
}

TARGET static INLINE double total_avx2(__m256 sum)
{
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(sum));
    const __m256d all = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_extractf128_ps(sum, 1)));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(all), _mm256_extractf128_pd(all, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* Of a value that is not nan. */
TARGET static INLINE __m256 rounded_avx2(const int type, __m256 value)
{
    if (type == FLOAT32) return value;
    if (type == FLOAT16)
        return _mm256_cvtph_ps(_mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    const __m256i bits = _mm256_castps_si256(value), half = _mm256_srli_epi32(bits, 16);
    const __m256i even = _mm256_and_si256(half, _mm256_set1_epi32(1));
    const __m256i carry = _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff));
    const __m256i kept = _mm256_set1_epi32((int)0xffff0000);
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_add_epi32(bits, carry), kept));
}

typedef struct {
    __m256 value, x;
    __m256i place;
} Best_avx2;

TARGET static INLINE Best_avx2 first_avx2(__m256 value, __m256 x)
{
    const Best_avx2 best = {value, x, _mm256_setzero_si256()};
    return best;
}

TARGET static INLINE void better_avx2(Best_avx2 *best, __m256 value, __m256 x, int place)
{
    const __m256 greater = _mm256_cmp_ps(value, best->value, _CMP_GT_OQ);
    best->value = _mm256_blendv_ps(best->value, value, greater);
    best->x = _mm256_blendv_ps(best->x, x, greater);
    best->place =
        _mm256_blendv_epi8(best->place, _mm256_set1_epi32(place), _mm256_castps_si256(greater));
}

TARGET static INLINE void store_places_avx2(uint8_t *to, int count, __m256i place)
{
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(place), _mm256_extracti128_si256(place, 1));
    char bytes[16];
    _mm_storeu_si128((__m128i_u *)bytes, _mm_packus_epi16(words, words));
    memcpy(to, bytes, count == LANES ? LANES : (size_t)count);
}

TARGET static INLINE void place_avx2(char *to, __m256i all, int past)
{
    if (past && (uintptr_t)to % 32 == 0) _mm256_stream_si256((__m256i *)to, all);
    else _mm256_storeu_si256((__m256i_u *)to, all);
}

/* To each tap of WIDE windows the gradient where it won, else 0. */
TARGET static INLINE void put_avx2(const int type, const Moves *moves, const int taps)
{
    const __m128i place = _mm_loadu_si128((const __m128i_u *)moves->places);
    for (int t = 0; t < taps; t++) {
        const __m128i won = _mm_cmpeq_epi8(place, _mm_set1_epi8((char)t));
        if (moves->tap[t] == NULL) continue;
        if (type == FLOAT32) {
            char *to = moves->tap[t];
            const __m256i low = _mm256_cvtepi8_epi32(won);
            const __m256i high = _mm256_cvtepi8_epi32(_mm_srli_si128(won, 8));
            const __m256i *from = (const __m256i *)moves->grad;
            place_avx2(to, _mm256_and_si256(low, _mm256_loadu_si256(from)), moves->past);
            place_avx2(to + 32, _mm256_and_si256(high, _mm256_loadu_si256(from + 1)), moves->past);
        } else {
            const __m256i mask = _mm256_cvtepi8_epi16(won);
            const __m256i all = _mm256_loadu_si256((const __m256i_u *)moves->grad);
            place_avx2(moves->tap[t], _mm256_and_si256(mask, all), moves->past);
        }
    }
}

TARGET static INLINE void settle_avx2(void) { _mm_sfence(); }

TARGET static INLINE __m256 every_avx2(float number) { return _mm256_set1_ps(number); }

TARGET static INLINE void value_and_slope_avx2(const Table_avx2 *table, const int rows,
                                               const Grid *grid, Place_avx2 place, __m256 *value,
                                               __m256 *slope)
{
    __m256 coefficient[12];
    coefficients_avx2(table, rows, place.cell, coefficient);
    __m256 sum = coefficient[rows - 1], rise = sum;
    for (int d = rows - 2; d >= 0; d--) {
        if (d < rows - 2) rise = _mm256_fmadd_ps(rise, place.u, sum);
        sum = _mm256_fmadd_ps(sum, place.u, coefficient[d]);
    }
    *value = sum;
    *slope = rise;
    if (grid->widening) return;
    rise = _mm256_mul_ps(rise, _mm256_set1_ps(grid->scale));
    /* u falls where x < 0, which is the cell's fifth bit. */
    const __m256i sign = _mm256_slli_epi32(_mm256_srli_epi32(place.cell, 4), 31);
    *slope = _mm256_xor_ps(rise, _mm256_castsi256_ps(sign));
}

TARGET static INLINE void values_and_slopes_avx2(const Table_avx2 *table, const int rows,
                                                 const Grid *grid, Place_avx2 a, Place_avx2 b,
                                                 __m256 *value, __m256 *slope)
{
    value_and_slope_avx2(table, rows, grid, a, value, slope);
    value_and_slope_avx2(table, rows, grid, b, value + 1, slope + 1);
}

TARGET static INLINE __m256i hashes_avx2(uint32_t first)
{
    const __m256i step = _mm256_set1_epi32((int)HASH_STEP);
    const __m256i steps = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), step);
    __m256i hash = _mm256_add_epi32(steps, _mm256_set1_epi32((int)first));
    hash = _mm256_mullo_epi32(_mm256_xor_si256(hash, _mm256_srli_epi32(hash, 16)), _mm256_set1_epi32((int)HASH_MIX));
    return _mm256_xor_si256(hash, _mm256_srli_epi32(hash, 15));
}

TARGET static INLINE __m256 upper_avx2(__m256i hash)
{
    return _mm256_castsi256_ps(_mm256_or_si256(_mm256_srli_epi32(hash, 16), _mm256_set1_epi32(CHANCE)));
}

TARGET static INLINE __m256 lower_avx2(__m256i hash)
{
    return upper_avx2(_mm256_slli_epi32(hash, 16));
}

TARGET static INLINE void store_codes_avx2(uint8_t *to, int count, __m256 level)
{
    store_places_avx2(to, count, _mm256_cvttps_epi32(level)); /* which packs with saturation */
}

TARGET static INLINE __m256 load_codes_avx2(const uint8_t *from, int count)
{
    int64_t eight = 0;
    memcpy(&eight, from, count == LANES ? LANES : (size_t)count);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(eight)));
}
