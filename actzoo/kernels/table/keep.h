/* Slopes kept as codes of 8 bits: what the loops of keep_body.h need, whatever the instruction set. */
enum { HALF = 16 };

struct Keep {
    uint8_t *codes;
    float low, step;     /* a code stands for low + step * code */
    float levels, first; /* and is slope * levels + first + chance, cut to a whole number */
    uint32_t seed;
};

/* Of one place every seed gives another hash, so that over the seeds all are equally likely. */
#define HASH_STEP 0x9e3779b9u
#define HASH_MIX 0x7feb352du
/* The bits of 128: of the numbers from there to 129 the 16 lowest bits are what lies behind the point. */
#define CHANCE 0x43000000

static Keep keep_of(uint8_t *codes, float low, float step, uint32_t seed)
{
    const float levels = step > 0 ? 1 / step : 0;
    /* A chance is 128 + k / 65536; with half a unit of k more it is right on average. */
    const float first = 0x1p-17f - 128 - low * levels;
    const Keep keep = {codes, low, step, levels, first, seed};
    return keep;
}
