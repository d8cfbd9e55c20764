// Package noop is the least that a Traefik plugin can do: what it costs is the floor for every other.
package noop

import (
	"context"
	"net/http"
)

// Config is empty.
type Config struct{}

// CreateConfig is called by Traefik for the defaults.
func CreateConfig() *Config { return &Config{} }

// Middleware passes everything on.
type Middleware struct{ next http.Handler }

// New is called by Traefik for every route.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return &Middleware{next: next}, nil
}

// ServeHTTP passes the request on.
func (m *Middleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) { m.next.ServeHTTP(rw, req) }
