/* After one instruction set, before the next. */
#undef ISA
#undef TARGET
#undef LANES
#undef VEC
#undef CELL
#undef ACC
#undef AT
#undef BY_32
#undef BY_PAIRS
