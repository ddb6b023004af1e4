/* The exported calls that pool: see native.py for what they mean. */

/* Cuts the outputs of a pooling and runs it. Only windows of 2x2 have code for less than all rows. */
static int64_t run_pool(Job *job, const Loops loops, int type, const Pool *pool, int threads, int widening)
{
    const int two = pool->rows == 2 && pool->columns == 2;
    if (outputs_of(pool) == 0) return 0; /* no spot to begin at */
    job->pool = pool;
    job->grid = grid_of(0, 0, widening);
    job->run = loop_for(loops, two ? kind_of(&job->grid) : ANY, type, two || !job->rows ? job->rows : ROWS);
    job->tables = NULL;
    job->functions = 0;
    cut(job, outputs_of(pool), threads, taps_of(pool));
    for (int c = 0; c < job->chunks; c++) /* as many as of its elements without pooling */
        job->chunk[c].room = (job->chunk[c].end - job->chunk[c].begin) * taps_of(pool) / 256 + 64;
    return run(job, threads);
}

/* sizes: images, height, width, channels, and the height and width of the result. */
EXPORT int64_t actzoo_pool_forward(int type, int threads, const int64_t *sizes, int rows,
                                   int columns, const void *x, void *y, void *winners,
                                   uint8_t *places, int k, const float *weights,
                                   const double *values, int widening)
{
    const Code *code = codes[isa];
    const Pool pool = pool_of(sizes, rows, columns);
    ALIGNED(64) float table[TABLE_FLOATS];
    Job job;
    code->combine(values, weights, k, ROWS, table);
    for (int i = 0; i < k; i++) /* torch's pooling has its own rule for where all is nan */
        if (!(fabsf(weights[i]) < INFINITY)) return TOO_MANY;
    job.rows = rows_of(values, k, ROWS);
    job.x = x;
    job.grad = NULL;
    job.result = y;
    job.winners = winners;
    job.places = places;
    job.table = table;
    return run_pool(&job, code->pool, type, &pool, threads, widening);
}

/* Of gradients of the largest values, or, without winners and functions, of the x that have them. */
EXPORT int64_t actzoo_pool_backward(int type, int threads, const int64_t *sizes, int rows,
                                    int columns, const void *grad, const void *winners,
                                    const uint8_t *places, void *grad_x, int k,
                                    const float *weights, const double *slopes, int widening)
{
    const Code *code = codes[isa];
    const Pool pool = pool_of(sizes, rows, columns);
    ALIGNED(64) float table[TABLE_FLOATS];
    Job job;
    if (winners == NULL && type != FLOAT32) type = BFLOAT16; /* whose bits are moved alike */
    job.rows = winners == NULL ? 0 : rows_of(slopes, k, ROWS + 1);
    code->combine(slopes, weights, k, ROWS + 1, table); /* zeros if k is */
    job.x = winners;
    job.grad = grad;
    job.result = grad_x;
    job.winners = NULL;
    job.places = (uint8_t *)(uintptr_t)places; /* only read */
    job.table = table;
    return run_pool(&job, code->pull, type, &pool, threads, widening);
}
