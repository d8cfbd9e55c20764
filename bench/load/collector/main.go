// Command collector takes reports as llmtoken's collector does, and counts them instead of reading them.
//
//	POST /NAME/…           reports of the plugin called NAME: NDJSON, or one JSON object; also with gzip
//	GET  /stats/NAME       what came from it so far; with ?calls also the numbers of the calls (see client)
//	POST /reset            forget everything
//	POST /away, /back      answer 503 to all reports from now on, or no longer
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"load/serve"
)

// tally is what came from one plugin.
type tally struct {
	Batches  int64 `json:"batches"`
	Lines    int64 `json:"lines"`
	Reports  int64 `json:"reports"` // lines with an id not seen before
	Wire     int64 `json:"wire"`    // bytes of bodies as they came
	Refused  int64 `json:"refused"` // batches that can't be read
	Dropped  int64 `json:"dropped"` // the loss ledger's highest
	Failed   int64 `json:"failed"`
	Calls    []int `json:"calls,omitempty"`
	known    map[uint64]struct{}
	numbered map[int]struct{}
}

var (
	away    atomic.Bool
	mu      sync.Mutex
	tallies = map[string]*tally{}
	seed    = maphash.MakeSeed()
	buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/stats/", stats)
	mux.HandleFunc("/reset", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		tallies = map[string]*tally{}
		mu.Unlock()
		serve.JSON(w, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, _ *http.Request) { isAway(w, true) })
	mux.HandleFunc("/back", func(w http.ResponseWriter, _ *http.Request) { isAway(w, false) })
	mux.HandleFunc("/", take)
	serve.Until(mux)
}

func isAway(w http.ResponseWriter, yes bool) {
	away.Store(yes)
	serve.JSON(w, map[string]bool{"away": yes})
}

func take(w http.ResponseWriter, r *http.Request) {
	if away.Load() {
		io.Copy(io.Discard, r.Body)
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	name := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 2)[0]
	buffer := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	defer buffers.Put(buffer)
	wire, err := read(buffer, r)
	if err != nil {
		mu.Lock()
		of(name).Refused++
		mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	lines := 0
	mu.Lock()
	t := of(name)
	t.Batches++
	t.Wire += wire
	for rest := buffer.Bytes(); len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if len(bytes.TrimSpace(line)) > 0 {
			lines++
			t.add(line)
		}
	}
	mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"status":"ok","accepted":%d,"duplicates":0,"rejected":[]}`, lines)
}

// read gives the batch as it was before any compression, and how many bytes came.
func read(into *bytes.Buffer, r *http.Request) (int64, error) {
	counted := &counter{r: r.Body}
	var src io.Reader = counted
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(counted)
		if err != nil {
			return 0, err
		}
		src = unzipped
	default:
		return 0, fmt.Errorf("can't read Content-Encoding %s", encoding)
	}
	_, err := into.ReadFrom(src)
	return counted.n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// of gives the tally of a plugin. The caller holds the lock.
func of(name string) *tally {
	t := tallies[name]
	if t == nil {
		t = &tally{known: map[uint64]struct{}{}, numbered: map[int]struct{}{}}
		tallies[name] = t
	}
	return t
}

// add counts one report. It looks for names instead of parsing: inside a string their quotes are
// escaped, so that what it finds is a name of the report itself.
func (t *tally) add(line []byte) {
	t.Lines++
	id := text(line, `"request_id":"`)
	if id == nil {
		id = text(line, `"id":"`) // the prototype's
	}
	if id == nil {
		t.Reports++ // the seed's have none
	} else if hash := maphash.Bytes(seed, id); !has(t.known, hash) {
		t.known[hash] = struct{}{}
		t.Reports++
	}
	if dropped, found := number(line, `"dropped":`); found {
		t.Dropped = max(t.Dropped, int64(dropped))
	}
	if failed, found := number(line, `"failed":`); found {
		t.Failed = max(t.Failed, int64(failed))
	}
	if call, found := number(line, "call-"); found {
		t.numbered[call] = struct{}{}
	}
}

func has(set map[uint64]struct{}, key uint64) bool {
	_, found := set[key]
	return found
}

// text gives the string that begins behind `name`.
func text(line []byte, name string) []byte {
	_, rest, _ := bytes.Cut(line, []byte(name))
	value, _, found := bytes.Cut(rest, []byte(`"`))
	if !found {
		return nil
	}
	return value
}

// number gives the number that stands behind `name`.
func number(line []byte, name string) (int, bool) {
	_, rest, _ := bytes.Cut(line, []byte(name))
	length := 0
	for length < len(rest) && rest[length] >= '0' && rest[length] <= '9' {
		length++
	}
	value, err := strconv.Atoi(string(rest[:length]))
	return value, err == nil
}

func stats(w http.ResponseWriter, r *http.Request) {
	mu.Lock()
	t := of(strings.TrimPrefix(r.URL.Path, "/stats/"))
	answer := *t
	if r.URL.Query().Has("calls") {
		for call := range t.numbered {
			answer.Calls = append(answer.Calls, call)
		}
	}
	mu.Unlock()
	serve.JSON(w, answer)
}
