// Package llmtoken is a Traefik middleware that taps calls to language models.
//
// It copies each request and reply while they stream by, notes when the bytes passed, and
// reports the exchange to the llmtoken collector from the background. The traffic itself
// is never changed, and never waits for the collector.
//
// Traefik does not compile this package, it interprets it with Yaegi. That shapes the code: what runs for each
// request or chunk is few statements that call compiled ones, and tools/yaegi rejects what Yaegi can't take.
//
//	config      what may be configured, and what is wrong with it
//	llmtoken    the handler: what happens before and after a request
//	stock       what requests need, made in advance
//	capture     an exchange while it passes
//	report      what is told of it
//	batch       writing reports
//	senders     which senders there are
//	sender      the queue and its goroutines
//	spool       batches in files
//	delivery    offering batches to the collector
//	ledger      what was lost
//	usage…      asking upstreams for the usage of streams
package llmtoken

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Middleware taps one route.
type Middleware struct {
	next    http.Handler
	name    string
	config  *Config
	sender  *sender
	stock   sync.Pool // exchanges made in advance
	special bool

	maxRequestBody int64
}

// New is called by Traefik for every router and entry point that uses the middleware, and
// again whenever any dynamic configuration changes. The context ends with this instance.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	shipping, err := check(config)
	if err != nil {
		return nil, err
	}
	m := &Middleware{
		next: next, name: clip(name, maxName), config: config, sender: acquire(ctx, shipping), special: special(config),
		maxRequestBody: config.MaxRequestBody,
	}
	tapped := askForUsage(m) // m itself, unless the configuration wants it
	if len(config.Paths) == 0 {
		return tapped, nil
	}
	return &selector{paths: config.Paths, tapped: tapped, untapped: next}, nil
}

// special configurations need more to be looked at than what every request is looked at for.
func special(config *Config) bool {
	return config.CaptureUpstream || identifies(config)
}

// identifies says whether it matters who is calling.
func identifies(config *Config) bool {
	return config.ConsumerHeader != "" || config.ConsumerFromKey != ""
}

// ServeHTTP passes the request on, and reports it when it is over.
func (m *Middleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	x, ok := m.stock.Get().(*exchange)
	if !ok {
		x = makeExchanges(m, 1)
	}
	x.start = time.Now()
	x.ResponseWriter = rw
	x.control = http.NewResponseController(rw)
	x.request = req
	x.Method = req.Method
	x.Host = req.Host
	x.Path = req.RequestURI
	header := req.Header
	x.contentType = header["Content-Type"]
	x.contentEncoding = header["Content-Encoding"]
	length := req.ContentLength
	x.requestLength = length
	if length > 0 && length <= m.maxRequestBody {
		x.requestRest.R = req.Body
		x.requestRest.N = length
		req.Body = x.body
	} else if length != 0 {
		tapLarge(x, req)
	}
	if m.special {
		req = lookCloser(x, req)
	}
	if header["Upgrade"] != nil {
		passUntapped(x, req)
		return
	}
	// Deferred, because the proxy leaves by a panic when the client or the upstream goes away.
	defer finish(x)
	m.next.ServeHTTP(x, req)
	x.steps += returned
}

// passUntapped lets a request pass that may go over to another protocol, which needs the connection itself. Compiled
// code can't see through an interpreted wrapper to the Hijacker beneath, so the reply goes by.
func passUntapped(x *exchange, req *http.Request) {
	x.untapped = true
	x.steps = begun
	defer finish(x)
	x.middleware.next.ServeHTTP(x.ResponseWriter, req)
	x.steps += returned
}

// selector taps some paths only. It stands apart so that the others, and those who tap all, don't pay for it.
type selector struct {
	paths            []string
	tapped, untapped http.Handler
}

func (s *selector) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	for _, prefix := range s.paths {
		if strings.HasPrefix(req.URL.Path, prefix) {
			s.tapped.ServeHTTP(rw, req)
			return
		}
	}
	s.untapped.ServeHTTP(rw, req)
}
