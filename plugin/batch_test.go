package llmtoken

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// spoilt is a report that can't be written: that panics.
func spoilt() *report {
	r := small()
	r.middleware = &Middleware{}
	return r
}

// sized is a report with a reply of that many bytes.
func sized(size int) *report {
	r := small()
	r.responseCopy = bytes.Repeat([]byte("x"), size)
	r.written = size
	return r
}

func TestABatchKeepsToItsBytesAndABigReportGoesAlone(t *testing.T) {
	c := collect(t)
	how := to(c)
	how.flushInterval, how.batchBytes = 50*time.Millisecond, 4096
	s := start(t, how)
	for _, size := range []int{100, 100, 100000, 100} {
		admit(s, sized(size), nil)
	}
	eventually(t, "4 accepted", func() bool { return c.accepted() == 4 })
	c.lock.Lock()
	defer c.lock.Unlock()
	if fmt.Sprint(c.batches) != "[2 1 1]" {
		t.Error(c.batches)
	}
}

func TestAReportThatCanNotBeWrittenDoesNotHarmItsNeighbours(t *testing.T) {
	c := collect(t)
	how := to(c)
	how.flushInterval = 50 * time.Millisecond
	s := start(t, how)
	admit(s, small(), nil)
	admit(s, spoilt(), nil)
	admit(s, small(), nil)
	eventually(t, "2 accepted", func() bool { return c.accepted() == 2 })
	if a := s.account(); a.Failed != 1 || a.FailedBy[unwritable] != 1 {
		t.Errorf("%+v", a)
	}
	eventually(t, "nothing takes room any more", func() bool {
		s.lock.Lock()
		defer s.lock.Unlock()
		return s.places == s.queueSize && s.room == s.queueBytes
	})
}

func TestABatchThatIsFullIsFlushedAndTheRestBeginsTheNext(t *testing.T) {
	s := idle(shipping{})
	flushed := []string{}
	flush := func() {
		flushed = append(flushed, fmt.Sprint(s.batch.count, bytes.Count(s.batch.Bytes(), []byte("\n")), s.batch.whole == s.batch.Len()))
		s.batch.reset(mebibyte)
	}
	for i := 0; i < 7; i++ {
		s.batch.taken = append(s.batch.taken, small())
	}
	writeReports(&s.batch, s.account(), 3, mebibyte, flush)
	if fmt.Sprint(flushed) != "[3 3 true 3 3 true]" || s.batch.count != 1 {
		t.Errorf("%v, %d left", flushed, s.batch.count)
	}
}

func TestABatchKnowsHowMuchOfTheQueueItHolds(t *testing.T) {
	s := idle(shipping{})
	held := []int64{}
	flush := func() {
		held = append(held, s.batch.held)
		s.batch.reset(mebibyte)
	}
	for i, size := range []int{100, 5000, 100} {
		r := sized(size)
		r.cost = int64(1 + i)
		s.batch.taken = append(s.batch.taken, r)
	}
	writeReports(&s.batch, s.account(), 10, 4096, flush)
	if fmt.Sprint(held, s.batch.held) != "[1 2] 3" {
		t.Errorf("%v, then %d", held, s.batch.held)
	}
}

func TestWhatOfAReportCanNotBeWrittenIsTakenAway(t *testing.T) {
	s := idle(shipping{})
	bad, after := spoilt(), small()
	s.batch.taken = []*report{small(), bad, after}
	func() {
		defer func() { _ = recover() }()
		writeReports(&s.batch, s.account(), 10, mebibyte, func() {})
	}()
	if s.batch.undo() != bad || s.batch.undo() != nil || len(s.batch.taken) != 1 || s.batch.taken[0] != after {
		t.Fatalf("%d taken", len(s.batch.taken))
	}
	writeReports(&s.batch, s.account(), 10, mebibyte, func() {})
	lines := bytes.SplitAfter(s.batch.Bytes(), []byte("\n"))
	if len(lines) != 3 || !json.Valid(lines[0]) || !json.Valid(lines[1]) || s.batch.count != 2 {
		t.Errorf("%q", lines)
	}
}

func TestTheBufferOfABigBatchIsGivenBack(t *testing.T) {
	s := idle(shipping{})
	for _, size := range []int{100, mebibyte} {
		s.batch.taken = []*report{sized(size)}
		writeReports(&s.batch, s.account(), 10, mebibyte, func() {})
		s.batch.reset(64 * 1024)
		if s.batch.Cap() > 64*1024 || s.batch.Len() != 0 || s.batch.count != 0 || s.batch.held != 0 || s.batch.whole != 0 {
			t.Errorf("after %d bytes: %d are kept", size, s.batch.Cap())
		}
	}
	s.batch.taken = []*report{small()} // the encoder writes to the new buffer
	writeReports(&s.batch, s.account(), 10, mebibyte, func() {})
	if !json.Valid(s.batch.Bytes()) || s.batch.Len() == 0 {
		t.Errorf("%q", s.batch.Bytes())
	}
}
