/* What pool_body.h is written in, 16 elements at a time. */
#define BY_32
#define BY_PAIRS

/* Of a value that is not nan. */
TARGET static INLINE __m512 rounded_avx512(const int type, __m512 value)
{
    if (type == FLOAT32) return value;
    if (type == FLOAT16)
        return _mm512_cvtph_ps(_mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    const __m512i bits = _mm512_castps_si512(value), half = _mm512_srli_epi32(bits, 16);
    const __m512i even = _mm512_and_epi32(half, _mm512_set1_epi32(1));
    const __m512i carry = _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff));
    const __m512i kept = _mm512_set1_epi32((int)0xffff0000);
    return _mm512_castsi512_ps(_mm512_and_epi32(_mm512_add_epi32(bits, carry), kept));
}

typedef struct {
    __m512 value, x;
    __m512i place;
} Best_avx512;

TARGET static INLINE Best_avx512 first_avx512(__m512 value, __m512 x)
{
    const Best_avx512 best = {value, x, _mm512_setzero_si512()};
    return best;
}

TARGET static INLINE void better_avx512(Best_avx512 *best, __m512 value, __m512 x, int place)
{
    const __mmask16 greater = _mm512_cmp_ps_mask(value, best->value, _CMP_GT_OQ);
    best->value = _mm512_mask_mov_ps(best->value, greater, value);
    best->x = _mm512_mask_mov_ps(best->x, greater, x);
    best->place = _mm512_mask_mov_epi32(best->place, greater, _mm512_set1_epi32(place));
}

TARGET static INLINE void store_places_avx512(uint8_t *to, int count, __m512i place)
{
    const __m128i bytes = _mm512_cvtepi32_epi8(place);
    if (count == LANES) _mm_storeu_si128((__m128i_u *)to, bytes);
    else _mm_mask_storeu_epi8(to, (__mmask16)((1u << count) - 1), bytes);
}

/* The largest values of 32 windows of 16-bit numbers, which are compared as whole numbers. */
TARGET static INLINE int pool_32_avx512(const int type, const int length, const int taps, const Job *job,
                                        const Grid *grid, const Table_avx512 *table, const char *const *tap, int64_t i,
                                        int64_t output)
{
    const __m512i least = _mm512_set1_epi16((short)0x8000);
    __m512i best = least, best_x = least, best_order = least;
    __m256i place = _mm256_setzero_si256();
    int outside = 0;
    for (int t = 0; t < taps; t++) {
        __m512 a, b;
        ALIGNED(64) uint16_t rounded[32];
        load_pair_avx512(type, tap[t], i, &a, &b);
        const Place_avx512 place_a = locate_avx512(a, grid), place_b = locate_avx512(b, grid);
        values_avx512(table, length, place_a, place_b, &a, &b);
        outside |= any_avx512(place_a) | any_avx512(place_b);
        store_pair_avx512(type, rounded, 0, a, b);
        const __m512i value = _mm512_load_si512(rounded), x = _mm512_loadu_si512(tap[t] + 2 * i);
        /* Below zero a number is its size taken from zero: so both zeros are equal. */
        const __m512i order = _mm512_mask_sub_epi16(value, _mm512_movepi16_mask(value), least, value);
        const __mmask32 greater = t ? _mm512_cmpgt_epi16_mask(order, best_order) : (__mmask32)-1;
        best_order = _mm512_mask_mov_epi16(best_order, greater, order);
        best = _mm512_mask_mov_epi16(best, greater, value);
        best_x = _mm512_mask_mov_epi16(best_x, greater, x);
        place = _mm256_mask_mov_epi8(place, greater, _mm256_set1_epi8((char)t));
    }
    _mm512_storeu_si512((char *)job->result + 2 * output, best);
    _mm512_storeu_si512((char *)job->winners + 2 * output, best_x);
    _mm256_storeu_si256((__m256i_u *)(job->places + output), place);
    return outside;
}

/* To each tap of WIDE windows the gradient where it won, else 0. */
TARGET static INLINE void put_avx512(const int type, const Moves *moves, const int taps)
{
    const __m128i place = _mm_loadu_si128((const __m128i_u *)moves->places);
    for (int t = 0; t < taps; t++) {
        const __mmask16 won = _mm_cmpeq_epi8_mask(place, _mm_set1_epi8((char)t));
        char *to = moves->tap[t];
        if (to == NULL) continue;
        const int past = moves->past && (uintptr_t)to % (16 * (uintptr_t)size_of(type)) == 0;
        if (type == FLOAT32) {
            const __m512i all = _mm512_maskz_loadu_epi32(won, moves->grad);
            if (past) _mm512_stream_si512((__m512i *)to, all);
            else _mm512_storeu_si512(to, all);
        } else {
            const __m256i all = _mm256_maskz_loadu_epi16(won, moves->grad);
            if (past) _mm256_stream_si256((__m256i *)to, all);
            else _mm256_storeu_si256((__m256i_u *)to, all);
        }
    }
}

TARGET static INLINE void settle_avx512(void) { _mm_sfence(); }

/* Windows of two columns side by side: to both columns their gradients where these won, else 0. */
TARGET static INLINE void spread_pairs_avx512(const int type, char *to, const char *grad,
                                              const uint8_t *places, int64_t count, int first)
{
    const __m512i by_turns = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i upper = _mm512_add_epi32(by_turns, _mm512_set1_epi32(8));
    for (int64_t i = 0; i < count; i += 16, grad += 16 * size_of(type), to += 32 * size_of(type)) {
        const uint64_t here = (1ull << least(16, count - i)) - 1, both = (1ull << 2 * least(16, count - i)) - 1;
        const __m128i place = _mm_maskz_loadu_epi8((__mmask16)here, places + i);
        const __mmask16 left = _mm_mask_cmpeq_epi8_mask((__mmask16)here, place, _mm_set1_epi8((char)first));
        const __mmask16 right = _mm_mask_cmpeq_epi8_mask((__mmask16)here, place, _mm_set1_epi8((char)(first + 1)));
        if (type == FLOAT32) {
            const __m512i a = _mm512_maskz_loadu_epi32(left, grad), b = _mm512_maskz_loadu_epi32(right, grad);
            _mm512_mask_storeu_epi32(to, (__mmask16)both, _mm512_permutex2var_epi32(a, by_turns, b));
            _mm512_mask_storeu_epi32(to + 64, (__mmask16)(both >> 16), _mm512_permutex2var_epi32(a, upper, b));
        } else {
            const __m512i a = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(left, grad));
            const __m512i b = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(right, grad));
            _mm512_mask_storeu_epi32(to, (__mmask16)here, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
        }
    }
}
