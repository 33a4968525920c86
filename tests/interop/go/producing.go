package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const patience = 20 * time.Second

func producing() []scenario {
	return []scenario{
		{"sync_send", syncSend},
		{"async_send", asyncSend},
		{"one_way", oneWay},
		{"batch", batch},
		{"compressed", compressed},
		{"chinese_text", chinese},
	}
}

func syncSend(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	ids := map[string]bool{}
	var sent []string
	for number := 0; number < 40; number++ {
		body := fmt.Sprintf("sync-%d", number)
		result, err := s.send(s.message(body))
		if err != nil {
			return err
		}
		ids[result.MsgID] = true
		sent = append(sent, body)
	}
	if err := same(40, len(ids), "different message ids"); err != nil {
		return err
	}
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	if err := s.expect(patience, "a", sent); err != nil {
		return err
	}
	for _, each := range s.all() {
		if !ids[each.message.MsgId] {
			return fmt.Errorf("unknown message id %s", each.message.MsgId)
		}
	}
	return s.exactly(40)
}

func asyncSend(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	made, err := s.producer()
	if err != nil {
		return err
	}
	var sent []string
	var waiting sync.WaitGroup
	failures := make(chan error, 1000)
	began := time.Now()
	for number := 0; number < 1000; number++ {
		body := fmt.Sprintf("async-%d", number)
		sent = append(sent, body)
		waiting.Add(1)
		err := made.SendAsync(context.Background(),
			func(_ context.Context, result *primitive.SendResult, err error) {
				if err == nil && result.Status != primitive.SendOK {
					err = fmt.Errorf("send: %s", result)
				}
				if err != nil {
					failures <- err
				}
				waiting.Done()
			}, s.message(body))
		if err != nil {
			return err
		}
	}
	waiting.Wait()
	s.figures["per_second"] = int(1000 / time.Since(began).Seconds())
	if len(failures) > 0 {
		return fmt.Errorf("%d callbacks failed, e.g. %w", len(failures), <-failures)
	}
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	if err := s.expect(patience, "a", sent); err != nil {
		return err
	}
	return s.exactly(1000)
}

func oneWay(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	made, err := s.producer()
	if err != nil {
		return err
	}
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	var sent []string
	began := time.Now()
	for number := 0; number < 3000; number++ {
		body := fmt.Sprintf("one-way-%d", number)
		if err := made.SendOneWay(context.Background(), s.message(body)); err != nil {
			return err
		}
		sent = append(sent, body)
	}
	s.figures["per_second"] = int(3000 / time.Since(began).Seconds())
	if err := s.expect(2*patience, "a", sent); err != nil {
		return err
	}
	return s.exactly(3000)
}

func batch(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	var messages []*primitive.Message
	var sent []string
	for number := 0; number < 30; number++ {
		body := fmt.Sprintf("batch-%d-文", number)
		message := s.message(body)
		message.WithTag(fmt.Sprintf("tag%d", number%3))
		message.WithKeys([]string{fmt.Sprintf("key%d", number)})
		messages = append(messages, message)
		sent = append(sent, body)
	}
	if _, err := s.send(messages...); err != nil {
		return err
	}
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	if err := s.expect(patience, "a", sent); err != nil {
		return err
	}
	for _, each := range s.all() {
		var number int
		if _, err := fmt.Sscanf(each.body(), "batch-%d-", &number); err != nil {
			return err
		}
		if err := same(fmt.Sprintf("tag%d", number%3), each.message.GetTags(), "tag"); err != nil {
			return err
		}
	}
	return s.exactly(30)
}

func compressed(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	body := bytes.Repeat([]byte("压缩 compressible "), 1000)
	message := primitive.NewMessage(s.topic, body)
	if _, err := s.send(message); err != nil {
		return err
	}
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	if err := s.expect(patience, "a", []string{string(body)}); err != nil {
		return err
	}
	stored := int(s.all()[0].message.StoreSize)
	s.figures["stored_bytes"] = stored
	if stored >= len(body) {
		return fmt.Errorf("%d bytes stored of a body of %d: not compressed", stored, len(body))
	}
	return nil
}

func chinese(s *stage) error {
	if err := s.create(); err != nil {
		return err
	}
	message := s.message("订单已创建：𠮷野家 ☕ 繁體")
	message.WithTag("订单").WithKeys([]string{"订单号-一二三", "key"})
	message.WithProperty("客户", "张三 李四")
	message.WithProperty("emoji", "😀𠮷")
	result, err := s.send(message)
	if err != nil {
		return err
	}
	// Not by its tag: this client hashes tags by their bytes, the server as Java does, so the broker would drop it.
	if _, err := s.push("a", "*", nil); err != nil {
		return err
	}
	if err := s.expect(patience, "a", []string{string(message.Body)}); err != nil {
		return err
	}
	came := s.all()[0].message
	for _, pair := range [][3]string{
		{"订单", came.GetTags(), "tag"},
		{"订单号-一二三 key", strings.TrimSpace(came.GetKeys()), "keys"},
		{"张三 李四", came.GetProperty("客户"), "property"},
		{"😀𠮷", came.GetProperty("emoji"), "property outside the basic plane"},
		{result.MsgID, came.MsgId, "message id"},
	} {
		if err := same(pair[0], pair[1], pair[2]); err != nil {
			return err
		}
	}
	return s.exactly(1)
}
