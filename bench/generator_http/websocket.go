package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"
)

// webSocket upgrades a new connection. binary: the sub-protocol of MessagePack.
func webSocket(o options, isBinary bool, readSize int) (*connection, error) {
	c := dial(o, readSize)
	protocol := "Sec-WebSocket-Protocol: rmqgateway.v1.json\r\n"
	if isBinary {
		protocol = "Sec-WebSocket-Protocol: rmqgateway.v1.msgpack\r\n"
	}
	target := "/"
	if nchan(o) {
		protocol, target = "", "/sub/"+o.Text("topic", "bench")
	}
	more := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + protocol
	if _, err := c.Write(request("GET", target, more, nil)); err != nil {
		return c, err
	}
	status, _, err := c.head()
	if err == nil && status != 101 {
		err = fmt.Errorf("an upgrade was answered with %d", status)
	}
	return c, err
}

// frame appends a masked message (RFC 6455 5.2).
func frame(out, message []byte, isBinary bool) []byte {
	code := byte(0x81)
	if isBinary {
		code = 0x82
	}
	out = append(out, code)
	switch size := len(message); {
	case size < 126:
		out = append(out, 0x80|byte(size))
	case size < 65536:
		out = append(out, 0x80|126, byte(size>>8), byte(size))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(size))
	}
	mask := [4]byte{}
	binary.BigEndian.PutUint32(mask[:], rand.Uint32())
	out = append(out, mask[:]...)
	at := len(out)
	out = append(out, message...)
	for i := range message {
		out[at+i] ^= mask[i&3]
	}
	return out
}

// receive reads the next message; pings are answered.
func (c *connection) receive() ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return nil, err
		}
		size := int(head[1] & 0x7f)
		if size >= 126 {
			var more [8]byte
			width := 2
			if size == 127 {
				width = 8
			}
			if _, err := io.ReadFull(c.in, more[8-width:]); err != nil {
				return nil, err
			}
			size = int(binary.BigEndian.Uint64(more[:]))
		}
		if cap(c.body) < size {
			c.body = make([]byte, size)
		}
		body := c.body[:size]
		if _, err := io.ReadFull(c.in, body); err != nil {
			return nil, err
		}
		switch head[0] & 0x0f {
		case 1, 2:
			return body, nil
		case 8:
			return nil, fmt.Errorf("closed: %q", body)
		case 9:
			if _, err := c.Write(pong(body)); err != nil {
				return nil, err
			}
		}
	}
}

func pong(body []byte) []byte {
	out := frame(nil, body, false)
	out[0] = 0x8a
	return out
}

func packText(out []byte, text string) []byte {
	if len(text) < 32 {
		return append(append(out, 0xa0|byte(len(text))), text...)
	}
	return append(append(out, 0xd9, byte(len(text))), text...)
}

func packNumber(out []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(out, 0xcf), number)
}

func sendFrame(isBinary bool, id uint64, topic string, body []byte) []byte {
	if !isBinary {
		return []byte(fmt.Sprintf(`{"op":"send","id":%d,"topic":%q,"messages":[{"text":%q}]}`, id, topic, body))
	}
	out := packText(packText([]byte{0x84}, "op"), "send")
	out = packNumber(packText(out, "id"), id)
	out = packText(packText(out, "topic"), topic)
	out = packText(append(packText(out, "messages"), 0x91, 0x81), "body")
	out = append(out, 0xc5, byte(len(body)>>8), byte(len(body)))
	return append(out, body...)
}

// idOf finds a reply's number; whether it is a confirmation.
func idOf(isBinary bool, reply []byte) (uint64, bool) {
	good := bytes.Contains(reply, []byte("sent"))
	if isBinary {
		at := bytes.Index(reply, []byte("\xa2id"))
		if at < 0 || at+4 > len(reply) {
			return 0, false
		}
		rest := reply[at+3:]
		switch code := rest[0]; {
		case code < 0x80:
			return uint64(code), good
		case code == 0xcc:
			return uint64(rest[1]), good
		case code == 0xcd:
			return uint64(binary.BigEndian.Uint16(rest[1:])), good
		case code == 0xce:
			return uint64(binary.BigEndian.Uint32(rest[1:])), good
		}
		return 0, false
	}
	at := bytes.Index(reply, []byte(`"id":`))
	if at < 0 {
		return 0, false
	}
	number := uint64(0)
	for _, digit := range reply[at+5:] {
		if digit < '0' || digit > '9' {
			break
		}
		number = number*10 + uint64(digit-'0')
	}
	return number, good
}

func runWebSocketSend(o options, w *window) []*result {
	isBinary, inFlight := o.Count("binary", 0) > 0, o.Count("in-flight", 1)
	body := payload(o.Count("body-size", 1024))
	return closedLoop(o, w, nil, func(_ int, r *result) {
		c, err := webSocket(o, isBinary, 16384)
		defer c.Close()
		sent := map[uint64]time.Time{}
		id := uint64(0)
		var out []byte
		for err == nil {
			out = out[:0]
			for len(sent) < inFlight && w.goes() {
				id++
				sent[id] = time.Now()
				out = frame(out, sendFrame(isBinary, id, o.Text("topic", "bench"), body), isBinary)
			}
			if len(out) > 0 {
				if _, err = c.Write(out); err != nil {
					break
				}
			}
			if len(sent) == 0 {
				return
			}
			// What has come already is read together, so that what follows goes in one write too.
			for more := true; more && err == nil; more = c.in.Buffered() > 0 {
				var reply []byte
				if reply, err = c.receive(); err != nil {
					break
				}
				number, good := idOf(isBinary, reply)
				at, known := sent[number]
				delete(sent, number)
				if !known {
					r.Unexpected++
				} else if w.counts(at) {
					r.Requests++
					if good {
						r.Messages++
						r.Latency.Record(int64(time.Since(at)))
					} else {
						r.Refused("error")
					}
				}
			}
		}
		r.Broken(err)
	})
}

// runWebSocketDeliver drains what is stored, acknowledging and granting credit in batches.
func runWebSocketDeliver(o options, w *window) []*result {
	isBinary, batch := o.Count("binary", 0) > 0, 32
	return closedLoop(o, w, nil, func(index int, r *result) {
		c, err := webSocket(o, isBinary, 65536)
		defer c.Close()
		topic, group := o.Text("topic", "bench"), uniqueGroup(index)
		if isBinary {
			out := packText(packText([]byte{0x86}, "op"), "subscribe")
			out = packNumber(packText(out, "id"), 1)
			out = packText(packText(out, "subscription"), "s")
			out = packText(packText(out, "topic"), topic)
			out = packText(packText(out, "group"), group)
			out = packNumber(packText(out, "credit"), uint64(8*batch))
			_, err = c.Write(frame(nil, out, true))
		} else if err == nil {
			text := fmt.Sprintf(`{"op":"subscribe","id":1,"subscription":"s","topic":%q,"group":%q,"credit":%d}`, topic, group, 8*batch)
			_, err = c.Write(frame(nil, []byte(text), false))
		}
		number, settled := uint64(0), uint64(0)
		for err == nil {
			_ = c.SetReadDeadline(w.stop.Add(time.Second))
			var message []byte
			if message, err = c.receive(); err != nil {
				break
			}
			now := time.Now()
			if w.over(now) {
				return
			}
			if bytes.Contains(message[:min(len(message), 64)], []byte("deliver")) {
				number++
				if w.counts(now) {
					r.Messages++
				}
			} else if bytes.Contains(message, []byte("error")) {
				r.Refused(string(message[:min(len(message), 200)]))
				return
			}
			if number >= settled+uint64(batch) {
				_, err = c.Write(settleFrames(isBinary, settled, number))
				settled = number
			}
		}
		if !isTimeout(err) {
			r.Broken(err)
		}
	})
}

func settleFrames(isBinary bool, settled, number uint64) []byte {
	count := number - settled
	if isBinary {
		out := packText(packText([]byte{0x83}, "op"), "ack")
		out = packText(packText(out, "subscription"), "s")
		out = append(packText(out, "numbers"), 0xdc, byte(count>>8), byte(count))
		for one := settled + 1; one <= number; one++ {
			out = packNumber(out, one)
		}
		credit := packText(packText([]byte{0x83}, "op"), "credit")
		credit = packText(packText(credit, "subscription"), "s")
		credit = packNumber(packText(credit, "messages"), count)
		return frame(frame(nil, out, true), credit, true)
	}
	text := []byte(`{"op":"ack","subscription":"s","numbers":[`)
	for one := settled + 1; one <= number; one++ {
		text = append(strconv.AppendUint(text, one, 10), ',')
	}
	text = append(text[:len(text)-1], ']', '}')
	credit := []byte(fmt.Sprintf(`{"op":"credit","subscription":"s","messages":%d}`, count))
	return frame(frame(nil, text, false), credit, false)
}

// runIdle opens WebSockets that say nothing (or, with --kind http, kept-alive connections) until a line comes.
func runIdle(o options, w *window) []*result {
	count := o.Count("connections", 1000)
	r := &result{}
	var lock sync.Mutex
	var open sync.WaitGroup
	connections := make([]*connection, count)
	gate := make(chan struct{}, 64)
	for i := range count {
		open.Add(1)
		go func() {
			defer open.Done()
			gate <- struct{}{}
			defer func() { <-gate }()
			c, err := webSocket(o, false, 1024)
			connections[i] = c
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				r.Broken(err)
			} else {
				r.Messages++
			}
		}()
	}
	open.Wait()
	announce("connected")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		fail("%v", err)
	}
	for _, c := range connections {
		c.Close()
	}
	return []*result{r}
}
