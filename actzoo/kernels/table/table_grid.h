/* Where cells lie. Of units: t = |x| * scale, and elements are inside whose t has fewer bits than the
 * limit. Of cells that widen: which cell holds each half unit from -16 on, and what to take off x. */
enum { ANY, NARROW, FULL, GRIDS };
enum { HALVES = 64, NARROW_CELLS = 16, NARROW_GRIDS = 2 };
typedef struct {
    float scale;
    uint32_t limit;
    int shift, flat, widening;
    int quick; /* NARROW or FULL in loops that know it, else ANY; those may give any u to what is outside */
    ALIGNED(64) int16_t holder[HALVES];
    ALIGNED(64) float origin[CELLS];
} Grid;

/* Where the cells of each widening grid begin; grid.py has the same numbers. */
static const float begins[][CELLS] = {
    {-16, -10, -6, -4, -2.5f, -1.5f, -1, -0.5f, 0, 0.5f, 1, 1.5f, 2.5f, 3.5f, 5, 8.5f},
    {-16, -9, -5, -3, -2, -1, -0.5f, 0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 12},
    {-16, -14.5f, -13, -11.5f, -10, -8.5f, -7, -6, -5, -4, -3, -2.5f, -2, -1.5f, -1, -0.5f,
     0, 0.5f, 1, 1.5f, 2, 2.5f, 3, 4, 5, 6, 7, 8.5f, 10, 11.5f, 13, 14.5f},
};
#define LAST_INSIDE 0x417fffff /* the bits of the largest float32 below 16 */

static Grid grid_of(int shift, int flat, int widening)
{
    Grid grid = {(float)(1 << shift), flat ? 0x7f800001u : 0x41800000u, shift, flat, widening, 0, {0}, {0}};
    if (!widening) return grid;
    const float *begin = begins[widening - 1];
    const int cells = widening <= NARROW_GRIDS ? NARROW_CELLS : CELLS;
    for (int half = 0, cell = 0; half < HALVES; half++) {
        const float x = (float)half / 2 - 16;
        if (cell + 1 < cells && begin[cell + 1] <= x) cell++;
        grid.holder[half] = (int16_t)cell;
    }
    /* The cell below 0 counts from 0: so u is exact, and small where x is. */
    for (int cell = 0; cell < cells; cell++)
        grid.origin[cell] = cell + 1 < cells && begin[cell + 1] == 0 ? 0 : begin[cell];
    return grid;
}

static int kind_of(const Grid *grid)
{
    return !grid->widening ? ANY : grid->widening <= NARROW_GRIDS ? NARROW : FULL;
}
