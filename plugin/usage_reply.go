package llmtoken

import (
	"bytes"
	"io"
	"mime"
	"net/http"
)

const (
	// maxWatched bounds the copy of a stream that is watched; of a longer one nothing is learned.
	maxWatched = 4 * mebibyte
	// notAStream is no reason to stop asking: an error, or an upstream that answers in one piece.
	notAStream = "does not stream"
)

// ── A reply that is watched ──────────────────────────────────────────────────────────────

// watchedReply passes a reply on unchanged and remembers how it looked.
type watchedReply struct {
	http.ResponseWriter
	control *http.ResponseController
	out     io.Writer // the client and the copy, or the client alone
	copy    bytes.Buffer
	status  int
	unfit   string // why it could not be filtered
}

// WriteHeader notes the status of the reply.
func (w *watchedReply) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.unfit = unfit(w.ResponseWriter.Header())
	}
	w.ResponseWriter.WriteHeader(status)
	flushHeader(w.ResponseWriter, w.control, status)
}

// Write passes a piece on.
func (w *watchedReply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.out.Write(p)
	_ = w.control.Flush()
	if w.copy.Len() > maxWatched {
		w.out = w.ResponseWriter
	}
	return n, err
}

// judge tells whether a whole stream ended without usage, and whether it told anything about that.
func judge(w *watchedReply) (bool, bool) {
	if w.status != http.StatusOK || w.unfit == notAStream {
		return false, false
	}
	if w.unfit != "" {
		return false, true
	}
	stream := w.copy.Bytes()
	if bytes.Contains(stream, usageName) || bytes.Contains(stream, timingsName) {
		return false, true
	}
	// Every event must be an object, as what is taken out of events later on is certain in JSON only.
	events := bytes.Count(stream, []byte("\ndata:"))
	objects := bytes.Count(stream, []byte("\ndata: {")) + bytes.Count(stream, []byte("\ndata:{"))
	ends := bytes.Count(stream, []byte("\ndata: [DONE]")) + bytes.Count(stream, []byte("\ndata:[DONE]"))
	silent := ends == 1 && objects > 0 && objects+ends == events && len(stream) <= maxWatched
	return silent, silent
}

// unfit says why a reply can't be filtered; nothing, when it can.
func unfit(header http.Header) string {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind != "text/event-stream" {
		return notAStream
	}
	if header.Get("Content-Encoding") != "" {
		return "compresses its streams"
	}
	if header.Get("Content-Length") != "" {
		return "gives its streams a length"
	}
	return ""
}

// flushHeader sends a header at once where Traefik's proxy would, which can't see the Flusher through us.
func flushHeader(rw http.ResponseWriter, control *http.ResponseController, status int) {
	if status >= 200 && rw.Header().Get("Content-Length") == "" {
		_ = control.Flush()
	}
}

// ── A reply that was asked for its usage ─────────────────────────────────────────────────

// askedReply passes a reply on without the usage, and holds back a refusal.
type askedReply struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	refused bool
	filters bool
	unfit   string // why it could not be filtered, if it couldn't
	held    []byte // the beginning of a line or of an event, of which the rest has not come
	hiding  bool   // the end of the event that is hidden has not come
}

// WriteHeader decides what to do with the reply.
func (r *askedReply) WriteHeader(status int) {
	if status >= 200 && r.status == 0 {
		r.status = status
		if status == http.StatusBadRequest || status == http.StatusUnprocessableEntity {
			r.refused = true
		} else if status == http.StatusOK {
			r.unfit = unfit(r.ResponseWriter.Header())
			r.filters = r.unfit == ""
			if r.unfit == notAStream { // an error, or odd; there is nothing to hide in it
				r.unfit = ""
			}
		}
	}
	if !r.refused {
		r.ResponseWriter.WriteHeader(status)
		flushHeader(r.ResponseWriter, r.control, status)
	}
}

// Write passes a piece on, as far as it may be.
func (r *askedReply) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.refused {
		return len(p), nil
	}
	passing := p
	if r.filters {
		// Nearly always a piece is whole events. Then this is all, in few interpreted steps.
		passing = bytes.ReplaceAll(p, noUsage, nil)
		if len(r.held) > 0 || r.hiding || !bytes.HasSuffix(p, blankLine) || bytes.Contains(passing, usageName) {
			passing = passable(r, p)
		}
	}
	if len(passing) == 0 {
		return len(p), nil
	}
	if _, err := r.ResponseWriter.Write(passing); err != nil {
		return 0, err
	}
	_ = r.control.Flush()
	return len(p), nil
}
