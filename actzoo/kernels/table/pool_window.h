/* Where the elements of windows lie: a max-pooling whose windows tile the image.
 *
 * Images are rows of points, points are `channels` numbers side by side: the channels-last layout,
 * and with one channel the contiguous one, of which every plane is an image. Results lie alike, so
 * results that follow each other in memory are channels of a point, then points of a row. */
enum { MAX_TAPS = 16, STAGED = 256, WIDE = 16 };

struct Pool {
    int64_t images, height, width, channels, out_height, out_width;
    int rows, columns; /* of a window */
};

/* An output: the point and channel that it belongs to. */
typedef struct {
    int64_t image, row, column, channel;
} Spot;

static Pool pool_of(const int64_t *sizes, int rows, int columns)
{
    const Pool pool = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], rows, columns};
    return pool;
}

static INLINE int taps_of(const Pool *pool) { return pool->rows * pool->columns; }

static INLINE int64_t outputs_of(const Pool *pool)
{
    return pool->images * pool->out_height * pool->out_width * pool->channels;
}

static INLINE Spot spot_of(const Pool *pool, int64_t output)
{
    Spot spot;
    spot.channel = output % pool->channels;
    output /= pool->channels;
    spot.column = output % pool->out_width;
    output /= pool->out_width;
    spot.row = output % pool->out_height;
    spot.image = output / pool->out_height;
    return spot;
}

/* Goes on by so many outputs, which end within the row of the spot or with it. */
static INLINE void advance(const Pool *pool, Spot *spot, int64_t count)
{
    spot->channel += count;
    if (spot->channel < pool->channels) return;
    spot->column += spot->channel == pool->channels ? 1 : spot->channel / pool->channels;
    spot->channel = 0;
    if (spot->column < pool->out_width) return;
    spot->column = 0;
    if (++spot->row < pool->out_height) return;
    spot->row = 0;
    spot->image++;
}

/* The place in x of the first element of a window. */
static INLINE int64_t corner_of(const Pool *pool, const Spot *spot)
{
    const int64_t row = spot->image * pool->height + spot->row * pool->rows;
    return (row * pool->width + spot->column * pool->columns) * pool->channels + spot->channel;
}

static INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* How many rows and columns of a window lie in the image. */
static INLINE int rows_in(const Pool *pool, const Spot *spot)
{
    return (int)least(pool->rows, pool->height - spot->row * pool->rows);
}

static INLINE int columns_in(const Pool *pool, const Spot *spot)
{
    return (int)least(pool->columns, pool->width - spot->column * pool->columns);
}

/* Outputs from the spot on, at most `most`, whose windows follow each other without a gap and are
 * all whole from left to right, or are parts of one window's channels. */
static INLINE int64_t run_from(const Pool *pool, const Spot *spot, int64_t most)
{
    const int64_t whole = pool->width / pool->columns - spot->column;
    if (spot->channel || most < pool->channels || whole < 1)
        return least(most, pool->channels - spot->channel);
    return least(whole, most / pool->channels) * pool->channels;
}

/* How far before an element is needed it is fetched: the same place of the next row of windows, if
 * that is not so far that it would be gone again. The processor's own guesses end at each page. */
static INLINE int64_t bytes_ahead(const Pool *pool, int size)
{
    const int64_t row = pool->rows * pool->width * pool->channels * size;
    return row <= 32768 ? row : 4096;
}

/* Elements are moved as whole numbers of their size. */
#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch((const void *)(address))
typedef uint64_t __attribute__((may_alias, aligned(4))) PairOfFour;
typedef uint32_t __attribute__((may_alias)) Four;
typedef uint32_t __attribute__((may_alias, aligned(2))) PairOfTwo;
typedef uint16_t __attribute__((may_alias)) Two;
#define LITTLE_ENDIAN_PAIRS (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#else
#define PREFETCH(address) (void)(address)
typedef uint64_t PairOfFour;
typedef uint32_t Four, PairOfTwo;
typedef uint16_t Two;
#define LITTLE_ENDIAN_PAIRS 0 /* they need not be aligned */
#endif

/* Lists the outputs of [output, output + count) that have an element outside the table, given
 * where the taps of the first lie; 0 if they are too many. */
static int list_windows(int type, Chunk *chunk, int64_t output, int64_t count,
                        const char *const *tap, int taps)
{
    for (int64_t i = 0; i < count; i++) {
        int found = 0;
        for (int t = 0; t < taps; t++)
            found |= type == FLOAT32
                         ? (((const Four *)tap[t])[i] & 0x7fffffffu) >= 0x41800000u
                         : (((const Two *)tap[t])[i] & 0x7fffu) >= (type == BFLOAT16 ? 0x4180u : 0x4c00u);
        if (found && !list_one(chunk, output + i)) return 0;
    }
    return 1;
}

/* Gradients on their way to the taps of windows whose channels are side by side. */
typedef struct {
    const char *grad;
    const uint8_t *places;
    char *tap[MAX_TAPS]; /* NULL for one beyond the edge */
    int past;            /* whether to write past the caches, where that can be done */
} Moves;

/* Of a gradient that the caches do not hold anyway, whole lines need not be read to be written. */
enum { PAST_CACHES = 1 << 22 };

/* To one tap of one window the gradient if it won, else 0. */
static INLINE void move(const int type, const Moves *moves, int64_t i, int tap)
{
    const int won = moves->places[i] == tap;
    if (moves->tap[tap] == NULL) return;
    if (type == FLOAT32)
        ((Four *)moves->tap[tap])[i] = won ? ((const Four *)moves->grad)[i] : 0;
    else
        ((Two *)moves->tap[tap])[i] = won ? ((const Two *)moves->grad)[i] : (Two)0;
}
