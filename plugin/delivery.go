package llmtoken

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	random "math/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	firstWait = 200 * time.Millisecond // before the first retry; doubled each time
	maxWait   = 30 * time.Second
	// The collector may ask for longer.
	maxRetryAfter = 5 * time.Minute
	// How long a batch is offered to a collector that says no in a way that a person may mend (a wrong
	// token or address), and how long a sender that no route uses any more tries to be rid of its queue.
	patience      = 10 * time.Minute
	complainEvery = time.Minute
	maxAnswer     = 1 << 20
)

// ship delivers lines that end at the given offsets, however long that takes: while the
// collector is away the queue fills, and then new reports are dropped and counted.
// Only lines that the collector will never take are given up; ship says how many.
func (s *sender) ship(lines []byte, ends []int) int {
	start, wait := time.Now(), firstWait
	for {
		a := s.post(lines)
		switch {
		case a.delivered():
			return s.settle(a)
		case a.status == http.StatusRequestEntityTooLarge && len(ends) > 1:
			return s.halve(lines, ends)
		case a.hopeless(), a.refused() && time.Since(start) > patience, s.unused(patience):
			s.complain("reports are lost: "+a.problem, strconv.Itoa(len(ends)))
			return len(ends)
		}
		s.complain("reports wait: "+a.problem, s.state())
		s.pause(longer(jitter(wait), a.retryAfter))
		wait = shorter(2*wait, maxWait)
	}
}

// state describes the queue for the log.
func (s *sender) state() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return fmt.Sprintf("%d wait, %d dropped so far", s.waiting, s.dropped)
}

// halve delivers a batch that is too large for the collector in two.
func (s *sender) halve(lines []byte, ends []int) int {
	middle := len(ends) / 2
	cut := ends[middle-1]
	rest := make([]int, 0, len(ends)-middle)
	for _, end := range ends[middle:] {
		rest = append(rest, end-cut)
	}
	return s.ship(lines[:cut], ends[:middle]) + s.ship(lines[cut:], rest)
}

// settle reads what became of a delivered batch, and says how many lines of it were refused.
func (s *sender) settle(a answer) int {
	if len(a.rejected) > 0 {
		s.complain("the collector rejected reports", fmt.Sprintf("%d, the first because: %s", len(a.rejected), a.rejected[0]))
	}
	return len(a.rejected)
}

// pause waits, but not when Traefik is about to end: then it is now or never.
func (s *sender) pause(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.stopping:
		time.Sleep(firstWait)
	}
}

// complain logs a problem, the same one at most once a minute.
func (s *sender) complain(problem, detail string) {
	if problem == s.complaint && time.Since(s.complained) < complainEvery {
		return
	}
	s.complaint = problem // one by one: Yaegi loses the variable of an assignment that also has a call
	s.complained = time.Now()
	log.Printf("llmtoken: %s (%s)", problem, detail)
}

// answer is what came back for a batch.
type answer struct {
	status     int // 0 when nothing came
	problem    string
	retryAfter time.Duration
	rejected   []string
}

func (a answer) delivered() bool { return a.status >= 200 && a.status < 300 }

// refused says that the collector, or something in its place, doesn't want to hear us: the token
// or the address may be wrong, or what knows them not ready. The reports themselves may be fine.
func (a answer) refused() bool {
	switch a.status {
	case 401, 403, 404, 405, 407:
		return true
	}
	return a.status >= 300 && a.status < 400
}

// hopeless says that these lines will never be taken.
func (a answer) hopeless() bool {
	again := a.status == http.StatusRequestTimeout || a.status == http.StatusTooEarly || a.status == http.StatusTooManyRequests
	return a.status >= 400 && a.status < 500 && !again && !a.refused()
}

// name is the collector's address for the log, without what may be secret in it.
func (s *sender) name() string {
	address, _ := url.Parse(s.url) // checked when it was configured
	return address.Scheme + "://" + address.Host + address.Path
}

func (s *sender) post(lines []byte) answer {
	req, err := http.NewRequest(http.MethodPost, s.url, bytes.NewReader(lines))
	if err != nil {
		return answer{problem: err.Error()}
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if wrapped, ok := err.(*url.Error); ok {
		err = wrapped.Err // without the address, which may hold a password
	}
	if err != nil {
		return answer{problem: s.name() + " doesn't answer: " + err.Error()}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	if err != nil { // it may have been delivered; sent again, the collector knows the request id
		return answer{problem: s.name() + " broke off its answer: " + err.Error()}
	}
	a := answer{status: res.StatusCode, problem: s.name() + " answered " + res.Status, retryAfter: retryAfter(res.Header, time.Now())}
	if a.delivered() {
		a.rejected = rejections(body)
	}
	return a
}

// rejections gives the reasons why single lines were refused.
func rejections(body []byte) []string {
	var said struct {
		Rejected []struct {
			Error string `json:"error"`
		} `json:"rejected"`
	}
	if json.Unmarshal(body, &said) != nil { // not our collector; it took the batch
		return nil
	}
	reasons := []string{}
	for _, line := range said.Rejected {
		reasons = append(reasons, line.Error)
	}
	return reasons
}

// retryAfter is how long the collector asks us to wait, given in seconds or as a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return shorter(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(text); err == nil {
		return shorter(date.Sub(now), maxRetryAfter)
	}
	return 0
}

// jitter spreads the retries of many proxies: from half of the wait to all of it.
func jitter(wait time.Duration) time.Duration {
	return wait/2 + time.Duration(random.Int63n(int64(wait/2)+1))
}

func longer(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}
