/* Latencies in nanoseconds in logarithmic buckets of 128 steps each: every quantile is exact to 0.8 %,
   recording is a shift and an addition, and the memory is fixed however long a run is. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 128, HISTOGRAM_BUCKETS = 58 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS * HISTOGRAM_STEPS];
    uint64_t total;
    uint64_t largest;
    double sum;
};

void histogram_record(struct histogram *histogram, uint64_t nanoseconds);

/* The value at or below which `share` (0 to 1) of what was recorded lies; 0 when nothing was. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
