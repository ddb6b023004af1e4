/* An activation and its max-pooling, once for each instruction set. Beside what table_body.h is
 * written in:
 *
 *   Best                 of LANES windows the largest value, its x and its place
 *   first, better        the first tap; another one, which wins if it is greater
 *   rounded              a value as the type holds it, since such values are what is compared
 *   store_places
 *
 * A window's taps are its elements, row by row. Where the edge of the image cuts a window, its
 * first tap stands for those that are missing: an equal value does not win. */

#define MOVES(Size)                                                                                \
    /* Windows side by side, `count` numbers in all: one tap of each brought together. */         \
    TARGET static INLINE void ISA(gather_##Size)(Size *to, const Size *from, int64_t count,        \
                                                 const int64_t channels, const int columns)        \
    {                                                                                              \
        if (channels == 1) {                                                                       \
            for (int64_t i = 0; i < count; i++) to[i] = from[i * columns];                         \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < count; i += channels, from += columns * channels)                  \
            for (int64_t c = 0; c < least(channels, count); c++) to[i + c] = from[c];              \
    }                                                                                              \
    /* A row of windows: each gradient to the tap that won, 0 to the others. */                    \
    TARGET static INLINE void ISA(spread_##Size)(Size *to, const Size *RESTRICT grad,                \
                                                 const uint8_t *RESTRICT place,                    \
                                                 int64_t count, const int64_t channels,            \
                                                 const int columns, int here, int first)           \
    {                                                                                              \
        if (LITTLE_ENDIAN_PAIRS && channels == 1 && here == 2 && columns == 2) {                   \
            PairOf##Size *RESTRICT pair = (PairOf##Size *)to; /* for vectors of the compiler */    \
            for (int64_t i = 0; i < count; i++) {                                                  \
                const PairOf##Size both = grad[i], won = (PairOf##Size)(place[i] - first);         \
                pair[i] = won == 0 ? both : won == 1 ? both << (8 * sizeof(Size)) : 0;             \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        if (channels == 1 && here == columns) {                                                    \
            for (int64_t i = 0; i < count; i++)                                                    \
                for (int b = 0; b < columns; b++)                                                  \
                    to[i * columns + b] = place[i] == first + b ? grad[i] : 0;                     \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < count; i += channels, to += columns * channels)                    \
            for (int b = 0; b < here; b++)                                                         \
                for (int64_t c = 0; c < least(channels, count); c++)                               \
                    to[b * channels + c] = place[i + c] == first + b ? grad[i + c] : 0;            \
    }
MOVES(Four)
MOVES(Two)
#undef MOVES

/* Where the taps of the windows at a spot lie, channels being side by side. */
TARGET static INLINE void ISA(taps_at)(const int type, const Job *job, const Spot *spot,
                                       const char **tap, const int rows, const int columns)
{
    const Pool *pool = job->pool;
    const int64_t point = pool->channels * size_of(type), line = pool->width * point;
    const char *corner = (const char *)job->x + corner_of(pool, spot) * size_of(type);
    const int rows_here = rows_in(pool, spot), columns_here = columns_in(pool, spot);
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < columns; b++)
            tap[a * columns + b] = a < rows_here && b < columns_here ? corner + a * line + b * point : corner;
}

/* Brings the taps of up to STAGED outputs together; the number of outputs. */
TARGET static INLINE int64_t ISA(stage)(const int type, const Job *job, Spot *spot, int64_t most,
                                        uint32_t *staged, const int rows, const int columns)
{
    const Pool *pool = job->pool;
    const char *tap[MAX_TAPS];
    int64_t done = 0;
    most = least(most, STAGED);
    while (done < most) {
        const int64_t count = run_from(pool, spot, most - done);
        ISA(taps_at)(type, job, spot, tap, rows, columns);
        for (int t = 0; t < rows * columns; t++) {
            if (type == FLOAT32)
                ISA(gather_Four)((Four *)staged + t * STAGED + done, (const Four *)tap[t], count,
                                 pool->channels, columns);
            else
                ISA(gather_Two)((Two *)staged + t * STAGED + done, (const Two *)tap[t], count,
                                pool->channels, columns);
        }
        done += count;
        advance(pool, spot, count);
    }
    return done;
}

/* The values of some elements, as the type holds them. */
TARGET static INLINE int ISA(value_step)(const int type, const ISA(Table) *table, const Grid *grid,
                                         const char *from, float *values, int64_t i, int count)
{
    const ISA(Place) place = ISA(locate)(ISA(load)(type, from, i, count), grid);
    const VEC value = ISA(rounded)(type, ISA(value)(table, ROWS, place.cell, place.u));
    ISA(store)(FLOAT32, values, i, count, value);
    return ISA(any)(place);
}

TARGET static INLINE int ISA(values_of_tap)(const int type, const ISA(Table) *table,
                                            const Grid *grid, const char *from, float *values, int64_t count)
{
    int64_t i = 0;
    int outside = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        const ISA(Place) a = ISA(locate)(ISA(load)(type, from, i, LANES), grid);
        const ISA(Place) b = ISA(locate)(ISA(load)(type, from, i + LANES, LANES), grid);
        VEC at_a, at_b;
        ISA(values)(table, ROWS, a, b, &at_a, &at_b);
        ISA(store)(FLOAT32, values, i, LANES, ISA(rounded)(type, at_a));
        ISA(store)(FLOAT32, values, i + LANES, LANES, ISA(rounded)(type, at_b));
        outside |= ISA(any)(a) | ISA(any)(b);
    }
    for (; i < count; i += LANES)
        outside |= ISA(value_step)(type, table, grid, from, values, i, (int)least(LANES, count - i));
    return outside;
}

TARGET static INLINE void ISA(best_step)(const int type, const int taps, const Job *job,
                                         const char *const *tap, const float *values, int64_t i,
                                         int64_t output, int count)
{
    ISA(Best) best = ISA(first)(ISA(load)(FLOAT32, values, i, count), ISA(load)(type, tap[0], i, count));
    for (int t = 1; t < taps; t++)
        ISA(better)(&best, ISA(load)(FLOAT32, values + t * STAGED, i, count),
                    ISA(load)(type, tap[t], i, count), t);
    ISA(store)(type, job->result, output + i, count, best.value);
    ISA(store)(type, job->winners, output + i, count, best.x);
    ISA(store_places)(job->places + output + i, count, best.place);
}

TARGET static INLINE void ISA(pool_of_shape)(const int type, const int rows, const int columns,
                                             const Job *job, Chunk *chunk)
{
    const ISA(Table) table = ISA(load_table)(job->table, ROWS, 0);
    const Pool *pool = job->pool;
    const int taps = rows * columns;
    ALIGNED(64) uint32_t staged[MAX_TAPS * STAGED];
    ALIGNED(64) float values[MAX_TAPS * STAGED];
    const char *tap[MAX_TAPS];
    Spot spot = spot_of(pool, chunk->begin);
    for (int64_t output = chunk->begin; output < chunk->end;) {
        const int64_t left = chunk->end - output;
        int64_t count, i;
        int outside = 0;
        if (pool->channels >= WIDE) {
            count = least(least(left, STAGED), pool->channels - spot.channel);
            ISA(taps_at)(type, job, &spot, tap, rows, columns);
            advance(pool, &spot, count);
        } else {
            count = ISA(stage)(type, job, &spot, left, staged, rows, columns);
            for (int t = 0; t < taps; t++) tap[t] = (const char *)staged + t * STAGED * size_of(type);
        }
        for (int t = 0; t < taps; t++)
            outside |= ISA(values_of_tap)(type, &table, &job->grid, tap[t], values + t * STAGED, count);
        for (i = 0; i + LANES <= count; i += LANES)
            ISA(best_step)(type, taps, job, tap, values, i, output, LANES);
        if (i < count) ISA(best_step)(type, taps, job, tap, values, i, output, (int)(count - i));
        if (outside && !list_windows(type, chunk, output, count, tap, taps)) return;
        output += count;
    }
}

TARGET static INLINE void ISA(unpool_of_shape)(const int type, const int rows, const int columns,
                                               const Job *job, Chunk *chunk)
{
    const Pool *pool = job->pool;
    const int64_t point = pool->channels, line = pool->width * point;
    Spot spot = spot_of(pool, chunk->begin);
    for (int64_t output = chunk->begin; output < chunk->end;) {
        const int64_t left = chunk->end - output, corner = corner_of(pool, &spot);
        const int rows_here = rows_in(pool, &spot), columns_here = columns_in(pool, &spot);
        const uint8_t *place = job->places + output;
        int64_t count;
        if (pool->channels >= WIDE) {
            Moves moves = {(const char *)job->grad + output * size_of(type), place, {NULL}};
            int64_t i = 0;
            count = least(left, pool->channels - spot.channel);
            for (int a = 0; a < rows_here; a++)
                for (int b = 0; b < columns_here; b++)
                    moves.tap[a * columns + b] =
                        (char *)job->result + (corner + a * line + b * point) * size_of(type);
            for (; i + WIDE <= count; i += WIDE) ISA(put)(type, &moves, i, rows * columns);
            for (; i < count; i++)
                for (int t = 0; t < rows * columns; t++)
                    if (moves.tap[t] != NULL) move(type, &moves, i, t);
        } else {
            count = run_from(pool, &spot, left);
            for (int a = 0; a < rows_here; a++) {
                const int64_t to = corner + a * line;
                if (type == FLOAT32)
                    ISA(spread_Four)((Four *)job->result + to, (const Four *)job->grad + output,
                                     place, count, point, columns, columns_here, a * columns);
                else
                    ISA(spread_Two)((Two *)job->result + to, (const Two *)job->grad + output, place,
                                    count, point, columns, columns_here, a * columns);
            }
        }
        output += count;
        advance(pool, &spot, count);
    }
}

#ifndef POOL_RUNNERS
#define POOL_RUNNERS(isa)                                                                          \
    {pool_0_##isa, pool_1_##isa, pool_2_##isa}, {unpool_0_##isa, unpool_1_##isa, unpool_1_##isa}
/* A call with the shape of the window known to the compiler, for the most usual ones. */
#define OF_SHAPE(what, type)                                                                       \
    TARGET static void ISA(what##_##type)(const Job *job, Chunk *chunk)                            \
    {                                                                                              \
        const int rows = job->pool->rows, columns = job->pool->columns;                            \
        if (rows == 2 && columns == 2) ISA(what##_of_shape)(type, 2, 2, job, chunk);               \
        else if (rows == 3 && columns == 3) ISA(what##_of_shape)(type, 3, 3, job, chunk);          \
        else ISA(what##_of_shape)(type, rows, columns, job, chunk);                                \
    }
#endif
OF_SHAPE(pool, 0)
OF_SHAPE(pool, 1)
OF_SHAPE(pool, 2)
OF_SHAPE(unpool, 0)
OF_SHAPE(unpool, 1)
