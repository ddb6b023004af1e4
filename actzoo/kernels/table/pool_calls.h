/* The exported calls that pool: see native.py for what they mean. */

/* Cuts the outputs of a pooling and runs it. */
static int64_t run_pool(Job *job, const Pool *pool, int threads, int widening)
{
    if (outputs_of(pool) == 0) return 0; /* no spot to begin at */
    job->pool = pool;
    job->grid = grid_of(0, 0, widening);
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
    const Code *code = &codes[isa];
    const Pool pool = pool_of(sizes, rows, columns);
    ALIGNED(64) float table[TABLE_FLOATS];
    Job job;
    code->combine(values, weights, k, ROWS, table);
    for (int i = 0; i < k; i++) /* torch's pooling has its own rule for where all is nan */
        if (!(fabsf(weights[i]) < INFINITY)) return TOO_MANY;
    job.run = code->pool[type][length_of(values, k, ROWS)];
    job.x = x;
    job.grad = NULL;
    job.result = y;
    job.winners = winners;
    job.places = places;
    job.table = table;
    return run_pool(&job, &pool, threads, widening);
}

/* Of gradients of the largest values, or, without winners and functions, of the x that have them. */
EXPORT int64_t actzoo_pool_backward(int type, int threads, const int64_t *sizes, int rows,
                                    int columns, const void *grad, const void *winners,
                                    const uint8_t *places, void *grad_x, int k,
                                    const float *weights, const double *slopes, int widening)
{
    const Code *code = &codes[isa];
    const Pool pool = pool_of(sizes, rows, columns);
    ALIGNED(64) float table[TABLE_FLOATS];
    Job job;
    job.run = winners == NULL ? code->unpool[type] : code->pull[type][length_of(slopes, k, ROWS + 1)];
    code->combine(slopes, weights, k, ROWS + 1, table); /* zeros if k is */
    job.x = winners;
    job.grad = grad;
    job.result = grad_x;
    job.winners = NULL;
    job.places = (uint8_t *)(uintptr_t)places; /* only read */
    job.table = table;
    return run_pool(&job, &pool, threads, widening);
}
