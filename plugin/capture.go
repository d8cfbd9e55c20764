package llmtoken

import (
	"bytes"
	"context"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"
)

const (
	// maxMarks bounds what is kept while a reply passes of when its bytes left. A mark is 16 bytes.
	maxMarks = 4096
	// reviewEvery is after how many bytes of a reply its limits are looked at.
	reviewEvery = 64 * 1024
	// exchangeCost is about what an exchange takes in memory besides bodies and marks.
	exchangeCost = 4096
	// Traefik answers this, for its log, to a client that left before the upstream answered.
	// Some upstreams send it too.
	statusClientClosedRequest = 499
)

// exchange is one request and its reply while they pass.
//
// It is the request's body and the reply's writer at once, and leaves to the sender whatever the
// sender can compute. Yaegi allocates all expressions of a function at each call, reached or not,
// and wraps methods anew each time they are called from interpreted code. So what runs for each
// request is short, calls compiled helpers, and calls its own helpers as plain functions.
type exchange struct {
	http.ResponseWriter // compiled code calls its Header directly
	*record

	// The transport may read on after the handler has returned, when the upstream answered early,
	// so reading holds the lock.
	lock        sync.Mutex
	requestBody io.ReadCloser     // nil when there is none
	requestTee  io.Reader         // requestBody, copied up to the limit
	requestRest *io.LimitedReader // counts what is still to come of the announced length, or of math.MaxInt64

	control *http.ResponseController
	out     io.Writer // the client and the copy, or the client alone once the copy is full
	length  int64     // as announced, -1 when it wasn't; 0 before the header
	review  int64     // at how many bytes written the limits are looked at
	settled int       // how many marks have been thinned out to one in stride
	stride  int

	context  context.Context
	err      error // why the client took no more
	returned bool  // next came back without a panic
}

// record is what stays of an exchange until it is reported. Nothing in it holds on to the connection.
type record struct {
	middleware     *Middleware
	start          time.Time
	request        *http.Request // as it came in; its body is not to be read
	requestCopy    bytes.Buffer
	requestBytes   int64
	upstream       string // host:port of the server that Traefik chose, when captured
	tapped         bool   // the reply too
	responseCopy   bytes.Buffer
	responseHeader http.Header
	status         int // 0 when unknown
	written        int64
	marks          [][2]float64 // bytes written so far, seconds since the start; floats, so that JSON needs no loop here
	elapsed        time.Duration
	aborted        string
	sequence       int64
	cost           int64 // memory held, for the queue's bound
}

// ── The request ──────────────────────────────────────────────────────────────────────────

// tapRequest puts the exchange in the place of the request's body.
func tapRequest(x *exchange, req *http.Request) {
	x.request.Body = nil
	// Behind the announced length the end is certain, and the body must not be asked for it: the server
	// closes it as soon as the reply begins, and the transport, which looks for the end after it has sent
	// all, would take the error for a broken request and cut the reply short. Plain Traefik does.
	length := req.ContentLength
	if length < 0 {
		length = math.MaxInt64
	}
	x.requestBody = req.Body
	x.requestBytes = length // less what is left in the end
	x.requestRest = &io.LimitedReader{R: req.Body, N: length}
	head := io.LimitReader(x.requestRest, x.middleware.config.MaxRequestBody)
	// What is past the limit is read without a copy. A MultiReader's end is final, too.
	x.requestTee = io.MultiReader(io.TeeReader(head, &x.requestCopy), x.requestRest)
	req.Body = x
}

// Read hands on the request's body and copies its beginning.
//
// A panic here would be in the transport's goroutine and end Traefik, so this stays trivial.
func (x *exchange) Read(p []byte) (int, error) {
	x.lock.Lock()
	n, err := x.requestTee.Read(p)
	x.lock.Unlock()
	return n, err
}

// Close ends the request's body.
func (x *exchange) Close() error { return x.requestBody.Close() }

// traceUpstream asks the transport which connection it takes.
func traceUpstream(x *exchange, req *http.Request) *http.Request {
	trace := &httptrace.ClientTrace{GetConn: func(hostPort string) { x.upstream = hostPort }}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
}

// ── The reply ────────────────────────────────────────────────────────────────────────────

// WriteHeader notes the status; informational ones pass and don't count, of the others the first does.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 && x.status == 0 {
		x.status = status
		// Copied before it is sent: a compressing middleware in front changes it in place, and
		// then it no longer describes the bytes that pass here.
		x.responseHeader = x.ResponseWriter.Header().Clone()
		length, err := strconv.ParseInt(x.responseHeader.Get("Content-Length"), 10, 64)
		if err != nil {
			length = -1
		}
		x.length = length
	}
	x.ResponseWriter.WriteHeader(status)
	if x.length < 0 {
		// Traefik's proxy flushes replies of unknown length at once, but can't see the Flusher through
		// an interpreted wrapper; so we do. It also keeps the trailers of replies without a body.
		_ = x.control.Flush()
	}
}

// Write hands on a piece of the reply, copies it and notes when it left.
func (x *exchange) Write(p []byte) (int, error) {
	n, err := x.out.Write(p)
	x.written += int64(n)
	if x.written != x.length {
		_ = x.control.Flush() // for the proxy, which can't; the end of a reply is sent by the server itself
	}
	x.marks = append(x.marks, [2]float64{float64(x.written), time.Since(x.start).Seconds()})
	if x.written >= x.review {
		reviewLimits(x)
	}
	x.err = err
	return n, err
}

// reviewLimits keeps the copy and the marks within their bounds. Both may pass them by what is
// written between two reviews; the report cuts the copy.
func reviewLimits(x *exchange) {
	x.review = x.written + reviewEvery
	if x.written >= x.middleware.config.MaxResponseBody {
		x.out = x.ResponseWriter
	}
	fresh := x.marks[x.settled:]
	x.marks = append(x.marks[:x.settled], thin(fresh, len(fresh)/x.stride)...)
	if len(x.marks) > maxMarks {
		x.marks = thin(x.marks, maxMarks/2)
		x.stride *= 2
	}
	x.settled = len(x.marks)
}

// thin keeps so many of the marks, evenly, always with the first and the last.
func thin(marks [][2]float64, keep int) [][2]float64 {
	if keep < 2 {
		keep = 2
	}
	if len(marks) <= keep {
		return marks
	}
	thinned := make([][2]float64, 0, keep)
	for i := 0; i < keep; i++ {
		thinned = append(thinned, marks[i*(len(marks)-1)/(keep-1)])
	}
	return thinned
}

// ── The end ──────────────────────────────────────────────────────────────────────────────

// finish settles what happened and queues the report. It runs also while the proxy's panic passes
// through: guard recovers a panic of ours and lets that one go on its way.
func finish(x *exchange) {
	defer guard()
	x.elapsed = time.Since(x.start)
	if !x.returned || x.err != nil || x.status == statusClientClosedRequest {
		x.aborted = blame(x)
	}
	if x.status == 0 && x.tapped && x.returned {
		// Nobody said a word about the status: then it is 200.
		x.status = http.StatusOK
		x.responseHeader = x.ResponseWriter.Header().Clone()
	}
	if x.requestBody != nil {
		if !x.lock.TryLock() {
			// The transport is reading, as the upstream answered early. The server is about to close the
			// body anyway, which ends that.
			_ = x.requestBody.Close()
			x.lock.Lock()
		}
		x.requestBytes -= x.requestRest.N
		x.requestTee = x.requestBody // the copy stands still from here on
		x.lock.Unlock()
	}
	x.cost = int64(x.requestCopy.Cap() + x.responseCopy.Cap() + 16*cap(x.marks) + exchangeCost)
	enqueue(x.middleware.sender, x.record)
}

// blame says who ended the exchange early, if anybody did.
func blame(x *exchange) string {
	if x.err != nil || x.context.Err() != nil {
		return "client"
	}
	if x.returned {
		return ""
	}
	return "upstream"
}

func guard() {
	if problem := recover(); problem != nil {
		log.Printf("llmtoken: an exchange is lost: %v", problem)
	}
}
