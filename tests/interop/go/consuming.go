package main

import (
	"context"
	"fmt"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func consuming() []scenario {
	return []scenario{
		{"retry", retry},
		{"dead_letter", deadLetter},
		{"offsets_over_restart", offsetsOverRestart},
		{"push_concurrent", pushConcurrent},
		{"push_orderly", pushOrderly},
		{"tag_filter", tagFilter},
		{"broadcasting", broadcasting},
		{"pull_consumer", pullConsumer},
		{"pull_consumer_poll", pullConsumerPoll},
	}
}

func pushConcurrent(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	before, err := s.sendMany("before", 50)
	if err != nil {
		return err
	}
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	after, err := s.sendMany("after", 150)
	if err != nil {
		return err
	}
	if err := s.expect(patience, "a", append(before, after...)); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	return s.exactly(200)
}

func pushOrderly(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	if _, err := s.push("a", "*", nil, consumer.WithConsumerOrder(true)); err != nil {
		return err
	}
	sent, err := s.sendMany("ordered", 200)
	if err != nil {
		return err
	}
	// The client asks for its locks when it looks at its queues again, every 20 s.
	if err := s.expect(2*patience+patience/2, "a", sent); err != nil {
		return err
	}
	last := map[int]int64{}
	for _, each := range s.all() {
		queue := each.message.Queue.QueueId
		if before, known := last[queue]; known && each.message.QueueOffset != before+1 {
			return fmt.Errorf("queue %d: offset %d came after %d", queue, each.message.QueueOffset, before)
		}
		last[queue] = each.message.QueueOffset
	}
	return s.exactly(200)
}

func tagFilter(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	var wanted []string
	for number := 0; number < 60; number++ {
		body := fmt.Sprintf("tagged-%d", number)
		message := s.message(body)
		message.WithTag([]string{"A", "B", "C"}[number%3])
		if _, err := s.send(message); err != nil {
			return err
		}
		if number%3 < 2 {
			wanted = append(wanted, body)
		}
	}
	if _, err := s.push("a", "A || B", nil); err != nil {
		return err
	}
	if err := s.expect(patience, "a", wanted); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	return s.exactly(len(wanted))
}

func offsetsOverRestart(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	first, err := s.sendMany("first", 40)
	if err != nil {
		return err
	}
	one, err := s.push("one", "*", nil)
	if err != nil {
		return err
	}
	if err := s.expect(patience, "one", first); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	if err := one.Shutdown(); err != nil {
		return err
	}
	second, err := s.sendMany("second", 40)
	if err != nil {
		return err
	}
	if _, err := s.push("two", "*", nil); err != nil {
		return err
	}
	if err := s.expect(2*patience, "two", second); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	return s.exactly(80)
}

func broadcasting(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	for _, member := range []string{"a", "b"} {
		if _, err := s.push(member, "*", nil, consumer.WithConsumerModel(consumer.BroadCasting)); err != nil {
			return err
		}
	}
	// A broadcasting member of this client begins at the end, so it has to be there first.
	time.Sleep(2 * time.Second)
	sent, err := s.sendMany("broadcast", 40)
	if err != nil {
		return err
	}
	for _, member := range []string{"a", "b"} {
		if err := s.expect(patience, member, sent); err != nil {
			return err
		}
	}
	return s.exactly(80)
}

// later refuses everything whose turn is below `until`, with the delay of level 1, one second.
func later(until int32) listener {
	return func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		if chosen, known := primitive.GetConcurrentlyCtx(ctx); known {
			chosen.DelayLevelWhenNextConsume = 1
		}
		if messages[0].ReconsumeTimes < until && string(messages[0].Body) != warmUp {
			return consumer.ConsumeRetryLater, nil
		}
		return consumer.ConsumeSuccess, nil
	}
}

func retry(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	if err := s.introduce(); err != nil {
		return err
	}
	if _, err := s.push("a", "*", later(2)); err != nil {
		return err
	}
	if _, err := s.send(s.message("again")); err != nil {
		return err
	}
	if err := until(3*patience, "three deliveries", func() bool { return len(s.all()) == 3 }); err != nil {
		return fmt.Errorf("%w; came %d", err, len(s.all()))
	}
	var delays []float64
	for number, each := range s.all() {
		if err := same(int32(number), each.message.ReconsumeTimes, "reconsume times"); err != nil {
			return err
		}
		if err := same("again", each.body(), "body"); err != nil {
			return err
		}
		if number > 0 {
			delays = append(delays, each.at.Sub(s.all()[number-1].at).Seconds())
		}
	}
	s.figures["delays_seconds"] = delays
	if delays[0] < 0.9 || delays[1] < 0.9 {
		return fmt.Errorf("retried after %v s", delays)
	}
	return nil
}

func deadLetter(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	if err := s.introduce(); err != nil {
		return err
	}
	if _, err := s.push("a", "*", later(100), consumer.WithMaxReconsumeTimes(1)); err != nil {
		return err
	}
	if _, err := s.send(s.message("dead")); err != nil {
		return err
	}
	if err := until(3*patience, "a delivery and its retry", func() bool { return len(s.all()) == 2 }); err != nil {
		return fmt.Errorf("%w; came %d", err, len(s.all()))
	}
	queues, err := s.queues("%DLQ%" + s.group)
	if err != nil {
		return err
	}
	if err := same(1, len(queues), "queues of the dead-letter topic"); err != nil {
		return err
	}
	puller, err := s.puller("%DLQ%"+s.group, s.group+"_reader")
	if err != nil {
		return err
	}
	found, err := pullAll(puller, queues[0], 1)
	if err != nil {
		return err
	}
	if err := same("dead", string(found[0].Body), "dead letter"); err != nil {
		return err
	}
	return s.exactly(2)
}

func (s *stage) puller(topic, group string) (rocketmq.PullConsumer, error) {
	made, err := rocketmq.NewPullConsumer(s.consumerOptions(consumer.WithGroupName(group))...)
	if err != nil {
		return nil, err
	}
	if err := made.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}); err != nil {
		return nil, err
	}
	if err := made.Start(); err != nil {
		return nil, err
	}
	s.closing = append(s.closing, made.Shutdown)
	return made, nil
}

// pullAll takes `count` messages from the beginning of a queue.
func pullAll(puller rocketmq.PullConsumer, queue *primitive.MessageQueue, count int) ([]*primitive.MessageExt, error) {
	var found []*primitive.MessageExt
	deadline := time.Now().Add(patience)
	for len(found) < count {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d messages in %s", len(found), count, queue)
		}
		result, err := puller.PullFrom(context.Background(), queue, int64(len(found)), 8)
		if err != nil {
			return nil, err
		}
		if result.Status != primitive.PullFound {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for _, each := range result.GetMessageExts() {
			if each.QueueOffset != int64(len(found)) {
				return nil, fmt.Errorf("offset %d where %d was expected", each.QueueOffset, len(found))
			}
			found = append(found, each)
		}
	}
	return found, nil
}

func pullConsumer(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	counts := map[int]int{}
	queues, err := s.queues(s.topic)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for number := 0; number < 60; number++ {
		body := fmt.Sprintf("pulled-%d", number)
		result, err := s.send(s.message(body))
		if err != nil {
			return err
		}
		counts[result.MessageQueue.QueueId] = int(result.QueueOffset) + 1
		wanted[body] = true
	}
	puller, err := s.puller(s.topic, s.group)
	if err != nil {
		return err
	}
	for _, queue := range queues {
		found, err := pullAll(puller, queue, counts[queue.QueueId])
		if err != nil {
			return err
		}
		for _, each := range found {
			delete(wanted, string(each.Body))
		}
	}
	return same(0, len(wanted), "bodies that were not pulled")
}

// pullConsumerPoll lets the client pull in the background and acknowledges what it hands out; the second one goes on there.
func pullConsumerPoll(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	for round, what := range []string{"first", "second"} {
		sent, err := s.sendMany(what, 40)
		if err != nil {
			return err
		}
		puller, err := s.puller(s.topic, s.group)
		if err != nil {
			return err
		}
		deadline := time.Now().Add(2 * patience)
		for s.expect(0, what, sent) != nil {
			if time.Now().After(deadline) {
				return s.expect(0, what, sent)
			}
			request, err := puller.Poll(context.Background(), time.Second)
			if err != nil {
				continue
			}
			s.note(what, request.GetMsgList()...)
			puller.ACK(context.Background(), request, consumer.ConsumeSuccess)
		}
		if err := puller.PersistOffset(context.Background(), s.topic); err != nil {
			return err
		}
		if err := puller.Shutdown(); err != nil {
			return err
		}
		if err := s.exactly(40 * (round + 1)); err != nil {
			return err
		}
	}
	return nil
}
