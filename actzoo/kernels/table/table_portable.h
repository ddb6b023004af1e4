/* One element at a time, in plain C. A cell's coefficients lie side by side. */
#define ISA(name) name##_portable
#define TARGET
#define LANES 1
#define VEC float
#define CELL int
#define ACC double
#define AT(row, cell) ((cell) * STRIDE + (row))

/* What there is code for: see table_loops.h. It asks for the rows at run time. */
#define KNOWN(rows, found) (found)
#define LOOPS(X, what) X(what, 0, 0, 10) X(what, 1, 0, 10) X(what, 2, 0, 10)
#define WEIGHTS(X, what) LOOPS(X, what)
#define SUMS(X) X(10)
#define POOLS(X, what) LOOPS(X, what)
#define PULLS(X, what) LOOPS(X, what)
#define KEEPS(X, what) LOOPS(X, what)

typedef struct {
    const float *rows;
} Table_portable;

typedef struct {
    float u;
    int cell, outside;
} Place_portable;

static INLINE float as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static INLINE uint32_t as_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static INLINE uint32_t to_bfloat16(float value)
{
    const uint32_t bits = as_bits(value);
    if (value != value) return 0x7fc0;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static INLINE float from_float16(uint32_t half)
{
    const uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31) return as_float(sign | 0x7f800000 | fraction << 13);
    if (exponent) return as_float(sign | (exponent + 112) << 23 | fraction << 13);
    return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction;
}

static INLINE uint32_t to_float16(float value)
{
    const uint32_t bits = as_bits(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) return 0x7e00 | sign;
    if (size >= 0x477ff000) return 0x7c00 | sign; /* 65520 and above rounds to infinity */
    if (size < 0x38800000) /* below 2^-14: 0.5 has the step 2^-24, so this addition rounds */
        return (as_bits(as_float(size) + 0.5f) - 0x3f000000) | sign;
    return (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13 | sign;
}

static INLINE float load_portable(const int type, const void *from, int64_t i, int count)
{
    (void)count;
    if (type == FLOAT32) {
        float value;
        memcpy(&value, (const char *)from + 4 * i, 4);
        return value;
    }
    uint16_t half;
    memcpy(&half, (const char *)from + 2 * i, 2);
    return type == BFLOAT16 ? as_float((uint32_t)half << 16) : from_float16(half);
}

static INLINE void store_portable(const int type, void *to, int64_t i, int count, float value)
{
    (void)count;
    if (type == FLOAT32) {
        memcpy((char *)to + 4 * i, &value, 4);
        return;
    }
    const uint16_t half = (uint16_t)(type == BFLOAT16 ? to_bfloat16(value) : to_float16(value));
    memcpy((char *)to + 2 * i, &half, 2);
}

static INLINE void load_pair_portable(const int type, const void *from, int64_t i, float *a, float *b)
{
    *a = load_portable(type, from, i, 1);
    *b = load_portable(type, from, i + 1, 1);
}

static INLINE void store_pair_portable(const int type, void *to, int64_t i, float a, float b)
{
    store_portable(type, to, i, 1, a);
    store_portable(type, to, i + 1, 1, b);
}

static INLINE Place_portable locate_portable(float x, const Grid *grid)
{
    Place_portable place;
    float size = fabsf(x * grid->scale);
    place.outside = as_bits(size) >= grid->limit;
    size = place.outside ? 0 : size < 16.0f ? size : as_float(LAST_INSIDE);
    if (grid->widening) {
        const float held = as_float(as_bits(size) | (as_bits(x) & 0x80000000u));
        const int below = (int)(held + held); /* towards 0 */
        place.cell = grid->holder[32 + below - ((float)below > held + held)];
        place.u = held - grid->origin[place.cell];
    } else {
        place.cell = (int)size;
        place.u = size - (float)place.cell;
        place.cell += (x < 0) << 4; /* no branch: signs cannot be predicted */
    }
    return place;
}

static INLINE int any_portable(Place_portable place) { return place.outside; }

static INLINE float inside_portable(Place_portable place, float grad)
{
    return place.outside ? 0 : grad;
}

static INLINE float zero_portable(void) { return 0; }

static INLINE Table_portable load_table_portable(const float *table, const int rows,
                                                const int knots)
{
    const Table_portable loaded = {table};
    (void)rows;
    (void)knots;
    return loaded;
}

static INLINE Table_portable narrowed_portable(Table_portable table, const int quick)
{
    (void)quick;
    return table;
}

static INLINE float value_portable(const Table_portable *table, const int rows, int cell, float u)
{
    const float *row = table->rows + cell * STRIDE;
    float sum = row[rows - 1];
    for (int d = rows - 2; d >= 0; d--) sum = sum * u + row[d];
    return sum;
}

static INLINE void values_portable(const Table_portable *table, const int rows, Place_portable a, Place_portable b,
                                   float *at_a, float *at_b)
{
    *at_a = value_portable(table, rows, a.cell, a.u);
    *at_b = value_portable(table, rows, b.cell, b.u);
}

static INLINE float or_knot_portable(const Table_portable *table, Place_portable place, float slope)
{
    return place.u == 0 ? table->rows[AT(KNOT, place.cell)] : slope;
}

static INLINE float slope_portable(const Table_portable *table, const int rows, int cell, float u)
{
    return u == 0 ? table->rows[AT(KNOT, cell)] : value_portable(table, rows, cell, u);
}

static INLINE double no_sum_portable(void) { return 0; }

static INLINE double accumulate_portable(double sum, float grad, float value)
{
    return sum + (double)grad * value;
}

static INLINE double total_portable(double sum) { return sum; }

static INLINE float rounded_portable(const int type, float value)
{
    if (type == FLOAT32) return value;
    return type == BFLOAT16 ? as_float(to_bfloat16(value) << 16) : from_float16(to_float16(value));
}

typedef struct {
    float value, x;
    int place;
} Best_portable;

static INLINE Best_portable first_portable(float value, float x)
{
    const Best_portable best = {value, x, 0};
    return best;
}

static INLINE void better_portable(Best_portable *best, float value, float x, int place)
{
    const int greater = value > best->value;
    best->value = greater ? value : best->value;
    best->x = greater ? x : best->x;
    best->place = greater ? place : best->place;
}

static INLINE void store_places_portable(uint8_t *to, int count, int place)
{
    (void)count;
    *to = (uint8_t)place;
}

/* To each tap of WIDE windows the gradient where it won, else 0. */
static INLINE void put_portable(const int type, const Moves *moves, const int taps)
{
    for (int t = 0; t < taps; t++)
        for (int i = 0; i < WIDE; i++) move(type, moves, i, t);
}

static INLINE void settle_portable(void) {}

static INLINE float every_portable(float number) { return number; }

static INLINE void value_and_slope_portable(const Table_portable *table, const int rows,
                                            const Grid *grid, Place_portable place, float *value,
                                            float *slope)
{
    const float *row = table->rows + place.cell * STRIDE;
    float sum = row[rows - 1], rise = sum;
    for (int d = rows - 2; d >= 0; d--) {
        if (d < rows - 2) rise = rise * place.u + sum;
        sum = sum * place.u + row[d];
    }
    *value = sum;
    /* Of cells that do not widen u falls where x < 0. */
    *slope = grid->widening || place.cell < 16 ? rise * grid->scale : -rise * grid->scale;
}

static INLINE void values_and_slopes_portable(const Table_portable *table, const int rows,
                                              const Grid *grid, Place_portable a, Place_portable b,
                                              float *value, float *slope)
{
    value_and_slope_portable(table, rows, grid, a, value, slope);
    value_and_slope_portable(table, rows, grid, b, value + 1, slope + 1);
}

static INLINE int hashes_portable(uint32_t first)
{
    const uint32_t hash = (first ^ first >> 16) * HASH_MIX;
    return (int)(hash ^ hash >> 15);
}

static INLINE float upper_portable(int hash) { return as_float((uint32_t)hash >> 16 | CHANCE); }

static INLINE float lower_portable(int hash) { return as_float(((uint32_t)hash & 0xffff) | CHANCE); }

static INLINE void store_codes_portable(uint8_t *to, int count, float level)
{
    (void)count;
    *to = (uint8_t)(level >= 255 ? 255 : level > 0 ? (int)level : 0);
}

static INLINE float load_codes_portable(const uint8_t *from, int count)
{
    (void)count;
    return *from;
}
