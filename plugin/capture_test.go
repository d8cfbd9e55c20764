package llmtoken

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// idle is a sender that only queues, so that a test sees what is handed to it.
func idle(how shipping) *sender {
	if how.queueSize == 0 {
		how.queueSize, how.queueBytes = 1000, 1<<40
	}
	return newSender(how, make(chan struct{}))
}

// tap is a middleware with an idle sender, and the default configuration with these changes.
func tap(next http.HandlerFunc, changes ...func(*Config)) *Middleware {
	config := CreateConfig()
	for _, change := range changes {
		change(config)
	}
	return &Middleware{
		next: next, name: "tap", config: config, sender: idle(shipping{}), special: special(config),
		maxRequestBody: config.MaxRequestBody,
	}
}

// finished gives the only exchange that has ended, as it was queued.
func finished(t *testing.T, m *Middleware) *report {
	t.Helper()
	admit(m.sender, nil, m.sender.finished)
	queue := m.sender.take()
	if len(queue) != 1 {
		t.Fatalf("%d exchanges queued, not one", len(queue))
	}
	return queue[0]
}

// line writes a report as the sender does.
func line(t *testing.T, s *sender, r *report) []byte {
	t.Helper()
	s.batch.taken = []*report{r}
	writeReports(&s.batch, s.account(), 2, 1<<40, func() { t.Fatal("one report filled a batch") })
	written := append([]byte{}, s.batch.Bytes()...)
	s.batch.reset(0)
	return written
}

// written gives a report as the collector gets it.
func written(t *testing.T, s *sender, r *report) *report {
	t.Helper()
	got := &report{}
	if err := json.Unmarshal(line(t, s, r), got); err != nil {
		t.Fatal(err)
	}
	return got
}

// reported gives the report of the only exchange that has ended, as the collector gets it.
func reported(t *testing.T, m *Middleware) *report {
	t.Helper()
	return written(t, m.sender, finished(t, m))
}

func post(body string) *http.Request {
	return httptest.NewRequest("POST", "http://models.example/v1/chat/completions", strings.NewReader(body))
}

func TestBothBodiesPassAndAreCopiedUpToTheirLimits(t *testing.T) {
	m := tap(func(rw http.ResponseWriter, req *http.Request) { _, _ = io.Copy(rw, req.Body) },
		func(c *Config) { c.MaxRequestBody, c.MaxResponseBody = 3, 4 })
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, post("abcdefgh"))

	r := reported(t, m)
	if rec.Body.String() != "abcdefgh" || r.RequestBody != "abc" || r.ResponseBody != "abcd" {
		t.Fatalf("client got %q, report has %q and %q", rec.Body, r.RequestBody, r.ResponseBody)
	}
	if r.RequestBytes != 8 || *r.ResponseBytes != 8 || !r.RequestTruncated || !*r.ResponseTruncated {
		t.Fatalf("%+v", r)
	}
}

func TestTheCopyOfALargeReplyIsBounded(t *testing.T) {
	m := tap(func(rw http.ResponseWriter, _ *http.Request) {
		for i := 0; i < 1000; i++ {
			_, _ = rw.Write(make([]byte, 32768))
		}
	}, func(c *Config) { c.MaxResponseBody = 100000 })
	m.ServeHTTP(httptest.NewRecorder(), post(""))
	if kept := len(finished(t, m).responseCopy); kept > 100000+reviewEvery+32768 {
		t.Fatalf("%d bytes kept", kept)
	}
}

func TestARequestOfUnknownLengthIsCounted(t *testing.T) {
	m := tap(func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) },
		func(c *Config) { c.MaxRequestBody = 3 })
	req := post("abcdefgh")
	req.ContentLength = -1
	m.ServeHTTP(httptest.NewRecorder(), req)

	if r := reported(t, m); r.RequestBody != "abc" || r.RequestBytes != 8 || !r.RequestTruncated {
		t.Fatalf("%+v", r)
	}
}

// closing is a body as the server's: after Close it answers with an error.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Read(p []byte) (int, error) {
	if c.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.Reader.Read(p)
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestTheEndOfARequestStaysTheEndWhenTheServerHasClosedIt(t *testing.T) {
	for _, length := range []int64{8, -1} {
		m := tap(func(_ http.ResponseWriter, req *http.Request) {
			if length < 0 {
				_, _ = io.ReadAll(req.Body)
			} else {
				_, _ = io.ReadFull(req.Body, make([]byte, length))
			}
			_ = req.Body.Close()
			if n, err := req.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("length %d: read %d, %v after the end", length, n, err)
			}
		})
		req := post("")
		req.Body, req.ContentLength = &closing{Reader: strings.NewReader("abcdefgh")}, length
		m.ServeHTTP(httptest.NewRecorder(), req)
	}
}

func TestReadingOnAfterTheHandlerHasReturnedDoesNotTouchTheCopy(t *testing.T) {
	if raceDetector {
		t.Skip("settleRequest looks at what the transport reads without a lock, on purpose: it says why")
	}
	var reading sync.WaitGroup
	reader, writer := io.Pipe()
	m := tap(func(rw http.ResponseWriter, req *http.Request) {
		started := make(chan struct{})
		reading.Add(1)
		go func() { // as the transport does
			defer reading.Done()
			buffer := make([]byte, 4)
			_, _ = io.ReadFull(req.Body, buffer)
			close(started)
			_, _ = io.Copy(io.Discard, req.Body)
		}()
		<-started
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	req := post("")
	req.Body, req.ContentLength = reader, 1000
	go func() {
		for i := 0; i < 100; i++ {
			if _, err := writer.Write([]byte("abcd")); err != nil {
				return
			}
		}
	}()
	m.ServeHTTP(httptest.NewRecorder(), req)
	r := reported(t, m)
	_ = reader.Close()
	reading.Wait()

	if !strings.HasPrefix(r.RequestBody, "abcd") || r.Status != http.StatusRequestEntityTooLarge || !r.RequestTruncated {
		t.Fatalf("%+v", r)
	}
}

func TestTheFirstFinalStatusIsTheStatus(t *testing.T) {
	m := tap(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusEarlyHints)
		rw.WriteHeader(http.StatusTeapot)
		rw.WriteHeader(http.StatusOK)
	})
	m.ServeHTTP(httptest.NewRecorder(), post(""))
	if r := reported(t, m); r.Status != http.StatusTeapot {
		t.Fatal(r.Status)
	}
}

func TestAHandlerThatSaysNothingMeans200(t *testing.T) {
	for _, text := range []string{"", "hello"} {
		m := tap(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(rw, text)
		})
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, post(""))
		r := reported(t, m)
		if rec.Code != 200 || r.Status != 200 || r.ResponseBody != text || r.ResponseHeaders["content-type"] != "text/plain" {
			t.Fatalf("%d %+v", rec.Code, r)
		}
	}
}

// flushes counts the flushes of a reply.
type flushes struct {
	*httptest.ResponseRecorder
	count int
}

func (f *flushes) Flush() { f.count++ }

func TestAReplyIsFlushedUnlessItIsComplete(t *testing.T) {
	cases := []struct {
		length string
		pieces []string
		want   int
	}{
		{"", []string{"ab", "cd"}, 3},  // with the header, then each piece
		{"4", []string{"ab", "cd"}, 1}, // the last piece goes with the end of the reply
		{"4", []string{"abcd"}, 0},
		{"0", nil, 1}, // an announced nothing is like no announcement
	}
	for _, test := range cases {
		m := tap(func(rw http.ResponseWriter, _ *http.Request) {
			if test.length != "" {
				rw.Header().Set("Content-Length", test.length)
			}
			rw.WriteHeader(http.StatusOK)
			for _, piece := range test.pieces {
				_, _ = io.WriteString(rw, piece)
			}
		})
		rw := &flushes{ResponseRecorder: httptest.NewRecorder()}
		m.ServeHTTP(rw, post(""))
		if rw.count != test.want {
			t.Errorf("%+v: flushed %d times", test, rw.count)
		}
	}
}

func TestAnUpgradeGetsTheServersOwnWriter(t *testing.T) {
	var got http.ResponseWriter
	m := tap(func(rw http.ResponseWriter, _ *http.Request) { got = rw })
	rec := httptest.NewRecorder()
	req := post("")
	req.Header.Set("Upgrade", "websocket")
	m.ServeHTTP(rec, req)

	r := reported(t, m)
	if got != rec || r.Status != 0 || r.ResponseBytes != nil {
		t.Fatalf("%T %+v", got, r)
	}
}

type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, errors.New("connection reset") }

// gone is a reply that the client takes no more of: the server ends the request's context, too.
type gone struct {
	broken
	cancel context.CancelFunc
}

func (g gone) Write(p []byte) (int, error) {
	g.cancel()
	return g.broken.Write(p)
}

func TestWhoEndedAnExchangeEarly(t *testing.T) {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	copying := func(rw http.ResponseWriter, _ *http.Request) {
		if _, err := rw.Write([]byte("x")); err != nil { // as the proxy does
			panic(http.ErrAbortHandler)
		}
	}
	cases := []struct {
		name, want string
		next       http.HandlerFunc
		broken     bool // the connection to the client
		gone       bool // the client, at the end
	}{
		{"nobody", "", func(http.ResponseWriter, *http.Request) {}, false, false},
		{"nobody, client gone afterwards", "", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(200) },
			false, true},
		{"upstream", "upstream", abort, false, false},
		{"client", "client", abort, false, true},
		{"client takes no more", "client", copying, true, false},
		{"client before the answer", "client", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(499) },
			false, true},
		{"nobody, upstream says 499", "", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(499) },
			false, false},
	}
	for _, test := range cases {
		ctx, cancel := context.WithCancel(context.Background())
		m := tap(func(rw http.ResponseWriter, req *http.Request) {
			if test.gone {
				cancel()
			}
			test.next(rw, req)
		})
		var rw http.ResponseWriter = httptest.NewRecorder()
		if test.broken {
			rw = gone{broken{httptest.NewRecorder()}, cancel}
		}
		func() {
			defer func() { _ = recover() }()
			m.ServeHTTP(rw, post("").WithContext(ctx))
		}()
		cancel()
		if r := reported(t, m); r.Aborted != test.want {
			t.Errorf("%s: %q", test.name, r.Aborted)
		}
	}
}

func TestWhoBrokeTheRequest(t *testing.T) {
	odd := errors.New("invalid byte in chunk length")
	proxys := func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusInternalServerError) }
	early := func(rw http.ResponseWriter) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
	}
	abort := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	cases := []struct {
		name   string
		broken error
		then   func(http.ResponseWriter)
		want   string
	}{
		{"cut, and Traefik answers", io.ErrUnexpectedEOF, proxys, "client"},
		{"odd, and Traefik answers", odd, proxys, "client"},
		{"odd, and Traefik cuts the reply", odd, abort, "client"},
		{"whole, and Traefik answers", io.EOF, proxys, ""},
		{"whole, and the upstream breaks off", io.EOF, abort, "upstream"},
		{"closed by the server, and Traefik answers", http.ErrBodyReadAfterClose, proxys, ""},
		{"closed by the server, and the upstream breaks off", http.ErrBodyReadAfterClose, abort, "upstream"},
		{"cut, but the upstream had answered", io.ErrUnexpectedEOF, early, ""},
	}
	for _, test := range cases {
		for _, length := range []int64{-1, 8, 4 * mebibyte} { // each has its own way through the tap
			m := tap(func(rw http.ResponseWriter, req *http.Request) {
				if _, err := io.ReadAll(req.Body); test.broken != io.EOF && err != test.broken {
					t.Errorf("%s: the reader got %v", test.name, err)
				}
				if n, err := req.Body.Read(make([]byte, 1)); n != 0 || err != test.broken {
					t.Errorf("%s: the reader got %d bytes and %v the second time", test.name, n, err)
				}
				test.then(rw)
			})
			req := post("")
			req.Body = io.NopCloser(io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(test.broken)))
			req.ContentLength = length
			func() {
				defer func() { _ = recover() }()
				m.ServeHTTP(httptest.NewRecorder(), req)
			}()
			if r := reported(t, m); r.Aborted != test.want || r.RequestBody != "abcd" {
				t.Errorf("%s, length %d: %q, %q", test.name, length, r.Aborted, r.RequestBody)
			}
		}
	}
}

func TestWhatTheClientDidNotTakeIsNotReported(t *testing.T) {

	m := tap(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "lost") })
	m.ServeHTTP(broken{httptest.NewRecorder()}, post(""))
	if r := reported(t, m); r.ResponseBody != "" || *r.ResponseBytes != 0 {
		t.Errorf("%q, %d bytes", r.ResponseBody, *r.ResponseBytes)
	}
}

func TestAPanicOfTheProxyGoesOnItsWay(t *testing.T) {
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Fatal("swallowed")
		}
	}()
	tap(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }).ServeHTTP(httptest.NewRecorder(), post(""))
}

// exploding is a body that can't be closed.
type exploding struct{}

func (exploding) Read([]byte) (int, error) { return 0, io.EOF }
func (exploding) Close() error             { panic("boom") }

func TestOurOwnPanicDoesNotHarmTheReply(t *testing.T) {
	m := tap(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "whole") })
	rec := httptest.NewRecorder()
	req := post("")
	req.Body, req.ContentLength = exploding{}, 8 // not read whole, so that finishing looks at it
	m.ServeHTTP(rec, req)
	if rec.Body.String() != "whole" {
		t.Fatal(rec.Body)
	}
	if r := reported(t, m); r.ResponseBody != "whole" || !r.RequestTruncated {
		t.Fatalf("%+v", r)
	}
}

func TestWhatInnerMiddlewaresChangeIsNotReported(t *testing.T) {
	m := tap(func(_ http.ResponseWriter, req *http.Request) {
		req.URL.Path, req.URL.RawPath, req.Host, req.Method = "/changed", "", "changed", "PUT"
		req.Header.Set("Content-Type", "changed/changed")
	})
	req := httptest.NewRequest("POST", "http://models.example/model/a%2Fb/invoke", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	m.ServeHTTP(httptest.NewRecorder(), req)

	r := reported(t, m)
	if r.Path != "/model/a%2Fb/invoke" || r.Host != "models.example" || r.Method != "POST" ||
		r.RequestHeaders["content-type"] != "application/json" {
		t.Fatalf("%+v", r)
	}
}

func TestTheTimelineOfALongStreamIsBoundedAndEven(t *testing.T) {
	const writes, size = 100000, 100
	m := tap(func(rw http.ResponseWriter, _ *http.Request) {
		piece := []byte(strings.Repeat("x", size))
		for i := 0; i < writes; i++ {
			_, _ = rw.Write(piece)
		}
	}, func(c *Config) { c.MaxResponseBody = 0 })
	m.ServeHTTP(httptest.NewRecorder(), post(""))
	r := finished(t, m)
	if len(r.times) > 2*maxMarks || len(r.times) != len(r.lengths) {
		t.Fatalf("%d marks were kept, of %d lengths", len(r.times), len(r.lengths))
	}
	line := written(t, m.sender, r).Timeline
	if len(line) != maxTimeline || line[0][0] != size || line[len(line)-1][0] != writes*size {
		t.Fatalf("%d marks, from %v to %v", len(line), line[0], line[len(line)-1])
	}
	even := float64(writes*size) / maxTimeline
	for i := 1; i < len(line); i++ {
		if gap := line[i][0] - line[i-1][0]; gap <= 0 || gap > 4*even || line[i][1] < line[i-1][1] {
			t.Fatalf("mark %d: %v after %v", i, line[i], line[i-1])
		}
	}
}

func TestThinningKeepsTheFirstAndTheLast(t *testing.T) {
	for count := 1; count < 40; count++ {
		for keep := 0; keep < 45; keep++ {
			for from := 0; from < count; from++ {
				r := &report{}
				for i := 0; i < count; i++ {
					r.times = append(r.times, time.Unix(int64(i), 0))
					r.lengths = append(r.lengths, i)
				}
				left := thin(r, from, keep)
				if left != len(r.times) || left != len(r.lengths) || left > count || (keep >= 2 && left > from+keep) ||
					r.lengths[from] != from || r.lengths[left-1] != count-1 {
					t.Fatalf("%d of %d from %d: %v", keep, count, from, r.lengths)
				}
				for i, length := range r.lengths {
					if r.times[i] != time.Unix(int64(length), 0) || (i < from && length != i) {
						t.Fatalf("%d of %d from %d: mark %d is of %d", keep, count, from, i, length)
					}
				}
			}
		}
	}
}

func TestThroughTheRealProxy(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		_, _ = rw.Write(body)
	}))
	defer upstream.Close()
	m := tap(nil, func(c *Config) { c.CaptureUpstream = true })
	m.next = proxyTo(t, upstream.URL)
	front := httptest.NewServer(m)
	defer front.Close()

	res, err := http.Post(front.URL, "text/plain", strings.NewReader(strings.Repeat("x", 100000)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || len(body) != 100000 {
		t.Fatal(len(body), err)
	}
	eventually(t, "the exchange has ended", func() bool { return len(m.sender.finished) == 1 })
	r := reported(t, m)
	if r.RequestBytes != 100000 || *r.ResponseBytes != 100000 || "http://"+r.Upstream != upstream.URL {
		t.Fatalf("%d %d %s", r.RequestBytes, *r.ResponseBytes, r.Upstream)
	}
}

func proxyTo(t *testing.T, target string) http.Handler {
	t.Helper()
	location, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(location)
}
