package main

import (
	"sort"
	"strconv"
	"time"

	mq "github.com/aliyunmq/mq-http-go-sdk"
	"github.com/gogap/errors"
)

func publishConsumeAck(client mq.MQClient, name string) {
	sent := publish(client, name, mq.PublishMessageRequest{MessageBody: "hello <&> ]]>\tworld"})
	message := consumeOf(client, name, 1)[0]
	same(message.MessageBody, "hello <&> ]]>\tworld")
	same(message.MessageId, sent.MessageId)
	same(message.MessageBodyMD5, sent.MessageBodyMD5)
	same(message.ConsumedTimes, 1)
	same(message.FirstConsumeTime < message.NextConsumeTime, true)
}

func many(client mq.MQClient, name string) {
	for number := 0; number < 40; number++ {
		publish(client, name, mq.PublishMessageRequest{MessageBody: strconv.Itoa(number % 2)})
	}
	consumeOf(client, name, 40)
}

func chineseText(client mq.MQClient, name string) {
	publish(client, name, mq.PublishMessageRequest{
		MessageBody: "消息队列 🚀", MessageTag: "标签", MessageKey: "订单", ShardingKey: "键",
	})
	consumer := client.GetConsumer("", name, name+"_g", "标签")
	message := consume(consumer, 1, consumer.ConsumeMessage)[0]
	same(message.MessageBody, "消息队列 🚀")
	same([]string{message.MessageTag, message.MessageKey, message.ShardingKey}, []string{"标签", "订单", "键"})
}

func properties(client mq.MQClient, name string) {
	publish(client, name, mq.PublishMessageRequest{
		MessageBody: "x", MessageTag: "tag", MessageKey: "key", Properties: map[string]string{"colour": "red"},
	})
	message := consumeOf(client, name, 1)[0]
	same(message.MessageTag+" "+message.MessageKey, "tag key")
	same(message.Properties, map[string]string{"colour": "red"})
}

func tagFilter(client mq.MQClient, name string) {
	for _, tag := range []string{"A", "B", "C"} {
		publish(client, name, mq.PublishMessageRequest{MessageBody: tag, MessageTag: tag})
	}
	consumer := client.GetConsumer("", name, name+"_g", "A||B")
	var bodies []string
	for _, one := range consume(consumer, 2, consumer.ConsumeMessage) {
		bodies = append(bodies, one.MessageBody)
	}
	sort.Strings(bodies)
	same(bodies, []string{"A", "B"})
	_, err := once(consumer.ConsumeMessage, 1, 0)
	same(codeOf(err), "MessageNotExist")
}

func delay(client mq.MQClient, name string) {
	at := time.Now().UnixNano()/1000000 + 2500
	publish(client, name, mq.PublishMessageRequest{MessageBody: "later", StartDeliverTime: at})
	consumer := client.GetConsumer("", name, name+"_g", "")
	_, err := once(consumer.ConsumeMessage, 1, 0)
	same(codeOf(err), "MessageNotExist")
	message := consumeOf(client, name, 1)[0]
	same(time.Now().UnixNano()/1000000 >= at, true)
	same(message.StartDeliverTime, at)
}

func ordered(client mq.MQClient, name string) {
	for number := 0; number < 12; number++ {
		publish(client, name, mq.PublishMessageRequest{
			MessageBody: strconv.Itoa(number), ShardingKey: strconv.Itoa(number % 2),
		})
	}
	consumer := client.GetConsumer("", name, name+"_g", "")
	latest := map[string]int{"0": -1, "1": -1}
	for _, one := range consume(consumer, 12, consumer.ConsumeMessageOrderly) {
		number, err := strconv.Atoi(one.MessageBody)
		check(err)
		same(number > latest[one.ShardingKey], true)
		latest[one.ShardingKey] = number
	}
}

func orderedWaitsForAck(client mq.MQClient, name string) {
	for number := 0; number < 3; number++ {
		publish(client, name, mq.PublishMessageRequest{MessageBody: strconv.Itoa(number), ShardingKey: "k"})
	}
	consumer := client.GetConsumer("", name, name+"_g", "")
	first, err := once(consumer.ConsumeMessageOrderly, 1, 3)
	check(err)
	_, err = once(consumer.ConsumeMessageOrderly, 1, 0)
	same(codeOf(err), "MessageNotExist")
	check(consumer.AckMessage([]string{first[0].ReceiptHandle}))
	rest := consume(consumer, 2, consumer.ConsumeMessageOrderly)
	same(rest[0].MessageBody+rest[1].MessageBody, "12")
}

func instance(client mq.MQClient, name string) {
	_, err := client.GetProducer("INST", name).PublishMessage(mq.PublishMessageRequest{MessageBody: "inside"})
	check(err)
	_, err = once(client.GetConsumer("", name, name+"_g", "").ConsumeMessage, 1, 0)
	same(codeOf(err), "TopicNotExist")
	consumer := client.GetConsumer("INST", name, name+"_g", "")
	consume(consumer, 1, consumer.ConsumeMessage)
}

func noMessage(client mq.MQClient, name string) {
	publish(client, name, mq.PublishMessageRequest{MessageBody: "x"})
	consumeOf(client, name, 1)
	began := time.Now()
	_, err := once(client.GetConsumer("", name, name+"_g", "").ConsumeMessage, 1, 2)
	same(codeOf(err), "MessageNotExist")
	took := time.Since(began).Seconds()
	same(took > 1.5 && took < 10, true)
}

func unknownTopic(client mq.MQClient, name string) {
	_, err := once(client.GetConsumer("", name, name+"_g", "").ConsumeMessage, 1, 0)
	same(codeOf(err), "TopicNotExist")
}

func expiredHandle(client mq.MQClient, name string) {
	publish(client, name, mq.PublishMessageRequest{MessageBody: "again"})
	consumer := client.GetConsumer("", name, name+"_g", "")
	found, err := once(consumer.ConsumeMessage, 1, 3)
	check(err)
	first := found[0]
	time.Sleep(time.Until(time.Unix(0, first.NextConsumeTime*1000000)) + 300*time.Millisecond)
	err = consumer.AckMessage([]string{first.ReceiptHandle, "nonsense"})
	coded, ok := err.(errors.ErrCode)
	same(ok, true)
	detail, ok := coded.Context()["Detail"].([]mq.ErrAckItem)
	same(ok, true)
	codes := map[string]string{}
	for _, one := range detail {
		codes[one.ErrorHandle] = one.ErrorCode
	}
	same(codes, map[string]string{first.ReceiptHandle: "MessageNotExist", "nonsense": "ReceiptHandleError"})
	second := consumeOf(client, name, 1)[0]
	same(second.ConsumedTimes, 2)
	same(second.FirstConsumeTime, first.FirstConsumeTime)
}

func transProducer(client mq.MQClient, name string) mq.MQTransProducer {
	return client.GetTransProducer("", name, name+"_p")
}

func publishHalf(producer mq.MQTransProducer, body string) string {
	sent, err := producer.PublishMessage(mq.PublishMessageRequest{MessageBody: body, TransCheckImmunityTime: 10})
	check(err)
	return sent.ReceiptHandle
}

func transactionCommit(client mq.MQClient, name string) {
	producer := transProducer(client, name)
	handle := publishHalf(producer, "half")
	consumer := client.GetConsumer("", name, name+"_g", "")
	_, err := once(consumer.ConsumeMessage, 1, 0)
	same(codeOf(err), "MessageNotExist")
	check(producer.Commit(handle))
	same(consumeOf(client, name, 1)[0].MessageBody, "half")
	same(codeOf(producer.Rollback(handle)), "MessageNotExist")
}

func transactionRollback(client mq.MQClient, name string) {
	producer := transProducer(client, name)
	check(producer.Rollback(publishHalf(producer, "half")))
	_, err := once(client.GetConsumer("", name, name+"_g", "").ConsumeMessage, 1, 1)
	same(codeOf(err), "MessageNotExist")
}

func transactionHalf(client mq.MQClient, name string) {
	producer := transProducer(client, name)
	handle := publishHalf(producer, "commit")
	publishHalf(producer, "rollback")
	found := map[string]string{}
	end := time.Now().Add(25 * time.Second)
	for len(found) < 2 && time.Now().Before(end) {
		batch, err := once(producer.ConsumeHalfMessage, 16, 5)
		if err != nil {
			same(codeOf(err), "MessageNotExist")
		}
		for _, one := range batch {
			found[one.MessageBody] = one.ReceiptHandle
		}
	}
	same(len(found), 2)
	same(codeOf(producer.Commit(handle)), "MessageNotExist")
	check(producer.Commit(found["commit"]))
	check(producer.Rollback(found["rollback"]))
	same(consumeOf(client, name, 1)[0].MessageBody, "commit")
}
