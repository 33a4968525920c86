// A load generator for HTTP/1.1, Server-Sent Events and WebSockets: MODE --name value …
//
// As the Remoting one it prints {"state":"measuring"} and {"state":"measured"} around its window and one JSON object at
// its end; "idle" prints {"state":"connected"} and waits for a line on its standard input.
package main

import (
	"sync"
	"time"

	"rmqgateway/bench/generating"
)

type (
	options = generating.Options
	result  = generating.Result
)

var (
	fail     = generating.Fail
	announce = generating.Announce
)

// A clock of the run, shared by all connections: nothing before `measure` and after `stop` counts.
type window struct {
	measure, stop time.Time
	left          chan struct{} // of a fixed count: one for each request that may still be sent
}

func (w *window) over(now time.Time) bool { return !w.stop.IsZero() && !now.Before(w.stop) }

func (w *window) counts(now time.Time) bool { return !now.Before(w.measure) && !w.over(now) }

func main() {
	modes := map[string]generating.Mode{}
	for name, run := range map[string]func(options, *window) []*result{
		"send": runSend, "receive": runReceive, "stream": runStream, "fanout": runFanout,
		"ws-send": runWebSocketSend, "ws-deliver": runWebSocketDeliver, "idle": runIdle,
	} {
		modes[name] = func(o options) ([]*result, float64) {
			w := &window{}
			results := run(o, w)
			seconds := o.Number("seconds", 0)
			if !w.measure.IsZero() && seconds == 0 {
				seconds = time.Since(w.measure).Seconds()
			}
			return results, seconds
		}
	}
	generating.Main(modes, "429", "503")
}

// closedLoop runs one worker per connection until the time, or the count, is over.
func closedLoop(o options, w *window, ready *sync.WaitGroup, work func(index int, r *result)) []*result {
	connections := o.Count("connections", 1)
	results := make([]*result, connections)
	var done sync.WaitGroup
	start := make(chan struct{})
	count := o.Count("count", 0)
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
	w.measure = now.Add(time.Duration(o.Number("warm-up", 0) * 1e9))
	if count == 0 {
		w.stop = w.measure.Add(time.Duration(o.Number("seconds", 1) * 1e9))
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
