package llmtoken

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
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
	// How long a sender that no route uses waits before it ends. A reload takes the routes away for a moment.
	idleBeforeEnd = time.Minute
	complainEvery = time.Minute
	maxAnswer     = 1 << 20
	// What the queue's byte count stands at once its sender has ended. No report fits then, so
	// finding that out costs the ones that do nothing.
	ended = int64(1) << 60
)

// shipping is how reports get to the collector. Middlewares that agree on it share a sender.
type shipping struct {
	url, token             string
	queueSize              int
	queueBytes             int64
	batchSize, batchBytes  int
	flushInterval, timeout time.Duration
}

// sender queues the exchanges of all middlewares with the same shipping, and delivers them in
// batches from one goroutine. It outlives the middlewares: Traefik makes those anew on every
// change of its dynamic configuration.
type sender struct {
	shipping
	client *http.Client
	boot   string // random; request ids begin with it
	queue  chan *exchange
	queued atomic.Int64 // bytes waiting in the queue

	sequence atomic.Int64 // exchanges finished
	dropped  atomic.Int64 // of those, not queued because the queue was full
	failed   atomic.Int64 // of those, not delivered

	users       int       // middlewares, guarded by sendersLock
	unusedSince time.Time // guarded by sendersLock

	// What follows belongs to the goroutine.
	batch      bytes.Buffer // NDJSON
	ends       []int        // where each line of it ends
	stopping   chan struct{}
	complaint  string
	complained time.Time
}

// ── Which senders there are ──────────────────────────────────────────────────────────────

var (
	sendersLock sync.Mutex
	senders     = map[string]*sender{}
	stopping    chan struct{} // closed when Traefik is asked to stop; made with the first sender
)

// acquire gives the sender for this shipping, started if need be, until the context ends.
func acquire(ctx context.Context, how shipping) *sender {
	sendersLock.Lock()
	defer sendersLock.Unlock()
	s := lookup(how)
	s.users++
	context.AfterFunc(ctx, func() { release(s) })
	return s
}

func release(s *sender) {
	sendersLock.Lock()
	defer sendersLock.Unlock()
	s.users--
	s.unusedSince = time.Now()
}

// lookup needs sendersLock.
func lookup(how shipping) *sender {
	key := fmt.Sprintf("%+v", how)
	s := senders[key]
	if s == nil {
		if stopping == nil {
			stopping = make(chan struct{})
			watchSignals(stopping)
		}
		s = newSender(how, stopping)
		senders[key] = s
		go s.run()
	}
	return s
}

func newSender(how shipping, stopping chan struct{}) *sender {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1
	random := make([]byte, 8)
	_, _ = rand.Read(random)
	return &sender{
		shipping: how,
		client: &http.Client{
			Transport: transport, Timeout: how.timeout,
			// A redirected POST would arrive without its reports, or take the token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		boot: hex.EncodeToString(random), queue: make(chan *exchange, how.queueSize),
		unusedSince: time.Now(), stopping: stopping,
	}
}

// watchSignals closes the channel when Traefik is asked to stop. Plugins have no hook for
// that, and Yaegi no package syscall, so SIGTERM is made from os.Interrupt's type.
func watchSignals(stopping chan struct{}) {
	terminate := reflect.New(reflect.TypeOf(os.Interrupt)).Elem()
	terminate.SetInt(15)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, terminate.Interface().(os.Signal))
	go func() {
		<-signals
		close(stopping)
	}()
}

// unused says whether no middleware uses the sender, and has not for that long.
func (s *sender) unused(since time.Duration) bool {
	sendersLock.Lock()
	defer sendersLock.Unlock()
	return s.users == 0 && time.Since(s.unusedSince) > since
}

// end takes an idle sender that nobody uses out of service.
func (s *sender) end() bool {
	if !s.unused(idleBeforeEnd) {
		return false
	}
	sendersLock.Lock()
	defer sendersLock.Unlock()
	if s.users > 0 || !s.queued.CompareAndSwap(0, ended) {
		return false
	}
	delete(senders, fmt.Sprintf("%+v", s.shipping))
	s.client.CloseIdleConnections()
	return true
}

// ── The queue ────────────────────────────────────────────────────────────────────────────

// enqueue takes a finished exchange, or counts it as dropped. It never waits.
func (s *sender) enqueue(x *exchange) {
	x.sequence = s.sequence.Add(1)
	if s.queued.Add(x.cost) <= s.queueBytes {
		select {
		case s.queue <- x:
			return
		default:
		}
	}
	if s.queued.Add(-x.cost) < ended/2 {
		s.dropped.Add(1)
		return
	}
	// A stream may outlive the configuration it came in under, and the sender of that.
	sendersLock.Lock()
	successor := lookup(s.shipping)
	sendersLock.Unlock()
	successor.enqueue(x)
}

// run keeps the loop going; a panic in a goroutine would end Traefik.
func (s *sender) run() {
	for !s.loop() {
		time.Sleep(time.Second)
	}
}

// loop delivers what is queued until the sender has ended; false after a panic.
func (s *sender) loop() bool {
	defer s.recovered()
	tick := time.NewTicker(s.flushInterval)
	defer tick.Stop()
	hurry := s.stopping
	for {
		due := false
		select {
		case x := <-s.queue:
			s.queued.Add(-x.cost)
			s.add(x)
			// Traefik ends within milliseconds of its last request: nothing waits for company then.
			due = len(s.ends) >= s.batchSize || s.batch.Len() >= s.batchBytes || (hurry == nil && len(s.queue) == 0)
		case <-tick.C:
			due = true
		case <-hurry:
			hurry = nil
			due = len(s.queue) == 0
		}
		if !due {
			continue
		}
		if len(s.ends) > 0 {
			s.flush()
		} else if s.end() {
			return true
		}
	}
}

func (s *sender) recovered() {
	if problem := recover(); problem != nil {
		s.failed.Add(int64(len(s.ends)))
		s.clear()
		log.Printf("llmtoken: the sender stumbled and goes on: %v", problem)
	}
}

func (s *sender) clear() {
	s.batch.Reset()
	if s.batch.Cap() > 2*s.batchBytes { // after a big report
		s.batch = bytes.Buffer{}
	}
	s.ends = s.ends[:0]
}

// add writes a report behind the others. One that does not fit the batch any more goes alone.
func (s *sender) add(x *exchange) {
	start := s.batch.Len()
	if err := s.encode(x); err != nil {
		s.batch.Truncate(start)
		s.failed.Add(1)
		s.complain("a report can't be written", err.Error())
		return
	}
	if start > 0 && s.batch.Len() > s.batchBytes {
		line := append([]byte{}, s.batch.Bytes()[start:]...)
		s.batch.Truncate(start)
		s.flush()
		s.batch.Write(line)
	}
	s.ends = append(s.ends, s.batch.Len())
}

func (s *sender) encode(x *exchange) error {
	ledger := source{Boot: s.boot, Sequence: x.sequence, Dropped: s.dropped.Load(), Failed: s.failed.Load()}
	return newReport(x, ledger).encode(&s.batch)
}

// ── Delivery ─────────────────────────────────────────────────────────────────────────────

func (s *sender) flush() {
	s.ship(s.batch.Bytes(), s.ends)
	s.clear()
}

// ship delivers lines that end at the given offsets, however long that takes: while the
// collector is away the queue fills, and then new reports are dropped and counted.
// Only lines that the collector will never take are given up, and counted as failed.
func (s *sender) ship(lines []byte, ends []int) {
	start, wait := time.Now(), firstWait
	for {
		a := s.post(lines)
		switch {
		case a.delivered():
			s.settle(a)
			return
		case a.status == http.StatusRequestEntityTooLarge && len(ends) > 1:
			s.halve(lines, ends)
			return
		case a.hopeless(), a.refused() && time.Since(start) > patience, s.unused(patience):
			s.failed.Add(int64(len(ends)))
			s.complain("reports are lost: "+a.problem, strconv.Itoa(len(ends)))
			return
		}
		s.complain("reports wait: "+a.problem, fmt.Sprintf("%d queued, %d dropped so far", len(s.queue), s.dropped.Load()))
		s.pause(longer(jitter(wait), a.retryAfter))
		wait = shorter(2*wait, maxWait)
	}
}

// halve delivers a batch that is too large for the collector in two.
func (s *sender) halve(lines []byte, ends []int) {
	middle := len(ends) / 2
	cut := ends[middle-1]
	rest := make([]int, 0, len(ends)-middle)
	for _, end := range ends[middle:] {
		rest = append(rest, end-cut)
	}
	s.ship(lines[:cut], ends[:middle])
	s.ship(lines[cut:], rest)
}

// settle reads what became of a delivered batch.
func (s *sender) settle(a answer) {
	if len(a.rejected) > 0 {
		s.failed.Add(int64(len(a.rejected)))
		s.complain("the collector rejected reports", fmt.Sprintf("%d, the first one because: %s", len(a.rejected), a.rejected[0]))
	}
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
	s.complaint, s.complained = problem, time.Now()
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
	if err != nil {
		return answer{problem: err.Error()}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	if err != nil { // it may have been delivered; sent again, the collector knows the request id
		return answer{problem: err.Error()}
	}
	a := answer{status: res.StatusCode, problem: s.url + " answered " + res.Status, retryAfter: retryAfter(res.Header, time.Now())}
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
	random, err := rand.Int(rand.Reader, big.NewInt(int64(wait/2)+1))
	if err != nil {
		return wait
	}
	return wait/2 + time.Duration(random.Int64())
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
