package llmtoken

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// collector answers batches with the given statuses, then with 200, and keeps what it accepted.
type collector struct {
	*httptest.Server
	lock     sync.Mutex
	statuses []int
	largest  int // most lines taken at once; 413 above, 0 for no limit
	batches  []int
	lines    [][]byte
	body     string
}

func collect(t *testing.T, statuses ...int) *collector {
	t.Helper()
	c := &collector{statuses: statuses, body: `{"status":"ok"}`}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	c.lock.Lock()
	defer c.lock.Unlock()
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	c.batches = append(c.batches, len(lines))
	if len(c.statuses) > 0 {
		rw.WriteHeader(c.statuses[0])
		c.statuses = c.statuses[1:]
		return
	}
	if c.largest > 0 && len(lines) > c.largest {
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	c.lines = append(c.lines, lines...)
	_, _ = io.WriteString(rw, c.body)
}

func (c *collector) accepted() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return len(c.lines)
}

// to is a way to that collector.
func to(c *collector) shipping {
	return shipping{url: c.URL, queueSize: 100, queueBytes: mebibyte, batchSize: 10, batchBytes: mebibyte,
		flushInterval: time.Millisecond, timeout: time.Second}
}

// small is a finished exchange.
func small() *record {
	return &record{middleware: &Middleware{config: CreateConfig()}, request: post(""), cost: 100}
}

func (s *sender) count() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.waiting
}

func (s *sender) lost() (dropped, failed int64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.dropped, s.failed
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// start runs a sender of its own until the test ends.
func start(t *testing.T, how shipping) *sender {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := acquire(ctx, how)
	t.Cleanup(func() {
		cancel()
		eventually(t, "all done", func() bool { return s.count() == 0 })
		eventually(t, "unused", func() bool { return s.unused(0) })
		sendersLock.Lock()
		s.unusedSince = time.Now().Add(-2 * idleBeforeEnd)
		sendersLock.Unlock()
		eventually(t, "ended", func() bool {
			s.lock.Lock()
			defer s.lock.Unlock()
			return s.ended
		})
	})
	return s
}

func TestReportsAreDeliveredInBatches(t *testing.T) {
	c := collect(t)
	how := to(c)
	how.flushInterval = 50 * time.Millisecond
	s := start(t, how)
	for i := 0; i < 25; i++ {
		enqueue(s, small())
	}
	eventually(t, "25 accepted", func() bool { return c.accepted() == 25 })
	for _, size := range c.batches {
		if size > 10 {
			t.Errorf("a batch of %d", size)
		}
	}
	if c.batches[0] != 10 {
		t.Errorf("the first batch has %d", c.batches[0])
	}
}

func TestABatchKeepsToItsBytesAndABigReportGoesAlone(t *testing.T) {
	c := collect(t)
	how := to(c)
	how.flushInterval, how.batchBytes = 50*time.Millisecond, 4096
	s := start(t, how)
	for _, size := range []int{100, 100, 100000, 100} {
		x := small()
		x.tapped = true
		x.responseCopy.WriteString(strings.Repeat("x", size))
		enqueue(s, x)
	}
	eventually(t, "4 accepted", func() bool { return c.accepted() == 4 })
	if fmt.Sprint(c.batches) != "[2 1 1]" {
		t.Error(c.batches)
	}
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	for _, how := range []shipping{{queueSize: 3, queueBytes: 1 << 40}, {queueSize: 1000, queueBytes: 300}} {
		s := idle(how)
		for i := 0; i < 5; i++ {
			enqueue(s, small())
		}
		if dropped, _ := s.lost(); dropped != 2 || s.count() != 3 || s.sequence != 5 {
			t.Errorf("%+v: %d dropped, %d wait", how, dropped, s.count())
		}
	}
}

func TestAFailureIsTriedAgain(t *testing.T) {
	for _, status := range []int{302, 401, 403, 404, 405, 407, 408, 425, 429, 500, 502, 503, 504} {
		c := collect(t, status)
		s := start(t, to(c))
		enqueue(s, small())
		eventually(t, fmt.Sprint("delivered after ", status), func() bool { return c.accepted() == 1 })
		if _, failed := s.lost(); failed != 0 {
			t.Errorf("%d failed", failed)
		}
	}
}

func TestWhatWillNeverBeTakenIsGivenUp(t *testing.T) {
	for _, status := range []int{400, 413, 415, 422} {
		c := collect(t, status)
		s := start(t, to(c))
		enqueue(s, small())
		eventually(t, fmt.Sprint("given up after ", status), func() bool { _, failed := s.lost(); return failed == 1 })
		enqueue(s, small())
		eventually(t, "the next is delivered", func() bool { return c.accepted() == 1 })
	}
}

func TestABatchThatIsTooLargeIsHalved(t *testing.T) {
	c := collect(t)
	c.largest = 2
	how := to(c)
	how.flushInterval = 50 * time.Millisecond
	s := start(t, how)
	for i := 0; i < 9; i++ {
		enqueue(s, small())
	}
	eventually(t, "9 accepted", func() bool { return c.accepted() == 9 })
	seen := map[string]bool{}
	for _, line := range c.lines {
		seen[string(line)] = true
	}
	if len(seen) != 9 {
		t.Errorf("%d different reports", len(seen))
	}
}

func TestRejectedLinesAreCountedAsFailed(t *testing.T) {
	c := collect(t)
	c.body = `{"status":"ok","accepted":1,"rejected":[{"line":0,"error":"bad"},{"line":2,"error":"worse"}]}`
	s := start(t, to(c))
	enqueue(s, small())
	eventually(t, "2 failed", func() bool { _, failed := s.lost(); return failed == 2 })
}

func TestAnAnswerThatIsNotOursCountsAsTaken(t *testing.T) {
	for _, body := range []string{"", "<html>", `[]`, `{"rejected": 3}`} {
		if reasons := rejections([]byte(body)); len(reasons) != 0 {
			t.Errorf("%q: %v", body, reasons)
		}
	}
}

func TestAReportThatCanNotBeWrittenDoesNotHarmItsNeighbours(t *testing.T) {
	c := collect(t)
	how := to(c)
	how.flushInterval = 50 * time.Millisecond
	s := start(t, how)
	enqueue(s, small())
	enqueue(s, &record{cost: 100}) // writing it panics
	enqueue(s, small())
	eventually(t, "2 accepted", func() bool { return c.accepted() == 2 })
	if _, failed := s.lost(); failed != 1 {
		t.Errorf("%d failed", failed)
	}
}

func TestTheSameShippingSharesASenderAndAnotherDoesNot(t *testing.T) {
	c := collect(t)
	first := start(t, to(c))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if acquire(ctx, to(c)) != first {
		t.Error("two senders for the same shipping")
	}
	other := to(c)
	other.token = "t"
	if start(t, other) == first {
		t.Error("one sender for two tokens")
	}
}

func TestAReportForASenderThatHasEndedGoesToItsSuccessor(t *testing.T) {
	c := collect(t)
	ctx, cancel := context.WithCancel(context.Background())
	old := acquire(ctx, to(c))
	cancel()
	eventually(t, "unused", func() bool { return old.unused(0) })
	sendersLock.Lock()
	old.unusedSince = time.Now().Add(-2 * idleBeforeEnd)
	sendersLock.Unlock()
	eventually(t, "ended", func() bool {
		old.lock.Lock()
		defer old.lock.Unlock()
		return old.ended
	})

	enqueue(old, small())
	eventually(t, "delivered", func() bool { return c.accepted() == 1 })
	if successor := start(t, to(c)); successor == old || successor.boot == old.boot {
		t.Error("the old one lives on")
	}
}

func TestASenderInUseDoesNotEnd(t *testing.T) {
	s := start(t, to(collect(t)))
	sendersLock.Lock()
	s.unusedSince = time.Now().Add(-2 * idleBeforeEnd)
	sendersLock.Unlock()
	if s.end() {
		t.Error("ended")
	}
}

func TestStoppingDeliversAtOnceAndGoesOn(t *testing.T) {
	c := collect(t)
	how := to(c)
	how.flushInterval = time.Minute
	stop := make(chan struct{})
	s := newSender(how, stop)
	go s.run()
	enqueue(s, small())
	close(stop)
	eventually(t, "the first is delivered", func() bool { return c.accepted() == 1 })
	enqueue(s, small())
	eventually(t, "the second is delivered", func() bool { return c.accepted() == 2 })

	sendersLock.Lock()
	s.unusedSince = time.Now().Add(-2 * idleBeforeEnd)
	sendersLock.Unlock()
}

func TestRetryAfterIsReadAndBounded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]time.Duration{
		"": 0, "soon": 0, "-1": -time.Second, "7": 7 * time.Second, "86400": maxRetryAfter,
		"99999999999999999999":                           0,
		now.Add(9 * time.Second).Format(http.TimeFormat): 9 * time.Second,
		now.Add(9 * time.Hour).Format(http.TimeFormat):   maxRetryAfter,
	}
	for text, want := range cases {
		header := http.Header{"Retry-After": {text}}
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestJitterTakesOffUpToHalf(t *testing.T) {
	for i := 0; i < 1000; i++ {
		if wait := jitter(time.Second); wait < time.Second/2 || wait > time.Second {
			t.Fatal(wait)
		}
	}
}

func TestTheLogDoesNotSayWhatIsSecret(t *testing.T) {
	s := idle(shipping{url: "http://user:planted@127.0.0.1:1/api/report?token=planted", timeout: time.Second})
	if a := s.post(nil); strings.Contains(a.problem, "planted") || !strings.Contains(a.problem, "http://127.0.0.1:1/api/report") {
		t.Error(a.problem)
	}
}
