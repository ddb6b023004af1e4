/* A weighted sum of functions as one piecewise polynomial: see native.py for what the calls mean.
 *
 * With t = |x| * 2^shift, t < 16 is cut into 16 unit intervals for each sign, 32 cells in all:
 * cells 0..15 for x >= 0 and -0.0, cells 16..31 for x < 0. Or else -16 <= x < 16 is cut into 16 or
 * 32 cells that widen from 0 on (`begins`). In each the sum is a polynomial of degree 9 or less in u,
 * which is t less the interval's beginning, or x less the cell's origin, and exact.
 * Everything else is "outside": such elements are listed. Only nan is, where the last cells are constant and stand for all beyond them.
 *
 * The loops are written once, in table_body.h (those that pool in pool_body.h, those that keep slopes
 * as 8 bits in keep_body.h), over the few operations that table_avx512.h,
 * table_avx2.h and table_portable.h define; which of the three runs is decided here, at run time.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define X86 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define X86 0
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define INLINE __forceinline
#define RESTRICT __restrict
#define APART __declspec(noinline)
#define ALIGNED(bytes) __declspec(align(bytes))
#else
#define INLINE inline __attribute__((always_inline))
#define RESTRICT restrict
#define APART __attribute__((noinline))
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#endif

/* Raised with every change of the exported functions; native.py asks for the same number. */
#define INTERFACE 6

enum { CELLS = 32, ROWS = 10, KNOT = 10, STRIDE = 16, TABLE_FLOATS = CELLS * STRIDE };
enum { MAX_THREADS = 256, GRAIN = 32768, UNIT = 1024, LINE = 64 };
enum { FLOAT32, BFLOAT16, FLOAT16, TYPES };
enum { PORTABLE, AVX2, AVX512, ISAS };
enum { TOO_MANY = -1, NO_MEMORY = -2 };

typedef struct {
    int64_t begin, end;
    int64_t *outside; /* allocated when the first one is found */
    int64_t count, room;
    double *sums; /* of g * f_i(x), one for each function */
} Chunk;

#include "table_grid.h"

typedef struct Pool Pool;
typedef struct Keep Keep;
typedef struct Job Job;
typedef void Runner(const Job *, Chunk *);
typedef void SumUp(const Job *, Chunk *, const void *, int);
struct Job {
    Runner *run;
    const void *x, *grad;
    void *result;         /* y, or the gradient of x */
    Grid grid;
    const float *table;   /* of the sum, in the layout that the instruction set likes */
    const float *tables;  /* of each function, TABLE_FLOATS apart */
    int rows, sum_rows;   /* of the one, 0 if it is not needed, and of the others */
    int functions, chunks, kinks;
    SumUp *sum_up;        /* of calls with functions */
    const Pool *pool;     /* of calls that pool, else NULL: what is cut into chunks are outputs */
    void *winners;        /* of each output the x that won */
    uint8_t *places;      /* and its place in its window */
    const Keep *keep;     /* of calls that keep slopes as codes, or read them */
    Chunk chunk[MAX_THREADS];
};

static int list_one(Chunk *chunk, int64_t i)
{
    if (chunk->outside == NULL)
        chunk->outside = malloc((size_t)chunk->room * sizeof *chunk->outside);
    if (chunk->outside == NULL || chunk->count == chunk->room) {
        chunk->count = TOO_MANY;
        return 0;
    }
    chunk->outside[chunk->count++] = i;
    return 1;
}

/* The least bits of |x| that no cell holds. */
static INLINE uint32_t first_outside(const int type, const Grid *grid)
{
    if (type == FLOAT32) return grid->flat ? 0x7f800001u : 0x41800000u - ((uint32_t)grid->shift << 23);
    if (type == BFLOAT16) return grid->flat ? 0x7f81u : 0x4180u - ((uint32_t)grid->shift << 7);
    return grid->flat ? 0x7c01u : 0x4c00u - ((uint32_t)grid->shift << 10);
}

/* Lists the elements of [begin, stop) that no cell holds; 0 if they are too many.
 * Runs over a block that the caller has just read, so over the cache. */
static int list_outside(const Job *job, int type, Chunk *chunk, int64_t begin, int64_t stop)
{
    const uint32_t least = first_outside(type, &job->grid);
    for (int64_t i = begin; i < stop; i++) {
        if (type == FLOAT32) {
            uint32_t bits;
            memcpy(&bits, (const char *)job->x + 4 * i, 4);
            if ((bits & 0x7fffffffu) < least) continue;
        } else {
            uint16_t bits;
            memcpy(&bits, (const char *)job->x + 2 * i, 2);
            if ((bits & 0x7fffu) < least) continue;
        }
        if (!list_one(chunk, i)) return 0;
    }
    return 1;
}

static INLINE int size_of(int type) { return type == FLOAT32 ? 4 : 2; }

typedef void Combine(const double *, const float *, int, int, float *);
typedef Runner *Loops[GRIDS][TYPES][ROWS + 1]; /* by rows; NULL where others serve */
typedef struct {
    Combine *combine;
    int (*has_kinks)(const float *);
    void (*copy_knots)(const float *, float *);
    Loops forward, backward_x, backward_weights;
    SumUp *sum_up[ROWS + 1];
    Loops pool, pull, keep;
    Runner *recall[TYPES];
} Code;

/* The loop for the least rows that are enough, on that grid or else on any. */
static Runner *loop_for(const Loops loops, int grid, int type, int rows)
{
    for (int enough = rows; enough <= ROWS; enough++)
        if (loops[grid][type][enough] != NULL) return loops[grid][type][enough];
    return loop_for(loops, ANY, type, rows);
}

#include "pool_window.h"
#include "keep.h"
#include "table_portable.h"
#include "table_body.h"
#include "pool_body.h"
#include "keep_body.h"
#include "table_loops.h"
#include "table_undefine.h"
#if X86
#include "table_avx2.h"
#include "table_body.h"
#include "pool_body.h"
#include "keep_body.h"
#include "table_loops.h"
#include "table_undefine.h"
#include "table_avx512.h"
#include "pool_avx512.h"
#include "table_body.h"
#include "pool_body.h"
#include "keep_body.h"
#include "table_loops.h"
#include "table_undefine.h"
#endif

static const Code *const codes[] = {
    &code_portable,
#if X86
    &code_avx2, &code_avx512,
#endif
};

static int best_isa(void)
{
#if X86
    unsigned a, b, c = 0, d;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PORTABLE;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C)) return PORTABLE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    return AVX2;
#else
    return PORTABLE;
#endif
}

static int isa = PORTABLE; /* until actzoo_table_use: cpuid is too slow to ask at each call */

/* The OpenMP library that torch has loaded, so that there is one pool of threads, not two. */
static void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
static int (*thread_number)(void), (*team_size)(void);

static void run_share(void *data)
{
    Job *job = data;
    int team = team_size();
    for (int c = thread_number(); c < job->chunks; c += team) job->run(job, &job->chunk[c]);
}

static void cut(Job *job, int64_t n, int threads, int64_t work_per_element)
{
    int64_t units = n / UNIT + (n % UNIT != 0);
    int64_t chunks = n / GRAIN * work_per_element + n % GRAIN * work_per_element / GRAIN;
    if (chunks > units) chunks = units;
    if (chunks > threads) chunks = threads;
    if (chunks > MAX_THREADS) chunks = MAX_THREADS;
    if (chunks < 1) chunks = 1;
    job->chunks = (int)chunks;
    for (int c = 0; c < job->chunks; c++) {
        Chunk *chunk = &job->chunk[c];
        memset(chunk, 0, sizeof *chunk);
        chunk->begin = units * c / chunks * UNIT;
        chunk->end = c + 1 == chunks ? n : units * (c + 1) / chunks * UNIT;
        chunk->room = (chunk->end - chunk->begin) / 256 + 64;
    }
}

/* Runs all chunks. Returns 0 if no element was outside, else the address of their list, its
 * length first, which the caller frees; or one of the errors. */
static int64_t run(Job *job, int threads)
{
    if (job->chunks > 1 && parallel != NULL) {
        /* All the threads that were asked for, also if there are fewer chunks: libgomp ends the
         * threads that a smaller team leaves out, and torch would have to start them again. */
        parallel(run_share, job, (unsigned)threads, 0);
    } else {
        for (int c = 0; c < job->chunks; c++) job->run(job, &job->chunk[c]);
    }
    int64_t total = 0;
    for (int c = 0; c < job->chunks; c++) {
        if (job->chunk[c].count < 0) total = TOO_MANY;
        if (total >= 0) total += job->chunk[c].count;
    }
    int64_t *list = NULL;
    if (total > 0) {
        list = malloc(((size_t)total + 1) * sizeof *list);
        if (list == NULL) total = NO_MEMORY;
    }
    int64_t filled = 1;
    for (int c = 0; c < job->chunks; c++) {
        Chunk *chunk = &job->chunk[c];
        if (list != NULL && chunk->count > 0) {
            memcpy(list + filled, chunk->outside, (size_t)chunk->count * sizeof *list);
            filled += chunk->count;
        }
        free(chunk->outside);
    }
    if (list == NULL) return total;
    list[0] = total;
    return (int64_t)(intptr_t)list;
}

EXPORT int actzoo_table_interface(void) { return INTERFACE; }

EXPORT int actzoo_table_isa(void) { return isa; }

/* 0 portable, 1 AVX2, 2 AVX-512, -1 the best; returns 0 if this processor lacks it. */
EXPORT int actzoo_table_use(int wanted)
{
    const int best = best_isa();
    if (wanted < -1 || wanted > best) return 0;
    isa = wanted < 0 ? best : wanted;
    return 1;
}

EXPORT void actzoo_table_pool(void *start, void *number, void *size)
{
    memcpy(&parallel, &start, sizeof parallel);
    memcpy(&thread_number, &number, sizeof thread_number);
    memcpy(&team_size, &size, sizeof team_size);
}

EXPORT void actzoo_table_free(void *list) { free(list); }

/* How many rows the longest of k tables has. */
static int rows_of(const double *tables, int k, int rows)
{
    int longest = 1;
    for (int i = 0; i < k; i++)
        for (int e = longest * CELLS; e < ROWS * CELLS; e++)
            if (tables[(size_t)i * (size_t)(rows * CELLS) + (size_t)e] != 0) longest = e / CELLS + 1;
    return longest;
}

EXPORT int64_t actzoo_table_forward(int type, int threads, int64_t n, const void *x, void *y, int k,
                                    const float *weights, const double *values, int shift, int flat,
                                    int widening)
{
    const Code *code = codes[isa];
    ALIGNED(64) float table[TABLE_FLOATS];
    Job job;
    job.rows = rows_of(values, k, ROWS);
    job.grid = grid_of(shift, flat, widening);
    job.run = loop_for(code->forward, kind_of(&job.grid), type, job.rows);
    job.x = x;
    job.grad = NULL;
    job.result = y;
    job.pool = NULL;
    job.table = table;
    job.tables = NULL;
    job.functions = 0;
    code->combine(values, weights, k, ROWS, table);
    cut(&job, n, threads, 1);
    return run(&job, threads);
}

EXPORT int64_t actzoo_table_backward(int type, int threads, int64_t n, const void *grad,
                                     const void *x, void *grad_x, double *grad_weights, int k,
                                     const float *weights, const double *values,
                                     const double *slopes, int shift, int flat, int widening)
{
    const Code *code = codes[isa];
    ALIGNED(64) float table[TABLE_FLOATS];
    Job job;
    void *memory = NULL;
    job.rows = grad_x == NULL ? 0 : rows_of(slopes, k, ROWS + 1);
    job.sum_rows = rows_of(values, k, ROWS);
    job.grid = grid_of(shift, flat, widening);
    job.run = loop_for(grad_weights == NULL ? code->backward_x : code->backward_weights,
                       kind_of(&job.grid), type, job.rows);
    for (int enough = ROWS; enough >= job.sum_rows; enough--)
        if (code->sum_up[enough] != NULL) job.sum_up = code->sum_up[enough];
    job.x = x;
    job.grad = grad;
    job.result = grad_x;
    job.pool = NULL;
    job.table = table;
    job.tables = NULL;
    job.functions = grad_weights == NULL ? 0 : k;
    if (grad_x != NULL) code->combine(slopes, weights, k, ROWS + 1, table);
    job.kinks = grad_x != NULL && code->has_kinks(table);
    cut(&job, n, threads, 1 + job.functions);
    if (grad_weights != NULL) {
        const size_t tables = (size_t)k * TABLE_FLOATS * sizeof(float);
        const size_t sums = ((size_t)k * sizeof(double) + LINE - 1) / LINE * LINE;
        memory = malloc(LINE + tables + sums * (size_t)job.chunks);
        if (memory == NULL) return NO_MEMORY;
        char *start = (char *)memory + (LINE - (uintptr_t)memory % LINE);
        const float one = 1.0f;
        for (int i = 0; i < k; i++)
            code->combine(values + (size_t)i * ROWS * CELLS, &one, 1, ROWS,
                          (float *)start + (size_t)i * TABLE_FLOATS);
        job.tables = (float *)start;
        memset(start + tables, 0, sums * (size_t)job.chunks);
        for (int c = 0; c < job.chunks; c++)
            job.chunk[c].sums = (double *)(start + tables + sums * (size_t)c);
    }
    int64_t found = run(&job, threads);
    for (int i = 0; i < job.functions; i++) {
        grad_weights[i] = 0;
        for (int c = 0; c < job.chunks; c++) grad_weights[i] += job.chunk[c].sums[i];
    }
    free(memory);
    return found;
}

#include "pool_calls.h"

#include "keep_calls.h"

#if defined(_WIN32)
/* The linker is told to export it; the library is loaded by its path, never imported. */
EXPORT void *PyInit__table(void) { return NULL; }
#endif
