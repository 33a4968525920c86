// Package generating is what the load generators written in Go have in common: options, what a worker counts, and the one
// JSON object at the end. Latencies are in ms there.
package generating

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options are the command line's: --name value.
type Options map[string]string

func (o Options) Text(name, otherwise string) string {
	if found, ok := o[name]; ok {
		return found
	}
	return otherwise
}

func (o Options) Number(name string, otherwise float64) float64 {
	if found, ok := o[name]; ok {
		value, err := strconv.ParseFloat(found, 64)
		if err != nil {
			Fail("--%s: %v", name, err)
		}
		return value
	}
	return otherwise
}

func (o Options) Count(name string, otherwise int) int {
	return int(o.Number(name, float64(otherwise)))
}

// Duration is an option in seconds; none without it.
func (o Options) Duration(name string) time.Duration { return time.Duration(o.Number(name, 0) * 1e9) }

// Fail ends the process.
func Fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "generator: "+format+"\n", values...)
	os.Exit(1)
}

// Announce prints a state that whoever started the generator waits for.
func Announce(state string) { fmt.Printf("{\"state\":%q}\n", state) }

// Result is what one worker saw. Errors: how many by status; Unexpected: answers that are wrong; Lost: connections.
type Result struct {
	Messages, Requests, Unexpected, Lost int64
	Errors                               map[string]int64
	Latency                              Histogram
	FirstError                           string
}

// Refused counts an error by its status.
func (r *Result) Refused(status string) {
	if r.Errors == nil {
		r.Errors = map[string]int64{}
	}
	r.Errors[status]++
}

// Broken counts a connection that was lost.
func (r *Result) Broken(err error) {
	r.Lost++
	if r.FirstError == "" {
		r.FirstError = err.Error()
	}
}

func (r *Result) add(other *Result) {
	r.Messages += other.Messages
	r.Requests += other.Requests
	r.Unexpected += other.Unexpected
	r.Lost += other.Lost
	r.Latency.add(&other.Latency)
	for status, count := range other.Errors {
		r.Errors[status] += count
	}
	if r.FirstError == "" {
		r.FirstError = other.FirstError
	}
}

// Mode is one kind of load; it returns what its workers saw, and in how many seconds (0: there is no rate).
type Mode func(o Options) ([]*Result, float64)

// Main runs the mode that the command line names, and prints what came of it; `busy` are the statuses of
// servers that had no room.
func Main(modes map[string]Mode, busy ...string) {
	known := strings.Join(slices.Sorted(maps.Keys(modes)), " ")
	if len(os.Args) < 2 {
		Fail("expected MODE --name value …; modes: %s", known)
	}
	o := Options{}
	for i := 2; i+1 < len(os.Args); i += 2 {
		o[strings.TrimPrefix(os.Args[i], "--")] = os.Args[i+1]
	}
	mode, ok := modes[os.Args[1]]
	if !ok {
		Fail("no mode %q; modes: %s", os.Args[1], known)
	}
	limit := 180*time.Second + o.Duration("seconds") + o.Duration("warm-up")
	time.AfterFunc(limit, func() { Fail("%s is not finished after %s", os.Args[1], limit) })
	results, seconds := mode(o)
	total := &Result{Errors: map[string]int64{}}
	for _, each := range results {
		total.add(each)
	}
	if total.FirstError != "" {
		fmt.Fprintln(os.Stderr, "generator: first error:", total.FirstError)
	}
	rate := 0.0
	if seconds > 0 {
		rate = float64(total.Messages) / seconds
	}
	refused := int64(0)
	for _, status := range busy {
		refused += total.Errors[status]
	}
	said, _ := json.Marshal(map[string]any{
		"messages": total.Messages, "requests": total.Requests, "seconds": seconds, "messages_per_second": rate,
		"errors": total.Errors, "busy": refused, "unexpected": total.Unexpected, "lost_connections": total.Lost,
		"latency_ms": map[string]float64{"p50": total.Latency.quantile(0.5), "p99": total.Latency.quantile(0.99),
			"p999": total.Latency.quantile(0.999)},
		"generator_cpu_seconds": cpu(),
	})
	fmt.Println(string(said))
}

// cpu is what this process has used, in seconds.
func cpu() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}
