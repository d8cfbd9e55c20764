package llmtoken

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"time"
)

// idleBeforeEnd is how long a sender that no route uses waits before it ends. A reload takes the routes away for a moment.
const idleBeforeEnd = time.Minute

// One interpreter runs all instances of the middleware, so what outlives them is kept here.
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
	context.AfterFunc(ctx, func() { release(s) }) //yaegi:ignore release only counts
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
		if how.spoolDir != "" {
			s.spool = newSpool(how.spoolDir, how.url, how.spoolBytes)
			s.full = spoolFull
			go s.run(s.emptySpool) //yaegi:ignore run recovers in the function that it calls
		}
		go s.run(s.clerk) //yaegi:ignore run recovers in the function that it calls
		go s.run(s.loop)  //yaegi:ignore run recovers in the function that it calls
	}
	return s
}

func newSender(how shipping, stopping chan struct{}) *sender {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2
	boot := make([]byte, 8)
	_, _ = rand.Read(boot)
	s := &sender{
		shipping: how, full: queueFull, client: &http.Client{Transport: transport, Timeout: how.timeout, CheckRedirect: stay},
		finished: make(chan *report, 1024), used: map[*Middleware]int{}, places: how.queueSize, room: how.queueBytes,
		unusedSince: time.Now(), heard: time.Now(), stopping: stopping,
	}
	s.ledger.total.Boot = hex.EncodeToString(boot)
	s.batch.begin()
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
	go func() { //yaegi:ignore nothing here can panic
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
	if s.users > 0 || s.places < s.queueSize || time.Since(s.unusedSince) < idleBeforeEnd {
		return false
	}
	s.ended = true
	s.finished = nil
	delete(senders, s.key())
	s.client.CloseIdleConnections()
	return true
}
