package llmtoken

import (
	"log"
	"sync"
	"time"
)

const complainEvery = time.Minute

// complaints logs problems, the same one at most once a minute.
type complaints struct {
	lock sync.Mutex
	last map[string]time.Time
}

func (c *complaints) complain(problem, detail string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.last == nil || len(c.last) > 100 { // problems may name what differs each time
		c.last = map[string]time.Time{}
	}
	if time.Since(c.last[problem]) < complainEvery {
		return
	}
	c.last[problem] = time.Now()
	log.Printf("llmtoken: %s (%s)", problem, detail)
}
