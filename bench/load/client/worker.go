package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"load/reply"
)

const (
	patience = 60 * time.Second // for one reply
	refusals = 20               // in a row, after which the server is taken for dead
	digits   = 9
)

// worker is one connection, and what happened on it.
type worker struct {
	run     *run
	conn    net.Conn
	reply   *reader
	request []byte
	place   int // of the call's number in the request

	requests, finished, failed, truncated, wrong int64
	bytes, pieces                                int64
	latencies, firsts, lags                      []time.Duration
	calls                                        []call
	errors                                       map[string]int
}

// call is a finished one.
type call struct {
	Number   int64 `json:"number"`
	Finished int64 `json:"finished"` // in nanoseconds since 1970
}

// What a reply can be, besides right.
var (
	errTruncated = errors.New("reply ended early")
	errWrong     = errors.New("reply differs from what the upstream sends")
)

func newWorker(shared *run) *worker {
	ask := ""
	stream := "false"
	if shared.events > 0 {
		ask = fmt.Sprintf("Events: %d\r\nPause: %v\r\n", shared.events, shared.pause)
		stream = "true"
	}
	mark := "call-" + strings.Repeat("0", digits)
	body := `{"model":"gpt-bench","stream":` + stream + `,"messages":[{"role":"user","content":"` + mark + "-"
	end := `"}]}`
	if missing := shared.size - len(body) - len(end); missing > 0 {
		body += strings.Repeat("Tell me about reverse proxies. ", missing/31+1)[:missing]
	}
	body += end
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: llmtoken-bench\r\nAccept: */*\r\n"+
		"Authorization: Bearer sk-bench\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		shared.path, shared.address, ask, len(body), body)
	return &worker{run: shared, request: []byte(request), place: strings.Index(request, mark) + len(mark) - digits,
		errors: map[string]int{}}
}

func (w *worker) work() {
	refused := 0
	for refused < refusals && time.Now().Before(w.run.end) {
		number := w.run.next.Add(1)
		if number > w.run.count {
			break
		}
		if w.conn == nil {
			conn, err := net.DialTimeout("tcp", w.run.address, 5*time.Second)
			if err != nil {
				refused++
				time.Sleep(5 * time.Millisecond)
				continue
			}
			w.conn, w.reply = conn, newReader(conn)
		}
		refused = 0
		w.requests++
		if err := w.exchange(number); err != nil {
			w.note(err)
			w.conn.Close()
			w.conn = nil
		}
	}
	if w.conn != nil {
		w.conn.Close()
	}
}

// exchange is one request and its reply, checked to the last byte.
func (w *worker) exchange(number int64) error {
	for i := w.place + digits - 1; i >= w.place; i-- {
		w.request[i] = byte('0' + number%10)
		number /= 10
	}
	w.conn.SetDeadline(time.Now().Add(patience))
	start := time.Now()
	if _, err := w.conn.Write(w.request); err != nil {
		return err
	}
	r := w.reply
	if err := r.head(); err != nil {
		return err
	}
	if r.status != 200 {
		return fmt.Errorf("status %d", r.status)
	}
	first, err := w.body(r)
	w.bytes += r.count
	w.pieces += r.pieces
	if err != nil {
		return err
	}
	now := time.Now()
	w.finished++
	w.latencies = append(w.latencies, now.Sub(start))
	w.firsts = append(w.firsts, first.Sub(start))
	w.calls = append(w.calls, call{w.number(), now.UnixNano()})
	if r.last {
		w.conn.Close()
		w.conn = nil
	}
	return nil
}

// body reads and compares, and tells when the first byte of it came.
func (w *worker) body(r *reader) (first time.Time, err error) {
	if w.run.events == 0 {
		if first, err = r.expect(reply.JSON); err != nil {
			return first, err
		}
		return first, r.end()
	}
	for number := 0; number < w.run.events; number++ {
		event, began, err := r.take(reply.EventSize)
		if err != nil {
			return first, err
		}
		sent, right := reply.Sent(event, number)
		if !right {
			return first, errWrong
		}
		w.lags = append(w.lags, time.Since(sent))
		if number == 0 {
			first = began
		}
	}
	if _, err = r.expect(reply.Done); err != nil {
		return first, err
	}
	return first, r.end()
}

func (w *worker) number() int64 {
	var number int64
	for _, digit := range w.request[w.place : w.place+digits] {
		number = number*10 + int64(digit-'0')
	}
	return number
}

func (w *worker) note(err error) {
	switch {
	case errors.Is(err, errWrong):
		w.wrong++
	case errors.Is(err, errTruncated):
		w.truncated++
	default:
		w.failed++
	}
	text := err.Error()
	if _, what, found := strings.Cut(text, "->"); found { // without ports, which differ
		_, text, _ = strings.Cut(what, ": ")
	}
	w.errors[text]++
}
