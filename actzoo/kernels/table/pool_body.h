/* An activation and its max-pooling, once for each instruction set. Beside what table_body.h is
 * written in:
 *
 *   Best                 of LANES windows the largest value, its x and its place
 *   first, better        the first tap; another one, which wins if it is greater
 *   rounded              a value as the type holds it, since such values are what is compared
 *   store_places
 *   put                  WIDE gradients to the taps of their windows
 *   settle               after it, before another thread reads
 *   pool_32, spread_pairs   where there is such (BY_32, BY_PAIRS), quicker ways
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

/* Of `count` windows side by side, whose taps are given, the largest values, their x and places;
 * whether an element of them is outside. Two taps at a time: see `values`. */
TARGET static INLINE int ISA(pool_step)(const int type, const int length, const int taps, const Job *job,
                                        const Grid *grid, const ISA(Table) *table, const char *const *tap, int64_t i,
                                        int64_t output, int count)
{
    ISA(Best) best = ISA(first)(ISA(zero)(), ISA(zero)());
    int outside = 0;
    for (int t = 0; t < taps; t += 2) {
        const int next = t + 1 < taps ? t + 1 : t;
        const VEC x = ISA(load)(type, tap[t], i, count), next_x = ISA(load)(type, tap[next], i, count);
        const ISA(Place) a = ISA(locate)(x, grid), b = ISA(locate)(next_x, grid);
        VEC value, next_value;
        ISA(values)(table, length, a, b, &value, &next_value);
        outside |= ISA(any)(a) | ISA(any)(b);
        if (t == 0) best = ISA(first)(ISA(rounded)(type, value), x);
        else ISA(better)(&best, ISA(rounded)(type, value), x, t);
        if (next > t) ISA(better)(&best, ISA(rounded)(type, next_value), next_x, next);
    }
    ISA(store)(type, job->result, output, count, best.value);
    ISA(store)(type, job->winners, output, count, best.x);
    ISA(store_places)(job->places + output, count, best.place);
    return outside;
}

TARGET static INLINE void ISA(pool_of_shape)(const int type, const int length, const int rows,
                                             const int columns, const Job *job, Chunk *chunk)
{
    const ISA(Table) table = ISA(load_table)(job->table, length, 0);
    const Grid grid = job->grid; /* once more: stores cannot change it */
    const Pool *pool = job->pool;
    const int taps = rows * columns;
    const int64_t ahead = bytes_ahead(pool, size_of(type));
    ALIGNED(64) uint32_t staged[MAX_TAPS * STAGED];
    const char *tap[MAX_TAPS];
    Spot spot = spot_of(pool, chunk->begin);
    for (int64_t output = chunk->begin; output < chunk->end;) {
        const int64_t left = chunk->end - output;
        int64_t count, i = 0;
        int outside = 0;
        if (pool->channels >= WIDE) {
            count = least(left, pool->channels - spot.channel);
            ISA(taps_at)(type, job, &spot, tap, rows, columns);
            advance(pool, &spot, count);
            for (int64_t byte = 0; byte < count * size_of(type); byte += LINE)
                for (int t = 0; t < taps; t++) PREFETCH((uintptr_t)tap[t] + (uintptr_t)(byte + ahead));
        } else {
            count = ISA(stage)(type, job, &spot, left, staged, rows, columns);
            for (int t = 0; t < taps; t++) tap[t] = (const char *)staged + t * STAGED * size_of(type);
        }
#ifdef BY_32
        if (type != FLOAT32)
            for (; i + 32 <= count; i += 32)
                outside |= ISA(pool_32)(type, length, taps, job, &grid, &table, tap, i, output + i);
#endif
        for (; i + LANES <= count; i += LANES)
            outside |= ISA(pool_step)(type, length, taps, job, &grid, &table, tap, i, output + i, LANES);
        if (i < count)
            outside |= ISA(pool_step)(type, length, taps, job, &grid, &table, tap, i, output + i, (int)(count - i));
        if (outside && !list_windows(type, chunk, output, count, tap, taps)) return;
        output += count;
    }
}

/* The gradients of so many x that won, as the type holds them; whether one of them is outside. */
TARGET static INLINE int ISA(pull)(const int type, const int length, const Job *job, const ISA(Table) *table,
                                   int64_t output, int64_t count, void *to)
{
    const char *x = (const char *)job->x + output * size_of(type);
    const char *grad = (const char *)job->grad + output * size_of(type);
    int outside = 0;
    for (int64_t i = 0; i < count; i += LANES) {
        const int some = (int)least(LANES, count - i);
        const ISA(Place) place = ISA(locate)(ISA(load)(type, x, i, some), &job->grid);
        const VEC slope = ISA(slope)(table, length, place.cell, place.u);
        ISA(store)(type, to, i, some, ISA(load)(type, grad, i, some) * slope);
        outside |= ISA(any)(place);
    }
    return outside;
}

/* Gives each gradient to the tap that won and 0 to the others. Of a length other than 0, it is
 * multiplied by the slope on the way: step by step, so that arithmetic fills the time of stores. */
TARGET static INLINE void ISA(pull_of_shape)(const int type, const int length, const int rows,
                                             const int columns, const Job *job, Chunk *chunk)
{
    const Pool *pool = job->pool;
    const int64_t point = pool->channels, line = pool->width * point;
    const ISA(Table) table = ISA(load_table)(job->table, length, 1);
    ALIGNED(64) uint32_t pulled[STAGED];
    Moves moves;
    moves.past = pool->images * pool->height * line * size_of(type) >= PAST_CACHES;
    Spot spot = spot_of(pool, chunk->begin);
    for (int64_t output = chunk->begin; output < chunk->end;) {
        const int64_t left = chunk->end - output, corner = corner_of(pool, &spot);
        const int rows_here = rows_in(pool, &spot), columns_here = columns_in(pool, &spot);
        const char *grad = (const char *)job->grad + output * size_of(type);
        int64_t count, i = 0;
        int outside = 0;
        if (point >= WIDE) {
            count = least(left, point - spot.channel);
            for (int a = 0; a < rows; a++)
                for (int b = 0; b < columns; b++)
                    moves.tap[a * columns + b] =
                        a < rows_here && b < columns_here
                            ? (char *)job->result + (corner + a * line + b * point) * size_of(type)
                            : NULL;
            for (; i < count; i += WIDE) {
                const int some = (int)least(WIDE, count - i);
                if (length) outside |= ISA(pull)(type, length, job, &table, output + i, some, pulled);
                moves.grad = length ? (const char *)pulled : grad + i * size_of(type);
                moves.places = job->places + output + i;
                if (some == WIDE) ISA(put)(type, &moves, rows * columns);
                else
                    for (int w = 0; w < some; w++)
                        for (int t = 0; t < rows * columns; t++) move(type, &moves, w, t);
                for (int t = 0; t < rows * columns; t++)
                    if (moves.tap[t] != NULL) moves.tap[t] += WIDE * size_of(type);
            }
        } else {
            count = run_from(pool, &spot, least(left, STAGED));
            if (length) outside = ISA(pull)(type, length, job, &table, output, count, pulled);
            for (int a = 0; a < rows_here; a++) {
                const void *from = length ? (const void *)pulled : grad;
                const uint8_t *place = job->places + output;
                const int64_t to = corner + a * line;
#ifdef BY_PAIRS
                if (point == 1 && columns == 2 && columns_here == 2) {
                    ISA(spread_pairs)(type, (char *)job->result + to * size_of(type), from, place, count, a * 2);
                    continue;
                }
#endif
                if (type == FLOAT32)
                    ISA(spread_Four)((Four *)job->result + to, from, place, count, point, columns,
                                     columns_here, a * columns);
                else
                    ISA(spread_Two)((Two *)job->result + to, from, place, count, point, columns,
                                    columns_here, a * columns);
            }
        }
        if (outside && !list_outside(job, type, chunk, output, output + count)) break;
        output += count;
        advance(pool, &spot, count);
    }
    ISA(settle)();
}

#ifndef POOL_RUNNERS
/* With 2x2 windows there is code for three of the lengths; for other windows for the longest. */
#define POOL_LENGTHS_OF(what, type, isa)                                                           \
    {what##_##type##_4_##isa, what##_##type##_4_##isa, what##_##type##_7_##isa,                    \
     what##_##type##_7_##isa, what##_##type##_7_##isa, what##_##type##_10_##isa,                   \
     what##_##type##_10_##isa}
#define POOL_TYPES_OF(what, isa)                                                                   \
    {POOL_LENGTHS_OF(what, 0, isa), POOL_LENGTHS_OF(what, 1, isa), POOL_LENGTHS_OF(what, 2, isa)}
#define POOL_RUNNERS(isa)                                                                          \
    POOL_TYPES_OF(pool, isa), POOL_TYPES_OF(pull, isa), {unpool_0_##isa, unpool_1_##isa, unpool_1_##isa}
#define SPECIALISE_WINDOWS(name, what, type, length)                                               \
    TARGET static void ISA(name)(const Job *job, Chunk *chunk)                                     \
    {                                                                                              \
        const int rows = job->pool->rows, columns = job->pool->columns;                            \
        if (rows == 2 && columns == 2) ISA(what)(type, length, 2, 2, job, chunk);                  \
        else if (rows == 3 && columns == 3) ISA(what)(type, length, 3, 3, job, chunk);             \
        else ISA(what)(type, length, rows, columns, job, chunk);                                   \
    }
#define SPECIALISE_LENGTH(what, type, length)                                                      \
    TARGET static void ISA(what##_##type##_##length)(const Job *job, Chunk *chunk)                 \
    {                                                                                              \
        if (taps_of(job->pool) != 4 || job->pool->rows != 2) ISA(what##_##type##_10)(job, chunk);  \
        else ISA(what##_of_shape)(type, length, 2, 2, job, chunk);                                 \
    }
#define SPECIALISE_POOL(type)                                                                      \
    SPECIALISE_WINDOWS(pool_##type##_10, pool_of_shape, type, 10)                                  \
    SPECIALISE_WINDOWS(pull_##type##_10, pull_of_shape, type, 10)                                \
    SPECIALISE_LENGTH(pool, type, 4)                                                               \
    SPECIALISE_LENGTH(pool, type, 7)                                                               \
    SPECIALISE_LENGTH(pull, type, 4)                                                               \
    SPECIALISE_LENGTH(pull, type, 7)
#endif
SPECIALISE_POOL(0)
SPECIALISE_POOL(1)
SPECIALISE_POOL(2)
SPECIALISE_WINDOWS(unpool_0, pull_of_shape, 0, 0)
SPECIALISE_WINDOWS(unpool_1, pull_of_shape, 1, 0)
