package llmtoken

import (
	"bytes"
	"io"
	"math"
	"net/http"
)

// makeExchanges makes what requests need before there are any, so that little is left to do when one comes. All but
// the last go to the middleware's stock; that one is for the caller.
//
// Each is used once: what reads a request's body may outlive the exchange, and must not find another's. A loop
// allocates its expressions once, so many cost much less than many times one.
func makeExchanges(m *Middleware, count int) *exchange {
	var x *exchange
	for ; count > 0; count-- {
		if x != nil {
			m.stock.Put(x)
		}
		x = &exchange{
			report: &report{
				Version: 1, Middleware: m.name, CaptureBodies: m.config.CaptureBodies, Provider: m.config.Provider,
				Labels: m.config.Labels, middleware: m,
			},
			requestRest: &io.LimitedReader{}, review: reviewEvery, stride: 1,
		}
		x.requestCopy = &bytes.Buffer{}
		// Variables of the right interface save a slow conversion in the call.
		var from io.Reader = x.requestRest
		var to io.Writer = x.requestCopy
		x.body = http.MaxBytesReader(nil, io.NopCloser(io.TeeReader(from, to)), math.MaxInt64)
	}
	return x
}
