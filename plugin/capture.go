package llmtoken

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// maxTimeline bounds the marks kept of one reply; the collector takes 4096.
const maxTimeline = 1024

// exchange is one request and its reply while they pass, and what is known of them afterwards.
//
// It is the request's body and the reply's writer at once: under Yaegi a second struct would
// cost as much as the tapping itself. Nothing is computed here that the sender can compute later.
type exchange struct {
	middleware *Middleware
	start      time.Time
	context    context.Context

	method, host, path, rawPath, query string
	requestHeader                      http.Header
	requestLength                      int64 // as announced; -1 when it wasn't

	requestBody  io.ReadCloser // nil when there is none
	requestEnded bool          // belongs to the reading goroutine alone

	// The transport may read on after the handler has returned, when the upstream answered
	// early. The lock guards what it shares with finish.
	lock         sync.Mutex
	request      []byte
	requestBytes int64
	requestRoom  int64  // capture while less is held; finish sets it to 0, then request stands still
	upstream     string // host:port of the server that Traefik chose, when captured

	rw             http.ResponseWriter // nil when the reply goes by untapped
	control        *http.ResponseController
	out            io.Writer // rw and response, or rw alone once the response holds enough
	response       bytes.Buffer
	responseHeader http.Header
	responseLength int64 // as announced; -1 when it wasn't
	status         int
	written        int64
	writes         int
	stride         int          // every how many writes a mark is made
	timeline       [][2]float64 // bytes written so far, seconds; floats, so that encoding needs no loop here
	last           float64      // seconds at the latest write
	failed         bool         // the client no longer takes bytes

	returned bool // next came back without a panic
	elapsed  float64
	seen     int64 // requestBytes at the end
	aborted  string
	sequence int64
	cost     int64 // memory held, for the queue's bound
}

// ── The request ──────────────────────────────────────────────────────────────────────────

// Read hands on the request's body and keeps a copy of its beginning.
//
// A panic here would be in the transport's goroutine and end Traefik, so this stays trivial.
func (x *exchange) Read(p []byte) (int, error) {
	if x.requestEnded {
		// The transport may ask again after the server has closed the body. The error it would get
		// then makes it cut the reply short, so the end stays the end.
		return 0, io.EOF
	}
	n, err := x.requestBody.Read(p)
	x.requestEnded = err == io.EOF
	x.lock.Lock()
	if x.requestBytes < x.requestRoom {
		x.request = append(x.request, p[:n]...) // may pass the limit by one read; the report cuts it
	}
	x.requestBytes += int64(n)
	x.lock.Unlock()
	return n, err
}

// Close ends the request's body.
func (x *exchange) Close() error { return x.requestBody.Close() }

// traceUpstream asks the transport which connection it takes.
func (x *exchange) traceUpstream(req *http.Request) *http.Request {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		address := info.Conn.RemoteAddr().String()
		x.lock.Lock()
		x.upstream = address
		x.lock.Unlock()
	}}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
}

// ── The reply ────────────────────────────────────────────────────────────────────────────

func (x *exchange) tapResponse(rw http.ResponseWriter) {
	x.rw = rw
	x.control = http.NewResponseController(rw)
	x.out = rw
	if x.middleware.config.MaxResponseBody > 0 {
		x.out = io.MultiWriter(rw, &x.response) // one compiled call does both
	}
	x.stride = 1
	x.timeline = make([][2]float64, 0, 4)
}

// Header is the reply's header.
func (x *exchange) Header() http.Header { return x.rw.Header() }

// WriteHeader notes the status; informational ones pass and don't count, of the others the first does.
func (x *exchange) WriteHeader(status int) {
	if status < 200 || x.status != 0 {
		x.rw.WriteHeader(status)
		return
	}
	x.status = status
	// Copied before it is sent: a compressing middleware in front changes it in place, and
	// then it no longer describes the bytes that pass here.
	x.responseHeader = x.rw.Header().Clone()
	x.responseLength = announced(x.responseHeader)
	x.rw.WriteHeader(status)
	if x.responseLength < 0 {
		// Traefik's proxy flushes replies of unknown length at once, but can't see the Flusher through
		// an interpreted wrapper; so we do. It also keeps the trailers of replies without a body.
		_ = x.control.Flush()
	}
}

// Write hands on a piece of the reply, keeps a copy and notes when it left.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.out.Write(p)
	x.written += int64(n)
	if x.written != x.responseLength {
		_ = x.control.Flush() // for the proxy, which can't; the end of a reply is sent by the server itself
	}
	x.last = float64(time.Since(x.start)) / 1e9
	if x.writes%x.stride == 0 {
		x.timeline = append(x.timeline, [2]float64{float64(x.written), x.last})
		if len(x.timeline) == maxTimeline {
			x.thin()
		}
	}
	x.writes++
	if x.written >= x.middleware.config.MaxResponseBody {
		x.out = x.rw // the copy may pass the limit by one write; the report cuts it
	}
	if err != nil {
		x.failed = true
	}
	return n, err
}

// thin drops every other mark and from now on makes half as many. The first mark stays.
func (x *exchange) thin() {
	half := len(x.timeline) / 2
	for i := 1; i < half; i++ {
		x.timeline[i] = x.timeline[2*i]
	}
	x.timeline = x.timeline[:half]
	x.stride *= 2
}

// ── The end ──────────────────────────────────────────────────────────────────────────────

// finish settles what happened and queues the report. It runs also while the proxy's panic
// passes through, which must go on its way: so no recover here.
func (x *exchange) finish() {
	x.elapsed = float64(time.Since(x.start)) / 1e9
	if !x.returned || x.failed || x.status == statusClientClosedRequest {
		x.aborted = x.blame()
	}
	if x.rw != nil && x.status == 0 && x.returned {
		x.status = http.StatusOK // nothing was written: the server says 200
		x.responseHeader = x.rw.Header().Clone()
	}
	x.lock.Lock()
	x.requestRoom = 0
	x.seen = x.requestBytes
	x.lock.Unlock()
	x.cost = int64(cap(x.request)+x.response.Cap()+16*cap(x.timeline)) + exchangeCost
	// The queue must not hold on to the connection.
	x.rw = nil // one by one: Yaegi can't assign nil to several interfaces at once
	x.control = nil
	x.out = nil
	x.context = nil
	x.middleware.sender.enqueue(x)
}

// exchangeCost is about what an exchange takes in memory without bodies: itself and its headers.
const exchangeCost = 4096

// statusClientClosedRequest is what Traefik answers for the log when the client has gone
// before the upstream answered. Some upstreams send it too.
const statusClientClosedRequest = 499

// blame says who ended the exchange early; empty when nobody did.
func (x *exchange) blame() string {
	if x.failed || x.context.Err() != nil {
		return "client"
	}
	if x.returned {
		return ""
	}
	return "upstream"
}
