/* The loops, once for each instruction set. What they are written in:
 *
 *   VEC, CELL, ACC   LANES floats, LANES cells' numbers, LANES partial sums
 *   AT(row, cell)    where a coefficient lies in a table
 *   Place            where elements lie: cell, u, and which are outside (those: u = 0)
 *   load, store      the first `count` of LANES elements of a type, as float32; the rest are 0
 *   load_pair, store_pair   2 * LANES elements, in whatever order suits the type
 *   locate, load_table, value, values, slope (of tables of so many rows), or_knot, inside, accumulate, total
 */

enum { ISA(BLOCK_VECS) = 64, ISA(BLOCK) = ISA(BLOCK_VECS) * LANES };

/* table = float(sum of weights[i] * tables[i]), tables being (k, rows, CELLS). */
TARGET static void ISA(combine)(const double *tables, const float *weights, int k, int rows,
                                float *table)
{
    const int entries = rows * CELLS;
    double sums[(ROWS + 1) * CELLS];
    for (int e = 0; e < entries; e++) sums[e] = 0;
    for (int i = 0; i < k; i++) {
        const double weight = weights[i], *one = tables + (size_t)i * (size_t)entries;
        for (int e = 0; e < entries; e++) sums[e] += weight * one[e];
    }
    for (int row = 0; row < rows; row++)
        for (int cell = 0; cell < CELLS; cell++)
            /* A nan of the usual bits: they are rounded to bfloat16 like any number's. */
            table[AT(row, cell)] = sums[row * CELLS + cell] == sums[row * CELLS + cell]
                                       ? (float)sums[row * CELLS + cell] : NAN;
}

/* Whether at some knot another slope is declared than the polynomial has. */
static int ISA(has_kinks)(const float *table)
{
    for (int cell = 0; cell < CELLS; cell++)
        if (!(table[AT(KNOT, cell)] == table[AT(0, cell)])) return 1;
    return 0;
}

/* The slopes at the knots, from a table of slopes to one of values. */
static void ISA(copy_knots)(const float *from, float *to)
{
    for (int cell = 0; cell < CELLS; cell++) to[AT(KNOT, cell)] = from[AT(KNOT, cell)];
}

/* The grid of a loop that the compiler makes for its kind; elements beyond the cells may have any u. */
TARGET static INLINE Grid ISA(made_quick)(const Grid *grid, const int quick)
{
    Grid made = *grid;
    made.quick = quick;
    if (quick) made.widening = 1;
    return made;
}

/* Whether some element of [begin, stop) lies in no cell. */
TARGET static INLINE int ISA(exceeds)(const int type, const Job *job, int64_t begin, int64_t stop)
{
    uint32_t least = first_outside(type, &job->grid);
    if (type == FLOAT32) {
        const Four *RESTRICT bits = (const Four *)job->x;
        uint32_t most = 0;
        for (int64_t i = begin; i < stop; i++) {
            const uint32_t size = bits[i] & 0x7fffffffu;
            most = size > most ? size : most;
        }
        return most >= least;
    }
    const Two *RESTRICT bits = (const Two *)job->x;
    uint16_t most = 0;
    for (int64_t i = begin; i < stop; i++) {
        const uint16_t size = bits[i] & 0x7fffu;
        most = size > most ? size : most;
    }
    return most >= least;
}

TARGET static INLINE int ISA(forward_step)(const int type, const int rows, const Job *job, const ISA(Table) *table,
                                           int64_t i, int count)
{
    const ISA(Place) place = ISA(locate)(ISA(load)(type, job->x, i, count), &job->grid);
    ISA(store)(type, job->result, i, count, ISA(value)(table, rows, place.cell, place.u));
    return ISA(any)(place);
}

/* 2 * LANES elements, in whatever order suits their type. */
TARGET static INLINE int ISA(forward_pair)(const int type, const int rows, const Job *job,
                                           const ISA(Table) *table, const Grid *grid, int64_t i)
{
    VEC a, b, at_a, at_b;
    ISA(load_pair)(type, job->x, i, &a, &b);
    const ISA(Place) place_a = ISA(locate)(a, grid), place_b = ISA(locate)(b, grid);
    ISA(values)(table, rows, place_a, place_b, &at_a, &at_b);
    ISA(store_pair)(type, job->result, i, at_a, at_b);
    return ISA(any)(place_a) | ISA(any)(place_b);
}

/* The elements of [i, stop), which are few: by code for any of them, whatever the type and rows. */
TARGET static APART int ISA(forward_rest)(int type, const Job *job, int64_t i, int64_t stop)
{
    const ISA(Table) table = ISA(load_table)(job->table, ROWS, 0);
    int outside = 0;
    for (; i < stop; i += LANES)
        outside |= ISA(forward_step)(type, ROWS, job, &table, i, stop - i < LANES ? (int)(stop - i) : LANES);
    return outside;
}

TARGET static INLINE void ISA(forward)(const int type, const int rows, const int quick, const Job *job,
                                     Chunk *chunk)
{
    const ISA(Table) table = ISA(narrowed)(ISA(load_table)(job->table, rows, 0), quick);
    const Grid grid = ISA(made_quick)(&job->grid, quick);
    for (int64_t begin = chunk->begin; begin < chunk->end; begin += ISA(BLOCK)) {
        const int64_t left = chunk->end - begin, stop = begin + (left < ISA(BLOCK) ? left : ISA(BLOCK));
        int64_t i = begin;
        int outside = 0, found = 0;
        for (; i + 2 * LANES <= stop; i += 2 * LANES)
            found |= ISA(forward_pair)(type, rows, job, &table, &grid, i);
        outside = quick ? ISA(exceeds)(type, job, begin, i) : found; /* quicker by themselves */
        if (i < stop) outside |= ISA(forward_rest)(type, job, i, stop);
        if (outside && !list_outside(job, type, chunk, begin, stop)) return;
    }
}

TARGET static INLINE int ISA(backward_step)(const int type, const int rows, const Job *job, const ISA(Table) *table,
                                            int64_t i, int count)
{
    const ISA(Place) place = ISA(locate)(ISA(load)(type, job->x, i, count), &job->grid);
    const VEC grad = ISA(load)(type, job->grad, i, count);
    ISA(store)(type, job->result, i, count, grad * ISA(slope)(table, rows, place.cell, place.u));
    return ISA(any)(place);
}

TARGET static INLINE int ISA(backward_pair)(const int type, const int rows, const Job *job,
                                            const ISA(Table) *table, const Grid *grid, int64_t i)
{
    VEC a, b, grad_a, grad_b, at_a, at_b;
    ISA(load_pair)(type, job->x, i, &a, &b);
    ISA(load_pair)(type, job->grad, i, &grad_a, &grad_b);
    const ISA(Place) place_a = ISA(locate)(a, grid), place_b = ISA(locate)(b, grid);
    ISA(values)(table, rows, place_a, place_b, &at_a, &at_b);
    if (job->kinks) {
        at_a = ISA(or_knot)(table, place_a, at_a);
        at_b = ISA(or_knot)(table, place_b, at_b);
    }
    ISA(store_pair)(type, job->result, i, grad_a * at_a, grad_b * at_b);
    return ISA(any)(place_a) | ISA(any)(place_b);
}

/* The elements of [i, stop), which are few: by code for any of them, whatever the type and rows. */
TARGET static APART int ISA(backward_rest)(int type, const Job *job, int64_t i, int64_t stop)
{
    const ISA(Table) table = ISA(load_table)(job->table, ROWS, 1);
    int outside = 0;
    for (; i < stop; i += LANES)
        outside |= ISA(backward_step)(type, ROWS, job, &table, i, stop - i < LANES ? (int)(stop - i) : LANES);
    return outside;
}

TARGET static INLINE void ISA(backward_x)(const int type, const int rows, const int quick, const Job *job,
                                     Chunk *chunk)
{
    const ISA(Table) table = ISA(narrowed)(ISA(load_table)(job->table, rows, 1), quick);
    const Grid grid = ISA(made_quick)(&job->grid, quick);
    for (int64_t begin = chunk->begin; begin < chunk->end; begin += ISA(BLOCK)) {
        const int64_t left = chunk->end - begin, stop = begin + (left < ISA(BLOCK) ? left : ISA(BLOCK));
        int64_t i = begin;
        int outside = 0, found = 0;
        for (; i + 2 * LANES <= stop; i += 2 * LANES)
            found |= ISA(backward_pair)(type, rows, job, &table, &grid, i);
        outside = quick ? ISA(exceeds)(type, job, begin, i) : found; /* quicker by themselves */
        if (i < stop) outside |= ISA(backward_rest)(type, job, i, stop);
        if (outside && !list_outside(job, type, chunk, begin, stop)) return;
    }
}

typedef struct {
    CELL cell[ISA(BLOCK_VECS)];
    VEC u[ISA(BLOCK_VECS)], grad[ISA(BLOCK_VECS)];
} ISA(Block);

TARGET static INLINE int ISA(weights_step)(const int type, const int rows, const int for_x, const Job *job,
                                           const ISA(Table) *table, ISA(Block) *block, int at,
                                           int64_t i, int count)
{
    const ISA(Place) place = ISA(locate)(ISA(load)(type, job->x, i, count), &job->grid);
    const VEC grad = ISA(load)(type, job->grad, i, count);
    block->cell[at] = place.cell;
    block->u[at] = place.u;
    block->grad[at] = ISA(inside)(place, grad);
    if (for_x)
        ISA(store)(type, job->result, i, count, grad * ISA(slope)(table, rows, place.cell, place.u));
    return ISA(any)(place);
}

/* To the sums of each function what a block has, whose coefficients stay in registers. */
TARGET static INLINE void ISA(sum_up)(const int rows, const Job *job, Chunk *chunk, const ISA(Block) *block, int vecs)
{
    for (int f = 0; f < job->functions; f++) {
        const ISA(Table) own = ISA(load_table)(job->tables + (size_t)f * TABLE_FLOATS, rows, 0);
        ACC even = ISA(no_sum)(), odd = ISA(no_sum)();
        for (int at = 0; at < vecs; at += 2) {
            even = ISA(accumulate)(even, block->grad[at],
                                   ISA(value)(&own, rows, block->cell[at], block->u[at]));
            odd = ISA(accumulate)(odd, block->grad[at + 1],
                                  ISA(value)(&own, rows, block->cell[at + 1], block->u[at + 1]));
        }
        chunk->sums[f] += ISA(total)(even) + ISA(total)(odd);
    }
}

/* Also of x, where rows are more than 0. */
TARGET static INLINE void ISA(backward_weights)(const int type, const int rows, const int quick, const Job *job,
                                                Chunk *chunk)
{
    const int for_x = rows > 0;
    ISA(Block) block;
    (void)quick;
    for (int64_t begin = chunk->begin; begin < chunk->end; begin += ISA(BLOCK)) {
        const int64_t left = chunk->end - begin, stop = begin + (left < ISA(BLOCK) ? left : ISA(BLOCK));
        const ISA(Table) table = ISA(load_table)(job->table, rows, for_x);
        int64_t i = begin;
        int outside = 0, vecs = 0;
        for (; i + LANES <= stop; i += LANES)
            outside |= ISA(weights_step)(type, rows, for_x, job, &table, &block, vecs++, i, LANES);
        if (i < stop)
            outside |= ISA(weights_step)(type, rows, for_x, job, &table, &block, vecs++, i, (int)(stop - i));
        if (vecs % 2) { /* two at a time below */
            block.cell[vecs] = block.cell[0];
            block.u[vecs] = block.u[0];
            block.grad[vecs++] = ISA(zero)();
        }
        job->sum_up(job, chunk, &block, vecs);
        if (outside && !list_outside(job, type, chunk, begin, stop)) return;
    }
}
