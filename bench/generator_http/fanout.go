package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// runFanout opens many streams, each a group of its own over some topics, or all of one that broadcasts, and sends so many
// messages that all streams together get `rate` a second; latency is from when a message was due to be sent until a stream's
// client has it.
func runFanout(o options, w *window) []*result {
	streams, topics := o.Count("connections", 1000), o.Count("topics", 100)
	rate, size := o.Number("rate", 1000), o.Count("body-size", 1024)
	seconds, warmUp := o.Number("seconds", 5), o.Number("warm-up", 1)
	results := make([]*result, streams+1)
	var open, done sync.WaitGroup
	var measuring atomic.Int64
	connections := make([]*connection, streams)
	gate := make(chan struct{}, 64) // so many connect at the same time
	for i := range streams {
		results[i] = &result{}
		open.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			gate <- struct{}{}
			group := uniqueGroup(i)
			if broadcasts(o) {
				group = "listeners"
			}
			c, err := openStream(o, "fanout"+strconv.Itoa(i%topics), group, 4096)
			<-gate
			connections[i] = c
			open.Done()
			r := results[i]
			for err == nil {
				var line []byte
				if line, err = c.event(); err != nil {
					break
				}
				at := bytes.Index(line, []byte("@"))
				if at < 0 || len(line) < at+20 {
					r.Unexpected++
					continue
				}
				due, bad := strconv.ParseInt(string(line[at+1:at+20]), 10, 64)
				if bad != nil {
					r.Unexpected++
				} else if from := measuring.Load(); from > 0 && due >= from {
					r.Messages++
					r.Latency.Record(time.Now().UnixNano() - due)
				}
			}
			if measuring.Load() >= 0 {
				r.Broken(err)
			}
		}()
	}
	open.Wait()
	sender := &result{}
	results[streams] = sender
	interval := time.Duration(float64(streams) / float64(topics) / rate * 1e9)
	publish := func(until time.Time) {
		var sending sync.WaitGroup
		type turn struct{ due, number int64 }
		turns := make(chan turn, 1024)
		for range 8 {
			sending.Add(1)
			go func() {
				defer sending.Done()
				c := dial(o, 4096)
				defer c.Close()
				padding := payload(max(size-20, 0))
				for next := range turns {
					topic := "fanout" + strconv.FormatInt(next.number%int64(topics), 10)
					body := append([]byte(fmt.Sprintf("@%019d", next.due)), padding...)
					status, _, err := c.exchange(request("POST", sendTarget(o, topic), "", body))
					if err != nil {
						sender.FirstError = err.Error()
						return
					}
					if status != 201 && status != 202 {
						fmt.Fprintln(os.Stderr, "a send was answered with", status)
					}
				}
			}()
		}
		number := int64(0)
		for next := time.Now(); next.Before(until); next = next.Add(interval) {
			time.Sleep(time.Until(next))
			turns <- turn{next.UnixNano(), number}
			number++
		}
		close(turns)
		sending.Wait()
	}
	publish(time.Now().Add(time.Duration(warmUp * 1e9)))
	announce("measuring")
	measuring.Store(time.Now().UnixNano())
	publish(time.Now().Add(time.Duration(seconds * 1e9)))
	time.Sleep(300 * time.Millisecond)
	announce("measured")
	measuring.Store(-1)
	for _, c := range connections {
		c.Close()
	}
	done.Wait()
	wanted := int64(seconds*rate) * 95 / 100
	got := int64(0)
	for _, each := range results[:streams] {
		got += each.Messages
	}
	if got < wanted {
		sender.Unexpected += wanted - got
	}
	return results
}
