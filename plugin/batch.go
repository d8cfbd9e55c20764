package llmtoken

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// breath is after how many reports whoever waits for the processor gets it: a batch of hundreds takes milliseconds.
const breath = 8

// batch is reports as NDJSON, one a line. It belongs to the sender's goroutine.
type batch struct {
	bytes.Buffer
	encoder *json.Encoder
	taken   []*report // from the queue, to be written
	writing *report   // the one in work
	count   int       // whole lines
	whole   int       // where they end
	held    int64     // bytes of the queue that their reports count for
}

func (b *batch) begin() {
	b.encoder = json.NewEncoder(&b.Buffer)
	b.encoder.SetEscapeHTML(false)
}

// writeReports makes whole what was noted while the exchanges passed, and writes it behind what the batch has. A
// batch that is full goes to flush; a report that doesn't fit any more begins the next.
//
// It is one loop and not several functions, because a function allocates its expressions whenever it is entered, and
// that is most of what writing a report costs. What is rare does stand apart.
func writeReports(b *batch, ledger account, maxCount, maxBytes int, flush func()) {
	for len(b.taken) > 0 {
		r := b.taken[0]
		b.taken = b.taken[1:]
		b.writing = r
		config := r.middleware.config
		size := 0 // of the headers
		r.RequestID = ledger.Boot + "-" + strconv.FormatInt(r.Source.Sequence, 10)
		r.Timestamp = r.start.UTC()
		r.ElapsedTime = float64(r.end.Sub(r.start)) / 1e9
		ledger.Sequence = r.Source.Sequence
		r.Source = ledger
		if r.caller != nil {
			r.Consumer = consumer(r) // before the query is gone
		}
		if len(r.Path)+len(r.Method)+len(r.Host)+len(r.Upstream) > maxName || strings.ContainsAny(r.Path, "?:") {
			tidy(r)
		}
		if r.requestLength != 0 {
			if !r.unread {
				r.RequestBytes = r.requestLength
			}
			body := r.requestCopy.String()
			// An upstream that answers early may leave the rest unread: the body isn't whole then either.
			r.RequestTruncated = int64(len(body)) < r.RequestBytes || r.RequestBytes < r.requestLength
			r.RequestBody = body
			if len(body) >= mebibyte || !utf8.ValidString(body) {
				r.RequestBody, r.RequestEncoding = encode(body)
			}
			r.RequestHeaders = map[string]string{}
			if len(r.contentType) > 0 {
				r.RequestHeaders["content-type"] = r.contentType[0]
				size += len(r.contentType[0])
			}
			if len(r.contentEncoding) > 0 {
				r.RequestHeaders["content-encoding"] = r.contentEncoding[0]
				size += len(r.contentEncoding[0])
			}
		}
		if !r.untapped {
			body := string(r.responseCopy)
			if int64(len(body)) > config.MaxResponseBody {
				body = body[:config.MaxResponseBody]
			}
			if len(body) > r.written { // the client didn't take it all
				body = body[:r.written]
			}
			r.truncated = len(body) < r.written
			r.ResponseTruncated = &r.truncated
			r.ResponseBytes = &r.written
			r.ResponseBody = body
			if len(body) >= mebibyte || !utf8.ValidString(body) {
				r.ResponseBody, r.ResponseEncoding = encode(body)
			}
			r.ResponseHeaders = map[string]string{}
			for name, values := range r.responseHeader {
				if lower := responseHeaders[name]; lower != "" && len(values) > 0 {
					r.ResponseHeaders[lower] = values[0]
					size += len(values[0])
				}
			}
			if len(r.times) > 0 {
				drawTimeline(r)
			} else if r.written > 0 { // in one piece, the last, which isn't marked
				r.TimeToFirstByte = r.ElapsedTime
				r.Timeline = [][2]float64{{float64(r.written), r.ElapsedTime}}
			}
		}
		if size > maxLine {
			shorten(r.RequestHeaders)
			shorten(r.ResponseHeaders)
		}
		if err := b.encoder.Encode(r); err != nil { // ends the line: reports in a row are NDJSON
			panic(err) // of numbers and text: it can't; the sender counts and logs it
		}
		if b.count > 0 && b.Len() > maxBytes {
			line := b.cut()
			flush()
			b.Write(line)
		}
		b.writing = nil
		b.count++
		if b.count%breath == 0 {
			runtime.Gosched() // let requests go first
		}
		b.whole = b.Len()
		b.held += r.cost
		if b.count == maxCount {
			flush()
		}
	}
}

// cut takes the line that was written last off the batch.
func (b *batch) cut() []byte {
	line := append([]byte{}, b.Bytes()[b.whole:]...)
	b.Truncate(b.whole)
	return line
}

// undo takes away what of a report was written that can't be, and says which one it is, if any.
func (b *batch) undo() *report {
	r := b.writing
	b.writing = nil
	b.Truncate(b.whole)
	return r
}

// reset empties the batch; a buffer beyond the limit, after a big report, is given back.
func (b *batch) reset(limit int) {
	b.Reset()
	if b.Cap() > limit {
		b.Buffer = bytes.Buffer{}
	}
	b.count = 0
	b.whole = 0
	b.held = 0
}
