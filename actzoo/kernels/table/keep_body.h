/* The sum, and its slope kept as 8 bits, once for each instruction set. Beside what table_body.h
 * is written in:
 *
 *   every            LANES times one number
 *   value_and_slope  of the sum, by one scheme of Horner; the slope is that of the polynomial
 *   values_and_slopes   the same of two places
 *   hashes           of LANES numbers that are HASH_STEP apart, from the given one on
 *   upper, lower     16 bits of each hash, as a number from 128 to 129
 *   store_codes      numbers above -1 cut to whole ones, at most 255, as bytes
 *   load_codes       such bytes as numbers
 *
 * A slope becomes the level below it or above it, by chance and so that it is right on average.
 * The chance is a hash of the seed and the element's place: whichever thread computes it, it is
 * the same. Elements that are HALF apart share a hash, each with half of its bits. */

TARGET static INLINE void ISA(store_kept)(const int type, const Job *job, int64_t i, int count,
                                          VEC value, VEC slope, VEC chance)
{
    const Keep *keep = job->keep;
    ISA(store)(type, job->result, i, count, value);
    const VEC level = slope * ISA(every)(keep->levels) + ISA(every)(keep->first);
    ISA(store_codes)(keep->codes + i, count, level + chance);
}

TARGET static INLINE int ISA(keep_step)(const int type, const int rows, const Job *job,
                                        const ISA(Table) *table, VEC chance, int64_t i, int count)
{
    const ISA(Place) place = ISA(locate)(ISA(load)(type, job->x, i, count), &job->grid);
    VEC value, slope;
    ISA(value_and_slope)(table, rows, &job->grid, place, &value, &slope);
    if (job->kinks) slope = ISA(or_knot)(table, place, slope);
    ISA(store_kept)(type, job, i, count, value, slope, chance);
    return ISA(any)(place);
}

/* The elements from i on, and those that share their hashes. */
TARGET static INLINE int ISA(keep_pair)(const int type, const int rows, const Job *job,
                                        const ISA(Table) *table, CELL hashes, int64_t i)
{
    const ISA(Place) a = ISA(locate)(ISA(load)(type, job->x, i, LANES), &job->grid);
    const ISA(Place) b = ISA(locate)(ISA(load)(type, job->x, i + HALF, LANES), &job->grid);
    VEC value[2], slope[2];
    ISA(values_and_slopes)(table, rows, &job->grid, a, b, value, slope);
    if (job->kinks) {
        slope[0] = ISA(or_knot)(table, a, slope[0]);
        slope[1] = ISA(or_knot)(table, b, slope[1]);
    }
    ISA(store_kept)(type, job, i, LANES, value[0], slope[0], ISA(upper)(hashes));
    ISA(store_kept)(type, job, i + HALF, LANES, value[1], slope[1], ISA(lower)(hashes));
    return ISA(any)(a) | ISA(any)(b);
}

TARGET static INLINE CELL ISA(hashes_at)(const Keep *keep, int64_t i)
{
    const uint32_t counter = (uint32_t)(i / (2 * HALF) * HALF + i % HALF);
    return ISA(hashes)(counter * HASH_STEP + keep->seed);
}

TARGET static INLINE void ISA(keep)(const int type, const int rows, const Job *job, Chunk *chunk)
{
    const ISA(Table) table = ISA(load_table)(job->table, rows, 1);
    for (int64_t begin = chunk->begin; begin < chunk->end; begin += ISA(BLOCK)) {
        const int64_t stop = begin + least(chunk->end - begin, ISA(BLOCK));
        int64_t i = begin;
        int outside = 0;
        for (; i + 2 * HALF <= stop; i += 2 * HALF) {
            for (int64_t at = i; at < i + HALF; at += LANES)
                outside |= ISA(keep_pair)(type, rows, job, &table, ISA(hashes_at)(job->keep, at), at);
        }
        for (; i < stop; i += LANES) {
            const CELL hashes = ISA(hashes_at)(job->keep, i);
            const VEC chance = i % (2 * HALF) < HALF ? ISA(upper)(hashes) : ISA(lower)(hashes);
            outside |= ISA(keep_step)(type, rows, job, &table, chance, i, (int)least(LANES, stop - i));
        }
        if (outside && !list_outside(job, type, chunk, begin, stop)) return;
    }
}

TARGET static INLINE void ISA(recall_step)(const int type, const Job *job, int64_t i, int count)
{
    const Keep *keep = job->keep;
    const VEC codes = ISA(load_codes)(keep->codes + i, count);
    const VEC slope = codes * ISA(every)(keep->step) + ISA(every)(keep->low);
    ISA(store)(type, job->result, i, count, ISA(load)(type, job->grad, i, count) * slope);
}

TARGET static INLINE void ISA(recall)(const int type, const Job *job, Chunk *chunk)
{
    int64_t i = chunk->begin;
    for (; i + LANES <= chunk->end; i += LANES) ISA(recall_step)(type, job, i, LANES);
    if (i < chunk->end) ISA(recall_step)(type, job, i, (int)(chunk->end - i));
}

#ifndef KEEP_RUNNERS
#define KEEP_RUNNERS(isa)                                                                          \
    TYPES_OF(keep, isa), {recall_0_##isa, recall_1_##isa, recall_2_##isa}
#define KEEP_OF(type, rows)                                                                        \
    TARGET static void ISA(keep_##type##_##rows)(const Job *job, Chunk *chunk)                     \
    {                                                                                              \
        ISA(keep)(type, rows, job, chunk);                                                         \
    }
#define KEEP_ALL(type)                                                                             \
    KEEP_OF(type, 3) KEEP_OF(type, 5) KEEP_OF(type, 6) KEEP_OF(type, 7) KEEP_OF(type, 9)           \
    KEEP_OF(type, 10)                                                                              \
    TARGET static void ISA(recall_##type)(const Job *job, Chunk *chunk)                            \
    {                                                                                              \
        ISA(recall)(type, job, chunk);                                                             \
    }
#endif
KEEP_ALL(0)
KEEP_ALL(1)
KEEP_ALL(2)
