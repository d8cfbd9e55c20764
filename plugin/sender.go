package llmtoken

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// How often the queue is looked at once Traefik is to stop: it ends within milliseconds of its last request.
	hurry = 2 * time.Millisecond
	// How often what has ended is looked at, under load and without.
	clerkEvery = 5 * time.Millisecond
	clerkIdle  = 80 * time.Millisecond
)

// shipping is how reports get to the collector. Middlewares that agree on it share a sender.
type shipping struct {
	url, token             string
	queueSize              int
	queueBytes             int64
	batchSize, batchBytes  int
	gzip                   bool
	flushInterval, timeout time.Duration
	spoolDir               string
	spoolBytes             int64
}

func (s shipping) key() string { return fmt.Sprintf("%+v", s) }

// sender queues the reports of all middlewares with the same shipping (clerk), writes them into batches and delivers
// those (loop), each from a goroutine of its own; with a spool, batches go to files, and a third delivers these
// (emptySpool). It outlives the middlewares: Traefik makes those anew on every change of its dynamic configuration.
type sender struct {
	shipping
	client *http.Client
	spool  *spool // nil without
	ledger ledger
	full   string // why, when there is no room

	finished chan *report // from the exchanges to the clerk

	lock     sync.Mutex // guards what follows
	queue    []*report
	places   int                 // how many more reports may wait, for delivery or the spool
	room     int64               // how many bytes of them
	sequence int64               // exchanges finished
	ended    bool                // nobody sends from here any more
	used     map[*Middleware]int // exchanges, since the clerk has made new ones

	users       int       // middlewares, guarded by sendersLock
	unusedSince time.Time // guarded by sendersLock

	batch    batch // the next, belongs to the goroutine that runs the loop
	stopping chan struct{}
	log      complaints

	toldLock sync.Mutex // guards what follows
	told     int64      // losses that the collector knows of
	heard    time.Time  // when it was last tried
}

// ── The queue ────────────────────────────────────────────────────────────────────────────

// admit queues the reports of exchanges that have ended: that one, if there is one, and as many as have come from the
// others. What there is no room for is counted as dropped. It never waits.
func admit(s *sender, r *report, finished chan *report) {
	strays := []*report{}
	s.lock.Lock()
	for count := len(finished); r != nil || count > 0; count-- {
		if r == nil {
			next, _ := <-finished
			r = next
		}
		held := r.requestLength
		if held < 0 || held > r.middleware.maxRequestBody {
			held = int64(r.requestCopy.Len())
		}
		r.cost = exchangeCost + held + int64(len(r.responseCopy)+markCost*len(r.times))
		switch {
		case s.ended:
			strays = append(strays, r)
		case s.places > 0 && s.room >= r.cost:
			s.sequence++
			r.Source.Sequence = s.sequence
			s.places--
			s.room -= r.cost
			s.queue = append(s.queue, r)
		default:
			s.sequence++
			s.ledger.drop(s.full, 1)
		}
		s.used[r.middleware]++
		r = nil
	}
	s.lock.Unlock()
	for _, stray := range strays { // streams may outlive the configuration they came in under, and its sender
		admit(successor(s), stray, nil)
	}
}

func successor(s *sender) *sender {
	sendersLock.Lock()
	defer sendersLock.Unlock()
	return lookup(s.shipping)
}

// take empties the queue.
func (s *sender) take() []*report {
	s.lock.Lock()
	defer s.lock.Unlock()
	taken := s.queue
	s.queue = nil // apart: Yaegi can't assign nil beside another value
	return taken
}

// done strikes off exchanges that have been delivered, spooled or given up.
func (s *sender) done(count int, size int64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.places += count
	s.room += size
}

// account is what the collector is told now.
func (s *sender) account() account {
	s.lock.Lock()
	sequence := s.sequence
	s.lock.Unlock()
	return s.ledger.now(sequence)
}

// ── The goroutines ───────────────────────────────────────────────────────────────────────

// run keeps a loop going until it says that it is over; a panic in a goroutine would end Traefik.
func (s *sender) run(loop func() bool) {
	for !s.survive(loop) {
		time.Sleep(time.Second)
	}
}

// survive says false after a panic.
func (s *sender) survive(loop func() bool) bool {
	defer func() {
		if problem := recover(); problem != nil {
			s.log.complain("the sender stumbled and goes on", fmt.Sprint(problem))
		}
	}()
	return loop()
}

// clerk queues what has ended, and makes as many exchanges for those to come. It never waits for the collector.
func (s *sender) clerk() bool {
	finished := s.finished
	pause := clerkEvery
	for {
		over := s.over()
		if over {
			pause = time.Second // and then once more, for whoever was just about to send
		}
		time.Sleep(pause)
		if len(finished) > 0 {
			pause = clerkEvery
			admit(s, nil, finished)
		} else if pause < clerkIdle {
			pause *= 2
		}
		for m, count := range s.wanted() { // the loop may have admitted some, too
			m.stock.Put(makeExchanges(m, count))
		}
		if over {
			return true
		}
	}
}

// wanted says of which middleware how many exchanges have been used up.
func (s *sender) wanted() map[*Middleware]int {
	s.lock.Lock()
	defer s.lock.Unlock()
	used := s.used
	s.used = map[*Middleware]int{}
	return used
}

// loop writes and delivers what is queued until the sender has ended.
func (s *sender) loop() bool {
	every := s.flushInterval
	if s.spool != nil {
		every = every * 3 / 4 // so that what ended a flushInterval ago has been written, too, when Traefik is killed
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	stopping := s.stopping
	for {
		select {
		case <-tick.C:
		case <-stopping:
			stopping = nil
			tick.Reset(hurry)
		}
		if r := s.batch.undo(); r != nil { // a panic was on its account
			s.ledger.fail(unwritable, 1)
			s.done(1, r.cost)
		}
		admit(s, nil, s.finished)    // which the clerk does too, but Traefik may be about to end
		if len(s.batch.taken) == 0 { // after a panic some may be left
			s.batch.taken = s.take()
		}
		writeReports(&s.batch, s.account(), s.batchSize, s.batchBytes, s.flush)
		if s.batch.count > 0 {
			s.flush()
		} else if s.end() {
			return true
		}
		if s.spool == nil { // or whoever empties it tells; that may take its time
			s.tellLosses()
		}
	}
}

// flush spools or delivers the batch and makes room for the next.
func (s *sender) flush() {
	count, size := s.batch.count, s.batch.held
	reason, failed := refused, int64(count) // unless we come back from it
	defer func() {
		s.ledger.fail(reason, failed)
		s.batch.reset(2 * s.batchBytes)
		s.done(count, size)
	}()
	if s.spool != nil {
		err := s.spool.keep(s.batch.Bytes(), count)
		if err == nil {
			failed = 0
			return
		}
		s.log.complain("the spool takes no more, reports wait in memory", err.Error())
	}
	reason, failed = s.ship(s.batch.Bytes())
	if reason == undelivered {
		reason = refused
	}
}

// emptySpool delivers the files of the spool, the oldest first, until the sender has ended.
func (s *sender) emptySpool() bool {
	s.spool.clear()
	for {
		for _, file := range s.spool.files() {
			if !s.deliver(file) {
				break
			}
		}
		if s.over() && (len(s.spool.files()) == 0 || s.unused(patience)) {
			return true // what is left is found by the next sender or process
		}
		s.tellLosses()
		s.spool.wait()
	}
}

// deliver sends a file of the spool and removes it. One that can't be read now is left for the next round. It says no
// when nobody waits for the reports any more.
func (s *sender) deliver(file string) bool {
	lines, lost, err := s.spool.read(file)
	if errors.Is(err, errDamaged) {
		s.log.complain("reports are lost: "+err.Error(), strconv.FormatInt(lost, 10))
		s.ledger.fail(spoolDamaged, lost)
	} else if err != nil {
		s.log.complain("reports wait: a file of the spool can't be read", err.Error())
		return true
	} else if len(lines) > 0 {
		reason, failed := s.ship(lines)
		if reason == undelivered {
			return false
		}
		s.ledger.fail(reason, failed)
	}
	if err := s.spool.remove(file); err != nil {
		s.log.complain("a file of the spool can't be removed", err.Error())
	}
	return true
}

func (s *sender) over() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.ended
}
