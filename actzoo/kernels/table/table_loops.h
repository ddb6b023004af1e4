/* After the loops of one instruction set: those that it has code for, and where that lies.
 *
 * Its LOOPS, WEIGHTS, POOLS, PULLS and KEEPS say X(what, type, grid, rows) for each: with that type and
 * grid, and as many rows or fewer, KNOWN to the compiler. SUMS say X(rows). Whatever is not there
 * is served by code for more rows or, of grid 0, for any grid: see `loop_for`. */

#define DEFINE(what, type, grid, most)                                                             \
    TARGET static void ISA(what##_##type##_##grid##_##most)(const Job *job, Chunk *chunk)          \
    {                                                                                              \
        ISA(what)(type, KNOWN(most, job->rows), grid, job, chunk);                                                   \
    }
#define DEFINE_SUM(rows)                                                                           \
    TARGET static void ISA(sum_up_##rows)(const Job *job, Chunk *chunk, const void *block, int vecs) \
    {                                                                                              \
        ISA(sum_up)(KNOWN(rows, job->sum_rows), job, chunk, (const ISA(Block) *)block, vecs);                            \
    }
/* There is code of its own for windows of 2x2; of the most rows also for 3x3 and for all others. */
#define DEFINE_POOL(what, type, grid, length)                                                      \
    TARGET static void ISA(what##_##type##_##grid##_##length)(const Job *job, Chunk *chunk)        \
    {                                                                                              \
        const int rows = job->pool->rows, columns = job->pool->columns;                            \
        const int any = (length) == 0 || (length) == ROWS, known = KNOWN(length, job->rows);       \
        if (!any || (rows == 2 && columns == 2)) ISA(what)(type, known, grid, 2, 2, job, chunk);   \
        else if (rows == 3 && columns == 3) ISA(what)(type, known, grid, 3, 3, job, chunk);        \
        else ISA(what)(type, known, grid, rows, columns, job, chunk);                              \
    }
#define DEFINE_RECALL(type)                                                                        \
    TARGET static void ISA(recall_##type)(const Job *job, Chunk *chunk)                            \
    {                                                                                              \
        ISA(recall)(type, job, chunk);                                                             \
    }
#define ENTER(what, type, grid, rows) [grid][type][rows] = ISA(what##_##type##_##grid##_##rows),
#define ENTER_SUM(rows) [rows] = ISA(sum_up_##rows),

LOOPS(DEFINE, forward)
LOOPS(DEFINE, backward_x)
WEIGHTS(DEFINE, backward_weights)
SUMS(DEFINE_SUM)
POOLS(DEFINE_POOL, pool)
PULLS(DEFINE_POOL, pull)
KEEPS(DEFINE, keep)
DEFINE_RECALL(0)
DEFINE_RECALL(1)
DEFINE_RECALL(2)

static const Code ISA(code) = {
    ISA(combine), ISA(has_kinks), ISA(copy_knots),
    {LOOPS(ENTER, forward)},
    {LOOPS(ENTER, backward_x)},
    {WEIGHTS(ENTER, backward_weights)},
    {SUMS(ENTER_SUM)},
    {POOLS(ENTER, pool)},
    {PULLS(ENTER, pull)},
    {KEEPS(ENTER, keep)},
    {ISA(recall_0), ISA(recall_1), ISA(recall_2)},
};

#undef DEFINE
#undef DEFINE_SUM
#undef DEFINE_POOL
#undef DEFINE_RECALL
#undef ENTER
#undef ENTER_SUM
#undef KNOWN
#undef LOOPS
#undef WEIGHTS
#undef SUMS
#undef POOLS
#undef PULLS
#undef KEEPS
