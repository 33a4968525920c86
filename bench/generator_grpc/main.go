// A load generator for the gRPC protocol of RocketMQ 5: MODE --name value …
//
//	create   makes --topic (8 queues) and --group by Remoting at --broker-port, as mqadmin does
//	send     SendMessage, one message of --body-size per call
//	receive  stores --count messages, then takes them by ReceiveMessage of 32 and AckMessage
//	idle     connections that have made one call and go quiet; prints {"state":"connected"}, waits for a line
//
// As the Remoting generator it prints {"state":"measuring"} and {"state":"measured"} around its window and one JSON
// object at its end. The same program loads the gateway and Apache's proxy.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v2 "github.com/apache/rocketmq-clients/golang/v5/protocol/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"rmqgateway/bench/generating"
)

const batch = 32

type (
	options = generating.Options
	result  = generating.Result
)

var (
	fail     = generating.Fail
	announce = generating.Announce
)

// client is one connection with a client id of its own, whose settings the server knows.
type client struct {
	v2.MessagingServiceClient
	ctx context.Context
}

var dialled atomic.Int64

func dial(o options, settings *v2.Settings) *client {
	security := insecure.NewCredentials()
	if o.Count("tls", 0) != 0 {
		security = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	connection, err := grpc.NewClient("passthrough:///127.0.0.1:"+o.Text("port", ""), grpc.WithTransportCredentials(security))
	if err != nil {
		fail("%v", err)
	}
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.Pairs(
		"x-mq-client-id", fmt.Sprintf("bench@%d@%d", os.Getpid(), dialled.Add(1)),
		"x-mq-language", "GO", "x-mq-protocol", "v2", "x-mq-client-version", "5.1.3",
		"x-mq-date-time", time.Now().UTC().Format("20060102T150405Z")))
	made := &client{v2.NewMessagingServiceClient(connection), ctx}
	if settings == nil {
		return made
	}
	stream, err := made.Telemetry(ctx)
	if err != nil {
		fail("telemetry: %v", err)
	}
	settings.UserAgent = &v2.UA{Language: v2.Language_GOLANG, Version: "5.1.3", Hostname: "bench", Platform: "linux"}
	if err = stream.Send(&v2.TelemetryCommand{Command: &v2.TelemetryCommand_Settings{Settings: settings}}); err != nil {
		fail("telemetry: %v", err)
	}
	if _, err = stream.Recv(); err != nil {
		fail("telemetry: %v", err)
	}
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	return made
}

func topicOf(o options) *v2.Resource { return &v2.Resource{Name: o.Text("topic", "bench_grpc")} }

func groupOf(o options) *v2.Resource { return &v2.Resource{Name: o.Text("group", "bench_grpc_group")} }

func producing(o options) *v2.Settings {
	kind := v2.ClientType_PRODUCER
	return &v2.Settings{ClientType: &kind, RequestTimeout: durationpb.New(10 * time.Second), PubSub: &v2.Settings_Publishing{
		Publishing: &v2.Publishing{Topics: []*v2.Resource{topicOf(o)}, MaxBodySize: 4 << 20}}}
}

func consuming(o options) *v2.Settings {
	kind := v2.ClientType_SIMPLE_CONSUMER
	return &v2.Settings{ClientType: &kind, RequestTimeout: durationpb.New(10 * time.Second), PubSub: &v2.Settings_Subscription{
		Subscription: &v2.Subscription{Group: groupOf(o), Subscriptions: []*v2.SubscriptionEntry{
			{Topic: topicOf(o), Expression: &v2.FilterExpression{Type: v2.FilterType_TAG, Expression: "*"}}}}}}
}

var ids atomic.Uint64

// sender makes the calls of one worker.
func sender(c *client, o options) func(r *result) {
	body := make([]byte, o.Count("body-size", 1024))
	for i := range body {
		body[i] = byte('a' + i%26)
	}
	topic := topicOf(o)
	return func(r *result) {
		request := &v2.SendMessageRequest{Messages: []*v2.Message{{Topic: topic, Body: body, SystemProperties: &v2.SystemProperties{
			MessageId: fmt.Sprintf("01%06X%08X%016X", os.Getpid()&0xFFFFFF, 0, ids.Add(1)), MessageType: v2.MessageType_NORMAL,
			BodyEncoding: v2.Encoding_IDENTITY, BornHost: "bench", BornTimestamp: timestamppb.Now()}}}}
		answer, err := c.SendMessage(c.ctx, request)
		switch {
		case err != nil:
			r.Refused(err.Error())
		case answer.GetStatus().GetCode() != v2.Code_OK:
			r.Refused(answer.GetStatus().GetCode().String())
		case len(answer.GetEntries()) != 1 || answer.GetEntries()[0].GetMessageId() == "":
			r.Refused("no message id")
		default:
			r.Messages++
		}
		r.Requests++
	}
}

// window says which requests count.
type window struct {
	measure, stop time.Time
}

// loop runs `work` in turn on each of the workers until the window is over; warm-up first.
func loop(o options, workers int, work func(worker int) func(r *result)) []*result {
	results := make([]*result, workers)
	calls := make([]func(r *result), workers)
	for i := range workers {
		results[i], calls[i] = &result{}, work(i)
	}
	w := window{measure: time.Now().Add(o.Duration("warm-up"))}
	w.stop = w.measure.Add(o.Duration("seconds"))
	var done sync.WaitGroup
	for i := range workers {
		done.Add(1)
		go func() {
			defer done.Done()
			unmeasured, counted := &result{}, results[i]
			for {
				began := time.Now()
				if !began.Before(w.stop) {
					return
				}
				r := counted
				if began.Before(w.measure) {
					r = unmeasured
				}
				calls[i](r)
				if r == counted {
					r.Latency.Record(int64(time.Since(began)))
				}
			}
		}()
	}
	time.Sleep(time.Until(w.measure))
	announce("measuring")
	time.Sleep(time.Until(w.stop))
	announce("measured")
	done.Wait()
	return results
}

func clients(o options, settings func(options) *v2.Settings) []*client {
	made := make([]*client, o.Count("connections", 1))
	for i := range made {
		made[i] = dial(o, settings(o))
	}
	return made
}

func runSend(o options) ([]*result, float64) {
	made := clients(o, producing)
	workers := len(made) * o.Count("in-flight", 1)
	return loop(o, workers, func(worker int) func(r *result) { return sender(made[worker%len(made)], o) }), o.Number("seconds", 0)
}

// store sends so many messages, 64 at a time.
func store(o options, count int) {
	made := clients(o, producing)
	var left atomic.Int64
	left.Store(int64(count))
	var done sync.WaitGroup
	for i := range 64 {
		done.Add(1)
		go func() {
			defer done.Done()
			send := sender(made[i%len(made)], o)
			for left.Add(-1) >= 0 {
				r := &result{}
				for send(r); r.Messages == 0; send(r) {
					if r.Requests > 20 {
						fail("storing: %v", r.Errors)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		}()
	}
	done.Wait()
}

func endpoints(o options) *v2.Endpoints {
	return &v2.Endpoints{Scheme: v2.AddressScheme_IPv4, Addresses: []*v2.Address{
		{Host: "127.0.0.1", Port: int32(o.Count("port", 0))}}}
}

func queues(c *client, o options) []*v2.MessageQueue {
	answer, err := c.QueryRoute(c.ctx, &v2.QueryRouteRequest{Topic: topicOf(o), Endpoints: endpoints(o)})
	if err != nil || answer.GetStatus().GetCode() != v2.Code_OK {
		fail("route: %v %v", err, answer.GetStatus())
	}
	return answer.GetMessageQueues()
}

func runReceive(o options) ([]*result, float64) {
	count := o.Count("count", 20000)
	store(o, count+count/10)
	made := clients(o, consuming)
	workers := len(made) * o.Count("in-flight", 1)
	results := make([]*result, workers)
	var taken atomic.Int64
	var done sync.WaitGroup
	limit := time.Now().Add(60 * time.Second)
	began := time.Now()
	announce("measuring")
	for i := range workers {
		r := &result{}
		results[i] = r
		done.Add(1)
		go func() {
			defer done.Done()
			c := made[i%len(made)]
			all := queues(c, o)
			for turn := i; taken.Load() < int64(count); turn++ {
				if time.Now().After(limit) {
					r.Refused("not all came within 60 s")
					return
				}
				start := time.Now()
				got := receiveAndAck(c, o, all[turn%len(all)], r)
				if got > 0 {
					r.Latency.Record(int64(time.Since(start)))
				}
				r.Messages += int64(got)
				taken.Add(int64(got))
			}
		}()
	}
	done.Wait()
	announce("measured")
	return results, time.Since(began).Seconds()
}

func receiveAndAck(c *client, o options, queue *v2.MessageQueue, r *result) int {
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	stream, err := c.ReceiveMessage(ctx, &v2.ReceiveMessageRequest{
		Group: groupOf(o), MessageQueue: queue, BatchSize: batch, InvisibleDuration: durationpb.New(60 * time.Second),
		LongPollingTimeout: durationpb.New(0),
		FilterExpression:   &v2.FilterExpression{Type: v2.FilterType_TAG, Expression: "*"}})
	if err != nil {
		r.Refused(err.Error())
		return 0
	}
	r.Requests++
	entries := make([]*v2.AckMessageEntry, 0, batch)
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			r.Refused(err.Error())
			return 0
		}
		if message := answer.GetMessage(); message != nil {
			if len(message.GetBody()) != o.Count("body-size", 1024) {
				r.Refused("another body")
			}
			properties := message.GetSystemProperties()
			entries = append(entries, &v2.AckMessageEntry{MessageId: properties.GetMessageId(), ReceiptHandle: properties.GetReceiptHandle()})
		} else if status := answer.GetStatus(); status != nil && status.GetCode() != v2.Code_OK && status.GetCode() != v2.Code_MESSAGE_NOT_FOUND {
			r.Refused(status.GetCode().String() + ": " + status.GetMessage())
		}
	}
	if len(entries) == 0 {
		return 0
	}
	answer, err := c.AckMessage(ctx, &v2.AckMessageRequest{Group: groupOf(o), Topic: topicOf(o), Entries: entries})
	if err != nil || answer.GetStatus().GetCode() != v2.Code_OK {
		r.Refused(fmt.Sprintf("ack: %v %v", err, answer.GetStatus()))
		return 0
	}
	r.Requests++
	return len(entries)
}

func runIdle(o options) ([]*result, float64) {
	made := make([]*client, o.Count("connections", 1))
	var done sync.WaitGroup
	for first := range 32 {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := first; i < len(made); i += 32 {
				made[i] = dial(o, nil)
				queues(made[i], o)
			}
		}()
	}
	done.Wait()
	announce("connected")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if len(queues(made[len(made)-1], o)) == 0 {
		fail("the last connection is not answered any more")
	}
	return nil, 0
}

// ask makes one Remoting request; header and body as JSON.
func ask(connection net.Conn, header, body string) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(body)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	frame = append(append(frame, header...), body...)
	_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := connection.Write(frame); err != nil {
		fail("create: %v", err)
	}
	var size [4]byte
	if _, err := io.ReadFull(connection, size[:]); err != nil {
		fail("create: %v", err)
	}
	answer := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<20))
	if _, err := io.ReadFull(connection, answer); err != nil {
		fail("create: %v", err)
	}
	if !strings.Contains(strings.ReplaceAll(string(answer), " ", ""), `"code":0`) {
		fail("create: %q", answer)
	}
}

func runCreate(o options) ([]*result, float64) {
	connection, err := net.Dial("tcp", "127.0.0.1:"+o.Text("broker-port", o.Text("port", "")))
	if err != nil {
		fail("create: %v", err)
	}
	defer connection.Close()
	request := `{"code":%d,"flag":0,"language":"JAVA","opaque":1,"serializeTypeCurrentRPC":"JSON","version":513,"extFields":{%s}}`
	ask(connection, fmt.Sprintf(request, 17, `"topic":"`+topicOf(o).Name+`","defaultTopic":"TBW102","readQueueNums":"8",`+
		`"writeQueueNums":"8","perm":"6","topicFilterType":"SINGLE_TAG","topicSysFlag":"0","order":"false",`+
		`"attributes":"+message.type=MIXED"`), "")
	ask(connection, fmt.Sprintf(request, 200, ""), `{"groupName":"`+groupOf(o).Name+`","consumeEnable":true,`+
		`"consumeFromMinEnable":true,"consumeBroadcastEnable":true,"retryQueueNums":1,"retryMaxTimes":16,"brokerId":0,`+
		`"whichBrokerWhenConsumeSlowly":1,"notifyConsumerIdsChangedEnable":true}`)
	// A new topic is told from the broker to the proxy's routes only after a while.
	c := dial(o, nil)
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		answer, err := c.QueryRoute(c.ctx, &v2.QueryRouteRequest{Topic: topicOf(o), Endpoints: endpoints(o)})
		if err == nil && answer.GetStatus().GetCode() == v2.Code_OK {
			break
		}
		if time.Now().After(deadline) {
			fail("create: no route: %v %v", err, answer.GetStatus())
		}
	}
	return []*result{{Messages: 1}}, 0
}

func main() {
	modes := map[string]generating.Mode{"create": runCreate, "send": runSend, "receive": runReceive, "idle": runIdle}
	generating.Main(modes, "TOO_MANY_REQUESTS")
}
