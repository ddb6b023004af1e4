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

TARGET static INLINE int ISA(keep_step)(const int type, const int rows, const Job *job, const Grid *grid,
                                        const ISA(Table) *table, VEC chance, int64_t i, int count)
{
    const ISA(Place) place = ISA(locate)(ISA(load)(type, job->x, i, count), grid);
    VEC value, slope;
    ISA(value_and_slope)(table, rows, grid, place, &value, &slope);
    if (job->kinks) slope = ISA(or_knot)(table, place, slope);
    ISA(store_kept)(type, job, i, count, value, slope, chance);
    return ISA(any)(place);
}

/* The elements from i on, and those that share their hashes. */
TARGET static INLINE int ISA(keep_pair)(const int type, const int rows, const Job *job, const Grid *grid,
                                        const ISA(Table) *table, CELL hashes, int64_t i)
{
    const ISA(Place) a = ISA(locate)(ISA(load)(type, job->x, i, LANES), grid);
    const ISA(Place) b = ISA(locate)(ISA(load)(type, job->x, i + HALF, LANES), grid);
    VEC value[2], slope[2];
    ISA(values_and_slopes)(table, rows, grid, a, b, value, slope);
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

/* The elements of [i, stop), which are few: by code for any of them, whatever the type and rows. */
TARGET static APART int ISA(keep_rest)(int type, const Job *job, int64_t i, int64_t stop)
{
    const ISA(Table) table = ISA(load_table)(job->table, ROWS, 1);
    int outside = 0;
    for (; i < stop; i += LANES) {
        const CELL hashes = ISA(hashes_at)(job->keep, i);
        const VEC chance = i % (2 * HALF) < HALF ? ISA(upper)(hashes) : ISA(lower)(hashes);
        outside |= ISA(keep_step)(type, ROWS, job, &job->grid, &table, chance, i, (int)least(LANES, stop - i));
    }
    return outside;
}

TARGET static INLINE void ISA(keep)(const int type, const int rows, const int quick, const Job *job, Chunk *chunk)
{
    const ISA(Table) table = ISA(narrowed)(ISA(load_table)(job->table, rows, 1), quick);
    const Grid grid = ISA(made_quick)(&job->grid, quick);
    for (int64_t begin = chunk->begin; begin < chunk->end; begin += ISA(BLOCK)) {
        const int64_t stop = begin + least(chunk->end - begin, ISA(BLOCK));
        int64_t i = begin;
        int outside = 0, found = 0;
        for (; i + 2 * HALF <= stop; i += 2 * HALF) {
            for (int64_t at = i; at < i + HALF; at += LANES)
                found |= ISA(keep_pair)(type, rows, job, &grid, &table, ISA(hashes_at)(job->keep, at), at);
        }
        outside = quick ? ISA(exceeds)(type, job, begin, i) : found; /* quicker by themselves */
        if (i < stop) outside |= ISA(keep_rest)(type, job, i, stop);
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
