package llmtoken

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"time"
)

const (
	// How long a sender that no route uses waits before it ends. A reload takes the routes away for a moment.
	idleBeforeEnd = time.Minute
	// How often the queue is looked at once Traefik is to stop: it ends within milliseconds of its last request.
	hurry = 2 * time.Millisecond
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
