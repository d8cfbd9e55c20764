package llmtoken

import (
	"errors"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"
)

const (
	// maxMarks bounds what is kept while a reply passes of when its bytes left. A mark is markCost bytes.
	maxMarks = 4096
	markCost = 32
	// reviewEvery is after how many bytes of a reply its limits are looked at.
	reviewEvery = 64 * 1024
	// exchangeCost is about what an exchange takes in memory besides bodies and marks.
	exchangeCost = 4096
	// Traefik answers this, for its log, to a client that left before the upstream answered.
	// Some upstreams send it too.
	statusClientClosedRequest = 499
	// settleWithin is how long the end of an exchange waits for a request that is still being read.
	settleWithin = 100 * time.Millisecond
)

// exchange is one request and its reply while they pass; it is the reply's writer. What outlives it stands in the
// report, so that nothing in the queue holds on to the connection.
//
// What runs for each request or chunk is measured (docs/adr/plugin-data-path.md). Entering one of our functions
// allocates a value for each selector, call and comparison in it, reached or not; a compiled call costs ten
// fields, a conversion to an interface up to fifty. So it is few statements, what is rare stands in a
// function of its own, and what the sender can compute is left to it.
type exchange struct {
	http.ResponseWriter // compiled code calls its Header directly
	*report

	body           io.ReadCloser     // the request's, copied as it is read; keeps its error: see brokenOff
	request        *http.Request     // for its context
	requestRest    *io.LimitedReader // what is still to come of the announced length, or of math.MaxInt64
	control        *http.ResponseController
	responseLength int // as announced; 0 when it wasn't
	review         int // at how many bytes written the limits are looked at
	settled        int // how many marks have been thinned out to one in stride
	stride         int
	steps          int // what has been seen: see begun
}

// What has been seen of an exchange; anything but begun and returned is looked at more closely in the end.
const (
	begun    = 1 // the reply: its status is known
	returned = 2 // next, without a panic
	doubtful = 4 // it was Traefik that answered, perhaps because the client had left
)

// ── The request ──────────────────────────────────────────────────────────────────────────

// tapLarge taps a body of unknown length, or one that is longer than what is kept of it. ServeHTTP taps the others.
//
// Behind the announced length the end is certain, and the body must not be asked for it: the server closes it as
// soon as the reply begins, and the transport, which looks for the end after it has sent all, would take the
// error for a broken request and cut the reply short. Plain Traefik does. An unknown end stays the end, because
// a MultiReader's is final.
func tapLarge(x *exchange, req *http.Request) {
	x.requestRest = &io.LimitedReader{R: req.Body, N: atMost(x.requestLength)}
	head := io.LimitReader(x.requestRest, x.middleware.config.MaxRequestBody)
	body := io.NopCloser(io.MultiReader(io.TeeReader(head, x.requestCopy), x.requestRest))
	x.body = http.MaxBytesReader(nil, body, math.MaxInt64)
	req.Body = x.body
}

// atMost is how long a body of that announced length can be.
func atMost(length int64) int64 {
	if length < 0 { // it wasn't announced
		return math.MaxInt64
	}
	return length
}

// lookCloser does what only some configurations ask for: keep the headers that may say who is calling, and
// ask the transport which server it takes.
func lookCloser(x *exchange, req *http.Request) *http.Request {
	config := x.middleware.config
	if identifies(config) {
		x.caller = req.Header.Clone()
	}
	if !config.CaptureUpstream {
		return req
	}
	trace := &httptrace.ClientTrace{GetConn: func(hostPort string) { x.Upstream = hostPort }}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
}

// brokenOff says whether the request broke before its end: its client left, was too slow for Traefik, or sent what is no
// chunk. When a reply begins before its request has ended, the server closes the body: that is no fault of the client's.
//
// Nothing is read for it. Each body is a MaxBytesReader without a maximum: that is the compiled reader which keeps its
// error, and gives it even to who asks for no bytes.
func brokenOff(x *exchange) bool {
	_, err := x.body.Read(nil)
	return err != nil && err != io.EOF && !errors.Is(err, http.ErrBodyReadAfterClose)
}

// settleRequest stops the copy of a request that was not read whole, and says how much of it was. The upstream
// answered early, or somebody left.
//
// The transport may still be reading in its own goroutine. The server is about to close the body anyway, which
// waits for a read in progress and ends all others; then only the copy of what was read last may be on its way.
func settleRequest(x *exchange) {
	x.unread = true
	whole := atMost(x.requestLength)
	if body, ok := x.requestRest.R.(io.Closer); ok {
		_ = body.Close()
	}
	for deadline := time.Now().Add(settleWithin); ; {
		time.Sleep(time.Millisecond) // for a reader that was just about to copy
		x.RequestBytes = whole - x.requestRest.N
		copied := int64(x.requestCopy.Len())
		if copied == x.RequestBytes || copied == x.middleware.config.MaxRequestBody || time.Now().After(deadline) {
			return
		}
	}
}

// ── The reply ────────────────────────────────────────────────────────────────────────────

// WriteHeader notes the status; informational ones pass and don't count, of the others the first does.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 && x.steps == 0 {
		x.steps = begun
		x.Status = status
		// Copied before it is sent: a compressing middleware in front changes it in place, and
		// then it no longer describes the bytes that pass here.
		header := x.ResponseWriter.Header().Clone()
		x.responseHeader = header
		x.responseLength, _ = strconv.Atoi(header.Get("Content-Length"))
	}
	x.ResponseWriter.WriteHeader(status)
	if status >= 200 && x.responseLength == 0 {
		beginStream(x)
	}
}

// beginStream sends the header of a reply of unknown length at once, as the proxy would. It also keeps the
// trailers of replies without a body.
func beginStream(x *exchange) {
	if x.Status < statusClientClosedRequest || !proxySpeaks(x) {
		_ = x.control.Flush()
	}
}

// proxySpeaks says whether it is Traefik's proxy that answers, because of a broken upstream or request: that has no header
// at all. Without the plugin the server would find out the length of what it says, so it is left to do so.
func proxySpeaks(x *exchange) bool {
	text := http.StatusText(x.Status)
	if x.Status == statusClientClosedRequest {
		x.steps |= doubtful
		text = "Client Closed Request"
	} else if brokenOff(x) {
		x.steps |= doubtful
	}
	if !bare(x.responseHeader) {
		return false
	}
	x.responseLength = len(text)
	return true
}

// bare says that there is no header. Traefik may have put one there that has no value, so that none is added.
func bare(header http.Header) bool {
	for _, values := range header {
		if len(values) > 0 {
			return false
		}
	}
	return true
}

// Write hands on a piece of the reply and copies it. If it doesn't complete an announced length, it notes when the
// piece left, and flushes: Traefik's proxy would, but can't see the Flusher through an interpreted wrapper. The
// end of a reply of known length is sent by the server itself.
func (x *exchange) Write(p []byte) (n int, err error) {
	n, err = x.ResponseWriter.Write(p)
	x.responseCopy = append(x.responseCopy, p...)
	x.written += n
	if x.written != x.responseLength {
		_ = x.control.Flush()
		x.times = append(x.times, time.Now())
		x.lengths = append(x.lengths, x.written)
		if x.written >= x.review {
			reviewLimits(x)
		}
	}
	return
}

// reviewLimits keeps the copy and the marks within their bounds. Both may pass them by what is
// written between two reviews; the report cuts the copy.
func reviewLimits(x *exchange) {
	x.review = x.written + reviewEvery
	if limit := int(x.middleware.config.MaxResponseBody); len(x.responseCopy) > limit {
		x.responseCopy = x.responseCopy[:limit]
	}
	x.settled = thin(x.report, x.settled, (len(x.times)-x.settled)/x.stride)
	if x.settled > maxMarks {
		x.settled = thin(x.report, 0, maxMarks/2)
		x.stride *= 2
	}
}

// thin keeps so many of the marks from that one on, evenly, always with the first and the last. It says how many
// there are then.
func thin(r *report, from, keep int) int {
	if keep < 2 {
		keep = 2
	}
	if count := len(r.times) - from; count > keep {
		for i := 0; i < keep; i++ {
			r.times[from+i] = r.times[from+i*(count-1)/(keep-1)]
			r.lengths[from+i] = r.lengths[from+i*(count-1)/(keep-1)]
		}
		r.times = r.times[:from+keep]
		r.lengths = r.lengths[:from+keep]
	}
	return len(r.times)
}

// ── The end ──────────────────────────────────────────────────────────────────────────────

// finish settles what happened and queues the exchange. It runs also while the proxy's panic passes through.
func finish(x *exchange) {
	x.end = time.Now()
	if x.steps != begun+returned || x.requestRest.N != 0 {
		conclude(x)
	}
	finished := x.middleware.sender.finished
	if len(finished) < cap(finished) {
		finished <- x.report
	} else {
		admit(x.middleware.sender, x.report, nil)
	}
}

// conclude tells how an exchange ended that did not simply go through. A panic of ours stays here, while the
// proxy's goes on its way.
func conclude(x *exchange) {
	defer guard()
	if x.steps != begun+returned {
		x.Aborted = blame(x)
	}
	if x.steps == returned {
		// Nobody said a word about the status: then it is 200.
		x.Status = http.StatusOK
		x.responseHeader = x.ResponseWriter.Header().Clone()
	}
	if x.requestRest.N != 0 {
		settleRequest(x)
	}
}

// blame says who ended the exchange early, if anybody did.
func blame(x *exchange) string {
	if x.request.Context().Err() != nil || brokenOff(x) {
		return "client" // the server ends the context when it can't write, too
	}
	if x.steps&returned != 0 {
		return ""
	}
	return "upstream"
}

func guard() {
	if problem := recover(); problem != nil {
		log.Printf("llmtoken: an exchange could not be read to its end: %v", problem)
	}
}
