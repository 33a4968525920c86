package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Body of the message that only creates a topic; deliveries leave it out.
const warmUp = "warm-up"

var clients atomic.Int64

// A delivery is what one member was given.
type delivery struct {
	member  string
	message *primitive.MessageExt
	at      time.Time
}

func (d delivery) body() string { return string(d.message.Body) }

// A stage is what one scenario works with: names of its own, clients that end with it, figures that it reports.
type stage struct {
	namesrv string
	name    string
	topic   string
	group   string
	figures map[string]any

	mutex      sync.Mutex
	deliveries []delivery
	closing    []func() error
	made       rocketmq.Producer
}

func newStage(namesrv, prefix, name string) *stage {
	return &stage{
		namesrv: namesrv, name: name, topic: prefix + "_" + name, group: prefix + "_group_" + name,
		figures: map[string]any{},
	}
}

func (s *stage) close() {
	for at := len(s.closing) - 1; at >= 0; at-- {
		_ = s.closing[at]()
	}
}

func (s *stage) instance() string { return fmt.Sprintf("%s-%d", s.name, clients.Add(1)) }

func (s *stage) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver(strings.Split(s.namesrv, ";"))
}

// producer returns this scenario's producer, started.
func (s *stage) producer(options ...producer.Option) (rocketmq.Producer, error) {
	if s.made != nil {
		return s.made, nil
	}
	options = append([]producer.Option{
		producer.WithNsResolver(s.resolver()),
		producer.WithGroupName(s.group + "_producer"),
		producer.WithInstanceName(s.instance()),
		producer.WithSendMsgTimeout(15 * time.Second),
		producer.WithRetry(2),
	}, options...)
	made, err := rocketmq.NewProducer(options...)
	if err != nil {
		return nil, err
	}
	if err := made.Start(); err != nil {
		return nil, err
	}
	s.closing = append(s.closing, made.Shutdown)
	s.made = made
	return made, nil
}

func (s *stage) message(body string) *primitive.Message {
	return primitive.NewMessage(s.topic, []byte(body))
}

func (s *stage) send(messages ...*primitive.Message) (*primitive.SendResult, error) {
	made, err := s.producer()
	if err != nil {
		return nil, err
	}
	result, err := made.SendSync(context.Background(), messages...)
	if err == nil && result.Status != primitive.SendOK {
		err = fmt.Errorf("send: %s", result)
	}
	return result, err
}

// sendMany sends bodies "what-0", "what-1", ...
func (s *stage) sendMany(what string, count int) ([]string, error) {
	var sent []string
	for number := 0; number < count; number++ {
		body := fmt.Sprintf("%s-%d", what, number)
		if _, err := s.send(s.message(body)); err != nil {
			return sent, err
		}
		sent = append(sent, body)
	}
	return sent, nil
}

// create makes the topic as users do, by a first send, and waits until its route is known.
func (s *stage) create() error {
	if _, err := s.send(s.message(warmUp)); err != nil {
		return err
	}
	_, err := s.queues(s.topic)
	return err
}

// queues asks the name server for the topic's queues until it knows them.
func (s *stage) queues(topic string) ([]*primitive.MessageQueue, error) {
	asker, err := admin.NewAdmin(admin.WithResolver(s.resolver()))
	if err != nil {
		return nil, err
	}
	var found []*primitive.MessageQueue
	err = until(20*time.Second, "route of "+topic, func() bool {
		found, err = asker.FetchPublishMessageQueues(context.Background(), topic)
		return err == nil && len(found) > 0
	})
	return found, err
}

func (s *stage) consumerOptions(options ...consumer.Option) []consumer.Option {
	return append([]consumer.Option{
		consumer.WithNsResolver(s.resolver()),
		consumer.WithGroupName(s.group),
		consumer.WithInstance(s.instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)
}

type listener = func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error)

// push starts a member; `listen` is called after its messages were noted under `member`.
func (s *stage) push(member, expression string, listen listener, options ...consumer.Option) (
	rocketmq.PushConsumer, error) {
	made, err := rocketmq.NewPushConsumer(s.consumerOptions(options...)...)
	if err != nil {
		return nil, err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: expression}
	err = made.Subscribe(s.topic, selector,
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			s.note(member, messages...)
			if listen != nil {
				return listen(ctx, messages...)
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return nil, err
	}
	if err := made.Start(); err != nil {
		return nil, err
	}
	s.closing = append(s.closing, made.Shutdown)
	return made, nil
}

// introduce lets the broker create the group's retry topic; a client looks for its route only when it starts.
func (s *stage) introduce() error {
	made, err := s.push("nobody", "no-such-tag", nil)
	if err != nil {
		return err
	}
	if _, err := s.queues("%RETRY%" + s.group); err != nil {
		return err
	}
	return made.Shutdown()
}

func (s *stage) note(member string, messages ...*primitive.MessageExt) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, each := range messages {
		if string(each.Body) != warmUp {
			copied := &primitive.MessageExt{
				MsgId: each.MsgId, QueueOffset: each.QueueOffset, ReconsumeTimes: each.ReconsumeTimes,
				StoreSize: each.StoreSize, SysFlag: each.SysFlag,
			}
			copied.Topic, copied.Body, copied.Queue = each.Topic, each.Body, each.Queue
			copied.WithProperties(each.GetProperties())
			s.deliveries = append(s.deliveries, delivery{member, copied, time.Now()})
		}
	}
}

func (s *stage) all() []delivery {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]delivery(nil), s.deliveries...)
}

// bodies of one member, or of all when `member` is empty.
func (s *stage) bodies(member string) map[string]int {
	counts := map[string]int{}
	for _, each := range s.all() {
		if member == "" || member == each.member {
			counts[each.body()]++
		}
	}
	return counts
}

// expect waits until the member (or anybody) has all bodies.
func (s *stage) expect(limit time.Duration, member string, wanted []string) error {
	var missing []string
	err := until(limit, fmt.Sprintf("%d bodies", len(wanted)), func() bool {
		have := s.bodies(member)
		missing = nil
		for _, body := range wanted {
			if have[body] == 0 {
				missing = append(missing, body)
			}
		}
		return len(missing) == 0
	})
	if err != nil {
		return fmt.Errorf("%w; missing %d, e.g. %q; received %d", err, len(missing), missing[0], len(s.all()))
	}
	return nil
}

func (s *stage) exactly(count int) error {
	return same(count, len(s.all()), "deliveries")
}

func until(limit time.Duration, what string, done func() bool) error {
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			return errors.New("after " + limit.String() + " still waiting for " + what)
		}
		time.Sleep(30 * time.Millisecond)
	}
	return nil
}

func same[T comparable](expected, came T, what string) error {
	if expected != came {
		return fmt.Errorf("%s: expected %v, came %v", what, expected, came)
	}
	return nil
}
