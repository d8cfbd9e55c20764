// Command upstream answers as a model server does, and knows what it sent.
//
//	POST any path   a chat completion; with the header "Events: 200" a stream of so many, flushed one by
//	                one as fast as it can, or with "Pause: 5ms" one every 5 ms
//	GET  /stats     how many requests came, how many were answered to the end, and bytes of bodies sent
package main

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"load/reply"
	"load/serve"
)

var requests, finished, sent atomic.Int64

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, map[string]int64{"requests": requests.Load(), "finished": finished.Load(), "bytes": sent.Load()})
	})
	mux.HandleFunc("/", answer)
	serve.Until(mux)
}

func answer(w http.ResponseWriter, r *http.Request) {
	requests.Add(1)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	var err error
	if events := r.Header.Get("Events"); events != "" {
		err = stream(w, r, events)
	} else {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(reply.JSON)))
		err = send(w, reply.JSON)
	}
	if err == nil {
		finished.Add(1)
	}
}

func stream(w http.ResponseWriter, r *http.Request, wanted string) error {
	events, err := strconv.Atoi(wanted)
	if err != nil || events < 1 || events > reply.MostEvents {
		http.Error(w, "Events must be a number from 1 to 999999", http.StatusBadRequest)
		return http.ErrNotSupported
	}
	pause, _ := time.ParseDuration(r.Header.Get("Pause"))
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	out := http.NewResponseController(w)
	event := make([]byte, 0, reply.EventSize)
	start := time.Now()
	for number := 0; number < events; number++ {
		if pause > 0 {
			// Towards a fixed time, so that a slow write does not put off what follows.
			time.Sleep(time.Until(start.Add(time.Duration(number) * pause)))
		}
		event = reply.Event(event, number, time.Now())
		if err := send(w, event); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return send(w, reply.Done)
}

func send(w io.Writer, body []byte) error {
	n, err := w.Write(body)
	sent.Add(int64(n))
	return err
}
