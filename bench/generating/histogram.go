package generating

import "math/bits"

// Latencies in nanoseconds in logarithmic buckets of 128 steps each: every quantile is exact to 0.8 %, and the
// memory is fixed however long a run is.
const histogramSteps = 128

// Histogram holds latencies.
type Histogram struct {
	counts  [58 * histogramSteps]uint64
	total   uint64
	largest uint64
}

// Record counts one latency.
func (h *Histogram) Record(nanoseconds int64) {
	value := uint64(max(nanoseconds, 0))
	bucket := max(bits.Len64(value)-7, 1) - 1
	index := min(bucket*histogramSteps+int(value>>bucket)%(2*histogramSteps), len(h.counts)-1)
	h.counts[index]++
	h.total++
	h.largest = max(h.largest, value)
}

func (h *Histogram) add(other *Histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.total += other.total
	h.largest = max(h.largest, other.largest)
}

// quantile is the value in ms at or below which a share of what was recorded lies.
func (h *Histogram) quantile(share float64) float64 {
	wanted := uint64(share*float64(h.total) + 0.5)
	seen := uint64(0)
	for i, count := range h.counts {
		seen += count
		if count > 0 && seen >= wanted {
			bucket := max(i/histogramSteps-1, 0)
			value := uint64(i-bucket*histogramSteps) << bucket
			return float64(min(value, h.largest)) / 1e6
		}
	}
	return 0
}
