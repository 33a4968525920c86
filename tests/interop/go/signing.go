package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// signing reads lines "ACTION USER SECRET TOPIC GROUP BODY", words separated by tabs, and answers each with one line: "OK ..." or
// what the client says of the error.
func signing(namesrv string) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := append(strings.Split(lines.Text(), "\t"), "", "", "", "", "")
		answer, err := act(namesrv, words)
		if err != nil {
			answer = "ERROR " + strings.ReplaceAll(err.Error(), "\n", " ")
		} else {
			answer = "OK " + answer
		}
		fmt.Println(answer)
	}
}

func act(namesrv string, words []string) (string, error) {
	credentials := primitive.Credentials{AccessKey: words[1], SecretKey: words[2]}
	resolver := primitive.NewPassthroughResolver([]string{namesrv})
	stage := newStage(namesrv, "signing", words[0])
	switch words[0] {
	case "send":
		made, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithInstanceName(stage.instance()),
			producer.WithGroupName("signing_go"), producer.WithRetry(0), producer.WithCredentials(credentials),
			producer.WithSendMsgTimeout(5*time.Second))
		if err != nil {
			return "", err
		}
		if err := made.Start(); err != nil {
			return "", err
		}
		defer made.Shutdown()
		limited, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		sent, err := made.SendSync(limited, primitive.NewMessage(words[3], []byte(words[5])))
		if err != nil {
			return "", err
		}
		return sent.MsgID, nil
	case "consume":
		bodies := make(chan string, 100)
		made, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithInstance(stage.instance()),
			consumer.WithGroupName(words[4]), consumer.WithCredentials(credentials),
			consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
		if err != nil {
			return "", err
		}
		collect := func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, each := range messages {
				bodies <- string(each.Body)
			}
			return consumer.ConsumeSuccess, nil
		}
		if err := made.Subscribe(words[3], consumer.MessageSelector{}, collect); err != nil {
			return "", err
		}
		if err := made.Start(); err != nil {
			return "", err
		}
		defer made.Shutdown()
		select {
		case body := <-bodies:
			return body, nil
		case <-time.After(6 * time.Second):
			return "nothing", nil
		}
	}
	return "", fmt.Errorf("no action %s", words[0])
}
