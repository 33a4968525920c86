// Command scenarios runs named scenarios with the official Go client and prints one line of JSON for each.
//
// Arguments: name server address, comma separated names (or "all", or "list"), a prefix unique to this run.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const scenarioTime = 100 * time.Second

type scenario struct {
	name string
	run  func(*stage) error
}

type report struct {
	Name    string         `json:"name"`
	Outcome string         `json:"outcome"`
	Seconds float64        `json:"seconds"`
	Message string         `json:"message"`
	Figures map[string]any `json:"figures"`
}

func scenarios() []scenario {
	// The longest first, so that they do not begin last.
	return append(consuming(), producing()...)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "arguments: NAMESRV NAMES|all|list|signing|courier PREFIX")
		os.Exit(2)
	}
	rlog.SetLogLevel("error")
	if os.Args[2] == "signing" {
		signing(os.Args[1])
		return
	}
	if os.Args[2] == "courier" {
		courier(os.Args[1])
		return
	}
	if os.Args[2] == "list" {
		for _, each := range scenarios() {
			fmt.Println(each.name)
		}
		return
	}
	wanted := map[string]bool{}
	for _, name := range strings.Split(os.Args[2], ",") {
		wanted[name] = true
	}
	var printing sync.Mutex
	var waiting sync.WaitGroup
	sound := true
	places := make(chan struct{}, 8)
	for _, each := range scenarios() {
		if !wanted["all"] && !wanted[each.name] {
			continue
		}
		waiting.Add(1)
		places <- struct{}{}
		go func(each scenario) {
			defer waiting.Done()
			defer func() { <-places }()
			result := perform(each)
			line, _ := json.Marshal(result)
			printing.Lock()
			defer printing.Unlock()
			fmt.Println(string(line))
			sound = sound && result.Outcome != "failed"
		}(each)
	}
	waiting.Wait()
	if !sound {
		os.Exit(1)
	}
}

func perform(each scenario) report {
	began := time.Now()
	on := newStage(os.Args[1], os.Args[3], each.name)
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				done <- fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			}
		}()
		done <- each.run(on)
	}()
	var err error
	select {
	case err = <-done:
	case <-time.After(scenarioTime):
		err = errors.New("no end after " + scenarioTime.String())
	}
	result := report{Name: each.name, Outcome: "ok", Seconds: time.Since(began).Seconds(), Figures: on.figures}
	if err != nil {
		result.Outcome, result.Message = "failed", err.Error()
	}
	// The client's shutdown can block; nothing depends on it.
	go on.close()
	return result
}
