package llmtoken

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// provide fills the stock of a middleware. Under the race detector a sync.Pool forgets some of what it is given.
func provide(m *Middleware, count int) { m.stock.Put(makeExchanges(m, count)) }

func TestEachExchangeIsUsedOnce(t *testing.T) {
	m := tap(func(rw http.ResponseWriter, req *http.Request) { _, _ = io.Copy(rw, req.Body) })
	provide(m, 10)
	for i := 0; i < 20; i++ { // from the stock, and beyond it
		m.ServeHTTP(httptest.NewRecorder(), post(strings.Repeat("x", i)))
	}
	admit(m.sender, nil, m.sender.finished)
	seen := map[*report]bool{}
	for i, r := range m.sender.take() {
		seen[r] = true
		if got := written(t, m.sender, r); got.RequestBody != strings.Repeat("x", i) || got.ResponseBody != got.RequestBody {
			t.Errorf("exchange %d: %q, %q", i, got.RequestBody, got.ResponseBody)
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d different reports", len(seen))
	}
}

func TestABodyThatIsReadLateIsItsOwnRequests(t *testing.T) {
	for _, stocked := range []int{0, 10} {
		bodies := []io.ReadCloser{}
		m := tap(func(_ http.ResponseWriter, req *http.Request) { bodies = append(bodies, req.Body) })
		for _, body := range []string{"first", "other"} {
			if stocked > 0 {
				provide(m, stocked)
			}
			m.ServeHTTP(httptest.NewRecorder(), post(body))
		}
		for i, want := range []string{"first", "other"} { // the transport's goroutine is slow
			if got, err := io.ReadAll(bodies[i]); string(got) != want || err != nil {
				t.Errorf("body %d: %q, %v", i, got, err)
			}
		}
	}
}

func TestABodyThatIsReadDuringTheNextExchangeIsNotInItsReport(t *testing.T) {
	var late io.Reader
	m := tap(func(_ http.ResponseWriter, req *http.Request) {
		if late == nil {
			late = req.Body
			return
		}
		_, _ = io.ReadFull(req.Body, make([]byte, 2))
		_, _ = io.ReadAll(late)
		_, _ = io.ReadAll(req.Body)
	})
	provide(m, 10)
	m.ServeHTTP(httptest.NewRecorder(), post("first"))
	provide(m, 10)
	m.ServeHTTP(httptest.NewRecorder(), post("other"))
	admit(m.sender, nil, m.sender.finished)
	if got := written(t, m.sender, m.sender.take()[1]); got.RequestBody != "other" || got.RequestBytes != 5 || got.RequestTruncated {
		t.Errorf("%+v", got)
	}
}

func TestTheClerkMakesAsManyExchangesAsWereUsed(t *testing.T) {
	m := tap(func(http.ResponseWriter, *http.Request) {})
	how := to(collect(t))
	how.flushInterval = 10 * clerkEvery // the loop takes out what has ended, too, and leaves the stock to the clerk
	m.sender = start(t, how)
	for i := 0; i < 50; i++ { // a stock that forgets some doesn't forget all
		m.ServeHTTP(httptest.NewRecorder(), post(""))
	}
	made := 0
	eventually(t, "some are in stock", func() bool {
		if m.stock.Get() != nil {
			made++
		}
		return made >= 5
	})
	for m.stock.Get() != nil {
		made++
	}
	if made > 50 {
		t.Errorf("%d for 50", made)
	}
}
