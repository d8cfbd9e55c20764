package llmtoken

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAFailureIsTriedAgain(t *testing.T) {
	for _, status := range []int{302, 401, 403, 404, 405, 407, 408, 425, 429, 500, 502, 503, 504} {
		c := collect(t, status)
		s := start(t, to(c))
		admit(s, small(), nil)
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
		admit(s, small(), nil)
		eventually(t, fmt.Sprint("given up after ", status), func() bool { return s.account().FailedBy[refused] == 1 })
		admit(s, small(), nil)
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
		admit(s, small(), nil)
	}
	eventually(t, "9 accepted", func() bool { return c.accepted() == 9 })
	seen := map[string]bool{}
	for _, r := range c.reports(t) {
		seen[r.RequestID] = true
	}
	if len(seen) != 9 {
		t.Errorf("%d different reports", len(seen))
	}
}

func TestRejectedLinesAreCountedAsFailed(t *testing.T) {
	c := collect(t)
	c.body = `{"status":"ok","accepted":1,"rejected":[{"line":0,"error":"bad"},{"line":2,"error":"worse"}]}`
	s := start(t, to(c))
	admit(s, small(), nil)
	eventually(t, "2 failed", func() bool { return s.account().FailedBy[rejected] == 2 })
}

func TestAnAnswerThatIsNotOursCountsAsTaken(t *testing.T) {
	for _, body := range []string{"", "<html>", `[]`, `{"rejected": 3}`} {
		if reasons := rejections([]byte(body)); len(reasons) != 0 {
			t.Errorf("%q: %v", body, reasons)
		}
	}
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

func TestABatchIsHalvedAtTheEndOfLineNextToItsMiddle(t *testing.T) {
	cases := []struct {
		lengths []int  // of the lines
		largest int    // bytes that the collector takes
		want    string // lines of each batch that was taken
	}{
		{[]int{10, 10, 10, 10}, 20, "[2 2]"},
		{[]int{70, 10, 10, 10}, 70, "[1 3]"}, // the first is longer than half
		{[]int{10, 10, 10, 70}, 70, "[3 1]"},
		{[]int{200, 1}, 200, "[1 1]"},
		{[]int{10, 35, 10, 45}, 55, "[2 2]"},
		{[]int{10, 45, 10, 35}, 55, "[2 2]"},
		{[]int{60, 40}, 60, "[1 1]"},
		{[]int{40, 60}, 60, "[1 1]"},
	}
	for _, test := range cases {
		c := collect(t)
		c.most = test.largest
		s := idle(to(c))
		lines := []byte{}
		for i, length := range test.lengths {
			lines = append(lines, bytes.Repeat([]byte{byte('a' + i)}, length-1)...)
			lines = append(lines, '\n')
		}
		if _, failed := s.ship(lines); failed != 0 {
			t.Errorf("%+v: %d failed", test, failed)
		}
		if got := fmt.Sprint(c.batches[1:]); got != test.want || !bytes.Equal(bytes.Join(c.lines, nil), lines) {
			t.Errorf("%+v: %s, %q", test, got, c.lines)
		}
	}
}

func TestTheLineThatIsTooLargeIsGivenUpAlone(t *testing.T) {
	c := collect(t)
	c.most = 50
	s := idle(to(c))
	lines := strings.Repeat("a", 9) + "\n" + strings.Repeat("b", 99) + "\n" + strings.Repeat("c", 9) + "\n"
	reason, failed := s.ship([]byte(lines))
	s.ledger.fail(reason, failed)
	if a := s.account(); a.Failed != 1 || a.FailedBy[refused] != 1 || c.accepted() != 2 {
		t.Errorf("%+v, %d accepted", a, c.accepted())
	}
}

func TestReportsAreCompressedIfSoConfigured(t *testing.T) {
	for _, packed := range []bool{true, false} {
		c := collect(t)
		how := to(c)
		how.gzip = packed
		s := start(t, how)
		r := sized(10000)
		admit(s, r, nil)
		eventually(t, "delivered", func() bool { return c.accepted() == 1 })
		header := c.headers[0]
		if got := c.reports(t)[0]; got.ResponseBody != strings.Repeat("x", 10000) || header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%+v", got)
		}
		length := header.Get("Content-Length")
		if (header.Get("Content-Encoding") == "gzip") != packed || (len(length) < 5) != packed {
			t.Errorf("%q, %s bytes", header.Get("Content-Encoding"), length)
		}
	}
}

// told is what the collector was told of losses with each batch.
func (c *collector) told(t *testing.T) []account {
	t.Helper()
	c.lock.Lock()
	defer c.lock.Unlock()
	all := []account{}
	for _, header := range c.headers {
		a := account{}
		if err := json.Unmarshal([]byte(header.Get("Llmtoken-Source")), &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func TestEveryBatchSaysWhatIsLostUntilNow(t *testing.T) {
	c := collect(t, 503, 400)
	s := start(t, to(c))
	admit(s, small(), nil)
	eventually(t, "given up", func() bool { return s.account().Failed == 1 })
	admit(s, small(), nil)
	eventually(t, "delivered", func() bool { return c.accepted() == 1 })
	told := c.told(t)
	if len(told) != 3 || told[1].Failed != 0 || told[2].Failed != 1 || told[2].FailedBy[refused] != 1 || told[2].Sequence != 2 ||
		told[0].Boot != s.account().Boot {
		t.Errorf("%+v", told)
	}
}

// hush makes a sender believe that it has sent nothing for that long.
func hush(s *sender, since time.Duration) {
	s.toldLock.Lock()
	defer s.toldLock.Unlock()
	s.heard = time.Now().Add(-since)
}

func TestLossesThatNoBatchTellsOfAreToldOnceItIsQuiet(t *testing.T) {
	c := collect(t)
	s := idle(to(c))
	s.tellLosses()
	hush(s, 2*quiet)
	s.tellLosses()
	if c.asked() != 0 {
		t.Error("told of nothing")
	}
	s.ledger.drop(queueFull, 3)
	hush(s, 0)
	s.tellLosses()
	if c.asked() != 0 {
		t.Error("told too early")
	}
	hush(s, 2*quiet)
	s.tellLosses()
	told := c.told(t)
	if len(told) != 1 || told[0].Dropped != 3 || told[0].DroppedBy[queueFull] != 3 || c.batches[0] != 0 || c.accepted() != 0 {
		t.Errorf("%+v", told)
	}
	hush(s, 2*quiet)
	s.tellLosses()
	if c.asked() != 1 {
		t.Error("told twice")
	}
}

func TestLossesThatCouldNotBeToldAreToldLater(t *testing.T) {
	c := collect(t, 503)
	s := idle(to(c))
	s.ledger.fail(unwritable, 1)
	for i := 1; i <= 2; i++ {
		hush(s, 2*quiet)
		s.tellLosses()
		s.tellLosses() // not again at once
		if c.asked() != i {
			t.Errorf("asked %d times, not %d", c.asked(), i)
		}
	}
	if told := c.told(t); told[1].FailedBy[unwritable] != 1 {
		t.Errorf("%+v", told)
	}
}

func TestARunningSenderTellsOfLossesByItself(t *testing.T) {
	c := collect(t)
	s := start(t, to(c))
	s.ledger.drop(queueFull, 1)
	hush(s, 2*quiet)
	eventually(t, "told", func() bool { return c.asked() == 1 })
}

func TestASenderThatNobodyUsesGivesUpItsQueueInTheEnd(t *testing.T) {
	c := collect(t)
	c.leave(true)
	s := idle(to(c))
	neglect(s, 2*patience)
	admit(s, small(), nil)
	s.batch.taken = s.take()
	writeReports(&s.batch, s.account(), 10, mebibyte, s.flush)
	s.flush()
	if a := s.account(); a.FailedBy[refused] != 1 || s.count() != 0 {
		t.Errorf("%+v, %d wait", a, s.count())
	}
}
