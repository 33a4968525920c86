package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

type connection struct {
	net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(o options, readSize int) *connection {
	address := net.JoinHostPort(o.Text("host", "127.0.0.1"), o.Text("port", "8080"))
	var conn net.Conn
	var err error
	for try := range 20 {
		conn, err = (&net.Dialer{Timeout: 10 * time.Second}).Dial("tcp", address)
		if err == nil {
			break
		}
		time.Sleep(time.Duration(50*(try+1)) * time.Millisecond)
	}
	if err != nil {
		fail("%v", err)
	}
	if o.Count("tls", 0) > 0 {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	return &connection{Conn: conn, in: bufio.NewReaderSize(conn, readSize)}
}

// head writes a request and reads the status and the fields that frame the body: its length, -1 for chunks.
func (c *connection) head() (status int, length int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 {
		return 0, 0, fmt.Errorf("status line %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, 0, err
	}
	for {
		line, err = c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return status, length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) == 14 && bytes.EqualFold(name, []byte("content-length")) {
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return 0, 0, err
			}
		} else if len(name) == 17 && bytes.EqualFold(name, []byte("transfer-encoding")) {
			length = -1
		}
	}
}

// exchange sends a request and reads the whole response; `body` is good until the next one.
func (c *connection) exchange(request []byte) (status int, body []byte, err error) {
	if _, err = c.Write(request); err != nil {
		return 0, nil, err
	}
	status, length, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	if length < 0 {
		return 0, nil, errors.New("a chunked response where none was expected")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	body = c.body[:length]
	_, err = io.ReadFull(c.in, body)
	return status, body, err
}

func request(method, target, more string, body []byte) []byte {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n%s", method, target, more)
	if body != nil {
		head += fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", len(body))
	}
	return append([]byte(head+"\r\n"), body...)
}

func payload(size int) []byte {
	body := make([]byte, size)
	for i := range body {
		body[i] = "rmqgateway bench "[i%17]
	}
	return body
}

func nchan(o options) bool { return o.Text("server", "gateway") == "nchan" }

func sendTarget(o options, topic string) string {
	if nchan(o) {
		return "/pub/" + topic
	}
	return "/v1/topics/" + topic + "/messages"
}

func streamTarget(o options, topic, group string) string {
	if nchan(o) {
		return "/sub/" + topic
	}
	target := "/v1/topics/" + topic + "/groups/" + group + "/stream"
	if broadcasts(o) {
		return target + "?broadcast=true"
	}
	return target
}

func broadcasts(o options) bool { return o.Count("broadcast", 0) != 0 }

// uniqueGroup is new in each run, so that each begins at the first message.
func uniqueGroup(index int) string { return fmt.Sprintf("bench-%x-%d", started, index) }

var started = time.Now().UnixMilli()

func runSend(o options, w *window) []*result {
	message := request("POST", sendTarget(o, o.Text("topic", "bench")), "", payload(o.Count("body-size", 1024)))
	return closedLoop(o, w, nil, func(_ int, r *result) {
		c := dial(o, 4096)
		defer c.Close()
		for w.goes() {
			sent := time.Now()
			status, _, err := c.exchange(message)
			now := time.Now()
			if err != nil {
				r.Broken(err)
				return
			}
			if !w.counts(sent) {
				continue
			}
			r.Requests++
			if status == 201 || (nchan(o) && status == 202) {
				r.Messages++
				r.Latency.Record(int64(now.Sub(sent)))
			} else {
				r.Refused(strconv.Itoa(status))
			}
		}
	})
}

// runReceive receives batches and acknowledges each with one request; every connection has a group of its own.
func runReceive(o options, w *window) []*result {
	topic, batch := o.Text("topic", "bench"), o.Count("batch", 32)
	field := []byte(`"receipt_handle":"`)
	return closedLoop(o, w, nil, func(index int, r *result) {
		c := dial(o, 65536)
		defer c.Close()
		place := "/v1/topics/" + topic + "/groups/" + uniqueGroup(index)
		get := request("GET", place+"/messages?max="+strconv.Itoa(batch), "", nil)
		for w.goes() {
			sent := time.Now()
			status, body, err := c.exchange(get)
			if err == nil && status == 200 {
				handles := []byte(`{"receipt_handles":[`)
				count := 0
				for rest := body; ; count++ {
					at := bytes.Index(rest, field)
					if at < 0 {
						break
					}
					rest = rest[at+len(field)-1:]
					end := bytes.IndexByte(rest[1:], '"') + 2
					if count > 0 {
						handles = append(handles, ',')
					}
					handles = append(handles, rest[:end]...)
					rest = rest[end:]
				}
				if count == 0 {
					r.Unexpected++ // the messages have run out
					return
				}
				more := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(handles)+2)
				acks := append(request("POST", place+"/acks", more, nil), append(handles, ']', '}')...)
				status, _, err = c.exchange(acks)
				if err == nil && status == 200 && w.counts(sent) {
					r.Messages += int64(count)
					r.Requests++
					r.Latency.Record(int64(time.Since(sent)))
				}
			}
			if err != nil {
				r.Broken(err)
				return
			}
			if status != 200 {
				r.Refused(strconv.Itoa(status))
			}
		}
	})
}

// openStream sends the request of a stream and reads the head of its response.
func openStream(o options, topic, group string, readSize int) (*connection, error) {
	c := dial(o, readSize)
	more := "Accept: text/event-stream\r\n"
	if _, err := c.Write(request("GET", streamTarget(o, topic, group), more, nil)); err != nil {
		return c, err
	}
	status, _, err := c.head()
	if err == nil && status != 200 {
		err = fmt.Errorf("a stream was answered with %d", status)
	}
	return c, err
}

// event reads up to the next line of data; what is good of it stays good until the next read.
func (c *connection) event() ([]byte, error) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if bytes.HasPrefix(line, []byte("data: ")) {
			return line, nil
		}
	}
}

// runStream drains what is stored: every connection is a stream of a group of its own.
func runStream(o options, w *window) []*result {
	return closedLoop(o, w, nil, func(index int, r *result) {
		c, err := openStream(o, o.Text("topic", "bench"), uniqueGroup(index), 65536)
		defer c.Close()
		for err == nil {
			_ = c.SetReadDeadline(w.stop)
			if _, err = c.event(); err == nil {
				if now := time.Now(); w.counts(now) {
					r.Messages++
				} else if w.over(now) {
					return
				}
			}
		}
		if !isTimeout(err) {
			r.Broken(err)
		}
	})
}

func isTimeout(err error) bool {
	var found net.Error
	return errors.As(err, &found) && found.Timeout()
}
