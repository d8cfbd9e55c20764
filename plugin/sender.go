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
	random "math/rand"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"reflect"
	"strconv"
	"sync"
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
	// How often the queue is looked at once Traefik is to stop: it ends within milliseconds of its last request.
	hurry         = 2 * time.Millisecond
	complainEvery = time.Minute
	maxAnswer     = 1 << 20
)

// shipping is how reports get to the collector. Middlewares that agree on it share a sender.
type shipping struct {
	url, token             string
	queueSize              int
	queueBytes             int64
	batchSize, batchBytes  int
	flushInterval, timeout time.Duration
}

func (s shipping) key() string { return fmt.Sprintf("%+v", s) }

// sender queues the exchanges of all middlewares with the same shipping, and delivers them in
// batches from one goroutine. It outlives the middlewares: Traefik makes those anew on every
// change of its dynamic configuration.
type sender struct {
	shipping
	client *http.Client
	boot   string // random; request ids begin with it

	lock     sync.Mutex // guards what follows
	queue    []*record
	waiting  int   // exchanges not yet delivered: those queued and those on their way
	bytes    int64 // of them
	sequence int64 // exchanges finished
	dropped  int64 // of those, not queued because the queue was full
	failed   int64 // of those, queued and never delivered
	ended    bool  // nobody sends from here any more

	users       int       // middlewares, guarded by sendersLock
	unusedSince time.Time // guarded by sendersLock

	// What follows belongs to the goroutine.
	taken      []*record     // from the queue, in work
	ledger     source        // when they were taken
	writing    *record       // the one being written
	batch      bytes.Buffer  // NDJSON
	encoder    *json.Encoder // writes to it
	ends       []int         // where each line of it ends
	held       int64         // bytes that the exchanges in it count for
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
	key := how.key()
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
	boot := make([]byte, 8)
	_, _ = rand.Read(boot)
	s := &sender{
		shipping: how,
		client:   &http.Client{Transport: transport, Timeout: how.timeout, CheckRedirect: stay},
		boot:     hex.EncodeToString(boot), unusedSince: time.Now(), stopping: stopping,
	}
	s.encoder = json.NewEncoder(&s.batch)
	s.encoder.SetEscapeHTML(false)
	return s
}

// stay follows no redirect: the POST would arrive without its reports, or take the token elsewhere.
func stay(req *http.Request, via []*http.Request) error { return http.ErrUseLastResponse }

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
	sendersLock.Lock()
	defer sendersLock.Unlock()
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.users > 0 || s.waiting > 0 || time.Since(s.unusedSince) < idleBeforeEnd {
		return false
	}
	s.ended = true
	delete(senders, s.key())
	s.client.CloseIdleConnections()
	return true
}

// ── The queue ────────────────────────────────────────────────────────────────────────────

// enqueue takes a finished exchange, or counts it as dropped. It never waits.
func enqueue(s *sender, x *record) {
	s.lock.Lock()
	if s.ended { // a stream may outlive the configuration it came in under, and its sender
		s.lock.Unlock()
		enqueue(successor(s), x)
		return
	}
	s.sequence++
	x.sequence = s.sequence
	if s.waiting < s.queueSize && s.bytes+x.cost <= s.queueBytes {
		s.queue = append(s.queue, x)
		s.waiting++
		s.bytes += x.cost
	} else {
		s.dropped++
	}
	s.lock.Unlock()
}

func successor(s *sender) *sender {
	sendersLock.Lock()
	defer sendersLock.Unlock()
	return lookup(s.shipping)
}

// take empties the queue, and notes what was lost so far.
func (s *sender) take() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.taken = s.queue
	s.queue = nil // apart: Yaegi can't assign nil beside another value
	s.ledger = source{Boot: s.boot, Dropped: s.dropped, Failed: s.failed}
}

// done strikes off exchanges that have been delivered, or of which some failed for good.
func (s *sender) done(count int, size int64, failed int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.waiting -= count
	s.bytes -= size
	s.failed += int64(failed)
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
	stopping := s.stopping
	for {
		select {
		case <-tick.C:
		case <-stopping:
			stopping = nil
			tick.Reset(hurry)
		}
		if len(s.taken) == 0 { // after a panic some may be left
			s.take()
		}
		for len(s.taken) > 0 {
			x := s.taken[0]
			s.taken[0] = nil
			s.taken = s.taken[1:]
			add(s, x)
		}
		if len(s.ends) > 0 {
			s.flush()
		} else if s.end() {
			return true
		}
	}
}

// recovered goes on after a panic, which only a report that is being written can cause.
func (s *sender) recovered() {
	problem := recover()
	if problem == nil {
		return
	}
	s.complain("the sender stumbled and goes on", fmt.Sprint(problem))
	if s.writing != nil {
		s.giveUp(s.writing)
	}
}

// add writes a report behind the others. One that does not fit the batch any more goes alone.
func add(s *sender, x *record) {
	start := s.batch.Len()
	s.writing = x
	s.ledger.Sequence = x.sequence
	if err := s.encoder.Encode(newReport(x, s.ledger)); err != nil { // ends the line: reports in a row are NDJSON
		s.complain("a report can't be written", err.Error())
		s.giveUp(x)
		return
	}
	s.writing = nil
	if start > 0 && s.batch.Len() > s.batchBytes {
		s.postpone(start)
	}
	s.ends = append(s.ends, s.batch.Len())
	s.held += x.cost
	if len(s.ends) == s.batchSize {
		s.flush()
	}
}

// giveUp counts a report that can't be written as failed, and takes away what of it was.
func (s *sender) giveUp(x *record) {
	s.writing = nil
	whole := 0
	if len(s.ends) > 0 {
		whole = s.ends[len(s.ends)-1]
	}
	s.batch.Truncate(whole)
	s.done(1, x.cost, 1)
}

// postpone delivers the batch up to here and begins the next with the rest.
func (s *sender) postpone(start int) {
	line := append([]byte{}, s.batch.Bytes()[start:]...)
	s.batch.Truncate(start)
	s.flush()
	s.batch.Write(line)
}

// flush delivers the batch and makes room for the next.
func (s *sender) flush() {
	count, size := len(s.ends), s.held
	failed := count // unless ship comes back
	defer func() {
		s.batch.Reset()
		if s.batch.Cap() > 2*s.batchBytes { // after a big report
			s.batch = bytes.Buffer{}
		}
		s.ends, s.held = s.ends[:0], 0
		s.done(count, size, failed)
	}()
	failed = s.ship(s.batch.Bytes(), s.ends)
}

// ── Delivery ─────────────────────────────────────────────────────────────────────────────

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
