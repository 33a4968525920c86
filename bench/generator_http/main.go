// A load generator for HTTP/1.1, Server-Sent Events and WebSockets: MODE --name value …
//
// As the Remoting one it prints {"state":"measuring"} and {"state":"measured"} around its window and one JSON object at
// its end; "idle" prints {"state":"connected"} and waits for a line on its standard input.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options map[string]string

func (o options) text(name, otherwise string) string {
	if found, ok := o[name]; ok {
		return found
	}
	return otherwise
}

func (o options) number(name string, otherwise float64) float64 {
	if found, ok := o[name]; ok {
		value, err := strconv.ParseFloat(found, 64)
		if err != nil {
			fail("--%s: %v", name, err)
		}
		return value
	}
	return otherwise
}

func (o options) count(name string, otherwise int) int {
	return int(o.number(name, float64(otherwise)))
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "generator: "+format+"\n", values...)
	os.Exit(1)
}

func announce(state string) { fmt.Printf("{\"state\":%q}\n", state) }

type result struct {
	messages, requests, unexpected, lost int64
	errors                               map[string]int64
	latency                              histogram
	firstError                           string
}

func (r *result) refused(status string) {
	if r.errors == nil {
		r.errors = map[string]int64{}
	}
	r.errors[status]++
}

func (r *result) broken(err error) {
	r.lost++
	if r.firstError == "" {
		r.firstError = err.Error()
	}
}

// A clock of the run, shared by all connections: nothing before `measure` and after `stop` counts.
type window struct {
	measure, stop time.Time
	left          chan struct{} // of a fixed count: one for each request that may still be sent
}

func (w *window) over(now time.Time) bool { return !w.stop.IsZero() && !now.Before(w.stop) }

func (w *window) counts(now time.Time) bool { return !now.Before(w.measure) && !w.over(now) }

func main() {
	if len(os.Args) < 2 {
		fail("expected MODE --name value …; modes: send receive stream fanout ws-send ws-deliver idle")
	}
	o := options{}
	for i := 2; i+1 < len(os.Args); i += 2 {
		o[strings.TrimPrefix(os.Args[i], "--")] = os.Args[i+1]
	}
	run, ok := map[string]func(options, *window) []*result{
		"send": runSend, "receive": runReceive, "stream": runStream, "fanout": runFanout,
		"ws-send": runWebSocketSend, "ws-deliver": runWebSocketDeliver, "idle": runIdle,
	}[os.Args[1]]
	if !ok {
		fail("no mode %q", os.Args[1])
	}
	var before syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	w := &window{}
	limit := time.Duration((o.number("seconds", 60) + o.number("warm-up", 0) + 120) * 1e9)
	time.AfterFunc(limit, func() { fail("%s is not finished after %s", os.Args[1], limit) })
	results := run(o, w)
	seconds := o.number("seconds", 0)
	if !w.measure.IsZero() && seconds == 0 {
		seconds = time.Since(w.measure).Seconds()
	}
	total := &result{}
	errors := map[string]int64{}
	for _, each := range results {
		total.messages += each.messages
		total.requests += each.requests
		total.unexpected += each.unexpected
		total.lost += each.lost
		total.latency.add(&each.latency)
		for status, count := range each.errors {
			errors[status] += count
		}
		if each.firstError != "" && total.firstError == "" {
			total.firstError = each.firstError
		}
	}
	if total.firstError != "" {
		fmt.Fprintln(os.Stderr, "generator: first error:", total.firstError)
	}
	var after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	rate := 0.0
	if seconds > 0 {
		rate = float64(total.messages) / seconds
	}
	said, _ := json.Marshal(map[string]any{
		"messages": total.messages, "requests": total.requests, "messages_per_second": rate, "errors": errors,
		"busy": errors["429"] + errors["503"], "unexpected": total.unexpected, "lost_connections": total.lost,
		"latency_ms": map[string]float64{
			"p50": total.latency.quantile(0.5), "p99": total.latency.quantile(0.99), "p999": total.latency.quantile(0.999),
		},
		"generator_cpu_seconds": cpu(after) - cpu(before),
	})
	fmt.Println(string(said))
}

func cpu(usage syscall.Rusage) float64 {
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

// closedLoop runs one worker per connection until the time, or the count, is over.
func closedLoop(o options, w *window, ready *sync.WaitGroup, work func(index int, r *result)) []*result {
	connections := o.count("connections", 1)
	results := make([]*result, connections)
	var done sync.WaitGroup
	start := make(chan struct{})
	count := o.count("count", 0)
	if count > 0 {
		w.left = make(chan struct{}, count)
		for range count {
			w.left <- struct{}{}
		}
		close(w.left)
	}
	for i := range connections {
		results[i] = &result{}
		done.Add(1)
		go func() {
			defer done.Done()
			<-start
			work(i, results[i])
		}()
	}
	if ready != nil {
		ready.Wait()
	}
	now := time.Now()
	w.measure = now.Add(time.Duration(o.number("warm-up", 0) * 1e9))
	if count == 0 {
		w.stop = w.measure.Add(time.Duration(o.number("seconds", 1) * 1e9))
	}
	close(start)
	time.Sleep(time.Until(w.measure))
	announce("measuring")
	if count == 0 {
		time.Sleep(time.Until(w.stop))
		announce("measured")
	}
	done.Wait()
	if count > 0 {
		announce("measured")
	}
	return results
}

// goes says whether another request may be sent.
func (w *window) goes() bool {
	if w.left != nil {
		_, ok := <-w.left
		return ok
	}
	return !w.over(time.Now())
}
