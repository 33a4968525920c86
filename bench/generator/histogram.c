#include "histogram.h"

static unsigned index_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 6u; /* leaves 64..127 of the value */
    return shift * (HISTOGRAM_STEPS / 2) + (unsigned)(value >> shift);
}

static uint64_t middle_of(unsigned index)
{
    if (index < HISTOGRAM_STEPS)
        return index;
    unsigned shift = index / (HISTOGRAM_STEPS / 2) - 1;
    uint64_t low = (uint64_t)(index - shift * (HISTOGRAM_STEPS / 2)) << shift;
    return low + ((1ull << shift) >> 1);
}

void histogram_record(struct histogram *histogram, uint64_t nanoseconds)
{
    histogram->counts[index_of(nanoseconds)]++;
    histogram->total++;
    histogram->sum += (double)nanoseconds;
    if (nanoseconds > histogram->largest)
        histogram->largest = nanoseconds;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.999999);
    uint64_t seen = 0;
    if (histogram->total == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS * HISTOGRAM_STEPS; i++) {
        seen += histogram->counts[i];
        if (histogram->counts[i] && seen >= wanted)
            return middle_of(i) < histogram->largest ? middle_of(i) : histogram->largest;
    }
    return histogram->largest;
}
