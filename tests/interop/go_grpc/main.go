// Runs named scenarios with the official Go gRPC client and prints one line of JSON for each.
//
// Arguments: endpoint, comma separated names (or "all"), a prefix unique to this run, "tls" or "plain".
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	"github.com/apache/rocketmq-clients/golang/v5/credentials"
)

type stopper interface{ GracefulStop() error }

// stage is what one scenario works with; it stops what it made.
type stage struct {
	endpoint, topic, group string
	made                   []stopper
}

type scenario func(*stage) error

var scenarios = map[string]scenario{
	"normal": normal, "fifo": fifo, "delay": delay, "transaction": transaction, "transaction_orphan": orphan,
	"change_invisible": changeInvisible, "push": push, "push_fifo": pushFifo, "filter_tag": filterTag, "filter_sql92": filterSQL,
}

func (s *stage) config() *rmq.Config {
	return &rmq.Config{Endpoint: s.endpoint, ConsumerGroup: s.group, Credentials: &credentials.SessionCredentials{}}
}

func (s *stage) producer(options ...rmq.ProducerOption) (rmq.Producer, error) {
	made, err := rmq.NewProducer(s.config(), append(options, rmq.WithTopics(s.topic))...)
	if err != nil {
		return nil, err
	}
	if err = made.Start(); err == nil {
		s.made = append(s.made, made)
	}
	return made, err
}

func (s *stage) simple(filter *rmq.FilterExpression, wait time.Duration) (rmq.SimpleConsumer, error) {
	made, err := rmq.NewSimpleConsumer(s.config(), rmq.WithSimpleAwaitDuration(wait),
		rmq.WithSimpleSubscriptionExpressions(map[string]*rmq.FilterExpression{s.topic: filter}))
	if err != nil {
		return nil, err
	}
	if err = made.Start(); err == nil {
		s.made = append(s.made, made)
	}
	return made, err
}

func (s *stage) push(consume func(*rmq.MessageView) rmq.ConsumerResult) error {
	made, err := rmq.NewPushConsumer(s.config(), rmq.WithPushAwaitDuration(5*time.Second),
		rmq.WithPushSubscriptionExpressions(map[string]*rmq.FilterExpression{s.topic: rmq.SUB_ALL}),
		rmq.WithPushMessageListener(&rmq.FuncMessageListener{Consume: consume}))
	if err != nil {
		return err
	}
	if err = made.Start(); err == nil {
		s.made = append(s.made, made)
	}
	return err
}

func (s *stage) message(body string) *rmq.Message {
	return &rmq.Message{Topic: s.topic, Body: []byte(body)}
}

func pair(s *stage, filter *rmq.FilterExpression, wait time.Duration, options ...rmq.ProducerOption) (rmq.Producer, rmq.SimpleConsumer, error) {
	producer, err := s.producer(options...)
	if err != nil {
		return nil, nil, err
	}
	consumer, err := s.simple(filter, wait)
	return producer, consumer, err
}

// receive takes until count messages are there or the time is over; that nothing is there is no error.
func receive(consumer rmq.SimpleConsumer, count int, limit time.Duration, ack bool) []*rmq.MessageView {
	var found []*rmq.MessageView
	for end := time.Now().Add(limit); len(found) < count && time.Now().Before(end); {
		views, err := consumer.Receive(context.Background(), 16, 20*time.Second)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
		}
		for _, view := range views {
			found = append(found, view)
			if ack {
				if err := consumer.Ack(context.Background(), view); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
		}
	}
	return found
}

func bodies(views []*rmq.MessageView) []string {
	found := []string{}
	for _, view := range views {
		found = append(found, string(view.GetBody()))
	}
	return found
}

func wanted(views []*rmq.MessageView, want ...string) error {
	found := bodies(views)
	sort.Strings(found)
	sort.Strings(want)
	if strings.Join(found, ",") != strings.Join(want, ",") {
		return fmt.Errorf("received %v, expected %v", found, want)
	}
	return nil
}

func await(what string, limit time.Duration, happened func() bool) error {
	for end := time.Now().Add(limit); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s did not happen within %v", what, limit)
		}
	}
	return nil
}

func send(producer rmq.Producer, message *rmq.Message) error {
	_, err := producer.Send(context.Background(), message)
	return err
}

func normal(s *stage) error {
	producer, consumer, err := pair(s, rmq.SUB_ALL, 5*time.Second)
	if err != nil {
		return err
	}
	sent := map[string]bool{}
	for number := 0; number < 20; number++ {
		message := s.message(fmt.Sprint("m", number))
		message.SetTag("A")
		message.SetKeys("k1", "k2")
		message.AddProperty("color", "blue")
		receipts, err := producer.Send(context.Background(), message)
		if err != nil {
			return err
		}
		sent[receipts[0].MessageID] = true
	}
	views := receive(consumer, 20, 20*time.Second, true)
	if len(views) != 20 {
		return fmt.Errorf("received %v", bodies(views))
	}
	for _, view := range views {
		if !sent[view.GetMessageId()] || *view.GetTag() != "A" || view.GetProperties()["color"] != "blue" || len(view.GetKeys()) != 2 {
			return fmt.Errorf("received another message: %v", view)
		}
	}
	return nil
}

func fifo(s *stage) error {
	producer, consumer, err := pair(s, rmq.SUB_ALL, 5*time.Second)
	if err != nil {
		return err
	}
	for number := 0; number < 12; number++ {
		message := s.message(strconv.Itoa(number))
		message.SetMessageGroup(fmt.Sprint("g", number%2))
		if err := send(producer, message); err != nil {
			return err
		}
	}
	last := map[string]int{"g0": -2, "g1": -1}
	views := receive(consumer, 12, 20*time.Second, true)
	for _, view := range views {
		number, _ := strconv.Atoi(string(view.GetBody()))
		if group := *view.GetMessageGroup(); number != last[group]+2 {
			return fmt.Errorf("%s: %d after %d", group, number, last[group])
		} else {
			last[group] = number
		}
	}
	if len(views) != 12 {
		return fmt.Errorf("received %v", bodies(views))
	}
	return nil
}

func delay(s *stage) error {
	producer, consumer, err := pair(s, rmq.SUB_ALL, 8*time.Second)
	if err != nil {
		return err
	}
	due := time.Now().Add(3 * time.Second)
	message := s.message("later")
	message.SetDelayTimestamp(due)
	if err := send(producer, message); err != nil {
		return err
	}
	views := receive(consumer, 1, 15*time.Second, true)
	if early := time.Until(due); early > time.Second {
		return fmt.Errorf("came %v early", early)
	}
	return wanted(views, "later")
}

func transaction(s *stage) error {
	checker := &rmq.TransactionChecker{Check: func(*rmq.MessageView) rmq.TransactionResolution { return rmq.UNKNOWN }}
	producer, consumer, err := pair(s, rmq.SUB_ALL, 3*time.Second, rmq.WithTransactionChecker(checker))
	if err != nil {
		return err
	}
	committed, rolledBack := producer.BeginTransaction(), producer.BeginTransaction()
	if _, err := producer.SendWithTransaction(context.Background(), s.message("committed"), committed); err != nil {
		return err
	}
	if _, err := producer.SendWithTransaction(context.Background(), s.message("rolled back"), rolledBack); err != nil {
		return err
	}
	if views := receive(consumer, 1, 2*time.Second, true); len(views) > 0 {
		return fmt.Errorf("a half message is visible: %v", bodies(views))
	}
	if err := rolledBack.RollBack(); err != nil {
		return err
	}
	if err := committed.Commit(); err != nil {
		return err
	}
	return wanted(receive(consumer, 2, 7*time.Second, true), "committed")
}

func orphan(s *stage) error {
	var asked atomic.Int32
	checker := &rmq.TransactionChecker{Check: func(*rmq.MessageView) rmq.TransactionResolution {
		asked.Add(1)
		return rmq.COMMIT
	}}
	producer, consumer, err := pair(s, rmq.SUB_ALL, 5*time.Second, rmq.WithTransactionChecker(checker))
	if err != nil {
		return err
	}
	if _, err := producer.SendWithTransaction(context.Background(), s.message("orphan"), producer.BeginTransaction()); err != nil {
		return err
	}
	if err := wanted(receive(consumer, 1, 50*time.Second, true), "orphan"); err != nil {
		return err
	}
	if asked.Load() == 0 {
		return fmt.Errorf("the producer was never asked")
	}
	return nil
}

func changeInvisible(s *stage) error {
	producer, consumer, err := pair(s, rmq.SUB_ALL, 8*time.Second)
	if err != nil {
		return err
	}
	if err := send(producer, s.message("again")); err != nil {
		return err
	}
	views := receive(consumer, 1, 15*time.Second, false)
	if err := wanted(views, "again"); err != nil {
		return err
	}
	if err := consumer.ChangeInvisibleDuration(views[0], 2*time.Second); err != nil {
		return err
	}
	return wanted(receive(consumer, 1, 15*time.Second, true), "again")
}

func push(s *stage) error {
	producer, err := s.producer()
	if err != nil {
		return err
	}
	var failed atomic.Int32
	var received sync.Map
	var count atomic.Int32
	if err := s.push(func(view *rmq.MessageView) rmq.ConsumerResult {
		if string(view.GetBody()) == "m7" && failed.Add(1) == 1 {
			return rmq.FAILURE
		}
		if _, known := received.LoadOrStore(string(view.GetBody()), true); !known {
			count.Add(1)
		}
		return rmq.SUCCESS
	}); err != nil {
		return err
	}
	for number := 0; number < 50; number++ {
		if err := send(producer, s.message(fmt.Sprint("m", number))); err != nil {
			return err
		}
	}
	return await("50 messages", 40*time.Second, func() bool { return count.Load() == 50 })
}

// The group was made by the test, as one that consumes in order. Nothing fails: this client tries a message that failed
// again later and goes on with the next of its batch meanwhile.
func pushFifo(s *stage) error {
	producer, err := s.producer()
	if err != nil {
		return err
	}
	var lock sync.Mutex
	received := map[string][]string{}
	total := 0
	if err := s.push(func(view *rmq.MessageView) rmq.ConsumerResult {
		lock.Lock()
		defer lock.Unlock()
		words := strings.Split(string(view.GetBody()), " ")
		received[words[0]] = append(received[words[0]], words[1])
		total++
		return rmq.SUCCESS
	}); err != nil {
		return err
	}
	for number := 0; number < 8; number++ {
		for _, group := range []string{"g0", "g1"} {
			message := s.message(fmt.Sprint(group, " ", number))
			message.SetMessageGroup(group)
			if err := send(producer, message); err != nil {
				return err
			}
		}
	}
	if err := await("16 messages", 60*time.Second, func() bool { lock.Lock(); defer lock.Unlock(); return total >= 16 }); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	for group, numbers := range received {
		if strings.Join(numbers, "") != "01234567" {
			return fmt.Errorf("%s came as %v", group, numbers)
		}
	}
	return nil
}

func filterTag(s *stage) error {
	producer, consumer, err := pair(s, rmq.NewFilterExpression("A || C"), 3*time.Second)
	if err != nil {
		return err
	}
	for _, tag := range []string{"A", "B", "C", "B"} {
		message := s.message(tag)
		message.SetTag(tag)
		if err := send(producer, message); err != nil {
			return err
		}
	}
	return wanted(receive(consumer, 3, 6*time.Second, true), "A", "C")
}

func filterSQL(s *stage) error {
	producer, consumer, err := pair(s, rmq.NewFilterExpressionWithType("price > 10 AND color IN ('red')", rmq.SQL92), 3*time.Second)
	if err != nil {
		return err
	}
	for body, price := range map[string]string{"yes": "11", "no": "9"} {
		message := s.message(body)
		message.AddProperty("price", price)
		message.AddProperty("color", "red")
		if err := send(producer, message); err != nil {
			return err
		}
	}
	return wanted(receive(consumer, 2, 6*time.Second, true), "yes")
}

func perform(name string, run scenario, s *stage, out func(map[string]any)) {
	began := time.Now()
	outcome, message := "ok", ""
	defer func() {
		if broken := recover(); broken != nil {
			outcome, message = "failed", fmt.Sprint(broken)
		}
		out(map[string]any{"name": name, "outcome": outcome, "seconds": time.Since(began).Seconds(), "message": message})
	}()
	if err := run(s); err != nil {
		outcome, message = "failed", err.Error()
	}
}

func main() {
	rmq.EnableSsl = os.Args[4] == "tls"
	rmq.ResetLogger()
	var lock sync.Mutex
	out := func(line map[string]any) {
		lock.Lock()
		defer lock.Unlock()
		text, _ := json.Marshal(line)
		fmt.Println(string(text))
	}
	names := strings.Split(os.Args[2], ",")
	if os.Args[2] == "all" {
		names = nil
		for name := range scenarios {
			names = append(names, name)
		}
	}
	var all sync.WaitGroup
	for _, name := range names {
		topic := os.Args[3] + "_" + name
		s := &stage{endpoint: os.Args[1], topic: topic, group: topic + "_group"}
		all.Add(1)
		go func(name string) {
			defer all.Done()
			perform(name, scenarios[name], s, out)
		}(name)
	}
	all.Wait()
}
