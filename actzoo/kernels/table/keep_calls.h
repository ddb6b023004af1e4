/* The exported functions of keep.py; the rest of table.c is above. */

EXPORT int64_t actzoo_keep_forward(int type, int threads, int64_t n, const void *x, void *y,
                                   uint8_t *kept, int k, const float *weights, const double *values,
                                   const double *slopes, int shift, int flat, int widening,
                                   float low, float step, uint32_t seed)
{
    const Code *code = codes[isa];
    const Keep keep = keep_of(kept, low, step, seed);
    ALIGNED(64) float table[TABLE_FLOATS], of_slopes[TABLE_FLOATS];
    Job job;
    code->combine(values, weights, k, ROWS, table);
    code->combine(slopes, weights, k, ROWS + 1, of_slopes);
    job.kinks = code->has_kinks(of_slopes);
    code->copy_knots(of_slopes, table);
    job.rows = rows_of(values, k, ROWS);
    job.grid = grid_of(shift, flat, widening);
    job.run = loop_for(code->keep, kind_of(&job.grid), type, job.rows);
    job.x = x;
    job.grad = NULL;
    job.result = y;
    job.pool = NULL;
    job.keep = &keep;
    job.table = table;
    job.tables = NULL;
    job.functions = 0;
    cut(&job, n, threads, 1);
    return run(&job, threads);
}

EXPORT int64_t actzoo_keep_backward(int type, int threads, int64_t n, const void *grad,
                                    const uint8_t *kept, void *grad_x, float low, float step)
{
    const Keep keep = keep_of((uint8_t *)(uintptr_t)kept, low, step, 0); /* only read */
    Job job;
    job.run = codes[isa]->recall[type];
    job.x = NULL;
    job.grad = grad;
    job.result = grad_x;
    job.pool = NULL;
    job.keep = &keep;
    job.table = NULL;
    job.tables = NULL;
    job.functions = 0;
    cut(&job, n, threads, 1);
    return run(&job, threads);
}
