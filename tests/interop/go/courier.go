package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const courierTime = 40 * time.Second

// What a courier is asked to send.
type parcel struct {
	Body         string            `json:"body"`
	Tag          string            `json:"tag"`
	Keys         []string          `json:"keys"`
	Properties   map[string]string `json:"properties"`
	MessageGroup string            `json:"message_group"`
	DeliverAt    int64             `json:"deliver_at"`
	Priority     *int              `json:"priority"`
}

type question struct {
	ID       int      `json:"id"`
	Op       string   `json:"op"`
	Topic    string   `json:"topic"`
	Group    string   `json:"group"`
	Kind     string   `json:"kind"`
	Count    int      `json:"count"`
	Messages []parcel `json:"messages"`
}

// courier sends and receives on request: a question in JSON per line, an answer per line.
func courier(namesrv string) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	var printing sync.Mutex
	for lines.Scan() {
		var asked question
		answer := map[string]any{}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			answer["error"] = err.Error()
		}
		go func() {
			var err error
			stage := newStage(namesrv, asked.Group, "courier")
			stage.topic, stage.group = asked.Topic, asked.Group
			defer stage.close()
			if asked.Op == "send" {
				answer["ids"], err = stage.dispatch(asked)
			} else {
				answer["messages"], err = stage.collect(asked)
			}
			if err != nil {
				answer["error"] = err.Error()
			}
			answer["id"] = asked.ID
			text, _ := json.Marshal(answer)
			printing.Lock()
			fmt.Println(string(text))
			printing.Unlock()
		}()
	}
}

func (s *stage) dispatch(asked question) ([]string, error) {
	if _, err := s.producer(producer.WithQueueSelector(producer.NewHashQueueSelector())); err != nil {
		return nil, err
	}
	var ids []string
	for _, each := range asked.Messages {
		message := s.message(each.Body)
		message.WithProperties(each.Properties)
		message.WithTag(each.Tag).WithKeys(each.Keys)
		if each.MessageGroup != "" {
			// What this client calls the sharding key is a property that no other program reads; it chooses the queue by it.
			message.WithShardingKey(each.MessageGroup).WithProperty("__SHARDINGKEY", each.MessageGroup)
		}
		if each.DeliverAt != 0 {
			message.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(each.DeliverAt, 10))
		}
		if each.Priority != nil {
			message.WithProperty("_SYS_MSG_PRIORITY_", strconv.Itoa(*each.Priority))
		}
		result, err := s.send(message)
		if err != nil {
			return nil, err
		}
		ids = append(ids, result.MsgID)
	}
	return ids, nil
}

// collect gives each message back once and takes it when it comes again.
func (s *stage) collect(asked question) ([]map[string]any, error) {
	var mutex sync.Mutex
	before := map[string]bool{}
	found := []map[string]any{}
	made, err := rocketmq.NewPushConsumer(s.consumerOptions(
		consumer.WithConsumerOrder(asked.Kind == "fifo"), consumer.WithConsumeMessageBatchMaxSize(1),
		consumer.WithSuspendCurrentQueueTimeMillis(200*time.Millisecond))...)
	if err != nil {
		return nil, err
	}
	err = made.Subscribe(s.topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			mutex.Lock()
			defer mutex.Unlock()
			message := messages[0]
			id := message.GetProperty(primitive.PropertyUniqueClientMessageIdKeyIndex)
			if !before[id] {
				before[id] = true
				if asked.Kind == "fifo" {
					return consumer.SuspendCurrentQueueAMoment, nil
				}
				if chosen, ok := primitive.GetConcurrentlyCtx(ctx); ok {
					chosen.DelayLevelWhenNextConsume = 1
				}
				return consumer.ConsumeRetryLater, nil
			}
			own := map[string]string{}
			for name, value := range message.GetProperties() {
				if strings.ToUpper(name) != name {
					own[name] = value
				}
			}
			host := message.GetProperty("__BORNHOST")
			if host == "" {
				host = message.BornHost
			}
			found = append(found, map[string]any{
				"body": string(message.Body), "tag": message.GetTags(), "keys": strings.Split(message.GetKeys(), " "),
				"properties": own, "message_id": id, "message_group": message.GetProperty("__SHARDINGKEY"),
				"priority": message.GetProperty("_SYS_MSG_PRIORITY_"), "attempt": message.ReconsumeTimes + 1,
				"born_timestamp": message.BornTimestamp, "born_host": host, "at": time.Now().UnixMilli(),
			})
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return nil, err
	}
	if err := made.Start(); err != nil {
		return nil, err
	}
	defer made.Shutdown()
	err = until(courierTime, "messages", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(found) >= asked.Count
	})
	mutex.Lock()
	defer mutex.Unlock()
	return found, err
}
