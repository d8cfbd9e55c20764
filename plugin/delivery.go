package llmtoken

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
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
	patience = 10 * time.Minute
	// The same with a spool, which has the room to wait for a person.
	spoolPatience = 24 * time.Hour
	// After how long without a batch losses are told by themselves.
	quiet     = 5 * time.Second
	maxAnswer = 1 << 20
)

// undelivered is no reason of the ledger: the lines are given up, if they are in no file that stays.
const undelivered = "undelivered"

// ship delivers lines, however long that takes: while the collector is away the queue or the spool fills. It
// says how many failed and why; only lines that the collector will never take do.
func (s *sender) ship(lines []byte) (reason string, failed int64) {
	start, wait := time.Now(), firstWait
	for {
		a := s.post(lines)
		switch {
		case a.delivered():
			return rejected, s.settle(a)
		case a.status == http.StatusRequestEntityTooLarge && countLines(lines) > 1:
			return s.halve(lines)
		case a.hopeless(), a.refused() && time.Since(start) > s.patience():
			s.log.complain("reports are lost: "+a.problem, strconv.FormatInt(countLines(lines), 10))
			return refused, countLines(lines)
		case s.unused(patience):
			return undelivered, countLines(lines)
		}
		s.log.complain("reports wait: "+a.problem, s.state())
		s.pause(longer(jitter(wait), a.retryAfter))
		wait = shorter(2*wait, maxWait)
	}
}

func (s *sender) patience() time.Duration {
	if s.spool != nil {
		return spoolPatience
	}
	return patience
}

func countLines(lines []byte) int64 { return int64(bytes.Count(lines, []byte("\n"))) }

// state describes the queue for the log.
func (s *sender) state() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return fmt.Sprintf("%d wait, %d dropped so far", s.queueSize-s.places, s.ledger.now(0).Dropped)
}

// halve delivers a batch that is too large for the collector in two, cut at the end of line next to the middle.
func (s *sender) halve(lines []byte) (string, int64) {
	middle := len(lines) / 2
	cut := bytes.LastIndexByte(lines[:middle], '\n') + 1
	if next := middle + bytes.IndexByte(lines[middle:], '\n') + 1; next < len(lines) && next-middle < middle-cut || cut == 0 {
		cut = next
	}
	reason, failed := s.ship(lines[:cut])
	if reason == undelivered {
		return reason, countLines(lines)
	}
	s.ledger.fail(reason, failed)
	return s.ship(lines[cut:])
}

// settle reads what became of a delivered batch, and says how many lines of it were refused.
func (s *sender) settle(a answer) int64 {
	if len(a.rejected) > 0 {
		s.log.complain("the collector rejected reports", fmt.Sprintf("%d, the first because: %s", len(a.rejected), a.rejected[0]))
	}
	return int64(len(a.rejected))
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

// tellLosses tells the collector of losses that no report has told it of, once nothing has been sent for a while.
func (s *sender) tellLosses() {
	s.toldLock.Lock()
	untold := s.ledger.lost() > s.told && time.Since(s.heard) > quiet
	s.toldLock.Unlock()
	if untold {
		if a := s.post(nil); !a.delivered() {
			s.log.complain("losses can't be told: "+a.problem, s.state())
		}
	}
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

// post sends lines once. All that is known of losses goes along, so that no lines at all are worth sending, too.
func (s *sender) post(lines []byte) answer {
	told := s.account()
	req, err := s.request(lines)
	if err != nil {
		return answer{problem: err.Error()}
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Llmtoken-Source", told.header())
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	s.toldLock.Lock()
	s.heard = time.Now()
	s.toldLock.Unlock()
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
		s.toldLock.Lock()
		s.told = told.lost()
		s.toldLock.Unlock()
	}
	return a
}

// request makes the request of a batch, compressed if so configured.
func (s *sender) request(lines []byte) (*http.Request, error) {
	if !s.gzip {
		return http.NewRequest(http.MethodPost, s.url, bytes.NewReader(lines))
	}
	var packed bytes.Buffer
	packer, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil { // of a level that gzip doesn't have
		return nil, err
	}
	_, _ = packer.Write(lines) // into memory
	_ = packer.Close()
	req, err := http.NewRequest(http.MethodPost, s.url, &packed)
	if err == nil {
		req.Header.Set("Content-Encoding", "gzip")
	}
	return req, err
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
