/* The sum, and its slope kept as 8 bits, once for each instruction set. Beside what table_body.h
 * is written in:
 *
 *   every            LANES times one number
 *   value_and_slope  of the sum, by one scheme of Horner; the slope is that of the polynomial
 *   hashes           of LANES counters that follow each other
 *   upper, lower     16 bits of each hash as a number
 *   whole            numbers cut to whole ones from 0 to 255; store_places writes them as bytes
 *   load_codes       such bytes as numbers
 *
 * A slope becomes the level below it or above it, by chance and so that it is right on average.
 * The chance is a hash of the seed and the element's place: whichever thread computes it, it is
 * the same. Elements that are HALF apart share a hash, each with half of its bits. */

TARGET static INLINE int ISA(keep_step)(const int type, const int rows, const Job *job,
                                        const ISA(Table) *table, VEC chance, int64_t i, int count)
{
    const Keep *keep = job->keep;
    const ISA(Place) place = ISA(locate)(ISA(load)(type, job->x, i, count), &job->grid);
    VEC value, slope;
    ISA(value_and_slope)(table, rows, place, &job->grid, &value, &slope);
    if (job->kinks) slope = ISA(or_knot)(table, place, slope);
    ISA(store)(type, job->result, i, count, value);
    const VEC level = slope * ISA(every)(keep->levels) + ISA(every)(keep->first);
    ISA(store_places)(keep->codes + i, count, ISA(whole)(chance * ISA(every)(0x1p-16f) + level));
    return ISA(any)(place);
}

/* Hashes of the elements from i on, in a block of 2 * HALF. */
TARGET static INLINE CELL ISA(hashes_at)(const Keep *keep, int64_t i)
{
    return ISA(hashes)(keep, (uint32_t)((i / (2 * HALF)) * HALF + i % HALF));
}

TARGET static INLINE void ISA(keep)(const int type, const int rows, const Job *job, Chunk *chunk)
{
    const ISA(Table) table = ISA(load_table)(job->table, rows, 1);
    for (int64_t begin = chunk->begin; begin < chunk->end; begin += ISA(BLOCK)) {
        const int64_t stop = begin + least(chunk->end - begin, ISA(BLOCK));
        int64_t i = begin;
        int outside = 0;
        for (; i + 2 * HALF <= stop; i += 2 * HALF) {
            for (int64_t at = i; at < i + HALF; at += LANES) {
                const CELL hashes = ISA(hashes_at)(job->keep, at);
                outside |= ISA(keep_step)(type, rows, job, &table, ISA(upper)(hashes), at, LANES);
                outside |= ISA(keep_step)(type, rows, job, &table, ISA(lower)(hashes), at + HALF, LANES);
            }
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
