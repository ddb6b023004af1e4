/* Slopes kept as codes of 8 bits: what the loops of keep_body.h need, whatever the instruction set. */
enum { HALF = 16 };

struct Keep {
    uint8_t *codes;
    float low, step;     /* a code stands for low + step * code */
    float levels, first; /* and is floor(slope * levels + first + chance), chance being in [0, 1) */
    uint32_t seed, more;
};

/* Two multiplications, then a sum that makes every place's hash uniform over the seeds. */
#define HASH_STEP 0x9e3779b9u
#define HASH_MIX 0x7feb352du

static Keep keep_of(uint8_t *codes, float low, float step, uint64_t seed)
{
    const float levels = step > 0 ? 1 / step : 0;
    /* Of 16 bits a chance is k / 65536; with half of that more it is right on average. */
    const Keep keep = {codes, low, step, levels, 0x1p-17f - low * levels, (uint32_t)seed, (uint32_t)(seed >> 32)};
    return keep;
}
