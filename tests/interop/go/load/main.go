// Command load sends and consumes all the time with the official Go client: a line in JSON for each message sent, each send that
// the client gave up, each message got. Arguments: the gateway's address, topic, milliseconds between sends. A line on standard
// input ends the sending, its end the program.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var printing sync.Mutex

func tell(event, what string, began time.Time) {
	line, _ := json.Marshal(map[string]any{
		"client": "go", "event": event, "what": what, "took": time.Since(began).Milliseconds(),
	})
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

func main() {
	rlog.SetLogLevel("error")
	address, topic := os.Args[1], os.Args[2]
	pause, _ := strconv.Atoi(os.Args[3])
	var stopping atomic.Bool
	go func() {
		if err := load(address, topic, time.Duration(pause)*time.Millisecond, &stopping); err != nil {
			tell("broken", err.Error(), time.Now())
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	lines.Scan()
	stopping.Store(true)
	for lines.Scan() {
		continue
	}
	os.Exit(0)
}

func load(address, topic string, pause time.Duration, stopping *atomic.Bool) error {
	resolver := primitive.NewPassthroughResolver([]string{address})
	// Retries are the default.
	sender, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName(topic+"_producer"),
		producer.WithInstanceName("load-producer"), producer.WithSendMsgTimeout(15*time.Second))
	if err != nil {
		return err
	}
	if err = sender.Start(); err != nil {
		return err
	}
	// The first send makes the topic: this client's consumers do not wait for one.
	number := 0
	send := func() {
		body := fmt.Sprintf("go-%d", number)
		number++
		began := time.Now()
		for {
			result, err := sender.SendSync(context.Background(), primitive.NewMessage(topic, []byte(body)))
			if err == nil && result.Status != primitive.SendOK {
				err = fmt.Errorf("send: %s", result)
			}
			if err == nil {
				break
			}
			tell("failed", err.Error(), began)
			time.Sleep(200 * time.Millisecond)
		}
		tell("sent", body, began)
	}
	send()
	receiver, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithGroupName(topic+"_group"),
		consumer.WithInstance("load-consumer"), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return err
	}
	err = receiver.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				tell("got", string(message.Body), time.Now())
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return err
	}
	if err = receiver.Start(); err != nil {
		return err
	}
	for !stopping.Load() {
		send()
		time.Sleep(pause)
	}
	tell("stopped", "", time.Now())
	return nil
}
