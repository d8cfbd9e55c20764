package llmtoken

import (
	"fmt"
	"log"
	"strings"
	"sync"
	"testing"
	"time"
)

// heard is what was logged during a test.
type heard struct {
	lock sync.Mutex
	text strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.text.Write(p)
}

func (h *heard) count(word string) int {
	h.lock.Lock()
	defer h.lock.Unlock()
	return strings.Count(h.text.String(), word)
}

func listen(t *testing.T) *heard {
	t.Helper()
	h := &heard{}
	before := log.Writer()
	log.SetOutput(h)
	t.Cleanup(func() { log.SetOutput(before) })
	return h
}

func TestTheSameProblemIsLoggedOnceAMinute(t *testing.T) {
	said := listen(t)
	c := &complaints{}
	for i := 0; i < 3; i++ {
		c.complain("planted problem", fmt.Sprint(i))
		c.complain("planted other", fmt.Sprint(i))
	}
	if said.count("llmtoken: planted problem (0)") != 1 || said.count("planted problem") != 1 || said.count("planted other") != 1 {
		t.Error(said.text.String())
	}
	c.last["planted problem"] = time.Now().Add(-complainEvery)
	c.complain("planted problem", "again")
	if said.count("llmtoken: planted problem (again)") != 1 {
		t.Error(said.text.String())
	}
}

func TestWhatWasLoggedIsNotRememberedWithoutBound(t *testing.T) {
	listen(t)
	c := &complaints{}
	for i := 0; i < 1000; i++ {
		c.complain(fmt.Sprint("planted ", i), "")
	}
	if len(c.last) > 101 {
		t.Errorf("%d are remembered", len(c.last))
	}
}
