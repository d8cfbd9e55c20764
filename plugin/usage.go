package llmtoken

import (
	"io"
	"log"
	"net/http"
	"sync"
	"time"
)

const (
	// silentFor is how long it is trusted that a model's streams end without usage, speaksFor that there
	// is nothing to ask for. A wrong guess of the first kind takes from a client, of the second only from us.
	silentFor = 24 * time.Hour
	speaksFor = time.Hour
	// maxLearned bounds how many models are known; clients choose the names.
	maxLearned = 4096
	maxKey     = 1024
)

// usageAsker stands before the tap and asks upstreams for the usage of streams whose clients didn't.
//
// The tap behind it sees the request as the upstream gets it and the reply with its usage. The client
// sees what it would have seen. That can only be promised of an upstream whose plain stream has been
// seen: many tell their usage unasked, and some tell other things differently when asked. So the first stream
// of each model passes unchanged, and only where it ended without usage the next ones ask.
type usageAsker struct {
	tap *Middleware
	// The same, for writers of ours: compiled code between us and the tap makes compiled values of
	// them, without which the tap's compiled helpers could not take them.
	tapped http.Handler
}

// askForUsage puts a usageAsker before the tap, if the configuration wants it.
func askForUsage(m *Middleware) http.Handler {
	if !m.config.InjectStreamUsage {
		return m
	}
	return &usageAsker{tap: m, tapped: http.HandlerFunc(m.ServeHTTP)}
}

func (a *usageAsker) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if !mayAsk(req) {
		a.tap.ServeHTTP(rw, req)
		return
	}
	body, whole := takeBody(req)
	if !whole {
		a.tap.ServeHTTP(rw, req)
		return
	}
	model, plain := plainStream(body)
	// What the upstream does may depend on all of these.
	key := a.tap.name + " " + req.Host + req.URL.Path + " " + model + " " + req.Header.Get("Accept-Encoding")
	if !plain || len(key) > maxKey {
		a.tap.ServeHTTP(rw, req)
		return
	}
	silent, known := recall(key)
	if !known {
		watch(a, key, rw, req)
	} else if silent {
		ask(a, key, body, rw, req)
	} else {
		a.tap.ServeHTTP(rw, req)
	}
}

// watch lets a stream pass unchanged and learns whether it told its usage.
func watch(a *usageAsker, key string, rw http.ResponseWriter, req *http.Request) {
	w := &watchedReply{ResponseWriter: rw, control: http.NewResponseController(rw)}
	w.copy.WriteByte('\n') // so that all lines begin alike
	w.out = io.MultiWriter(rw, &w.copy)
	a.tapped.ServeHTTP(w, req)
	silent, known := judge(w)
	if known {
		learn(key, silent)
	}
}

// ask sends the request with the question for the usage in it and hides the answer from the client. An
// upstream that refuses gets the request once more as it came: the client sees what it would have seen, even
// if something else was wrong, and finds its own bytes in the complaint.
func ask(a *usageAsker, key string, body []byte, rw http.ResponseWriter, req *http.Request) {
	before := rw.Header().Clone()
	r := &askedReply{ResponseWriter: rw, control: http.NewResponseController(rw)}
	// Deferred, because the proxy leaves by a panic when the upstream breaks off: what it had sent belongs to the client.
	defer settle(r, key)
	// A copy, because other middlewares may change the request on its way.
	a.tapped.ServeHTTP(r, asking(req, body))
	if !r.refused {
		return
	}
	restore(rw.Header(), before)
	again := &watchedReply{ResponseWriter: rw, control: http.NewResponseController(rw), out: rw}
	a.tapped.ServeHTTP(again, req)
	if again.status < http.StatusBadRequest {
		doNotAsk(key, "refuses stream_options")
	}
}

// settle hands on what is still held back, and takes note of a reply that could not be filtered.
func settle(r *askedReply, key string) {
	if len(r.held) > 0 && !r.hiding {
		if rest := withoutUsage(r, r.held); len(rest) > 0 {
			_, _ = r.ResponseWriter.Write(rest)
			_ = r.control.Flush()
		}
	}
	if r.unfit != "" {
		doNotAsk(key, r.unfit)
	}
}

// restore sets the headers back to what they were before a reply that the client doesn't get.
func restore(header, before http.Header) {
	for name := range header {
		if _, ok := before[name]; !ok {
			delete(header, name)
		}
	}
	for name, values := range before {
		header[name] = values
	}
}

// ── What has been learned ────────────────────────────────────────────────────────────────

// lesson is what a model's streams have shown: whether they end without usage.
type lesson struct {
	silent bool
	until  time.Time
}

// Instances of the middleware come and go with each change of Traefik's configuration; this stays.
var (
	lessonsLock sync.Mutex
	lessons     = map[string]lesson{}
)

// recall gives whether streams are known to end without usage, and whether anything is known of them.
func recall(key string) (bool, bool) {
	lessonsLock.Lock()
	l, ok := lessons[key]
	lessonsLock.Unlock()
	return l.silent, ok && time.Now().Before(l.until)
}

func learn(key string, silent bool) {
	l := lesson{silent: silent, until: time.Now().Add(speaksFor)}
	if silent {
		l.until = time.Now().Add(silentFor)
	}
	lessonsLock.Lock()
	if len(lessons) >= maxLearned {
		lessons = map[string]lesson{} // to be learned anew; clients that make up names must not fill the memory
	}
	lessons[key] = l
	lessonsLock.Unlock()
}

// doNotAsk is said in the log, because nothing else shows why usage is missing.
func doNotAsk(key, why string) {
	learn(key, false)
	log.Printf("llmtoken: injectStreamUsage: the upstream %s; it is not asked again for %s: %q", why, speaksFor, key)
}
