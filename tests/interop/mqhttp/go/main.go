// The Go SDK of the MQ HTTP wire, unchanged: each scenario prints one JSON object a line.
//
//	scenarios ENDPOINT all PREFIX | scenarios none list none
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	mq "github.com/aliyunmq/mq-http-go-sdk"
	"github.com/gogap/errors"
)

type scenario struct {
	name string
	run  func(client mq.MQClient, name string)
}

type result struct {
	Name    string  `json:"name"`
	Outcome string  `json:"outcome"`
	Seconds float64 `json:"seconds"`
	Message string  `json:"message"`
}

var scenarios = []scenario{
	{"publish_consume_ack", publishConsumeAck},
	{"many", many},
	{"chinese_text", chineseText},
	{"properties", properties},
	{"tag_filter", tagFilter},
	{"delay", delay},
	{"ordered", ordered},
	{"ordered_waits_for_ack", orderedWaitsForAck},
	{"instance", instance},
	{"no_message", noMessage},
	{"unknown_topic", unknownTopic},
	{"expired_handle", expiredHandle},
	{"transaction_commit", transactionCommit},
	{"transaction_rollback", transactionRollback},
	{"transaction_half", transactionHalf},
}

func main() {
	if os.Args[2] == "list" {
		for _, one := range scenarios {
			fmt.Println(one.name)
		}
		return
	}
	client := mq.NewAliyunMQClient("http://"+os.Args[1], "key", "secret", "")
	for _, one := range scenarios {
		report(one, client, os.Args[3]+"_"+one.name)
	}
}

func report(one scenario, client mq.MQClient, name string) {
	began := time.Now()
	outcome := result{Name: one.name, Outcome: "ok"}
	defer func() {
		if wrong := recover(); wrong != nil {
			outcome.Outcome = "failed"
			outcome.Message = fmt.Sprint(wrong)
		}
		outcome.Seconds = time.Since(began).Seconds()
		line, _ := json.Marshal(outcome)
		fmt.Println(string(line))
	}()
	one.run(client, name)
}

func same(got, wanted interface{}) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		panic(fmt.Sprintf("expected %v, got %v", wanted, got))
	}
}

func check(err error) {
	if err != nil {
		panic(err.Error())
	}
}

// codeOf is the server's error code, or "" without an error.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	coded, ok := err.(errors.ErrCode)
	if !ok {
		panic(err.Error())
	}
	for _, code := range []string{"MessageNotExist", "TopicNotExist", "ReceiptHandleError"} {
		if strings.Contains(coded.Error(), code) {
			return code
		}
	}
	return coded.Error()
}

func publish(client mq.MQClient, topic string, message mq.PublishMessageRequest) mq.PublishMessageResponse {
	sent, err := client.GetProducer("", topic).PublishMessage(message)
	check(err)
	return sent
}

type take func(chan mq.ConsumeMessageResponse, chan error, int32, int64)

// once receives once; the error is nil or the server's.
func once(receive take, count int32, wait int64) ([]mq.ConsumeMessageEntry, error) {
	messages := make(chan mq.ConsumeMessageResponse, 1)
	failures := make(chan error, 1)
	receive(messages, failures, count, wait)
	select {
	case found := <-messages:
		return found.Messages, nil
	case err := <-failures:
		return nil, err
	}
}

// consume receives and acknowledges until that many came.
func consume(consumer mq.MQConsumer, wanted int, receive take) []mq.ConsumeMessageEntry {
	var found []mq.ConsumeMessageEntry
	end := time.Now().Add(15 * time.Second)
	for len(found) < wanted && time.Now().Before(end) {
		batch, err := once(receive, 16, 3)
		if err != nil {
			same(codeOf(err), "MessageNotExist")
			continue
		}
		var handles []string
		for _, one := range batch {
			handles = append(handles, one.ReceiptHandle)
		}
		check(consumer.AckMessage(handles))
		found = append(found, batch...)
	}
	same(len(found), wanted)
	return found
}

func consumeOf(client mq.MQClient, name string, wanted int) []mq.ConsumeMessageEntry {
	consumer := client.GetConsumer("", name, name+"_g", "")
	return consume(consumer, wanted, consumer.ConsumeMessage)
}
