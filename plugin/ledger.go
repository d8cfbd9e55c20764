package llmtoken

import (
	"encoding/json"
	"log"
	"sync"
)

// Why reports are lost. The collector knows these names (exporter/llmtoken/metrics/losses.py).
const (
	queueFull    = "queue_full"    // dropped when the exchange ended: there was no room
	spoolFull    = "spool_full"    // the same, as the spool took no more either
	refused      = "refused"       // the collector did not take a batch, and never will
	rejected     = "rejected"      // the collector took a batch, but not this line of it
	unwritable   = "unwritable"    // no report could be made of the exchange
	spoolDamaged = "spool_damaged" // a file of the spool can't be read any more
)

// account is the loss ledger as the collector is told of it: every report has one, as it was when the report was
// written, and every batch, as it is when the batch is sent. All numbers are running totals.
type account struct {
	Boot      string           `json:"boot"`
	Sequence  int64            `json:"sequence"` // exchanges that ended, lost ones too
	Dropped   int64            `json:"dropped"`
	Failed    int64            `json:"failed"`
	DroppedBy map[string]int64 `json:"dropped_by,omitempty"` // Dropped by reason
	FailedBy  map[string]int64 `json:"failed_by,omitempty"`  // Failed by reason
}

// ledger keeps the totals of what was lost. What it has given out never changes.
type ledger struct {
	lock  sync.Mutex
	total account
}

func (l *ledger) drop(reason string, count int64) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.total.Dropped += count
	l.total.DroppedBy = more(l.total.DroppedBy, reason, count)
}

func (l *ledger) fail(reason string, count int64) {
	if count == 0 {
		return
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.total.Failed += count
	l.total.FailedBy = more(l.total.FailedBy, reason, count)
}

// more is a copy of the map with some added.
func more(by map[string]int64, reason string, count int64) map[string]int64 {
	added := map[string]int64{reason: count}
	for name, before := range by {
		added[name] += before
	}
	return added
}

// now gives the totals; the caller knows the last sequence number.
func (l *ledger) now(sequence int64) account {
	l.lock.Lock()
	defer l.lock.Unlock()
	a := l.total
	a.Sequence = sequence
	return a
}

// lost is how many reports were.
func (l *ledger) lost() int64 { return l.now(0).lost() }

func (a account) lost() int64 { return a.Dropped + a.Failed }

// header is the account as a batch carries it.
func (a account) header() string {
	text, err := json.Marshal(a)
	if err != nil { // of numbers and our own words: it can't
		log.Printf("llmtoken: the loss ledger can't be written: %v", err)
	}
	return string(text)
}
