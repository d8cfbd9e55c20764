package main

import (
	"sort"
	"time"
)

// quantiles of durations, in seconds.
type quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

type result struct {
	Seconds   float64        `json:"seconds"`
	Requests  int64          `json:"requests"`
	Finished  int64          `json:"finished"`  // replies that came complete and right
	Failed    int64          `json:"failed"`    // no reply, or another status
	Truncated int64          `json:"truncated"` // replies that ended early
	Wrong     int64          `json:"wrong"`     // replies with other bytes
	Bytes     int64          `json:"bytes"`     // of bodies received
	Pieces    int64          `json:"pieces"`    // HTTP chunks that they came in
	Latency   *quantiles     `json:"latency"`
	First     *quantiles     `json:"first"` // to the first byte of the body
	Lag       *quantiles     `json:"lag"`   // of an event, from sent to received
	Errors    map[string]int `json:"errors"`
	Calls     []call         `json:"calls,omitempty"`
}

func summary(workers []*worker, took time.Duration, calls bool) result {
	var latencies, firsts, lags []time.Duration
	all := result{Seconds: took.Seconds(), Errors: map[string]int{}}
	for _, w := range workers {
		all.Requests += w.requests
		all.Finished += w.finished
		all.Failed += w.failed
		all.Truncated += w.truncated
		all.Wrong += w.wrong
		all.Bytes += w.bytes
		all.Pieces += w.pieces
		latencies = append(latencies, w.latencies...)
		firsts = append(firsts, w.firsts...)
		lags = append(lags, w.lags...)
		if calls {
			all.Calls = append(all.Calls, w.calls...)
		}
		for text, times := range w.errors {
			all.Errors[text] += times
		}
	}
	all.Latency, all.First, all.Lag = of(latencies), of(firsts), of(lags)
	return all
}

func of(durations []time.Duration) *quantiles {
	if len(durations) == 0 {
		return nil
	}
	sort.Slice(durations, func(i, j int) bool { return durations[i] < durations[j] })
	at := func(part float64) float64 {
		return durations[int(part*float64(len(durations)-1)+0.5)].Seconds()
	}
	return &quantiles{P50: at(0.5), P99: at(0.99)}
}
