// Command client sends chat completions in a closed loop, checks every byte of the replies, and prints one JSON object.
//
// Each connection sends its next request when the last was answered, until -seconds are over or -count requests
// were sent. Only 127.0.0.1 and the like are accepted as targets. It speaks HTTP/1.1 by itself: on a machine of
// two cores a client that costs as much as the proxy would hide what the proxy costs.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// run is what all connections share.
type run struct {
	address     string
	path        string
	connections int
	events      int // of a stream; 0 asks for JSON
	pause       time.Duration
	size        int // of a request's body
	count       int64
	end         time.Time
	next        atomic.Int64
}

func main() {
	target := flag.String("url", "", "where to send, such as http://127.0.0.1:8088/v1/chat/completions")
	connections := flag.Int("connections", 1, "requests at a time")
	seconds := flag.Float64("seconds", 1, "begin no request after these")
	count := flag.Int64("count", 1_000_000, "send no more than so many")
	events := flag.Int("events", 0, "ask for streams of so many events; 0 asks for JSON")
	pause := flag.Duration("pause", 0, "between events")
	size := flag.Int("size", 2048, "bytes of a request's body")
	calls := flag.Bool("calls", false, "list every finished call: its number, and when it finished")
	flag.Parse()

	u, err := url.Parse(*target)
	if err != nil || u.Scheme != "http" || !net.ParseIP(u.Hostname()).IsLoopback() {
		log.Fatalf("-url %q: must be http:// and a loopback address, such as 127.0.0.1", *target)
	}
	if *connections < 1 || *connections > 4096 || *seconds > 3600 || *count > 10_000_000 {
		log.Fatal("too much: 4096 connections, an hour, 10 million requests at most")
	}
	shared := &run{address: u.Host, path: u.RequestURI(), connections: *connections, events: *events, pause: *pause,
		size: *size, count: *count}

	start := time.Now()
	shared.end = start.Add(time.Duration(*seconds * float64(time.Second)))
	workers := make([]*worker, *connections)
	var done sync.WaitGroup
	for i := range workers {
		workers[i] = newWorker(shared)
		done.Add(1)
		go func(w *worker, wait time.Duration) {
			defer done.Done()
			time.Sleep(wait)
			w.work()
		}(workers[i], *pause*time.Duration(i)/time.Duration(*connections)) // else all streams would beat as one
	}
	done.Wait()
	json.NewEncoder(os.Stdout).Encode(summary(workers, time.Since(start), *calls))
}
