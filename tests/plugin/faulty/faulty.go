// Package faulty is a middleware that panics when a request asks for it, as somebody's own plugin may.
package faulty

import (
	"context"
	"io"
	"net/http"
)

// Config has nothing to configure.
type Config struct{}

// CreateConfig is called by Traefik for the defaults.
func CreateConfig() *Config { return &Config{} }

// New is called by Traefik for each router.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		switch req.Header.Get("X-Panic") {
		case "at once":
			panic("at once")
		case "abort":
			panic(http.ErrAbortHandler)
		case "after reading":
			_, _ = io.ReadAll(req.Body)
			panic("after reading")
		case "after the head":
			rw.WriteHeader(http.StatusAccepted)
			panic("after the head")
		case "after writing":
			rw.Header().Set("Content-Length", "10")
			_, _ = rw.Write([]byte("half"))
			panic("after writing")
		case "after writing without a length":
			_, _ = rw.Write([]byte("half"))
			panic("after writing")
		case "after the reply":
			next.ServeHTTP(rw, req)
			panic("after the reply")
		}
		next.ServeHTTP(rw, req)
	}), nil
}
