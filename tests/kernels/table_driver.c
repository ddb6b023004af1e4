/* Calls the table kernel with arrays that end or begin at the edge of what may be touched: exact
 * allocations for the address sanitizer, and pages beside forbidden ones for what a sanitizer
 * cannot see, such as masked vector instructions. Threads are pthreads, fewer than asked for. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int actzoo_table_use(int wanted);
void actzoo_table_pool(void *start, void *number, void *size);
void actzoo_table_free(void *list);
int64_t actzoo_table_forward(int, int, int64_t, const void *, void *, int, const float *,
                             const double *, int, int, int);
int64_t actzoo_table_backward(int, int, int64_t, const void *, const void *, void *, double *, int,
                              const float *, const double *, const double *, int, int, int);

int64_t actzoo_pool_forward(int, int, const int64_t *, int, int, const void *, void *, void *,
                            uint8_t *, int, const float *, const double *, int);
int64_t actzoo_pool_backward(int, int, const int64_t *, int, int, const void *, const void *,
                             const uint8_t *, void *, int, const float *, const double *, int);

int64_t actzoo_keep_forward(int, int, int64_t, const void *, void *, uint8_t *, int, const float *,
                            const double *, const double *, int, int, int, float, float, uint32_t);
int64_t actzoo_keep_backward(int, int, int64_t, const void *, const uint8_t *, void *, float, float);

enum { EXACT, AT_END, AT_BEGIN, PLACES };
enum { FUNCTIONS = 3, TEAM = 2 };

typedef struct {
    void *data, *map;
    size_t length;
} Array;

static Array allocate(int place, size_t bytes)
{
    Array array = {NULL, NULL, 0};
    if (place == EXACT) {
        array.data = malloc(bytes);
        return array;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    array.length = inner + 2 * page;
    array.map = mmap(NULL, array.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *begin = (char *)array.map + page;
    if (array.map == MAP_FAILED || (inner && mprotect(begin, inner, PROT_READ | PROT_WRITE))) abort();
    array.data = place == AT_END ? begin + inner - bytes : begin;
    return array;
}

static void release(Array array)
{
    if (array.map) munmap(array.map, array.length);
    else free(array.data);
}

static void fill(void *data, int type, int64_t n, int outside)
{
    for (int64_t i = 0; i < n; i++) {
        float value = (float)((i * 37 + 5) % 311) / 10.0f - 15.5f;
        uint32_t bits;
        if (i % 11 == 3) value = (float)(i % 31) - 15.0f;
        if (outside && i % 300 == 7) value = i % 2 ? NAN : -INFINITY;
        if (outside && i % 300 == 8) value = 3e38f;
        memcpy(&bits, &value, 4);
        if (type == 0) memcpy((char *)data + 4 * i, &bits, 4);
        else {
            /* For float16 these are other numbers, all kinds of them; as good as any. */
            const uint16_t half = (uint16_t)(bits >> 16);
            memcpy((char *)data + 2 * i, &half, 2);
        }
    }
}

static __thread int number;
typedef struct {
    void (*call)(void *);
    void *data;
    int number;
} Share;

static void *begin_share(void *given)
{
    const Share *share = given;
    number = share->number;
    share->call(share->data);
    return NULL;
}

static void start(void (*call)(void *), void *data, unsigned threads, unsigned flags)
{
    pthread_t thread[TEAM];
    Share share[TEAM];
    (void)threads, (void)flags;
    for (int t = 0; t < TEAM; t++) {
        share[t] = (Share){call, data, t};
        if (pthread_create(&thread[t], NULL, begin_share, &share[t])) abort();
    }
    for (int t = 0; t < TEAM; t++) pthread_join(thread[t], NULL);
}

static int thread_number(void) { return number; }
static int team_size(void) { return TEAM; }

static int64_t calls, listed, refused;

static void note(int64_t result, int64_t n)
{
    calls++;
    if (result == -1) refused++;
    if (result == -2) abort();
    if (result <= 0) return;
    const int64_t *list = (const int64_t *)(intptr_t)result;
    for (int64_t i = 1; i <= list[0]; i++)
        if (list[i] < 0 || list[i] >= n || (i > 1 && list[i] <= list[i - 1])) abort();
    listed += list[0];
    actzoo_table_free((void *)list);
}

static void call(int type, int place, int64_t n, int outside, int threads)
{
    const size_t bytes = (size_t)n * (type == 0 ? 4 : 2);
    const size_t row = FUNCTIONS * 32 * sizeof(double);
    Array x = allocate(place, bytes), grad = allocate(place, bytes), out = allocate(place, bytes);
    Array weights = allocate(place, FUNCTIONS * sizeof(float));
    Array values = allocate(place, 10 * row), slopes = allocate(place, 11 * row);
    Array sums = allocate(place, FUNCTIONS * sizeof(double)), codes = allocate(place, (size_t)n);
    fill(x.data, type, n, outside);
    fill(grad.data, type, n, outside);
    for (int i = 0; i < FUNCTIONS; i++) ((float *)weights.data)[i] = 0.5f * (float)i;
    for (int i = 0; i < FUNCTIONS * 320; i++) ((double *)values.data)[i] = i % 7 - 3.0;
    for (int i = 0; i < FUNCTIONS * 352; i++) ((double *)slopes.data)[i] = i % 5 - 2.0;
    note(actzoo_table_forward(type, threads, n, x.data, out.data, FUNCTIONS, weights.data,
                              values.data, n % 3, n % 2, n / 2 % 4), n);
    for (int kind = 1; kind < 4; kind++)
        note(actzoo_table_backward(type, threads, n, grad.data, x.data,
                                   kind & 1 ? out.data : NULL, kind & 2 ? sums.data : NULL,
                                   FUNCTIONS, weights.data, values.data, slopes.data,
                                   n % 3, n % 2, n / 2 % 4), n);
    const float low = -3000.0f, step = 24.0f; /* the slopes of these tables lie between */
    note(actzoo_keep_forward(type, threads, n, x.data, out.data, codes.data, FUNCTIONS, weights.data,
                             values.data, slopes.data, n % 3, n % 2, n / 2 % 4, low, step,
                             (uint32_t)n), n);
    memset(codes.data, 7, (size_t)n); /* after one that was refused they are not whole */
    note(actzoo_keep_backward(type, threads, n, grad.data, codes.data, out.data, low, step), n);
    release(x), release(grad), release(out), release(weights);
    release(values), release(slopes), release(sums), release(codes);
}

/* Windows of rows x columns over images of height x width points of so many channels. */
static void pool(int type, int place, const int64_t *shape, int rows, int columns, int ceil,
                 int outside, int threads)
{
    const int64_t up = ceil ? rows - 1 : 0, right = ceil ? columns - 1 : 0;
    const int64_t down = (shape[1] + up) / rows, across = (shape[2] + right) / columns;
    const int64_t sizes[6] = {shape[0], shape[1], shape[2], shape[3], down, across};
    const int64_t n = shape[0] * shape[1] * shape[2] * shape[3];
    const int64_t m = shape[0] * down * across * shape[3];
    const size_t element = type == 0 ? 4 : 2;
    Array x = allocate(place, (size_t)n * element), y = allocate(place, (size_t)m * element);
    Array winners = allocate(place, (size_t)m * element), places = allocate(place, (size_t)m);
    Array weights = allocate(place, FUNCTIONS * sizeof(float));
    Array values = allocate(place, FUNCTIONS * 320 * sizeof(double));
    Array slopes = allocate(place, FUNCTIONS * 352 * sizeof(double));
    fill(x.data, type, n, outside);
    memset(places.data, 0, (size_t)m);
    memset(winners.data, 0, (size_t)m * element);
    for (int i = 0; i < FUNCTIONS; i++) ((float *)weights.data)[i] = 0.5f * (float)i;
    for (int i = 0; i < FUNCTIONS * 320; i++) ((double *)values.data)[i] = i % 7 - 3.0;
    for (int i = 0; i < FUNCTIONS * 352; i++) ((double *)slopes.data)[i] = i % 5 - 2.0;
    note(actzoo_pool_forward(type, threads, sizes, rows, columns, x.data, y.data, winners.data,
                             places.data, FUNCTIONS, weights.data, values.data, n % 2), m);
    for (int64_t i = 0; i < m; i++)
        if (((uint8_t *)places.data)[i] >= rows * columns) abort();
    note(actzoo_pool_backward(type, threads, sizes, rows, columns, y.data, NULL, places.data, x.data,
                              0, NULL, NULL, 0), m);
    note(actzoo_pool_backward(type, threads, sizes, rows, columns, y.data, winners.data, places.data,
                              x.data, FUNCTIONS, weights.data, slopes.data, n % 2), m);
    release(x), release(y), release(winners), release(places);
    release(weights), release(values), release(slopes);
}

static void pools(int type, int place, int outside, int one_thread)
{
    static const int64_t channels[] = {1, 3, 15, 16, 17, 40};
    for (int c = 0; one_thread && c < 6; c++)
        for (int64_t height = 3; height < 8; height += 2)
            for (int64_t width = 4; width < 12; width += 3)
                for (int size = 1; size < 5; size++)
                    for (int ceil = 0; ceil < 2; ceil++) {
                        const int64_t shape[] = {2, height, width, channels[c]};
                        pool(type, place, shape, size, size > 1 && c % 2 ? size - 1 : size, ceil,
                             outside, 1);
                    }
    const int64_t large[] = {5, 40, 61, 33}, planes[] = {160, 40, 61, 1};
    const int64_t larger_than_caches[] = {1, 120, 183, 48};
    pool(type, place, large, 2, 2, 1, outside, 5);
    pool(type, place, planes, 2, 2, 1, outside, 5);
    pool(type, place, planes, 3, 3, 0, outside, 5);
    if (type == 0 && !outside) pool(type, place, larger_than_caches, 2, 2, 1, 0, 5);
}

/* With an argument only what runs on several threads, for the sanitizer of data races. */
int main(int count, char **words)
{
    const int one_thread = count == 1;
    (void)words;
    void (*begin)(void (*)(void *), void *, unsigned, unsigned) = start;
    int (*which)(void) = thread_number, (*size)(void) = team_size;
    void *pointers[3];
    memcpy(&pointers[0], &begin, sizeof begin);
    memcpy(&pointers[1], &which, sizeof which);
    memcpy(&pointers[2], &size, sizeof size);
    actzoo_table_pool(pointers[0], pointers[1], pointers[2]);
    int isas = 0;
    for (int isa = 0; isa < 3; isa++) {
        if (!actzoo_table_use(isa)) continue;
        isas++;
        for (int type = 0; type < 3; type++)
            for (int place = 0; place < PLACES; place++)
                for (int outside = 0; outside < 2; outside++) {
                    if (!one_thread && place != EXACT) continue; /* the same code */
                    for (int64_t n = 0; one_thread && n <= 70; n++) call(type, place, n, outside, 1);
                    for (int64_t n = 1021; one_thread && n <= 1027; n += 2)
                        call(type, place, n, outside, 1);
                    call(type, place, 140001, outside, 5);
                    pools(type, place, outside, one_thread);
                }
    }
    printf("%d instruction sets, %lld calls, %lld elements listed, %lld refused\n", isas,
           (long long)calls, (long long)listed, (long long)refused);
    return listed > 0 && refused > 0 ? 0 : 1;
}
